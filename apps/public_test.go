package apps

import (
	"net/netip"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
)

// TestAPublicNetworkMayBeExempt has an SNAT exempt all that a public network sends, or some of its addresses: the bridge
// can be compiled, and who is exempt is reached as before.
func TestAPublicNetworkMayBeExempt(t *testing.T) {
	for _, exempt := range []string{"exempt: {cidrs: [203.0.113.5/32]}", "exempt: {cidrs: [0.0.0.0/0]}", "from: {endpoints: [h1]}, exempt: {cidrs: [0.0.0.0/0]}"} {
		p := passageOn(t, publicBridge, crossingTenant("blue", "defaults: {ingress: allow}", 2), crossingObject("blue", "SNAT", "s", "addresses: [203.0.113.10], "+exempt))
		if trace := p.comes("198.51.100.7", "10.1.0.11", 40000); !p.comesBy(trace, "blue-h1") {
			t.Errorf("%s: comes to %v\n%s", exempt, delivered(trace), stepsOf(trace))
		}
	}
}

// TestALoadBalancerInAPublicNetwork has somebody outside ask it: the connection is remembered as to it, and its answers come
// from it.
func TestALoadBalancerInAPublicNetwork(t *testing.T) {
	p := passageOn(t, publicBridge, crossingTenant("blue", "defaults: {ingress: allow}", 1),
		crossingObject("blue", "LoadBalancer", "shop", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [{endpoint: h1}]"))
	trace := p.comes("198.51.100.7", "10.1.0.100", 40000)
	if !p.comesBy(trace, "blue-h1") || len(trace.Odd) > 0 || len(trace.Commits) != 1 {
		t.Fatalf("comes to %v, %d commits, %v\n%s", delivered(trace), len(trace.Commits), trace.Odd, stepsOf(trace))
	}
	if id, _ := p.in.Numbers.Origin(be32(trace.Commits[0].Label[4:])); id != "blue/loadbalancer/shop/tcp/80" {
		t.Errorf("remembered as of %q", id)
	}
	tuple, _ := flowsim.TupleOf(trace.Outputs[0].Packet)
	answer := p.sim.Send(segmentOf(portOn(p.in, "blue-h1"), [6]byte{2, 0, 0, 0, 0, 0x11}, pipeline.RouterMAC, tuple.Reversed()), &p.ct)
	if !p.comesBy(answer, "out") || answer.Outputs[0].Packet.Src() != netip.MustParseAddr("10.1.0.100") {
		t.Errorf("an answer leaves by %v\n%s", delivered(answer), stepsOf(answer))
	}
}
