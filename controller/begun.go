package controller

import (
	"cmp"
	"context"
	"math"
	"net/netip"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A Begun is how many connections were begun with a backend of a load balancer, by a bridge: first packets
// that policy has let pass.
type Begun struct {
	Balancer  intent.ID
	Backend   netip.Addr
	N         uint64  // since the bridge has the backend, or else since the session began
	PerSecond float64 // in the last 10 s or so
}

// BegunWith returns how many connections were begun with a backend of a load balancer.
func (b Bridge) BegunWith(balancer intent.ID, backend netip.Addr) Begun {
	of := Begun{Balancer: balancer, Backend: backend}
	if i, told := slices.BinarySearchFunc(b.Begun, of, Begun.compare); told {
		return b.Begun[i]
	}
	return of
}

// begins reports whether connections with some backend of a load balancer are counted.
func (b Bridge) begins(balancer intent.ID) bool {
	i, _ := slices.BinarySearchFunc(b.Begun, Begun{Balancer: balancer}, Begun.compare)
	return i < len(b.Begun) && b.Begun[i].Balancer == balancer
}

// arrivals are the counters of connections begun on a bridge. They belong to its session.
type arrivals struct {
	at    time.Time
	last  map[pipeline.Chosen]uint64 // as they were read
	lost  map[pipeline.Chosen]uint64 // what they had counted when they began anew
	begun map[backendOf]Begun

	turn   <-chan time.Time // when they are read again
	cost   time.Duration    // of reading them
	busy   bool             // they are being read
	looked chan counters
}

// counters are those of a bridge, as they were read beside what else its session does.
type counters struct {
	of    map[pipeline.Chosen]uint64
	began time.Time
	err   error
}

type backendOf struct {
	balancer intent.ID
	backend  netip.Addr
}

// Of how much of the time one part is for reading the counters. While Open vSwitch answers it does nothing else, and a
// change that comes meanwhile waits: so where nobody's weight depends on them, one change of 200 does.
const (
	begunShare   = 20
	begunForShow = 200
)

// restAfter returns how long counters are left alone that it took so long to read.
func (s *session) restAfter(cost time.Duration) time.Duration {
	if followsConnections(s.job.input.Model) {
		return max(countEvery, begunShare*cost)
	}
	return max(countEvery, begunForShow*cost)
}

// rateOver is over how much time a rate is taken, and leastRate what is taken for none.
const (
	rateOver  = 10 * time.Second
	leastRate = 0.005
)

// countBegun has it read how many connections were begun, if some load balancer is on the bridge. There
// may be a hundred thousand flows to look at: the session goes on meanwhile.
func (s *session) countBegun(ctx context.Context) {
	s.arrivals.turn = nil
	if m := s.job.input.Model; m == nil || !slices.ContainsFunc(m.Tenants(), s.balances) {
		s.arrivals.turn = time.After(countEvery)
		return
	}
	s.arrivals.busy = true
	conn, numbers, looked := s.conn, s.job.input.Numbers, s.arrivals.looked
	go func() {
		c := counters{began: time.Now()}
		stats, err := conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: pipeline.Commit, Match: ofproto.MatchOn(pipeline.DNAT.Is())})
		c.of, c.err = pipeline.Begun(stats, numbers), err
		looked <- c
	}()
}

// begunCounted takes what was read, and tells it if it has changed.
func (s *session) begunCounted(ctx context.Context, c counters) error {
	now := time.Now()
	if cost := now.Sub(c.began); s.arrivals.cost == 0 || cost < 2*s.arrivals.cost {
		s.arrivals.cost = cost
	} else { // what took so much longer may have waited for something else
		s.arrivals.cost *= 2
	}
	s.arrivals.busy, s.arrivals.turn = false, time.After(s.restAfter(s.arrivals.cost))
	if c.err != nil {
		return c.err
	}
	begun := s.arrivals.read(c.of, now)
	same := slices.Equal(begun, s.report.Begun)
	s.report.Begun, s.report.BegunAt = begun, c.began
	if same && !followsConnections(s.job.input.Model) {
		return nil
	}
	return s.tell(ctx)
}

// followsConnections reports whether some load balancer wants to know how many connections its backends have:
// then that there are no more is news, too.
func followsConnections(m *intent.Model) bool {
	return slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool {
		return slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool {
			return l.Load != nil && l.Load.Type == intent.LoadConnections
		})
	})
}

// read takes the counters as they are now, and returns what they say, by load balancer and backend.
func (a *arrivals) read(counters map[pipeline.Chosen]uint64, now time.Time) (all []Begun) {
	lost, sums := map[pipeline.Chosen]uint64{}, map[backendOf]uint64{}
	for of, n := range counters {
		balancer, _, ok := pipeline.ServiceOf(of.Service)
		if !ok {
			continue
		}
		before := a.lost[of]
		if n < a.last[of] { // somebody has deleted the flow, and it was put again
			before += a.last[of]
		}
		if before > 0 {
			lost[of] = before
		}
		sums[backendOf{balancer, of.Backend}] += n + before
	}
	begun := make(map[backendOf]Begun, len(sums))
	for of, n := range sums {
		b := Begun{Balancer: of.balancer, Backend: of.backend, N: n}
		if was, known := a.begun[of]; known {
			b.PerSecond = was.rate(n, now.Sub(a.at))
		}
		begun[of], all = b, append(all, b)
	}
	a.at, a.last, a.lost, a.begun = now, counters, lost, begun
	slices.SortFunc(all, Begun.compare)
	return all
}

// compare orders by load balancer and backend.
func (b Begun) compare(c Begun) int {
	return cmp.Or(cmp.Compare(b.Balancer, c.Balancer), b.Backend.Compare(c.Backend))
}

// rate is the rate when there have been n, so long after b.
func (b Begun) rate(n uint64, after time.Duration) float64 {
	if after <= 0 || n < b.N {
		return b.PerSecond
	}
	weight := 1 - math.Exp(-after.Seconds()/rateOver.Seconds())
	rate := b.PerSecond + weight*(float64(n-b.N)/after.Seconds()-b.PerSecond)
	if rate < leastRate {
		return 0
	}
	return rate
}
