package ofproto

import "slices"

// matchOXM is the type of an ofp_match made of TLVs (OFPMT_OXM).
const matchOXM = 1

// AppendMatch appends the TLVs of m, without the header of an ofp_match, as Open vSwitch
// writes them over OpenFlow 1.3. A condition whose prerequisites m does not have is left
// out, as there.
func AppendMatch(b []byte, m Match) []byte {
	b = slices.Grow(b, len(m)*tlvRoom)
	n := len(b)
	w := matchWriter{start: n}
	for i := 0; i < len(m); i++ {
		c := &m[i]
		f := &wire[c.Field]
		if f.how != asItIs && (f.how != ifMet || !w.meets(f, c)) {
			b, i = w.appendOdd(b[:n], m, i)
			n = len(b)
			b = slices.Grow(b, (len(m)-i)*tlvRoom)
			continue
		}
		size := int(f.size)
		to := (*[tlvRoom]byte)(b[n : n+tlvRoom]) // whole words, the rest of which the next TLV writes over
		be.PutUint64(to[4:], be.Uint64(c.Value[8:])<<(f.shift&63))
		mask := be.Uint64(c.Mask[8:])
		if mask == f.fullLow {
			be.PutUint32(to[:], f.head)
			n += 4 + size
		} else {
			be.PutUint32(to[:], f.headMasked)
			be.PutUint64(to[4+size&15:], mask<<(f.shift&63))
			n += 4 + 2*size
		}
	}
	b = b[:n]
	if w.framed && !w.sent && w.headers.packetType == 0 {
		b = slices.Insert(b, w.start, (&Cond{Field: PacketType, Mask: ones(4)}).append(nil)...)
	}
	return b
}

// matchWriter is what decides whether a condition on a header is written.
type matchWriter struct {
	start   int
	headers headers
	sent    bool // a condition on a header was written
	framed  bool // there is one that implies an Ethernet frame
}

// meets reports whether what c depends on stands before it.
func (w *matchWriter) meets(f *wireField, c *Cond) bool {
	if f.learns {
		w.headers.learn(c)
	}
	w.framed = true
	if f.needs == isEthernet || w.headers.sends(c, f.needs) {
		w.sent = true
		return true
	}
	return false
}

// appendOdd appends the condition m[i], of a kind that most matches do not have, and returns
// the number of the last one that it has appended.
func (w *matchWriter) appendOdd(b []byte, m Match, i int) ([]byte, int) {
	c := &m[i]
	f := &wire[c.Field]
	switch f.how {
	case ifMet: // it is not
		return b, i
	case asOptions:
		b, n := m.appendTunMetadata(b, i)
		return b, i + n - 1
	case ifNotDefault:
		return w.appendPacketType(b, c), i
	case asTCI:
		n := len(b)
		w.headers.learn(c)
		b = appendTCI(b, c)
		w.framed, w.sent = true, w.sent || len(b) > n
		return b, i
	}
	if f.needs != always && !w.meets(f, c) {
		return b, i
	}
	if f.only && c.Mask != f.full {
		narrow := c.narrowed()
		c = &narrow
	}
	return c.append(b), i
}

// appendPacketType appends c unless it asks for an Ethernet frame, as every condition on its
// header does.
func (w *matchWriter) appendPacketType(b []byte, c *Cond) []byte {
	w.headers.learn(c)
	if c.Value.zero() {
		w.framed = true
		return b
	}
	return c.append(b)
}

// wireField is what it takes to write a condition on a field, at hand in one place.
type wireField struct {
	head, headMasked uint32 // the first four bytes of the TLV
	fullLow          uint64 // the lower half of a mask that need not be written
	size             uint8  // of the value
	at               uint8  // of the first byte of the value in Bits
	shift            uint8  // of the lower half of the value, to have its first byte first
	how              writing
	needs            prereq
	learns           bool   // others depend on it
	narrow           bool   // at most 8 bytes, and no experimenter
	only             bool   // it shares its place with wider ones, but is matched as a whole only
	experimenter     uint32 // of classExperimenter
	full             Bits   // a mask that need not be written
}

// writing says what has to be looked at before a condition on a field is written.
type writing uint8

const (
	asItIs       writing = iota // nothing, and it is narrow
	ifMet                       // whether its prerequisites are met, and it is narrow
	asItIsOrMet                 // the same of those that are not narrow, or may be too wide
	asTCI                       // what OpenFlow 1.3 can say of a VLAN TCI
	ifNotDefault                // whether it says more than others imply
	asOptions                   // the tunnel options beside it
)

// wire has what it takes to write a condition on each field.
var wire = func() (all [numFields]wireField) {
	for f := Field(1); f < numFields; f++ {
		all[f] = wireFieldOf(f)
	}
	for _, f := range []Field{PacketType, EthType, VLANTCI, IPProto, ARPOp, CTNwProto, ICMPv6Type, ICMPv6Code} {
		all[f].learns = true
	}
	for _, f := range []Field{ICMPv4Type, ICMPv4Code, ICMPv6Type, ICMPv6Code, NDOptionsType} {
		all[f].only, all[f].how = true, asItIsOrMet
	}
	return all
}()

func wireFieldOf(f Field) wireField {
	i := &info[f]
	h := i.oxm()
	n := min(i.bytes, 16)
	w := wireField{experimenter: h.experimenter, at: uint8(16 - n), size: uint8(n), needs: i.needs, full: ones(n)}
	w.head = be.Uint32(appendHeader(nil, h, n, false))
	w.headMasked = be.Uint32(appendHeader(nil, h, n, true))
	w.fullLow, w.shift, w.narrow = be.Uint64(w.full[8:]), uint8(64-8*min(n, 8)), n <= 8 && h.experimenter == 0
	switch {
	case f == PacketType:
		w.how = ifNotDefault
	case f.isTunMetadata():
		w.how = asOptions
	case f == VLANTCI:
		w.how = asTCI
	case !w.narrow:
		w.how = asItIsOrMet
	case i.needs != always:
		w.how = ifMet
	}
	return w
}

// tlvRoom is the longest a TLV gets, but for one with tunnel metadata: a header, an
// experimenter, a value and a mask.
const tlvRoom = 4 + 4 + 16 + 16

// append appends c as a TLV.
func (c *Cond) append(b []byte) []byte {
	w := &wire[c.Field]
	head, masked := w.head, c.Mask != w.full
	if masked {
		head = w.headMasked
	}
	b = be.AppendUint32(b, head)
	if w.experimenter != 0 {
		b = be.AppendUint32(b, w.experimenter)
	}
	b = append(b, c.Value[w.at:]...)
	if masked {
		b = append(b, c.Mask[w.at:]...)
	}
	return b
}

// sends reports whether Open vSwitch writes c, which needs p, in a match that has h before.
// It does not look at all that p asks for.
func (h *headers) sends(c *Cond, p prereq) bool {
	switch p {
	case isEthernet, isNSH:
		return true
	case isCT:
		return h.sendsTuple(c)
	case isIPv6:
		if c.Field == IPv6Label {
			return h.isIP()
		}
	case isTCP, isUDP, isSCTP:
		return h.carries(p)
	}
	return h.meet(p)
}

// sendsTuple reports whether c, on a connection's tuple, is written: ports only with a
// protocol, and that only if it is not zero.
func (h *headers) sendsTuple(c *Cond) bool {
	switch c.Field {
	case CTNwProto, CTTpSrc, CTTpDst:
		return h.ctProto != 0
	}
	return true
}

// appendTCI appends c, on the VLAN TCI, as OpenFlow 1.3 can say it: the VID with the CFI bit,
// and the PCP as a whole. Open vSwitch leaves out the PCP if it does not ask for a VLAN tag.
func appendTCI(b []byte, c *Cond) []byte {
	tci, mask := uint16(c.Value.low()), uint16(c.Mask.low())
	const vid = vlanVID | vlanCFI
	if m := mask & vid; m != 0 {
		v := Cond{Field: VLANVID, Value: Uint(uint64(tci & vid)), Mask: Uint(uint64(m))}
		if m == vid {
			v.Mask = ones(2)
		}
		b = v.append(b)
	}
	if tci&vid != 0 && mask&vlanPCP != 0 {
		b = (&Cond{Field: VLANPCP, Value: Uint(uint64(tci >> 13)), Mask: ones(1)}).append(b)
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
	b = AppendMatch(append(b, 0, matchOXM, 0, 0), m)
	be.PutUint16(b[start+2:], uint16(len(b)-start)) // all fields with masks are below 4 KiB
	return pad8(b, start)
}

// appendMatch appends the match of f, known or not.
func (f *Flow) appendMatch(b []byte) []byte {
	if f.RawMatch != "" {
		return append(b, f.RawMatch...)
	}
	return appendMatch(b, f.Match)
}
