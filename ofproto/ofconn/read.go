package ofconn

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"weir/ofproto"
)

// A framer cuts what is read into messages. Its buffer is small until much comes at once:
// a peer that only connects costs little.
type framer struct {
	r        io.Reader
	b        []byte
	from, to int // what has been read and not been returned
}

const (
	leastBuffer = 1 << 12
	mostBuffer  = 1 << 18
)

// next returns the next message, which is good until the call after.
func (f *framer) next() ([]byte, error) {
	if err := f.fill(ofproto.HeaderLen); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(f.b[f.from+2:]))
	if n < ofproto.HeaderLen {
		return nil, fmt.Errorf("peer sent garbage: a header that says a length of %d", n)
	}
	if err := f.fill(n); err != nil {
		return nil, err
	}
	m := f.b[f.from : f.from+n : f.from+n]
	f.from += n
	return m, nil
}

// fill reads until n bytes are there.
func (f *framer) fill(n int) error {
	for f.to-f.from < n {
		f.makeRoom(n)
		k, err := f.r.Read(f.b[f.to:])
		f.to += k
		if err != nil && f.to-f.from < n {
			if err == io.EOF && f.to > f.from {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// makeRoom moves what is there to the front of a buffer in which n bytes have room. One
// that was full becomes larger: more comes than has room.
func (f *framer) makeRoom(n int) {
	full := f.to == len(f.b)
	size := max(len(f.b), leastBuffer, n)
	if full && f.to > 0 {
		size = max(size, min(2*len(f.b), mostBuffer))
	}
	switch {
	case size > len(f.b):
		b := make([]byte, size)
		f.to = copy(b, f.b[f.from:f.to])
		f.b, f.from = b, 0
	case full || f.from == f.to || f.from+n > len(f.b):
		f.to = copy(f.b, f.b[f.from:f.to])
		f.from = 0
	}
}

// alive notes a sign of life whenever something is read.
type alive struct {
	r io.Reader
	c *Conn
}

func (a alive) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	a.c.hear()
	return n, err
}

// The types of messages that are looked at before they are decoded (OFPT_*).
const (
	typeHello          = 0
	typeError          = 1
	typeMultipartReply = 19
)

// read delivers what comes until the connection ends.
func (c *Conn) read(f *framer) error {
	f.r = alive{f.r, c}
	for {
		frame, err := f.next()
		if err != nil {
			return err
		}
		if frame[1] == typeMultipartReply && c.deliverPart(frame) {
			continue
		}
		xid, m, err := ofproto.Decode(frame)
		if err != nil {
			return fmt.Errorf("peer sent garbage: %w", err)
		}
		if err := c.deliver(xid, m); err != nil {
			return err
		}
	}
}

// deliverPart hands a part of a long answer to who reads it, not decoded: that is done
// while the next part comes. It reports whether somebody does.
func (c *Conn) deliverPart(frame []byte) bool {
	c.mu.Lock()
	r, ok := c.waiting[binary.BigEndian.Uint32(frame[4:])].(*parts)
	c.mu.Unlock()
	if ok {
		r.put(part{frame: slices.Clone(frame)})
	}
	return ok
}

// deliver hands out a message. An answer goes to who has asked for it, all else where such
// things go.
func (c *Conn) deliver(xid uint32, m ofproto.Message) error {
	switch m := m.(type) {
	case ofproto.PacketIn:
		offer(c, c.packetIns, m)
		return nil
	case ofproto.PacketIn2:
		offer(c, c.packetIn2s, m)
		return nil
	case ofproto.EchoRequest:
		c.reply(xid, ofproto.EchoReply(m))
		return nil
	case *ofproto.Error:
		return c.deliverError(xid, m)
	}
	if r := c.receiverOf(xid); r != nil {
		r.take(xid, m)
		return nil
	}
	if c.deliverChange(m) {
		return nil
	}
	switch m.(type) {
	case ofproto.Hello, ofproto.EchoReply, ofproto.BarrierReply, ofproto.MultipartReply:
		return nil // nobody waits for it any more
	}
	offer(c, c.events, m)
	return nil
}

// deliverError hands an error to who has sent the message that it is about. Its xid says
// so, and should nobody have sent that, the message itself, of which the error has the
// beginning. What nobody waits for is an event.
func (c *Conn) deliverError(xid uint32, e *ofproto.Error) error {
	if c.config.Erred != nil {
		c.config.Erred(e)
	}
	r := c.receiverOf(xid)
	if r == nil && len(e.Data) >= ofproto.HeaderLen && e.Data[0] == ofproto.Version {
		xid = binary.BigEndian.Uint32(e.Data[4:])
		r = c.receiverOf(xid)
	}
	switch {
	case r != nil:
		r.take(xid, e)
	case e.Type == 0: // OFPET_HELLO_FAILED: of the whole session
		return refusedBy(e)
	case c.monitorRefused(e):
	default:
		offer[ofproto.Message](c, c.events, e)
	}
	return nil
}

// monitorRefused reports whether an error may be about a Monitor that begins.
func (c *Conn) monitorRefused(e *ofproto.Error) bool {
	c.mu.Lock()
	m := c.monitor
	c.mu.Unlock()
	return m != nil && m.refuses(e)
}
