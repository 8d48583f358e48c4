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
func (c *Conn) bundle(ctx context.Context, p ofproto.Plan) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	id := c.xid.Add(1)
	if err := c.control(ctx, id, ofproto.BundleOpen); err != nil {
		return fmt.Errorf("open bundle: %w", err)
	}
	all := members(p)
	first := c.xid.Add(uint32(len(all))) - uint32(len(all)) + 1
	xids := make([]uint32, len(all)+1)
	for i := range all {
		xids[i] = first + uint32(i)
	}
	commit := c.xid.Add(1)
	xids[len(all)] = commit
	ch, forget := c.expect(xids...)
	defer forget()
	c.modified.Add(uint64(len(all)))
	if err := c.fill(id, first, all, commit); err != nil {
		var r *ofproto.Rejected
		if errors.As(err, &r) {
			c.control(ctx, id, ofproto.BundleDiscard) // what was refused here is worth more than what the switch says to this
		}
		return err
	}
	return c.committed(ctx, ch, commit, first, all)
}

// fill writes the members and the commit, many to a write.
func (c *Conn) fill(id, first uint32, all []member, commit uint32) error {
	const batch = 1 << 18
	b := make([]byte, 0, batch+ofproto.MaxMessage)
	for i := range all {
		var err error
		xid := first + uint32(i)
		add := ofproto.BundleAdd{ID: id, Flags: bundleFlags, XID: xid, Message: all[i].m}
		if b, err = ofproto.Append(b, xid, add); err != nil {
			return &ofproto.Rejected{Flow: all[i].flow, Group: all[i].group, Err: err}
		}
		if len(b) >= batch {
			if err := c.write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	b, err := ofproto.Append(b, commit, ofproto.BundleControl{ID: id, Type: ofproto.BundleCommit, Flags: bundleFlags})
	if err != nil {
		return err
	}
	if err := c.write(b); err != nil {
		return fmt.Errorf("commit: %w: %w", ErrUnknownOutcome, err)
	}
	return nil
}

// committed waits for the answer to the commit. The error of a member comes before it,
// with the xid of the member.
func (c *Conn) committed(ctx context.Context, ch <-chan reply, commit, first uint32, all []member) error {
	var refused error
	for {
		r, err := c.next(ctx, ch)
		if err != nil {
			return fmt.Errorf("commit: %w: %w", ErrUnknownOutcome, err)
		}
		e, failed := r.m.(*ofproto.Error)
		switch i := r.xid - first; {
		case failed && i < uint32(len(all)):
			if refused == nil {
				refused = &ofproto.Rejected{Flow: all[i].flow, Group: all[i].group, Err: e}
			}
		case r.xid != commit:
		case refused != nil:
			return refused
		case failed:
			return fmt.Errorf("commit: %w", e)
		default:
			return nil
		}
	}
}

func (c *Conn) control(ctx context.Context, id uint32, t ofproto.BundleControlType) error {
	_, err := c.ask(ctx, ofproto.BundleControl{ID: id, Type: t, Flags: bundleFlags})
	return err
}
