// Package frame reads the headers of an IP packet that a firewall or a router looks at,
// and makes what it says: a TCP reset, an ICMP error, and who has which address on a link.
//
// It is a small part of what there is to know about IP. Frames with VLAN tags are not
// read, as no flow sends one here, and of a packet that is cut short what is there is
// enough as long as its headers are whole.
package frame

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

var be = binary.BigEndian

// The protocols that are looked into (IANA).
const (
	icmp   = 1
	tcp    = 6
	udp    = 17
	dccp   = 33
	icmpv6 = 58
	sctp   = 132
)

const (
	ethLen    = 14
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	ipv4Len   = 20
	ipv6Len   = 40
	tcpLen    = 20
	offsetLen = 0x1fff // the fragment offset in its word of IPv4
)

// A Packet is an IP packet in an Ethernet frame. Its methods keep to what has been read.
type Packet struct {
	EthDst, EthSrc   [6]byte
	Src, Dst         netip.Addr
	Protocol         uint8  // behind the extension headers
	SrcPort, DstPort uint16 // of TCP, UDP, SCTP and DCCP
	Type, Code       uint8  // of ICMP and ICMPv6
	Later            bool   // a fragment that is not the first: nothing is known beyond the protocol

	ip       []byte // from the IP header on, as much as is there
	upper    []byte // what the IP packet carries
	upperLen int    // how long that is, although not all of it may be there
}

// Parse reads a frame. It returns false if there is no IP packet in it, or not all of its
// headers.
func Parse(b []byte) (p Packet, ok bool) {
	if len(b) < ethLen {
		return p, false
	}
	p.EthDst, p.EthSrc, p.ip = [6]byte(b), [6]byte(b[6:]), b[ethLen:]
	switch be.Uint16(b[12:]) {
	case typeIPv4:
		ok = p.ipv4()
	case typeIPv6:
		ok = p.ipv6()
	}
	return p, ok && (p.Later || p.service())
}

func (p *Packet) ipv4() bool {
	b := p.ip
	if len(b) < ipv4Len || b[0]>>4 != 4 {
		return false
	}
	header, total := int(b[0]&15)*4, int(be.Uint16(b[2:]))
	if header < ipv4Len || total < header || len(b) < header {
		return false
	}
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	p.Protocol, p.Later = b[9], be.Uint16(b[6:])&offsetLen != 0
	p.ip = b[:min(total, len(b))] // without the padding of Ethernet
	p.upper, p.upperLen = p.ip[header:], total-header
	return true
}

func (p *Packet) ipv6() bool {
	b := p.ip
	if len(b) < ipv6Len || b[0]>>4 != 6 {
		return false
	}
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	p.Protocol, p.upperLen = b[6], int(be.Uint16(b[4:]))
	p.ip = b[:min(ipv6Len+p.upperLen, len(b))]
	p.upper = p.ip[ipv6Len:]
	for !p.Later {
		n, more := p.extension()
		if !more {
			return true
		}
		if n > len(p.upper) {
			return false
		}
		p.Protocol, p.upper, p.upperLen = p.upper[0], p.upper[n:], p.upperLen-n
	}
	return true
}

// Extension headers of IPv6 (RFC 8200, RFC 4302).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	authHeader  = 51
	destination = 60
)

// extension returns the length of the extension header that comes next, and whether there
// is one. One that is cut short is longer than what is there.
func (p *Packet) extension() (n int, more bool) {
	size := 255 // of a header that is not there, more than there is
	if len(p.upper) >= 8 {
		size = int(p.upper[1])
	}
	switch p.Protocol {
	case hopByHop, routing, destination:
		return 8 + 8*size, true
	case authHeader:
		return 8 + 4*size, true
	case fragment:
		p.Later = len(p.upper) >= 8 && be.Uint16(p.upper[2:])>>3 != 0
		return 8, true
	}
	return 0, false
}

// service reads ports, or type and code.
func (p *Packet) service() bool {
	b := p.upper
	switch p.Protocol {
	case tcp, udp, sctp, dccp:
		if len(b) < 8 || p.Protocol == tcp && len(b) < tcpLen {
			return false
		}
		p.SrcPort, p.DstPort = be.Uint16(b), be.Uint16(b[2:])
	case icmp, icmpv6:
		if len(b) < 8 {
			return false
		}
		p.Type, p.Code = b[0], b[1]
	}
	return true
}

// isError reports whether p is an ICMP error, or one that tells of a better way: never
// must one answer another (RFC 1122, 3.2.2; RFC 4443, 2.4).
func (p *Packet) isError() bool {
	switch {
	case p.Protocol == icmp && p.Src.Is4():
		return slices.Contains([]uint8{3, 4, 5, 11, 12}, p.Type)
	case p.Protocol == icmpv6 && p.Src.Is6():
		const redirect = 137
		return p.Type < 128 || p.Type == redirect
	}
	return false
}

// oneHost reports whether a is the address of one host, and not this one's own.
func oneHost(a netip.Addr) bool {
	if a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) { // RFC 1122, 3.2.1.3; RFC 919
		return false
	}
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

// toOne reports whether a frame is for one station.
func toOne(mac [6]byte) bool { return mac[0]&1 == 0 }
