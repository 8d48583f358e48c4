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
