package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
)

// state belongs to Run.
type state struct {
	*Controller
	revision uint64
	model    *intent.Model
	next     *candidate    // a model that is being reviewed
	serial   uint64        // counts them
	held     []string      // why the newest was not taken
	waiting  *intent.Model // the newest one, if it could not be given its numbers
	err      error         // why not
	numbers  pipeline.Numbers
	facts    map[string]pipeline.Facts
	bridges  map[string]*bridge
	reports  map[string]Bridge
	alone    map[string]bool // bridges with nothing of others in them, when we last had to do with them
	drift    map[string]DriftLog
	ended    map[intent.ID]EndedLog // connections of tenants, by sweeps
	flushing map[uint16]bool        // zones that a bridge has been told to flush, and those that are failing
	failing  map[uint16]bool        // zones that were not flushed, or are not free; tried again in a second
	stale    map[string]bool        // bridges that have not been told of the newest state
	weighing weighing
	ctx      context.Context // of those who count
	counters sync.WaitGroup
}

// An event changes the state.
type event interface{ apply(*state) }

type (
	modelChanged struct{ model *intent.Model }
	factsChanged struct {
		bridge string
		facts  pipeline.Facts
	}
	bridgeUp struct {
		bridge    *bridge
		installed *pipeline.Installed
	}
	bridgeDown     struct{ bridge *bridge }
	bridgeReported struct {
		bridge *bridge
		report Bridge
		alone  bool
	}
	driftFound struct {
		bridge string
		found  []Drift
	}
	// epochsStale says that a bridge must not be changed before these tenants have
	// another epoch than the one given. The answer is what it should be made from then.
	epochsStale struct {
		bridge *bridge
		epochs map[intent.ID]uint8
		answer chan<- raised
	}
	raised struct {
		job job
		err error
	}
	zoneFlushed struct {
		zone uint16
		err  error
	}
	planWanted struct {
		model  *intent.Model
		answer chan<- plansAsked
	}
)

// plansAsked is where the plans of the bridges will be.
type plansAsked struct {
	bridges map[string]chan BridgePlan
	err     error
}

func (e modelChanged) apply(s *state) {
	wants := pipeline.WantsSince(e.model, s.model)
	partial := s.keepZones(wants)
	numbers, err := s.config.Numbering.Assign(wants)
	if err != nil {
		s.noNumbers(e.model, err)
		return
	}
	s.waiting, s.err = nil, nil
	s.propose(e.model, numbers, partial)
}

// keepZones has wants leave the zones of the model in force where they are: they are needed
// if it stays in force. It reports whether there are some that the new model has not.
func (s *state) keepZones(wants pipeline.Wants) (partial bool) {
	if s.model == nil {
		return false
	}
	for id := range pipeline.ZonesOf(s.model) {
		zone := s.numbers.Zone(id)
		if want, still := wants.Zones[id]; !still || want != 0 && want != zone {
			wants.Zones[id], partial = zone, true
		}
	}
	return partial
}

// noNumbers notes that there are no numbers for a model.
func (s *state) noNumbers(m *intent.Model, err error) {
	if s.err == nil || s.err.Error() != err.Error() {
		s.config.Log.WithError(err).Error("no numbers for the new model; the one before stays in force, and it is tried again")
	}
	s.waiting, s.err = m, err
}

func (e factsChanged) apply(s *state) {
	s.facts[e.bridge] = e.facts
	s.stale[e.bridge] = true
}

func (e bridgeUp) apply(s *state) {
	s.bridges[e.bridge.name] = e.bridge
	s.reports[e.bridge.name] = Bridge{}
	s.takeOver(e.bridge.name, e.installed)
	s.stale[e.bridge.name] = true
}

func (e bridgeDown) apply(s *state) {
	if s.bridges[e.bridge.name] == e.bridge { // not if it has come back since
		delete(s.bridges, e.bridge.name)
		delete(s.reports, e.bridge.name)
		clear(s.flushing) // it may have been the one to flush
		if s.next != nil && s.next.waiting[e.bridge.name] {
			s.decide(e.bridge.name)
		}
	}
}

func (e bridgeReported) apply(s *state) {
	if s.bridges[e.bridge.name] == e.bridge {
		s.reports[e.bridge.name] = e.report
		s.alone[e.bridge.name] = e.alone
	}
}

func (e driftFound) apply(s *state) { s.drift[e.bridge] = s.drift[e.bridge].add(e.found) }

func (e epochsStale) apply(s *state) {
	numbers, err := s.config.Numbering.Raise(e.epochs)
	switch {
	case err != nil:
	case s.bridges[e.bridge.name] != e.bridge:
		err = errors.New("the bridge has another session by now")
	default:
		s.numbers = numbers
		s.allStale()
		delete(s.stale, e.bridge.name)
		e.bridge.want.take() // the answer is newer
	}
	e.answer <- raised{s.job(e.bridge.name), err}
}

func (e zoneFlushed) apply(s *state) {
	if e.err == nil {
		e.err = s.config.Numbering.Release(e.zone)
	}
	if e.err == nil {
		delete(s.flushing, e.zone)
		delete(s.failing, e.zone)
		return
	}
	if !s.failing[e.zone] { // once is enough to say it
		s.config.Log.WithError(e.err).WithField("zone", e.zone).Warn("a zone stays retired; it is tried again")
	}
	s.failing[e.zone] = true
}

// flushAgain has the zones flushed once more that were not.
func (s *state) flushAgain() {
	retired := s.config.Numbering.Retired()
	maps.DeleteFunc(s.failing, func(zone uint16, _ bool) bool { return !slices.Contains(retired, zone) })
	for zone := range s.failing {
		delete(s.flushing, zone)
	}
}

func (e planWanted) apply(s *state) {
	a := plansAsked{bridges: map[string]chan BridgePlan{}}
	var numbers pipeline.Numbers
	if numbers, a.err = s.config.Numbering.Preview(pipeline.WantsSince(e.model, s.model)); a.err == nil {
		for name, b := range s.bridges {
			answer := make(chan BridgePlan, 1)
			in := pipeline.Input{Bridge: name, Model: e.model, Facts: s.facts[name], Numbers: numbers}
			select {
			case b.asks <- ask{in, answer}:
				a.bridges[name] = answer
			default: // it has others to answer first
				answer <- BridgePlan{Err: errBusy}
				a.bridges[name] = answer
			}
		}
	}
	e.answer <- a
}

// Run keeps the bridges as they should be until ctx is done.
func (c *Controller) Run(ctx context.Context) error {
	defer close(c.done)
	s := &state{
		Controller: c, facts: map[string]pipeline.Facts{}, bridges: map[string]*bridge{}, stale: map[string]bool{},
		reports: map[string]Bridge{}, alone: map[string]bool{}, drift: map[string]DriftLog{}, ended: map[intent.ID]EndedLog{}, flushing: map[uint16]bool{}, failing: map[uint16]bool{},
	}
	s.weighing = newWeighing()
	var stop context.CancelFunc
	s.ctx, stop = context.WithCancel(ctx)
	defer s.counters.Wait()
	defer stop()
	var quiet, again, flush, late <-chan time.Time
	var reviewing uint64 // of what late is
	for {
		if s.waiting != nil && again == nil { // a disk may have room, a zone may be free
			again = time.After(time.Second)
		}
		if len(s.failing) > 0 && flush == nil { // a session may be about to end
			flush = time.After(time.Second)
		}
		if s.next != nil && reviewing != s.next.serial {
			reviewing, late = s.next.serial, time.After(longestReview)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-c.events:
			e.apply(s)
		case <-late:
			if late = nil; s.next != nil && s.next.serial == reviewing {
				s.giveUp()
			}
		case <-again:
			if again = nil; s.waiting != nil {
				modelChanged{s.waiting}.apply(s)
			}
		case <-flush:
			flush = nil
			s.flushAgain()
		case <-quiet:
			quiet = nil
		case <-s.weighing.turn:
			s.weighDue()
		}
		if len(s.stale) > 0 && quiet == nil { // the first at once; those that follow it together
			s.tell()
			quiet = time.After(c.config.Settle)
		}
		s.flushRetired()
		c.publish(s.status())
	}
}

// allStale notes that every bridge has to be told of something.
func (s *state) allStale() {
	for name := range s.bridges {
		s.stale[name] = true
	}
}

// tell gives each bridge that has not been told its newest job. One of which nothing is known
// has none, nor has one that the model does not have: it is left as it is, and would be
// emptied if it was told before its session ends.
func (s *state) tell() {
	for name := range s.stale {
		_, known := s.facts[name]
		if !known || s.bridges[name] == nil || s.model == nil {
			continue
		}
		if j := s.job(name); hasBridge(j.input.Model, name) {
			s.bridges[name].want.put(j)
		}
	}
	clear(s.stale)
}

func (s *state) job(bridge string) job {
	j := job{revision: s.revision, alone: s.alone[bridge]}
	j.input = pipeline.Input{Bridge: bridge, Model: s.model, Facts: s.facts[bridge], Numbers: s.numbers}
	if s.next != nil && s.next.waiting[bridge] {
		j.input.Model, j.input.Numbers, j.review, j.serial = s.next.model, s.next.numbers, proposed, s.next.serial
		j.only = s.next.alone
	}
	if weights := s.weightsOf(j.input.Model, j.input.Numbers); len(weights) > 0 {
		j.input.Facts.Weights = weights
	}
	return j
}

// flushRetired has the zones of tenants that are gone flushed, by one bridge and once,
// when no bridge has a flow of theirs any more: a connection that came in between would
// be handed to the zone's next owner.
func (s *state) flushRetired() {
	if s.model == nil || s.next != nil || len(s.bridges) == 0 {
		return
	}
	for _, b := range s.model.Bridges() {
		if r, ok := s.reports[b.Name]; !ok || r.Revision != s.revision || r.Err != nil {
			return
		}
	}
	var first string
	if first = slices.Min(slices.Collect(maps.Keys(s.bridges))); s.bridges[first] == nil {
		return
	}
	for _, zone := range s.config.Numbering.Retired() {
		if s.flushing[zone] {
			continue
		}
		select {
		case s.bridges[first].flush <- zone:
			s.flushing[zone] = true
		default: // it has enough to flush; the rest has time
			return
		}
	}
}

func (s *state) status() Status {
	st := Status{Revision: s.revision, Model: s.model, Held: s.held, Err: s.err, Bridges: maps.Clone(s.reports), Drift: maps.Clone(s.drift), Ended: maps.Clone(s.ended), Backends: s.backendStates()}
	st.Balancers = s.weighing.balancers
	if s.model != nil {
		for _, t := range s.model.Tenants() {
			st.Tenants = append(st.Tenants, Tenant{t.ID(), s.numbers.Zone(t.ID()), s.numbers.Epoch(t.ID())})
		}
		for _, z := range pipeline.AuxZones(s.model) {
			st.Zones = append(st.Zones, Zone{z, s.numbers.Zone(z.ID)})
		}
	}
	return st
}
