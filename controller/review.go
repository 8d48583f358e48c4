package controller

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A new model that would do harm if it was a mistake is not taken: one that empties a bridge,
// or ends connections. Each bridge that carries the model in force says what the new one
// would do to it; if nobody objects the new one is in force, else the one before stays.
// Nothing is in force before. Where there is one bridge alone, it goes on by itself if it has
// nothing to object to.

// A review is what a job is told of a new model that is not in force yet.
type review uint8

const (
	inForce  review = iota
	proposed        // say what it would do before anything is sent
)

// A candidate is a new model that is being reviewed. It belongs to Run.
type candidate struct {
	model   *intent.Model
	numbers pipeline.Numbers
	partial bool // some zones are those of the model in force still
	serial  uint64
	alone   bool            // one bridge alone reviews it
	waiting map[string]bool // bridges that have not said what it would do to them
	against []string
}

// modelReviewed is what a bridge has against a model; nothing: it may be in force. The answer
// is whether it is by now; if not, there will be another job.
type modelReviewed struct {
	bridge  *bridge
	serial  uint64
	against []string
	answer  chan<- bool
}

// propose has a model reviewed by the bridges that carry the one in force.
func (s *state) propose(m *intent.Model, n pipeline.Numbers, partial bool) {
	s.serial++
	s.next = &candidate{model: m, numbers: n, partial: partial, serial: s.serial, waiting: map[string]bool{}}
	for name, r := range s.reports {
		if _, known := s.facts[name]; known && r.Revision != 0 && hasBridge(m, name) {
			s.next.waiting[name], s.stale[name] = true, true
		}
	}
	s.next.alone = len(s.next.waiting) == 1
	if len(s.next.waiting) == 0 {
		s.adopt()
		s.allStale()
	}
}

func hasBridge(m *intent.Model, name string) bool {
	return slices.ContainsFunc(m.Bridges(), func(b *intent.Bridge) bool { return b.Name == name })
}

// adopt makes the model that was reviewed the one in force.
func (s *state) adopt() {
	next := s.next
	s.model, s.numbers, s.next, s.held = next.model, next.numbers, nil, nil
	s.revision++
	if !next.partial {
		return
	}
	numbers, err := s.config.Numbering.Assign(pipeline.WantsSince(s.model, s.model)) // their zones are free soon
	if err != nil {
		s.noNumbers(s.model, err)
		return
	}
	s.numbers = numbers
}

func (e modelReviewed) apply(s *state) {
	if s.next == nil || s.next.serial != e.serial || s.bridges[e.bridge.name] != e.bridge {
		e.answer <- false
		return
	}
	alone := s.next.alone && !s.next.partial // else there are other numbers once it is in force
	s.next.against = append(s.next.against, e.against...)
	if e.bridge.want.take() { // its ports may be others by now, and it will not be asked again
		s.stale[e.bridge.name] = true
	}
	behind := s.stale[e.bridge.name]
	now := s.decide(e.bridge.name) && alone
	if now && !behind {
		delete(s.stale, e.bridge.name) // it goes on by itself
	}
	e.answer <- now
}

// decide takes the model that is being reviewed, or does not, once the last bridge has said
// what it has to say. It reports whether that is in force now.
func (s *state) decide(has string) bool {
	delete(s.next.waiting, has)
	if len(s.next.waiting) > 0 {
		return false
	}
	s.allStale()
	if len(s.next.against) == 0 {
		s.adopt()
		return true
	}
	s.held, s.next = slices.Sorted(slices.Values(s.next.against)), nil
	s.config.Log.WithField("why", strings.Join(s.held, "; ")).Error("the new model is held, and the one before stays in force")
	return false
}

// longestReview is how long bridges are waited for. One that hangs must not keep the others
// from a new model.
const longestReview = 10 * time.Second

// giveUp goes on without the bridges that have not said what a model would do to them.
func (s *state) giveUp() {
	for _, name := range slices.Sorted(maps.Keys(s.next.waiting)) {
		s.config.Log.WithField("bridge", name).Warn("it has not said in time what the new model would end there: it is not waited for")
		if s.next != nil {
			s.decide(name)
		}
	}
}

// reviewed reports whether a change may be made now: it is one to the model in force, or to
// one that nobody has something against.
func (s *session) reviewed(ctx context.Context, p *pipeline.Program, x change, err error) (bool, error) {
	if s.job.review == inForce {
		return true, nil
	}
	var against []string
	if err == nil { // else the model changes nothing here
		against = s.disruption(ctx, p, x, s.job.input, false).against
	}
	answer := make(chan bool, 1)
	if err := s.send(ctx, modelReviewed{s.bridge, s.job.serial, against, answer}); err != nil {
		return false, err
	}
	if !<-answer {
		return false, nil
	}
	s.job.review = inForce
	s.job.revision++
	return true, nil
}

// What a bridge may lose without anybody being asked.
const (
	lossShare = 4  // one part in so many of its flows
	lossLeast = 50 // and so many in any case
)

// A disruption is what a change would end.
type disruption struct {
	lost    int // flows, of intents that have none any more
	ends    int // connections
	against []string
}

// disruption says what a change to a model would end, and what of it that model does not
// allow. What it allows is only counted if all is to be: reading a zone has its price.
func (s *session) disruption(ctx context.Context, p *pipeline.Program, x change, in pipeline.Input, all bool) (d disruption) {
	b := bridgeOf(in)
	if b == nil || s.given == nil || s.sweep.model == nil { // it carries nothing that we know of
		return d
	}
	had, _ := s.given.Size()
	d.lost = lost(p, x.plan)
	if !b.AllowDisruption && d.lost > lossLeast && d.lost > had/lossShare {
		d.against = append(d.against, fmt.Sprintf("%s would lose %d of its %d flows: allowDisruption: true on the bridge allows it", b.Name, d.lost, had))
	}
	if s.config.Connections == nil || s.config.Judge == nil {
		return d
	}
	for _, e := range s.endings(ctx, p, x, in, all) {
		d.ends += e.all
		if e.open > 0 && !e.allowed {
			d.against = append(d.against, e.why())
		}
	}
	return d
}

func bridgeOf(in pipeline.Input) *intent.Bridge {
	for _, b := range in.Model.Bridges() {
		if b.Name == in.Bridge {
			return b
		}
	}
	return nil
}

// lost counts the flows that go with all others of their intent. A rule that is written
// otherwise has other flows, and loses none.
func lost(p *pipeline.Program, plan ofproto.Plan) (n int) {
	if len(plan.DeleteFlows) <= lossLeast {
		return 0
	}
	served := map[uint64]bool{}
	for _, u := range p.Units {
		for _, f := range u.Flows {
			served[f.Cookie] = true
		}
	}
	for _, f := range plan.DeleteFlows {
		if _, ours := pipeline.TagOf(f.Cookie); ours && !served[f.Cookie] {
			n++
		}
	}
	return n
}

// An ending is what a change would end of one tenant's connections.
type ending struct {
	tenant  string
	cause   cause
	allowed bool
	all     int // connections
	open    int // those of TCP that are established
	example pipeline.Connection
	by      intent.ID
}

// A cause is what ends connections, and how that is allowed.
type cause struct{ what, allow string }

var (
	byPolicy  = cause{"its policy", "allowDisruption: true on the tenant allows it, and onRevoke: keep on a policy, once in force, lets them live on"}
	byZone    = cause{"another zone", "allowDisruption: true on the tenant allows it"}
	byLeaving = cause{"the tenant being gone", "allowDisruption: true on the bridge allows it"}
)

func (e ending) why() string {
	by := ""
	if e.by != "" {
		by = ", let in by " + string(e.by)
	}
	some := fmt.Sprintf("%d established connections by %s (one is ", e.open, e.cause.what)
	if e.open == 1 {
		some = fmt.Sprintf("an established connection by %s (", e.cause.what)
	}
	return fmt.Sprintf("%s would lose %s%v%s): %s", e.tenant, some, e.example, by, e.cause.allow)
}

// gone returns the tenants of an earlier model that a later one does not have.
func gone(earlier, later *intent.Model) (some []*intent.Tenant) {
	if earlier == nil {
		return nil
	}
	for _, t := range earlier.Tenants() {
		if later.Tenant(t.Name) == nil {
			some = append(some, t)
		}
	}
	return some
}

// endings looks for what a change would end, among the connections of the tenants that it
// takes something from.
func (s *session) endings(ctx context.Context, p *pipeline.Program, x change, in pipeline.Input, also bool) (all []ending) {
	before := s.sweep.model
	for _, t := range gone(before, in.Model) {
		if allowed := t.AllowDisruption || bridgeOf(in).AllowDisruption; also || !allowed {
			all = append(all, s.endingOfAll(ctx, t, ending{tenant: t.Name, cause: byLeaving, allowed: allowed}))
		}
	}
	narrowed := map[intent.ID]bool{}
	for _, id := range x.narrowed {
		narrowed[id] = true
	}
	for _, t := range in.Model.Tenants() {
		old := before.Tenant(t.Name)
		if old == nil || old == t || t.AllowDisruption && !also {
			continue
		}
		if t.Zone != 0 && t.Zone != s.zone(t) { // its connections stay behind in the old one
			all = append(all, s.endingOfAll(ctx, t, ending{tenant: t.Name, cause: byZone, allowed: t.AllowDisruption}))
			continue
		}
		if t.Mode == intent.Off {
			continue
		}
		moved := movedAddresses(old, t)
		if !narrowed[t.ID()] && len(moved) == 0 {
			continue
		}
		all = append(all, s.endingOf(ctx, p, in, old, t, moved, also))
	}
	return all
}

// zone returns the zone that a tenant has while a change is looked at. A model that is
// proposed has its tenants leave those that are in force.
func (s *session) zone(t *intent.Tenant) uint16 { return s.job.input.Numbers.Zone(t.ID()) }

// endingOfAll adds all connections of a tenant to what a change would end.
func (s *session) endingOfAll(ctx context.Context, t *intent.Tenant, e ending) ending {
	s.eachIn(ctx, s.zone(t), func(c pipeline.Connection) { e.add(c, s.job.input.Numbers) })
	return e
}

// endingOf is what a change would end of a tenant that stays.
func (s *session) endingOf(ctx context.Context, p *pipeline.Program, in pipeline.Input, old, t *intent.Tenant, moved map[netip.Addr]bool, also bool) ending {
	e := ending{tenant: t.Name, cause: byPolicy, allowed: t.AllowDisruption}
	was := in
	was.Model = s.sweep.model
	now, then := s.config.Judge(p, in, t), s.config.Judge(s.given, was, old)
	keeps := keepingOf(t, was.Model, in.Numbers)
	s.eachIn(ctx, s.zone(t), func(c pipeline.Connection) {
		if c.Blocked() || !c.Open && !also {
			return
		}
		ends := moved[c.Orig.Src] || moved[c.Orig.Dst]
		if !ends {
			ruling := now(c)
			kept := c.Kept() && keeps.on(c) && ruling != pipeline.Unmapped
			ends = ruling >= pipeline.Denied && !kept && then(c) == pipeline.Admitted
		}
		if ends {
			e.add(c, in.Numbers)
		}
	})
	return e
}

func (e *ending) add(c pipeline.Connection, n pipeline.Numbers) {
	if c.Blocked() {
		return
	}
	e.all++
	if !c.Open {
		return
	}
	if e.open++; e.open == 1 {
		e.example = c
		e.by, _ = n.Origin(c.RuleIn)
	}
}

// eachIn calls f for each connection of a zone. What cannot be read is not there: a change of
// policy does not wait for a tracker.
func (s *session) eachIn(ctx context.Context, zone uint16, f func(pipeline.Connection)) {
	if zone == 0 {
		return
	}
	all, err := s.config.Connections(ctx, s.name, zone)
	if err != nil {
		s.config.Log.WithField("bridge", s.name).WithError(err).Warn("connections cannot be read: nobody can say which a change would end")
	}
	for _, c := range all {
		f(c)
	}
}

// movedAddresses returns the addresses of endpoints that a tenant had and has no more.
func movedAddresses(old, now *intent.Tenant) map[netip.Addr]bool {
	moved := map[netip.Addr]bool{}
	for _, e := range old.Endpoints {
		for _, ip := range pipeline.AddressesOf(e) {
			moved[ip] = true
		}
	}
	for _, e := range now.Endpoints {
		for _, ip := range pipeline.AddressesOf(e) {
			delete(moved, ip)
		}
	}
	return moved
}
