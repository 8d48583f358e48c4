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
// Pools are equal or apart, so that the address says which pool it is, and the rest is asked
// of the SNATs that have the pool.
func stillTheirs(b *pipeline.Builder, t *pipeline.TenantSite) {
	pools, asked := map[netip.Prefix]uint64{}, map[string]bool{}
	for _, s := range t.SNATs {
		for _, x := range b.Externals {
			for _, pool := range s.PoolsOn(b.Bridge.Name, x.Network) {
				tag, known := pools[firstOf(pool)]
				if !known {
					tag = uint64(b.Numbers.Tag(s.ID()))
					pools[firstOf(pool)] = tag
					hadAs(b, t, s.ID(), tag, prefixesIn(pool)...)
				}
				if !b.Refused(s.ID()) {
					stillSent(b, t, s, tag, pool.Is4(), asked)
				}
			}
		}
	}
	for _, f := range t.FloatingIPs {
		if _, ok := b.Outside(f.External); ok && f.Bridge == b.Bridge.Name {
			tag := uint64(b.Numbers.Tag(f.ID()))
			hadAs(b, t, f.ID(), tag, netip.PrefixFrom(f.Address, f.Address.BitLen()))
			still(b, t, f.ID(), tag, pipeline.IPVersion(f.IP.Is4()), ofproto.IsAddr(pipeline.OriginalSrc(f.IP), f.IP))
		}
	}
}

// hadAs asks on in SNATAgain about what has an address of p already.
func hadAs(b *pipeline.Builder, t *pipeline.TenantSite, id intent.ID, tag uint64, prefixes ...netip.Prefix) {
	for _, p := range prefixes {
		b.Flow(id, pipeline.SNATSel, again, ofproto.MatchOn(pipeline.InZone(t.Zone), pipeline.Remembered(), pipeline.Related.IsNot(), ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p)),
			ofproto.Set(pipeline.RegSNAT.Whole(), tag), ofproto.GotoTable(pipeline.SNATAgain))
	}
}

// stillSent lets go on what s would translate. Several SNATs may say the same.
func stillSent(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, tag uint64, four bool, asked map[string]bool) {
	for _, who := range senders(b, t, s, four, pipeline.OriginalSrc) {
		for _, where := range destinations(s.To, four) {
			conds := append(slices.Concat(who, where), pipeline.IPVersion(four))
			if key := fmt.Sprint(tag, ofproto.MatchOn(conds...).Key()); !asked[key] {
				asked[key] = true
				still(b, t, s.ID(), tag, conds...)
			}
		}
	}
}

// still lets a connection go on that had an address of tag.
func still(b *pipeline.Builder, t *pipeline.TenantSite, id intent.ID, tag uint64, conds ...ofproto.Cond) {
	b.Flow(id, pipeline.SNATAgain, 100, ofproto.MatchOn(append(conds, pipeline.InZone(t.Zone), ofproto.CT(ofproto.Trk, ofproto.Inv), ofproto.Is(pipeline.RegSNAT, tag))...),
		pipeline.ToOutside.Clear(), ofproto.GotoTable(pipeline.Commit))
}

// prefixesIn returns the fewest prefixes that are a pool together, and firstOf the first of them.
func prefixesIn(pool intent.Pool) (all []netip.Prefix) {
	for _, r := range pool.Ranges {
		all = append(all, prefixesOf(r)...)
	}
	return all
}

func firstOf(pool intent.Pool) netip.Prefix { return prefixesIn(pool)[0] }
