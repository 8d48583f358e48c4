package ofconn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"weir/ofproto"
)

// An outbox is what is on its way to the wire: the senders append whole messages to one
// buffer, while the writer writes another.
type outbox struct {
	mu     sync.Mutex // never held while writing
	queued []byte
	idle   bool          // nothing is queued, and nothing is being written
	wake   chan struct{} // has room for one: there is something to write
	room   chan struct{} // closed when there is room, or idle has become true; nil: nobody waits
}

const (
	// roomInOutbox is how much is queued before senders have to wait. What the reader has
	// to say, which cannot wait, may double it.
	roomInOutbox = 1 << 18
	// worthWriting is how much is queued before a sender that has more wakes the writer.
	worthWriting = 1 << 15
)

func (o *outbox) init() { o.wake, o.idle = make(chan struct{}, 1), true }

// put appends what encode appends, unless the outbox holds limit bytes. Then it returns a
// channel that is closed when there may be room.
func (o *outbox) put(limit int, more bool, encode func([]byte) ([]byte, error)) (full <-chan struct{}, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queued) >= limit {
		return o.waitLocked(), nil
	}
	b, err := encode(o.queued)
	if err != nil {
		o.signal() // what came before may have counted on more to come
		return nil, err
	}
	o.queued, o.idle = b, false
	if !more || len(b) >= worthWriting {
		o.signal()
	}
	return nil, nil
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default: // it has been told already
	}
}

func (o *outbox) waitLocked() <-chan struct{} {
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// take returns what is queued, and takes spare to queue on. What was taken before has been
// written.
func (o *outbox) take(spare []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.queued
	o.queued = spare[:0]
	o.idle = len(b) == 0
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
	return b
}

// busy returns a channel that is closed when something has been written, or nil if there
// is nothing to write.
func (o *outbox) busy() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle {
		return nil
	}
	o.signal()
	return o.waitLocked()
}

// write writes what is queued until the session ends. A peer that does not take it in time
// ends the session.
func (c *Conn) write() {
	var b []byte
	for {
		if b = c.out.take(b); len(b) == 0 {
			select {
			case <-c.out.wake:
				continue
			case <-c.done:
				return
			}
		}
		// It fails only on a connection that is closed, and then so does Write.
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.config.Write))
		if _, err := c.nc.Write(b); err != nil {
			c.end(fmt.Errorf("write: %w", err))
			return
		}
	}
}

// flush waits until all that is queued is written, for d at most.
func (c *Conn) flush(d time.Duration) {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for {
		busy := c.out.busy()
		if busy == nil {
			return
		}
		select {
		case <-busy:
		case <-c.done:
			return
		case <-timeout.C:
			return
		}
	}
}

// queue queues what encode appends, and waits for room if there is none. more says that
// the caller has more to send, which may go in the same write.
func (c *Conn) queue(ctx context.Context, more bool, encode func([]byte) ([]byte, error)) error {
	for {
		if err := ctx.Err(); err != nil {
			c.out.signal()
			return err
		}
		select {
		case <-c.done:
			return c.cut()
		default:
		}
		full, err := c.out.put(roomInOutbox, more, encode)
		if full == nil {
			return err
		}
		select {
		case <-full:
		case <-ctx.Done():
		case <-c.done:
		}
	}
}

// send queues one message.
func (c *Conn) send(ctx context.Context, xid uint32, m ofproto.Message) error {
	return c.queue(ctx, false, func(b []byte) ([]byte, error) { return ofproto.Append(b, xid, m) })
}

// reply queues a message and never waits: the reader must go on reading, for a switch may
// stop to read until its answers are read. A peer that makes us say more than it reads has
// to go.
func (c *Conn) reply(xid uint32, m ofproto.Message) {
	full, err := c.out.put(2*roomInOutbox, false, func(b []byte) ([]byte, error) { return ofproto.Append(b, xid, m) })
	if full != nil {
		err = fmt.Errorf("peer does not read: %d bytes wait to be written", 2*roomInOutbox)
	}
	if err != nil {
		c.end(err)
	}
}
