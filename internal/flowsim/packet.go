package flowsim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"weir/ofproto"
)

// numFields is one more than the last field that has a place of its own in a match.
const numFields = ofproto.Metadata + 1

// A word is the value of a field, 128 bits of it.
type word struct{ hi, lo uint64 }

func wordOf(b ofproto.Bits) word {
	return word{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (w word) bits() (b ofproto.Bits) {
	binary.BigEndian.PutUint64(b[:8], w.hi)
	binary.BigEndian.PutUint64(b[8:], w.lo)
	return b
}

func (w word) and(m word) word { return word{w.hi & m.hi, w.lo & m.lo} }

// put returns w with the bits of v where m is set.
func (w word) put(v, m word) word {
	return word{w.hi&^m.hi | v.hi&m.hi, w.lo&^m.lo | v.lo&m.lo}
}

// left returns w shifted by n bits, right the other way.
func (w word) left(n uint16) word {
	if n >= 64 {
		return word{w.lo << (n - 64), 0}
	}
	return word{w.hi<<n | w.lo>>(64-n), w.lo << n}
}

func (w word) right(n uint16) word {
	if n >= 64 {
		return word{0, w.hi >> (n - 64)}
	}
	return word{w.hi >> n, w.lo>>n | w.hi<<(64-n)}
}

// low returns the mask of the n lowest bits.
func low(n uint16) word {
	switch {
	case n >= 128:
		return word{^uint64(0), ^uint64(0)}
	case n >= 64:
		return word{1<<(n-64) - 1, ^uint64(0)}
	}
	return word{0, 1<<n - 1}
}

// A Packet is what flows see of a packet: its headers, and the registers and other
// fields that go with it through the tables. A field that it does not have is zero. It
// is a value: what happens to a copy does not happen to it.
type Packet struct {
	fields [numFields]word

	// What the tracker sees, and no flow does.
	Invalid bool   // a bad checksum, or a segment that fits no connection
	Inner   *Tuple // what an ICMP error is about
	ICMPID  uint16 // the identifier of an echo

	// Datagram is what a later fragment is of, which has no ports: the tracker of the userspace datapath puts a
	// datagram together, and takes it apart again behind each lookup; that of the kernel's hands on the whole. Its
	// addresses are the fragment's.
	Datagram *Tuple
	Flags    uint16 // TCP's flags of that

	asked  asked   // what the datapath knows of it
	behind *behind // how it is other than flows see it; nil: it is not
}

// Of returns a packet with some fields, each given as in a match: by Is, IsAddr, IsMAC.
func Of(conds ...ofproto.Cond) Packet {
	var p Packet
	for _, c := range ofproto.MatchOn(conds...) {
		p.fields[c.Field] = wordOf(c.Value)
	}
	return p
}

// Get returns the value of a field, also of one that is another name for a part of
// others. Of a field that is not modelled it is zero.
func (p *Packet) Get(f ofproto.Field) ofproto.Bits { return p.get(f).bits() }

// Uint returns the low 64 bits of a field.
func (p *Packet) Uint(f ofproto.Field) uint64 { return p.get(f).lo }

// Set writes a field.
func (p *Packet) Set(f ofproto.Field, v ofproto.Bits) { p.put(f, wordOf(v), low(f.Whole().Bits)) }

// SetUint writes a field of at most 64 bits.
func (p *Packet) SetUint(f ofproto.Field, v uint64) { p.Set(f, ofproto.Uint(v)) }

// Modelled reports whether p can hold a field.
func Modelled(f ofproto.Field) bool {
	return f < numFields && (f < ofproto.TunMetadata0 || f > ofproto.TunMetadata63) || isLong(f)
}

func isLong(f ofproto.Field) bool { return ofproto.XReg0 <= f && f <= ofproto.XXReg3 }

// parts returns the registers that an extended register is made of, the highest first.
func parts(f ofproto.Field) (first ofproto.Field, n int) {
	if f >= ofproto.XXReg0 {
		return ofproto.Reg0 + 4*(f-ofproto.XXReg0), 4
	}
	return ofproto.Reg0 + 2*(f-ofproto.XReg0), 2
}

func (p *Packet) get(f ofproto.Field) (v word) {
	switch {
	case f < numFields:
		return p.fields[f]
	case isLong(f):
		first, n := parts(f)
		for i := range n {
			v = v.left(32)
			v.lo |= p.fields[first+ofproto.Field(i)].lo
		}
	}
	return v
}

// put writes the bits of v where mask is set.
func (p *Packet) put(f ofproto.Field, v, mask word) {
	switch {
	case f < numFields:
		p.fields[f] = p.fields[f].put(v, mask)
	case isLong(f):
		first, n := parts(f)
		for i := n - 1; i >= 0; i-- {
			r := &p.fields[first+ofproto.Field(i)]
			*r = r.put(v, mask).and(low(32))
			v, mask = v.right(32), mask.right(32)
		}
	}
}

func (p *Packet) part(s ofproto.Subfield) word {
	return p.get(s.Field).right(s.Offset).and(low(s.Bits))
}

func (p *Packet) putPart(s ofproto.Subfield, v word) {
	p.put(s.Field, v.left(s.Offset), low(s.Bits).left(s.Offset))
}

// Src and Dst return the addresses of an IP packet; others have none.
func (p *Packet) Src() netip.Addr { return p.addr(ofproto.IPv4Src, ofproto.IPv6Src) }

// Dst returns the destination address.
func (p *Packet) Dst() netip.Addr { return p.addr(ofproto.IPv4Dst, ofproto.IPv6Dst) }

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

func (p *Packet) addr(v4, v6 ofproto.Field) netip.Addr {
	switch p.Uint(ofproto.EthType) {
	case etherIPv4:
		b := p.Get(v4)
		return netip.AddrFrom4([4]byte(b[12:]))
	case etherIPv6:
		return netip.AddrFrom16(p.Get(v6))
	}
	return netip.Addr{}
}

func (p *Packet) setAddr(v4, v6 ofproto.Field, a netip.Addr) {
	var b ofproto.Bits
	s := a.AsSlice()
	copy(b[16-len(s):], s)
	if a.Is4() {
		p.Set(v4, b)
	} else {
		p.Set(v6, b)
	}
}

// String returns p as ovs-appctl ofproto/trace takes it: "in_port=1,tcp,nw_src=...". Zero
// fields are left out where that says the same.
func (p *Packet) String() string {
	var conds []ofproto.Cond
	for f := ofproto.Field(1); f < numFields; f++ {
		if p.fields[f] != (word{}) || p.has(f) {
			conds = append(conds, ofproto.Cond{Field: f, Value: p.fields[f].bits(), Mask: low(f.Whole().Bits).bits()})
		}
	}
	return p.exact(fmt.Sprint(ofproto.Match(conds)))
}

// exact turns the text of a match into one that ofproto/trace takes: ports and ICMPv6
// types have other names there.
func (p *Packet) exact(match string) string {
	switch p.Uint(ofproto.IPProto) {
	case protoTCP:
		return portNames("tcp").Replace(match)
	case protoUDP:
		return portNames("udp").Replace(match)
	case protoSCTP:
		return portNames("sctp").Replace(match)
	case protoICMPv6:
		return strings.NewReplacer("icmp_type", "icmpv6_type", "icmp_code", "icmpv6_code").Replace(match)
	}
	return match
}

// portNames gives ports the names of a protocol. Those that the tracker has noted keep theirs.
func portNames(protocol string) *strings.Replacer {
	return strings.NewReplacer("ct_tp_", "ct_tp_", "tp_src", protocol+"_src", "tp_dst", protocol+"_dst")
}

// has reports whether a field belongs to the header of p even when it is zero.
func (p *Packet) has(f ofproto.Field) bool {
	v6 := p.Uint(ofproto.EthType) == etherIPv6
	if p.Uint(ofproto.IPFrag)&laterFragment != 0 {
		return false
	}
	switch p.Uint(ofproto.IPProto) {
	case protoTCP:
		return f == ofproto.TCPSrc || f == ofproto.TCPDst
	case protoUDP:
		return f == ofproto.UDPSrc || f == ofproto.UDPDst
	case protoSCTP:
		return f == ofproto.SCTPSrc || f == ofproto.SCTPDst
	case protoICMP:
		return !v6 && (f == ofproto.ICMPv4Type || f == ofproto.ICMPv4Code)
	case protoICMPv6:
		return v6 && (f == ofproto.ICMPv6Type || f == ofproto.ICMPv6Code)
	}
	return false
}

// laterFragment is the bit of nw_frag of a fragment that is not the first one.
const laterFragment = 2

// Protocol numbers (IANA).
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
)
