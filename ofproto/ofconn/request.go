package ofconn

import (
	"context"
	"fmt"

	"weir/ofproto"
)

// expect registers for the answers to some xids. The channel has room for a burst; the
// reader waits for whoever is slow, so that nothing is lost.
func (c *Conn) expect(xids ...uint32) (<-chan reply, func()) {
	ch := make(chan reply, 64)
	c.mu.Lock()
	for _, x := range xids {
		c.waiting[x] = ch
	}
	c.mu.Unlock()
	return ch, func() {
		c.mu.Lock()
		for _, x := range xids {
			delete(c.waiting, x)
		}
		c.mu.Unlock()
		for { // free a reader that is about to deliver
			select {
			case <-ch:
				continue
			default:
			}
			return
		}
	}
}

// next waits for an answer.
func (c *Conn) next(ctx context.Context, ch <-chan reply) (reply, error) {
	select {
	case r := <-ch:
		return r, nil
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case <-c.done:
		return reply{}, fmt.Errorf("%w: %w", ErrClosed, c.Err())
	}
}

// bounded gives ctx a deadline if it has none.
func (c *Conn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.config.Answer)
}

// ask sends a request and returns its one answer. An error message is an error.
func (c *Conn) ask(ctx context.Context, m ofproto.Message) (ofproto.Message, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	xid := c.xid.Add(1)
	ch, forget := c.expect(xid)
	defer forget()
	if err := c.send(xid, m); err != nil {
		return nil, err
	}
	r, err := c.next(ctx, ch)
	if err != nil {
		return nil, err
	}
	if e, ok := r.m.(*ofproto.Error); ok {
		return nil, e
	}
	return r.m, nil
}

// maxMultipart bounds what one multipart answer may hold, for a switch that never
// stops: a gigabyte is a bridge of several million flows.
const maxMultipart = 1 << 30

// multipart sends a request and calls part for each part of the answer.
func (c *Conn) multipart(ctx context.Context, m ofproto.MultipartRequest, part func([]byte) error) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	xid := c.xid.Add(1)
	ch, forget := c.expect(xid)
	defer forget()
	if err := c.send(xid, m); err != nil {
		return err
	}
	for size := 0; ; {
		r, err := c.next(ctx, ch)
		if err != nil {
			return err
		}
		if e, ok := r.m.(*ofproto.Error); ok {
			return e
		}
		p, ok := r.m.(ofproto.MultipartReply)
		if !ok || p.Type != m.Type {
			return fmt.Errorf("peer answered %T", r.m)
		}
		if size += len(p.Body); size > maxMultipart {
			return fmt.Errorf("answer is longer than %d bytes", maxMultipart)
		}
		if err := part(p.Body); err != nil || !p.More {
			return err
		}
	}
}

// FlowStats returns all flows with their counters.
func (c *Conn) FlowStats(ctx context.Context) (flows []ofproto.FlowStats, err error) {
	err = c.multipart(ctx, ofproto.FlowStatsRequest(), func(b []byte) (err error) {
		flows, err = ofproto.DecodeFlowStats(flows, b)
		return err
	})
	return flows, err
}

// Tables returns all flows, groups and meters of the bridge.
func (c *Conn) Tables(ctx context.Context) (t ofproto.Tables, err error) {
	flows, err := c.FlowStats(ctx)
	if err != nil {
		return t, fmt.Errorf("read flows: %w", err)
	}
	t.Flows = make([]ofproto.Flow, len(flows))
	for i, f := range flows {
		t.Flows[i] = f.Flow
	}
	err = c.multipart(ctx, ofproto.GroupDescRequest(), func(b []byte) (err error) {
		t.Groups, err = ofproto.DecodeGroupDesc(t.Groups, b)
		return err
	})
	if err != nil {
		return t, fmt.Errorf("read groups: %w", err)
	}
	err = c.multipart(ctx, ofproto.MeterConfigRequest(), func(b []byte) (err error) {
		t.Meters, err = ofproto.DecodeMeterConfig(t.Meters, b)
		return err
	})
	if err != nil {
		return t, fmt.Errorf("read meters: %w", err)
	}
	return t, nil
}

// Barrier returns when the switch has done all that was sent before.
func (c *Conn) Barrier(ctx context.Context) error {
	_, err := c.ask(ctx, ofproto.BarrierRequest{})
	return err
}

// FlushZone removes all connections of a conntrack zone, and returns when that is done.
func (c *Conn) FlushZone(ctx context.Context, zone uint16) error {
	xid := c.xid.Add(1)
	ch, forget := c.expect(xid)
	defer forget()
	if err := c.send(xid, ofproto.CTFlushZone{Zone: zone}); err != nil {
		return err
	}
	if err := c.Barrier(ctx); err != nil {
		return err
	}
	select { // an error comes before the barrier's answer
	case r := <-ch:
		if e, ok := r.m.(*ofproto.Error); ok {
			return fmt.Errorf("flush zone %d: %w", zone, e)
		}
	default:
	}
	return nil
}

// Role asks for a role and returns the one the switch gives (OpenFlow 1.3, A.3.9).
func (c *Conn) Role(ctx context.Context, role uint32, generation uint64) (ofproto.RoleReply, error) {
	m, err := c.ask(ctx, ofproto.RoleRequest{Role: role, Generation: generation})
	if err != nil {
		return ofproto.RoleReply{}, err
	}
	r, ok := m.(ofproto.RoleReply)
	if !ok {
		return r, fmt.Errorf("role: peer answered %T", m)
	}
	return r, nil
}

// PacketOut sends a packet. It does not wait for what becomes of it.
func (c *Conn) PacketOut(_ context.Context, p ofproto.PacketOut) error {
	return c.send(c.xid.Add(1), p)
}
