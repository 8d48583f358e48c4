package pipeline

import (
	"net/netip"

	"weir/intent"
	"weir/ofproto"
)

// An endpoint that opens a connection to an address that stands for its own must not be sent a
// packet from itself, which no host takes. It comes from one of these instead, behind which
// nobody is: link-local in IPv4 (RFC 3927), and of a local prefix in IPv6 (RFC 4193), where what
// is link-local would not be answered through the router.
var (
	hairpin4 = netip.MustParseAddr("169.254.254.1")
	hairpin6 = netip.MustParseAddr("fd77:6569:7200::1")
)

func hairpinOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return hairpin4
	}
	return hairpin6
}

// Hairpin sends an endpoint what it has sent to an address that stands for one of its own, and
// gets its answers back. The tracker sees both with the endpoint's address at both ends.
// The first address of a version of IP brings what is the same for all.
func (b *Builder) Hairpin(of intent.ID, e EndpointSite, a netip.Addr, first bool) {
	itself := []ofproto.Cond{ofproto.Is(RegIn, uint64(e.Tag)), ofproto.Is(RegOut, uint64(e.Tag))}
	back := ofproto.Output{Port: ofproto.PortInPort}
	b.Flow(of, Out, 105, ofproto.MatchOn(append(itself, ofproto.IsAddr(IPSrc(a), a))...), ofproto.SetAddr(IPSrc(a), hairpinOf(a)), back)
	if first {
		b.Flow(of, Out, 103, ofproto.MatchOn(append(itself, IPVersion(a.Is4()))...), back)
	}
}

// TurnBack has answers to what came by a hairpin looked up as what they answer.
func (b *Builder) TurnBack(t *TenantSite, four bool) {
	ip, src, dst, from := ofproto.IsIPv4, ofproto.IPv4Src, ofproto.IPv4Dst, hairpin4
	if !four {
		ip, src, dst, from = ofproto.IsIPv6, ofproto.IPv6Src, ofproto.IPv6Dst, hairpin6
	}
	b.Flow(t.ID(), CtIn, 110, ofproto.MatchOn(ip, InZone(t.Zone), ofproto.IsAddr(dst, from)),
		ofproto.Move{Src: src.Whole(), Dst: dst.Whole()}, ofproto.Resubmit{Port: ofproto.PortInPort16, Table: CtIn})
}
