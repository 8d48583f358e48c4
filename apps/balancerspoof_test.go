package apps

import (
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestALoadBalancerAnswersNobodyWhoCannotBeThere has a load balancer that nobody serves, and that
// rejects what comes, asked from outside by who says that it is inside.
func TestALoadBalancerAnswersNobodyWhoCannotBeThere(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 1),
		crossingObject("blue", "LoadBalancer", "shop", "address: 203.0.113.40, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h1, weight: 0}], whenEmpty: reject"))
	router := pipeline.ExternalSite{External: p.in.Model.Bridges()[0].Externals[0]}.RouterMAC()
	for from, want := range map[string]bool{"198.51.100.7": true, "10.1.0.11": false, "10.1.0.77": false} {
		asks := segmentOf(portOn(p.in, "out"), [6]byte{2, 0, 0, 0, 0xff, 1}, router,
			flowsim.Tuple{Protocol: 6, Src: netip.MustParseAddr(from), Dst: netip.MustParseAddr("203.0.113.40"), SrcPort: 40000, DstPort: 80})
		trace := p.sim.Send(asks, nil)
		told := len(trace.Outputs) == 1 && trace.Outputs[0].Port == ofproto.PortController
		if told != want || len(trace.Outputs) > 1 {
			t.Errorf("from %s: answered %v, want %v\n%s", from, told, want, strings.TrimSpace(stepsOf(trace)))
		}
	}
}
