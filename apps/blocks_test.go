package apps

import (
	"net/netip"
	"testing"

	"weir/internal/flowsim"
)

// TestABlockOfPortsBesideALoadBalancer has tenants leave as one address, each with ports of its own, of which one has a load
// balancer with a backend outside: what goes there leaves with the tenant's ports, and is answered.
func TestABlockOfPortsBesideALoadBalancer(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 1), crossingObject("blue", "SNAT", "block", "addresses: [203.0.113.10], ports: 30000-30999"),
		crossingObject("blue", "LoadBalancer", "shop", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{address: 198.51.100.7}]"),
		crossingTenant("red", "", 1), crossingObject("red", "SNAT", "block", "addresses: [203.0.113.10], ports: 31000-31999"))
	for range 2 {
		trace := p.says("blue-h1", "10.1.0.11", "10.1.0.100", 40000)
		answer := p.hears(t, trace)
		if as, _ := flowsim.TupleOf(trace.Outputs[0].Packet); as.Src != netip.MustParseAddr("203.0.113.10") || as.SrcPort != 30000 || len(trace.Odd) > 0 {
			t.Errorf("leaves as %v %v", as, trace.Odd)
		}
		if !p.comesBy(answer, "blue-h1") || answer.Outputs[0].Packet.Src() != netip.MustParseAddr("10.1.0.100") {
			t.Errorf("an answer comes to %v\n%s", delivered(answer), stepsOf(answer))
		}
	}
}
