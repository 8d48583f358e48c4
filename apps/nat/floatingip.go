package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// float has an address stand for one of an endpoint, in both directions.
func float(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, f *intent.FloatingIP, known map[netip.Prefix]bool) {
	id, tag := f.ID(), uint64(b.Numbers.Tag(f.ID()))
	one := netip.PrefixFrom(f.Address, f.Address.BitLen())
	ip := pipeline.IPVersion(f.Address.Is4())
	owns(b, t, x, id, one, known)
	target(b, t, f, tag)

	serves, as := id, []ofproto.Action{pipeline.SNAT.Set(), ofproto.Set(pipeline.RegSNAT.Whole(), tag), ofproto.GotoTable(pipeline.Commit)}
	if b.Refused(id) { // an SNAT has not been asked for
		serves, as = t.ID(), pipeline.ToDrop(pipeline.NotTranslated)
	}
	b.Flow(serves, pipeline.SNATSel, floating, ofproto.MatchOn(pipeline.InZone(t.Zone), leavesBy(x), ofproto.IsAddr(pipeline.IPSrc(f.IP), f.IP)), as...)
	b.Translate(t, pipeline.Translation{
		Of: id, Conds: []ofproto.Cond{ip, pipeline.SNAT.Is(), ofproto.Is(pipeline.RegSNAT, tag)},
		NAT: ofproto.NAT{Src: true, AddrMin: f.Address}, Sure: true,
	})
}

// target has what is new for a floating IP go to its endpoint.
func target(b *pipeline.Builder, t *pipeline.TenantSite, f *intent.FloatingIP, tag uint64) {
	aim(b, t, aimed{of: f.ID(), tag: tag, address: f.Address, ip: f.IP, gateway: seenAs(f.SNAT, f.Gateway)})
}
