package nat

import (
	"encoding/binary"
	"net/netip"

	"weir/apps/pipeline"
)

// arpRequest returns an ARP request for an address, to all on the link.
func arpRequest(from [6]byte, sender, target netip.Addr) []byte {
	f := make([]byte, ethLen+arpLen)
	copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	copy(f[6:], from[:])
	copy(f[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
	copy(f[arpSHA:], from[:])
	copy(f[arpSPA:], sender.AsSlice())
	copy(f[arpSPA+10:], target.AsSlice())
	return f
}

// A discovery is a neighbour solicitation or advertisement with one option, which is the MAC
// address that it is from.
type discovery struct {
	to, from    [6]byte
	src, dst    netip.Addr
	typ, option byte
	flags       uint32
	target      netip.Addr
}

// frame returns d as it is on the wire (RFC 4861, 4.3 and 4.4).
func (d discovery) frame() []byte {
	f := make([]byte, ethLen+ipv6Len+ndLen)
	copy(f, d.to[:])
	copy(f[6:], d.from[:])
	binary.BigEndian.PutUint16(f[12:], 0x86dd)
	ip := f[ethLen:]
	ip[0], ip[5], ip[6], ip[7] = 6<<4, ndLen, pipeline.ProtoICMPv6, 255
	copy(ip[8:], d.src.AsSlice())
	copy(ip[24:], d.dst.AsSlice())
	nd := ip[ipv6Len:]
	nd[0] = d.typ
	binary.BigEndian.PutUint32(nd[4:], d.flags)
	copy(nd[8:], d.target.AsSlice())
	nd[24], nd[25] = d.option, 1
	copy(nd[26:], d.from[:])
	binary.BigEndian.PutUint16(nd[2:], checksum(ip[8:ipv6Len], nd))
	return f
}

// checksum is that of ICMPv6 (RFC 8200, 8.1) over addresses and message.
func checksum(addrs, message []byte) uint16 {
	sum := uint32(len(message)) + pipeline.ProtoICMPv6
	for _, b := range [][]byte{addrs, message} {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
