package firewall

import (
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// share has r match the CIDRs that it shares with other rules by their range.
func (r rule) share(ranges []*pipeline.Range) rule {
	if r.anyPeer || len(ranges) == 0 {
		return r
	}
	own := intent.Selector{CIDRs: r.Peer.CIDRs}
	for _, g := range r.Peer.Groups {
		isOf := func(x *pipeline.Range) bool { return slices.Contains(x.Groups, g) }
		if !slices.ContainsFunc(ranges, isOf) {
			own.Groups = append(own.Groups, g)
		}
	}
	r.own = own.Prefixes()
	for _, x := range ranges {
		if slices.ContainsFunc(r.Peer.Groups, func(g *intent.Group) bool { return slices.Contains(x.Groups, g) }) {
			r.ranges = append(r.ranges, x)
		}
	}
	return r
}

// lookUp gives a packet the range that the peer's address is in, by the longest prefix,
// before it is judged in a direction. The flows serve the tenant: without them, it would not
// be known what its rules mean.
func lookUp(b *pipeline.Builder, t *pipeline.TenantSite, d intent.Direction, table ofproto.Table) {
	if len(t.Ranges[d]) == 0 {
		return
	}
	s := stages[d]
	if d == intent.Egress {
		b.Flow(t.ID(), pipeline.PolSkip, 10, ofproto.MatchOn(pipeline.InZone(t.Zone)), ofproto.GotoTable(table))
	} else if len(b.Externals) > 0 {
		b.Flow(t.ID(), pipeline.PolSkip, 41, ofproto.MatchOn(pipeline.InZone(t.Zone), pipeline.FromOutside.Is()), ofproto.GotoTable(table))
	}
	in := func(priority int, number uint32, conds ...ofproto.Cond) {
		b.Flow(t.ID(), table, uint16(priority), ofproto.MatchOn(append(conds, pipeline.InZone(t.Zone))...),
			ofproto.Set(pipeline.RegPeer.Whole(), uint64(number)), ofproto.GotoTable(s.table))
	}
	for _, x := range t.Ranges[d] {
		for _, p := range x.Prefixes {
			in(10+p.Bits(), b.Numbers.Tag(x.ID), ipVersion(versionOf(p.Addr())), s.peer.prefix(p))
		}
	}
	in(1, 0)
}
