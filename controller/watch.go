package controller

import (
	"context"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// How long changes are collected before they are looked at: so long that those which come
// together are one, and in a storm twice as long as looking takes, but never so long that a
// repair would take a second.
const (
	lookAfter   = 10 * time.Millisecond
	lookLongest = 250 * time.Millisecond
)

// maxNews is how many updates are collected. Of more, the tables say more than the updates.
const maxNews = 1 << 14

// Between two readings of the tables of a switch that does not tell what others change: so
// often that a repair takes less than a second, if reading is cheap.
const (
	blindAudit = 500 * time.Millisecond
	blindShare = 50 // of the time, one part is for reading
)

// relay hands on what the switch tells, until its session ends.
func (s *session) relay(ctx context.Context, next func(context.Context) (ofproto.TableChange, error)) {
	for {
		change, err := next(ctx)
		if err != nil { // the session says why, to whoever uses it
			return
		}
		select {
		case s.changes <- change:
		case <-ctx.Done():
			return
		}
	}
}

// notice collects what others have changed. That the switch learns stations, and forgets
// them, is no change of anybody's.
func (s *session) notice(c ofproto.TableChange) {
	told := len(c.Flows)
	c.Flows = slices.DeleteFunc(c.Flows, func(u ofproto.FlowUpdate) bool { return pipeline.IsStation(u.Flow) })
	if told > 0 && len(c.Flows) == 0 && !c.Groups && !c.All {
		return
	}
	s.news.Flows = append(s.news.Flows, c.Flows...)
	s.news.All = s.news.All || c.All
	if len(s.news.Flows) > maxNews {
		s.news.Flows, s.news.All = nil, true
	}
	if s.look == nil {
		s.look = time.After(max(s.pause, lookAfter))
	}
}

// inspect looks at what others have changed, and repairs it.
func (s *session) inspect(ctx context.Context) error {
	began := time.Now()
	news := s.news
	s.news, s.look, s.truce = ofproto.TableChange{}, nil, nil
	if err := s.catchUp(ctx, news); err != nil {
		return err
	}
	err := s.mend(ctx)
	s.pause = min(2*time.Since(began), lookLongest)
	return err
}

// catchUp brings what is known of the bridge up to date. Groups and meters are read in any
// case: that a flow is gone may be for its group.
func (s *session) catchUp(ctx context.Context, news ofproto.TableChange) (err error) {
	if news.All || s.given == nil { // what was sent last may be there, or not
		return s.readTables(ctx)
	}
	have := ofproto.Tables{Flows: s.tables().Flows}
	if len(news.Flows) > 0 {
		have.Flows = ofproto.Updated(have.Flows, news.Flows)
	}
	if have.Groups, have.Meters, err = s.conn.GroupsAndMeters(ctx); err == nil {
		have.Flows = unlearned(metered(have))
		s.reads(have)
	}
	return err
}

// metered returns the flows of a bridge, without those that send to the controller through
// a meter of Weir's that is not there. A flow whose instruction is a meter goes with it; one whose
// action says it stays, and keeps the place in the datapath where the meter was. It has to
// be put again when the meter is.
func metered(t ofproto.Tables) []ofproto.Flow {
	there := make(map[uint32]bool, len(t.Meters))
	for _, m := range t.Meters {
		there[m.ID] = true
	}
	astray := func(a ofproto.Action) bool {
		c, _ := a.(ofproto.Controller)
		_, ours := pipeline.MeterTag(c.Meter)
		return ours && !there[c.Meter]
	}
	for i, f := range t.Flows {
		if slices.ContainsFunc(f.Actions, astray) { // seldom: only then a copy is made
			rest := slices.DeleteFunc(slices.Clone(t.Flows[i:]), func(f ofproto.Flow) bool { return slices.ContainsFunc(f.Actions, astray) })
			return slices.Concat(t.Flows[:i], rest)
		}
	}
	return t.Flows
}

// unlearned returns flows without those that the switch has learned.
func unlearned(flows []ofproto.Flow) []ofproto.Flow {
	if !slices.ContainsFunc(flows, pipeline.IsStation) { // seldom: only then a copy is made
		return flows
	}
	return slices.DeleteFunc(slices.Clone(flows), pipeline.IsStation)
}

// readTables reads what the bridge really has.
func (s *session) readTables(ctx context.Context) error {
	began := time.Now()
	have, err := s.conn.Tables(ctx)
	if err != nil {
		return err
	}
	have.Flows = unlearned(metered(have))
	s.reads(have)
	s.fresh, s.cost = true, time.Since(began)
	s.took(PartRead, began)
	s.news = ofproto.TableChange{}
	return nil
}

// mend repairs what is not as it was given. What somebody changes back at once, again and
// again, has to wait. A bridge that could not be given anything may be ready now.
func (s *session) mend(ctx context.Context) error {
	if s.given == nil {
		return s.strive(ctx)
	}
	found := s.drift()
	if len(found) == 0 {
		return s.tell(ctx)
	}
	if wait := time.Until(s.fights.Due(subjects(found))); wait > 0 {
		s.truce = time.After(wait)
		return s.tell(ctx)
	}
	s.note(found)
	return s.strive(ctx)
}

// drift compares what the bridge has with what it was given.
func (s *session) drift() []Drift {
	if s.given == nil {
		return nil
	}
	have := s.tables()
	ours, theirs, err := divide(have, s.given, s.mode(s.job.input)) // that others are refused strive says
	s.report.Foreign = len(theirs)
	plan := ofproto.Diff(s.given.Tables(), ours)
	if plan.Empty() && err == nil {
		s.gave(s.given, theirs)
	}
	return drifted(plan, have, s.job.input, time.Now())
}

// note remembers what is going to be repaired, until it is.
func (s *session) note(found []Drift) {
	begun := s.fights.Repaired(subjects(found), time.Now())
	for _, what := range begun[:min(len(begun), toldDrift)] {
		s.config.Log.WithField("bridge", s.name).WithField("what", what).
			Warn("somebody changes this again as soon as it is repaired: from now on it is repaired less and less often, down to every 10 s")
	}
	known := make(map[string]bool, len(s.found))
	for _, d := range s.found {
		known[d.subject] = true
	}
	var made []ofproto.Flow
	for _, d := range found {
		made = append(made, d.made...)
	}
	s.expose(made, s.job.input)
	for _, d := range condense(found) {
		if !known[d.subject] {
			s.found = append(s.found, d)
		}
	}
}

// account says what has become of what was found: it is repaired, or err says why not.
func (s *session) account(ctx context.Context, err error) error {
	if len(s.found) == 0 {
		return nil
	}
	now, found := time.Now(), s.found
	s.found = nil
	for i := range found {
		found[i].After, found[i].Err = now.Sub(found[i].At), err
	}
	return s.Drifted(ctx, s.name, found...)
}

// Drifted tells the controller of something that somebody else has changed.
func (c *Controller) Drifted(ctx context.Context, bridge string, found ...Drift) error {
	for _, d := range found {
		c.logDrift(bridge, d)
	}
	return c.send(ctx, driftFound{bridge, found})
}

func (c *Controller) logDrift(bridge string, d Drift) {
	log := c.config.Log.WithField("bridge", bridge).WithField("what", d.What).WithField("change", d.Change)
	for name, value := range map[string]string{"intent": string(d.Intent), "was": d.Was, "is": d.Is} {
		if value != "" {
			log = log.WithField(name, value)
		}
	}
	if d.More > 0 {
		log = log.WithField("more", d.More)
	}
	if d.Err != nil {
		log.WithError(d.Err).Error("changed behind our back, and not repaired")
		return
	}
	log.WithField("after", d.After.String()).Warn("changed behind our back, and repaired")
}

// nextAudit is when the tables are read for the next time.
func (s *session) nextAudit() <-chan time.Time {
	if s.watched {
		return time.After(s.config.Audit)
	}
	return time.After(min(s.config.Audit, max(blindAudit, blindShare*s.cost)))
}
