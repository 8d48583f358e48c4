package ofconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"weir/ofproto"
)

// ErrUnknownOutcome says that what was sent may have been carried out, or not: the session
// ended, or the time was up, before the switch had said which. What depends on it has to be
// read again.
var ErrUnknownOutcome = errors.New("outcome unknown")

// A receiver takes what comes for an xid. It is called by the reader, and does not block.
type receiver interface {
	take(xid uint32, m ofproto.Message)
}

// xids reserves n consecutive xids, and returns the first. None of them is 0, which is what
// a switch says of its own accord.
func (c *Conn) xids(n int) (first uint32) {
	for {
		last := c.xid.Load()
		first := last + 1
		if first == 0 || first > -uint32(max(n, 1)) { // the last would be behind the last that there is
			first = 1
		}
		if c.xid.CompareAndSwap(last, first+uint32(n)-1) {
			return first
		}
	}
}

// receiverOf returns who waits for an xid, or nil.
func (c *Conn) receiverOf(xid uint32) receiver {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.waiting[xid]; ok {
		return r
	}
	for _, s := range c.spans {
		if xid-s.first < uint32(s.members+s.controls) {
			return s
		}
	}
	return nil
}

func (c *Conn) expect(xid uint32, r receiver) (forget func()) {
	c.mu.Lock()
	c.waiting[xid] = r
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		delete(c.waiting, xid)
		c.mu.Unlock()
	}
}

// bounded gives ctx a deadline if it has none.
func (c *Conn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.config.Answer)
}

// An answer is where the one message goes that answers a request.
type answer chan ofproto.Message

func (a answer) take(_ uint32, m ofproto.Message) {
	select {
	case a <- m:
	default: // a second one means nothing
	}
}

// Ask sends a request that has one answer, and returns it. The error is an *ofproto.Error
// if the switch refused the request.
func (c *Conn) Ask(ctx context.Context, m ofproto.Message) (ofproto.Message, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	xid := c.xids(1)
	a := make(answer, 1)
	defer c.expect(xid, a)()
	if err := c.send(ctx, xid, m); err != nil {
		return nil, err
	}
	r, err := next(ctx, c, a)
	if e, ok := r.(*ofproto.Error); ok {
		return nil, e
	}
	return r, err
}

// next waits for what the reader sends. That which has come before the end of the session,
// or just in time, counts.
func next[T any](ctx context.Context, c *Conn, from <-chan T) (v T, err error) {
	select {
	case v = <-from:
		return v, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.done:
		err = c.cut()
	}
	select {
	case v = <-from:
		return v, nil
	default:
		return v, err
	}
}

// Send sends a message, and does not wait for what becomes of it: should the switch refuse
// it, that is an event. Messages leave in the order in which they are sent.
func (c *Conn) Send(ctx context.Context, m ofproto.Message) error {
	c.count(m)
	return c.send(ctx, c.xids(1), m)
}

// Barrier returns when the switch has done all that was sent before.
func (c *Conn) Barrier(ctx context.Context) error {
	_, err := c.Ask(ctx, ofproto.BarrierRequest{})
	return err
}

// A span is a sequence of messages with consecutive xids, and what the switch says to
// them: members that it answers only to refuse them, and after them controls, each of
// which it answers.
type span struct {
	*Conn
	first             uint32
	members, controls int

	news chan struct{} // has room for one: something has come

	mu       sync.Mutex
	refused  int // the first member that was refused, if why is not nil
	why      *ofproto.Error
	answers  []ofproto.Message // to the controls, in the order in which they stand
	answered int               // how many controls have been answered
}

// span reserves xids. Who has called it calls forget in the end.
func (c *Conn) span(members, controls int) (s *span, forget func()) {
	s = &span{
		Conn: c, first: c.xids(members + controls), members: members, controls: controls,
		news: make(chan struct{}, 1), answers: make([]ofproto.Message, controls),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, s)
	return s, func() { c.forget(s) }
}

func (c *Conn) forget(s *span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = slices.DeleteFunc(c.spans, func(t *span) bool { return t == s })
}

// The xids of the i-th member and of the i-th control.
func (s *span) member(i int) uint32  { return s.first + uint32(i) }
func (s *span) control(i int) uint32 { return s.first + uint32(s.members+i) }

func (s *span) take(xid uint32, m ofproto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := int(xid - s.first)
	e, failed := m.(*ofproto.Error)
	switch {
	case i >= s.members && s.answers[i-s.members] == nil:
		s.answers[i-s.members] = m
		s.answered++
	case i < s.members && failed && (s.why == nil || i < s.refused):
		s.refused, s.why = i, e
	default:
		return
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// rejected returns the first member that was refused, and why, or nil.
func (s *span) rejected() (int, *ofproto.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.why
}

// progress reports how many controls have been answered.
func (s *span) progress() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// taken reports whether a control has been answered, and not with an error.
func (s *span) taken(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, failed := s.answers[i].(*ofproto.Error)
	return s.answers[i] != nil && !failed
}

// await waits for the answer to a control. If that is an error it is returned.
func (s *span) await(ctx context.Context, i int) error {
	for {
		s.mu.Lock()
		m := s.answers[i]
		s.mu.Unlock()
		if e, failed := m.(*ofproto.Error); failed {
			return e
		}
		if m != nil {
			return nil
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits for news.
func (s *span) wait(ctx context.Context) error {
	_, err := next(ctx, s.Conn, s.news)
	return err
}

// Do sends messages that are answered only if they are refused, and returns when the
// switch has carried them out, in their order. If it refuses one, the error is the
// *ofproto.Error about the first of those; the others have been carried out all the same.
// If the session ends, or the time is up, before the switch has said so, the error is
// ErrUnknownOutcome.
func (c *Conn) Do(ctx context.Context, messages ...ofproto.Message) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s, forget := c.span(len(messages), 1)
	defer forget()
	for i, m := range messages {
		err := c.queue(ctx, true, func(b []byte) ([]byte, error) { return ofproto.Append(b, s.member(i), m) })
		if err != nil && i == 0 {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
		}
		c.count(m)
	}
	err := c.send(ctx, s.control(0), ofproto.BarrierRequest{})
	if err == nil {
		err = s.await(ctx, 0)
	}
	_, why := s.rejected()
	switch {
	case why == nil:
		return unknown(err)
	case broken(err):
		return fmt.Errorf("%w: %w", unknown(err), why)
	}
	return why
}

// broken reports whether an error is more than a switch that says no.
func broken(err error) bool {
	var e *ofproto.Error
	return err != nil && !errors.As(err, &e)
}

// unknown says that an outcome is unknown, unless the switch itself has said no.
func unknown(err error) error {
	if !broken(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// count counts the modifications sent.
func (c *Conn) count(m ofproto.Message) {
	switch m.(type) {
	case ofproto.FlowMod, ofproto.GroupMod, ofproto.MeterMod:
		c.modified.Add(1)
	}
}

// FlushZone removes all connections of a conntrack zone, and returns when that is done.
func (c *Conn) FlushZone(ctx context.Context, zone uint16) error {
	if err := c.Do(ctx, ofproto.CTFlushZone{Zone: zone}); err != nil {
		return fmt.Errorf("flush zone %d: %w", zone, err)
	}
	return nil
}

// FlushConnections removes single connections, and returns when that is done. The error is
// an *ofproto.Error if the switch does not know how, which Open vSwitch does from 3.1 on.
func (c *Conn) FlushConnections(ctx context.Context, flushes []ofproto.CTFlush) error {
	messages := make([]ofproto.Message, len(flushes))
	for i, f := range flushes {
		messages[i] = f
	}
	if err := c.Do(ctx, messages...); err != nil {
		return fmt.Errorf("flush connections: %w", err)
	}
	return nil
}
