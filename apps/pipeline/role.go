package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// Messages that only some may send: router advertisements and redirects (RFC 4861), and
// what a DHCP server says to clients (RFC 2131, RFC 8415).
const (
	ndRA       = 134
	ndRedirect = 137

	dhcpServerPort, dhcpClientPort     = 67, 68
	dhcpv6ServerPort, dhcpv6ClientPort = 547, 546
)

// allDHCPServers is the group that DHCPv6 clients ask (RFC 8415, 7.1).
var allDHCPServers = netip.MustParseAddr("ff02::1:2")

// dhcpMessage is the condition on a message between DHCP's ports.
func dhcpMessage(ip ofproto.Cond, from, to uint64) []ofproto.Cond {
	return []ofproto.Cond{ip, ofproto.Is(ofproto.IPProto, ProtoUDP), ofproto.Is(ofproto.UDPSrc, from), ofproto.Is(ofproto.UDPDst, to)}
}

// guard stops those who play router or DHCP server without being one. Routers are told
// by a type of ICMPv6, where the endpoint is known. That of DHCP needs ports, which the
// established path must not look at: it is asked where new connections are judged.
func guard(b *Builder, id intent.ID) {
	for _, typ := range []uint64{ndRA, ndRedirect} {
		b.Flow(id, PortSec, 110, ofproto.MatchOn(ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, typ)), ToDrop(NotItsRole)...)
	}
	stop := []ofproto.Action{ofproto.Set(RegReason.Whole(), uint64(NotItsRole)), ofproto.GotoTable(PolMiss)}
	b.Flow(id, PolOut, 65535, ofproto.MatchOn(dhcpMessage(ofproto.IsIPv4, dhcpServerPort, dhcpClientPort)...), stop...)
	b.Flow(id, PolOut, 65535, ofproto.MatchOn(dhcpMessage(ofproto.IsIPv6, dhcpv6ServerPort, dhcpv6ClientPort)...), stop...)
}

// roles lets an endpoint send what goes with its roles, and ask those in its network that
// have them.
func roles(n *NetworkSite, e EndpointSite, sec func(uint16, ofproto.Table, ...ofproto.Cond)) {
	local := localOf(e)
	if e.Router {
		sec(120, ArpNd, icmpv6(ndRA, local)...)
	}
	if e.DHCPServer {
		if Plain(e.Endpoint) { // it has told nobody its address
			sec(120, ArpNd, dhcpMessage(ofproto.IsIPv4, dhcpServerPort, dhcpClientPort)...)
			sec(120, ArpNd, dhcpMessage(ofproto.IsIPv6, dhcpv6ServerPort, dhcpv6ClientPort)...)
		}
		for _, ip := range AddressesOf(e.Endpoint) {
			if ip.Is4() {
				sec(120, ArpNd, append(dhcpMessage(ofproto.IsIPv4, dhcpServerPort, dhcpClientPort), ofproto.IsAddr(ofproto.IPv4Src, ip))...)
			} else {
				sec(120, ArpNd, append(dhcpMessage(ofproto.IsIPv6, dhcpv6ServerPort, dhcpv6ClientPort), ofproto.IsAddr(ofproto.IPv6Src, ip))...)
			}
		}
	}
	if !hasIPv6(e.IPs) && !Plain(e.Endpoint) {
		return
	}
	if n.has(func(e EndpointSite) bool { return e.Router }) {
		sec(120, ArpNd, icmpv6(ndRS, local)...)
		sec(120, ArpNd, icmpv6(ndRS, ofproto.IsAddr(ofproto.IPv6Src, netip.IPv6Unspecified()))...)
	}
	if n.has(func(e EndpointSite) bool { return e.DHCPServer }) {
		sec(120, ArpNd, append(dhcpMessage(ofproto.IsIPv6, dhcpv6ClientPort, dhcpv6ServerPort), local, ofproto.IsAddr(ofproto.IPv6Dst, allDHCPServers))...)
	}
}

func (n *NetworkSite) has(role func(EndpointSite) bool) bool {
	return slices.ContainsFunc(n.Endpoints, role)
}

// RoleMessages are what an endpoint of n with a role sends, and what it is asked, once
// port security has let it pass: a condition for each.
func (n *NetworkSite) RoleMessages() (all [][]ofproto.Cond) {
	if n.has(func(e EndpointSite) bool { return e.Router }) {
		all = append(all, icmpv6(ndRA), icmpv6(ndRS))
	}
	if n.has(func(e EndpointSite) bool { return e.DHCPServer }) {
		all = append(all, dhcpMessage(ofproto.IsIPv4, dhcpServerPort, dhcpClientPort),
			dhcpMessage(ofproto.IsIPv6, dhcpv6ServerPort, dhcpv6ClientPort), dhcpMessage(ofproto.IsIPv6, dhcpv6ClientPort, dhcpv6ServerPort))
	}
	return all
}

// trust lets an endpoint send from any address. What its roles allow is not more for it.
// From one that nobody has it is itself only if it is plain.
func trust(b *Builder, t *TenantSite, e EndpointSite) {
	from := func(priority uint16, next []ofproto.Action, conds ...ofproto.Cond) {
		b.Flow(e.ID(), PortSec, priority, ofproto.MatchOn(append(conds, ofproto.Is(RegIn, uint64(e.Tag)))...), next...)
	}
	tracked, untracked := []ofproto.Action{ofproto.GotoTable(Stateless)}, []ofproto.Action{ofproto.GotoTable(ArpNd)}
	if Plain(e.Endpoint) {
		tracked = t.as(e, RegSrcID, tracked[0])
	}
	from(80, tracked, ofproto.IsIPv4)
	from(80, tracked, ofproto.IsIPv6)
	from(80, untracked, ofproto.IsARP)
	for _, typ := range append([]uint64{NdNS, NdNA}, MLDTypes...) {
		from(115, untracked, icmpv6(typ)...)
	}
}
