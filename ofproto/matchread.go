package ofproto

import (
	"fmt"
	"slices"
)

// DecodeMatch reads the OXM and NXM TLVs of a match, without the header of an ofp_match. It
// refuses what Open vSwitch 3.1 refuses, with the same ErrorCode.
func DecodeMatch(oxms []byte) (Match, error) {
	d := decoder{b: oxms, what: "match", short: OFPBMC_BAD_LEN, strict: true}
	m := d.oxms(true)
	return m, d.err
}

// tlvHeader reads the header of a TLV: its field, zero if it is not known, whether it has a
// mask, and how many bytes are left of it.
func (d *decoder) tlvHeader() (f Field, masked bool, n int) {
	h := header{class: d.u16()}
	num := d.u8()
	h.num, masked = num>>1, num&1 == 1
	n = int(d.u8())
	if h.class == classExperimenter {
		h.experimenter = d.u32()
		if n -= 4; n < 0 && d.err == nil {
			d.fail(OFPBMC_BAD_LEN)
		}
	}
	f = h.field()
	size := n
	if masked {
		size = n / 2 // an odd byte counts for nothing
	}
	if size != info[f].bytes && (!f.isTunMetadata() || size > 127) {
		f = 0
	}
	return f, masked, n
}

// condOf returns the condition in the payload of a TLV.
func condOf(f Field, masked bool, payload []byte) Cond {
	w := &wire[f]
	n := 16 - int(w.at)
	c := Cond{Field: f, Mask: w.full}
	copy(c.Value[w.at:], payload[:n])
	if masked {
		copy(c.Mask[w.at:], payload[n:])
	}
	return c
}

// matchReader puts a Match together from the TLVs of one.
type matchReader struct {
	m        Match
	headers  headers
	ethernet bool // a condition needs an Ethernet frame, unless it is one on the packet type
	options  int  // bytes of tunnel options
}

// oxms reads all that is left as TLVs of a match. It asks for prerequisites, as in a flow,
// only if strict is true; without, as in a packet-in, it also skips what it does not know.
func (d *decoder) oxms(strict bool) Match {
	r := matchReader{}
	if n := countTLVs(d.b); n > 0 {
		r.m = make(Match, 0, n)
	}
	for d.more() {
		d.skip(r.plain(d.b, strict))
		if d.more() {
			d.oneTLV(&r, strict)
		}
	}
	if d.err != nil {
		return nil
	}
	if !strict {
		r.m = r.m.resolve()
	}
	return r.m.settle(r.ethernet)
}

// oneTLV reads one TLV of any kind.
func (d *decoder) oneTLV(r *matchReader, strict bool) {
	at := *d
	f, masked, n := d.tlvHeader()
	payload := d.bytes(n)
	if d.err != nil {
		return
	}
	err := r.tlv(f, masked, payload, strict)
	if err != nil && !(f == 0 && !strict && err == OFPBMC_BAD_FIELD) {
		*d = at
		d.fail(named(err, f, at.b))
	}
}

// named returns err with what it is about.
func named(err error, f Field, tlv []byte) error {
	if f == 0 {
		return fmt.Errorf("%w: header %x", err, tlv[:4])
	}
	return fmt.Errorf("%w: %v", err, f)
}

// countTLVs returns about how many TLVs b holds.
func countTLVs(b []byte) (n int) {
	for len(b) >= 4 {
		n++
		b = b[min(len(b), 4+int(b[3])):]
	}
	return n
}

// tlv takes in one TLV. The checks and their order are those of Open vSwitch 3.1.
func (r *matchReader) tlv(f Field, masked bool, payload []byte, strict bool) error {
	if masked && !consistent(payload) {
		return OFPBMC_BAD_WILDCARDS
	}
	if f == 0 {
		return OFPBMC_BAD_FIELD
	}
	needs := wire[f].needs
	if f.isTunMetadata() {
		return r.tunMetadata(f, masked, payload)
	}
	c := condOf(f, masked, payload)
	switch {
	case masked && info[f].access&maskable == 0 && !c.Mask.zero() && c.Mask != wire[f].full:
		return OFPBMC_BAD_MASK
	case valid[f] != nil && !valid[f](c.Value.low()):
		return OFPBMC_BAD_VALUE
	case strict && needs != always && !r.headers.meet(needs):
		return OFPBMC_BAD_PREREQ
	case r.has(f):
		return OFPBMC_DUP_FIELD
	}
	r.ethernet = r.ethernet || needs != always
	r.add(c)
	return nil
}

// consistent reports whether the value in payload has no bit that the mask behind it has not.
func consistent(payload []byte) bool {
	n := len(payload) / 2
	for i := range n {
		if payload[i]&^payload[n+i] != 0 {
			return false
		}
	}
	return true
}

// has reports whether there is a condition already on f, or on one that shares its place.
func (r *matchReader) has(f Field) bool {
	switch {
	case f == PacketType && r.ethernet:
		return true
	case f == VLANVID || f == VLANPCP:
		_, mask := r.m.tci()
		return f == VLANVID && mask&(vlanVID|vlanCFI) != 0 || f == VLANPCP && mask&vlanPCP != 0
	case foldingOf[f] == toRegs:
		parts, n := foldRegs(Cond{Field: f})
		return r.m.has(parts[0].Field) || r.m.has(parts[1].Field) || n > 2 && (r.m.has(parts[2].Field) || r.m.has(parts[3].Field))
	case f == IPTOS:
		f = IPDSCP
	case f == InPort16:
		f = InPort
	}
	if n := len(r.m); n == 0 || placeOf[f] == f && len(shared[f]) == 0 && r.m[n-1].Field < f {
		return false
	}
	return slices.ContainsFunc(r.m, func(c Cond) bool { return placeOf[c.Field] == placeOf[f] })
}

// shared has, for the first field of each place, the others in it.
var shared = func() (others [numFields][]Field) {
	for _, p := range places {
		others[p[0]] = p[1:]
	}
	return others
}()

// add puts c into the match, at the end of it as long as the TLVs are in order.
func (r *matchReader) add(c Cond) {
	how := foldingOf[c.Field]
	if how == badMask && c.Mask != wire[c.Field].full {
		how = plain // what a sender made of it is kept
		c.Mask = widened(c.Value, 1).and(c.Mask)
	}
	if how != plain || c.Field == VLANTCI {
		r.m = r.m.set(c)
	} else if c.Mask.zero() {
		return
	} else if n := len(r.m); n == 0 || r.m[n-1].Field < c.Field {
		r.m = append(r.m, c)
	} else {
		i, _ := r.m.find(c.Field)
		r.m = slices.Insert(r.m, i, c)
	}
	r.learn(c.Field)
}

// learn takes in what the match says of the headers after f was added to it.
func (r *matchReader) learn(f Field) {
	if f == VLANVID || f == VLANPCP {
		f = VLANTCI
	}
	if !teaches[f] {
		return
	}
	if i, found := r.m.find(f); found {
		r.headers.learn(&r.m[i])
	}
}

// valid says which values a field cannot have at all, where not all are possible.
var valid = [numFields]func(v uint64) bool{
	InPort:       validPort,
	ActsetOutput: validPort,
	IPTOS:        func(v uint64) bool { return v&3 == 0 },
	IPDSCP:       fits(6),
	IPECN:        fits(2),
	IPFrag:       fits(2),
	TCPFlags:     fits(12),
	ARPOp:        fits(8),
	VLANVID:      fits(13),
	VLANPCP:      fits(3),
	IPv6Label:    fits(20),
	MPLSLabel:    fits(20),
	MPLSTC:       fits(3),
	MPLSBoS:      fits(1),
	TunFlags:     fits(1),
	CTState:      fits(8),
	NSHTTL:       fits(6),
	NSHMDType:    func(v uint64) bool { return v == 1 || v == 2 },
	NSHSPI:       fits(24),
}

func fits(bits int) func(uint64) bool {
	return func(v uint64) bool { return v>>bits == 0 }
}

// validPort reports whether Open vSwitch, which keeps ports in 16 bits, can have a port.
func validPort(v uint64) bool { return v < 0xff00 || v >= portOffset+0xff00 }

// match reads an ofp_match with its padding.
func (d *decoder) match() Match { return d.matchOf(true) }

// matchLoose reads an ofp_match whose fields need no prerequisites, and in which those that
// are not known are skipped: the match of a packet-in.
func (d *decoder) matchLoose() Match { return d.matchOf(false) }

func (d *decoder) matchOf(strict bool) Match {
	short := d.short
	d.short = OFPBMC_BAD_LEN
	typ, n := d.u16(), int(d.u16())
	switch {
	case d.err != nil:
	case typ == matchStandard && strict:
		return d.matchOf11(n, short)
	case typ != matchOXM && (strict || n >= 4):
		d.fail(OFPBMC_BAD_TYPE)
	case n < 4:
		d.fail(OFPBMC_BAD_LEN)
	}
	oxms := d.sub(n-4, "match", OFPBMC_BAD_LEN)
	d.skip((8 - n%8) % 8)
	d.short = short
	if d.err != nil {
		return nil
	}
	m := oxms.oxms(strict)
	d.done(&oxms)
	return m
}

// matchOf11 reads the rest of a match of OpenFlow 1.1 that says that it has n bytes.
func (d *decoder) matchOf11(n int, short ErrorCode) Match {
	if n != matchStandardLen {
		d.fail(OFPBMC_BAD_LEN)
	}
	s := d.sub(matchStandardLen-4, "match", OFPBMC_BAD_LEN)
	d.short = short
	m := s.standardMatch()
	d.done(&s)
	return m
}

// flowMatch reads the match of f. One that has a field which is not known is kept as it is:
// a flow of somebody else must not make a whole table unreadable.
func (d *decoder) flowMatch(f *Flow) {
	whole := *d
	if f.Match = d.match(); d.err == nil || d.strict || whole.err != nil {
		return
	}
	*d = whole
	if len(d.b) < 4 {
		d.fail(OFPBMC_BAD_LEN)
		return
	}
	if n := int(be.Uint16(d.b[2:])); n >= 4 {
		f.RawMatch = string(d.bytes((n + 7) / 8 * 8))
	} else {
		d.fail(OFPBMC_BAD_LEN)
	}
}
