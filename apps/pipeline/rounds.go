package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"weir/intent"
	"weir/internal/depth"
)

// MaxRounds is how often a packet may be sent back to the flow tables. Open vSwitch's userspace
// datapath drops one that would be sent back once more than that, and once again, with no more
// than a line in its log.
const MaxRounds = 5

// Rounds is how often a packet may be sent back to the flow tables of a program, in the worst
// case, and the intents whose flows do that, in the order of its way.
type Rounds struct {
	N  int
	By []intent.ID
}

// worst is the worst case of a program, and what was looked at for it.
type worst struct {
	shapes []*depth.Shapes
	steps  []depth.Step
}

// rounds returns the worst case of some units. Most of them are alike, as far as that goes; and
// as long as those that are not are the ones of the last time, so is the answer.
func (w *worst) of(units []*Unit, n Numbers) Rounds {
	var shapes []*depth.Shapes
	var first []*Unit // that has them
	for _, u := range units {
		if !slices.ContainsFunc(shapes, u.shapes.Same) {
			shapes, first = append(shapes, u.shapes), append(first, u)
		}
	}
	if !slices.EqualFunc(shapes, w.shapes, (*depth.Shapes).Same) {
		*w = worst{shapes, depth.Most(MaxRounds+1, shapes...)}
	}
	return roundsOf(w.steps, first, n)
}

// roundsOf names whose the steps of a way are, in units that have their shapes.
func roundsOf(steps []depth.Step, units []*Unit, n Numbers) (r Rounds) {
	r.N = len(steps)
	for _, s := range steps {
		u := units[s.Shapes]
		if id := origin(n, u.Flows[u.shapes.Flow(s.Shape)]); !slices.Contains(r.By, id) {
			r.By = append(r.By, id)
		}
	}
	return r
}

// tooMany says that a packet would be sent back too often.
func (r Rounds) tooMany() error {
	if r.N <= MaxRounds {
		return nil
	}
	var by []string
	for _, id := range r.By {
		by = append(by, fmt.Sprintf("%q", id))
	}
	return fmt.Errorf("a packet could be sent back to the flow tables %d times, and Open vSwitch drops it after %d: do without one of %s", r.N, MaxRounds, strings.Join(by, ", "))
}
