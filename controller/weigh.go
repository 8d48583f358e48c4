package controller

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/balance"
	"weir/health"
	"weir/intent"
)

// A BackendState is what is known of a backend of a load balancer whose backends are asked how
// they are, or how busy.
type BackendState struct {
	Backend netip.AddrPort // its address, and its own port if it has one
	Health  HealthState
	Why     string    // what is wrong; empty: nothing
	Since   time.Time // it is so; zero: not known
	Weight  uint16    // in force
	Open    int       // connections, when they were counted last for load: connections; -1: they were not
}

// A HealthState is what is known of the health of a backend.
type HealthState string

// The values of BackendState.Health.
const (
	HealthUp      HealthState = "up"
	HealthDown    HealthState = "down"
	HealthUnknown HealthState = "unknown"   // it has not been asked often enough
	HealthUnasked HealthState = "not asked" // nobody is to ask it, or nobody can
)

// weighing is what Run knows of the backends of load balancers.
type weighing struct {
	verdicts  map[health.Key]verdict
	asked     map[string]inquiry             // by bridge
	installed map[string]*pipeline.Installed // by bridge: what it had when it came first
	sets      map[*intent.Model]*weightSet   // of the model in force, of the next one, and current
	current   *weightSet                     // of the model that was in force when a bridge was told last; nil: none was
	turn      <-chan time.Time               // when a weight changes by itself, or is to be looked at
	due       time.Time
	loads     map[health.Key]float64 // what backends have said last
	counting  map[intent.ID]bool     // tenants whose connections are being read

	states  map[intent.ID][]BackendState // of the model in force, as they were told last
	told    time.Time
	toldOf  *weightSet
	changed bool // they may be others by now

	balancers map[intent.ID]BalancerState // of the model in force; never changed
}

// A verdict is the last one about a backend.
type verdict struct {
	health.Verdict
	slow bool // it had no weight before
}

// An inquiry is whom a bridge asks of a model.
type inquiry struct {
	model *intent.Model
	keys  map[health.Key]bool
}

// A weightSet is the weights of the load balancers of a model.
type weightSet struct {
	model   *intent.Model
	lines   map[intent.ID]*line
	weights map[intent.ID]map[netip.AddrPort]uint16 // others than those declared; never changed; nil: has to be made
}

// A line is a load balancer and the weights of its backends, by their places.
type line struct {
	*intent.LoadBalancer
	tenant  *intent.Tenant
	weights []uint16
	states  []BackendState
	factors []float64 // of how busy they are; nil: that is of no matter
	measure time.Time // when that is looked at next; zero: never
	tally   balance.Tally
	counted time.Time // when the tally was made; zero: never
	recount time.Time // when connections are counted again
	weighed bool      // once, at least
	due     time.Time // when a weight changes by itself; zero: never
}

func newWeighing() weighing {
	return weighing{verdicts: map[health.Key]verdict{}, asked: map[string]inquiry{}, installed: map[string]*pipeline.Installed{}, sets: map[*intent.Model]*weightSet{}, loads: map[health.Key]float64{}, counting: map[intent.ID]bool{}}
}

type (
	// verdictFound says what has become of a backend.
	verdictFound struct{ health.Verdict }
	// probesSet says who is asked on a bridge from now on.
	probesSet struct {
		bridge *bridge
		inquiry
	}
)

func (e verdictFound) apply(s *state) {
	w := &s.weighing
	if before, known := w.verdicts[e.Key]; known && before.Up == e.Up {
		return // somebody else has asked it, or somebody anew
	}
	v := verdict{Verdict: e.Verdict}
	l := w.line(s.model, e.Balancer)
	if l == nil {
		return
	}
	if i := l.place(e.Backend); e.Up && i >= 0 {
		v.slow = l.weights[i] == 0
	}
	w.verdicts[e.Key] = v
	s.tellVerdict(v)
	s.reweigh(e.Balancer)
}

// tellVerdict writes a verdict into the log.
func (s *state) tellVerdict(v verdict) {
	log := s.config.Log.WithField("loadBalancer", v.Balancer).WithField("backend", keyText(v.Backend))
	if v.Up {
		log.Info("a backend is well")
	} else {
		log.WithField("why", v.Why).Warn("a backend is not well, and gets no new connections")
	}
}

// keyText writes the address of a backend, and its own port if it has one.
func keyText(b netip.AddrPort) string {
	if b.Port() == 0 {
		return b.Addr().String()
	}
	return b.String()
}

func (e probesSet) apply(s *state) {
	if s.bridges[e.bridge.name] != e.bridge {
		return
	}
	w := &s.weighing
	for k := range w.asked[e.bridge.name].keys {
		if !e.keys[k] { // if it is asked again that begins anew
			delete(w.verdicts, k)
		}
	}
	w.asked[e.bridge.name] = e.inquiry
	s.reweigh("")
}

// reweigh weighs the backends of a load balancer anew, or those of all, and has the bridges told
// if their weights are others.
func (s *state) reweigh(id intent.ID) {
	s.weighSome(func(set *weightSet) map[intent.ID]*line {
		if l := set.lines[id]; l != nil {
			return map[intent.ID]*line{id: l}
		} else if id != "" {
			return nil
		}
		return set.lines
	})
}

// weighDue weighs the backends of those of whom some begin slowly.
func (s *state) weighDue() {
	s.weighing.turn, s.weighing.due = nil, time.Time{}
	now := time.Now()
	s.weighSome(func(set *weightSet) map[intent.ID]*line {
		due := map[intent.ID]*line{}
		for id, l := range set.lines {
			busy := !l.measure.IsZero() && !l.measure.After(now) && s.look(set, l)
			switch {
			case busy || !l.due.IsZero() && !l.due.After(now):
				due[id] = l
			case !l.due.IsZero():
				s.weighing.wakeAt(l.due)
			}
			if !l.measure.IsZero() {
				s.weighing.wakeAt(l.measure)
			}
		}
		return due
	})
}

// weighSome weighs the backends of some load balancers of each model that is, or may be, in force.
func (s *state) weighSome(which func(*weightSet) map[intent.ID]*line) {
	changed := false
	for m, set := range s.weighing.sets {
		for _, l := range which(set) {
			before := l.weights
			if s.weigh(set, l) {
				changed = true
				if m == s.model {
					s.tellEmpty(l, before)
				}
			}
		}
	}
	if changed {
		s.allStale()
	}
}

// wakeAt has the weights that change by themselves looked at.
func (w *weighing) wakeAt(at time.Time) {
	if w.due.IsZero() || at.Before(w.due) {
		w.due, w.turn = at, time.After(time.Until(at))
	}
}

// weigh weighs the backends of one load balancer, and reports whether their weights are others now.
func (s *state) weigh(set *weightSet, l *line) (changed bool) {
	before := l.weights
	l.weights, l.states, l.due = make([]uint16, len(l.Backends)), make([]BackendState, len(l.Backends)), time.Time{}
	now := time.Now()
	for i, b := range l.Backends {
		known, state := s.known(set.model, l, b)
		if known.Before = before[i]; l.factors != nil {
			known.Factor = l.factors[i]
		}
		w, next := known.Weight(slowStart(l.LoadBalancer))
		if due := now.Add(next); next > 0 && (l.due.IsZero() || due.Before(l.due)) {
			l.due = due
		}
		l.weights[i], state.Weight, state.Open = w, w, -1
		if l.tally.Open != nil {
			state.Open = l.tally.Open[i]
		}
		l.states[i] = state
	}
	if !l.due.IsZero() {
		s.weighing.wakeAt(l.due)
	}
	if l.factors != nil && l.weighed && !balance.Worth(l.weights, before) {
		l.keep(before)
	}
	l.weighed, s.weighing.changed = true, true
	if slices.Equal(before, l.weights) {
		return false
	}
	set.weights = nil
	return true
}

// keep has l keep its weights: others would not be worth a change.
func (l *line) keep(weights []uint16) {
	l.weights = weights
	for i := range l.states {
		l.states[i].Weight = weights[i]
	}
}

func slowStart(l *intent.LoadBalancer) time.Duration {
	if l.Health == nil {
		return 0
	}
	return time.Duration(l.Health.SlowStart)
}

// tellEmpty writes into the log that a load balancer has come to have no backend, or has one again.
func (s *state) tellEmpty(l *line, before []uint16) {
	none := func(weights []uint16) bool {
		return !slices.ContainsFunc(weights, func(w uint16) bool { return w > 0 })
	}
	if none(before) == none(l.weights) {
		return
	}
	log := s.config.Log.WithField("loadBalancer", l.ID())
	if none(l.weights) {
		log.WithField("whenEmpty", l.WhenEmpty).Error("no backend takes connections")
	} else {
		log.Info("there are backends that take connections")
	}
}

// known returns what is known of a backend, but for its weight before.
func (s *state) known(m *intent.Model, l *line, b intent.Backend) (balance.Backend, BackendState) {
	k := health.Key{Balancer: l.ID(), Backend: pipeline.BackendKey(b)}
	known, state := balance.Backend{Declared: b.Weight}, BackendState{Backend: k.Backend, Health: HealthUnasked}
	if l.Health == nil || !pipeline.Probeable(l.tenant, l.LoadBalancer, b) {
		return known, state
	}
	known.Checked, state.Health = true, HealthUnknown
	v, told := s.weighing.verdicts[k]
	switch {
	case told && v.Up:
		known.Known, known.Up, known.Slow, known.Since = true, true, v.slow, time.Since(v.At)
		state.Health, state.Since = HealthUp, v.At
	case told:
		known.Known = true
		state.Health, state.Why, state.Since = HealthDown, v.Why.Error(), v.At
	case s.weighing.nowhere(m, l.LoadBalancer, k):
		known.Known = true
		state.Health, state.Why = HealthDown, "no port of it is there"
	}
	return known, state
}

// nowhere reports whether all bridges of a load balancer have said whom they ask of a model, and a
// backend is not among them.
func (w *weighing) nowhere(m *intent.Model, l *intent.LoadBalancer, k health.Key) bool {
	for _, name := range pipeline.BridgesOf(l) {
		if said := w.asked[name]; said.model != m || said.keys[k] {
			return false
		}
	}
	return true
}

// line returns the line of a load balancer of a model, or nil.
func (w *weighing) line(m *intent.Model, id intent.ID) *line {
	if set := w.sets[m]; set != nil {
		return set.lines[id]
	}
	return nil
}

// place returns the place of a backend, or -1.
func (l *line) place(b netip.AddrPort) int {
	return slices.IndexFunc(l.Backends, func(o intent.Backend) bool { return pipeline.BackendKey(o) == b })
}

// weightsOf returns the weights of the backends of a model's load balancers that are others than those
// declared.
func (s *state) weightsOf(m *intent.Model, n pipeline.Numbers) map[intent.ID]map[netip.AddrPort]uint16 {
	w := &s.weighing
	set := w.sets[m]
	if set == nil {
		set = s.weighAll(m, n)
		w.sets[m] = set
	}
	if m == s.model && w.current != set {
		w.current = set
		maps.DeleteFunc(w.sets, func(_ *intent.Model, o *weightSet) bool {
			return o != set && (s.next == nil || o.model != s.next.model)
		})
	}
	if set.weights == nil {
		set.weights = map[intent.ID]map[netip.AddrPort]uint16{}
		for id, l := range set.lines {
			if others := l.others(); others != nil {
				set.weights[id] = others
			}
		}
	}
	return set.weights
}

// others returns the weights of l that are others than those declared.
func (l *line) others() (some map[netip.AddrPort]uint16) {
	for i, b := range l.Backends {
		if l.weights[i] != b.Weight {
			if some == nil {
				some = map[netip.AddrPort]uint16{}
			}
			some[pipeline.BackendKey(b)] = l.weights[i]
		}
	}
	return some
}

// weighAll weighs the backends of a model. What is the same as in the model in force has the
// same weights.
func (s *state) weighAll(m *intent.Model, n pipeline.Numbers) *weightSet {
	s.weighing.changed = true
	set, before := &weightSet{model: m, lines: map[intent.ID]*line{}}, s.weighing.current
	for _, t := range m.Tenants() {
		for _, b := range t.LoadBalancers {
			if b.Health == nil && b.Load == nil {
				continue
			}
			var was *line
			if before != nil {
				was = before.lines[b.ID()]
			}
			if was != nil && was.LoadBalancer == b && was.tenant.Mode == t.Mode {
				l := *was // each model has its own: one may be taken, and the other not
				set.lines[b.ID()] = &l
				continue
			}
			l := &line{LoadBalancer: b, tenant: t, weights: s.before(b, was, n)}
			s.begin(l, was)
			s.weigh(set, l)
			set.lines[b.ID()] = l
		}
	}
	return set
}

// before returns the weights that the backends of a load balancer have had so far: as they were
// weighed; as they are declared, where nobody has asked them and they had connections; as the bridge
// has them, where Weir is new. All others had none.
func (s *state) before(b *intent.LoadBalancer, was *line, n pipeline.Numbers) []uint16 {
	weights := make([]uint16, len(b.Backends))
	unasked, first := s.weighing.unasked(b), s.weighing.current == nil
	for i, to := range b.Backends {
		switch k := pipeline.BackendKey(to); {
		case was != nil:
			if at := was.place(k); at >= 0 {
				weights[i] = was.weights[at]
			}
		case unasked != nil:
			if (&line{LoadBalancer: unasked}).place(k) >= 0 {
				weights[i] = to.Weight
			}
		case first && s.isInstalled(b, to, n):
			weights[i] = to.Weight
		}
	}
	return weights
}

// unasked returns the load balancer of the model before whose backends nobody has asked, and which
// is to be b; nil: there is none.
func (w *weighing) unasked(b *intent.LoadBalancer) *intent.LoadBalancer {
	if w.current == nil {
		return nil
	}
	t := w.current.model.Tenant(b.Tenant)
	if t == nil {
		return nil
	}
	i := slices.IndexFunc(t.LoadBalancers, func(o *intent.LoadBalancer) bool { return o.Name == b.Name })
	if i < 0 {
		return nil
	}
	return t.LoadBalancers[i]
}

func (s *state) isInstalled(l *intent.LoadBalancer, b intent.Backend, n pipeline.Numbers) bool {
	for _, i := range s.weighing.installed {
		if i.Has(n, l, b) {
			return true
		}
	}
	return false
}

// takeOver has those keep their weight of whom nothing is known, and to whom a bridge that has
// come sends connections.
func (s *state) takeOver(bridge string, has *pipeline.Installed) {
	s.weighing.installed[bridge] = has
	for _, set := range s.weighing.sets {
		for _, l := range set.lines {
			if !slices.Contains(pipeline.BridgesOf(l.LoadBalancer), bridge) {
				continue
			}
			for i, b := range l.Backends {
				if l.weights[i] == 0 && l.states[i].Health == HealthUnknown && has.Has(s.numbers, l.LoadBalancer, b) {
					l.weights[i], set.weights = b.Weight, nil
				}
			}
			s.weigh(set, l)
		}
	}
}

// tellStates is how long after what is known of backends was told it is told again.
const tellStates = 50 * time.Millisecond

// backendStates returns what is known of the backends of the model in force, or was a moment ago:
// thousands may be heard of in a second.
func (s *state) backendStates() map[intent.ID][]BackendState {
	w := &s.weighing
	set := w.sets[s.model]
	if !w.changed && set == w.toldOf {
		return w.states
	}
	if next := w.told.Add(tellStates); time.Now().Before(next) {
		w.wakeAt(next)
		return w.states
	}
	w.changed, w.toldOf, w.told, w.states = false, set, time.Now(), nil
	if set != nil {
		w.balancers = served(set, w.balancers, w.told)
		w.states = make(map[intent.ID][]BackendState, len(set.lines))
		for id, l := range set.lines {
			w.states[id] = l.states
		}
	}
	return w.states
}
