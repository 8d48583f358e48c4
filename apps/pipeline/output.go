package pipeline

import (
	"maps"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// output puts out what is bound for an endpoint.
func output(b *Builder, e EndpointSite) {
	b.Flow(e.ID(), Out, 100, ofproto.MatchOn(ofproto.Is(RegOut, uint64(e.Tag))), ofproto.Output{Port: e.Port})
}

// flood puts out what is bound for a whole network, by the network that it came from. The
// switch leaves out the port that the packet came from.
func flood(b *Builder, n *NetworkSite) {
	buckets := make([]ofproto.Bucket, len(n.Endpoints))
	for i, e := range n.Endpoints {
		buckets[i].Actions = []ofproto.Action{ofproto.Output{Port: e.Port}}
	}
	b.Group(n.ID(), ofproto.GroupAll, buckets)
	b.Flow(n.ID(), Out, 110, ofproto.MatchOn(ToAll.Is(), InNet(n.Number)), ofproto.ToGroup(n.Number))
}

// drop drops, and counts by reason. Fragments for a load balancer are told apart here, for all of them at once.
func drop(b *Builder, id intent.ID) {
	b.Flow(id, Out, 0, nil, ToDrop(NoPort)...)
	for _, ip := range ipVersions {
		if b.Balances {
			b.Flow(id, Drop, 110, ofproto.MatchOn(ip, IsFragment, ofproto.Is(RegReason, uint64(NotServed))), ofproto.Set(RegReason.Whole(), uint64(WhoseFragment)))
		}
	}
	for _, r := range slices.Sorted(maps.Keys(Reasons)) {
		if r != NoReason {
			b.Flow(id, Drop, 100, ofproto.MatchOn(ofproto.Is(RegReason, uint64(r))))
		}
	}
	b.Flow(id, Drop, 0, nil)
}

// CountedBy returns the reason that a flow of Drop counts: NoReason is that of all that has none.
func CountedBy(f ofproto.Flow) Reason {
	if r, other := loaded(f.Actions, RegReason.Whole()); other {
		return Reason(r)
	}
	for _, c := range f.Match {
		if c.Field == RegReason {
			return Reason(c.Value.Uint64())
		}
	}
	return NoReason
}
