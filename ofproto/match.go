package ofproto

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Cond requires Field to equal Value in the bits set in Mask. Cond is
// comparable.
type Cond struct {
	Field Field
	Value Bits
	Mask  Bits
}

// A Match is a set of conditions in canonical order: by field, one per field,
// prerequisites present, nothing fully wildcarded. The zero Match matches all.
type Match []Cond

// The EtherType conditions that most others need.
var (
	IsIPv4 = Cond{EthType, Uint(0x0800), ones(2)}
	IsIPv6 = Cond{EthType, Uint(0x86dd), ones(2)}
	IsARP  = Cond{EthType, Uint(0x0806), ones(2)}
)

// Is requires all bits of f to equal v.
func Is(f Field, v uint64) Cond { return Cond{f, Uint(v), ones(info[f].bytes)} }

// Masked requires the bits of f set in mask to equal v.
func Masked(f Field, v, mask uint64) Cond { return Cond{f, Uint(v & mask), Uint(mask)} }

// IsMAC requires f to equal an Ethernet address.
func IsMAC(f Field, a [6]byte) Cond {
	c := Cond{Field: f, Mask: ones(6)}
	copy(c.Value[10:], a[:])
	return c
}

// IsAddr requires f (IPv4Src, IPv6Dst, ARPTPA, NDTarget, ...) to equal a. It panics
// if a is not of f's family.
func IsAddr(f Field, a netip.Addr) Cond { return InPrefix(f, netip.PrefixFrom(a, a.BitLen())) }

// InPrefix requires f to lie in p. A /0 gives a Cond that matches all and adds only
// its prerequisites to a Match. It panics if p is not of f's family.
func InPrefix(f Field, p netip.Prefix) Cond {
	a := p.Addr().AsSlice()
	n := info[f].bytes
	if len(a) != n {
		panic(fmt.Sprintf("ofproto: %v cannot be %v", f, p))
	}
	c := Cond{Field: f}
	for i := range n {
		bits := min(max(p.Bits()-8*i, 0), 8)
		c.Mask[16-n+i] = ^byte(0xff >> bits)
		c.Value[16-n+i] = a[i] & c.Mask[16-n+i]
	}
	return c
}

// CTStateBits are the bits of ct_state.
type CTStateBits uint32

// The bits of ct_state, as in ovs-fields(7).
const (
	New CTStateBits = 1 << iota
	Est
	Rel
	Rpl
	Inv
	Trk
	SNAT
	DNAT
)

// CT requires the ct_state bits in set to be set and those in clear to be clear.
func CT(set, clear CTStateBits) Cond { return Masked(CTState, uint64(set), uint64(set|clear)) }

// MatchOn returns the canonical Match of conds, adding the prerequisites that they
// need and that are not ambiguous: nw_src needs ip, tcp_dst needs nw_proto=6, but
// whether that is in ip or in ipv6 has to be said. It panics if two conditions
// contradict one another or a prerequisite is missing: matches are written by apps,
// not by users.
func MatchOn(conds ...Cond) Match {
	m := make(Match, 0, len(conds)+2)
	todo := conds
	for i := 0; i < len(todo); i++ {
		c := todo[i]
		todo = append(todo[:len(todo):len(todo)], implied[info[c.Field].needs]...)
		if c.Mask == (Bits{}) {
			continue
		}
		j, found := slices.BinarySearchFunc(m, c.Field, func(c Cond, f Field) int { return int(c.Field) - int(f) })
		switch {
		case !found:
			m = slices.Insert(m, j, c)
		case m[j].Mask == c.Mask && m[j].Value == c.Value:
		case info[c.Field].bytes <= 8: // two parts of one register
			m[j] = both(m[j], c)
		default:
			panic(fmt.Sprintf("ofproto: %v and %v in one match", m[j], c))
		}
	}
	if m.has(IPProto) && !m.has(EthType) {
		panic(fmt.Sprintf("ofproto: ip or ipv6 is missing in %v", m))
	}
	return m
}

// both requires what a and b require.
func both(a, b Cond) Cond {
	for i := range a.Mask {
		if common := a.Mask[i] & b.Mask[i]; a.Value[i]&common != b.Value[i]&common {
			panic(fmt.Sprintf("ofproto: %v and %v in one match", a, b))
		}
		a.Mask[i] |= b.Mask[i]
		a.Value[i] |= b.Value[i]
	}
	return a
}

func (m Match) has(f Field) bool {
	return slices.ContainsFunc(m, func(c Cond) bool { return c.Field == f })
}

// value returns the value of f if m requires all of its bits.
func (m Match) value(f Field) (uint64, bool) {
	for _, c := range m {
		if c.Field == f && c.Mask == ones(info[f].bytes) {
			return c.Value.Uint64(), true
		}
	}
	return 0, false
}

// Key returns a string that is equal for equal matches, for use in maps.
func (m Match) Key() string {
	var buf [256]byte
	b := buf[:0]
	for _, c := range m {
		n := 16 - info[c.Field].bytes
		b = append(b, byte(c.Field))
		b = append(b, c.Value[n:]...)
		b = append(b, c.Mask[n:]...)
	}
	return string(b)
}

func (m Match) equal(n Match) bool { return slices.Equal(m, n) }

// CoverPorts returns the least set of masked conditions on f that together match the
// ports from lo to hi.
func CoverPorts(f Field, lo, hi uint16) []Cond {
	var conds []Cond
	for a, end := uint32(lo), uint32(hi); a <= end; {
		size := a & -a
		if size == 0 {
			size = 1 << 16
		}
		for a+size-1 > end {
			size >>= 1
		}
		conds = append(conds, Masked(f, uint64(a), uint64(0x10000-size)))
		a += size
	}
	return conds
}

// appendOXM appends c as an OXM TLV.
func appendOXM(b []byte, c Cond) []byte {
	i := &info[c.Field]
	n := 16 - i.bytes
	masked := c.Mask != ones(i.bytes)
	b = appendHeader(b, i.oxm(), i.bytes, masked)
	b = append(b, c.Value[n:]...)
	if masked {
		b = append(b, c.Mask[n:]...)
	}
	return b
}

// appendHeader appends the header of a TLV whose value has n bytes.
func appendHeader(b []byte, h header, n int, masked bool) []byte {
	num := h.num << 1
	if masked {
		num |= 1
		n *= 2
	}
	b = be.AppendUint16(b, h.class)
	if h.class == classExperimenter {
		return be.AppendUint32(append(b, num, byte(n+4)), h.experimenter)
	}
	return append(b, num, byte(n))
}

// appendMatch appends m as an ofp_match of OpenFlow 1.3, padded.
func appendMatch(b []byte, m Match) []byte {
	start := len(b)
	b = append(b, 0, 1, 0, 0) // OFPMT_OXM
	for _, c := range m {
		b = appendOXM(b, c)
	}
	be.PutUint16(b[start+2:], uint16(len(b)-start)) // all fields with masks are below 2 KiB
	return pad8(b, start)
}

// header reads the header of a TLV: its field, whether it has a mask, and how many bytes
// are left of it.
func (d *decoder) header() (f Field, masked bool, n int) {
	h := header{class: d.u16()}
	num := d.u8()
	h.num, masked = num>>1, num&1 == 1
	n = int(d.u8())
	if h.class == classExperimenter {
		h.experimenter = d.u32()
		n -= 4
	}
	f, ok := byHeader[h]
	if d.err == nil && !ok {
		d.fail(fmt.Errorf("%w, class %#x number %d", OFPBMC_BAD_FIELD, h.class, h.num))
	}
	return f, masked, n
}

// oxm reads one TLV.
func (d *decoder) oxm() (c Cond) {
	f, masked, n := d.header()
	if d.err != nil {
		return c
	}
	size := info[f].bytes
	if size > 16 || masked && n != 2*size || !masked && n != size {
		d.fail(fmt.Errorf("%v: %w %d", f, OFPBMC_BAD_LEN, n))
		return c
	}
	c.Field, c.Mask = f, ones(size)
	copy(c.Value[16-size:], d.bytes(size))
	if masked {
		copy(c.Mask[16-size:], d.bytes(size))
		for i := range c.Value {
			c.Value[i] &= c.Mask[i]
		}
	}
	return c
}

// match reads an ofp_match with its padding.
func (d *decoder) match() Match {
	typ, n := d.u16(), int(d.u16())
	if d.err == nil && (typ != 1 || n < 4) {
		d.fail(OFPBMC_BAD_LEN)
		return nil
	}
	oxms := d.sub(n-4, "oxm", OFPBMC_BAD_LEN)
	var m Match
	for oxms.more() {
		c := oxms.oxm()
		if oxms.err == nil && c.Mask != (Bits{}) {
			m = append(m, c)
		}
	}
	d.done(&oxms)
	if pad := (8 - n%8) % 8; d.err == nil {
		d.skip(pad)
	}
	slices.SortStableFunc(m, func(a, b Cond) int { return int(a.Field) - int(b.Field) })
	for i := 1; i < len(m); i++ {
		if m[i].Field == m[i-1].Field {
			d.fail(fmt.Errorf("%w: %v", OFPBMC_DUP_FIELD, m[i].Field))
			return nil
		}
	}
	return m
}

// appendMatch appends the match of f, known or not.
func (f *Flow) appendMatch(b []byte) []byte {
	if f.RawMatch != "" {
		return append(b, f.RawMatch...)
	}
	return appendMatch(b, f.Match)
}

// flowMatch reads the match of f. One that has a field which is not known is kept as it is:
// a flow of somebody else must not make a whole table unreadable.
func (d *decoder) flowMatch(f *Flow) {
	whole := *d
	if f.Match = d.match(); d.err == nil || d.strict || whole.err != nil || len(whole.b) < 4 {
		return
	}
	*d = whole
	if n := int(be.Uint16(d.b[2:])); n >= 4 { // long enough, or the error were another
		f.RawMatch = string(d.bytes((n + 7) / 8 * 8))
	}
}
