package fabric

import (
	"weir/apps/pipeline"
	"weir/ofproto"
)

// balancer has the router answer for the address of a load balancer inside. Endpoints send there
// what is for it, also from within its network, and the router sends it on to a backend.
func balancer(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite) {
	if !l.Inside() || !l.Answers {
		return
	}
	for _, n := range t.Networks {
		if n.Network == l.Network {
			speak(b, t, l.ID(), n, l.Address)
		}
	}
	if t.HasPlain() {
		b.Reserve(t, l.ID(), l.Address)
	}
	ping, _ := pipeline.Echo(l.Address, pipeline.RouterMAC)
	b.Flow(l.ID(), pipeline.LBVIP, 60, ofproto.MatchOn(append(ping, pipeline.InZone(t.Zone))...), ofproto.GotoTable(pipeline.IDSrc))
}
