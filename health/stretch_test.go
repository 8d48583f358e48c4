package health

import (
	"testing"

	"weir/intent"
)

func TestTooManyChecksAreStretched(t *testing.T) {
	list := func(n int, kind intent.CheckType, times int) map[Key]Check {
		all := map[Key]Check{}
		for i := range n {
			for j := range times {
				c := checkOf(backendAt(i))
				c.Health.Type = kind
				all[Key{intent.ID(rune('a' + j)), backendAt(i)}] = c
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		checks map[Key]Check
		want   float64
	}{
		"none":                          {nil, 1},
		"as many as there may be":       {list(1000, intent.CheckTCP, 1), 1},
		"twice as many":                 {list(2000, intent.CheckTCP, 1), 2},
		"those that share the question": {list(1000, intent.CheckTCP, 3), 1},
		"HTTP costs more":               {list(1000, intent.CheckHTTP, 1), 4},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Stretch(500, c.checks); got != c.want {
				t.Errorf("by %v, want %v", got, c.want)
			}
			for _, x := range c.checks {
				if want := intent.Duration(c.want * float64(2*intent.Second)); x.Health.Interval != want {
					t.Fatalf("asked every %v, want %v", x.Health.Interval, want)
				}
			}
		})
	}
}
