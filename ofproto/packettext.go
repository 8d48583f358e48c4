package ofproto

import (
	"net/netip"
)

// frame prints a packet in one line as a match on all of it, and the checksum of its
// transport header. packetType is Ethernet if it is zero; else its lower half is an
// EtherType, if its upper one is 1.
func (p *printer) frame(b []byte, packetType uint32) {
	f := dissect(b, packetType)
	f.print(p)
	p.checksum(&f)
	p.text("\n")
}

// A frame is what Open vSwitch finds in a packet. What it does not find is zero.
type frame struct {
	packetType uint32
	dst, src   [6]byte
	etherType  uint16
	vlans      []uint16 // tag control information, with the CFI bit set
	mpls       []uint32 // label stack entries
	nw         [2]Addr
	label      uint32
	proto      uint8 // or the lower byte of an ARP operation
	tos, ttl   uint8
	frag       uint8 // fragAny, fragLater
	tp         [2]uint16
	tcpFlags   uint16
	sha, tha   [6]byte // of ARP and neighbour discovery
	target     Addr
	nsh        nshHeader
	l4         []byte // transport header and payload, if there are any; without padding
}

// fragAny is the bit of ip_frag that all fragments have.
const fragAny = 1

// An nshHeader is a network service header (RFC 8300).
type nshHeader struct {
	flags, ttl, mdtype, np uint8
	path                   uint32
	context                [4]uint32
}

// IP protocols that have a transport header which is read.
const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
)

// isTag reports whether t is that of a VLAN tag.
func isTag(t uint16) bool { return t == 0x8100 || t == 0x88a8 }

// isMPLSType reports whether t is that of MPLS.
func isMPLSType(t uint16) bool { return t == etherMPLS || t == etherMPLSM }

// dissect reads a packet as far as it makes sense.
func dissect(b []byte, packetType uint32) (f frame) {
	f.packetType = packetType
	if packetType != 0 {
		f.etherType = uint16(packetType)
	} else if b = f.ethernet(b); b == nil {
		return f
	}
	if isMPLSType(f.etherType) {
		for len(b) >= 4 && (len(f.mpls) == 0 || f.mpls[len(f.mpls)-1]&0x100 == 0) {
			f.mpls, b = append(f.mpls, be.Uint32(b)), b[4:]
		}
	}
	switch f.etherType {
	case etherIPv4:
		f.ipv4(b)
	case etherIPv6:
		f.ipv6(b)
	case etherARP, etherRARP:
		f.arp(b)
	case etherNSH:
		f.nshHeader(b)
	}
	return f
}

// ethernet reads an Ethernet header with at most two VLAN tags, and returns what follows;
// nil if there is none.
func (f *frame) ethernet(b []byte) []byte {
	if len(b) < 14 {
		return nil
	}
	copy(f.dst[:], b)
	copy(f.src[:], b[6:])
	b = b[12:]
	for len(f.vlans) < 2 && isTag(be.Uint16(b)) && len(b) >= 6 {
		f.vlans, b = append(f.vlans, be.Uint16(b[2:])|0x1000), b[4:]
	}
	f.etherType, b = be.Uint16(b), b[2:]
	if f.etherType >= 0x600 {
		return b
	}
	f.etherType = noEtherType // a length; an EtherType may be in a SNAP header
	if len(b) < 8 || string(b[:6]) != "\xaa\xaa\x03\x00\x00\x00" {
		return b
	}
	if t := be.Uint16(b[6:]); t >= 0x600 {
		f.etherType = t
	}
	return b[8:]
}

func (f *frame) ipv4(b []byte) {
	if len(b) < 20 {
		return
	}
	head, total := int(b[0]&0xf)*4, int(be.Uint16(b[2:]))
	if head < 20 || len(b) < head || total > len(b) || head > total || len(b)-total > 0xffff {
		return
	}
	b = b[:total]
	f.nw = [2]Addr{netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))}
	f.tos, f.ttl, f.proto = b[1], b[8], b[9]
	switch offset := be.Uint16(b[6:]); {
	case offset&0x1fff != 0:
		f.frag = fragAny | fragLater
	case offset&0x2000 != 0:
		f.frag = fragAny
	}
	f.transport(b[head:])
}

func (f *frame) ipv6(b []byte) {
	if len(b) < 40 {
		return
	}
	n := int(be.Uint16(b[4:]))
	if n+40 > len(b) || len(b)-n-40 > 0xffff {
		return
	}
	f.nw = [2]Addr{netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))}
	word := be.Uint32(b)
	proto, rest, ok := f.extensions(b[6], b[40:40+n])
	if !ok {
		f.frag = 0
		return
	}
	f.tos, f.ttl, f.proto = uint8(word>>20), b[7], proto
	f.label = word & 0xfffff
	f.transport(rest)
}

// extensions skips the extension headers of IPv6 (RFC 8200), up to a later fragment, whose
// protocol is that of the fragment header.
func (f *frame) extensions(proto uint8, b []byte) (uint8, []byte, bool) {
	const hopByHop, routing, fragment, auth, destination = 0, 43, 44, 51, 60
	for {
		n := 0
		switch proto {
		case hopByHop, routing, destination, auth, fragment:
			if len(b) < 8 {
				return 0, nil, false
			}
			n = (int(b[1]) + 1) * 8
		default:
			return proto, b, true
		}
		switch proto {
		case auth:
			n = (int(b[1]) + 2) * 4
		case fragment:
			n = 8
		}
		if n > len(b) {
			return 0, nil, false
		}
		was, head := proto, b[:8]
		proto, b = head[0], b[n:]
		if offset := be.Uint16(head[2:]); was == fragment && offset != 0 {
			f.frag = fragAny
			if offset&0xfff8 != 0 {
				f.frag |= fragLater
				return fragment, b, true
			}
		}
	}
}

func (f *frame) arp(b []byte) {
	if len(b) < 28 || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return
	}
	f.nw = [2]Addr{netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))}
	if op := be.Uint16(b[6:]); op <= 0xff {
		f.proto = uint8(op)
	}
	copy(f.sha[:], b[8:])
	copy(f.tha[:], b[18:])
}

func (f *frame) nshHeader(b []byte) {
	if len(b) < 8 {
		return
	}
	word := be.Uint16(b)
	n := int(word&0x3f) * 4
	if n > len(b) || word>>14 != 0 || b[2] == 1 && n != 24 || b[2] == 2 && n < 8 {
		return
	}
	f.nsh = nshHeader{flags: uint8(word >> 12 & 3), ttl: uint8(word >> 6 & 0x3f), mdtype: b[2], np: b[3], path: be.Uint32(b[4:])}
	if b[2] == 1 {
		for i := range f.nsh.context {
			f.nsh.context[i] = be.Uint32(b[8+4*i:])
		}
	}
}

// transport reads the header of a transport protocol, if it is there as a whole.
func (f *frame) transport(b []byte) {
	f.l4 = b
	if f.frag&fragLater != 0 {
		return
	}
	switch {
	case f.proto == protoTCP && len(b) >= 20 && int(b[12]>>4)*4 >= 20 && len(b) >= int(b[12]>>4)*4:
		f.tcpFlags = be.Uint16(b[12:]) & 0xfff
		f.tp = [2]uint16{be.Uint16(b), be.Uint16(b[2:])}
	case f.proto == protoUDP && len(b) >= 8, f.proto == protoSCTP && len(b) >= 12:
		f.tp = [2]uint16{be.Uint16(b), be.Uint16(b[2:])}
	case (f.proto == protoICMP || f.proto == protoIGMP) && len(b) >= 8, f.proto == protoICMPv6 && len(b) >= 8:
		f.tp = [2]uint16{uint16(b[0]), uint16(b[1])}
		if f.proto == protoICMPv6 && b[1] == 0 && (b[0] == ndSolicit || b[0] == ndAdvert) {
			f.neighbour(b[8:])
		}
	}
}

// neighbour reads a neighbour solicitation or advertisement (RFC 4861) behind its flags.
// One that has an address twice has none.
func (f *frame) neighbour(b []byte) {
	if len(b) < 16 {
		return
	}
	f.target, b = netip.AddrFrom16([16]byte(b)), b[16:]
	for len(b) >= 8 {
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			return
		}
		if address := [...]*[6]byte{1: &f.sha, 2: &f.tha}; n == 8 && (b[0] == 1 || b[0] == 2) {
			a := address[b[0]]
			if *a != ([6]byte{}) {
				f.target, f.sha, f.tha = Addr{}, [6]byte{}, [6]byte{}
				return
			}
			copy(a[:], b[2:])
		}
		b = b[n:]
	}
}
