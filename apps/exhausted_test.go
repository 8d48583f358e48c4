package apps

import (
	"testing"

	"weir/apps/pipeline"
)

// TestWhatHasNoPortLeftDoesNotLeave has the tracker remember one connection and no other. What it
// could not remember has not been translated, and is dropped, for the reason that it was.
func TestWhatHasNoPortLeftDoesNotLeave(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want pipeline.Reason
	}{
		"no port is left":          {"", pipeline.NoPortLeft},
		"the tenant has too many":  {"limits: {connections: 1}", pipeline.LimitReached},
		"audited, no port is left": {"mode: audit", pipeline.NoPortLeft},
		"audited, and too many":    {"mode: audit, limits: {connections: 1}", pipeline.LimitReached},
	} {
		t.Run(name, func(t *testing.T) {
			p := passageOf(t, crossingTenant("blue", c.spec, 1), crossingObject("blue", "SNAT", "all", "addresses: [203.0.113.10], ports: 1024-2047"))
			p.ct.Limits = map[uint16]int{p.in.Numbers.Zone("blue"): 1}
			first := p.says("blue-h1", "10.1.0.11", "192.0.2.7", 40000)
			if back := p.hears(t, first); !p.comesBy(back, "blue-h1") {
				t.Errorf("an answer to the first comes to %v", delivered(back))
			}
			next := p.says("blue-h1", "10.1.0.11", "192.0.2.7", 40001)
			if reason := pipeline.Reason(next.Steps[len(next.Steps)-1].Regs[11]); len(delivered(next)) > 0 || reason != c.want {
				t.Errorf("the next leaves by %v; it is dropped for %d, want %d\n%s", delivered(next), reason, c.want, stepsOf(next))
			}
		})
	}
}
