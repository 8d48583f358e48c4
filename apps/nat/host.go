package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// echoed is the priority in ArpNd of pings, in front of what comes in.
const echoed = martian - 1

// host has the router answer pings of its own addresses, as any host does.
func host(b *pipeline.Builder, x pipeline.ExternalSite) {
	for _, s := range x.Subnets {
		if s.Address.IsValid() {
			echo(b, x.ID(), x, s.Address)
		}
	}
	if hasIPv6(x) {
		echo(b, x.ID(), x, pipeline.LinkLocal(x.RouterMAC()))
	}
}

// echo answers pings of an address, from outside, and from tenants whose routes lead there.
func echo(b *pipeline.Builder, id intent.ID, x pipeline.ExternalSite, own netip.Addr) {
	ping, reply := pipeline.Echo(own, x.RouterMAC())
	b.Flow(id, pipeline.ArpNd, echoed, ofproto.MatchOn(append(ping, cameBy(x), ofproto.IsMAC(ofproto.EthDst, x.RouterMAC()))...), reply...)
	if _, led := hopOf(b, x, netip.PrefixFrom(own, own.BitLen())); !led || own.IsLinkLocalUnicast() {
		return
	}
	ping, reply = pipeline.Echo(own, pipeline.RouterMAC)
	b.Flow(id, pipeline.Route, pipeline.RouterItself, ofproto.MatchOn(append(ping, toRouter, pipeline.FromOutside.IsNot())...), reply...)
}

// Expired tells somebody outside that a packet has come to the end of its life at the router. It
// is quoted as it was sent.
func Expired(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	q, ok := in.Punted(p)
	if !ok || q.Outside.External == nil {
		return nil
	}
	own := routerOf(in, q.Outside, q.Sent.Src, q.Sent.Dst)
	if !own.IsValid() {
		return nil
	}
	return q.Reply(q.Sent.Expire(q.Link(), own))
}

// routerOf returns the address by which the router speaks to somebody outside of what it was
// sent: its own; or if it has none, that to which it was sent, if that is one of those for which
// it speaks.
func routerOf(in pipeline.Input, x pipeline.ExternalSite, to, asked netip.Addr) netip.Addr {
	own := netip.Addr{}
	for _, s := range x.Subnets {
		if s.Address.IsValid() && s.Address.Is4() == to.Is4() && (!own.IsValid() || s.CIDR.Contains(to)) {
			own = s.Address
		}
	}
	if !own.IsValid() && translated(in, x, asked) {
		return asked
	}
	return own
}

// translated reports whether an address of an outside stands for somebody.
func translated(in pipeline.Input, x pipeline.ExternalSite, a netip.Addr) bool {
	return slices.ContainsFunc(in.Model.Tenants(), func(t *intent.Tenant) bool {
		return slices.ContainsFunc(t.FloatingIPs, func(f *intent.FloatingIP) bool { return f.Address == a && f.Bridge == x.Bridge }) ||
			slices.ContainsFunc(t.PortForwards, func(f *intent.PortForward) bool { return f.Address == a && f.Bridge == x.Bridge }) ||
			slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.Address == a && l.Bridge == x.Bridge }) ||
			slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool {
				return slices.ContainsFunc(s.PoolsOn(x.Bridge, x.Network), func(p intent.Pool) bool {
					return slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(a) })
				})
			})
	})
}
