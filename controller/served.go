package controller

import (
	"time"

	"weir/intent"
)

// A BalancerState is whether somebody takes the connections that a load balancer is asked for.
type BalancerState struct {
	Usable int       // backends that have a weight in force
	Since  time.Time // when there came to be some, or none: the daemon does not know of earlier times
	Lost   uint64    // times that there came to be none, since the daemon began
}

// served returns the states of all load balancers of a model, after what they were before.
func served(set *weightSet, before map[intent.ID]BalancerState, now time.Time) map[intent.ID]BalancerState {
	all := make(map[intent.ID]BalancerState, len(before))
	for _, t := range set.model.Tenants() {
		for _, b := range t.LoadBalancers {
			id := b.ID()
			was, known := before[id]
			all[id] = was.next(known, usable(b, set.lines[id]), now)
		}
	}
	return all
}

// next returns the state after s, which is not known to have been, with so many backends.
func (s BalancerState) next(known bool, backends int, now time.Time) BalancerState {
	if !known || (s.Usable == 0) != (backends == 0) {
		if s.Since = now; known && backends == 0 { // one that is new has not lost anybody
			s.Lost++
		}
	}
	s.Usable = backends
	return s
}

// usable counts the backends of a load balancer that have a weight: as they were weighed, or, where
// nobody has weighed them, as they are declared.
func usable(b *intent.LoadBalancer, l *line) (n int) {
	for i := range b.Backends {
		w := b.Backends[i].Weight
		if l != nil {
			w = l.weights[i]
		}
		if w > 0 {
			n++
		}
	}
	return n
}
