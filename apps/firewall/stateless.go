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
// Both ends have to say so. A packet is asked about at the end that sends it (table
// Stateless) and at the end that receives it (StatelessIn); where either says no, or
// says nothing, it is tracked and judged like any other, with the stateless rules as
// plain permissions. An address that is no endpoint of the tenant has nothing to say.
//
// The tracker's verdict is not known yet, nor are identities, so the flows match
// addresses.

// A half is one of the two tables, with the side of the packet that it asks about.
type half struct {
	table ofproto.Table
	rule  ofproto.Field
	own   side // the end that is asked
	other side
	pass  []ofproto.Action // what lets a packet through this half
}

var (
	sending   = half{pipeline.Stateless, pipeline.RegRuleOut, src, dst, []ofproto.Action{ofproto.GotoTable(pipeline.StatelessIn)}}
	receiving = half{pipeline.StatelessIn, pipeline.RegRuleIn, dst, src, []ofproto.Action{pipeline.Untracked.Set(), ofproto.GotoTable(pipeline.Route)}}
)

// replyPriority is how far the answers to a rule's packets are below the packets
// themselves: what a rule says of a packet comes before what it is an answer to.
const replyPriority = 15000

// untrack adds the flows of a tenant's stateless rules.
func untrack(b *pipeline.Builder, t *pipeline.TenantSite, egress, ingress []rule) {
	if !slices.ContainsFunc(append(egress[:len(egress):len(egress)], ingress...), stateless) {
		return
	}
	untrackOneWay(b, t, egress, sending, receiving)
	untrackOneWay(b, t, ingress, receiving, sending)
	for _, e := range t.Tenant.Endpoints {
		for _, ip := range pipeline.AddressesOf(e) {
			b.Flow(e.ID(), pipeline.StatelessIn, 10, ofproto.MatchOn(pipeline.InZone(t.Zone), dst.addr(ip)), ofproto.GotoTable(pipeline.CtIn))
		}
	}
}

// untrackOneWay adds the flows for the packets that rules admit, in the half there,
// and for the answers to them, in the half back. A rule that comes before a stateless
// one, and overlaps it, sends what it matches to the tracker.
func untrackOneWay(b *pipeline.Builder, t *pipeline.TenantSite, rules []rule, there, back half) {
	track := []ofproto.Action{ofproto.GotoTable(pipeline.CtIn)}
	for i, r := range rules {
		add := func(h half, way towards, priority uint16, actions []ofproto.Action) {
			for _, m := range r.addressMatches(h, way) {
				b.Flow(r.ID(), h.table, priority, ofproto.MatchOn(append(m, pipeline.InZone(t.Zone))...), actions...)
			}
		}
		number := ofproto.Set(there.rule.Whole(), uint64(b.Numbers.Tag(r.ID())))
		switch {
		case stateless(r):
			add(there, forward, r.priority, append([]ofproto.Action{number}, there.pass...))
			add(back, backward, r.priority-replyPriority, back.pass)
		case slices.ContainsFunc(rules[i+1:], func(q rule) bool { return stateless(q) && q.overlaps(r) }):
			add(there, forward, r.priority, track)
		}
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
				for _, service := range r.services(v, way) {
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
	for _, p := range r.Peer.CIDRs {
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
