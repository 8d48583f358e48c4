package firewall

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A stateless rule lets packets pass that are never tracked. As the tracker does not
// know their answers, the rule lets those pass as well: from its peers' ports back to
// its endpoints.
//
// Both ends have to say so: the one that sends a packet (tables Stateless and
// StatelessReply) and the one that receives it (StatelessIn and StatelessInReply). Where
// either says no, or says nothing, it is tracked and judged like any other, with the
// stateless rules as plain permissions. An address that is no endpoint of the tenant has
// nothing to say.
//
// An end is asked twice: whether its first rule for the packet is stateless, and if not,
// whether its first rule for what the packet answers is. Either will do, and so a packet
// and its answer are always treated alike: it must not be that the one is tracked and
// the other is not.
//
// What is for the router, and no endpoint's, may leave for the outside. It is tracked, or it
// could not be translated.
//
// An endpoint without addresses cannot say it, for nobody knows what is from it: where there
// is one, an address that is no endpoint's says no.
//
// The tracker's verdict is not known yet, nor are identities, so the flows match
// addresses.

// A half is the tables of one end, with the side of the packet that they ask about.
type half struct {
	packets ofproto.Table
	answers ofproto.Table // the next one
	rule    ofproto.Field
	own     side // the end that is asked
	other   side
	pass    []ofproto.Action // what lets a packet through this half
}

var (
	sending   = half{pipeline.Stateless, pipeline.StatelessReply, pipeline.RegRuleOut, src, dst, []ofproto.Action{ofproto.GotoTable(pipeline.StatelessIn)}}
	receiving = half{pipeline.StatelessIn, pipeline.StatelessInReply, pipeline.RegRuleIn, dst, src, []ofproto.Action{pipeline.Untracked.Set(), ofproto.GotoTable(pipeline.Route)}}
)

// untrack adds the flows of a tenant's stateless rules.
func untrack(b *pipeline.Builder, t *pipeline.TenantSite, egress, ingress []rule) {
	if !slices.ContainsFunc(append(egress[:len(egress):len(egress)], ingress...), stateless) {
		return
	}
	untrackOneWay(b, t, egress, sending, receiving)
	untrackOneWay(b, t, ingress, receiving, sending)
	if t.HasPlain() { // any other address may be one's of which no rule here can know
		b.Flow(t.ID(), receiving.answers, 5, ofproto.MatchOn(pipeline.InZone(t.Zone)), ofproto.GotoTable(pipeline.CtIn))
	}
	if len(t.Outsides) > 0 { // what leaves is translated, and so tracked
		b.Flow(t.ID(), receiving.answers, 5, ofproto.MatchOn(pipeline.InZone(t.Zone), ofproto.IsMAC(ofproto.EthDst, pipeline.RouterMAC)), ofproto.GotoTable(pipeline.CtIn))
	}
	for _, e := range t.Tenant.Endpoints {
		for _, ip := range pipeline.AddressesOf(e) {
			b.Flow(e.ID(), receiving.answers, 10, ofproto.MatchOn(pipeline.InZone(t.Zone), dst.addr(ip)), ofproto.GotoTable(pipeline.CtIn))
		}
	}
}

// untrackOneWay adds the flows for the packets that rules admit, in the half there,
// and for the answers to them, in the half back. A rule that comes before a stateless
// one, and overlaps it, keeps what it matches from it.
func untrackOneWay(b *pipeline.Builder, t *pipeline.TenantSite, rules []rule, there, back half) {
	for i, r := range rules {
		number := ofproto.Set(there.rule.Whole(), uint64(b.Numbers.Tag(r.ID())))
		switch {
		case stateless(r):
			untrackRule(b, t, r, slices.Concat([]ofproto.Action{number}, pipeline.Report(r.Log), there.pass), back.pass, there, back)
		case slices.ContainsFunc(rules[i+1:], func(q rule) bool { return stateless(q) && q.overlaps(&r) }):
			if r.Action == intent.Pass && !r.refused {
				untrackRule(b, t, r, pipeline.Pass(there.packets, r.Policy.Tier), pipeline.Pass(back.answers, r.Policy.Tier), there, back)
				continue
			}
			no := func(next ofproto.Table) []ofproto.Action { return []ofproto.Action{ofproto.GotoTable(next)} }
			untrackRule(b, t, r, no(there.answers), no(pipeline.CtIn), there, back)
		}
	}
}

// untrackRule adds the flows of one rule: what to do with its packets, and what with
// their answers.
func untrackRule(b *pipeline.Builder, t *pipeline.TenantSite, r rule, packets, answers []ofproto.Action, there, back half) {
	for _, m := range r.addressMatches(there, forward) {
		m = append(append(m, pipeline.InZone(t.Zone)), r.unpassed(there.packets)...)
		b.Flow(serves(b, t, r), there.packets, r.priority, ofproto.MatchOn(m...), packets...)
	}
	for _, m := range r.addressMatches(back, backward) {
		m = append(append(m, pipeline.InZone(t.Zone)), r.unpassed(back.answers)...)
		b.Flow(serves(b, t, r), back.answers, r.priority, ofproto.MatchOn(m...), answers...)
	}
}

func stateless(r rule) bool { return r.Action == intent.Stateless }

// addressMatches is matches before identities are known: with the addresses of the
// classes.
func (r rule) addressMatches(h half, way towards) [][]ofproto.Cond {
	var all [][]ofproto.Cond
	for _, v := range r.versions {
		for _, own := range addressesOf(r.subjects, v) {
			for _, other := range r.peerPrefixes(v) {
				for _, service := range r.services(way) {
					conds := []ofproto.Cond{ipVersion(v), h.own.prefix(own), h.other.prefix(other)}
					all = append(all, append(conds, service...))
				}
			}
		}
	}
	return all
}

// peerPrefixes returns the addresses and CIDRs of the peers; for anybody, all there are.
func (r rule) peerPrefixes(v version) []netip.Prefix {
	if r.anyPeer && v == 4 {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
	}
	if r.anyPeer {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	all := addressesOf(r.peers, v)
	for _, p := range r.cidrs {
		if versionOf(p.Addr()) == v && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

func addressesOf(classes []*pipeline.Class, v version) (all []netip.Prefix) {
	for _, c := range classes {
		for _, a := range c.Addresses() {
			if versionOf(a) == v {
				all = append(all, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	return all
}
