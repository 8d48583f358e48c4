package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// Priorities in Neigh, above which prefixes are as far as they are long.
const (
	others = 200
	itself = 400
)

// across has what is sent to addresses outside of t come to it without leaving the bridge, if
// the way there is the outside that they are on. The tenant that sends it and t both translate
// it as if it had left.
func across(b *pipeline.Builder, x pipeline.ExternalSite, id intent.ID, p netip.Prefix) {
	if hop, ok := hopOf(b, x, p); ok {
		b.Flow(id, pipeline.Neigh, others+uint16(p.Bits()), ofproto.MatchOn(goesTo(hop, p)...), x.ToTenants()...)
	}
}

// nobody stops what a tenant sends to its own addresses outside, if no floating IP or forward
// has given it another target: by the outside it would come back to where it was. Those that
// others have as well may be somebody's there.
func nobody(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, id intent.ID, p netip.Prefix) {
	if hop, ok := hopOf(b, x, p); ok && !t.InCommon(x.Network, p.Addr()) {
		b.Flow(id, pipeline.Neigh, itself+uint16(p.Bits()), ofproto.MatchOn(append(goesTo(hop, p), pipeline.InVRF(t.Zone))...), pipeline.ToDrop(pipeline.NotOfItsOwn)...)
	}
}

// goesTo is the condition that a packet is for p, by a next hop.
func goesTo(hop uint32, p netip.Prefix) []ofproto.Cond {
	return []ofproto.Cond{ofproto.Is(pipeline.RegNextHop, uint64(hop)), ofproto.InPrefix(pipeline.IPDst(p.Addr()), p)}
}

// hopOf returns the tag of the next hop by which x leads to p, if it does. By another outside,
// if that is where the way is, what is sent to p leaves the bridge.
func hopOf(b *pipeline.Builder, x pipeline.ExternalSite, p netip.Prefix) (hop uint32, ok bool) {
	longest := -1
	for _, w := range pathsOf(x) {
		if w.to.Bits() > longest && w.to.Contains(p.Addr()) {
			longest, hop = w.to.Bits(), b.Numbers.Tag(w.hop)
		}
	}
	return hop, longest >= 0
}
