package ofproto

import "slices"

// Bits of a VLAN TCI. The CFI bit means here that there is a VLAN tag at all.
const (
	vlanVID = 0x0fff
	vlanCFI = 0x1000
	vlanPCP = 0xe000
)

// foldings are the ways in which a field is turned into its canonical form.
type folding uint8

const (
	plain    folding = iota // it is
	toPort                  // OpenFlow 1.0 port to OpenFlow 1.1
	toTCI                   // a part of the VLAN TCI
	toDSCP                  // the six upper bits of a byte
	toRegs                  // several registers
	bounded                 // only the low bits of a value count
	cutMask                 // only the low bits of a mask count, and of the value with it
	fullMask                // a mask that has all bits is an exact one
	badMask                 // Open vSwitch 3.1 takes the value for the mask
)

// foldingOf says how each field is turned into its canonical form.
var foldingOf = func() (how [numFields]folding) {
	how[InPort16] = toPort
	how[IPTOS] = toDSCP
	for _, f := range []Field{VLANVID, VLANPCP, DLVLAN, DLVLANPCP} {
		how[f] = toTCI
	}
	for f := XReg0; f <= XXReg3; f++ {
		how[f] = toRegs
	}
	for _, f := range []Field{IPDSCP, IPECN, MPLSLabel, MPLSTC, MPLSBoS, NSHSPI, ARPOp} {
		how[f] = bounded
	}
	how[CTState], how[TunFlags] = cutMask, cutMask
	how[IPv6Label], how[IPFrag] = fullMask, fullMask
	for _, f := range []Field{TunERSPANVer, TunERSPANDir, TunERSPANHWID, TunGTPUFlags, TunGTPUMsgType} {
		how[f] = badMask
	}
	return how
}()

// lowBits is the mask of the lowest n bits.
func lowBits(n uint16) Bits { return Uint(1<<n - 1) }

// boundOf is the mask of the bits that Open vSwitch keeps of f.
func boundOf(f Field) Bits {
	if f == ARPOp {
		return ones(1)
	}
	return lowBits(info[f].bits)
}

// fold returns the n canonical conditions that say what c does.
func fold(c Cond) (parts [4]Cond, n int) {
	whole := c.Value
	c.Value = c.Value.and(c.Mask)
	used := lowBits(info[c.Field].bits)
	switch foldingOf[c.Field] {
	case toPort:
		c.Field, c.Value = InPort, Uint(uint64(port32(uint16(c.Value.low()))))
		c.Mask = widened(c.Mask, 4)
	case toTCI:
		tci, mask := foldTCI(0, 0, c)
		c = Cond{Field: VLANTCI, Value: Uint(uint64(tci)), Mask: Uint(uint64(mask))}
	case toDSCP:
		c.Field, c.Value = IPDSCP, Uint(c.Value.low()>>2)
	case toRegs:
		return foldRegs(c)
	case bounded:
		c.Value = c.Value.and(boundOf(c.Field))
	case cutMask:
		if c.Field == CTState {
			used = ones(1)
		}
		c.Mask = c.Mask.and(used)
		c.Value = c.Value.and(c.Mask)
	case fullMask:
		c = foldMask(c, used)
	case badMask:
		if !c.Mask.zero() {
			c.Mask = whole
		}
	}
	parts[0] = c
	return parts, 1
}

// widened returns a mask for n bytes that covers all if mask covers something.
func widened(mask Bits, n int) Bits {
	if mask.zero() {
		return mask
	}
	return ones(n)
}

// foldMask makes the mask of c that covers all used bits an exact one. Of ip_frag only the
// used bits are kept; of ipv6_label the others make a mask of their own.
func foldMask(c Cond, used Bits) Cond {
	switch {
	case c.Mask.and(used) == used:
		c.Mask = ones(info[c.Field].bytes)
	case c.Field == IPFrag:
		c.Mask = c.Mask.and(used)
		c.Value = c.Value.and(c.Mask)
	}
	return c
}

// foldRegs splits a condition on XReg or XXReg into those on the registers that it is made of.
func foldRegs(c Cond) (parts [4]Cond, n int) {
	first, size := Reg0+2*(c.Field-XReg0), 2
	if c.Field >= XXReg0 {
		first, size = Reg0+4*(c.Field-XXReg0), 4
	}
	for i := range size {
		at := 16 - 4*(size-i)
		parts[i].Field = first + Field(i)
		copy(parts[i].Value[12:], c.Value[at:at+4])
		copy(parts[i].Mask[12:], c.Mask[at:at+4])
	}
	return parts, size
}

// foldTCI returns the condition on a VLAN TCI that was tci and mask before c, which is on it
// or on a part of it, was put into it.
func foldTCI(tci, mask uint16, c Cond) (uint16, uint16) {
	v, m := uint16(c.Value.low()), uint16(c.Mask.low())
	switch {
	case c.Field == VLANTCI:
		return v & m, m
	case m == 0 && (c.Field == VLANVID || c.Field == DLVLAN):
		return withoutTCI(tci, mask, vlanVID, vlanPCP)
	case m == 0:
		return withoutTCI(tci, mask, vlanPCP, vlanVID)
	case c.Field == VLANVID:
		m &= vlanVID | vlanCFI
		return tci&vlanPCP | v&m, m | mask&vlanPCP
	case c.Field == DLVLAN && v == 0xffff: // no VLAN tag
		return 0, 0xffff
	case c.Field == DLVLAN:
		return tci&^vlanVID | vlanCFI | v&vlanVID, mask | vlanVID | vlanCFI
	}
	return tci&^vlanPCP | v&7<<13 | vlanCFI, mask | vlanPCP | vlanCFI
}

// withoutTCI leaves part of a VLAN TCI open, or all of it if nothing is asked of the rest.
func withoutTCI(tci, mask, part, rest uint16) (uint16, uint16) {
	if mask&rest == 0 {
		return 0, 0
	}
	return tci &^ part, mask &^ part
}

// Fields that Open vSwitch keeps in the same place, for it takes the headers that they stand
// in for exclusive: setting one sets the others.
var places = [...][]Field{
	{IPProto, ARPOp},
	{IPv4Src, ARPSPA},
	{IPv4Dst, ARPTPA},
	{TCPSrc, UDPSrc, SCTPSrc, ICMPv4Type, ICMPv6Type},
	{TCPDst, UDPDst, SCTPDst, ICMPv4Code, ICMPv6Code},
	{TCPFlags, NDOptionsType},
	{ARPSHA, NDSLL},
	{ARPTHA, NDTLL},
}

// placeOf has for each field the first one of those that share its place.
var placeOf = func() (place [numFields]Field) {
	for f := range place {
		place[f] = Field(f)
	}
	for _, shared := range places {
		for _, f := range shared {
			place[f] = shared[0]
		}
	}
	return place
}()

// rightful returns which of the fields that share the place of f a packet with headers h has.
func (h *headers) rightful(f Field) Field {
	arp := h.meet(isARP)
	switch placeOf[f] {
	case IPProto:
		return either(arp, ARPOp, IPProto)
	case IPv4Src:
		return either(arp, ARPSPA, IPv4Src)
	case IPv4Dst:
		return either(arp, ARPTPA, IPv4Dst)
	case TCPSrc, TCPDst:
		return h.transport(placeOf[f])
	case TCPFlags:
		return either(h.isICMPv6(), NDOptionsType, TCPFlags)
	case ARPSHA:
		return either(h.isICMPv6(), NDSLL, ARPSHA)
	case ARPTHA:
		return either(h.isICMPv6(), NDTLL, ARPTHA)
	}
	return f
}

func either(first bool, a, b Field) Field {
	if first {
		return a
	}
	return b
}

// transport returns the field of the transport protocol that shares the place of TCPSrc or
// TCPDst.
func (h *headers) transport(place Field) Field {
	dst := Field(0)
	if place == TCPDst {
		dst = 1
	}
	switch {
	case h.carries(isUDP):
		return UDPSrc + dst
	case h.carries(isSCTP):
		return SCTPSrc + dst
	case h.meet(isICMPv4):
		return ICMPv4Type + dst
	case h.isICMPv6():
		return ICMPv6Type + dst
	}
	return place
}

// resolve gives the fields that share a place the names that fit the other conditions.
func (m Match) resolve() Match {
	h := m.headers().shown()
	moved := false
	for i := range m {
		c := &m[i]
		f := h.rightful(c.Field)
		if f == c.Field {
			continue
		}
		if n := info[f].bytes; c.Mask == ones(info[c.Field].bytes) && c.Value.without(ones(n)) == (Bits{}) {
			c.Mask = ones(n) // an ICMP type has 8 bits, a port 16
		}
		c.Field, moved = f, true
	}
	if moved {
		slices.SortStableFunc(m, func(a, b Cond) int { return int(a.Field) - int(b.Field) })
	}
	return m
}

// narrowed returns c as it is sent, if it is one on a port that turned out to be the type of
// an ICMP.
func (c Cond) narrowed() Cond {
	n := info[c.Field].bytes
	c.Value, c.Mask = c.Value.and(ones(n)), ones(n)
	return c
}

// put sets the conditions on the field of c to c alone, which says nothing if its mask is
// zero; c is canonical.
func (m Match) put(c Cond) Match {
	m = slices.DeleteFunc(m, func(old Cond) bool { return placeOf[old.Field] == placeOf[c.Field] })
	if c.Mask.zero() {
		return m
	}
	i, _ := m.find(c.Field)
	return slices.Insert(m, i, c)
}

// set sets the conditions on the field of c, which may be another way to say several others,
// to c, as Open vSwitch does it.
func (m Match) set(c Cond) Match {
	if f := c.Field; f == VLANTCI || foldingOf[f] == toTCI {
		tci, mask := m.tci()
		tci, mask = foldTCI(tci, mask, c)
		return m.put(Cond{Field: VLANTCI, Value: Uint(uint64(tci)), Mask: Uint(uint64(mask))})
	}
	parts, n := fold(c)
	for _, c := range parts[:n] {
		m = m.put(c)
	}
	return m
}

// tci returns what m requires of the VLAN TCI.
func (m Match) tci() (tci, mask uint16) {
	if i, found := m.find(VLANTCI); found {
		return uint16(m[i].Value.low()), uint16(m[i].Mask.low())
	}
	return 0, 0
}

// settle puts the condition in or leaves it out that the packet is an Ethernet frame, which
// is said if ethernet is true: it is left out if another condition implies it.
func (m Match) settle(ethernet bool) Match {
	implied := m.needsHeaders()
	typed := len(m) > 0 && m[0].Field == PacketType
	switch {
	case typed && implied && m[0].Value.zero():
		return slices.Delete(m, 0, 1)
	case !typed && !implied && ethernet:
		return slices.Insert(m, 0, Is(PacketType, 0))
	}
	return m
}

// needsHeaders reports whether m has a condition on a header of the packet.
func (m Match) needsHeaders() bool {
	for i := range m {
		if info[m[i].Field].needs != always {
			return true
		}
	}
	return false
}
