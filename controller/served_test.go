package controller

import (
	"fmt"
	"testing"
	"time"
)

func TestItIsKnownSinceWhenNobodyServes(t *testing.T) {
	weighed(t, func(s scale) {
		want := func(when string, usable int, since time.Duration, lost int) {
			t.Helper()
			s.pass(tellStates)
			s.backendStates()
			is := s.weighing.balancers[web]
			got := fmt.Sprint(is.Usable, " usable for ", time.Since(is.Since).Round(time.Second), ", ", is.Lost, " lost")
			if want := fmt.Sprint(usable, " usable for ", since, ", ", lost, " lost"); got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		s.take(withBackends(t, two+checked))
		s.say(1, 2)
		want("nobody has answered", 0, 0, 0)
		s.pass(5 * time.Second)
		s.hear(1, true)
		want("one is well", 1, 0, 0)
		s.pass(5 * time.Second)
		s.hear(2, true)
		want("two are", 2, 5*time.Second, 0)
		s.hear(1, false)
		s.hear(2, false)
		want("none is", 0, 0, 1)
		s.pass(20 * time.Second)
		want("still", 0, 20*time.Second, 1)
		s.hear(2, true)
		want("one is again", 1, 0, 1)
		s.take(withBackends(t, "backends: [{endpoint: h1, weight: 0}]"))
		want("the model has given all weight 0", 0, 0, 2)
		s.take(withBackends(t, "backends: [{endpoint: h1}, {endpoint: h3}]"))
		want("there are others, whom nobody asks", 2, 0, 2)
		s.pass(5 * time.Second)
		one := withBackends(t, "backends: [{endpoint: h1}]")
		s.next = &candidate{model: one}
		s.weightsOf(one, s.numbers)
		want("one of them is proposed", 2, 5*time.Second, 2)
		s.model, s.next = one, nil // and taken: nobody is told who knows it already
		want("one of them is taken", 1, 5*time.Second, 2)
	})
}
