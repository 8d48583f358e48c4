package frame

import (
	"net/netip"
	"slices"
)

// Where checksums are in what IP carries.
const (
	tcpChecksum  = 16
	udpChecksum  = 6
	icmpChecksum = 2
)

// Between returns p with other addresses, of the same version of IP, and other ports, if its
// protocol has them here. Its checksums fit as well as they did before: they are brought up to
// date by what has changed (RFC 1624), for not all of the packet may be there.
func (p *Packet) Between(src, dst netip.Addr, srcPort, dstPort uint16) Packet {
	q := *p
	if src.BitLen() != p.Src.BitLen() || dst.BitLen() != p.Dst.BitLen() {
		return q
	}
	q.ip = slices.Clone(p.ip)
	q.upper = q.ip[len(p.ip)-len(p.upper):]
	from, to := 8, ipv6Len
	if p.Src.Is4() {
		from, to = 12, ipv4Len
	}
	addresses := q.ip[from:to]
	before := slices.Clone(addresses)
	copy(addresses[copy(addresses, src.AsSlice()):], dst.AsSlice())
	q.Src, q.Dst = src, dst
	if p.Src.Is4() {
		fix(q.ip, 10, before, addresses)
	}
	if !p.Later {
		q.moveTo(srcPort, dstPort, before, addresses)
	}
	return q
}

// moveTo gives q its ports, and what it carries the checksum that goes with them and with its
// new addresses.
func (p *Packet) moveTo(srcPort, dstPort uint16, before, addresses []byte) {
	at := -1
	switch {
	case p.Protocol == tcp:
		at = tcpChecksum
	case p.Protocol == udp && be.Uint16(p.upper[udpChecksum:]) != 0: // else it has none
		at = udpChecksum
	case p.Protocol == icmpv6:
		at = icmpChecksum
	}
	if at >= 0 {
		fix(p.upper, at, before, addresses)
	}
	if p.Protocol != tcp && p.Protocol != udp {
		return
	}
	ports := slices.Clone(p.upper[:4])
	be.PutUint16(p.upper, srcPort)
	be.PutUint16(p.upper[2:], dstPort)
	p.SrcPort, p.DstPort = srcPort, dstPort
	if at >= 0 {
		fix(p.upper, at, ports, p.upper[:4])
	}
}

// fix brings the checksum at a place of b up to date: some words of what it is of are others.
func fix(b []byte, at int, before, after []byte) {
	inverse := make([]byte, len(before))
	for i, v := range before {
		inverse[i] = ^v
	}
	be.PutUint16(b[at:], ^sum(uint32(sum(uint32(^be.Uint16(b[at:])), inverse)), after))
}
