package pipeline

import (
	"net/netip"

	"weir/ofproto"
)

// IPSrc returns the field of the source address in packets of a's version of IP.
func IPSrc(a netip.Addr) ofproto.Field {
	if a.Is4() {
		return ofproto.IPv4Src
	}
	return ofproto.IPv6Src
}

// IPDst returns the field of the destination address in packets of a's version of IP.
func IPDst(a netip.Addr) ofproto.Field {
	if a.Is4() {
		return ofproto.IPv4Dst
	}
	return ofproto.IPv6Dst
}

// OriginalSrc returns the field of the source address of a connection's first packet.
func OriginalSrc(a netip.Addr) ofproto.Field {
	if a.Is4() {
		return ofproto.CTNwSrc
	}
	return ofproto.CTIPv6Src
}

// IPVersion is the condition that a packet is of IPv4, or of IPv6.
func IPVersion(four bool) ofproto.Cond {
	if four {
		return ofproto.IsIPv4
	}
	return ofproto.IsIPv6
}

// IsICMP is the condition that a packet is of ICMP, or of ICMPv6.
func IsICMP(four bool) ofproto.Cond {
	if four {
		return ofproto.Is(ofproto.IPProto, ProtoICMP)
	}
	return ofproto.Is(ofproto.IPProto, ProtoICMPv6)
}
