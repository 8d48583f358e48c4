package fabric

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// balancer has the router answer for the address of a load balancer inside, pings before all else that
// is for it: there may be thousands. Endpoints send there
// what is for it, also from within its network, and the router sends it on to a backend.
func balancer(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite) {
	if !l.Inside() {
		return
	}
	var link *pipeline.NetworkSite
	for _, n := range t.Networks {
		if n.Network == l.Network {
			link = n
		}
	}
	if link != nil && l.OnLink {
		onLink(b, t, link, l.Subnet())
	}
	if !l.Answers {
		return
	}
	if link != nil {
		resolve(b, l.ID(), link, l.Address)
	}
	if t.HasPlain() {
		b.Reserve(t, l.ID(), l.Address)
	}
	ping, reply := pipeline.Echo(l.Address, pipeline.RouterMAC)
	b.Flow(l.ID(), pipeline.LBVIP, 60, ofproto.MatchOn(append(ping,
		pipeline.InZone(t.Zone), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), pipeline.FromOutside.IsNot())...), reply...)
}

// onLink sends what is for load balancers in a subnet without a gateway, and has been given to a backend,
// on to that: by its address, for it was sent to the router. It stays on its link, so
// that no router counts. Nothing else gets there so, nor does anybody from another link, to
// whom nobody there could answer.
func onLink(b *pipeline.Builder, t *pipeline.TenantSite, n *pipeline.NetworkSite, s intent.Subnet) {
	own := s.CIDR.Addr()
	sources := []netip.Prefix{s.CIDR}
	if own.Is6() {
		sources = append(sources, pipeline.LinkLocals)
	}
	for _, from := range sources {
		for _, given := range []ofproto.Cond{pipeline.DNAT.Is(), pipeline.KnownBalanced} {
			b.Flow(n.ID(), pipeline.Route, pipeline.OnLink, ofproto.MatchOn(
				pipeline.InNet(n.Number), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), given,
				ofproto.InPrefix(pipeline.IPSrc(own), from), ofproto.InPrefix(pipeline.IPDst(own), s.CIDR),
			), ofproto.SetMAC(ofproto.EthSrc, pipeline.RouterMAC), ofproto.GotoTable(pipeline.Neigh))
		}
	}
	for _, e := range n.Endpoints {
		for _, ip := range e.IPs {
			if s.CIDR.Contains(ip) && !pipeline.AnyMAC(e.Endpoint) {
				neighbour(b, t, e, ip)
			}
		}
	}
}
