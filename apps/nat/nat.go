// Package nat compiles the outside of a bridge, and what is translated on the way to it and
// from it: SNATs and floating IPs.
//
// An address outside is a tenant's. What comes for it is the tenant's from then on, and the
// one lookup in the tenant's zone puts answers back to whom they are for. What is new is only
// given a target, and is routed and judged as if it had been for that; the commit makes it so.
// So policies speak of the endpoints' own addresses, and what is denied leaves no trace.
// Nothing leaves that nobody has said as whom.
package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// App is the outside and NAT.
var App = pipeline.App{Bridge: bridge, Links: links, Tenant: tenant, Float: float, Balancer: balancer}

// Priorities in SNATSel. What is judged again has its address already.
const (
	again    = 60000
	floating = 50000
	sources  = 40000 // and down from there, in the order of the SNATs
	ofOne    = 2     // that an SNAT has there: exceptions, and what is translated
)

// tenant adds the addresses that a tenant has outside.
func tenant(b *pipeline.Builder, t *pipeline.TenantSite) {
	if t.Mode == intent.Off || len(b.Externals) == 0 {
		return
	}
	known, counted := map[netip.Prefix]bool{}, map[intent.ID]bool{}
	for rank, s := range t.SNATs {
		for _, x := range b.Externals {
			for _, p := range s.PoolsOn(b.Bridge.Name, x.Network) {
				snat(b, t, x, s, p, rank, known, counted)
			}
		}
	}
	forwards(b, t, known)
	lost(b, t)
	blocks(b, t)
	behind(b, t)
	stillTheirs(b, t)
	exempt(b, t)
	public(b, t)
	gateways(b, t)
	hairpins(b, t)
	notSpoofed(b, t)
	keepIn(b, t)
}

// keepIn drops what is bound for a network of the tenant that the router does not lead to. By
// the routes outside it would leave.
func keepIn(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, n := range t.Tenant.Networks {
		for _, s := range n.Subnets {
			if slices.Contains(n.Bridges, b.Bridge.Name) && s.Gateway.IsValid() && !b.Refused(n.ID()) {
				continue
			}
			b.Flow(t.ID(), pipeline.Route, pipeline.OwnRoute+uint16(s.CIDR.Bits()), ofproto.MatchOn(pipeline.InVRF(t.Zone),
				ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC), ofproto.InPrefix(pipeline.IPDst(s.CIDR.Addr()), s.CIDR)), pipeline.ToDrop(pipeline.NoRoute)...)
		}
	}
}

// hairpins lets endpoints reach themselves by the ports that are forwarded to theirs.
func hairpins(b *pipeline.Builder, t *pipeline.TenantSite) {
	done, turned := map[netip.Addr]bool{}, map[bool]bool{}
	back := func(of *intent.Endpoint, a netip.Addr) {
		e, here := t.Site(of)
		if !here || b.Refused(e.ID()) {
			return
		}
		if four := a.Is4(); !turned[four] {
			turned[four] = true
			b.TurnBack(t, four)
		}
		if !done[a] {
			done[a] = true
			b.Hairpin(e.ID(), e, a, first(done, e, a))
		}
	}
	for _, f := range t.PortForwards {
		back(f.Endpoint, f.IP)
	}
}

// first reports whether no other address of e, of a's version of IP, is done.
func first(done map[netip.Addr]bool, e pipeline.EndpointSite, a netip.Addr) bool {
	return !slices.ContainsFunc(e.IPs, func(o netip.Addr) bool { return o != a && o.Is4() == a.Is4() && done[o] })
}

// inside is the priority in CtIn of what says that it comes from there.
const inside = 115

// notSpoofed drops what comes from outside and says that it comes from the inside, before the tracker is asked: it
// could be taken for a packet of a connection between endpoints.
func notSpoofed(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, n := range t.Tenant.Networks {
		for _, s := range n.Subnets {
			b.Flow(n.ID(), pipeline.CtIn, inside, ofproto.MatchOn(pipeline.InZone(t.Zone), pipeline.FromOutside.Is(),
				ofproto.InPrefix(pipeline.IPSrc(s.CIDR.Addr()), s.CIDR)), pipeline.ToDrop(pipeline.Spoofed)...)
		}
	}
}

// owns makes addresses outside those of a tenant: the router answers for them on the link,
// and what comes for them is the tenant's, also from other tenants. Several intents may say the
// same ones: the first that the switch takes does it.
func owns(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, id intent.ID, p netip.Prefix, known map[netip.Prefix]bool) (first bool) {
	if known[p] || b.Refused(id) {
		return false
	}
	known[p] = true
	notItself(b, t, x, p)
	if t.InCommon(x.Network, p.Addr()) {
		return true // the bridge answers for it
	}
	b.Flow(id, pipeline.ExtIn, owned(p.Bits()), ofproto.MatchOn(cameBy(x), ofproto.InPrefix(pipeline.IPDst(p.Addr()), p)), t.EnterTenant()...)
	across(b, x, id, p)
	present(b, x, id, p)
	return true
}

// notItself drops what would leave from p, if no subnet of x has it, where all are dropped that
// say so. An endpoint that may send from any address could have one translated to itself, which
// is the end of some trackers.
func notItself(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, p netip.Prefix) {
	if _, onLink := x.OnLink(p.Addr()); !onLink {
		b.Flow(t.ID(), pipeline.SNATSel, 58000, ofproto.MatchOn(pipeline.InZone(t.Zone), ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p)), pipeline.ToDrop(pipeline.NotTranslated)...)
	}
}

// present has the router be at p: answer for what of it is on the link, and take nothing from there. For its own
// address that is done.
func present(b *pipeline.Builder, x pipeline.ExternalSite, id intent.ID, p netip.Prefix) {
	s, onLink := x.OnLink(p.Addr())
	if onLink && p.IsSingleIP() && s.Address == p.Addr() {
		return
	}
	if onLink {
		answerFor(b, id, x, p)
	}
	ourselves(b, x, id, p)
}

// owned is the priority in ExtIn of a prefix that is a tenant's.
func owned(bits int) uint16 { return 100 + uint16(bits) }
