package ofproto

import (
	"fmt"
	"math/bits"
)

// TableFeatures says what a table can do (A.3.5.5).
type TableFeatures struct {
	Table                        Table
	Name                         string // at most 31 bytes
	MetadataMatch, MetadataWrite uint64 // bits of the metadata that can be matched and written
	MaxEntries                   uint32 // flows
	Flows                        InstructionFeatures
	Miss                         InstructionFeatures // of the flow that matches all without priority
	Match                        FieldSet            // can be matched
	Mask                         FieldSet            // with any mask
	Wildcard                     FieldSet            // or not at all
}

// InstructionFeatures says what flows can do.
type InstructionFeatures struct {
	Instructions uint32    // bit N: OpenFlow's instruction type N
	Next         [4]uint64 // bit N: goto_table to table N
	Write, Apply ActionFeatures
}

// ActionFeatures says what actions can do.
type ActionFeatures struct {
	Actions uint32   // bit N: OpenFlow's action type N
	Fields  FieldSet // can be set
}

// A FieldSet is a set of fields. It is comparable.
type FieldSet [(numFields + 63) / 64]uint64

// Has reports whether f is in s.
func (s FieldSet) Has(f Field) bool { return s[f/64]>>(f%64)&1 == 1 }

// MatchableFields returns the fields that Open vSwitch 3.1 can match.
func MatchableFields() FieldSet { return fieldsThat(func(fieldInfo) bool { return true }) }

// MaskableFields returns the fields of which Open vSwitch 3.1 can match a part.
func MaskableFields() FieldSet {
	return fieldsThat(func(i fieldInfo) bool { return i.access&maskable != 0 })
}

// WritableFields returns the fields that actions of Open vSwitch 3.1 can write.
func WritableFields() FieldSet {
	return fieldsThat(func(i fieldInfo) bool { return i.access&writable != 0 })
}

// fieldsThat returns the fields with a form on the wire of which is holds.
func fieldsThat(is func(fieldInfo) bool) (s FieldSet) {
	for f := Field(1); f < numFields; f++ {
		if len(info[f].codes) > 0 && is(info[f]) {
			s.add(f)
		}
	}
	return s
}

func (s *FieldSet) add(f Field) { s[f/64] |= 1 << (f % 64) }

// with returns the fields of s for which keep, of the words of s and t, says so.
func (s FieldSet) with(t FieldSet, keep func(s, t uint64) uint64) FieldSet {
	for i := range s {
		s[i] = keep(s[i], t[i])
	}
	return s
}

func and(s, t uint64) uint64    { return s & t }
func or(s, t uint64) uint64     { return s | t }
func andNot(s, t uint64) uint64 { return s &^ t }

// Types of the properties of a table.
const (
	tfInstructions = iota // 1 more: for the table miss
	_
	tfNext
	_
	tfWriteActions
	_
	tfApplyActions
	_
	tfMatch
	_
	tfWildcards
	_
	tfWriteFields
	_
	tfApplyFields
	_
)

// tfRequired are the properties that each table has.
const tfRequired uint32 = 1<<tfInstructions | 1<<tfNext | 1<<tfWriteActions | 1<<tfApplyActions |
	1<<tfMatch | 1<<tfWildcards | 1<<tfWriteFields | 1<<tfApplyFields

// DecodeTableFeatures appends the tables in one part of a table-features reply to tables.
// What is not known is left out.
func DecodeTableFeatures(tables []TableFeatures, body []byte) ([]TableFeatures, error) {
	return decodeAll(tables, body, "table features", false, (*decoder).tableFeatures)
}

// tableFeaturesLen is the length of an entry without its properties.
const tableFeaturesLen = 64

func (d *decoder) tableFeatures() (t TableFeatures) {
	n := int(d.peek16())
	if len(d.b) < tableFeaturesLen || n < tableFeaturesLen || n > len(d.b) || n%8 != 0 {
		d.fail(fmt.Errorf("%w %d", OFPBPC_BAD_LEN, n))
		return t
	}
	e := d.sub(n, "table features", OFPBPC_BAD_LEN)
	e.skip(2)
	t.Table = Table(e.u8())
	e.skip(5)
	if t.Table == AllTables {
		e.fail(OFPTFFC_BAD_TABLE)
	}
	t.Name = text0(e.bytes(32), 31)
	t.MetadataMatch, t.MetadataWrite = e.u64(), e.u64()
	e.skip(4) // configuration: OpenFlow 1.3 has none
	t.MaxEntries = e.u32()
	e.tableProperties(&t)
	d.done(&e)
	return t
}

func (d *decoder) tableProperties(t *TableFeatures) {
	seen := uint32(0)
	for d.more() {
		p, typ := d.property(0xffff)
		if typ < 32 {
			if seen>>typ&1 == 1 {
				d.fail(OFPTFFC_BAD_FEATURES)
			}
			seen |= 1 << typ
		}
		if d.err == nil { // Open vSwitch looks at the lower half of an experimenter's type only
			p.tableProperty(t, uint32(typ))
		}
		d.done(&p)
	}
	if d.err == nil && seen&tfRequired != tfRequired {
		d.fail(OFPTFFC_BAD_FEATURES)
	}
	t.complete(seen)
}

// tableProperty reads one property; d is the property.
func (d *decoder) tableProperty(t *TableFeatures, typ uint32) {
	f := &t.Flows
	if typ&1 == 1 {
		f = &t.Miss
	}
	switch typ {
	case tfInstructions, tfInstructions + 1:
		f.Instructions = d.typeBits() & knownInstructions
	case tfNext, tfNext + 1:
		f.Next = d.nextTables()
	case tfWriteActions, tfWriteActions + 1:
		f.Write.Actions = d.typeBits()
	case tfApplyActions, tfApplyActions + 1:
		f.Apply.Actions = d.typeBits()
	case tfMatch:
		t.Match, t.Mask = d.fieldSets()
	case tfWildcards:
		t.Wildcard = d.wholeFields()
	case tfWriteFields, tfWriteFields + 1:
		f.Write.Fields = d.wholeFields()
	case tfApplyFields, tfApplyFields + 1:
		f.Apply.Fields = d.wholeFields()
	}
}

// knownInstructions are the instructions that Open vSwitch knows.
const knownInstructions = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6

// typeBits reads types of instructions or actions, each with its length.
func (d *decoder) typeBits() (v uint32) {
	for d.more() {
		typ, n := d.u16(), int(d.u16())
		if d.err == nil && n < 4 {
			d.fail(OFPBPC_BAD_LEN)
		}
		d.skip(n - 4)
		if typ < 32 {
			v |= 1 << typ
		}
	}
	return v
}

func (d *decoder) nextTables() (v [4]uint64) {
	for d.more() {
		t := d.u8()
		if t == byte(AllTables) {
			d.fail(OFPBPC_BAD_VALUE)
		}
		v[t/64] |= 1 << (t % 64)
	}
	return v
}

// fieldSets reads fields, as headers of TLVs: those without a mask, and those with one.
func (d *decoder) fieldSets() (whole, masked FieldSet) {
	d.short = OFPBMC_BAD_LEN
	for d.more() {
		f, hasMask, _ := d.tlvHeader()
		switch {
		case d.err != nil || f == 0:
		case hasMask:
			masked.add(f)
		default:
			whole.add(f)
		}
	}
	return whole, masked
}

func (d *decoder) wholeFields() FieldSet {
	whole, masked := d.fieldSets()
	if masked != (FieldSet{}) {
		d.fail(OFPBMC_BAD_MASK)
	}
	return whole
}

// complete fills in what the properties do not say: what is not said of the table miss is
// as for other flows, and a field that can be masked can be matched, and left out.
func (t *TableFeatures) complete(seen uint32) {
	if seen == 0 {
		return
	}
	miss, flows := &t.Miss, &t.Flows
	absent := func(typ int) bool { return seen>>(typ+1)&1 == 0 }
	if absent(tfInstructions) {
		miss.Instructions = flows.Instructions
	}
	if absent(tfNext) {
		miss.Next = flows.Next
	}
	if absent(tfWriteActions) {
		miss.Write.Actions = flows.Write.Actions
	}
	if absent(tfApplyActions) {
		miss.Apply.Actions = flows.Apply.Actions
	}
	if absent(tfWriteFields) {
		miss.Write.Fields = flows.Write.Fields
	}
	if absent(tfApplyFields) {
		miss.Apply.Fields = flows.Apply.Fields
	}
	t.Match = t.Match.with(t.Mask, or)
	t.Wildcard = t.Wildcard.with(t.Mask, or).with(t.Match, and)
}

// AppendTableFeatures appends t as an entry of a table-features reply, as Open vSwitch
// writes it.
func AppendTableFeatures(b []byte, t TableFeatures) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, byte(t.Table), 0, 0, 0, 0, 0)
	b = appendFixed(b, t.Name, 32)
	b = be.AppendUint64(be.AppendUint64(b, t.MetadataMatch), t.MetadataWrite)
	b = be.AppendUint32(append(b, 0, 0, 0, 0), t.MaxEntries)
	b = t.Flows.append(b, 0)
	b = t.Miss.append(b, 1)
	b = appendFieldSet(b, tfMatch, t.Match, t.Mask)
	b = appendFieldSet(b, tfWildcards, t.Wildcard, FieldSet{})
	return b, setLen(b, start, 0)
}

func (f *InstructionFeatures) append(b []byte, miss uint16) []byte {
	b = appendTypeBits(b, tfInstructions+miss, f.Instructions)
	b, start := startProperty(b, tfNext+miss)
	for t := range byte(AllTables) {
		if f.Next[t/64]>>(t%64)&1 == 1 {
			b = append(b, t)
		}
	}
	b, _ = endProperty(b, start)
	b = appendTypeBits(b, tfWriteActions+miss, f.Write.Actions)
	b = appendFieldSet(b, tfWriteFields+miss, f.Write.Fields, FieldSet{})
	b = appendTypeBits(b, tfApplyActions+miss, f.Apply.Actions)
	return appendFieldSet(b, tfApplyFields+miss, f.Apply.Fields, FieldSet{})
}

func appendTypeBits(b []byte, typ uint16, v uint32) []byte {
	b, start := startProperty(b, typ)
	for ; v != 0; v &= v - 1 {
		b = append(be.AppendUint16(b, uint16(bits.TrailingZeros32(v))), 0, 4)
	}
	b, _ = endProperty(b, start)
	return b
}

func appendFieldSet(b []byte, typ uint16, fields, masked FieldSet) []byte {
	b, start := startProperty(b, typ)
	for _, f := range fieldOrder {
		if fields.Has(f) {
			i := &info[f]
			b = appendHeader(b, i.oxm(), i.bytes, masked.Has(f))
		}
	}
	b, _ = endProperty(b, start)
	return b
}

func init() {
	onMessage(multipartAnswer, uint32(MultipartTableFeatures), messageForm{name: "TABLE_FEATURES", least: 64, unit: 8,
		print: (*printer).tableFeatures})
}
