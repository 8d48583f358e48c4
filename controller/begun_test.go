package controller

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/health"
)

func TestWhatIsBegunIsKnownBeforeConnectionsAreCountedAgain(t *testing.T) {
	weighed(t, func(s scale) {
		begun := func(h1, h2 uint64) {
			s.reports = map[string]Bridge{
				"br0": {BegunAt: time.Now(), Begun: []Begun{{Balancer: "a/loadbalancer/other", Backend: at(1).Addr(), N: 7}, {Balancer: web, Backend: at(1).Addr(), N: h1}}},
				"br1": {BegunAt: time.Now(), Begun: []Begun{{Balancer: web, Backend: at(2).Addr(), N: h2}}},
			}
		}
		count := func() { // it takes 2 s: the next time is after 38 s
			connectionsCounted{tenant: "a", open: map[health.Key]int{{Balancer: web, Backend: at(1)}: 100, {Balancer: web, Backend: at(2)}: 100}, took: 2 * time.Second}.apply(s.state)
		}
		s.take(withBackends(t, two+", load: {type: connections, strength: 100, interval: 5s}"))
		count()
		s.pass(2 * time.Second)
		begun(1000, 1000)
		s.pass(7 * time.Second)
		begun(1100, 1100)
		s.pass(time.Second)
		s.want("how soon connections end was not known", 100, 100)
		count() // of each, ten end in a second
		s.pass(500 * time.Millisecond)
		begun(9999, 9999) // which may be of before
		s.pass(1500 * time.Millisecond)
		begun(1200, 1200)
		s.pass(3500 * time.Millisecond)
		s.want("nobody has been given any since", 100, 100)
		begun(1900, 1300)
		s.pass(4 * time.Second)
		s.want("nobody has looked", 100, 100)
		s.pass(time.Second)
		s.want("one has been given many, and the other as many as end", 87, 100)
		s.reports = nil
		s.pass(10 * time.Second)
		s.want("the bridges are not there to ask: it is what it was", 69, 100)
		if l := s.weighing.line(s.model, web); time.Until(l.recount) != 17500*time.Millisecond {
			t.Errorf("connections are counted again in %v, want 17.5 s", time.Until(l.recount))
		}
	})
}

func TestCountersThatBeginAnewGoOn(t *testing.T) {
	const service = web + "/tcp/80"
	one, other := pipeline.Chosen{Service: service, Backend: at(1).Addr()}, pipeline.Chosen{Service: web + "/tcp/81", Backend: at(1).Addr()}
	now := time.Unix(1000, 0)
	var a arrivals
	for _, c := range []struct {
		what  string
		after time.Duration
		read  map[pipeline.Chosen]uint64
		want  string
	}{
		{"at first nobody knows how fast they come", 0, map[pipeline.Chosen]uint64{one: 100, other: 10}, "110, 0.0/s"},
		{"they come", 10 * time.Second, map[pipeline.Chosen]uint64{one: 200, other: 10}, "210, 6.3/s"},
		{"they go on to come", 20 * time.Second, map[pipeline.Chosen]uint64{one: 400, other: 10}, "410, 9.5/s"},
		{"a flow was deleted, and put again", 0, map[pipeline.Chosen]uint64{one: 5, other: 10}, "415, 9.5/s"},
		{"a port goes", 0, map[pipeline.Chosen]uint64{one: 5}, "405, 9.5/s"},
		{"and comes: it begins anew", 0, map[pipeline.Chosen]uint64{one: 5, other: 1}, "406, 9.5/s"},
		{"none come for long", 2 * time.Minute, map[pipeline.Chosen]uint64{one: 5, other: 1}, "406, 0.0/s"},
		{"something that is no load balancer's", 0, map[pipeline.Chosen]uint64{one: 5, other: 1, {Service: "a/floatingip/x", Backend: netip.IPv6Loopback()}: 9}, "406, 0.0/s"},
	} {
		now = now.Add(c.after)
		all := a.read(c.read, now)
		got := ""
		for _, b := range all {
			got += fmt.Sprintf("%d, %.1f/s", b.N, math.Round(10*b.PerSecond)/10)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
