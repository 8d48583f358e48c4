package controller

import (
	"context"
	"errors"
	"fmt"
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
	select {
	case <-l:
	default:
	}
	l <- v
}

// session belongs to one Serve.
type session struct {
	*Controller
	*bridge
	conn    Conn
	have    ofproto.Tables
	job     job
	refused map[intent.ID]error
	report  Bridge
	retry   <-chan time.Time
	delay   time.Duration
}

// Serve drives conn, the session of a bridge, until ctx is done or the session fails.
// What the bridge carries already stays in place where it is right, so that a restart of
// either side disturbs no traffic.
func (c *Controller) Serve(ctx context.Context, name string, conn Conn) error {
	have, err := conn.Tables(ctx)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	b := &bridge{name, make(latest[job], 1), make(chan uint16, 64), make(chan ask, 8)}
	s := &session{Controller: c, bridge: b, conn: conn, have: have}
	if err := c.send(ctx, bridgeUp{b}); err != nil {
		return err
	}
	err = s.serve(ctx)
	c.send(context.WithoutCancel(ctx), bridgeDown{b}) // it fails only if nobody is there to be told
	s.hangUp()
	return err
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
	audit := time.NewTicker(s.config.Audit)
	defer audit.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s.job = <-s.want:
			clear(s.refused) // what was changed may fit now
			err = s.strive(ctx)
		case <-s.retry:
			err = s.reread(ctx)
		case <-audit.C:
			err = s.audit(ctx)
		case zone := <-s.flush:
			s.send(ctx, zoneFlushed{zone, s.conn.FlushZone(ctx, zone)})
		case a := <-s.asks:
			a.answer <- s.plan(ctx, a.input)
		case p, ok := <-s.conn.PacketIns():
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

// answer answers a packet that a flow sent here.
func (s *session) answer(ctx context.Context, p ofproto.PacketIn) error {
	if s.config.Answer == nil || s.job.input.Model == nil {
		return nil
	}
	for _, out := range s.config.Answer(s.job.input, p) {
		if err := s.conn.PacketOut(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// reread strives again from what the bridge really has.
func (s *session) reread(ctx context.Context) (err error) {
	if s.have, err = s.conn.Tables(ctx); err != nil {
		return err
	}
	return s.strive(ctx)
}

// audit finds what somebody else has changed, and mends it. What was refused is tried
// again.
func (s *session) audit(ctx context.Context) error {
	before := s.conn.FlowMods()
	clear(s.refused)
	if err := s.reread(ctx); err != nil {
		return err
	}
	if s.conn.FlowMods() != before && s.report.Err == nil && len(s.report.Refused) == 0 {
		s.report.Repaired++
		s.config.Log.WithField("bridge", s.name).Warn("the bridge had been changed behind our back, and is as it should be again")
	}
	return s.tell(ctx)
}

// strive makes the bridge as the job says. If the switch refuses something, strive does
// without the intent that wanted it, for the others must not suffer. The error is not
// nil if the session is of no more use; what can be tried again is in the report.
func (s *session) strive(ctx context.Context) error {
	if s.job.input.Model == nil {
		return nil
	}
	s.retry = nil
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
		return s.tell(ctx)
	}
}

// later tries again, each time after twice the time, up to half a minute.
func (s *session) later() {
	s.delay = min(max(2*s.delay, 100*time.Millisecond), 30*time.Second)
	s.retry = time.After(s.delay)
}

func (s *session) tell(ctx context.Context) error {
	s.report.Sent = s.conn.FlowMods()
	return s.send(ctx, bridgeReported{s.bridge, s.report})
}

// step compiles, compares and sends once. It says whether there is more to do.
func (s *session) step(ctx context.Context) (again bool, err error) {
	in := s.job.input
	in.Refused = make(map[intent.ID]bool, len(s.refused))
	for id := range s.refused {
		in.Refused[id] = true
	}
	program, err := s.config.Compile(in)
	if err != nil {
		return false, err
	}
	ours, theirs, err := divide(s.have, program, foreignFlows(in))
	s.report.Foreign = len(theirs)
	if err != nil {
		return false, err
	}
	plan := ofproto.Diff(program.Tables(), ours)
	if raised, err := s.raise(ctx, program, in); raised || err != nil {
		return false, err // a new job is on its way
	}
	if !plan.Empty() {
		if err := s.conn.Apply(ctx, plan); err != nil {
			return s.refuse(err, in)
		}
		s.log(plan)
	}
	s.have = program.Tables()
	s.have.Flows = append(s.have.Flows[:len(s.have.Flows):len(s.have.Flows)], theirs...)
	refused := make(map[intent.ID]error, len(s.refused))
	for id, why := range s.refused {
		refused[id] = why
	}
	s.report.Revision, s.report.Flows, s.report.Groups = s.job.revision, len(program.Flows), len(program.Groups)
	s.report.Pending, s.report.Refused = program.Pending, refused
	return false, nil
}

func (s *session) log(p ofproto.Plan) {
	s.config.Log.WithField("bridge", s.name).WithField("put", len(p.PutFlows)+len(p.PutGroups)).
		WithField("deleted", len(p.DeleteFlows)+len(p.DeleteGroups)).Info("programmed")
}

// raise has the epochs of the narrowed tenants raised, before anything is sent.
func (s *session) raise(ctx context.Context, p *pipeline.Program, in pipeline.Input) (bool, error) {
	if s.config.Narrowed == nil {
		return false, nil
	}
	narrowed := s.config.Narrowed(p, s.have, in.Numbers, in.Model)
	if len(narrowed) == 0 {
		return false, nil
	}
	epochs := map[intent.ID]uint8{}
	for _, id := range narrowed {
		epochs[id] = in.Numbers.Epoch(id)
	}
	answer := make(chan error, 1)
	if err := s.send(ctx, epochsStale{epochs, answer}); err != nil {
		return false, err
	}
	return true, <-answer
}

// refuse notes the intent whose flow or group the switch did not take. An error that is
// about no intent, or about one that cannot be done without, is an error of the bridge.
func (s *session) refuse(err error, in pipeline.Input) (again bool, _ error) {
	var r *ofproto.Rejected
	if !errors.As(err, &r) {
		return false, err
	}
	id, ok := refusedIntent(r, in)
	if !ok || s.refused[id] != nil {
		return false, err
	}
	if s.refused == nil {
		s.refused = map[intent.ID]error{}
	}
	s.refused[id] = r
	s.config.Log.WithField("bridge", s.name).WithField("intent", id).WithError(r).Error("refused by the switch; everything else goes on")
	return true, nil
}

func refusedIntent(r *ofproto.Rejected, in pipeline.Input) (intent.ID, bool) {
	var id intent.ID
	var ok bool
	switch {
	case r.Flow != nil:
		tag, _ := pipeline.TagOf(r.Flow.Cookie)
		id, ok = in.Numbers.Origin(tag)
	case r.Group != nil:
		for _, g := range pipeline.WantsOf(in.Model).Groups {
			if in.Numbers.Group(g) == r.Group.ID {
				id, ok = g, true
			}
		}
	}
	for _, b := range in.Model.Bridges() {
		ok = ok && id != b.ID()
	}
	return id, ok
}
