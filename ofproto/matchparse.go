package ofproto

import (
	"bytes"
	"slices"
	"strings"
)

// ParseMatch reads a match in the syntax of ovs-ofctl(8): fields, and names of protocols,
// between commas or spaces. As there, a later condition replaces an earlier one on the same
// field, and one whose prerequisites are not met is left out. The error is a *SyntaxError.
func ParseMatch(s string) (Match, error) {
	p := parser{whole: s}
	p.conditions(text{s, 0})
	if p.err != nil {
		return nil, p.err
	}
	return p.match.sent(), nil
}

// conditions reads all conditions in t.
func (p *parser) conditions(t text) {
	for kv, ok := p.next(&t); ok && p.err == nil; kv, ok = p.next(&t) {
		if !p.condition(kv) {
			p.bad(kv.key, "there is no field %q", kv.key.s)
		}
	}
	if p.never.s != "" {
		p.bad(p.never, "%s cannot be matched", p.never.s)
	}
}

// protocol is what the name of one stands for.
type protocol struct {
	ether uint16
	proto uint8 // zero: none
}

// protocols are the names by which a match can ask for a protocol.
var protocols = map[string]protocol{
	"ip": {etherIPv4, 0}, "ipv4": {etherIPv4, 0}, "ip4": {etherIPv4, 0}, "arp": {etherARP, 0}, "rarp": {etherRARP, 0},
	"icmp": {etherIPv4, 1}, "tcp": {etherIPv4, 6}, "udp": {etherIPv4, 17}, "sctp": {etherIPv4, 132},
	"ipv6": {etherIPv6, 0}, "ip6": {etherIPv6, 0}, "icmp6": {etherIPv6, 58}, "tcp6": {etherIPv6, 6},
	"udp6": {etherIPv6, 17}, "sctp6": {etherIPv6, 132}, "mpls": {etherMPLS, 0}, "mplsm": {etherMPLSM, 0},
}

// condition adds to the match what kv asks for: a protocol, a field or a part of one. It is
// not handled if kv is none of these.
func (p *parser) condition(kv pair) (handled bool) {
	name := kv.key.s
	if protocol, ok := protocols[name]; ok {
		p.require(Is(EthType, uint64(protocol.ether)))
		if protocol.proto != 0 {
			p.require(Is(IPProto, uint64(protocol.proto)))
		}
		return true
	}
	if name == "eth" {
		p.require(Is(PacketType, 0))
		return true
	}
	if f, ok := fieldNamed(name); ok {
		p.field(f, kv)
		return true
	}
	if strings.IndexByte(name, '[') >= 0 {
		p.bits(kv)
		return true
	}
	return false
}

// require sets what the match asks for on the field of c, and on those that c needs.
func (p *parser) require(c Cond) {
	ethernet := info[c.Field].needs != always && !p.match.has(PacketType)
	p.match = p.match.set(c)
	if ethernet && !p.match.has(PacketType) {
		p.match = p.match.put(Is(PacketType, 0)) // until the match is complete
	}
}

// field reads "f=value"; without a value it asks for nothing but the prerequisites of f.
func (p *parser) field(f Field, kv pair) {
	if f.isTunMetadata() {
		p.tunMetadata(f, kv)
		return
	}
	v := kv.value
	if v.s == "" {
		v.s = "0/0"
	}
	value, mask := p.value(f, v)
	switch {
	case p.err != nil:
	case len(info[f].codes) > 0 || info[f].needs != always:
		p.require(Cond{Field: f, Value: value, Mask: mask})
	case !mask.zero():
		p.never = kv.key
	}
}

// tunMetadata reads "f=value" of a tunnel option.
func (p *parser) tunMetadata(f Field, kv pair) {
	var value, mask []byte
	masked := true
	if s := kv.value.s; s != "" && s != "*" {
		value, mask, masked = p.longInteger(f, kv.value)
	}
	if !masked {
		mask = slices.Repeat([]byte{0xff}, tunMetadataBytes)
	}
	if p.err == nil {
		p.putTunMetadata(f, kv, aligned(value, tunMetadataBytes), aligned(mask, tunMetadataBytes))
	}
}

// putTunMetadata sets a tunnel option; value and mask are as long as it can be.
func (p *parser) putTunMetadata(f Field, kv pair, value, mask []byte) {
	if p.match.has(f) {
		p.bad(kv.key, "%v stands twice", f)
		return
	}
	r := matchReader{m: p.match, options: p.match.options()}
	if err := r.tunMetadata(f, true, append(value, mask...)); err != nil {
		p.bad(kv.key, "%v does not fit into the %d bytes that all tunnel options have", f, maxTunMetadata)
	}
	p.match = r.m
}

// options returns how many bytes the tunnel options of m have.
func (m Match) options() (n int) {
	for i := range m {
		n += int(m[i].Len &^ lenMasked)
	}
	return n
}

// bits reads "reg0[0..15]=5".
func (p *parser) bits(kv pair) {
	s := p.subfield(kv.key)
	if p.err != nil {
		return
	}
	i := &info[s.Field]
	v, rest, ok := long(kv.value.s, i.bytes)
	if !ok || rest != "" {
		p.bad(kv.value, "%q is not a number for %s", kv.value.s, kv.key.s)
		return
	}
	if exceeds(v, s.Bits) {
		p.bad(kv.value, "%s does not fit into %d bits", kv.value.s, s.Bits)
		return
	}
	if s.Field.isTunMetadata() {
		p.tunBits(s, kv, v)
		return
	}
	c := p.match.get(s.Field)
	mask := bitsAt(s.Offset, s.Bits)
	c.Value = c.Value.without(mask).or(shifted(fromBytes(v), s.Offset))
	c.Mask = c.Mask.or(mask)
	if len(i.codes) == 0 && i.needs == always || i.access&maskable == 0 && c.Mask != ones(i.bytes) {
		p.never = kv.key
		return
	}
	if i.format == port && !validPort(c.Value.low()) {
		c.Value = Uint(uint64(PortAny)) // as Open vSwitch, which has 16 bits for a port
	}
	p.require(c)
}

// exceeds reports whether v has a bit beyond the lowest n.
func exceeds(v []byte, n uint16) bool {
	for i := range v {
		bit := 8 * (len(v) - 1 - i) // of the lowest in v[i]
		if over := bit + 8 - int(n); over > 0 && v[i]>>max(8-over, 0) != 0 {
			return true
		}
	}
	return false
}

// tunBits puts v into a part of a tunnel option.
func (p *parser) tunBits(s Subfield, kv pair, v []byte) {
	value, mask := make([]byte, tunMetadataBytes), make([]byte, tunMetadataBytes)
	for i := range int(s.Bits) {
		from, to := i, i+int(s.Offset)
		bit := v[len(v)-1-from/8] >> (from % 8) & 1
		value[len(value)-1-to/8] |= bit << (to % 8)
		mask[len(mask)-1-to/8] |= 1 << (to % 8)
	}
	p.putTunMetadata(s.Field, kv, value, mask)
}

// bitsAt returns the mask of n bits from the bit at up.
func bitsAt(at, n uint16) (mask Bits) {
	for i := at; i < at+n && i < 128; i++ {
		mask[15-i/8] |= 1 << (i % 8)
	}
	return mask
}

// shifted returns v, n bits further up.
func shifted(v Bits, n uint16) (out Bits) {
	for i := range 128 - n {
		if v[15-i/8]>>(i%8)&1 == 1 {
			out[15-(i+n)/8] |= 1 << ((i + n) % 8)
		}
	}
	return out
}

// get returns what m requires of f, which may be another way to say something else.
func (m Match) get(f Field) (c Cond) {
	c.Field = f
	switch foldingOf[f] {
	case toRegs:
		parts, n := foldRegs(c)
		for i := range n {
			if j, found := m.find(parts[i].Field); found {
				copy(c.Value[16-4*(n-i):], m[j].Value[12:])
				copy(c.Mask[16-4*(n-i):], m[j].Mask[12:])
			}
		}
		return c
	case toTCI:
		return m.getTCI(f)
	}
	used := ones(info[f].bytes)
	if foldingOf[f] == bounded && f != NSHSPI {
		used = boundOf(f)
	}
	shift := uint16(0)
	if f == IPTOS {
		f, shift, used = IPDSCP, 2, Uint(0xfc)
	} else if f == InPort16 {
		f = InPort
	}
	for i := range m {
		if placeOf[m[i].Field] == placeOf[f] {
			c.Value, c.Mask = shifted(m[i].Value, shift).and(used), shifted(m[i].Mask, shift).and(used)
			if m[i].Mask == ones(info[m[i].Field].bytes) { // though it may have fewer bits
				c.Mask = used
			}
		}
	}
	return c
}

// getTCI returns what m requires of the part f of the VLAN TCI.
func (m Match) getTCI(f Field) Cond {
	tci, mask := m.tci()
	switch f {
	case VLANVID:
		tci, mask = tci&(vlanVID|vlanCFI), mask&(vlanVID|vlanCFI)
	case DLVLAN:
		tci, mask = tci&vlanVID, mask&vlanVID
	default:
		tci, mask = tci>>13, mask>>13
	}
	return Cond{Field: f, Value: Uint(uint64(tci)), Mask: Uint(uint64(mask))}
}

// sent returns what of m Open vSwitch would send to a switch: a condition on a field that a
// packet as the others ask for does not have is left out. What a switch would take for
// another match than the one it is sent stays as it is.
func (m Match) sent() Match {
	m = m.resolve()
	b := AppendMatch(nil, m)
	d := decoder{b: b, what: "match"}
	again := d.oxms(false)
	if d.err != nil || !bytes.Equal(AppendMatch(nil, again), b) {
		return m.settle(false)
	}
	return again
}
