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

// Mirror is Hairpin for a load balancer in a subnet without a gateway, where nobody answers to
// an address that is not on the link. There an endpoint sees what it has sent to the load balancer's
// address come from that address, and from a port at which nobody is served: so no answer of the
// endpoint can be taken for what it sends there itself. The tracker says which is which, for that
// translation is in the zone of source translations, whose entries nothing else there equals.
//
// It is committed each time, as SourceNAT does. Tags are those of the load balancer's ports.
func (b *Builder) Mirror(t *TenantSite, x *BalancerSite, m Mirror, tags []uint32) {
	as := []ofproto.Action{
		ofproto.ConnTrack{
			Commit: true, ZoneIn: zoneSource, Table: ofproto.NoTable,
			NAT:  &ofproto.NAT{Src: true, AddrMin: x.Address, PortMin: x.Spare.Lo, PortMax: x.Spare.Hi},
			Exec: []ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}},
		},
		ofproto.SetAddr(IPSrc(x.Address), x.Address), ofproto.Output{Port: ofproto.PortInPort},
	}
	itself := []ofproto.Cond{ofproto.Is(RegIn, uint64(m.Tag)), ofproto.Is(RegOut, uint64(m.Tag))}
	itself = itself[:len(itself):len(itself)]
	for _, ip := range AddressesOf(m.Endpoint) {
		if ip.Is4() != x.Address.Is4() || !x.Subnet().CIDR.Contains(ip) && !LinkLocals.Contains(ip) {
			continue
		}
		from := append(itself, ofproto.IsAddr(IPSrc(ip), ip))
		for _, tag := range tags { // behind a commit nothing else is known of it
			b.Flow(x.ID(), Out, 107, ofproto.MatchOn(append(from, ofproto.Is(RegTarget, uint64(tag)))...), as...)
		}
		if m.ForAddress {
			b.Flow(x.ID(), Out, 106, ofproto.MatchOn(append(from, ofproto.Is(RegTarget, 0), openedTo(x.Address), ofproto.CT(ofproto.Trk, ofproto.Rpl|ofproto.Inv))...), as...)
		}
	}
	if m.ForAddress {
		b.Flow(x.ID(), CtLookup, 112, ofproto.MatchOn(InZone(t.Zone), ofproto.Is(RegIn, uint64(m.Tag)), ofproto.IsAddr(IPDst(x.Address), x.Address)),
			ofproto.ConnTrack{ZoneIn: zoneSource, Table: ofproto.NoTable, NAT: &ofproto.NAT{}},
			ofproto.ConnTrack{ZoneIn: Zone, Table: CtState, NAT: &ofproto.NAT{}})
	}
	if m.ForEndpoint {
		b.Flow(x.ID(), Out, 103, ofproto.MatchOn(append(itself, IPVersion(x.Address.Is4()))...), ofproto.Output{Port: ofproto.PortInPort})
	}
}

// openedTo is the condition that a packet's connection was opened to an address.
func openedTo(a netip.Addr) ofproto.Cond {
	if a.Is4() {
		return ofproto.IsAddr(ofproto.CTNwDst, a)
	}
	return ofproto.IsAddr(ofproto.CTIPv6Dst, a)
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
