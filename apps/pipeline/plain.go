package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// A plain endpoint is one without addresses: a layer-2 port. It may send from any address
// that nobody in its tenant has declared, and is known by its port as a source, and by its
// MAC address as a destination. It is not routed to, for no router knows where it is.

// Plain reports whether e has no addresses.
func Plain(e *intent.Endpoint) bool { return len(e.IPs) == 0 }

// HasPlain reports whether there is a plain endpoint of t on the bridge.
func (t *TenantSite) HasPlain() bool {
	return slices.ContainsFunc(t.Endpoints, func(e *intent.Endpoint) bool { return Plain(e) && t.Here(e) })
}

// admitPlain lets a plain endpoint in with its MAC address, or its stations with theirs, below what reserve keeps for
// others.
func admitPlain(b *Builder, t *TenantSite, e EndpointSite, from []ofproto.Cond) {
	sec := func(priority uint16, next []ofproto.Action, conds ...ofproto.Cond) {
		b.Flow(e.ID(), PortSec, priority, ofproto.MatchOn(append(conds, from...)...), next...)
	}
	for _, ip := range ipVersions {
		sec(70, t.as(e, RegSrcID, ofproto.GotoTable(Stateless)), ip)
	}
	discover := []ofproto.Action{ofproto.GotoTable(ArpNd)}
	others := append([]uint64{NdNA}, MLDTypes...)
	if AnyMAC(e.Endpoint) { // no flow can ask whether an option names the sender
		sec(70, discover, ofproto.IsARP)
		others = append(others, NdNS)
	} else {
		sec(70, discover, ofproto.IsARP, ofproto.IsMAC(ofproto.ARPSHA, e.MAC))
		for _, option := range []intent.MAC{e.MAC, {}} {
			sec(112, discover, icmpv6(NdNS, ofproto.IsMAC(ofproto.NDSLL, option))...)
		}
	}
	for _, typ := range others {
		sec(112, discover, icmpv6(typ)...)
	}
}

// reserve keeps the addresses of a tenant's endpoints and gateways from its plain endpoints:
// what is from them, or for them, must not be another's, whose packets the tracker could not
// tell from theirs. They stay kept if the switch refuses what serves their owner: the flows
// serve the tenant then.
func reserve(b *Builder, t *TenantSite) {
	for _, e := range t.Endpoints {
		for _, ip := range AddressesOf(e) {
			b.Reserve(t, e.ID(), ip)
		}
	}
	for _, n := range t.Tenant.Networks {
		for _, s := range n.Subnets {
			if s.Gateway.IsValid() {
				b.Reserve(t, n.ID(), s.Gateway)
			}
		}
	}
}

// Reserve keeps an address from the plain endpoints of a tenant.
func (b *Builder) Reserve(t *TenantSite, id intent.ID, ip netip.Addr) {
	if b.Refused(id) {
		id = t.ID()
	}
	stop := func(at ofproto.Table, priority uint16, why Reason, conds ...ofproto.Cond) {
		b.Flow(id, at, priority, ofproto.MatchOn(append(conds, InZone(t.Zone))...), ToDrop(why)...)
	}
	stop(PortSec, 75, Spoofed, ofproto.IsAddr(IPSrc(ip), ip))
	if ip.Is4() {
		stop(PortSec, 75, Spoofed, ofproto.IsAddr(ofproto.ARPSPA, ip))
		stop(L2, 95, UnknownMAC, ofproto.IsAddr(ofproto.IPv4Dst, ip))
		return
	}
	stop(PortSec, 114, Spoofed, icmpv6(NdNS, ofproto.IsAddr(ofproto.IPv6Src, ip))...)
	stop(PortSec, 114, Spoofed, icmpv6(NdNA, ofproto.IsAddr(ofproto.NDTarget, ip))...)
	stop(L2, 95, UnknownMAC, ofproto.IsAddr(ofproto.IPv6Dst, ip))
}
