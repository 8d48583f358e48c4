package ofproto

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors that OpenFlow has no name for.
var (
	ErrTruncated = errors.New("truncated")
	ErrTooLong   = errors.New("longer than 65535 bytes")
)

// A decoder reads big-endian values off a buffer. After the first error it returns
// zeroes only, so that a caller may look at err once, at the end. It never reads
// beyond its buffer.
//
// A strict decoder refuses all that Open vSwitch 3.1 refuses, with the same error. One
// that is not keeps what it does not know, or what a later version may mean: a flow of
// somebody else must not make a whole table unreadable.
type decoder struct {
	b      []byte
	off    int       // of b[0] in the message
	what   string    // is being read
	short  ErrorCode // is meant when b ends too early
	strict bool
	quiet  bool // nobody reads the error
	lossy  bool // there was something that nothing stands for
	err    error
	lists  *listReader // if any was read
}

// fail ends the reading. The error has an ErrorCode in it, wherever OpenFlow has one.
func (d *decoder) fail(err error) {
	switch {
	case d.err != nil:
	case d.quiet:
		d.err = err
	default:
		d.err = fmt.Errorf("%s at byte %d: %w", d.what, d.off, err)
	}
	d.b = nil
}

// bytes returns the next n bytes; they are not copied.
func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.truncated()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	d.off += n
	return v
}

func (d *decoder) truncated() {
	if d.short != 0 {
		d.fail(d.short)
		return
	}
	d.fail(ErrTruncated)
}

// zero skips n bytes that have to be zero. If they are not, a strict decoder fails with
// code; another one does not care.
func (d *decoder) zero(n int, code ErrorCode) {
	for _, v := range d.bytes(n) {
		if v != 0 && d.strict {
			d.fail(code)
			return
		}
	}
}

// refuse fails a strict decoder only.
func (d *decoder) refuse(code ErrorCode) {
	if d.strict {
		d.fail(code)
	}
}

func (d *decoder) skip(n int) { d.bytes(n) }

// unread skips n bytes that Open vSwitch does not look at. Most often they are zero.
func (d *decoder) unread(n int) {
	for _, v := range d.bytes(n) {
		d.lossy = d.lossy || v != 0
	}
}

func (d *decoder) u8() uint8 {
	if v := d.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// peek16 is the next u16, which stays; zero if there is none.
func (d *decoder) peek16() uint16 {
	if len(d.b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(d.b)
}

func (d *decoder) u16() uint16 {
	if v := d.bytes(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.bytes(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.bytes(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// sub takes the next n bytes as a decoder of their own, in which short is meant when
// they end too early; done brings its error back.
func (d *decoder) sub(n int, what string, short ErrorCode) decoder {
	off := d.off
	return decoder{b: d.bytes(n), off: off, what: what, short: short, strict: d.strict, err: d.err, lists: d.lists}
}

func (d *decoder) done(s *decoder) {
	d.lists = s.lists
	if s.err != nil && d.err == nil {
		d.err, d.b = s.err, nil
	}
}

// more reports whether there is something left to read.
func (d *decoder) more() bool { return d.err == nil && len(d.b) > 0 }

var be = binary.BigEndian

// pad8 appends zeroes until b is a multiple of 8 long, counted from start.
func pad8(b []byte, start int) []byte { return append(b, make([]byte, (start-len(b))&7)...) }

// setLen writes the length of b[start:] into the two bytes at start+at.
func setLen(b []byte, start, at int) error {
	if len(b)-start > 0xffff {
		return ErrTooLong
	}
	be.PutUint16(b[start+at:], uint16(len(b)-start))
	return nil
}
