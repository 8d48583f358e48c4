package controller

import (
	"net/netip"
	"time"

	"weir/apps/pipeline"
	"weir/balance"
	"weir/drain"
	"weir/health"
	"weir/intent"
)

type (
	// loadFound says what a backend has said of its load, or that it says nothing.
	loadFound struct{ health.Verdict }
	// connectionsCounted says how many connections the backends of a tenant have.
	connectionsCounted struct {
		tenant intent.ID
		open   map[health.Key]int
		took   time.Duration
		err    error
	}
)

// loadTimeout is how long a backend may take to say its load: not longer than half of what it is asked in.
const loadTimeout = time.Second

// loadOf returns how a backend is asked for its load, if somebody wants to know.
func loadOf(x pipeline.Probe) (c health.Check, ok bool) {
	l := x.Balancer.Load
	if l == nil || l.Type != intent.LoadReported {
		return c, false
	}
	at := netip.AddrPortFrom(x.Backend.IP, x.Balancer.LoadPort(x.Backend))
	timeout := min(l.Interval/2, intent.Duration(loadTimeout))
	return health.Check{Tenant: x.Balancer.Tenant, Source: x.Balancer.Asker(x.Backend), Backend: at, Health: intent.Health{
		Type: "load", Path: l.Path, Interval: l.Interval, Timeout: timeout, Rise: 1, Fall: 3,
	}}, true
}

func (e loadFound) apply(s *state) {
	if e.Up {
		s.weighing.loads[e.Key] = e.Load
	} else {
		delete(s.weighing.loads, e.Key)
	}
}

// begin has it looked at how busy the backends of l are, if it wants that. What is known of them
// stays.
func (s *state) begin(l *line, was *line) {
	if l.Load == nil {
		return
	}
	l.factors, l.measure = make([]float64, len(l.Backends)), time.Now().Add(time.Duration(l.Load.Interval))
	s.weighing.wakeAt(l.measure)
	if was == nil || was.factors == nil {
		return
	}
	for i, b := range l.Backends {
		if at := was.place(pipeline.BackendKey(b)); at >= 0 {
			l.factors[i] = was.factors[at]
		}
	}
}

// look looks at how busy the backends of l are, and reports whether that is known now. If not, their
// connections are being counted.
func (s *state) look(set *weightSet, l *line) bool {
	now := time.Now()
	l.measure = now.Add(time.Duration(l.Load.Interval))
	if l.Load.Type == intent.LoadConnections && now.Before(l.recount) {
		s.hearBegun(l)
		open, ok := l.tally.Guess(now.Sub(l.counted))
		if ok {
			l.factors = balance.ByConnections(open, l.declared(), l.Load.Strength, l.factors)
		}
		return ok
	}
	if l.Load.Type == intent.LoadConnections {
		s.countOpen(l)
		return false
	}
	loads := make([]float64, len(l.Backends))
	for i, b := range l.Backends {
		load, said := s.weighing.loads[health.Key{Balancer: l.ID(), Backend: pipeline.BackendKey(b)}]
		if loads[i] = load; !said {
			loads[i] = -1
		}
	}
	l.factors = balance.ByLoad(loads, l.Load.Strength, l.factors)
	return true
}

// countOpen has the connections of a tenant counted, unless they are being.
func (s *state) countOpen(l *line) {
	t := s.model.Tenant(l.Tenant)
	if s.config.Connections == nil || t == nil || s.weighing.counting[t.ID()] {
		return
	}
	s.weighing.counting[t.ID()] = true
	zone, services := s.numbers.Zone(t.ID()), drain.ServicesOf(t, s.numbers, nil)
	s.counters.Go(func() {
		all, took, err := s.readConnections(s.ctx, "", zone)
		_ = s.send(s.ctx, connectionsCounted{t.ID(), openTo(t, services, all), took, err}) // it fails when nobody wants to know any more
	})
}

// openTo counts the connections of the backends of a tenant's load balancers that want to know.
func openTo(t *intent.Tenant, services drain.Services, all []pipeline.Connection) map[health.Key]int {
	names := map[drain.Key]health.Key{}
	for _, l := range t.LoadBalancers {
		if l.Load == nil || l.Load.Type != intent.LoadConnections {
			continue
		}
		for _, b := range l.Backends {
			for _, p := range l.Ports {
				names[drain.KeyOf(l, p, b)] = health.Key{Balancer: l.ID(), Backend: pipeline.BackendKey(b)}
			}
		}
	}
	open := map[health.Key]int{}
	for _, c := range all {
		if c.Over || c.Blocked() {
			continue
		}
		k, _, ok := services.Backend(c)
		if name, wanted := names[k]; ok && wanted {
			open[name]++
		}
	}
	return open
}

func (e connectionsCounted) apply(s *state) {
	delete(s.weighing.counting, e.tenant)
	now := time.Now()
	s.weighSome(func(set *weightSet) map[intent.ID]*line {
		some := map[intent.ID]*line{}
		for id, l := range set.lines {
			if l.tenant.ID() != e.tenant || l.Load == nil || l.Load.Type != intent.LoadConnections {
				continue
			}
			l.measure = now.Add(time.Duration(l.Load.Interval))
			l.recount = now.Add(balance.NextReading(time.Duration(l.Load.Interval), e.took))
			if s.weighing.wakeAt(l.measure); e.err == nil {
				open := l.open(e.open)
				s.hearBegun(l)
				l.tally, l.counted = l.tally.Counted(open, now.Sub(l.counted)), now
				l.factors = balance.ByConnections(open, l.declared(), l.Load.Strength, l.factors)
				some[id] = l
			}
		}
		return some
	})
}

// lateCounters is how late the counters of flows may be: the datapath brings them up now and then.
const lateCounters = time.Second

// hearBegun tells l's tally how many connections its backends have been given, if that is known of a time
// so long after they were counted that all that were counted are among them.
func (s *state) hearBegun(l *line) {
	begun := make([]uint64, len(l.Backends))
	known := false
	for _, r := range s.reports {
		if !r.begins(l.ID()) {
			continue
		}
		if known = true; r.BegunAt.Sub(l.counted) < lateCounters {
			return
		}
		for i, b := range l.Backends {
			begun[i] += r.BegunWith(l.ID(), b.IP).N
		}
	}
	if known {
		l.tally = l.tally.Given(begun)
	}
}

// open returns the connections of l's backends, by their places.
func (l *line) open(all map[health.Key]int) (list []int) {
	for _, b := range l.Backends {
		list = append(list, all[health.Key{Balancer: l.ID(), Backend: pipeline.BackendKey(b)}])
	}
	return list
}

// declared returns what each of l's backends should have, by their places: nothing, if it gets nothing now.
func (l *line) declared() (list []uint16) {
	for i, b := range l.Backends {
		w := b.Weight
		if l.weights[i] == 0 {
			w = 0
		}
		list = append(list, w)
	}
	return list
}
