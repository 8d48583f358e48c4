package ofconn

import (
	"context"
	"errors"
	"fmt"

	"weir/ofproto"
)

// ErrUnknownOutcome says that a plan may have been carried out, or not: the session
// ended, or the time was up, between the commit and its answer. The tables have to be
// read again.
var ErrUnknownOutcome = errors.New("outcome unknown")

// Apply carries out p: the meters first, then groups and flows in one atomic bundle,
// in p's order, then the meters that go. If the switch refuses part of p, nothing of
// the bundle has been done and the error is an *ofproto.Rejected. An empty plan sends
// nothing.
//
// The bundle is atomic, which costs the switch more than plain flow-mods do (it holds
// its main loop for 4 ms per 1,000 flows), because a policy of which one half is in
// place is nobody's policy.
func (c *Conn) Apply(ctx context.Context, p ofproto.Plan) error {
	for i := range p.PutMeters {
		if err := c.putMeter(ctx, &p.PutMeters[i]); err != nil {
			return err
		}
	}
	if len(p.PutGroups)+len(p.PutFlows)+len(p.DeleteFlows)+len(p.DeleteGroups) > 0 {
		if err := c.bundle(ctx, p); err != nil {
			return err
		}
	}
	for i := range p.DeleteMeters {
		if err := c.confirmed(ctx, ofproto.MeterMod{Command: 2, Meter: p.DeleteMeters[i]}); err != nil {
			return &ofproto.Rejected{Meter: &p.DeleteMeters[i], Err: err}
		}
	}
	return nil
}

// putMeter adds a meter, or changes the one that is there.
func (c *Conn) putMeter(ctx context.Context, m *ofproto.MeterConfig) error {
	err := c.confirmed(ctx, ofproto.MeterMod{Command: 0, Meter: *m})
	var e *ofproto.Error
	if errors.As(err, &e) && e.Error() == "OFPMMFC_METER_EXISTS" {
		err = c.confirmed(ctx, ofproto.MeterMod{Command: 1, Meter: *m})
	}
	if errors.As(err, &e) {
		return &ofproto.Rejected{Meter: m, Err: e}
	}
	return err
}

// confirmed sends a message and a barrier, and returns the error that the switch
// answers to the message.
func (c *Conn) confirmed(ctx context.Context, m ofproto.Message) error {
	xid := c.xid.Add(1)
	ch, forget := c.expect(xid)
	defer forget()
	c.modified.Add(1)
	if err := c.send(xid, m); err != nil {
		return err
	}
	if err := c.Barrier(ctx); err != nil {
		return err
	}
	select {
	case r := <-ch:
		if e, ok := r.m.(*ofproto.Error); ok {
			return e
		}
	default:
	}
	return nil
}

// A member is one message of a bundle, and what it stands for in the plan.
type member struct {
	m     ofproto.Message
	flow  *ofproto.Flow
	group *ofproto.Group
}

func members(p ofproto.Plan) []member {
	all := make([]member, 0, len(p.PutGroups)+len(p.PutFlows)+len(p.DeleteFlows)+len(p.DeleteGroups))
	for i := range p.PutGroups {
		all = append(all, member{m: ofproto.GroupMod{Command: ofproto.GroupAddOrMod, Group: p.PutGroups[i]}, group: &p.PutGroups[i]})
	}
	for i := range p.PutFlows {
		all = append(all, member{m: ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: p.PutFlows[i]}, flow: &p.PutFlows[i]})
	}
	for i := range p.DeleteFlows {
		all = append(all, member{m: ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: p.DeleteFlows[i]}, flow: &p.DeleteFlows[i]})
	}
	for i := range p.DeleteGroups {
		all = append(all, member{m: ofproto.GroupMod{Command: ofproto.GroupDelete, Group: p.DeleteGroups[i]}, group: &p.DeleteGroups[i]})
	}
	return all
}

const bundleFlags = ofproto.BundleAtomic | ofproto.BundleOrdered

// bundle sends the groups and flows of p as one bundle and commits it.
//
// A member that the switch cannot even read is refused at once and is then not in the
// bundle, which could be committed all the same. So there is a barrier before the commit:
// only a bundle of which all members were taken is committed.
func (c *Conn) bundle(ctx context.Context, p ofproto.Plan) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	id := c.xid.Add(1)
	if err := c.control(ctx, id, ofproto.BundleOpen); err != nil {
		return fmt.Errorf("open bundle: %w", err)
	}
	f := filling{Conn: c, id: id, members: members(p)}
	n := uint32(len(f.members))
	f.first = c.xid.Add(n+2) - (n + 2) + 1 // the members, the barrier, the commit
	xids := make([]uint32, n+2)
	for i := range xids {
		xids[i] = f.first + uint32(i)
	}
	ch, forget := c.expect(xids...)
	defer forget()
	f.answers = ch
	c.modified.Add(uint64(n))
	if err := f.fill(ctx); err != nil {
		c.control(ctx, id, ofproto.BundleDiscard) // what went wrong is worth more than what the switch says to this
		return err
	}
	return f.commit(ctx)
}

// A filling is a bundle on its way.
type filling struct {
	*Conn
	id      uint32
	first   uint32 // xid of the first member; the others follow
	members []member
	answers <-chan reply
}

func (f *filling) barrier() uint32   { return f.first + uint32(len(f.members)) }
func (f *filling) commitXID() uint32 { return f.barrier() + 1 }

// fill writes the members, many to a write, and returns when the switch has read them.
func (f *filling) fill(ctx context.Context) error {
	const batch = 1 << 18
	b := make([]byte, 0, batch+ofproto.MaxMessage)
	for i, m := range f.members {
		var err error
		xid := f.first + uint32(i)
		if b, err = ofproto.Append(b, xid, ofproto.BundleAdd{ID: f.id, Flags: bundleFlags, XID: xid, Message: m.m}); err != nil {
			return &ofproto.Rejected{Flow: m.flow, Group: m.group, Err: err}
		}
		if len(b) >= batch {
			if err := f.write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	b, err := ofproto.Append(b, f.barrier(), ofproto.BarrierRequest{})
	if err != nil {
		return err
	}
	if err := f.write(b); err != nil {
		return err
	}
	return f.await(ctx, f.barrier())
}

// commit commits the bundle. From here on the outcome may become unknown.
func (f *filling) commit(ctx context.Context) error {
	unknown := func(err error) error { return fmt.Errorf("commit: %w: %w", ErrUnknownOutcome, err) }
	if err := f.send(f.commitXID(), ofproto.BundleControl{ID: f.id, Type: ofproto.BundleCommit, Flags: bundleFlags}); err != nil {
		return unknown(err)
	}
	err := f.await(ctx, f.commitXID())
	var r *ofproto.Rejected
	var e *ofproto.Error
	if err == nil || errors.As(err, &r) || errors.As(err, &e) {
		return err
	}
	return unknown(err)
}

// await waits for the answer to an xid. The error of a member comes before it, with the
// xid of the member.
func (f *filling) await(ctx context.Context, xid uint32) error {
	var refused error
	for {
		r, err := f.next(ctx, f.answers)
		if err != nil {
			return err
		}
		e, failed := r.m.(*ofproto.Error)
		if i := r.xid - f.first; failed && i < uint32(len(f.members)) && refused == nil {
			refused = &ofproto.Rejected{Flow: f.members[i].flow, Group: f.members[i].group, Err: e}
		}
		switch {
		case r.xid != xid:
		case refused != nil:
			return refused
		case failed:
			return fmt.Errorf("bundle: %w", e)
		default:
			return nil
		}
	}
}

func (c *Conn) control(ctx context.Context, id uint32, t ofproto.BundleControlType) error {
	_, err := c.ask(ctx, ofproto.BundleControl{ID: id, Type: t, Flags: bundleFlags})
	return err
}
