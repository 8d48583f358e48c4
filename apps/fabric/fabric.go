// Package fabric compiles switching and routing: layer 2 inside a network, layer 3
// between the networks of a tenant, and the answers to those who ask for a gateway's
// MAC address.
//
// Nothing is learned and nothing is guessed: an endpoint is where the operator says
// that it is, and what is bound for an address that nobody has is dropped.
package fabric

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// App is the fabric.
var App = pipeline.App{Bridge: bridge, Tenant: tenant, Balancer: balancer}

// bridge adds what every bridge has.
func bridge(b *pipeline.Builder) {
	id := b.Bridge.ID()
	b.Flow(id, pipeline.ArpNd, 0, nil, pipeline.ToDrop(pipeline.UnansweredArp)...)
	b.Flow(id, pipeline.Route, 0, nil, ofproto.GotoTable(pipeline.L2))
	b.Flow(id, pipeline.Route, 10, ofproto.MatchOn(ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC)), pipeline.ToDrop(pipeline.NoRoute)...)
	b.Flow(id, pipeline.Neigh, 0, nil, pipeline.ToDrop(pipeline.NoNeighbour)...)
	b.Flow(id, pipeline.L2, 0, nil, pipeline.ToDrop(pipeline.UnknownMAC)...)
	ndAnswer(b, id)
	discover(b, id)
	broadcast(b, id)
}

// tenant adds the networks of a tenant.
func tenant(b *pipeline.Builder, t *pipeline.TenantSite) {
	if !t.ImplicitARP && t.Mode == intent.Enforce {
		hide(b, t)
	}
	expire(b, t)
	for _, n := range t.Networks {
		asked(b, n)
		for _, s := range n.Subnets {
			route(b, t, n, s)
		}
		for _, e := range n.Endpoints {
			reach(b, t, n, e)
		}
		broadcastOf(b, n)
	}
}

// untracked is what lets ARP, ND and the like pass inside a network, without the tracker.
var untracked = []ofproto.Action{pipeline.Untracked.Set(), ofproto.GotoTable(pipeline.L2)}

// discoveries are the conditions on ARP and ND.
func discoveries() [][]ofproto.Cond {
	return [][]ofproto.Cond{{ofproto.IsARP}, icmpv6(pipeline.NdNS), icmpv6(pipeline.NdNA)}
}

func icmpv6(typ uint64) []ofproto.Cond {
	return []ofproto.Cond{ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, typ)}
}

// discover lets ARP, ND, reports about multicast groups and requests of DHCP clients pass.
// The packet stays in its network, so that the same flows do for all.
func discover(b *pipeline.Builder, id intent.ID) {
	all := discoveries()
	for _, typ := range pipeline.MLDTypes {
		all = append(all, icmpv6(typ))
	}
	all = append(all, []ofproto.Cond{ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, pipeline.ProtoUDP), ofproto.Is(ofproto.UDPSrc, 68)})
	for _, conds := range all {
		b.Flow(id, pipeline.ArpNd, 50, ofproto.MatchOn(conds...), untracked...)
	}
}

// hide keeps the ARP and ND of a tenant back that wants a rule for it: the firewall lets
// pass what has one.
func hide(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, conds := range discoveries() {
		b.Flow(t.ID(), pipeline.ArpNd, 60, ofproto.MatchOn(append(conds, pipeline.InZone(t.Zone))...), pipeline.ToDrop(pipeline.UnansweredArp)...)
	}
}

// asked lets pass what the routers and DHCP servers of a network say, and are asked.
func asked(b *pipeline.Builder, n *pipeline.NetworkSite) {
	for _, conds := range n.RoleMessages() {
		b.Flow(n.ID(), pipeline.ArpNd, 50, ofproto.MatchOn(append(conds, pipeline.InNet(n.Number))...), untracked...)
	}
}

// route sends what is bound for a subnet, from any of the tenant's networks, to its
// neighbours, and answers for the gateway.
func route(b *pipeline.Builder, t *pipeline.TenantSite, n *pipeline.NetworkSite, s intent.Subnet) {
	if !s.Gateway.IsValid() {
		return
	}
	b.Flow(n.ID(), pipeline.Route, pipeline.OwnRoute+uint16(s.CIDR.Bits()), ofproto.MatchOn(
		pipeline.InVRF(t.Zone), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), ofproto.InPrefix(pipeline.IPDst(s.Gateway), s.CIDR),
	), ofproto.DecTTL{}, ofproto.SetMAC(ofproto.EthSrc, pipeline.RouterMAC), ofproto.GotoTable(pipeline.Neigh))
	speak(b, t, n.ID(), n, s.Gateway)
}

// speak has the router answer for an address in a network, and pings of it by the tenant's
// endpoints.
func speak(b *pipeline.Builder, t *pipeline.TenantSite, id intent.ID, n *pipeline.NetworkSite, own netip.Addr) {
	ping, reply := pipeline.Echo(own, pipeline.RouterMAC)
	b.Flow(id, pipeline.Route, pipeline.RouterItself, ofproto.MatchOn(append(ping,
		pipeline.InVRF(t.Zone), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), pipeline.FromOutside.IsNot())...), reply...)
	resolve(b, id, n, own)
}

// resolve has the router say, in a network, that it has an address.
func resolve(b *pipeline.Builder, id intent.ID, n *pipeline.NetworkSite, own netip.Addr) {
	if own.Is4() {
		answerARP(b, id, n, own)
	} else {
		answerND(b, id, n, own)
	}
}

// reach sends what is bound for an endpoint to it: by its MAC address and its own IP
// addresses inside the network, and by its IP addresses from the router.
//
// The MAC address alone would not do. The policy has been asked about the IP address: a
// packet with that of one endpoint and the MAC address of another would be judged as the
// one's, and delivered to the other.
func reach(b *pipeline.Builder, t *pipeline.TenantSite, n *pipeline.NetworkSite, e pipeline.EndpointSite) {
	if pipeline.AnyMAC(e.Endpoint) { // its stations are learned
		return
	}
	deliver := func(what ofproto.Cond, to []ofproto.Action) {
		b.Flow(e.ID(), pipeline.L2, 100, ofproto.MatchOn(pipeline.InNet(n.Number), ofproto.IsMAC(ofproto.EthDst, e.MAC), what), to...)
	}
	deliver(ofproto.IsARP, []ofproto.Action{ofproto.Set(pipeline.RegOut.Whole(), uint64(e.Tag)), ofproto.GotoTable(pipeline.PolSkip)})
	for _, ip := range pipeline.AddressesOf(e.Endpoint) {
		deliver(ofproto.IsAddr(pipeline.IPDst(ip), ip), t.To(e))
	}
	if pipeline.Plain(e.Endpoint) { // whatever is in it that is nobody else's
		b.Flow(e.ID(), pipeline.L2, 90, ofproto.MatchOn(pipeline.InNet(n.Number), ofproto.IsMAC(ofproto.EthDst, e.MAC), ofproto.IsIPv4), t.To(e)...)
		b.Flow(e.ID(), pipeline.L2, 90, ofproto.MatchOn(pipeline.InNet(n.Number), ofproto.IsMAC(ofproto.EthDst, e.MAC), ofproto.IsIPv6), t.To(e)...)
	}
	for _, ip := range e.IPs {
		if routed(n.Network, ip) {
			neighbour(b, t, e, ip)
		}
	}
}

// neighbour sends what the router has for an address of e to it.
func neighbour(b *pipeline.Builder, t *pipeline.TenantSite, e pipeline.EndpointSite, ip netip.Addr) {
	b.Flow(e.ID(), pipeline.Neigh, 100, ofproto.MatchOn(
		pipeline.InVRF(t.Zone), ofproto.Is(pipeline.RegNextHop, 0), ofproto.IsAddr(pipeline.IPDst(ip), ip),
	), append([]ofproto.Action{ofproto.SetMAC(ofproto.EthDst, e.MAC)}, t.To(e)...)...)
}

// routed reports whether the router leads to an address of n: whether its subnet has a
// gateway.
func routed(n *intent.Network, a netip.Addr) bool {
	return slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.Gateway.IsValid() && s.CIDR.Contains(a) })
}

// broadcast sends broadcast and multicast frames to the whole network, if what is in
// them is for all as well: a frame for all around a packet for one would bring it to
// those whom the policy has not been asked about.
func broadcast(b *pipeline.Builder, id intent.ID) {
	for _, what := range []ofproto.Cond{
		ofproto.IsARP, ofproto.InPrefix(ofproto.IPv4Dst, multicastIPv4), ofproto.IsAddr(ofproto.IPv4Dst, broadcastIPv4),
		ofproto.InPrefix(ofproto.IPv6Dst, multicastIPv6),
	} {
		b.Flow(id, pipeline.L2, 50, ofproto.MatchOn(toMany, what), toAll...)
	}
}

// broadcastOf does the same for the broadcast addresses of a network's subnets.
func broadcastOf(b *pipeline.Builder, n *pipeline.NetworkSite) {
	for _, s := range n.Subnets {
		if s.CIDR.Addr().Is4() && s.CIDR.Bits() < 31 {
			b.Flow(n.ID(), pipeline.L2, 50, ofproto.MatchOn(pipeline.InNet(n.Number), toMany, ofproto.IsAddr(ofproto.IPv4Dst, lastOf(s.CIDR))), toAll...)
		}
	}
}

var (
	toMany = ofproto.Masked(ofproto.EthDst, pipeline.GroupBit, pipeline.GroupBit)
	toAll  = []ofproto.Action{pipeline.ToAll.Set(), ofproto.GotoTable(pipeline.PolSkip)}
)

// Addresses of many hosts: RFC 5771, RFC 919, RFC 4291.
var (
	multicastIPv4 = netip.MustParsePrefix("224.0.0.0/4")
	broadcastIPv4 = netip.MustParseAddr("255.255.255.255")
	multicastIPv6 = netip.MustParsePrefix("ff00::/8")
)

// lastOf returns the broadcast address of an IPv4 subnet.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|^uint32(0)>>p.Bits())
	return netip.AddrFrom4(a)
}

// answerARP turns a request for an address of the router's into the answer and sends it back.
func answerARP(b *pipeline.Builder, id intent.ID, n *pipeline.NetworkSite, own netip.Addr) {
	b.Flow(id, pipeline.ArpNd, 100, ofproto.MatchOn(pipeline.InNet(n.Number), ofproto.Is(ofproto.ARPOp, 1), ofproto.IsAddr(ofproto.ARPTPA, own)),
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, pipeline.RouterMAC),
		ofproto.SetField{Field: ofproto.ARPOp, Value: ofproto.Uint(2)},
		ofproto.Move{Src: ofproto.ARPSHA.Whole(), Dst: ofproto.ARPTHA.Whole()},
		ofproto.SetMAC(ofproto.ARPSHA, pipeline.RouterMAC),
		ofproto.Move{Src: ofproto.ARPSPA.Whole(), Dst: ofproto.ARPTPA.Whole()},
		ofproto.SetAddr(ofproto.ARPSPA, own),
		ofproto.Output{Port: ofproto.PortInPort})
}
