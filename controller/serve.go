package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A bridge is how Run reaches a Serve.
type bridge struct {
	name  string
	want  latest[job]
	flush chan uint16
	asks  chan ask
}

// A job is what a bridge should be made from.
type job struct {
	revision uint64
	input    pipeline.Input
	alone    bool // the bridge had nothing of others in it, in the session before
	review   review
	serial   uint64 // of the review
	only     bool   // ... which nobody else is asked for
}

// An ask wants to know what a model would change.
type ask struct {
	input  pipeline.Input
	answer chan<- BridgePlan
}

var errBusy = errors.New("the bridge has other plans to make first: try again")

// A latest passes values from one goroutine to another, of which only the newest
// matters.
type latest[T any] chan T

// put never blocks. It must always be called from the same goroutine.
func (l latest[T]) put(v T) {
	l.take()
	l <- v
}

// take takes back what nobody has taken, and reports whether there was something.
func (l latest[T]) take() bool {
	select {
	case <-l:
		return true
	default:
		return false
	}
}

// session belongs to one Serve.
type session struct {
	*Controller
	*bridge
	conn Conn
	carried
	cache   pipeline.Cache
	ahead   *ahead // what is sent before all is known; nil: nothing
	job     job
	refused map[intent.ID]error
	report  Bridge
	retry   <-chan time.Time
	delay   time.Duration
	alone   bool // there was nothing of others in the bridge: what comes is removed
	fresh   bool // the tables were read since something was sent

	watched bool // the switch tells what others change
	changes chan ofproto.TableChange
	news    ofproto.TableChange // that have not been looked at
	look    <-chan time.Time    // when they will be
	pause   time.Duration       // until then
	cost    time.Duration       // of reading the tables
	found   []Drift             // that is being repaired
	exposed map[intent.ID]uint8 // tenants to be judged again, if they still have this epoch
	fights  Fights
	truce   <-chan time.Time // when what is fought over will be repaired

	counting <-chan time.Time // when the meters are read again
	ports    exhaustion
	sweep    sweeper
	drain    drainer
	arrivals arrivals

	resolving  resolving
	announcing announcing
	probing    probing
	punted     chan ofproto.PacketIn // all but the answers to what probing has asked
}

// Serve drives conn, the session of a bridge, until ctx is done or the session fails.
// What the bridge carries already stays in place where it is right, so that a restart of
// either side disturbs no traffic.
func (c *Controller) Serve(ctx context.Context, name string, conn Conn) error {
	b := &bridge{name, make(latest[job], 1), make(chan uint16, 64), make(chan ask, 8)}
	s := &session{Controller: c, bridge: b, conn: conn, changes: make(chan ofproto.TableChange), fights: Fights{}, exposed: map[intent.ID]uint8{}}
	s.sweep = sweeper{looked: make(chan found, 1), left: map[intent.ID]bool{}, waits: map[intent.ID]wait{}}
	s.drain = newDrainer()
	s.arrivals.looked = make(chan counters, 1)
	unwatch := s.watch(ctx) // before the tables are read: what is changed meanwhile must not be missed
	defer unwatch()
	if err := s.readTables(ctx); err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	s.cache.Remember(s.tables().Flows)
	s.present()
	defer s.beginProbing(ctx)()
	if err := c.send(ctx, bridgeUp{b, pipeline.InstalledIn(s.tables())}); err != nil {
		return err
	}
	err := s.serve(ctx)
	c.send(context.WithoutCancel(ctx), bridgeDown{b}) // it fails only if nobody is there to be told
	s.hangUp()
	if s.sweep.busy {
		<-s.sweep.looked
	}
	if s.drain.busy {
		<-s.drain.looked
	}
	if s.arrivals.busy {
		<-s.arrivals.looked
	}
	return err
}

// watch has the switch tell what others change, until unwatch is called.
func (s *session) watch(ctx context.Context) (unwatch func()) {
	next, err := s.conn.Watch(ctx)
	if err != nil {
		s.config.Log.WithField("bridge", s.name).WithError(err).
			Warn("the switch does not tell what others change: its tables are read every half second, or less often if that takes long")
		return func() {}
	}
	s.watched = true
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.relay(ctx, next)
	}()
	return func() { cancel(); <-done }
}

// hangUp answers those who wait for a plan. Run must know that the bridge has gone, or it
// could ask once more, and nobody would ever answer.
func (s *session) hangUp() {
	for {
		select {
		case a := <-s.asks:
			a.answer <- BridgePlan{Err: errors.New("the bridge is not connected any more")}
		default:
			return
		}
	}
}

func (s *session) serve(ctx context.Context) error {
	audit := s.nextAudit()
	s.counting, s.arrivals.turn = time.After(countEvery), time.After(countEvery)
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case j := <-s.want:
			s.take(j)
			if err = s.resolve(ctx); err == nil {
				err = s.strive(ctx)
			}
			if err == nil {
				err = s.probe(ctx)
			}
		case c := <-s.changes:
			s.notice(c)
		case <-s.look:
			err = s.inspect(ctx)
		case <-s.truce:
			err = s.inspect(ctx)
		case <-s.retry:
			err = s.reread(ctx)
		case <-audit:
			err = s.audit(ctx)
			audit = s.nextAudit()
		case <-s.counting:
			err = s.count(ctx)
		case <-s.resolving.turn:
			err = s.ask(ctx)
		case <-s.announcing.turn:
			err = s.announceOn(ctx)
		case <-s.sweep.turn:
			err = s.sweepOn(ctx)
		case <-s.sweep.later:
			s.sweepAgain()
		case f := <-s.sweep.looked:
			err = s.swept(ctx, f)
		case <-s.drain.turn:
			err = s.drainOn(ctx)
		case r := <-s.drain.looked:
			err = s.drained(ctx, r)
		case <-s.arrivals.turn:
			s.countBegun(ctx)
		case c := <-s.arrivals.looked:
			err = s.begunCounted(ctx, c)
		case zone := <-s.flush:
			s.send(ctx, zoneFlushed{zone, s.conn.FlushZone(ctx, zone)})
		case a := <-s.asks:
			a.input.Facts = s.neighbours(a.input.Facts)
			a.answer <- s.plan(ctx, a.input)
		case p, ok := <-s.punted:
			if !ok {
				return errors.New("session has ended")
			}
			err = s.answer(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("bridge %s: %w", s.name, err)
		}
	}
}

// take makes a job the session's.
func (s *session) take(j job) {
	s.job = j
	clear(s.refused) // what was changed may fit now
	s.alone, s.fresh = s.alone || j.alone, false
}

// answer answers a packet that a flow sent here, or takes note of it.
func (s *session) answer(ctx context.Context, p ofproto.PacketIn) error {
	as := PuntIgnored
	defer func() { s.config.Punted(s.name, as) }()
	switch {
	case s.job.input.Model == nil:
		return nil
	case s.config.Observe != nil && s.config.Observe(s.name, s.job.input, p):
		as = PuntReport
		return nil
	case s.config.Answer == nil:
		return nil
	}
	if isNews, err := s.hear(ctx, p); isNews || err != nil {
		as = PuntNeighbour
		return err
	}
	for _, out := range s.config.Answer(s.job.input, p) {
		as = PuntAnswer
		if err := s.conn.PacketOut(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// reread strives again from what the bridge really has.
func (s *session) reread(ctx context.Context) error {
	if err := s.readTables(ctx); err != nil {
		return err
	}
	return s.strive(ctx)
}

// audit finds what somebody else has changed and the switch has not told, and mends it. What
// was refused is tried again.
func (s *session) audit(ctx context.Context) error {
	if err := s.readTables(ctx); err != nil {
		return err
	}
	if s.job.input.Model != nil { // else nobody has said yet what the bridge should be
		s.note(s.drift())
	}
	clear(s.refused)
	return s.strive(ctx)
}

// strive makes the bridge as the job says. If the switch refuses something, strive does
// without the intent that wanted it, for the others must not suffer. The error is not
// nil if the session is of no more use; what can be tried again is in the report.
func (s *session) strive(ctx context.Context) error {
	if s.job.input.Model == nil {
		return nil
	}
	s.retry = nil
	defer s.abandon()
	for {
		again, err := s.step(ctx)
		if again && err == nil {
			continue
		}
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		s.report.Err = err
		if err != nil {
			s.later()
			s.config.Log.WithField("bridge", s.name).WithError(err).Error("not as it should be; trying again")
		} else {
			s.delay = 0
		}
		if err := s.account(ctx, err); err != nil {
			return err
		}
		return s.tell(ctx)
	}
}

// later tries again, each time after twice the time, up to half a minute.
func (s *session) later() {
	s.delay = min(max(2*s.delay, 100*time.Millisecond), 30*time.Second)
	s.retry = time.After(s.delay)
}

func (s *session) tell(ctx context.Context) error {
	s.report.Sent, s.report.Contested = s.conn.FlowMods(), s.fights.names(time.Now())
	return s.send(ctx, bridgeReported{s.bridge, s.report, s.alone})
}

// step compiles, compares and sends once. It says whether there is more to do.
func (s *session) step(ctx context.Context) (again bool, err error) {
	in := s.input()
	mode := s.mode(in)
	var x change
	began := time.Now()
	program, err := s.compile(ctx, in)
	s.took(PartCompile, began)
	if err == nil {
		began = time.Now()
		x, err = s.to(program, mode)
		s.took(PartCompare, began)
		s.report.Foreign = len(x.theirs)
	}
	if err == nil && !(s.exact && pipeline.Widens(x.plan, x.want.Flows, x.have.Flows)) {
		x.narrowed = s.narrowed(x.want.Flows, x.have.Flows, in)
	}
	if now, bad := s.reviewed(ctx, program, x, err); !now || bad != nil {
		return false, bad
	}
	if err != nil {
		return false, err
	}
	s.expose(notOurs(x.plan.DeleteFlows), in)
	if again, err := s.raise(ctx, x, in); again || err != nil {
		return again, err
	}
	if !x.plan.Empty() {
		began := time.Now()
		err := s.apply(ctx, x.plan)
		if s.took(PartApply, began); err != nil {
			s.doubt()
			s.announcing.own = nil
			return s.refuse(ctx, err, x.plan, in)
		}
		s.log(x.plan)
	}
	s.sweepAfter(x.plan, in)
	s.programmed(program, x.theirs)
	s.drainAfter(in)
	s.alone = mode != intent.ForeignKeep
	return false, s.announce(ctx, program, x)
}

// input returns the job's, with what the switch has refused.
func (s *session) input() pipeline.Input {
	in := s.job.input
	in.Refused = make(map[intent.ID]bool, len(s.refused))
	for id := range s.refused {
		in.Refused[id] = true
	}
	return in
}

// programmed notes what the bridge has now.
func (s *session) programmed(program *pipeline.Program, theirs []ofproto.Flow) {
	s.gave(program, theirs)
	s.fresh = false
	clear(s.exposed)
	s.report.program = program
	s.report.Flows, s.report.Groups = program.Size()
	s.report.Rounds, s.report.Weights = program.Rounds.N, s.job.input.Facts.Weights
	s.report.Revision, s.report.Pending, s.report.Refused = s.job.revision, program.Pending(), maps.Clone(s.refused)
}

// mode is what is done with flows of others. Where they are refused, those that come to a
// bridge that had none are removed.
func (s *session) mode(in pipeline.Input) intent.ForeignFlows {
	mode := foreignFlows(in)
	if mode == intent.ForeignRefuse && s.alone {
		return intent.ForeignRemove
	}
	return mode
}

func (s *session) log(p ofproto.Plan) {
	s.config.Log.WithField("bridge", s.name).WithField("put", len(p.PutFlows)+len(p.PutGroups)).
		WithField("deleted", len(p.DeleteFlows)+len(p.DeleteGroups)).Info("programmed")
}

// narrowed asks the configuration.
func (s *session) narrowed(want, have []ofproto.Flow, in pipeline.Input) []intent.ID {
	if s.config.Narrowed == nil {
		return nil
	}
	return s.config.Narrowed(want, have, in.Numbers, in.Model)
}

// raise has the epochs of the tenants raised whose live connections have to be judged again,
// before anything is sent: what their policy let pass it does no more, or somebody else did.
// Then there is another job to begin with.
func (s *session) raise(ctx context.Context, x change, in pipeline.Input) (bool, error) {
	epochs := map[intent.ID]uint8{}
	for _, id := range x.narrowed {
		epochs[id] = in.Numbers.Epoch(id)
	}
	for id, epoch := range s.exposed {
		if in.Numbers.Epoch(id) == epoch {
			epochs[id] = epoch
		}
	}
	if len(epochs) == 0 {
		return false, nil
	}
	answer := make(chan raised, 1)
	if err := s.send(ctx, epochsStale{s.bridge, epochs, answer}); err != nil {
		return false, err
	}
	r := <-answer
	if r.err == nil {
		s.take(r.job)
	}
	return true, r.err
}

// expose remembers, until the bridge is as it should be, whose connections somebody else's
// flows may have let in.
func (s *session) expose(flows []ofproto.Flow, in pipeline.Input) {
	for _, id := range pipeline.Exposed(flows, in.Numbers, in.Model) {
		if _, known := s.exposed[id]; !known {
			s.exposed[id] = in.Numbers.Epoch(id)
		}
	}
}

// notOurs returns those of flows that do not even say that they are Weir's.
func notOurs(flows []ofproto.Flow) (some []ofproto.Flow) {
	for _, f := range flows {
		if _, owned := pipeline.TagOf(f.Cookie); !owned {
			some = append(some, f)
		}
	}
	return some
}

// refuse notes the intent whose flow or group the switch did not take. An error that is
// about no intent, or about one that cannot be done without, is an error of the bridge.
//
// It is not believed before the bridge has been read: a flow is refused, too, whose group
// somebody has deleted. The meters of the plan may be there although all else is not.
func (s *session) refuse(ctx context.Context, err error, p ofproto.Plan, in pipeline.Input) (again bool, _ error) {
	var r *ofproto.Rejected
	if !errors.As(err, &r) {
		return false, err
	}
	if !s.fresh {
		return true, s.readTables(ctx)
	}
	ids, ok := refusedIntents(r, p, in)
	if !ok || s.refused[ids[0]] != nil {
		return false, err
	}
	if s.refused == nil {
		s.refused = map[intent.ID]error{}
	}
	for _, id := range ids {
		s.refused[id] = r
		s.config.Log.WithField("bridge", s.name).WithField("intent", id).WithError(r).Error("refused by the switch; everything else goes on")
	}
	if len(p.PutMeters) > 0 {
		s.read.Groups, s.read.Meters, err = s.conn.GroupsAndMeters(ctx)
		return err == nil, err
	}
	return true, nil
}

// refusedIntents returns the intents that have to be done without. A switch that refuses a
// meter has none, or no more, and would refuse the next: then it is all whose meters are new.
func refusedIntents(r *ofproto.Rejected, p ofproto.Plan, in pipeline.Input) (ids []intent.ID, ok bool) {
	if r.Meter == nil {
		id, ok := refusedIntent(r, in)
		return []intent.ID{id}, ok
	}
	for _, m := range p.PutMeters {
		tag, _ := pipeline.MeterTag(m.ID)
		if id, known := in.Numbers.Origin(tag); known {
			ids = append(ids, id)
		}
	}
	return ids, len(ids) > 0
}

func refusedIntent(r *ofproto.Rejected, in pipeline.Input) (intent.ID, bool) {
	var id intent.ID
	var ok bool
	switch {
	case r.Flow != nil:
		tag, _ := pipeline.TagOf(r.Flow.Cookie)
		id, ok = in.Numbers.Origin(tag)
	case r.Group != nil:
		id, ok = groupIntents(in)[r.Group.ID]
	}
	for _, b := range in.Model.Bridges() {
		ok = ok && id != b.ID()
	}
	return id, ok
}

// groupIntents returns the intents that groups serve, by the numbers of the groups.
func groupIntents(in pipeline.Input) map[uint32]intent.ID {
	ids := map[uint32]intent.ID{}
	for _, id := range pipeline.WantsOf(in.Model).Groups {
		ids[in.Numbers.Group(id)] = id
	}
	return ids
}
