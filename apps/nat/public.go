package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// asTheyAre is the priority in SNATSel of addresses that leave as they are, below all that
// translates.
const asTheyAre = 100

// Priorities in LBVIP of what has come from outside for an address inside, and is judged again:
// whether it may still be reached so.
const (
	reachable = 145
	withdrawn = 140
)

// public has the networks of a tenant that lie in a prefix of an outside reached by their own
// addresses, and leave with them: the prefix is routed to the bridge by others. So both ends of
// such a connection are as they are, and it is remembered with the network. What a load balancer in one has given to a backend
// is remembered with that.
func public(b *pipeline.Builder, t *pipeline.TenantSite) {
	for _, n := range t.Networks {
		versions := map[bool]bool{}
		for _, x := range b.Externals {
			for _, s := range n.Subnets {
				if s.Gateway.IsValid() && x.Routed(s.CIDR) {
					versions[s.CIDR.Addr().Is4()] = true
					reached(b, t, x, n, s.CIDR)
				}
			}
		}
		for four := range versions {
			b.Translate(t, pipeline.Translation{Of: n.ID(), Conds: []ofproto.Cond{pipeline.IPVersion(four), isOf(b, n), pipeline.DNAT.IsNot()}, Sure: true})
		}
	}
}

// isPublic reports whether p, which is of a network that has a gateway, is reached by some outside as it is.
func isPublic(b *pipeline.Builder, p netip.Prefix) bool {
	return slices.ContainsFunc(b.Externals, func(x pipeline.ExternalSite) bool { return x.Routed(p) })
}

// reached lets what is for p in by x, and what is from there out, if no SNAT translates it.
func reached(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, n *pipeline.NetworkSite, p netip.Prefix) {
	of := ofproto.Set(pipeline.RegSNAT.Whole(), uint64(b.Numbers.Tag(n.ID())))
	to, from := ofproto.InPrefix(pipeline.IPDst(p.Addr()), p), ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p)
	zone := pipeline.InZone(t.Zone)
	b.Flow(n.ID(), pipeline.ExtIn, 100+uint16(p.Bits()), ofproto.MatchOn(cameBy(x), to), append([]ofproto.Action{of}, t.EnterTenant()...)...)
	b.Flow(n.ID(), pipeline.LBVIP, reachable, ofproto.MatchOn(zone, pipeline.AgainFromOutside(), to), ofproto.GotoTable(pipeline.IDSrc))
	b.Flow(n.ID(), pipeline.SNATSel, asTheyAre, ofproto.MatchOn(zone, leavesBy(x), from), t.AsTheyAre(of)...)
	b.Flow(n.ID(), pipeline.SNATSel, again, ofproto.MatchOn(zone, pipeline.Remembered(), pipeline.Related.IsNot(), from),
		pipeline.ToOutside.Clear(), ofproto.GotoTable(pipeline.Commit))
	across(b, x, n.ID(), p)
}

// isOf is the condition that a packet has come for a public network, or leaves from it as it is.
func isOf(b *pipeline.Builder, n *pipeline.NetworkSite) ofproto.Cond {
	return ofproto.Is(pipeline.RegSNAT, uint64(b.Numbers.Tag(n.ID())))
}

// notReachable denies what came from outside for an address inside, and is judged again, where
// no prefix says any more that it may.
func notReachable(b *pipeline.Builder, id intent.ID) {
	for _, four := range []bool{true, false} {
		b.Flow(id, pipeline.LBVIP, withdrawn, ofproto.MatchOn(pipeline.IPVersion(four), pipeline.AgainFromOutside(), ofproto.Masked(ofproto.CTMark, 0, uint64(pipeline.MarkDNAT))),
			ofproto.Set(pipeline.RegReason.Whole(), uint64(pipeline.NotExpected)), ofproto.GotoTable(pipeline.PolMiss))
	}
}
