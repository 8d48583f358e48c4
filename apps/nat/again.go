package nat

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// stillTheirs lets connections go on that are judged again, as whom they have left so far, if
// the tenant still has the address, and something that translates what they are to it. It is
// of no matter what else would translate them by now: that is for new ones.
//
// Ranges of pools are equal or apart, so that the address says which one it is, and the rest is
// asked of the SNATs that have it.
func stillTheirs(b *pipeline.Builder, t *pipeline.TenantSite) {
	ranges, asked := map[intent.AddrRange]had{}, map[string]bool{}
	for _, s := range t.SNATs {
		own := had{tag: uint64(b.Numbers.Tag(s.ID()))}
		for _, x := range b.Externals {
			for _, pool := range s.PoolsOn(b.Bridge.Name, x.Network) {
				for _, r := range pool.Ranges {
					h, known := ranges[r]
					if !known {
						h, own.nth = own, own.nth+1
						ranges[r] = h
						hadAs(b, t, s.ID(), h, knownAs(b, t, s, x, r)...)
					}
					if !b.Refused(s.ID()) {
						stillSent(b, t, s, h, pool.Is4(), asked)
					}
				}
			}
		}
	}
}

// A had range of addresses is named by whoever was the first to have it, and how many ranges
// that was the first to have before.
type had struct{ tag, nth uint64 }

// hadAs asks on in SNATAgain about what has an address of p already.
func hadAs(b *pipeline.Builder, t *pipeline.TenantSite, id intent.ID, h had, prefixes ...netip.Prefix) {
	actions := []ofproto.Action{ofproto.Set(pipeline.RegSNAT.Whole(), h.tag), ofproto.GotoTable(pipeline.SNATAgain)}
	if h.nth > 0 {
		actions = slices.Insert(actions, 0, ofproto.Action(ofproto.Set(pipeline.RegSlot.Whole(), h.nth)))
	}
	for _, p := range prefixes {
		b.Flow(id, pipeline.SNATSel, again, ofproto.MatchOn(pipeline.InZone(t.Zone), pipeline.Remembered(), pipeline.Related.IsNot(), ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p)), actions...)
	}
}

// stillSent lets go on what s would translate. Several SNATs may say the same.
func stillSent(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, h had, four bool, asked map[string]bool) {
	for _, who := range senders(b, t, s, four, pipeline.OriginalSrc) {
		for _, where := range stillTo(s.To, four) {
			conds := append(slices.Concat(who, where), pipeline.IPVersion(four))
			if key := fmt.Sprint(h, ofproto.MatchOn(conds...).Key()); !asked[key] {
				asked[key] = true
				still(b, t, s.ID(), h, conds...)
			}
		}
	}
}

// still lets a connection go on that had an address of h.
func still(b *pipeline.Builder, t *pipeline.TenantSite, id intent.ID, h had, conds ...ofproto.Cond) {
	b.Flow(id, pipeline.SNATAgain, 100, ofproto.MatchOn(append(conds, pipeline.InZone(t.Zone), ofproto.CT(ofproto.Trk, ofproto.Inv),
		ofproto.Is(pipeline.RegSNAT, h.tag), ofproto.Is(pipeline.RegSlot, h.nth))...), pipeline.ToOutside.Clear(), ofproto.GotoTable(pipeline.Commit))
}
