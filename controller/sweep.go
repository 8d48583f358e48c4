package controller

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// When a tenant's policy was narrowed, its flows stop each connection that it no longer
// admits as soon as a packet of it comes. A sweep then goes through the tenant's zone, and
// has the tracker forget these connections, also those that are idle. It comes after the
// switch has said that the flows are in force: a connection that is forgotten before could
// come again.

// What a sweep does at a time, so that neither this bridge's other work nor the main loop of
// ovs-vswitchd has to wait for long.
const (
	sweepBatch = 256
	sweepPause = 5 * time.Millisecond
)

// sweeper belongs to one Serve.
type sweeper struct {
	due    []sweepOf // tenants whose connections have to be looked at
	turn   <-chan time.Time
	looked chan found         // what was found in the zone that is being read
	busy   bool               // one is
	doomed found              // what of it has not been flushed yet
	left   map[intent.ID]bool // tenants with connections that a later change may settle
	later  <-chan time.Time   // when the first of those that wait is swept once more
	waits  map[intent.ID]wait // tenants that are
	unable bool               // the switch cannot flush single connections
	model  *intent.Model      // that is in force; nil: not known

	orphans map[netip.Addr]uint16 // aliases that are nobody's any more, and the zones that may have entries of them
}

// A sweepOf is a sweep that is due.
type sweepOf struct {
	tenant intent.ID
	before *intent.Model // that was in force before the change; nil: not known
	again  bool          // there was no change
}

// A wait is what a tenant's next sweep without a change waits for.
type wait struct {
	n     int       // how often there was one already
	until time.Time // zero: it has begun
}

// found is what a sweep has found in the zone of a tenant.
type found struct {
	sweepOf
	program *pipeline.Program
	end     []pipeline.Connection // to be flushed: their policy does not admit them
	revive  []pipeline.Connection // to be flushed: they are blocked, and would be admitted now
	raise   bool                  // some are blocked, would be admitted, and cannot be flushed
	left    bool                  // some are held by the flows alone
	held    int                   // of those, such as cannot be flushed
	why     error                 // they cannot
	waits   bool                  // some are to be told first
	ended   []Ended
	orphans bool // these are halves of connections that are gone
	err     error
}

// An Ended is connections that a sweep has ended, all of which the same rules had admitted.
type Ended struct {
	At              time.Time
	Egress, Ingress intent.ID // the rules, or defaults; empty: not known
	N               int
	Example         string // one of them
}

// An EndedLog is what sweeps have ended of one tenant since the daemon began.
type EndedLog struct {
	N      uint64
	Recent []Ended // the newest, which comes last
}

// recentEnded is how much is remembered of a tenant, and toldEnded how much of one sweep.
const (
	recentEnded = 50
	toldEnded   = 20
)

// add returns the log with some more, and leaves l as it is.
func (l EndedLog) add(ended []Ended) EndedLog {
	for _, e := range ended {
		l.N += uint64(e.N)
	}
	recent := slices.Concat(l.Recent, ended[:min(len(ended), toldEnded)])
	l.Recent = slices.Clip(recent[max(0, len(recent)-recentEnded):])
	return l
}

// sweepAfter notes whose connections have to be looked at after a plan: of the tenants whose
// epoch it has brought, and where something was left that it may have settled.
func (s *session) sweepAfter(plan ofproto.Plan, in pipeline.Input) {
	before := s.sweep.model
	s.sweep.model = in.Model
	if s.config.Connections == nil || s.config.Judge == nil {
		return
	}
	s.sweep.orphansOf(pipeline.AliasesGone(plan))
	epochs, touched := pipeline.Epochs(plan.PutFlows), map[uint16]bool{}
	if len(s.sweep.left) > 0 {
		touched = zonesIn(plan.PutFlows, plan.DeleteFlows)
	}
	for _, t := range in.Model.Tenants() {
		zone := in.Numbers.Zone(t.ID())
		_, raised := epochs[zone]
		if t.Mode != intent.Off && (raised || s.sweep.left[t.ID()] && touched[zone]) && !s.sweep.isDue(t.ID()) {
			s.sweep.due = append(s.sweep.due, sweepOf{tenant: t.ID(), before: before})
		}
	}
	if len(s.sweep.due)+len(s.sweep.orphans) > 0 && s.sweep.turn == nil {
		s.sweep.turn = time.After(0)
	}
}

// zonesIn returns the zones that flows match.
func zonesIn(some ...[]ofproto.Flow) map[uint16]bool {
	zones := map[uint16]bool{}
	for _, flows := range some {
		for _, f := range flows {
			if zone, one := pipeline.ZoneOf(f); one {
				zones[zone] = true
			}
		}
	}
	return zones
}

func (s *sweeper) isDue(tenant intent.ID) bool {
	return slices.ContainsFunc(s.due, func(d sweepOf) bool { return d.tenant == tenant })
}

// A connection that is to be told that it is stopped is told when it speaks: its entry is left for
// that. And one that was ended may come back, blocked, by a packet that was judged while the tracker
// forgot it. A tenant that has such is swept once more after a while, then after twice as long,
// and so on, until it has been so often.
const (
	firstWait = 250 * time.Millisecond
	mostWaits = 8
)

// sweepAgain sweeps those that have waited.
func (s *session) sweepAgain() {
	now := time.Now()
	for id, w := range s.sweep.waits {
		if w.until.IsZero() || w.until.After(now) {
			continue
		}
		s.sweep.waits[id] = wait{n: w.n}
		if !s.sweep.isDue(id) {
			s.sweep.due = append(s.sweep.due, sweepOf{id, s.sweep.model, true})
		}
	}
	s.sweep.arm(now)
	s.sweep.turn = time.After(0)
}

// arm sets the time for the first of those that wait.
func (s *sweeper) arm(now time.Time) {
	s.later = nil
	var first time.Time
	for _, w := range s.waits {
		if !w.until.IsZero() && (first.IsZero() || w.until.Before(first)) {
			first = w.until
		}
	}
	if !first.IsZero() {
		s.later = time.After(first.Sub(now))
	}
}

// waitFor has the connections of a tenant looked at later, if some are still to be told, or were
// ended and may come back.
func (s *session) waitFor(f found) {
	n := s.sweep.waits[f.tenant].n
	if comes := len(f.end) > 0 && !s.sweep.unable; !f.waits && !comes || n == mostWaits {
		delete(s.sweep.waits, f.tenant)
	} else {
		s.sweep.waits[f.tenant] = wait{n + 1, time.Now().Add(firstWait << n)}
	}
	s.sweep.arm(time.Now())
}

// sweepOn goes on with what there is to sweep: it flushes some of what was found, or has the
// next zone read.
func (s *session) sweepOn(ctx context.Context) error {
	s.sweep.turn = nil
	switch {
	case s.given == nil: // it is not known what is in force; once that is, a sweep follows
	case len(s.sweep.doomed.end)+len(s.sweep.doomed.revive) > 0:
		return s.flushSome(ctx)
	case !s.sweep.busy && len(s.sweep.orphans) > 0:
		s.sweep.busy = true
		s.readOrphans(ctx)
	case !s.sweep.busy && len(s.sweep.due) > 0:
		s.sweep.busy = s.readZone(ctx, s.sweep.due[0])
		s.sweep.due = s.sweep.due[1:]
	}
	return nil
}

// readZone reads and judges the connections of a tenant, beside what else there is to do.
func (s *session) readZone(ctx context.Context, of sweepOf) bool {
	in, program := s.job.input, s.given
	t := in.Model.Tenant(string(of.tenant))
	if t == nil || t.Mode == intent.Off {
		delete(s.sweep.waits, of.tenant)
		s.sweep.turn = time.After(0)
		return false
	}
	waits := s.sweep.waits[of.tenant].n < mostWaits
	go func() {
		f := found{sweepOf: of, program: program}
		var all []pipeline.Connection
		if all, _, f.err = s.readConnections(ctx, s.name, in.Numbers.Zone(t.ID())); f.err == nil && len(all) > 0 {
			f.look(all, s.court(ctx, program, in, t, of.before, waits))
		}
		s.sweep.looked <- f
	}()
	return true
}

// A court is what it takes to say what becomes of a tenant's connections.
type court struct {
	judge  func(pipeline.Connection) pipeline.Ruling
	epoch  uint8
	strict bool                            // what has been flushed does not come again in its midst
	holds  func(pipeline.Connection) error // why a connection cannot be flushed; nil: it can
	keeps  keeping
	waits  bool // for those that are to be told
}

func (s *session) court(ctx context.Context, p *pipeline.Program, in pipeline.Input, t *intent.Tenant, before *intent.Model, waits bool) court {
	holds := s.forgettable(ctx, pipeline.HalvesOf(in.Numbers, t.ID(), in.Model, before))
	return court{s.config.Judge(p, in, t), in.Numbers.Epoch(t.ID()), t.StrictTCP, holds, keepingOf(t, before, in.Numbers), waits}
}

// look finds what has to be done with connections.
func (f *found) look(all []pipeline.Connection, c court) {
	for _, conn := range all {
		current, kept := conn.Epoch() == c.epoch, conn.Kept()
		if current && !conn.Blocked() && !kept {
			continue
		}
		ruling := c.judge(conn)
		if ruling == pipeline.Unmapped {
			ruling, kept = pipeline.Denied, false
		}
		if kept && !conn.Blocked() && ruling != pipeline.Unclear {
			kept = c.keeps.on(conn)
			f.left = f.left || kept && ruling != pipeline.Admitted
			f.raise = f.raise || !kept && ruling == pipeline.Admitted && current // by now it is one that is not
			if kept || ruling == pipeline.Admitted {
				continue
			}
		}
		switch {
		case ruling == pipeline.Denied && c.waits && conn.Told() && !conn.Blocked():
			f.left, f.waits = true, true
		case ruling == pipeline.Denied:
			f.condemn(conn, c.holds(conn))
		case ruling == pipeline.Answers:
			f.left = true
		case ruling != pipeline.Admitted || !conn.Blocked() || !current: // its next packet settles it
		case !(c.strict && conn.Protocol == pipeline.ProtoTCP) && c.holds(conn) == nil:
			f.revive = append(f.revive, conn)
		default:
			f.raise = true
		}
	}
}

// condemn has a connection flushed, or left to the flows for a reason.
func (f *found) condemn(c pipeline.Connection, why error) {
	if why == nil {
		f.end = append(f.end, c)
		return
	}
	f.left, f.why = true, why
	f.held++
}

// swept takes what was found in a zone.
func (s *session) swept(ctx context.Context, f found) error {
	s.sweep.busy = false
	s.sweep.turn = time.After(0)
	if f.orphans {
		s.sweep.doomed = f
		return nil // what cannot be read or removed is gone when its time is over
	}
	if f.err != nil {
		s.config.Log.WithField("bridge", s.name).WithField("tenant", f.tenant).WithError(f.err).
			Warn("connections cannot be read: those that policy no longer admits are stopped by the flows, each when it speaks")
		s.sweep.left[f.tenant] = true
		return nil
	}
	s.tellHeld(f)
	s.waitFor(f)
	if f.left || len(f.end)+len(f.revive) > 0 { // what is under way for very long may still bring the entry back
		s.sweep.left[f.tenant] = true
	} else if !f.again {
		delete(s.sweep.left, f.tenant)
	}
	if s.sweep.unable {
		f.end, f.revive = nil, nil
	}
	s.sweep.doomed = f
	if f.raise {
		return s.raiseAgain(ctx, f.tenant)
	}
	return nil
}

// tellHeld says that some connections are left to the flows.
func (s *session) tellHeld(f found) {
	if f.held > 0 {
		s.config.Log.WithFields(logrus.Fields{"bridge": s.name, "tenant": f.tenant, "connections": f.held, "why": f.why}).
			Info("left to end by themselves: policy no longer admits them, and the flows stop each when it speaks")
	}
}

// raiseAgain has the connections of a tenant judged once more by the flows.
func (s *session) raiseAgain(ctx context.Context, id intent.ID) error {
	answer := make(chan raised, 1)
	if err := s.send(ctx, epochsStale{s.bridge, map[intent.ID]uint8{id: s.job.input.Numbers.Epoch(id)}, answer}); err != nil {
		return err
	}
	r := <-answer
	if r.err != nil {
		s.config.Log.WithField("tenant", id).WithError(r.err).Warn("connections that policy admits again stay blocked until it changes")
		return nil
	}
	s.take(r.job)
	return s.strive(ctx)
}

// flushSome has the tracker forget some of what was found. What was judged by a program that
// has been replaced is judged again: nothing is ended that is allowed by now.
func (s *session) flushSome(ctx context.Context) error {
	f := &s.sweep.doomed
	if f.program != s.given && !f.orphans {
		s.judgeAgain(ctx, f)
	}
	s.sweep.turn = time.After(sweepPause)
	end := f.end[:min(len(f.end), sweepBatch)]
	revive := f.revive[:min(len(f.revive), sweepBatch-len(end))]
	f.end, f.revive = f.end[len(end):], f.revive[len(revive):]
	flushes := flushesOf(end, pipeline.HalvesOf(s.job.input.Numbers, f.tenant, s.job.input.Model, f.before))
	for _, c := range revive { // what comes again has use for its other half
		flushes = append(flushes, c.Flush())
	}
	if len(flushes) > 0 {
		if err := s.conn.FlushConnections(ctx, flushes); err != nil {
			return s.cannotFlush(ctx, f, err)
		}
	}
	if !f.orphans {
		f.count(end, s.job.input.Numbers)
	}
	if len(f.end)+len(f.revive) > 0 {
		return nil
	}
	return s.tellEnded(ctx, f)
}

// judgeAgain looks at what was found once more.
func (s *session) judgeAgain(ctx context.Context, f *found) {
	all := slices.Concat(f.end, f.revive)
	f.end, f.revive, f.program = nil, nil, s.given
	if t := s.job.input.Model.Tenant(string(f.tenant)); t != nil && t.Mode != intent.Off {
		f.look(all, s.court(ctx, s.given, s.job.input, t, f.before, f.waits))
	}
}

// cannotFlush gives up what was found: the flows hold it.
func (s *session) cannotFlush(ctx context.Context, f *found, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *ofproto.Error
	s.sweep.unable = errors.As(err, &refused)
	s.sweep.left[f.tenant] = true
	s.config.Log.WithField("bridge", s.name).WithField("tenant", f.tenant).WithError(err).
		Warn("connections that policy no longer admits cannot be removed: the flows stop each when it speaks")
	f.end, f.revive = nil, nil
	return s.tellEnded(ctx, f)
}

// count notes connections that have been ended, by the rules that had admitted them.
func (f *found) count(some []pipeline.Connection, n pipeline.Numbers) {
	for _, c := range some {
		out, _ := n.Origin(c.RuleOut)
		in, _ := n.Origin(c.RuleIn)
		i := slices.IndexFunc(f.ended, func(e Ended) bool { return e.Egress == out && e.Ingress == in })
		if i < 0 {
			i = len(f.ended)
			f.ended = append(f.ended, Ended{At: time.Now(), Egress: out, Ingress: in, Example: c.String()})
		}
		f.ended[i].N++
	}
}

// tellEnded says what a sweep has ended.
func (s *session) tellEnded(ctx context.Context, f *found) error {
	ended := f.ended
	f.ended = nil
	if len(ended) == 0 {
		return nil
	}
	for _, e := range ended[:min(len(ended), toldEnded)] {
		s.config.Log.WithFields(logrus.Fields{"bridge": s.name, "tenant": f.tenant, "connections": e.N, "egress": e.Egress, "ingress": e.Ingress, "one": e.Example}).
			Info("ended: policy no longer admits what these rules had admitted")
	}
	return s.send(ctx, connectionsEnded{f.tenant, ended})
}

// connectionsEnded says what was ended of a tenant.
type connectionsEnded struct {
	tenant intent.ID
	ended  []Ended
}

func (e connectionsEnded) apply(s *state) { s.ended[e.tenant] = s.ended[e.tenant].add(e.ended) }
