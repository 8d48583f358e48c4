package ofconn

import (
	"context"
	"errors"
	"fmt"

	"weir/ofproto"
)

// ErrPartlyDone says that a plan was carried out in part. The tables have to be read again.
var ErrPartlyDone = errors.New("partly done")

const (
	batchSize = 500 // messages between barriers: the switch goes on with other work after so many
	inFlight  = 8   // barriers that may be unanswered: less lets the switch wait for us
)

// A batched is a plan that is carried out in batches, each of which ends with a barrier.
type batched struct {
	*span
	messages messages
}

// ApplyInBatches carries out the groups and flows of p, whose meters it leaves alone, in
// p's order, with a barrier after every 500: see Apply. What has been carried out is in
// force at once. If the switch refuses part of p, the rest of its batch and of those on
// their way is carried out nevertheless, and the error is an *ofproto.Rejected and
// ErrPartlyDone. If the session ends, or the time is up, the error is ErrUnknownOutcome.
func (c *Conn) ApplyInBatches(ctx context.Context, p ofproto.Plan) error {
	_, err := c.inBatches(ctx, p)
	return err
}

// inBatches also returns how many of the members were sent.
func (c *Conn) inBatches(ctx context.Context, p ofproto.Plan) (sent int, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	m := messagesOf(p)
	s, forget := c.span(m.len(), (m.len()+batchSize-1)/batchSize)
	defer forget()
	b := &batched{span: s, messages: m}
	barriers := 0
	for ; sent < m.len() && err == nil; barriers++ {
		if _, why := b.rejected(); why != nil {
			break
		}
		sent, err = b.batch(ctx, sent, barriers)
	}
	return sent, b.outcome(err, b.drain(ctx, barriers, err))
}

// batch sends the members from i on, up to the next barrier and with it, once so many
// barriers before it have been answered.
func (b *batched) batch(ctx context.Context, i, barrier int) (int, error) {
	for b.progress() <= barrier-inFlight {
		if err := b.wait(ctx); err != nil {
			return i, err
		}
	}
	var bad error // what cannot be sent ends the batch, and what came before is waited for
	for end := min(i+batchSize, b.messages.len()); i < end && bad == nil; i++ {
		bad = b.put(ctx, i)
	}
	if err := b.send(ctx, b.control(barrier), ofproto.BarrierRequest{}); err != nil {
		return i, err
	}
	return i, bad
}

func (b *batched) put(ctx context.Context, i int) error {
	m, _, _ := b.messages.at(i)
	var bad error
	err := b.queue(ctx, true, func(buf []byte) ([]byte, error) {
		buf, bad = ofproto.Append(buf, b.member(i), m)
		return buf, bad
	})
	if bad != nil {
		return b.messages.rejected(i, bad)
	}
	b.modified.Add(1)
	return err
}

// drain waits for the barriers that were sent, unless nothing can come any more.
func (b *batched) drain(ctx context.Context, barriers int, err error) error {
	var r *ofproto.Rejected
	if err != nil && !errors.As(err, &r) {
		return err
	}
	for i := range barriers {
		if err := b.await(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// outcome says what has become of the plan. What is unknown is not called rejected: who
// hears that something was rejected may think that nothing else is to be known.
func (b *batched) outcome(err, drained error) error {
	if i, why := b.rejected(); why != nil {
		err = b.messages.rejected(i, why)
	}
	var r *ofproto.Rejected
	switch {
	case drained != nil && err != nil:
		return fmt.Errorf("%w: %w (%v)", ErrUnknownOutcome, drained, err)
	case drained != nil:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, drained)
	case errors.As(err, &r):
		return fmt.Errorf("%w: %w", ErrPartlyDone, err)
	}
	return err
}

// empty reports whether the bridge has neither flows nor groups.
func (c *Conn) empty(ctx context.Context) (bool, error) {
	a, err := c.Aggregate(ctx, ofproto.FlowQuery{Table: ofproto.AllTables})
	if err != nil || a.Flows > 0 {
		return false, err
	}
	groups, err := c.groups(ctx)
	return len(groups) == 0, err
}

// fill carries out a plan that only adds, on an empty bridge: see Apply.
func (c *Conn) fill(ctx context.Context, p ofproto.Plan) error {
	var first, others ofproto.Plan
	others.PutGroups = p.PutGroups
	for _, f := range p.PutFlows {
		if f.Table == 0 {
			first.PutFlows = append(first.PutFlows, f)
		} else {
			others.PutFlows = append(others.PutFlows, f)
		}
	}
	sent, err := c.inBatches(ctx, others)
	if err == nil {
		err = c.ApplyAtomically(ctx, first)
	}
	var r *ofproto.Rejected
	switch {
	case err == nil || errors.Is(err, ErrUnknownOutcome):
		return err
	case errors.As(err, &r):
		err = r // and soon no longer partly done
	case broken(err): // nobody is there to take it back
		return unknown(err)
	}
	if undoing := c.undo(ctx, others, sent); undoing != nil {
		return fmt.Errorf("%w: taking it back: %w (%v)", ErrUnknownOutcome, undoing, err)
	}
	return err
}

// undo takes back what of p may have been put.
func (c *Conn) undo(ctx context.Context, p ofproto.Plan, sent int) error {
	groups := min(sent, len(p.PutGroups))
	_, err := c.inBatches(ctx, ofproto.Plan{DeleteFlows: p.PutFlows[:sent-groups], DeleteGroups: p.PutGroups[:groups]})
	if err != nil { // what was rejected of this is none of the caller's plan
		return errors.New(err.Error())
	}
	return nil
}
