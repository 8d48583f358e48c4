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
