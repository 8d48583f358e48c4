package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A path leads to a prefix by an outside: to a next hop, or, by the tag of the outside itself, to
// whoever is on the link.
type path struct {
	to  netip.Prefix
	by  pipeline.ExternalSite
	hop intent.ID
}

// pathsOf returns where an outside leads to.
func pathsOf(x pipeline.ExternalSite) (all []path) {
	for _, s := range x.Subnets {
		all = append(all, path{s.CIDR, x, x.ID()})
	}
	for _, r := range x.Routes {
		all = append(all, path{r.To, x, pipeline.NextHopID(x.External, r.Via)})
	}
	return all
}

// routes leads what endpoints send to the outsides of a bridge, by the longest prefix; where
// several lead to everything, by the first.
func routes(b *pipeline.Builder) {
	led := map[netip.Prefix]bool{}
	for _, x := range b.Externals {
		for _, w := range pathsOf(x) {
			if !led[w.to] {
				led[w.to] = true
				lead(b, w, pipeline.Route, pipeline.OutsideRoute, toRouter, pipeline.FromOutside.IsNot())
			}
		}
		if len(b.Externals) > 1 {
			routesFrom(b, x)
		}
	}
}

var toRouter = ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC)

// routesFrom has what has an address of an outside already leave by that one, or not at all: an
// answer to somebody who has come in by it, and a connection that it was chosen for once. Other
// networks would not take such an address from here (RFC 2827), and the tracker of a firewall
// on the way would see half of a connection.
func routesFrom(b *pipeline.Builder, x pipeline.ExternalSite) {
	here := ofproto.Is(pipeline.RegNextHop, uint64(x.Tag))
	own := x.Prefixes
	for _, s := range x.Subnets {
		own = append(own[:len(own):len(own)], s.CIDR)
	}
	for _, p := range own {
		stayOn(b, x.ID(), x, p)
	}
	for _, w := range pathsOf(x) {
		lead(b, w, pipeline.RouteFrom, 1, here)
	}
	b.Flow(x.ID(), pipeline.RouteFrom, 0, ofproto.MatchOn(here), pipeline.ToDrop(pipeline.NoRoute)...)
}

// stayOn has what has an address already leave by the routes of an outside.
func stayOn(b *pipeline.Builder, of intent.ID, x pipeline.ExternalSite, p netip.Prefix) {
	b.Flow(of, pipeline.Route, pipeline.FromRoute, ofproto.MatchOn(toRouter, pipeline.FromOutside.IsNot(), ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p)),
		ofproto.Set(pipeline.RegNextHop.Whole(), uint64(x.Tag)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: pipeline.RouteFrom})
}

// lead sends what meets conditions on a path, in front of shorter ones.
func lead(b *pipeline.Builder, w path, t ofproto.Table, above uint16, conds ...ofproto.Cond) {
	b.Flow(w.by.ID(), t, above+uint16(w.to.Bits()), ofproto.MatchOn(append(conds, ofproto.InPrefix(pipeline.IPDst(w.to.Addr()), w.to), pipeline.IPVersion(w.to.Addr().Is4()))...),
		ofproto.DecTTL{}, ofproto.SetMAC(ofproto.EthSrc, w.by.RouterMAC()),
		ofproto.Set(pipeline.RegNextHop.Whole(), uint64(b.Numbers.Tag(w.hop))), ofproto.GotoTable(pipeline.Neigh))
}
