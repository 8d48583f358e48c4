package ofproto

import (
	"fmt"
	"math/bits"
	"strings"
)

func init() {
	onWire(openflow, 25, 8, true, readSetField)
	onWire(niciraAction, 6, 16, true, func(d *decoder) Action { return d.move(0) })
	onWire(niciraAction, 7, 24, false, readLoad)
	onWire(niciraAction, 33, 16, true, readSetMasked)
	onWire(niciraAction, 27, 24, false, func(d *decoder) Action { return Push(d.stackField(d.readable)) })
	onWire(niciraAction, 28, 24, false, func(d *decoder) Action { return Pop(d.stackField(d.writable)) })
	onWire(niciraAction, 50, 24, false, func(d *decoder) Action { return DeleteField(d.longField()) })
	onWire(onfAction, 3200, 24, true, func(d *decoder) Action { return CopyField(d.move(2)) })

	inText("set_field", parseSetField)
	inText("load", parseLoad)
	inText("move", parseMove)
	inText("push", func(p *parser, kv pair) []Action { return []Action{Push(p.subfield(kv.value))} })
	inText("pop", func(p *parser, kv pair) []Action { return []Action{Pop(p.subfield(kv.value))} })
	inText("delete_field", parseDeleteField)
}

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
	return fmt.Sprintf("%s[%d..%d]", name, s.Offset, int(s.Offset)+int(s.Bits)-1)
}

// appendNXM appends the header by which load, move and ct name f.
func (f Field) appendNXM(b []byte) []byte {
	if h := nxm32[f]; h != 0 || len(info[f].codes) == 0 {
		return be.AppendUint32(b, h)
	}
	return appendHeader(b, info[f].nxm().header, info[f].bytes, false)
}

// hasLongHeader reports whether the header of f has eight bytes, for which most actions of
// Nicira have no room. A field that has none at all is treated as if it had.
func (f Field) hasLongHeader() bool {
	return len(info[f].codes) == 0 || info[f].nxm().class == classExperimenter
}

func (s Subfield) ofsNbits() uint16 { return s.Offset<<6 | (s.Bits - 1) }

func subfield(f Field, ofsNbits uint16) Subfield {
	return Subfield{f, ofsNbits >> 6, ofsNbits&0x3f + 1}
}

// isTunMetadata reports whether f is a tunnel option, of which a value may have any length.
func (f Field) isTunMetadata() bool { return TunMetadata0 <= f && f <= TunMetadata63 }

// readable fails unless s lies within its field.
func (d *decoder) readable(s Subfield) { d.check(checkSrc(s, nil)) }

// writable fails unless s lies within its field and actions may write it.
func (d *decoder) writable(s Subfield) { d.check(checkDst(s, nil)) }

// check fails if there is an error.
func (d *decoder) check(code ErrorCode) {
	if code != 0 {
		d.fail(code)
	}
}

// SetField writes a whole field (OFPAT_SET_FIELD). Over OpenFlow 1.3 it cannot be masked: see
// Load and SetMasked.
type SetField struct {
	Field Field
	Value Bits
}

func (s SetField) appendTo(b []byte) ([]byte, error) {
	if s.Field.isTunMetadata() {
		return s.appendShort(b)
	}
	w := &wire[s.Field]
	n := 8 + 16 - int(w.at)
	if w.experimenter != 0 {
		n += 4
	}
	b = append(b, 0, 25, 0, byte((n+7)&^7), byte(w.head>>24), byte(w.head>>16), byte(w.head>>8), byte(w.head))
	if w.experimenter != 0 {
		b = be.AppendUint32(b, w.experimenter)
	}
	b = append(b, s.Value[w.at:]...)
	return append(b, make([]byte, -n&7)...), nil
}

// appendShort appends s with no more bytes of the value than needed.
func (s SetField) appendShort(b []byte) ([]byte, error) {
	start := len(b)
	n := valueBytes(s.Field, s.Value)
	b = appendHeader(append(b, 0, 25, 0, 0), info[s.Field].oxm(), n, false)
	b = pad8(append(b, s.Value[16-n:]...), start)
	return b, setLen(b, start, 2)
}

// valueBytes returns how many bytes of v a TLV has: of a tunnel option, those that are needed.
func valueBytes(f Field, v Bits) int {
	if !f.isTunMetadata() {
		return info[f].bytes
	}
	n := 16
	for n > 0 && v[16-n] == 0 {
		n--
	}
	return n
}

func readSetField(d *decoder) Action {
	v := d.actionValue()
	if v.masked && d.err == nil {
		d.fail(OFPBAC_BAD_SET_MASK)
	}
	d.zero(len(d.b), OFPBAC_BAD_SET_ARGUMENT)
	f := v.field
	switch {
	case d.err != nil:
		return nil
	case f == InPort || info[f].access&writable == 0 || !v.valid():
		d.fail(OFPBAC_BAD_SET_ARGUMENT)
	case v.isLong():
		return SetTunMetadata{Field: f, Value: v.value}
	}
	return SetField{f, toBits(v.value)}
}

// String returns the action as ovs-ofctl prints it.
func (s SetField) String() string {
	return "set_field:" + setText(s.Field, s.Value, ones(info[s.Field].bytes)) + "->" + s.Field.String()
}

// Load writes Value into a part of a field of at most 64 bits (NXAST_REG_LOAD).
// Over OpenFlow 1.3 Open vSwitch reports masked writes so.
type Load struct {
	Dst   Subfield
	Value uint64
}

func (l Load) appendTo(b []byte) ([]byte, error) {
	if f := l.Dst.Field; f.hasLongHeader() || f.isTunMetadata() {
		return l.appendMasked(b)
	}
	b = be.AppendUint16(appendNX(b, 7, 24), l.Dst.ofsNbits())
	return be.AppendUint64(l.Dst.Field.appendNXM(b), l.Value), nil
}

// appendMasked appends l as NXAST_REG_LOAD2, which alone has room for all fields.
func (l Load) appendMasked(b []byte) ([]byte, error) {
	var value, mask [128]byte // more than the longest field
	for i := range int(l.Dst.Bits) {
		bit := i + int(l.Dst.Offset)
		at := 127 - bit/8
		mask[at] |= 1 << (bit % 8)
		value[at] |= byte(l.Value>>i&1) << (bit % 8)
	}
	n := info[l.Dst.Field].bytes
	switch {
	case int(l.Dst.Bits) == 8*n:
		return appendLoad2(b, l.Dst.Field, value[128-n:], nil)
	case l.Dst.Field.isTunMetadata():
		n = (int(l.Dst.Offset) + int(l.Dst.Bits) + 7) / 8
	}
	return appendLoad2(b, l.Dst.Field, value[128-n:], mask[128-n:])
}

func readLoad(d *decoder) Action {
	ofs := d.u16()
	l := Load{subfield(d.field32(), ofs), d.u64()}
	d.writable(l.Dst)
	if l.Dst.Bits < 64 && l.Value>>l.Dst.Bits != 0 {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return l
}

// String returns the action as ovs-ofctl prints it.
func (l Load) String() string { return fmt.Sprintf("load:%s->%v", hexText(Uint(l.Value)), l.Dst) }

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
		return SetTunMetadata{v.field, v.value, v.mask, v.masked, true}
	case !v.masked:
		return SetMasked{v.field, toBits(v.value), ones(info[v.field].bytes)}
	}
	return SetMasked{v.field, toBits(v.value), toBits(v.mask)}
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
	Long   bool // it is sent as NXAST_REG_LOAD2, as it is in any case if it has a mask
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

// set sets value and mask without the zeroes before them.
func (s *SetTunMetadata) set(value, mask string) {
	if len(mask) == info[TunMetadata0].bytes && strings.Trim(mask, "\xff") == "" {
		s.Value, s.Mask, s.Masked = strings.TrimLeft(value, "\x00"), "", false
		return
	}
	n := max(len(strings.TrimLeft(value, "\x00")), len(strings.TrimLeft(mask, "\x00")))
	s.Value, s.Mask, s.Masked = value[len(value)-n:], mask[len(mask)-n:], true
}

func (s SetField) writes() Field       { return s.Field }
func (l Load) writes() Field           { return l.Dst.Field }
func (s SetMasked) writes() Field      { return s.Field }
func (s SetTunMetadata) writes() Field { return s.Field }
func (m Move) writes() Field           { return m.Dst.Field }
func (c CopyField) writes() Field      { return c.Dst.Field }

func (s SetField) check(p *packet) ErrorCode  { return p.checkSet(s.Field, s.Value.Uint64()) }
func (s SetMasked) check(p *packet) ErrorCode { return p.checkSet(s.Field, s.Value.Uint64()) }
func (l Load) check(p *packet) ErrorCode {
	return p.checkSet(l.Dst.Field, l.Value<<l.Dst.Offset)
}

// checkSet refuses to write a field that the packet does not have. To Open vSwitch, a write of
// any part of the VLAN TCI writes zeroes into the rest of it here.
func (p *packet) checkSet(f Field, v uint64) ErrorCode {
	if !p.meets(info[f].needs) || f == VLANVID && !p.hasVLAN() {
		return OFPBAC_MATCH_INCONSISTENT
	}
	if f == VLANTCI {
		p.vlans[0] = uint16(v)
	}
	return 0
}

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

// Set returns the action that writes v into s as Open vSwitch reports it back over
// OpenFlow 1.3: SetField if s is a whole field, Load otherwise.
func Set(s Subfield, v uint64) Action {
	if s == s.Field.Whole() {
		return SetField{s.Field, Uint(v)}
	}
	return Load{s, v}
}

// arrow splits "VALUE->FIELD" at its first arrow.
func (p *parser) arrow(t text) (value, field text) {
	i := strings.Index(t.s, "->")
	switch {
	case i < 0:
		p.bad(t, "want VALUE->FIELD")
		return t, t
	case i+2 == len(t.s):
		p.bad(t.from(i), "want the name of a field after the arrow")
	}
	return t.to(i), t.from(i + 2)
}

// parseSetField reads "VALUE->FIELD" and "VALUE/MASK->FIELD". A masked write is one or more
// other actions over OpenFlow 1.3.
func parseSetField(p *parser, kv pair) []Action {
	t, name := p.arrow(kv.value)
	if p.err != nil {
		return nil
	}
	f, ok := fieldNamed(name.s)
	switch {
	case !ok && f != 0:
		p.bad(name, "set_field calls it %v, not %s", f, name.s)
		return nil
	case !ok:
		p.bad(name, "there is no field %q", name.s)
		return nil
	case info[f].access&writable == 0:
		p.bad(name, "%v cannot be written", f)
		return nil
	case f.isTunMetadata():
		return p.setTunMetadata(f, t)
	}
	value, mask := p.value(f, t)
	switch {
	case p.err != nil:
		return nil
	case !validValue(f, value):
		p.bad(t, "%s is not a value that %v can have", t.s, f)
		return nil
	case mask == ones(info[f].bytes):
		return []Action{SetField{f, value}}
	case mask == (Bits{}) && !f.hasLongHeader():
		return []Action{setNothing(f)}
	case f.hasLongHeader():
		return []Action{SetMasked{f, value, mask}}
	}
	n := info[f].bytes
	return loads(f, value[16-n:], mask[16-n:])
}

// loads returns the actions that write the bits of f that are set in mask: one for each run
// of at most 64 bits, from the lowest. Value and mask are as long as the field.
func loads(f Field, value, mask []byte) (actions []Action) {
	for lo := uint16(0); lo < f.width(); {
		if !bitOf(mask, lo) {
			lo++
			continue
		}
		l := Load{Dst: Subfield{f, lo, 0}}
		for ; lo < f.width() && bitOf(mask, lo) && l.Dst.Bits < 64; lo++ {
			if bitOf(value, lo) {
				l.Value |= 1 << l.Dst.Bits
			}
			l.Dst.Bits++
		}
		actions = append(actions, l)
	}
	return actions
}

// bitOf returns bit n of v, of which 0 is the lowest.
func bitOf(v []byte, n uint16) bool { return v[len(v)-1-int(n/8)]>>(n%8)&1 == 1 }

// setTunMetadata reads the value of a tunnel option, which an integer does not hold.
func (p *parser) setTunMetadata(f Field, t text) []Action {
	n := info[f].bytes
	s := SetTunMetadata{Field: f}
	if t.s == "*" {
		s.Masked = true
		return []Action{s}
	}
	value, rest, ok := long(t.s, n)
	mask := []byte(strings.Repeat("\xff", n))
	if ok && strings.HasPrefix(rest, "/") {
		mask, rest, ok = long(rest[1:], n)
	}
	if !ok || rest != "" {
		p.bad(t, "%q is not a number of at most %d bytes", t.s, n)
		return nil
	}
	s.set(string(value), string(mask))
	if len(s.Value) <= 16 && !s.Masked {
		return []Action{SetField{f, toBits(s.Value)}}
	}
	return []Action{s}
}

// parseLoad reads "VALUE->FIELD[FIRST..LAST]". As Open vSwitch does, it looks at no more of
// VALUE than the number at its beginning.
func parseLoad(p *parser, kv pair) []Action {
	t, name := p.arrow(kv.value)
	if p.err != nil {
		return nil
	}
	dst := p.subfield(name)
	if p.err != nil {
		return nil
	}
	v, _, ok := long(t.s, info[dst.Field].bytes)
	switch {
	case !ok:
		p.bad(t, "%q is not a number, or %v does not hold it", t.s, dst.Field)
		return nil
	case bitLen(v) > int(dst.Bits):
		p.bad(t, "%s is more than %d bits hold", t.s, dst.Bits)
		return nil
	}
	return dst.loads(v)
}

// loads returns the actions that write v into s.
func (s Subfield) loads(v []byte) []Action {
	n := len(v)
	if s.Bits <= 64 {
		var b [8]byte
		copy(b[max(8-n, 0):], v[max(n-8, 0):])
		return []Action{Load{s, be.Uint64(b[:])}}
	}
	value, mask := make([]byte, n), make([]byte, n)
	for i := range s.Bits {
		at, bit := n-1-int(s.Offset+i)/8, (s.Offset+i)%8
		mask[at] |= 1 << bit
		if bitOf(v, i) {
			value[at] |= 1 << bit
		}
	}
	if s.Field.isTunMetadata() {
		t := SetTunMetadata{Field: s.Field, Long: true}
		t.set(string(value), string(mask))
		return []Action{t}
	}
	return loads(s.Field, value, mask)
}

func bitLen(v []byte) int {
	for i, b := range v {
		if b != 0 {
			return (len(v)-1-i)*8 + bits.Len8(b)
		}
	}
	return 0
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

func (Push) notInSet()        {}
func (Pop) notInSet()         {}
func (DeleteField) notInSet() {}
