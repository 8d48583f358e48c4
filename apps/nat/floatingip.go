package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// float has an address stand for one of an endpoint, in both directions. Nothing else has that address, and at most one
// the endpoint's on each outside.
func float(b *pipeline.Builder, t *pipeline.TenantSite, f *pipeline.FloatSite) {
	id, tag, x := f.ID(), uint64(b.Numbers.Tag(f.ID())), f.Outside
	one := netip.PrefixFrom(f.Address, f.Address.BitLen())
	owns(b, t, x, id, one, map[netip.Prefix]bool{})
	aim(b, t, aimed{of: id, tag: tag, address: f.Address, ip: f.IP, gateway: seenAs(f.SNAT, f.Gateway)})

	serves, as := id, []ofproto.Action{pipeline.SNAT.Set(), ofproto.Set(pipeline.RegSNAT.Whole(), tag), ofproto.GotoTable(pipeline.Commit)}
	if b.Refused(id) { // an SNAT has not been asked for
		serves, as = t.ID(), pipeline.ToDrop(pipeline.NotTranslated)
	}
	b.Flow(serves, pipeline.SNATSel, floating, ofproto.MatchOn(pipeline.InZone(t.Zone), leavesBy(x), ofproto.IsAddr(pipeline.IPSrc(f.IP), f.IP)), as...)
	b.Translate(t, pipeline.Translation{
		Of: id, Conds: []ofproto.Cond{pipeline.IPVersion(f.Address.Is4()), pipeline.SNAT.Is(), ofproto.Is(pipeline.RegSNAT, tag)},
		NAT: ofproto.NAT{Src: true, AddrMin: f.Address}, Sure: true,
	})
	h := had{tag: tag}
	hadAs(b, t, id, h, one)
	still(b, t, id, h, pipeline.IPVersion(f.IP.Is4()), ofproto.IsAddr(pipeline.OriginalSrc(f.IP), f.IP))
	mirror(b, t, f)
}

// mirror lets the endpoint of a floating IP reach itself, and see its gateway, if nobody else has done so.
func mirror(b *pipeline.Builder, t *pipeline.TenantSite, f *pipeline.FloatSite) {
	if f.TurnsBack {
		b.TurnBack(t, f.IP.Is4())
	}
	if f.Itself {
		b.Hairpin(f.At.ID(), f.At, f.IP, f.First)
	}
	if f.Double {
		b.FromGateway(t, f.At, f.IP, f.Gateway, f.LooksUp)
	}
}
