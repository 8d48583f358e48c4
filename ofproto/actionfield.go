package ofproto

import (
	"errors"
	"fmt"
)

// A Subfield is Bits bits of a field, from bit Offset (0 is the lowest) up.
type Subfield struct {
	Field  Field
	Offset uint16
	Bits   uint16
}

// String returns s as in move and load: "NXM_NX_REG5[0..15]".
func (s Subfield) String() string {
	name := info[s.Field].nxm().name
	switch {
	case s == s.Field.Whole():
		return name + "[]"
	case s.Bits == 1:
		return fmt.Sprintf("%s[%d]", name, s.Offset)
	}
	return fmt.Sprintf("%s[%d..%d]", name, s.Offset, s.Offset+s.Bits-1)
}

// appendNXM appends the header by which load, move and ct name f.
func (f Field) appendNXM(b []byte) []byte {
	return appendHeader(b, info[f].nxm().header, info[f].bytes, false)
}

func (s Subfield) ofsNbits() uint16 { return s.Offset<<6 | (s.Bits - 1) }

// field reads the header of a field that an action names.
func (d *decoder) field() Field {
	f, masked, n := d.header()
	if d.err == nil && (masked || n != info[f].bytes) {
		d.fail(OFPBAC_BAD_SET_TYPE)
		return 0
	}
	if errors.Is(d.err, OFPBMC_BAD_FIELD) {
		d.err = fmt.Errorf("%s at byte %d: %w", d.what, d.off, OFPBAC_BAD_SET_TYPE)
	}
	return f
}

func subfield(f Field, ofsNbits uint16) Subfield {
	return Subfield{f, ofsNbits >> 6, ofsNbits&0x3f + 1}
}

func init() {
	onWire(openflow, 25, 16, true, readSetField)
	onWire(niciraAction, 6, 24, false, readMove)
	onWire(niciraAction, 7, 24, false, readLoad)
}

// SetField writes a whole field (OFPAT_SET_FIELD). Over OpenFlow 1.3 it cannot
// be masked: see Load.
type SetField struct {
	Field Field
	Value Bits
}

func (s SetField) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 25, 0, 0)
	b = pad8(appendOXM(b, Cond{s.Field, s.Value, ones(info[s.Field].bytes)}), start)
	return b, setLen(b, start, 2)
}

func readSetField(d *decoder) Action {
	if len(d.b) > 2 && d.b[2]&1 == 1 {
		d.fail(OFPBAC_BAD_SET_MASK)
		return nil
	}
	c := d.oxm()
	return SetField{c.Field, c.Value}
}

// String returns the action as ovs-ofctl prints it.
func (s SetField) String() string {
	return "set_field:" + valueText(s.Value, &info[s.Field]) + "->" + s.Field.String()
}

// Load writes Value into a part of a field of at most 64 bits (NXAST_REG_LOAD).
// Over OpenFlow 1.3 Open vSwitch reports masked writes so.
type Load struct {
	Dst   Subfield
	Value uint64
}

func (l Load) appendTo(b []byte) ([]byte, error) {
	b = be.AppendUint16(appendNX(b, 7, 24), l.Dst.ofsNbits())
	return be.AppendUint64(l.Dst.Field.appendNXM(b), l.Value), nil
}

func readLoad(d *decoder) Action {
	ofs := d.u16()
	return Load{subfield(d.field(), ofs), d.u64()}
}

// String returns the action as ovs-ofctl prints it.
func (l Load) String() string { return fmt.Sprintf("load:%s->%v", hexText(Uint(l.Value)), l.Dst) }

// Move copies one part of a field to another (NXAST_REG_MOVE).
type Move struct{ Src, Dst Subfield }

func (m Move) appendTo(b []byte) ([]byte, error) {
	b = be.AppendUint16(appendNX(b, 6, 24), m.Src.Bits)
	b = be.AppendUint16(be.AppendUint16(b, m.Src.Offset), m.Dst.Offset)
	return m.Dst.Field.appendNXM(m.Src.Field.appendNXM(b)), nil
}

func readMove(d *decoder) Action {
	n, src, dst := d.u16(), d.u16(), d.u16()
	return Move{Subfield{d.field(), src, n}, Subfield{d.field(), dst, n}}
}

// String returns the action as ovs-ofctl prints it.
func (m Move) String() string { return fmt.Sprintf("move:%v->%v", m.Src, m.Dst) }

// Set returns the action that writes v into s as Open vSwitch reports it back over
// OpenFlow 1.3: SetField if s is a whole field, Load otherwise.
func Set(s Subfield, v uint64) Action {
	if s == s.Field.Whole() {
		return SetField{s.Field, Uint(v)}
	}
	return Load{s, v}
}

func (s SetField) writes() Field { return s.Field }
func (l Load) writes() Field     { return l.Dst.Field }
func (m Move) writes() Field     { return m.Dst.Field }
