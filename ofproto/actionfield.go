package ofproto

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
)

func init() {
	onWire(openflow, 25, 8, true, readSetField)
	onWire(niciraAction, 7, 24, false, readLoad)

	inText("set_field", parseSetField)
	inText("load", parseLoad)
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
	if w.narrow {
		b = append(b, 0, 25, 0, 16, byte(w.head>>24), byte(w.head>>16), byte(w.head>>8), byte(w.head))
		return be.AppendUint64(b, be.Uint64(s.Value[8:])<<(w.shift&63)), nil
	}
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
		return SetTunMetadata{Field: f, Value: string(v.value)}
	}
	return SetField{f, fromBytes(v.value)}
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
	if code := checkSrc(l.Dst, nil); code != 0 {
		return b, fmt.Errorf("%v: %w", l, code)
	}
	var value, mask [wideBytes]byte
	l.spread(&value, &mask)
	n := info[l.Dst.Field].bytes
	switch {
	case int(l.Dst.Bits) == 8*n:
		return appendLoad2(b, l.Dst.Field, value[wideBytes-n:], nil)
	case l.Dst.Field.isTunMetadata():
		n = (int(l.Dst.Offset) + int(l.Dst.Bits) + 7) / 8
	}
	return appendLoad2(b, l.Dst.Field, value[wideBytes-n:], mask[wideBytes-n:])
}

// wideBytes is more than the longest field has.
const wideBytes = 128

// spread sets the bits that l writes where they are in its field.
func (l Load) spread(value, mask *[wideBytes]byte) {
	for i := range int(l.Dst.Bits) {
		bit := i + int(l.Dst.Offset)
		at := wideBytes - 1 - bit/8
		mask[at] |= 1 << (bit % 8)
		value[at] |= byte(l.Value>>i&1) << (bit % 8)
	}
}

// reported returns l as Open vSwitch reports it back.
func (l Load) reported() Action {
	f := l.Dst.Field
	if !f.hasLongHeader() && !f.isTunMetadata() || checkSrc(l.Dst, nil) != 0 {
		return l
	}
	var value, mask [wideBytes]byte
	l.spread(&value, &mask)
	n := wideBytes - info[f].bytes
	if f.isTunMetadata() {
		return tunMetadata(f, value[n:], mask[n:])
	}
	return SetMasked{f, fromBytes(value[n:]), fromBytes(mask[n:])}
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

func (s SetField) writes() Field { return s.Field }
func (l Load) writes() Field     { return l.Dst.Field }

func (s SetField) check(p *packet) ErrorCode { return p.checkSet(s.Field, s.Value.Uint64()) }
func (l Load) check(p *packet) ErrorCode     { return p.checkSet(l.Dst.Field, l.Value<<l.Dst.Offset) }

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

// Set returns the action that writes v into s as Open vSwitch reports it back over
// OpenFlow 1.3: SetField if s is a whole field; otherwise Load, or SetMasked if that has no
// room for the field.
func Set(s Subfield, v uint64) Action {
	if s == s.Field.Whole() {
		return SetField{s.Field, Uint(v)}
	}
	return Load{s, v}.reported()
}

// SetAddr returns the action that writes an address into f (IPv4Src, IPv6Dst, ARPTPA, ...), which
// has to be of its family.
func SetAddr(f Field, a netip.Addr) Action {
	s := SetField{Field: f}
	b := a.AsSlice()
	copy(s.Value[len(s.Value)-len(b):], b)
	return s
}

// SetMAC returns the action that writes an Ethernet address into f (EthDst, ARPSHA, ...).
func SetMAC(f Field, mac [6]byte) Action {
	s := SetField{Field: f}
	copy(s.Value[len(s.Value)-len(mac):], mac[:])
	return s
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
		return []Action{Load{s, be.Uint64(b[:])}.reported()}
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
		return []Action{tunMetadata(s.Field, value, mask)}
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
