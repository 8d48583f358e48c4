package apps

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
	"weir/store"
)

// A passage is a bridge with an outside, and what its tracker knows.
type passage struct {
	numbers *store.Numbers
	in      pipeline.Input
	sim     *flowsim.Switch
	ct      flowsim.Tracker
}

// passageOf compiles a model behind the outside of crossedBridge.
func passageOf(t *testing.T, objects ...string) *passage {
	t.Helper()
	return passageOn(t, crossedBridge, objects...)
}

// passageOn compiles a model behind the outsides of a bridge.
func passageOn(t *testing.T, bridge string, objects ...string) *passage {
	t.Helper()
	m, err := intent.Read(intent.Source{Name: "passage.yaml", Data: []byte(bridge + strings.Join(objects, ""))})
	if err != nil {
		t.Fatal(err)
	}
	p := &passage{numbers: store.Mem()}
	if p.in, err = inputOf(m, p.numbers); err != nil {
		t.Fatal(err)
	}
	p.compile(t)
	return p
}

func (p *passage) compile(t *testing.T) {
	t.Helper()
	program, err := Compile(p.in)
	if err != nil {
		t.Fatal(err)
	}
	p.sim = switchOn(p.in.Facts.Features, program.Tables())
}

// judgedAgain gives a tenant another epoch.
func (p *passage) judgedAgain(t *testing.T, tenant intent.ID) {
	t.Helper()
	var err error
	if p.in.Numbers, err = p.numbers.Raise(map[intent.ID]uint8{tenant: p.in.Numbers.Epoch(tenant)}); err != nil {
		t.Fatal(err)
	}
	p.compile(t)
}

// crossedBridge has an outside whose next hops are known.
const crossedBridge = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec:
  external:
    network: public
    port: out
    subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}, {cidr: "2001:db8::/64", gateway: "2001:db8::1"}]
    nextHops: [{address: 203.0.113.1, mac: "02:00:00:00:ff:01"}, {address: "2001:db8::1", mac: "02:00:00:00:ff:01"}]
`

// publicBridge is crossedBridge with the network of the tenants routed to it.
var publicBridge = strings.Replace(crossedBridge, "    subnets:", "    prefixes: [10.1.0.0/24]\n    subnets:", 1)

// crossingTenant has hosts 10.1.0.11 and fd00:1::11, and so on, in one network.
func crossingTenant(name, spec string, hosts int) string {
	s := "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: " + name + "}\nspec: {" + spec + "}\n" +
		crossingObject(name, "Network", "net", `subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}]`)
	for i := range hosts {
		s += crossingObject(name, "Endpoint", fmt.Sprint("h", i+1), fmt.Sprintf(`network: net, bind: {port: %s-h%d}, mac: "02:00:00:00:00:%d", ips: [10.1.0.%d, "fd00:1::%d"]`, name, i+1, i+11, i+11, i+11))
	}
	return s
}

func crossingObject(tenant, kind, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: weir/v1\nkind: %s\nmetadata: {name: %s, tenant: %s}\nspec: {%s}\n", kind, name, tenant, spec)
}

// says sends a TCP segment of a host to port 80 of an address, by the router.
func (p *passage) says(host, src, dst string, sport uint16) *flowsim.Trace {
	mac := [6]byte{2, 0, 0, 0, 0, 0x10 + host[len(host)-1] - '0'}
	return p.sim.Send(segmentOf(portOn(p.in, host), mac, pipeline.RouterMAC, flowsim.Tuple{Protocol: 6, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: 80}), &p.ct)
}

// comesBy reports whether a packet leaves by a port, and there only.
func (p *passage) comesBy(trace *flowsim.Trace, port string) bool {
	got := delivered(trace)
	return len(got) == 1 && uint64(got[0]) == portOn(p.in, port)
}

// hears sends an answer to what has left for the outside, if anything has.
func (p *passage) hears(t *testing.T, left *flowsim.Trace) *flowsim.Trace {
	t.Helper()
	if !p.comesBy(left, "out") {
		t.Fatalf("leaves by %v\n%s", delivered(left), stepsOf(left))
	}
	tuple, _ := flowsim.TupleOf(left.Outputs[0].Packet)
	to := pipeline.ExternalSite{External: p.in.Model.Bridges()[0].Externals[0]}.RouterMAC()
	return p.sim.Send(segmentOf(portOn(p.in, "out"), [6]byte{2, 0, 0, 0, 0xff, 1}, to, tuple.Reversed()), &p.ct)
}

func segmentOf(port uint64, from, to [6]byte, tuple flowsim.Tuple) flowsim.Packet {
	p := flowsim.Of(ofproto.Is(ofproto.InPort, port), ofproto.IsMAC(ofproto.EthSrc, from), ofproto.IsMAC(ofproto.EthDst, to),
		ofproto.IsAddr(pipeline.IPSrc(tuple.Src), tuple.Src), ofproto.IsAddr(pipeline.IPDst(tuple.Dst), tuple.Dst),
		ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.IPProto, uint64(tuple.Protocol)))
	if tuple.Protocol == 6 {
		p.SetUint(ofproto.TCPFlags, 0x002) // SYN
	}
	tuple.Stamp(&p)
	return p
}

// comes sends a TCP segment from outside to port 80 of an address.
func (p *passage) comes(src, dst string, sport uint16) *flowsim.Trace {
	to := pipeline.ExternalSite{External: p.in.Model.Bridges()[0].Externals[0]}.RouterMAC()
	return p.sim.Send(segmentOf(portOn(p.in, "out"), [6]byte{2, 0, 0, 0, 0xff, 1}, to,
		flowsim.Tuple{Protocol: 6, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: 80}), &p.ct)
}
