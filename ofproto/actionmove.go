package ofproto

import (
	"fmt"
	"strings"
)

func init() {
	onWire(niciraAction, 6, 16, true, func(d *decoder) Action { return d.move(0) })
	onWire(niciraAction, 27, 24, false, func(d *decoder) Action { return Push(d.stackField(d.readable)) })
	onWire(niciraAction, 28, 24, false, func(d *decoder) Action { return Pop(d.stackField(d.writable)) })
	onWire(niciraAction, 50, 24, false, func(d *decoder) Action { return DeleteField(d.longField()) })
	onWire(onfAction, 3200, 24, true, func(d *decoder) Action { return CopyField(d.move(2)) })

	inText("move", parseMove)
	inText("push", func(p *parser, kv pair) []Action { return []Action{Push(p.subfield(kv.value))} })
	inText("pop", func(p *parser, kv pair) []Action { return []Action{Pop(p.subfield(kv.value))} })
	inText("delete_field", parseDeleteField)
}

// Move copies one part of a field to another (NXAST_REG_MOVE).
type Move struct{ Src, Dst Subfield }

func (m Move) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = be.AppendUint16(appendNX(b, 6, 24), m.Src.Bits)
	b = be.AppendUint16(be.AppendUint16(b, m.Src.Offset), m.Dst.Offset)
	b = pad8(m.Dst.Field.appendNXM(m.Src.Field.appendNXM(b)), start)
	be.PutUint16(b[start+2:], uint16(len(b)-start))
	return b, nil
}

// move reads a Move, or a CopyField, which has pad bytes before the number of bits and before
// the headers.
func (d *decoder) move(pad int) (m Move) {
	d.skip(pad)
	n, src, dst := d.u16(), d.u16(), d.u16()
	d.skip(pad)
	m.Src = Subfield{d.longField(), src, n}
	m.Dst = Subfield{d.longField(), dst, n}
	d.zero(len(d.b), NXBRC_MUST_BE_ZERO)
	d.readable(m.Src)
	d.writable(m.Dst)
	return m
}

// String returns the action as ovs-ofctl prints it.
func (m Move) String() string { return fmt.Sprintf("move:%v->%v", m.Src, m.Dst) }

// CopyField is Move as the ONF has it for OpenFlow 1.3 (ONFACT_COPY_FIELD). Open vSwitch
// writes it only if it came so.
type CopyField Move

func (c CopyField) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, 0xff, 0xff, 0, 0)
	b = append(be.AppendUint32(b, onf), 3200>>8, 3200&0xff, 0, 0)
	b = be.AppendUint16(be.AppendUint16(b, c.Src.Bits), c.Src.Offset)
	b = append(be.AppendUint16(b, c.Dst.Offset), 0, 0)
	for _, f := range []Field{c.Src.Field, c.Dst.Field} { // by the headers of OpenFlow 1.3
		b = appendHeader(b, info[f].oxm(), info[f].bytes, false)
	}
	b = pad8(b, start)
	return b, setLen(b, start, 2)
}

// String returns the action as ovs-ofctl prints it.
func (c CopyField) String() string { return Move(c).String() }

func parseMove(p *parser, kv pair) []Action {
	t := kv.value
	src := p.nextSubfield(&t)
	if p.err != nil {
		return nil
	}
	if !strings.HasPrefix(t.s, "->") {
		p.bad(t, "want -> after the field that is copied")
		return nil
	}
	m := Move{src, p.subfield(t.from(2))}
	if p.err == nil && m.Src.Bits != m.Dst.Bits {
		p.bad(kv.value, "%v has %d bits and %v has %d", m.Src, m.Src.Bits, m.Dst, m.Dst.Bits)
	}
	return []Action{m}
}

// Push puts a part of a field on the packet's stack (NXAST_STACK_PUSH).
type Push Subfield

func (s Push) appendTo(b []byte) ([]byte, error) { return Subfield(s).appendStack(b, 27), nil }

// String returns the action as ovs-ofctl prints it.
func (s Push) String() string { return "push:" + Subfield(s).String() }

// Pop takes what Push put on the packet's stack off it, into a part of a field
// (NXAST_STACK_POP).
type Pop Subfield

func (s Pop) appendTo(b []byte) ([]byte, error) { return Subfield(s).appendStack(b, 28), nil }

// String returns the action as ovs-ofctl prints it.
func (s Pop) String() string { return "pop:" + Subfield(s).String() }

func (s Subfield) appendStack(b []byte, subtype uint16) []byte {
	start := len(b)
	b = be.AppendUint16(appendNX(b, subtype, 24), s.Offset)
	b = be.AppendUint16(s.Field.appendNXM(b), s.Bits)
	for len(b)-start < 24 {
		b = append(b, 0)
	}
	return b
}

func (d *decoder) stackField(check func(Subfield)) Subfield {
	ofs := d.u16()
	s := Subfield{d.longField(), ofs, d.u16()}
	d.zero(len(d.b), NXBRC_MUST_BE_ZERO)
	check(s)
	return s
}

// DeleteField removes a tunnel option (NXAST_DELETE_FIELD).
type DeleteField Field

func (f DeleteField) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = Field(f).appendNXM(appendNX(b, 50, 24))
	for len(b)-start < 24 {
		b = append(b, 0)
	}
	return b, nil
}

// String returns the action as ovs-ofctl prints it.
func (f DeleteField) String() string { return "delete_field:" + Field(f).String() }

func parseDeleteField(p *parser, kv pair) []Action {
	f, ok := byName[kv.value.s]
	if !ok {
		p.bad(kv.value, "there is no field %q", kv.value.s)
	}
	return []Action{DeleteField(f)}
}

func (m Move) writes() Field      { return m.Dst.Field }
func (c CopyField) writes() Field { return c.Dst.Field }

func (Push) notInSet()        {}
func (Pop) notInSet()         {}
func (DeleteField) notInSet() {}

func (m Move) check(p *packet) ErrorCode {
	if code := checkSrc(m.Src, p); code != 0 {
		return code
	}
	return checkDst(m.Dst, p)
}

func (c CopyField) check(p *packet) ErrorCode { return Move(c).check(p) }
func (s Push) check(p *packet) ErrorCode      { return checkSrc(Subfield(s), p) }
func (s Pop) check(p *packet) ErrorCode       { return checkDst(Subfield(s), p) }

func (f DeleteField) check(*packet) ErrorCode {
	if !Field(f).isTunMetadata() {
		return OFPBAC_BAD_ARGUMENT
	}
	return 0
}
