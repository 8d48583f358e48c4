package frame

import "net/netip"

// A Link is the Ethernet addresses of an answer.
type Link struct{ From, To [6]byte }

// Codes of destination unreachable and time exceeded (RFC 792, RFC 1812, RFC 4443).
const (
	unreachable4 = 3
	portClosed4  = 3
	prohibited4  = 13
	expired4     = 11

	unreachable6 = 1
	portClosed6  = 4
	prohibited6  = 1
	expired6     = 3
)

// Refuse returns the frame that tells the sender of p that it is refused, as if its
// receiver said so: a reset for TCP, that the port is closed for UDP, and that it is
// prohibited for all else. It is nil if p must not be answered.
func (p *Packet) Refuse(l Link) []byte {
	switch {
	case !p.answerable():
		return nil
	case p.Protocol == tcp:
		return p.reset(l)
	case p.Src.Is4() && p.Protocol == udp:
		return p.error4(l, p.Dst, unreachable4, portClosed4)
	case p.Src.Is4():
		return p.error4(l, p.Dst, unreachable4, prohibited4)
	case p.Protocol == udp:
		return p.error6(l, p.Dst, unreachable6, portClosed6)
	}
	return p.error6(l, p.Dst, unreachable6, prohibited6)
}

// Expire returns the frame in which a router tells the sender of p that p has come to the
// end of its life in it. It is nil if p must not be answered.
func (p *Packet) Expire(l Link, router netip.Addr) []byte {
	switch {
	case !p.answerable() || router.Is4() != p.Src.Is4():
		return nil
	case router.Is4():
		return p.error4(l, router, expired4, 0)
	}
	return p.error6(l, router, expired6, 0)
}

// answerable reports whether p may be answered at all: not what is for many, or from
// nobody in particular, nor an error, nor a fragment behind the first.
func (p *Packet) answerable() bool {
	return !p.Later && !p.isError() && toOne(p.EthDst) && toOne(p.EthSrc) && oneHost(p.Src) && oneHost(p.Dst)
}

// Flags of TCP (RFC 9293, 3.1).
const (
	fin = 1 << 0
	syn = 1 << 1
	rst = 1 << 2
	ack = 1 << 4
)

// reset answers a segment as a closed port does (RFC 9293, 3.10.7.1): with the number that
// the sender expects if it says which, and otherwise with an acknowledgement of all that it
// has sent.
func (p *Packet) reset(l Link) []byte {
	b := p.upper
	flags := b[13]
	if flags&rst != 0 {
		return nil
	}
	f := p.answer(l, p.Dst, tcp, tcpLen)
	t := f[len(f)-tcpLen:]
	be.PutUint16(t, p.DstPort)
	be.PutUint16(t[2:], p.SrcPort)
	t[12] = tcpLen / 4 << 4
	if flags&ack != 0 {
		copy(t[4:8], b[8:12])
		t[13] = rst
	} else {
		be.PutUint32(t[8:], be.Uint32(b[4:])+p.segment(flags))
		t[13] = rst | ack
	}
	p.seal(f, t, 16, true)
	return f
}

// Abort returns the frame that tells the receiver of p, a segment, that its sender has given
// up: a reset in the place of p. It is nil if p is none, or must not be answered.
func (p *Packet) Abort() []byte {
	if !p.answerable() || p.Protocol != tcp {
		return nil
	}
	back := *p // what the receiver might say, and is answered
	back.Src, back.Dst, back.SrcPort, back.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	back.upper = make([]byte, tcpLen)
	copy(back.upper[8:], p.upper[4:8])
	back.upper[13] = ack
	return back.reset(Link{From: p.EthSrc, To: p.EthDst})
}

// SYN returns the segment that would open a connection.
func SYN(l Link, from, to netip.AddrPort) []byte {
	p := Packet{Src: to.Addr()} // whom it goes to
	f := p.answer(l, from.Addr(), tcp, tcpLen)
	t := f[len(f)-tcpLen:]
	be.PutUint16(t, from.Port())
	be.PutUint16(t[2:], to.Port())
	t[12], t[13] = tcpLen/4<<4, syn
	be.PutUint16(t[14:], 1<<15) // as much as may come
	p.seal(f, t, 16, true)
	return f
}

// segment is how many numbers a segment takes (SEG.LEN): its data, and one each for SYN
// and FIN.
func (p *Packet) segment(flags byte) uint32 {
	n := uint32(max(p.upperLen-int(p.upper[12]>>4)*4, 0))
	if flags&syn != 0 {
		n++
	}
	if flags&fin != 0 {
		n++
	}
	return n
}

// How long an ICMP error may be: what every host takes (RFC 1812, 4.3.2.3; RFC 4443, 2.4).
const (
	longest4 = 576
	longest6 = 1280
)

const icmpLen = 8

// error4 is an ICMP error about p, with as much of p in it as may be.
func (p *Packet) error4(l Link, from netip.Addr, typ, code byte) []byte {
	quote := p.ip[:min(len(p.ip), longest4-ipv4Len-icmpLen)]
	f := p.answer(l, from, icmp, icmpLen+len(quote))
	m := f[len(f)-icmpLen-len(quote):]
	m[0], m[1] = typ, code
	copy(m[icmpLen:], quote)
	p.seal(f, m, 2, false)
	return f
}

func (p *Packet) error6(l Link, from netip.Addr, typ, code byte) []byte {
	quote := p.ip[:min(len(p.ip), longest6-ipv6Len-icmpLen)]
	f := p.answer(l, from, icmpv6, icmpLen+len(quote))
	m := f[len(f)-icmpLen-len(quote):]
	m[0], m[1] = typ, code
	copy(m[icmpLen:], quote)
	p.seal(f, m, 2, true)
	return f
}

const (
	ttl          = 64
	precedence   = 0xc0   // internetwork control, as errors have it (RFC 1812, 4.3.2.5)
	dontFragment = 0x4000 // and so no identification is needed (RFC 6864)
)

// answer returns a frame for the sender of p, with room for n bytes behind the IP header,
// and the headers in front of them, but for checksums.
func (p *Packet) answer(l Link, from netip.Addr, protocol byte, n int) []byte {
	header := ipv4Len
	if p.Src.Is6() {
		header = ipv6Len
	}
	f := make([]byte, ethLen+header+n)
	copy(f, l.To[:])
	copy(f[6:], l.From[:])
	ip := f[ethLen:]
	if p.Src.Is6() {
		be.PutUint16(f[12:], typeIPv6)
		ip[0] = 6 << 4
		be.PutUint16(ip[4:], uint16(n))
		ip[6], ip[7] = protocol, ttl
		copy(ip[8:], from.AsSlice())
		copy(ip[24:], p.Src.AsSlice())
		return f
	}
	be.PutUint16(f[12:], typeIPv4)
	ip[0] = 4<<4 | ipv4Len/4
	if protocol == icmp {
		ip[1] = precedence
	}
	be.PutUint16(ip[2:], uint16(header+n))
	be.PutUint16(ip[6:], dontFragment)
	ip[8], ip[9] = ttl, protocol
	copy(ip[12:], from.AsSlice())
	copy(ip[16:], p.Src.AsSlice())
	be.PutUint16(ip[10:], ^sum(0, ip[:ipv4Len]))
	return f
}

// seal puts the checksum of m, what is behind the IP header of f, at its place in m; with
// the addresses in it (the pseudo-header), but for ICMP.
func (p *Packet) seal(f, m []byte, at int, addresses bool) {
	var start uint32
	if ip := f[ethLen : len(f)-len(m)]; addresses && p.Src.Is4() {
		start = uint32(sum(uint32(len(m))+uint32(ip[9]), ip[12:]))
	} else if addresses {
		start = uint32(sum(uint32(len(m))+uint32(ip[6]), ip[8:]))
	}
	be.PutUint16(m[at:], ^sum(start, m))
}

// sum is the ones' complement sum of the words of b, and start (RFC 1071).
func sum(start uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		start += uint32(be.Uint16(b))
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}
