package apps

import (
	"strings"
	"testing"
)

// TestWhoSaysFromOutsideThatItIsInside has somebody outside send from addresses that tenants have: from those of
// the tenant that it asks nothing comes in; to others they are any.
func TestWhoSaysFromOutsideThatItIsInside(t *testing.T) {
	may := "rules: [{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}]"
	p := passageOf(t, crossingTenant("blue", "", 1), crossingObject("blue", "FloatingIP", "ip", "address: 203.0.113.20, endpoint: h1"), crossingObject("blue", "Policy", "in", may),
		strings.ReplaceAll(strings.ReplaceAll(crossingTenant("red", "", 1), "10.1.0.", "10.2.0."), "fd00:1:", "fd00:2:"),
		crossingObject("red", "FloatingIP", "ip", "address: 203.0.113.21, endpoint: h1"), crossingObject("red", "Policy", "in", may))
	for _, c := range []struct{ src, dst, to string }{
		{"192.0.2.7", "203.0.113.20", "blue-h1"},
		{"10.1.0.99", "203.0.113.20", ""},
		{"10.2.0.99", "203.0.113.20", "blue-h1"},
		{"10.1.0.99", "203.0.113.21", "red-h1"},
		{"10.2.0.11", "203.0.113.21", ""},
	} {
		trace := p.comes(c.src, c.dst, 40000)
		if c.to == "" && (len(delivered(trace)) > 0 || len(trace.Commits) > 0) || c.to != "" && !p.comesBy(trace, c.to) {
			t.Errorf("from %s to %s: comes to %v, want %q\n%s", c.src, c.dst, delivered(trace), c.to, stepsOf(trace))
		}
	}
}

// TestNobodyOutsideSpeaksForAnEndpoint has endpoints speak to each other, directly and by a floating IP, and somebody outside
// send segments of these connections: in a public network, and to the floating IP, they would be taken for theirs.
func TestNobodyOutsideSpeaksForAnEndpoint(t *testing.T) {
	p := passageOn(t, publicBridge, crossingTenant("blue", "defaults: {ingress: allow, invalid: allow}", 2), crossingObject("blue", "FloatingIP", "ip", "address: 203.0.113.20, endpoint: h2"))
	for _, dst := range []string{"10.1.0.12", "203.0.113.20"} {
		if trace := p.says("blue-h1", "10.1.0.11", dst, 40000); !p.comesBy(trace, "blue-h2") {
			t.Fatalf("h1 does not come to h2 by %s: %v\n%s", dst, delivered(trace), stepsOf(trace))
		}
		if trace := p.comes("10.1.0.11", dst, 40000); len(delivered(trace)) > 0 {
			t.Errorf("from outside, as h1 to %s: comes to %v\n%s", dst, delivered(trace), stepsOf(trace))
		}
	}
}

// TestNobodyInsideSendsFromWhatTenantsHaveInCommon has an endpoint without addresses send from one that its tenant has ports of, or
// shares, in a prefix: it would be translated to itself, which ends some trackers.
func TestNobodyInsideSendsFromWhatTenantsHaveInCommon(t *testing.T) {
	bridge := strings.Replace(crossedBridge, "    subnets:", "    prefixes: [192.0.2.0/24]\n    subnets:", 1)
	for _, how := range []string{"ports: 40000-40999", "shared: true"} {
		p := passageOn(t, bridge, crossingTenant("blue", "", 1), crossingTenant("red", "", 1),
			crossingObject("blue", "Endpoint", "h2", `network: net, bind: {port: blue-h2}, mac: "02:00:00:00:00:12", ips: []`),
			crossingObject("blue", "SNAT", "a", "addresses: [192.0.2.12], "+how),
			crossingObject("red", "SNAT", "a", "addresses: [192.0.2.12], "+strings.Replace(how, "40000-40999", "41000-41999", 1)))
		if left := p.says("blue-h2", "10.1.0.77", "198.51.100.7", 40005); !p.comesBy(left, "out") {
			t.Errorf("%s: from another address it leaves by %v\n%s", how, delivered(left), stepsOf(left))
		}
		if left := p.says("blue-h2", "192.0.2.12", "198.51.100.7", 40005); len(delivered(left)) > 0 || len(left.Commits) > 0 {
			t.Errorf("%s: leaves by %v, with %d commits\n%s", how, delivered(left), len(left.Commits), stepsOf(left))
		}
	}
}
