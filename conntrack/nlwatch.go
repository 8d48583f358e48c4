package conntrack

import (
	"context"
	"errors"
	"iter"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What Watch does if a Netlink does not say otherwise.
const (
	readBufferEvents = 32 << 20
	resyncEvery      = 30 * time.Second
	mostDumps        = 5       // of a table that is rebuilt meanwhile
	mostPending      = 1 << 14 // messages that are read before a dump
	retryWatch       = time.Second
)

// eventGroups are NFNLGRP_CONNTRACK_NEW, _UPDATE and _DESTROY.
var eventGroups = []int{1, 2, 3}

// Watch implements Watcher by the kernel's events: a change is told when it is made. Events do not
// say everything, and not of everything: the kernel has none of connections that were there
// before somebody listened (nf_conntrack_events=2), and drops what nobody reads in time, which
// it then says. So the table is read when Watch begins, when events were lost, and every Resync:
// what is told is never wrong for longer. It keeps some 600 bytes for each connection.
func (n *Netlink) Watch(ctx context.Context, f Filter) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		listening := true
		v := view{filter: f, known: map[Key]Entry{}, yield: func(c Change, err error) bool {
			listening = listening && yield(c, err)
			return listening
		}}
		for listening {
			err := n.follow(ctx, &v)
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, unix.ENOBUFS): // what still waits in the socket is older than what was lost: it begins with a new one
				if n.Lost != nil {
					n.Lost()
				}
			case listening && (!yield(Change{}, err) || !wait(ctx, retryWatch)):
				return
			}
		}
	}
}

// follow listens, reads the table, and goes on with events until that fails: ENOBUFS says that
// some were lost. nil: nobody listens any more.
func (n *Netlink) follow(ctx context.Context, v *view) error {
	s, err := newSocket(n.Netns)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.subscribe(n.ReadBuffer); err != nil {
		return err
	}
	every := n.Resync
	if every == 0 {
		every = resyncEvery
	}
	w := watching{socket: s, view: v}
	for {
		if err := n.resync(ctx, v); err != nil {
			return err
		}
		next := time.Now().Add(every)
		if on, err := w.until(ctx, next); err != nil || !on {
			return err
		}
		if on, err := w.pending(); err != nil || !on {
			return err
		}
	}
}

// subscribe joins the groups of events, with room for some bytes of them; zero: 32 MiB.
func (s *socket) subscribe(room int) error {
	if room == 0 {
		room = readBufferEvents
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room); err != nil {
			return explained("make room for events", err)
		}
	}
	for _, g := range eventGroups {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return explained("listen to events", err)
		}
	}
	return nil
}

// resync reads the whole table, and tells what is otherwise than it was known.
func (n *Netlink) resync(ctx context.Context, v *view) error {
	for range mostDumps {
		seen := make(map[Key]bool, len(v.known))
		var err error
		for e, wrong := range n.Entries(ctx, v.filter) {
			var damage *Damage
			if err = wrong; errors.As(wrong, &damage) {
				err = nil
				if !v.yield(Change{}, wrong) {
					return nil
				}
				continue
			} else if wrong != nil {
				break
			}
			seen[e.Key()] = true
			if !v.put(e) {
				return nil
			}
		}
		if err == nil {
			v.begun = true
			v.endOthers(seen)
			return nil
		}
		if !errors.Is(err, ErrInterrupted) {
			return err
		}
	}
	return ErrInterrupted
}

// endOthers ends what was not seen.
func (v *view) endOthers(seen map[Key]bool) {
	for k := range v.known {
		if !seen[k] && !v.end(k) {
			return
		}
	}
}

// A view is what is known of the connections that a filter means. What becomes of them is told
// to yield, until that returns false.
type view struct {
	filter Filter
	known  map[Key]Entry
	begun  bool // the first reading is over
	yield  func(Change, error) bool
}

// differs reports whether o is another connection than e, or has changed otherwise than by growing
// older and by what it has carried. When it began an event does not say.
func differs(e, o Entry) bool {
	if e.Start == 0 || o.Start == 0 {
		e.Start, o.Start = 0, 0
	}
	return e.lasting() != o.lasting()
}

// put takes in what is there, and reports whether somebody still listens.
func (v *view) put(e Entry) bool {
	k := e.Key()
	before, known := v.known[k]
	if !v.filter.Matches(&e) {
		return !known || v.end(k)
	}
	v.known[k] = e
	switch {
	case !known && !v.begun:
		return v.yield(Change{Kind: Present, Entry: e}, nil)
	case !known:
		return v.yield(Change{Kind: New, Entry: e}, nil)
	case before.ID != e.ID:
		return v.yield(Change{Kind: Ended, Entry: before}, nil) && v.yield(Change{Kind: New, Entry: e}, nil)
	case differs(before, e):
		return v.yield(Change{Kind: Changed, Entry: e, Before: before}, nil)
	}
	return true
}

// end takes out what is there no more.
func (v *view) end(k Key) bool {
	e, known := v.known[k]
	delete(v.known, k)
	return !known || v.yield(Change{Kind: Ended, Entry: e}, nil)
}

// A watching takes events into a view.
type watching struct {
	*socket
	decoder
	view *view
}

// until takes events until a time. It reports whether somebody still listens.
func (w *watching) until(ctx context.Context, at time.Time) (on bool, err error) {
	if err := w.f.SetReadDeadline(at); err != nil {
		return false, err
	}
	defer w.socket.until(ctx)()
	for {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		n, err := w.f.Read(w.buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			return true, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, ctx.Err()
		case err != nil:
			return false, explained("read events", err)
		}
		if on, err := w.take(w.buf[:n]); err != nil || !on {
			return false, err
		}
	}
}

// pending takes the events that have come: what is read then is newer than all of them.
func (w *watching) pending() (on bool, err error) {
	for range mostPending {
		n, err := unix.Read(w.fd, w.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return true, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, explained("read events", err)
		}
		if on, err := w.take(w.buf[:n]); err != nil || !on {
			return false, err
		}
	}
	return true, nil
}

// take takes in what was read.
func (w *watching) take(b []byte) (on bool, err error) {
	for count := 1; len(b) > 0; count++ {
		var m message
		if m, b, err = cutMessage(b); err != nil {
			return false, explained("read events", err)
		}
		var e Entry
		switch m.typ {
		case subsysConntrack | msgNew, subsysConntrack | msgDelete:
			err = w.entry(m.body, &e)
		default:
			continue
		}
		switch {
		case err != nil:
			on = w.view.yield(Change{}, damaged(count, m.body, err))
		case m.typ == subsysConntrack|msgDelete:
			on = w.ended(e)
		default:
			on = w.view.put(w.whole(e))
		}
		if !on {
			return false, nil
		}
	}
	return true, nil
}

// ended takes out what an event says is gone; it says how much that has carried. If what is known
// has another id it has come since.
func (w *watching) ended(e Entry) bool {
	k := e.Key()
	known, ok := w.view.known[k]
	if ok && known.ID != e.ID {
		return true
	}
	if ok {
		w.view.known[k] = w.whole(e)
	}
	return w.view.end(k)
}

// whole returns what is known of the connection of an event, which says only what has changed;
// but a mark always, unless that is zero.
func (w *watching) whole(e Entry) Entry {
	known, ok := w.view.known[e.Key()]
	if !ok || known.ID != e.ID {
		return e
	}
	silent := func(attr int) bool { return w.said&(1<<attr) == 0 }
	if silent(ctaLabels) {
		e.Label = known.Label
	}
	if silent(ctaProtoinfo) {
		e.State, e.StateOrig, e.StateReply = known.State, known.StateOrig, known.StateReply
		e.ScaleOrig, e.ScaleReply, e.FlagsOrig, e.FlagsReply = known.ScaleOrig, known.ScaleReply, known.FlagsOrig, known.FlagsReply
		e.TagOrig, e.TagReply = known.TagOrig, known.TagReply
	}
	if silent(ctaHelp) {
		e.Helper = known.Helper
	}
	if silent(ctaTupleMaster) {
		e.Parent = known.Parent
	}
	if silent(ctaCountersOrig) {
		e.CountOrig, e.CountReply = known.CountOrig, known.CountReply
	}
	if silent(ctaTimestamp) {
		e.Start = known.Start
	}
	if silent(ctaStatus) {
		e.Status = known.Status
	}
	if silent(ctaTimeout) {
		e.Timeout = known.Timeout
	}
	return e
}
