package apps

import (
	"net/netip"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestNothingIsTranslatedToItself sends packets to each endpoint that sees its gateway, from
// others, from the gateway's address, which is translated to itself by what would follow, and from
// the endpoint.
func TestNothingIsTranslatedToItself(t *testing.T) {
	p, in := compileFile(t, "testdata/double.yaml")
	s, looked := flowsim.New(p.Tables()), 0
	for _, f := range p.Tables().Flows {
		if f.Table != pipeline.SourceNAT {
			continue
		}
		c, ok := f.Actions[0].(ofproto.ConnTrack)
		if !ok {
			continue
		}
		looked++
		gateway, zone := c.NAT.AddrMin, in.Numbers.Zone("blue")
		if gateway == netip.MustParseAddr("10.2.0.1") {
			zone = in.Numbers.Zone("red")
		}
		other := netip.MustParseAddr("198.51.100.1")
		if gateway.Is6() {
			other = netip.MustParseAddr("2001:db8:77::1")
		}
		for from, remembered := range map[netip.Addr]int{other: 1, gateway: 0} {
			packet := flowsim.Of(append(f.Match[:len(f.Match):len(f.Match)], ofproto.IsAddr(pipeline.IPSrc(from), from), ofproto.Is(ofproto.IPProto, 6))...)
			packet.SetUint(ofproto.Reg5, uint64(zone)|4099<<16)
			trace := s.SendTo(pipeline.SourceNAT, packet, nil)
			if len(trace.Commits) != remembered || len(trace.Outputs) != remembered {
				t.Errorf("from %v to %v: %d connections and %d packets, want %d", from, f.Match, len(trace.Commits), len(trace.Outputs), remembered)
			}
			if remembered == 1 && (trace.Commits[0].Zone != 4099 || trace.Commits[0].Reply.Dst != gateway) {
				t.Errorf("%+v", trace.Commits[0])
			}
		}
	}
	if looked != 4 {
		t.Errorf("%d endpoints' addresses, want 4", looked)
	}
}

// TestABackendThatIsStatelessAnswersItsGateway has a load balancer give a connection to a backend that sees its gateway, and lets in
// everybody without the tracker. What it answers is for the gateway, and the tracker's to translate.
func TestABackendThatIsStatelessAnswersItsGateway(t *testing.T) {
	const bridge = "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n" // with an outside, all that is for the router is tracked
	p := passageOn(t, bridge, crossingTenant("blue", "", 2), crossingObject("blue", "LoadBalancer", "web", "address: 10.1.0.64, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2}], snat: always"),
		crossingObject("blue", "Policy", "in", "appliesTo: {endpoints: [h2]}, rules: [{name: all, direction: ingress, action: stateless}]"))
	asked := p.says("blue-h1", "10.1.0.11", "10.1.0.64", 40000)
	if !p.comesBy(asked, "blue-h2") {
		t.Fatalf("comes to %v\n%s", delivered(asked), stepsOf(asked))
	}
	tuple, _ := flowsim.TupleOf(asked.Outputs[0].Packet)
	if tuple.Src != netip.MustParseAddr("10.1.0.1") {
		t.Errorf("the backend sees %v", tuple.Src)
	}
	back := p.sim.Send(segmentOf(portOn(p.in, "blue-h2"), [6]byte{2, 0, 0, 0, 0, 0x12}, pipeline.RouterMAC, tuple.Reversed()), &p.ct)
	if !p.comesBy(back, "blue-h1") {
		t.Errorf("an answer comes to %v\n%s", delivered(back), stepsOf(back))
	}
}
