package controller

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// An Announcer has it told outside which addresses are a bridge's. It keeps nothing.
type Announcer struct {
	// Answered reads off flows which addresses they answer for. The flows of the bridge itself
	// are always among them, and those of some or all of its tenants.
	Answered func([]ofproto.Flow) []pipeline.Presence
	Announce func(pipeline.Presence, netip.Addr) ofproto.PacketOut
}

// An address is announced three times (RFC 4861, 7.2.6), for what is said to all on a link may
// be lost, 2 s apart (RFC 5227, 1.1). Of many addresses each has its turn, so that neither the
// link nor the hosts on it are flooded.
const (
	announceTimes = 3
	announceAgain = 2 * time.Second
	announcePause = 20 * time.Millisecond
	announceBurst = 5 // after each pause: 250 in a second
)

// announcing is what is told of a bridge's addresses. Its session owns it.
type announcing struct {
	known map[pipeline.Presence]bool // what the bridge answered for when it was last as it should be
	own   *pipeline.Unit             // the bridge's own, then; nil: it may have been changed since
	queue []announcement
	last  time.Time
	turn  <-chan time.Time
}

// An announcement is the addresses of a prefix that are still to be announced.
type announcement struct {
	pipeline.Presence
	next  netip.Addr // of the prefix
	times int        // that are left
	due   time.Time
}

// present notes what the bridge answered for before there was this session: that is known
// outside, and need not be announced.
func (s *session) present() {
	s.announcing.known = s.answered(s.tables().Flows)
}

func (s *session) answered(flows []ofproto.Flow) map[pipeline.Presence]bool {
	all := map[pipeline.Presence]bool{}
	if s.config.Announcer.Answered != nil {
		for _, p := range s.config.Announcer.Answered(flows) {
			all[p] = true
		}
	}
	return all
}

// announce has what the bridge answers for after a change, and did not before, announced. What
// it had before that is asked of what is remembered, and not of the change: one of which nobody
// knew for a while whether it was made may have been made.
func (s *session) announce(ctx context.Context, p *pipeline.Program, x change) error {
	if s.config.Announcer.Answered == nil || len(p.Units) == 0 {
		return nil
	}
	a, own, want, have := &s.announcing, p.Units[0], x.want.Flows, x.have.Flows
	if a.own == own { // the router is the same: only what is changed need be looked at
		want, have = slices.Concat(own.Flows, x.plan.PutFlows), slices.Concat(own.Flows, x.plan.DeleteFlows)
	}
	a.own = own
	now, before := s.answered(want), s.answered(have)
	for p := range before {
		if !now[p] {
			delete(a.known, p)
		}
	}
	a.queue = slices.DeleteFunc(a.queue, func(n announcement) bool { return !a.known[n.Presence] })
	for p := range now {
		if !a.known[p] {
			a.known[p] = true
			a.queue = append(a.queue, announcement{p, p.Prefix.Addr(), announceTimes, time.Now()})
		}
	}
	return s.announceOn(ctx)
}

// announceOn announces some of the addresses whose turn it is.
func (s *session) announceOn(ctx context.Context) error {
	a, now := &s.announcing, time.Now()
	if a.turn = nil; len(a.queue) == 0 {
		return nil
	}
	if wait := announcePause - now.Sub(a.last); wait > 0 {
		a.turn = time.After(wait)
		return nil
	}
	for range announceBurst {
		i := slices.IndexFunc(a.queue, func(n announcement) bool { return !n.due.After(now) })
		if i < 0 {
			break
		}
		a.last = now
		if err := s.conn.PacketOut(ctx, s.config.Announcer.Announce(a.queue[i].Presence, a.queue[i].next)); err != nil {
			return err
		}
		a.passOn(i)
	}
	if len(a.queue) > 0 {
		first := slices.MinFunc(a.queue, func(n, m announcement) int { return n.due.Compare(m.due) })
		a.turn = time.After(max(announcePause, first.due.Sub(now)))
	}
	return nil
}

// passOn puts the announcement whose turn it was behind the others, if there is more of it.
func (a *announcing) passOn(i int) {
	n := a.queue[i]
	a.queue = slices.Delete(a.queue, i, i+1)
	if n.next = n.next.Next(); !n.Prefix.Contains(n.next) {
		n.next, n.times, n.due = n.Prefix.Addr(), n.times-1, a.last.Add(announceAgain)
	}
	if n.times > 0 {
		a.queue = append(a.queue, n)
	}
}
