package ofconn

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"weir/ofproto"
)

// A Change is what a Monitor tells: changes of flows, or that something happened to the
// telling.
type Change struct {
	Updates []ofproto.FlowUpdate // in the order in which they happened; nil: one of the following

	// Paused says that we have read too slowly for the switch: it tells nothing from now on
	// but what is deleted.
	Paused bool
	// Resumed says that the switch has told all that has changed since Paused.
	Resumed bool
	// Request is the GroupMod or MeterMod of another controller: see Watch.
	Request ofproto.Message
	// Lost says that Next was called too seldom, and that what would have stood here has been
	// thrown away: the tables have to be read again.
	Lost bool
}

// maxChanges is how many updates wait for Next.
const maxChanges = 1 << 16

// leastUpdate is how many bytes an update takes at least.
const leastUpdate = 8

// A Monitor tells what changes in the flow tables.
type Monitor struct {
	c     *Conn
	ids   []uint32
	ready answer        // the end of the first answer, or an error
	stray answer        // an error about nobody's message, while there is no answer
	news  chan struct{} // has room for one
	all   bool          // it is told the requests of others, too

	mu      sync.Mutex
	begun   bool
	initial []ofproto.FlowUpdate
	queue   []Change
	waiting int // updates in queue
}

// Monitor asks the switch to tell what changes (ONFST_FLOW_MONITOR, which Open vSwitch has
// over OpenFlow 1.3; Nicira's own is refused there). A session has one Monitor at a time;
// it can watch several sets of flows, whose changes come in one sequence.
func (c *Conn) Monitor(ctx context.Context, watch ...ofproto.FlowMonitor) (*Monitor, error) {
	return c.monitorOf(ctx, false, watch)
}

func (c *Conn) monitorOf(ctx context.Context, all bool, watch []ofproto.FlowMonitor) (*Monitor, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	m := &Monitor{c: c, ready: make(answer, 1), stray: make(answer, 1), news: make(chan struct{}, 1), all: all}
	for _, w := range watch {
		m.ids = append(m.ids, w.ID)
	}
	if !c.attach(m) {
		return nil, errors.New("the session has a monitor already")
	}
	if err := m.begin(ctx, watch); err != nil {
		c.detach(m)
		if broken(err) { // it may begin nevertheless
			m.abandon()
		}
		return nil, err
	}
	return m, nil
}

// begin asks, and waits for the whole answer.
//
// Open vSwitch 3.1 refuses a monitor with an error whose version, xid and message are
// bytes from somewhere behind the request, and whose code suffers from that. But what it
// says before it answers the barrier that follows, and that is about no other message of
// ours, is about this one.
func (m *Monitor) begin(ctx context.Context, watch []ofproto.FlowMonitor) error {
	c := m.c
	xid, after := c.xids(1), make(answer, 1)
	barrier := c.xids(1)
	defer c.expect(xid, m)()
	defer c.expect(barrier, after)()
	if err := c.send(ctx, xid, ofproto.FlowMonitorRequest{Monitors: watch}); err != nil {
		return err
	}
	if err := c.send(ctx, barrier, ofproto.BarrierRequest{}); err != nil {
		return err
	}
	if _, err := next(ctx, c, after); err != nil {
		return unknown(err)
	}
	return m.verdict()
}

// verdict says what has come before the answer to the barrier.
func (m *Monitor) verdict() error {
	m.mu.Lock()
	m.begun = true
	m.mu.Unlock()
	for _, a := range []answer{m.ready, m.stray} {
		select {
		case r := <-a:
			if e, failed := r.(*ofproto.Error); failed {
				return e
			}
			return nil
		default:
		}
	}
	return errors.New("the switch does not answer what a monitor asks")
}

// refuses takes an error that is about nobody's message, and reports whether it may be
// about this request.
func (m *Monitor) refuses(e *ofproto.Error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun {
		return false
	}
	m.stray.take(0, e)
	return true
}

func (c *Conn) attach(m *Monitor) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.monitor != nil {
		return false
	}
	c.monitor = m
	return true
}

func (c *Conn) detach(m *Monitor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.monitor == m {
		c.monitor = nil
	}
}

// Initial returns the flows that were there when the monitor began, if that was asked for.
func (m *Monitor) Initial() []ofproto.FlowUpdate { return m.initial }

// Next waits for the next change. Changes come in the order in which they happened, each
// once, unless it says that some were Lost.
func (m *Monitor) Next(ctx context.Context) (Change, error) {
	for {
		if c, ok := m.pop(); ok {
			return c, nil
		}
		if _, err := next(ctx, m.c, m.news); err != nil {
			return Change{}, err
		}
	}
}

func (m *Monitor) pop() (c Change, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		return Change{}, false
	}
	c, m.queue = m.queue[0], m.queue[1:]
	m.waiting -= len(c.Updates)
	return c, true
}

// Close has the switch tell no more. What it has told can still be read.
func (m *Monitor) Close(ctx context.Context) error {
	var cancels []ofproto.Message
	for _, id := range m.ids {
		cancels = append(cancels, ofproto.FlowMonitorCancel{ID: id})
	}
	err := m.c.Do(ctx, cancels...)
	m.c.detach(m)
	return err
}

// abandon has the switch tell no more, and does not care what it says to that.
func (m *Monitor) abandon() {
	for _, id := range m.ids {
		m.c.reply(m.c.xids(1), ofproto.FlowMonitorCancel{ID: id})
	}
}

// take takes the answer to the request: the flows that are there, or an error.
func (m *Monitor) take(_ uint32, a ofproto.Message) {
	r, ok := a.(ofproto.FlowMonitorReply)
	if ok {
		m.mu.Lock()
		m.initial = append(m.initial, r.Updates...)
		if len(m.initial) > m.c.limit/leastUpdate {
			m.c.end(fmt.Errorf("peer's answer does not end: it is longer than %d bytes", m.c.limit))
		}
		m.mu.Unlock()
	}
	if !ok || !r.More {
		m.ready.take(0, a)
	}
}

// push takes what the reader has for us later. It does not wait for Next, and does not
// keep more than maxChanges.
func (m *Monitor) push(c Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting+len(c.Updates) > maxChanges || len(m.queue) == maxChanges {
		m.queue, m.waiting = append(m.queue[:0:0], Change{Lost: true}), 0
	} else {
		m.queue = append(m.queue, c)
		m.waiting += len(c.Updates)
	}
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// deliverChange hands a change to the monitor, and reports whether m is one. To whoever
// has asked for one by Ask it is an event.
func (c *Conn) deliverChange(m ofproto.Message) bool {
	var change Change
	switch m := m.(type) {
	case ofproto.FlowMonitorReply:
		change.Updates = m.Updates
	case ofproto.FlowMonitorPaused:
		change.Paused = true
	case ofproto.FlowMonitorResumed:
		change.Resumed = true
	case ofproto.RequestForward:
		change.Request = m.Request
	default:
		return false
	}
	c.mu.Lock()
	monitor := c.monitor
	c.mu.Unlock()
	if monitor == nil || change.Request != nil && !monitor.all {
		return false
	}
	monitor.push(change)
	return true
}

// String says what a change is, for people.
func (c Change) String() string {
	switch {
	case c.Paused:
		return "paused"
	case c.Resumed:
		return "resumed"
	case c.Lost:
		return "lost"
	}
	if c.Request != nil {
		return fmt.Sprintf("request %T", c.Request)
	}
	return fmt.Sprintf("%d updates", len(c.Updates))
}
