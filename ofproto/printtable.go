package ofproto

import (
	"slices"
	"strconv"
	"strings"
)

// fieldOrder has the fields in the order in which Open vSwitch numbers them, which is that
// in which it lists what a table can do.
var fieldOrder = slices.Concat(
	[]Field{
		DPHash, RecircID, PacketType, ConjID, TunID, TunSrc, TunDst, TunIPv6Src, TunIPv6Dst, TunFlags, TunTTL, TunTOS,
		TunGBPID, TunGBPFlags, TunERSPANIdx, TunERSPANVer, TunERSPANDir, TunERSPANHWID, TunGTPUFlags, TunGTPUMsgType,
	},
	fieldsFrom(TunMetadata0, 64),
	[]Field{
		Metadata, InPort16, InPort, ActsetOutput, SKBPriority, PktMark, CTState, CTZone, CTMark, CTLabel,
		CTNwProto, CTNwSrc, CTNwDst, CTIPv6Src, CTIPv6Dst, CTTpSrc, CTTpDst,
	},
	fieldsFrom(Reg0, 16), fieldsFrom(XReg0, 8), fieldsFrom(XXReg0, 4),
	[]Field{
		EthSrc, EthDst, EthType, VLANTCI, DLVLAN, VLANVID, DLVLANPCP, VLANPCP, MPLSLabel, MPLSTC, MPLSBoS, MPLSTTL,
		IPv4Src, IPv4Dst, IPv6Src, IPv6Dst, IPv6Label, IPProto, IPTOS, IPDSCP, IPECN, IPTTL, IPFrag,
		ARPOp, ARPSPA, ARPTPA, ARPSHA, ARPTHA, TCPSrc, TCPDst, TCPFlags, UDPSrc, UDPDst, SCTPSrc, SCTPDst,
		ICMPv4Type, ICMPv4Code, ICMPv6Type, ICMPv6Code, NDTarget, NDSLL, NDTLL, NDReserved, NDOptionsType,
		NSHFlags, NSHMDType, NSHNP, NSHSPI, NSHSI, NSHC1, NSHC2, NSHC3, NSHC4, NSHTTL,
	},
)

// fieldsFrom returns n fields from f on.
func fieldsFrom(f Field, n int) []Field {
	fields := make([]Field, n)
	for i := range fields {
		fields[i] = f + Field(i)
	}
	return fields
}

// A tableList prints tables. One that can do what the one before can is not printed again:
// first and last are the tables of a run of such, of which first is -1 if there is none.
type tableList struct {
	*printer
	first, last int
	features    *TableFeatures // of the table before; nil: there was none
	stats       *TableStats
}

func (p *printer) tableFeatures(d *decoder, _ head) {
	l := tableList{printer: p, first: -1}
	for d.more() {
		if t := d.tableFeatures(); d.err == nil {
			l.table(&t, nil)
		}
	}
	l.finish()
}

func (p *printer) tableStats(d *decoder, _ head) {
	l := tableList{printer: p, first: -1}
	for d.more() {
		s := d.tableStats()
		l.table(&TableFeatures{Table: s.Table}, &s)
	}
	l.finish()
}

// finish prints the run of tables that are like the one before.
func (l *tableList) finish() {
	switch {
	case l.first < 0:
	case l.first == l.last:
		l.f("\n  table %d: ditto\n", l.first)
	default:
		l.f("\n  tables %d...%d: ditto\n", l.first, l.last)
	}
}

// table prints a table: its features, or its counters if there are any.
func (l *tableList) table(t *TableFeatures, s *TableStats) {
	before, beforeStats := l.features, l.stats
	l.features, l.stats = t, s
	sameStats := s == nil || beforeStats != nil && s.like(beforeStats)
	same := before != nil && t.like(before)
	if sameStats && same && t.Name == "" {
		if l.first < 0 {
			l.first = int(t.Table)
		}
		l.last = int(t.Table)
		return
	}
	l.finish()
	l.first = -1
	l.f("\n  table %d", t.Table)
	if t.Name != "" {
		l.f(" (\"%s\")", t.Name)
	}
	l.text(":")
	if sameStats && same {
		l.text(" ditto")
		return
	}
	l.text("\n")
	if s != nil {
		l.f("    active=%d, lookup=%d, matched=%d\n", s.Active, s.Lookups, s.Matched)
	}
	if !same {
		l.tableCan(t, before)
	} else if !t.empty() {
		l.text("    (same features)\n")
	}
}

// like reports whether s and u count the same, of whatever tables.
func (s *TableStats) like(u *TableStats) bool {
	return s.Active == u.Active && s.Lookups == u.Lookups && s.Matched == u.Matched
}

// tableCan prints what a table can do, as far as the one before can not.
func (p *printer) tableCan(t, before *TableFeatures) {
	if t.MetadataMatch != 0 || t.MetadataWrite != 0 {
		p.text("    metadata: match=" + cHex(t.MetadataMatch) + " write=" + cHex(t.MetadataWrite) + "\n")
	}
	if t.MaxEntries != 0 {
		p.f("    max_entries=%d\n", t.MaxEntries)
	}
	p.tableInstructions(t, before)
	switch {
	case t.Match == (FieldSet{}):
	case before != nil && before.Match == t.Match:
		p.text("    (same matching)\n")
	default:
		p.text("    matching:\n")
		p.fields("arbitrary mask", t.Match.with(t.Mask, and).with(t.Wildcard, and))
		p.fields("exact match or wildcard", t.Match.with(t.Mask, andNot).with(t.Wildcard, and))
		p.fields("must exact match", t.Match.with(t.Mask, andNot).with(t.Wildcard, andNot))
	}
}

func (p *printer) tableInstructions(t, before *TableFeatures) {
	var flows, miss *InstructionFeatures
	if before != nil {
		flows, miss = &before.Flows, &before.Miss
	}
	switch {
	case before != nil && t.Flows.like(t.Table, flows, before.Table) && t.Miss.like(t.Table, miss, before.Table):
		if !t.Flows.empty() {
			p.text("    (same instructions)\n")
		}
	case !t.Flows.like(t.Table, &t.Miss, t.Table):
		p.text("    instructions (other than table miss):\n")
		p.instructionFeatures(&t.Flows, flows)
		p.text("    instructions (table miss):\n")
		p.instructionFeatures(&t.Miss, miss)
	case !t.Flows.empty():
		p.text("    instructions (table miss and others):\n")
		p.instructionFeatures(&t.Flows, flows)
	}
}

// instructionBits are the types of instructions of OpenFlow 1.3, in the order in which they
// are executed.
var instructionBits = [numInstructions]uint8{inMeter: 6, inApply: 4, inClear: 5, inWrite: 3, inMetadata: 2, inGoto: 1}

func (p *printer) instructionFeatures(f, before *InstructionFeatures) {
	if f.Next != ([4]uint64{}) {
		p.text("      next tables: ")
		p.nextTables(f.Next)
		p.text("\n")
	}
	switch {
	case f.Instructions == 0:
	case before != nil && before.Instructions == f.Instructions:
		p.text("      (same instructions)\n")
	default:
		p.text("      instructions: ")
		for i, bit := range instructionBits {
			if f.Instructions>>bit&1 == 1 {
				p.text(instructionNames[i] + " ")
			}
		}
		p.chomp(' ')
		p.text("\n")
	}
	switch {
	case before != nil && f.Write.like(&before.Write) && f.Apply.like(&before.Apply) && f.Write.Fields != (FieldSet{}):
		p.text("      (same actions)\n")
	case !f.Write.like(&f.Apply):
		p.text("      Write-Actions features:\n")
		p.actionFeatures(&f.Write)
		p.text("      Apply-Actions features:\n")
		p.actionFeatures(&f.Apply)
	case !f.Write.empty():
		p.text("      Write-Actions and Apply-Actions features:\n")
		p.actionFeatures(&f.Write)
	}
}

// nextTables prints numbers of tables, and runs of them as such.
func (p *printer) nextTables(next [4]uint64) {
	has := func(t int) bool { return t < 255 && next[t/64]>>(t%64)&1 == 1 }
	for t := 0; t < 255; t++ {
		if !has(t) {
			continue
		}
		end := t
		for has(end + 1) {
			end++
		}
		if end == t {
			p.f("%d,", t)
		} else {
			p.f("%d-%d,", t, end)
		}
		t = end
	}
	p.chomp(',')
}

func (p *printer) actionFeatures(f *ActionFeatures) {
	if f.known() != 0 {
		p.text("        actions: ")
		p.actionTypes(f.Actions)
		p.text("\n")
	}
	if f.Fields != (FieldSet{}) {
		p.text("        supported on Set-Field:")
		p.fieldNames(f.Fields)
		p.text("\n")
	}
}

func (p *printer) fields(title string, s FieldSet) {
	if s != (FieldSet{}) {
		p.text("      " + title + ":")
		p.fieldNames(s)
		p.text("\n")
	}
}

// fieldNames prints the names of fields, those that begin or end alike together.
func (p *printer) fieldNames(s FieldSet) {
	var names []string
	for _, f := range fieldOrder {
		if s.Has(f) {
			names = append(names, info[f].name)
		}
	}
	p.text(" ")
	p.names(names, 0)
}

// names prints names without their first skip bytes, which they have in common:
// "eth_src eth_dst eth_type" as "eth_{src,dst,type}", and "reg0 reg1 reg2" as
// "reg0...reg2".
func (p *printer) names(names []string, skip int) {
	for first := true; len(names) > 0; first = false {
		if !first && skip > 0 {
			p.text(",")
		} else if !first {
			p.text(" ")
		}
		prefixRun, prefix := prefixRun(names, skip)
		run := sequentialRun(names)
		if run >= prefixRun {
			p.text(names[0][skip:])
			if run > 1 {
				p.text("..." + names[run-1][skip:])
			}
		} else {
			run = prefixRun
			p.text(names[0][skip:skip+prefix] + "{")
			p.names(names[:run], skip+prefix)
			p.text("}")
		}
		names = names[run:]
	}
}

// prefixRun returns how many of the first names have a prefix in common that ends in "_",
// behind the bytes that all have in common, and how long it is.
func prefixRun(names []string, skip int) (n, prefix int) {
	if len(names) < 2 {
		return len(names), 0
	}
	if prefix = commonPrefix(names[0][skip:], names[1][skip:]); prefix == 0 {
		return 1, 0
	}
	n = 2
	for n < len(names) && commonPrefix(names[0][skip:], names[n][skip:]) > 0 {
		n++
	}
	return n, prefix
}

// commonPrefix returns how long the longest prefix of a and b is that ends in "_".
func commonPrefix(a, b string) (n int) {
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '_' {
			n = i + 1
		}
	}
	return n
}

// sequentialRun returns how many of the first names end in successive numbers; two of them
// count for one.
func sequentialRun(names []string) int {
	n := 1
	for n < len(names) && sequential(names[n-1], names[n]) {
		n++
	}
	if n == 2 {
		return 1
	}
	return n
}

// sequential reports whether b is a with a number at its end that is one larger. Only
// the digits that differ are looked at, as Open vSwitch does.
func sequential(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	digits := func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && len(s) < 10 && strings.Trim(s, "0123456789") == ""
	}
	m, ok1 := digits(a)
	n, ok2 := digits(b)
	return ok1 && ok2 && m+1 == n
}

// like reports whether t can do what u can.
func (t *TableFeatures) like(u *TableFeatures) bool {
	return t.MetadataMatch == u.MetadataMatch && t.MetadataWrite == u.MetadataWrite && t.MaxEntries == u.MaxEntries &&
		t.Flows.like(t.Table, &u.Flows, u.Table) && t.Miss.like(t.Table, &u.Miss, u.Table) && t.Match == u.Match
}

func (t *TableFeatures) empty() bool {
	return t.MetadataMatch == 0 && t.MetadataWrite == 0 && t.MaxEntries == 0 && t.Flows.empty() && t.Miss.empty() && t.Match == (FieldSet{})
}

// like reports whether f, of a table, can do what g, of another table, can. That a flow of
// the first of two neighbours can go to the second, and none of the second to itself, is no
// difference.
func (f *InstructionFeatures) like(table Table, g *InstructionFeatures, other Table) bool {
	next := f.Next
	switch {
	case other == table+1 && other != 0:
		next = withoutNeighbour(f.Next, g.Next, other)
	case table == other+1 && table != 0:
		next = g.Next
		if withoutNeighbour(g.Next, f.Next, table) == f.Next {
			next = f.Next
		}
		return next == f.Next && f.likeBut(g)
	}
	return next == g.Next && f.likeBut(g)
}

// withoutNeighbour returns a without t, if t is in a but not in b.
func withoutNeighbour(a, b [4]uint64, t Table) [4]uint64 {
	if a[t/64]>>(t%64)&1 == 1 && b[t/64]>>(t%64)&1 == 0 {
		a[t/64] &^= 1 << (t % 64)
	}
	return a
}

func (f *InstructionFeatures) likeBut(g *InstructionFeatures) bool {
	return f.Instructions == g.Instructions && f.Write.like(&g.Write) && f.Apply.like(&g.Apply)
}

func (f *InstructionFeatures) empty() bool {
	return f.Next == ([4]uint64{}) && f.Instructions == 0 && f.Write.empty() && f.Apply.empty()
}

// known are the types of actions that Open vSwitch knows; the others make no difference.
func (f *ActionFeatures) known() uint32 {
	var all uint32
	for _, a := range namedActions {
		all |= 1 << a.bit
	}
	return f.Actions & all
}

func (f *ActionFeatures) like(g *ActionFeatures) bool {
	return f.known() == g.known() && f.Fields == g.Fields
}

func (f *ActionFeatures) empty() bool {
	return f.known() == 0 && f.Fields == (FieldSet{})
}
