package ovstest

import (
	wire "encoding/binary"
	"net/netip"

	"weir/intent"
	"weir/internal/reference"
)

// Headers of IPv6 between the first and what it carries (RFC 8200, 4).
const (
	ipv6HopByHop    = 0
	ipv6Routing     = 43
	ipv6Fragment    = 44
	ipv6Destination = 60
)

const sctpInit = 1 // the chunk that begins an association (RFC 9260, 3.2)

// frameOf reads what decides of a frame what becomes of it.
func frameOf(b []byte) (f reference.Frame, ok bool) {
	if len(b) < 14 {
		return f, false
	}
	f.For, f.By = intent.MAC(b[:6]), intent.MAC(b[6:12])
	switch kind := wire.BigEndian.Uint16(b[12:]); {
	case kind == 0x0800 && len(b) >= 34:
		ports(&f, ipv4(&f, b))
	case kind == 0x86dd && len(b) >= 54:
		ports(&f, ipv6(&f, b))
	case kind == 0x0806 && len(b) >= 42:
		f.Kind, f.SaysMAC, f.Says = reference.ARP, intent.MAC(b[22:28]), netip.AddrFrom4([4]byte(b[28:32]))
	default:
		f.Kind = reference.Neither
	}
	return f, true
}

// ipv4 reads the header, and returns what is behind it.
func ipv4(f *reference.Frame, b []byte) (rest []byte) {
	f.Src, f.Dst, f.Protocol = netip.AddrFrom4([4]byte(b[26:30])), netip.AddrFrom4([4]byte(b[30:34])), b[23]
	f.Life = min(b[22], 3)
	at := wire.BigEndian.Uint16(b[20:])
	f.Piece = piece(at&0x1fff, at&0x2000 != 0)
	return b[min(len(b), 14+4*int(b[14]&15)):]
}

func ipv6(f *reference.Frame, b []byte) (rest []byte) {
	f.Src, f.Dst, f.Protocol = netip.AddrFrom16([16]byte(b[22:38])), netip.AddrFrom16([16]byte(b[38:54])), b[20]
	f.Life = min(b[21], 3)
	for rest = b[54:]; len(rest) >= 8; {
		switch f.Protocol {
		case ipv6HopByHop, ipv6Routing, ipv6Destination:
			f.Protocol, rest = rest[0], rest[min(len(rest), 8+8*int(rest[1])):]
		case ipv6Fragment:
			at := wire.BigEndian.Uint16(rest[2:])
			if f.Protocol, f.Piece, rest = rest[0], piece(at>>3, at&1 != 0), rest[8:]; f.Piece == reference.LaterPiece {
				return nil
			}
		default:
			return rest
		}
	}
	return rest
}

func piece(offset uint16, more bool) reference.Piece {
	switch {
	case offset != 0:
		return reference.LaterPiece
	case more:
		return reference.FirstPiece
	}
	return 0
}

// ports reads what stands behind the header of IP.
func ports(f *reference.Frame, rest []byte) {
	if f.Piece == reference.LaterPiece {
		return
	}
	switch f.Protocol {
	case reference.ICMP, reference.ICMPv6:
		if len(rest) >= 2 {
			f.Type, f.Code = rest[0], rest[1]
			f.Opens = f.Protocol == reference.ICMP && f.Type == 8 || f.Protocol == reference.ICMPv6 && f.Type == 128
		}
	case reference.TCP, reference.UDP, reference.SCTP:
		if len(rest) >= 4 {
			f.SrcPort, f.DstPort = wire.BigEndian.Uint16(rest), wire.BigEndian.Uint16(rest[2:])
		}
		switch {
		case f.Protocol == reference.TCP && len(rest) >= 14:
			const syn, ack = 0x02, 0x10
			f.Opens = rest[13]&(syn|ack) == syn
		case f.Protocol == reference.SCTP && len(rest) >= 13:
			f.Opens = rest[12] == sctpInit
		}
	}
}
