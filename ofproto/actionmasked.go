package ofproto

import (
	"bytes"
	"fmt"
	"strings"
)

func init() {
	onWire(niciraAction, 33, 16, true, readSetMasked)
}

// SetMasked writes the bits of a field that are set in Mask (NXAST_REG_LOAD2). Open vSwitch
// prefers Load if the field has a header of four bytes.
type SetMasked struct {
	Field       Field
	Value, Mask Bits
}

func (s SetMasked) appendTo(b []byte) ([]byte, error) {
	n := max(valueBytes(s.Field, s.Value), valueBytes(s.Field, s.Mask))
	mask := s.Mask[16-n:]
	if s.Mask == ones(info[s.Field].bytes) {
		mask = nil
	}
	return appendLoad2(b, s.Field, s.Value[16-n:], mask)
}

// A setNothing is a SetMasked of no bits. Open vSwitch looks whether the field could be
// written, but sends nothing.
type setNothing Field

func (s setNothing) appendTo(b []byte) ([]byte, error) { return b, nil }

// String returns the action as ovs-ofctl would print it.
func (s setNothing) String() string { return "set_field:ANY->" + Field(s).String() }

func (s setNothing) writes() Field             { return Field(s) }
func (s setNothing) check(p *packet) ErrorCode { return p.checkSet(Field(s), 0) }

// appendLoad2 appends a NXAST_REG_LOAD2, whose mask may be nil.
func appendLoad2(b []byte, f Field, value, mask []byte) ([]byte, error) {
	start := len(b)
	b = appendHeader(appendNX(b, 33, 0), info[f].nxm().header, len(value), mask != nil)
	b = pad8(append(append(b, value...), mask...), start)
	return b, setLen(b, start, 2)
}

func readSetMasked(d *decoder) Action {
	v := d.actionValue()
	d.zero(len(d.b), OFPBAC_BAD_SET_ARGUMENT)
	switch {
	case d.err != nil:
		return nil
	case info[v.field].access&writable == 0:
		d.fail(OFPBAC_BAD_SET_ARGUMENT)
		return nil
	case v.field.isTunMetadata():
		return SetTunMetadata{v.field, string(v.value), string(v.mask), v.masked, !v.masked}
	case !v.masked:
		return SetMasked{v.field, fromBytes(v.value), ones(info[v.field].bytes)}
	}
	return SetMasked{v.field, fromBytes(v.value), fromBytes(v.mask)}
}

// String returns the action as ovs-ofctl prints it.
func (s SetMasked) String() string {
	return "set_field:" + setText(s.Field, s.Value, s.Mask) + "->" + s.Field.String()
}

// SetTunMetadata writes a tunnel option of any length. Value is what is left of it without
// the zeroes before it, and has at most 124 bytes.
type SetTunMetadata struct {
	Field  Field
	Value  string
	Mask   string // if Masked: as long as Value
	Masked bool
	Long   bool // it is sent as NXAST_REG_LOAD2, as it is in any case if it is masked
}

// tunMetadata returns the action that writes the bits of value that are set in mask, both as
// long as the field, by NXAST_REG_LOAD2.
func tunMetadata(f Field, value, mask []byte) SetTunMetadata {
	v, m, masked := trimmed(value, mask)
	return SetTunMetadata{f, string(v), string(m), masked, !masked}
}

func (s SetTunMetadata) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 25, 0, 0)
	h := info[s.Field].oxm()
	if s.Long || s.Masked {
		b, h = appendNX(b[:start], 33, 0), info[s.Field].nxm().header
	}
	b = appendHeader(b, h, len(s.Value), s.Masked)
	b = pad8(append(append(b, s.Value...), s.Mask...), start)
	return b, setLen(b, start, 2)
}

// String returns the action as ovs-ofctl prints it.
func (s SetTunMetadata) String() string {
	v := longHexText(s.Value)
	switch {
	case s.Masked && strings.Trim(s.Mask, "\x00") == "":
		v = "ANY"
	case s.Masked:
		v += "/" + longHexText(s.Mask)
	}
	return "set_field:" + v + "->" + s.Field.String()
}

// longHexText is hexText of any number of bytes.
func longHexText(s string) string {
	if s = strings.TrimLeft(fmt.Sprintf("%x", s), "0"); s == "" {
		return "0"
	}
	return "0x" + s
}

func (s SetMasked) writes() Field      { return s.Field }
func (s SetTunMetadata) writes() Field { return s.Field }

func (s SetMasked) check(p *packet) ErrorCode { return p.checkSet(s.Field, s.Value.Uint64()) }

// setTunMetadata reads the value of a tunnel option, which an integer does not hold.
func (p *parser) setTunMetadata(f Field, t text) []Action {
	n := info[f].bytes
	if t.s == "*" {
		return []Action{SetTunMetadata{Field: f, Masked: true}}
	}
	value, rest, ok := long(t.s, n)
	mask := bytes.Repeat([]byte{0xff}, n)
	if ok && strings.HasPrefix(rest, "/") {
		mask, rest, ok = long(rest[1:], n)
	}
	if !ok || rest != "" {
		p.bad(t, "%q is not a number of at most %d bytes", t.s, n)
		return nil
	}
	v, m, masked := trimmed(value, mask)
	if len(v) <= 16 && !masked {
		return []Action{SetField{f, fromBytes(v)}}
	}
	return []Action{SetTunMetadata{Field: f, Value: string(v), Mask: string(m), Masked: masked}}
}
