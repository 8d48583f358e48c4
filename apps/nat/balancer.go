package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// balancer has what comes for the address of a load balancer outside come to its tenant, from the
// outside and from other tenants. Which backend gets it is not said here.
func balancer(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite) {
	x, ok := b.Outside(l.External)
	if l.Inside() || !ok {
		return
	}
	for _, from := range l.Lost {
		m := lostFrom(t, x, from.Addr(), ofproto.Is(ofproto.TCPSrc, uint64(from.Port())))
		b.Flow(l.ID(), pipeline.SNATSel, pipeline.LostFrom, m, pipeline.ToDrop(pipeline.Lost)...)
	}
	if l.LeavesAs != "" {
		b.LeaveFrom(t, x, l)
	}
	if l.LeavesAs == l.ID() {
		b.LeaveAs(t, l.ID(), l.Address)
	}
	if !l.Answers {
		return
	}
	one := netip.PrefixFrom(l.Address, l.Address.BitLen())
	if !l.Theirs && owns(b, t, x, l.ID(), one, map[netip.Prefix]bool{}) {
		nobody(b, t, x, l.ID(), one)
	}
	if slices.ContainsFunc(x.Subnets, func(s intent.ExternalSubnet) bool { return s.Address == l.Address }) {
		return // the router is pinged by it as it is
	}
	echo(b, l.ID(), x, l.Address)
	ping, _ := pipeline.Echo(l.Address, pipeline.RouterMAC)
	b.Flow(l.ID(), pipeline.LBVIP, 60, ofproto.MatchOn(append(ping, pipeline.InZone(t.Zone))...), ofproto.GotoTable(pipeline.IDSrc))
}
