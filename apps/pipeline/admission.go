package pipeline

import (
	"net/netip"

	"weir/intent"
	"weir/ofproto"
)

// Protocol numbers and ICMPv6 types that the skeleton and the fabric speak of.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58

	NdNS = 135
	NdNA = 136
	ndRS = 133
)

// MLDTypes are the ICMPv6 types with which a host says which multicast groups it is
// in: report and done of MLDv1 (RFC 2710), report of MLDv2 (RFC 3810).
var MLDTypes = []uint64{131, 132, 143}

// skeleton adds what every bridge has, whatever the apps put into it.
func skeleton(b *Builder) {
	id := b.Bridge.ID()
	b.Flow(id, PhyIn, 0, nil, ToDrop(UnknownPort)...)
	b.Flow(id, PortSec, 0, nil, ToDrop(Spoofed)...)
	dhcpClient(b, id)
	guard(b, id)
	martians(b, id)
	for _, typ := range []uint64{NdNS, NdNA, ndRS} { // what no endpoint's own flow lets pass; nobody answers an RS
		b.Flow(id, PortSec, 110, ofproto.MatchOn(icmpv6(typ)...), ToDrop(Spoofed)...)
	}
	track(b, id)
	known(b, id)
	commit(b, id)
	fragments(b, id)
	refuse(b, id)
	outside(b, id)
	drop(b, id)
}

// serveTenant adds what every tenant has, whatever the apps do for it.
func serveTenant(b *Builder, t *TenantSite) {
	for _, n := range t.Networks {
		for _, e := range n.Endpoints {
			admit(b, t, n, e)
			output(b, e)
		}
		flood(b, n)
		meet(b, t, n)
	}
	if t.HasPlain() {
		reserve(b, t)
	}
	report(b, t)
	epoch(b, t) // also where the mode is off: it is kept for when it no longer is
	otherStates(b, t)
	if t.Mode == intent.Off {
		untracked(b, t)
	}
}

// admit lets an endpoint in, with its own addresses only. By them it is known, too: what
// it sends has the identity of its class from here on.
func admit(b *Builder, t *TenantSite, n *NetworkSite, e EndpointSite) {
	id := e.ID()
	enter := []ofproto.Action{
		ofproto.CTClear{}, // the host's own tracking, or another zone's, says nothing here
		ofproto.Set(RegIn.Whole(), uint64(e.Tag)),
		ofproto.Set(Zone, uint64(t.Zone)),
		ofproto.SetField{Field: ofproto.Metadata, Value: ofproto.Uint(uint64(t.Zone)<<24 | uint64(n.Number))},
	}
	own := ofproto.IsMAC(ofproto.EthSrc, e.MAC)
	if AnyMAC(e.Endpoint) {
		enter, own = append(enter, KnownStation.Set(), learnStation(e)), KnownStation.Is()
		keepOut(b, t, n, e)
	}
	b.Flow(id, PhyIn, 100, ofproto.MatchOn(ofproto.Is(ofproto.InPort, uint64(e.Port))), append(enter, ofproto.GotoTable(PortSec))...)

	from := []ofproto.Cond{ofproto.Is(RegIn, uint64(e.Tag)), own}
	from = from[:len(from):len(from)]
	sec := func(priority uint16, next ofproto.Table, conds ...ofproto.Cond) {
		b.Flow(id, PortSec, priority, ofproto.MatchOn(append(conds, from...)...), ofproto.GotoTable(next))
	}
	for _, ip := range AddressesOf(e.Endpoint) {
		b.Flow(id, PortSec, 100, ofproto.MatchOn(append(from, ofproto.IsAddr(IPSrc(ip), ip))...), t.as(e, RegSrcID, ofproto.GotoTable(Stateless))...)
	}
	for _, ip := range e.IPs {
		if ip.Is4() {
			sec(100, ArpNd, ofproto.IsAddr(ofproto.ARPSPA, ip), ofproto.IsMAC(ofproto.ARPSHA, e.MAC))
			continue
		}
		sec(120, ArpNd, icmpv6(NdNA, ofproto.IsAddr(ofproto.NDTarget, ip))...)
	}
	if hasIPv4(e.IPs) { // RFC 5227: a probe for an address not yet taken has no sender address
		sec(100, ArpNd, ofproto.Is(ofproto.ARPOp, 1), ofproto.Is(ofproto.ARPSPA, 0), ofproto.IsMAC(ofproto.ARPSHA, e.MAC))
	}
	if hasIPv6(e.IPs) {
		admitIPv6(e, sec)
	}
	if Plain(e.Endpoint) {
		admitPlain(b, t, e, from)
	}
	roles(n, e, sec)
	if e.Trusted {
		trust(b, t, e)
	}
}

// as returns the actions that give a packet of e, or to it, the identity of e's class, if
// somebody judges, and go on.
func (t *TenantSite) as(e EndpointSite, identity ofproto.Field, next ofproto.Action) []ofproto.Action {
	if number := t.identities[identity][e.Endpoint]; number != 0 {
		return []ofproto.Action{ofproto.Set(identity.Whole(), uint64(number)), next}
	}
	return []ofproto.Action{next}
}

// To returns the actions that send a packet to e, and let it be judged if it has to be.
func (t *TenantSite) To(e EndpointSite) []ofproto.Action {
	return append([]ofproto.Action{ofproto.Set(RegOut.Whole(), uint64(e.Tag))}, t.as(e, RegDstID, ofproto.GotoTable(PolSkip))...)
}

// admitIPv6 lets the messages pass without which IPv6 does not work: solicitations,
// and multicast listener reports, from the endpoint's addresses, from its link-local
// address, or from none (RFC 4862, 5.4.2; RFC 3810, 5.2.13).
func admitIPv6(e EndpointSite, sec func(uint16, ofproto.Table, ...ofproto.Cond)) {
	local := LinkLocal(e.MAC)
	sec(120, ArpNd, icmpv6(NdNA, ofproto.IsAddr(ofproto.NDTarget, local))...)
	sources := append([]netip.Addr{local, netip.IPv6Unspecified()}, ipv6Of(e.IPs)...)
	for _, src := range sources {
		from := ofproto.IsAddr(ofproto.IPv6Src, src)
		// An option that is not there reads as zero. One that is there must be true.
		sec(120, ArpNd, icmpv6(NdNS, from, ofproto.IsMAC(ofproto.NDSLL, e.MAC))...)
		sec(120, ArpNd, icmpv6(NdNS, from, ofproto.IsMAC(ofproto.NDSLL, intent.MAC{}))...)
	}
	for _, typ := range MLDTypes {
		sec(110, ArpNd, icmpv6(typ)...)
	}
}

// icmpv6 is the condition on an ICMPv6 type, and more.
func icmpv6(typ uint64, more ...ofproto.Cond) []ofproto.Cond {
	return append([]ofproto.Cond{ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, typ), ofproto.Is(ofproto.ICMPv6Code, 0)}, more...)
}

// dhcpClient lets a client without an address ask for one (RFC 2131, 4.1).
func dhcpClient(b *Builder, id intent.ID) {
	b.Flow(id, PortSec, 90, ofproto.MatchOn(
		ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, ProtoUDP),
		ofproto.Is(ofproto.IPv4Src, 0), ofproto.Is(ofproto.IPv4Dst, 0xffffffff),
		ofproto.Is(ofproto.UDPSrc, 68), ofproto.Is(ofproto.UDPDst, 67),
	), ofproto.GotoTable(ArpNd))
}

// LinkLocal returns the link-local address that is made from a MAC address (RFC
// 4291, appendix A).
func LinkLocal(m intent.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5],
	})
}

func hasIPv4(ips []netip.Addr) bool {
	for _, ip := range ips {
		if ip.Is4() {
			return true
		}
	}
	return false
}

func hasIPv6(ips []netip.Addr) bool { return len(ipv6Of(ips)) > 0 }

func ipv6Of(ips []netip.Addr) (v6 []netip.Addr) {
	for _, ip := range ips {
		if ip.Is6() {
			v6 = append(v6, ip)
		}
	}
	return v6
}
