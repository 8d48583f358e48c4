package ofproto

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Cond requires Field to equal Value in the bits set in Mask; in the others Value is
// zero. Cond is comparable.
type Cond struct {
	Field Field
	Value Bits
	Mask  Bits
	Len   uint8 // of a tunnel option: see TunMetadata; zero for all other fields
}

// Covers reports whether all that d requires of its field satisfies c.
func (c Cond) Covers(d Cond) bool {
	return c.Field == d.Field && c.Len == d.Len && c.Mask.without(d.Mask) == Bits{} && d.Value.and(c.Mask) == c.Value
}

// Overlaps reports whether some value of their field satisfies both c and d.
func (c Cond) Overlaps(d Cond) bool {
	return c.Field == d.Field && c.Len == d.Len && c.Value.and(d.Mask) == d.Value.and(c.Mask)
}

// A Match is a set of conditions in canonical order: by field, one per field,
// prerequisites present, nothing fully wildcarded. The zero Match matches all.
//
// Fields that overlap stand in it as one: VLANVID and VLANPCP as VLANTCI, XReg0 as Reg0
// and Reg1, IPTOS as IPDSCP, InPort16 as InPort. That a packet is an Ethernet frame
// (PacketType zero) is left out where another field needs it. Only a tunnel option may
// stand in it more than once: see TunMetadata.
type Match []Cond

// The EtherType conditions that most others need.
var (
	IsIPv4 = Cond{Field: EthType, Value: Uint(etherIPv4), Mask: ones(2)}
	IsIPv6 = Cond{Field: EthType, Value: Uint(etherIPv6), Mask: ones(2)}
	IsARP  = Cond{Field: EthType, Value: Uint(etherARP), Mask: ones(2)}
)

// Is requires all bits of f to equal v.
func Is(f Field, v uint64) Cond { return Cond{Field: f, Value: Uint(v), Mask: ones(info[f].bytes)} }

// Masked requires the bits of f set in mask to equal v.
func Masked(f Field, v, mask uint64) Cond {
	return Cond{Field: f, Value: Uint(v & mask), Mask: Uint(mask)}
}

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
	c := Cond{Field: f, Mask: prefixMask(n, p.Bits())}
	copy(c.Value[16-n:], a)
	c.Value = c.Value.and(c.Mask)
	return c
}

// prefixMask returns the mask for the first length bits of n bytes.
func prefixMask(n, length int) (mask Bits) {
	for i := range n {
		bits := min(max(length-8*i, 0), 8)
		mask[16-n+i] = ^byte(0xff >> bits)
	}
	return mask
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
	b := matching{Match: make(Match, 0, len(conds)+2)}
	for i := range conds {
		b.bare = b.bare || conds[i].Field == PacketType && !conds[i].Value.zero()
	}
	for i := range conds {
		b.add(&conds[i])
	}
	m := b.settle(b.ethernet)
	if m.has(IPProto) && !m.has(EthType) && !m.has(PacketType) {
		panic(fmt.Sprintf("ofproto: ip or ipv6 is missing in %v", m))
	}
	return m
}

// A matching is a Match that is being made.
type matching struct {
	Match
	bare     bool // the packet type says what other matches say of a frame
	ethernet bool // something is asked of a header
}

// add adds c and what it needs.
func (b *matching) add(c *Cond) {
	needs := info[c.Field].needs
	b.ethernet = b.ethernet || needs != always
	if foldingOf[c.Field] == plain {
		b.Match = b.and(Cond{c.Field, c.Value.and(c.Mask), c.Mask, c.Len})
	} else {
		parts, n := fold(*c)
		for i := range n {
			b.Match = b.and(parts[i])
		}
	}
	for i := range implied[needs] {
		if c := &implied[needs][i]; !b.bare || c.Field != EthType {
			b.add(c)
		}
	}
}

// and returns m with c added to it.
func (m Match) and(c Cond) Match {
	if c.Mask.zero() && !c.Field.isTunMetadata() {
		return m
	}
	j, found := m.find(c.Field)
	switch {
	case !found:
		return slices.Insert(m, j, c)
	case m[j].Mask == c.Mask && m[j].Value == c.Value && !c.Field.isTunMetadata():
	case info[c.Field].bytes <= 8: // two parts of one register
		m[j] = both(m[j], c)
	case c.Field.isTunMetadata() && c.Len&^lenMasked == 16: // the next bytes of a long one
		for j < len(m) && m[j].Field == c.Field {
			j++
		}
		return slices.Insert(m, j, c)
	default:
		panic(fmt.Sprintf("ofproto: %v and %v in one match", m[j], c))
	}
	return m
}

// find returns where the condition on f stands, or where it would.
func (m Match) find(f Field) (i int, found bool) {
	for i < len(m) && m[i].Field < f { // there are few
		i++
	}
	return i, i < len(m) && m[i].Field == f
}

// both requires what a and b require.
func both(a, b Cond) Cond {
	if common := a.Mask.and(b.Mask); a.Value.and(common) != b.Value.and(common) {
		panic(fmt.Sprintf("ofproto: %v and %v in one match", a, b))
	}
	a.Mask, a.Value = a.Mask.or(b.Mask), a.Value.or(b.Value)
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
	for i := range m {
		c := &m[i]
		n := 16 - min(info[c.Field].bytes, 16)
		b = append(b, byte(c.Field))
		if c.Field.isTunMetadata() {
			b = append(b, c.Len)
		}
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
