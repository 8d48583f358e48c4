package ofconn

import (
	"context"
	"fmt"

	"weir/ofproto"
)

const bundleFlags = ofproto.BundleAtomic | ofproto.BundleOrdered

// A bundle is open until it is committed or discarded. The controls of its span are the
// opening, a barrier and the commit.
type bundle struct {
	*span
	id       uint32
	messages messages
}

const (
	bundleOpened = iota
	bundleFilled
	bundleCommitted
	bundleControls
)

// ApplyAtomically carries out the groups and flows of p, whose meters it leaves alone, as
// one atomic bundle: see Apply. If the switch refuses part of p, nothing has been done and
// the error is an *ofproto.Rejected. If it is not known whether the bundle was committed,
// the error is ErrUnknownOutcome.
func (c *Conn) ApplyAtomically(ctx context.Context, p ofproto.Plan) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	m := messagesOf(p)
	if m.len() == 0 {
		return nil
	}
	s, forget := c.span(m.len(), bundleControls)
	defer forget()
	b := &bundle{span: s, id: s.first, messages: m}
	if err := b.open(ctx); err != nil {
		b.discard()
		return err
	}
	return b.complete(ctx, 0)
}

// complete adds the members from the first on, and commits the bundle, or has the switch forget it.
func (b *bundle) complete(ctx context.Context, first int) error {
	if err := b.fill(ctx, first); err != nil {
		b.discard()
		return err
	}
	return b.commit(ctx)
}

// fill adds the members from the first on, and returns when the switch has taken all of them.
func (b *bundle) fill(ctx context.Context, first int) error {
	for i := first; i < b.messages.len(); i++ {
		if err := b.add(ctx, i); err != nil {
			return err
		}
		if _, why := b.rejected(); why != nil {
			break // the rest would be in vain
		}
	}
	err := b.filled(ctx)
	if i, why := b.rejected(); why != nil && b.taken(bundleOpened) {
		return b.messages.rejected(i, why)
	}
	return err
}

func (b *bundle) open(ctx context.Context) error {
	return b.send(ctx, b.control(bundleOpened), b.of(ofproto.BundleOpen))
}

// filled waits until the switch has looked at all members.
//
// A member that the switch cannot even read is refused at once and is then not in the
// bundle, which could be committed all the same. So there is a barrier before the commit:
// only a bundle of which all members were taken is committed.
func (b *bundle) filled(ctx context.Context) error {
	if err := b.send(ctx, b.control(bundleFilled), ofproto.BarrierRequest{}); err != nil {
		return err
	}
	if err := b.await(ctx, bundleOpened); err != nil { // that is why the members were refused
		return fmt.Errorf("open bundle: %w", err)
	}
	return b.await(ctx, bundleFilled)
}

func (b *bundle) of(t ofproto.BundleControlType) ofproto.Message {
	return ofproto.BundleControl{ID: b.id, Type: t, Flags: bundleFlags}
}

// add queues the i-th member of the plan.
func (b *bundle) add(ctx context.Context, i int) error {
	m, _, _ := b.messages.at(i)
	err, bad := b.put(ctx, i, m)
	if bad != nil {
		return b.messages.rejected(i, bad)
	}
	b.modified.Add(1)
	b.bundles.Add(1)
	return err
}

// put queues a member. It has the xid of the message that brings it: a switch may use
// either when it refuses it. bad says why it cannot be sent.
func (b *bundle) put(ctx context.Context, i int, m ofproto.Message) (err, bad error) {
	xid := b.member(i)
	err = b.queue(ctx, true, func(buf []byte) ([]byte, error) {
		buf, bad = ofproto.Append(buf, xid, ofproto.BundleAdd{ID: b.id, Flags: bundleFlags, XID: xid, Message: m})
		return buf, bad
	})
	return err, bad
}

// commit commits the bundle. From here on the outcome may become unknown. The error of a
// member, with its xid, comes before the one of the commit, which then says no more than
// that there was one.
func (b *bundle) commit(ctx context.Context) error {
	err := b.committed(ctx)
	if i, why := b.rejected(); why != nil && err != nil {
		return b.messages.rejected(i, why)
	}
	if broken(err) {
		return fmt.Errorf("commit: %w", unknown(err))
	}
	return err
}

func (b *bundle) committed(ctx context.Context) error {
	if err := b.send(ctx, b.control(bundleCommitted), b.of(ofproto.BundleCommit)); err != nil {
		return err
	}
	return b.await(ctx, bundleCommitted)
}

// discard has the switch forget the bundle. What has gone wrong is worth more than what it
// says to that; a switch that does not hear it forgets the bundle with the session.
func (b *bundle) discard() { b.reply(b.xids(1), b.of(ofproto.BundleDiscard)) }
