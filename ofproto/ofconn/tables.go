package ofconn

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"weir/ofproto"
)

// parts is where the parts of a long answer go. There is room for a few; then the reader
// waits, and with it the switch, for memory must be bounded and nothing may be lost. Who
// reads them does nothing but decode.
type parts struct {
	c     *Conn
	got   chan part
	ended chan struct{} // closed when nobody reads any more
}

// A part is one message of a long answer, not decoded yet, or what came instead.
type part struct {
	frame   []byte
	instead ofproto.Message // nil: frame
}

func (p *parts) take(_ uint32, m ofproto.Message) { p.put(part{instead: m}) }

func (p *parts) put(v part) {
	select {
	case p.got <- v:
	case <-p.ended:
	case <-p.c.done:
	}
}

// next waits for the next part.
func (p *parts) next(ctx context.Context) ([]byte, error) {
	v, err := next(ctx, p.c, p.got)
	switch m := v.instead.(type) {
	case nil:
		return v.frame, err
	case *ofproto.Error:
		return nil, m
	default:
		return nil, fmt.Errorf("peer answered %T", m)
	}
}

// maxMultipart bounds one multipart answer, for a switch that never stops: it is that of a
// bridge of a million flows.
const maxMultipart = 1 << 28

// replyHeaderLen is the length of what stands before the body of a multipart reply.
const replyHeaderLen = 16

// multipart sends a request and calls read for the body of each part of the answer, which
// it may keep.
func (c *Conn) multipart(ctx context.Context, m ofproto.MultipartRequest, read func(body []byte) error) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	xid := c.xids(1)
	p := &parts{c: c, got: make(chan part, 16), ended: make(chan struct{})}
	defer close(p.ended)
	defer c.expect(xid, p)()
	if err := c.send(ctx, xid, m); err != nil {
		return err
	}
	for size := 0; size <= c.limit; {
		frame, err := p.next(ctx)
		if err != nil {
			return err
		}
		body, more, err := partOf(frame, m.Type)
		if err == nil {
			err = read(body)
		}
		if err != nil { // it is the peer that is not right: nothing more it says can be trusted
			c.end(fmt.Errorf("peer sent garbage: %w", err))
			return err
		}
		if !more {
			return nil
		}
		size += len(frame)
	}
	err := fmt.Errorf("peer's answer does not end: it is longer than %d bytes", c.limit)
	c.end(err)
	return err
}

// partOf returns the body of a multipart reply (A.3.5), and whether there are more.
func partOf(frame []byte, want ofproto.MultipartType) (body []byte, more bool, err error) {
	if len(frame) < replyHeaderLen || frame[0] != ofproto.Version {
		return nil, false, fmt.Errorf("multipart reply: %w", ofproto.OFPBRC_BAD_LEN)
	}
	if got := ofproto.MultipartType(binary.BigEndian.Uint16(frame[8:])); got != want {
		return nil, false, fmt.Errorf("peer answered a multipart request of type %d with one of type %d", want, got)
	}
	return frame[replyHeaderLen:], frame[11]&1 != 0, nil // OFPMPF_REPLY_MORE
}

// gather asks for something of which there is much, and returns all of it, in the parts in
// which it comes. Parts are decoded while others come, several at a time.
func gather[T any](ctx context.Context, c *Conn, m ofproto.MultipartRequest, decode func(body []byte) ([]T, error)) ([][]T, error) {
	type decoded struct {
		all []T
		err error
	}
	var parts []*decoded
	var tasks sync.WaitGroup
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	err := c.multipart(ctx, m, func(body []byte) error {
		p := new(decoded)
		parts = append(parts, p)
		places <- struct{}{}
		tasks.Go(func() {
			p.all, p.err = decode(body)
			<-places
		})
		return nil
	})
	tasks.Wait()
	all := make([][]T, len(parts))
	for i, p := range parts {
		if p.err != nil {
			c.end(fmt.Errorf("peer sent garbage: %w", p.err))
			return nil, p.err
		}
		all[i] = p.all
	}
	return all, err
}

// list is gather for what there is less of.
func list[T any](ctx context.Context, c *Conn, m ofproto.MultipartRequest, decode func(all []T, body []byte) ([]T, error)) ([]T, error) {
	parts, err := gather(ctx, c, m, func(body []byte) ([]T, error) { return decode(nil, body) })
	return slices.Concat(parts...), err
}

func (c *Conn) flowStats(ctx context.Context) ([][]ofproto.FlowStats, error) {
	return gather(ctx, c, ofproto.FlowStatsRequest(), func(body []byte) ([]ofproto.FlowStats, error) {
		return ofproto.DecodeFlowStats(make([]ofproto.FlowStats, 0, entries(body)), body)
	})
}

// entries counts the entries of a reply, each of which begins with its length, if they are
// as they should be.
func entries(body []byte) (n int) {
	for len(body) >= 2 {
		size := int(binary.BigEndian.Uint16(body))
		if size < ofproto.HeaderLen || size > len(body) {
			break
		}
		body, n = body[size:], n+1
	}
	return n
}

// one asks for something of which there is one, and returns it.
func one[T any](ctx context.Context, c *Conn, m ofproto.MultipartRequest, decode func(body []byte) (T, error)) (v T, err error) {
	err = c.multipart(ctx, m, func(body []byte) (err error) {
		v, err = decode(body)
		return err
	})
	return v, err
}

// Desc returns what the switch says that it is.
func (c *Conn) Desc(ctx context.Context) (ofproto.Desc, error) {
	return one(ctx, c, ofproto.DescRequest(), ofproto.DecodeDesc)
}

// Aggregate counts flows, and what went through them.
func (c *Conn) Aggregate(ctx context.Context, q ofproto.FlowQuery) (ofproto.Aggregate, error) {
	return one(ctx, c, q.Aggregate(), ofproto.DecodeAggregate)
}

// Ports returns all ports.
func (c *Conn) Ports(ctx context.Context) ([]ofproto.PortDesc, error) {
	return list(ctx, c, ofproto.PortDescRequest(), ofproto.DecodePortDescs)
}

// FlowStats returns all flows with their counters.
func (c *Conn) FlowStats(ctx context.Context) ([]ofproto.FlowStats, error) {
	parts, err := c.flowStats(ctx)
	return slices.Concat(parts...), err
}

// FlowStatsOf returns some flows with their counters.
func (c *Conn) FlowStatsOf(ctx context.Context, q ofproto.FlowQuery) ([]ofproto.FlowStats, error) {
	return list(ctx, c, q.Stats(), ofproto.DecodeFlowStats)
}

// MeterStats returns the counters of all meters: Packets and Bytes of what came to a meter,
// and its Bands of what each of them has dropped.
func (c *Conn) MeterStats(ctx context.Context) ([]ofproto.MeterStats, error) {
	return list(ctx, c, ofproto.MeterStatsRequest(ofproto.AllMeters), ofproto.DecodeMeterStats)
}

// GroupStats returns the counters of all groups: how many packets came to a group, and to each of
// its buckets, in their order. Open vSwitch begins anew when a group is modified.
func (c *Conn) GroupStats(ctx context.Context) ([]ofproto.GroupStats, error) {
	return list(ctx, c, ofproto.GroupStatsRequest(ofproto.AllGroups), ofproto.DecodeGroupStats)
}

// Tables returns all flows, groups and meters of the bridge.
func (c *Conn) Tables(ctx context.Context) (t ofproto.Tables, err error) {
	if t.Flows, err = c.flows(ctx); err != nil {
		return t, fmt.Errorf("read flows: %w", err)
	}
	t.Groups, t.Meters, err = c.GroupsAndMeters(ctx)
	return t, err
}

// GroupsAndMeters returns all groups and meters of the bridge.
func (c *Conn) GroupsAndMeters(ctx context.Context) (groups []ofproto.Group, meters []ofproto.MeterConfig, err error) {
	if groups, err = c.groups(ctx); err != nil {
		return nil, nil, fmt.Errorf("read groups: %w", err)
	}
	if meters, err = list(ctx, c, ofproto.MeterConfigRequest(), ofproto.DecodeMeterConfig); err != nil {
		return nil, nil, fmt.Errorf("read meters: %w", err)
	}
	return groups, meters, nil
}

func (c *Conn) flows(ctx context.Context) ([]ofproto.Flow, error) {
	parts, err := c.flowStats(ctx)
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	flows := make([]ofproto.Flow, 0, n)
	for _, p := range parts {
		for i := range p {
			flows = append(flows, p[i].Flow)
		}
	}
	return flows, err
}

func (c *Conn) groups(ctx context.Context) ([]ofproto.Group, error) {
	return list(ctx, c, ofproto.GroupDescRequest(), ofproto.DecodeGroupDesc)
}
