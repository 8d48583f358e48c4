package apps

import (
	"fmt"
	"net/netip"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// A passage is a bridge with an outside, and what its tracker knows.
type passage struct {
	in  pipeline.Input
	sim *flowsim.Switch
	ct  flowsim.Tracker
}

// passageOf compiles a model behind the outside of crossedBridge.
func passageOf(t *testing.T, objects ...string) *passage {
	t.Helper()
	text := crossedBridge
	for _, o := range objects {
		text += o
	}
	m, err := intent.Read(intent.Source{Name: "passage.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	p, in := compileModel(t, m)
	return &passage{in: in, sim: flowsim.New(p.Tables())}
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

// crossingTenant has hosts 10.1.0.11 and fd00:1::11, and so on, in one network.
func crossingTenant(name string, hosts int) string {
	s := "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: " + name + "}\n---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: net, tenant: " + name +
		"}\nspec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}]}\n"
	for i := range hosts {
		s += fmt.Sprintf("---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: h%d, tenant: %s}\nspec: {network: net, bind: {port: %s-h%d}, mac: \"02:00:00:00:00:%d\", ips: [10.1.0.%d, \"fd00:1::%d\"]}\n",
			i+1, name, name, i+1, i+11, i+11, i+11)
	}
	return s
}

func crossingSNAT(tenant, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: weir/v1\nkind: SNAT\nmetadata: {name: %s, tenant: %s}\nspec: {%s}\n", name, tenant, spec)
}

// says sends a TCP segment of a host from a port, by the router.
func (p *passage) says(host string, src, dst string, sport, dport uint16) *flowsim.Trace {
	from := netip.MustParseAddr(src)
	mac := [6]byte{2, 0, 0, 0, 0, 0x11}
	if host[len(host)-1] == '2' {
		mac[5] = 0x12
	}
	return p.sim.Send(segmentOf(portOn(p.in, host), mac, pipeline.RouterMAC, flowsim.Tuple{Protocol: 6, Src: from, Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport}), &p.ct)
}

// hears sends an answer to what has left for the outside, if anything has.
func (p *passage) hears(t *testing.T, left *flowsim.Trace) *flowsim.Trace {
	t.Helper()
	if got := delivered(left); len(got) != 1 || uint64(got[0]) != portOn(p.in, "out") {
		t.Fatalf("leaves by %v\n%s", got, stepsOf(left))
	}
	tuple, _ := flowsim.TupleOf(left.Outputs[0].Packet)
	to := pipeline.ExternalSite{External: p.in.Model.Bridges()[0].Externals[0]}.RouterMAC()
	return p.sim.Send(segmentOf(portOn(p.in, "out"), [6]byte{2, 0, 0, 0, 0xff, 1}, to, tuple.Reversed()), &p.ct)
}

func segmentOf(port uint64, from, to [6]byte, tuple flowsim.Tuple) flowsim.Packet {
	p := flowsim.Of(ofproto.Is(ofproto.InPort, port), ofproto.IsMAC(ofproto.EthSrc, from), ofproto.IsMAC(ofproto.EthDst, to),
		ofproto.IsAddr(pipeline.IPSrc(tuple.Src), tuple.Src), ofproto.IsAddr(pipeline.IPDst(tuple.Dst), tuple.Dst),
		ofproto.Is(ofproto.IPTTL, 64), ofproto.Is(ofproto.IPProto, uint64(tuple.Protocol)), ofproto.Is(ofproto.TCPFlags, 2))
	tuple.Stamp(&p)
	return p
}

// TestWhatIsExemptInOneVersionOfIPIsAnswered has two tenants with the same addresses each be
// exempt in one version of IP, and translated in the other.
func TestWhatIsExemptInOneVersionOfIPIsAnswered(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", 1), crossingTenant("red", 1),
		crossingSNAT("blue", "all", `addresses: [203.0.113.10, "2001:db8::10"], exempt: {cidrs: [198.51.100.0/24]}`),
		crossingSNAT("red", "all", `addresses: [203.0.113.20, "2001:db8::20"], exempt: {cidrs: ["2001:db8:77::/48"]}`))
	for _, c := range []struct{ host, src, dst, as string }{
		{"blue-h1", "10.1.0.11", "198.51.100.7", "10.1.0.11"},
		{"blue-h1", "fd00:1::11", "2001:db8:77::7", "2001:db8::10"},
		{"red-h1", "10.1.0.11", "198.51.100.7", "203.0.113.20"},
		{"red-h1", "fd00:1::11", "2001:db8:77::7", "fd00:1::11"},
	} {
		left := p.says(c.host, c.src, c.dst, 40000, 80)
		back := p.hears(t, left)
		if as := left.Outputs[0].Packet.Src(); as != netip.MustParseAddr(c.as) {
			t.Errorf("%s leaves for %s as %v, want %s", c.host, c.dst, as, c.as)
		}
		if got := delivered(back); len(got) != 1 || uint64(got[0]) != portOn(p.in, c.host) {
			t.Errorf("an answer to %s of %s comes to %v\n%s", c.host, c.dst, got, stepsOf(back))
		}
	}
}
