package nat

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// answersOnly are the priorities in ExtIn, below those of addresses that are to be reached.
const answersOnly = 10

// exempt lets leave untranslated what SNATs say, and its answers come in.
func exempt(b *pipeline.Builder, t *pipeline.TenantSite) {
	known := map[string]bool{}
	for rank, s := range t.SNATs {
		if len(exemptOf(s).CIDRs) == 0 {
			continue
		}
		for _, x := range b.Externals {
			for _, pool := range s.PoolsOn(b.Bridge.Name, x.Network) {
				exempted(b, t, x, s, pool.Is4(), rank, known)
			}
		}
	}
	if len(known) > 0 {
		notBegun(b, t)
	}
}

// exempted lets what s exempts leave by x with the address that it has, if that is one of the
// tenant's networks: the others could not be answered. Of a version of IP in which s exempts nothing
// there are no answers: the addresses may be another tenant's, which is exempt.
func exempted(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, s *intent.SNAT, four bool, rank int, known map[string]bool) {
	destinations := destinations(exemptOf(s), four)
	if len(destinations) == 0 {
		return
	}
	once := func(serves intent.ID, at ofproto.Table, priority uint16, conds []ofproto.Cond, actions ...ofproto.Action) {
		m := ofproto.MatchOn(conds...)
		if key := fmt.Sprint(at, priority, m.Key()); !known[key] {
			known[key] = true
			b.Flow(serves, at, priority, m, actions...)
		}
	}
	tag := uint64(b.Numbers.Tag(pipeline.ExemptID(s)))
	serves, out := s.ID(), t.AsTheyAre(ofproto.Set(pipeline.RegSNAT.Whole(), tag))
	if b.Refused(serves) {
		serves, out = t.ID(), pipeline.ToDrop(pipeline.NotTranslated)
	}
	ip, zone := pipeline.IPVersion(four), []ofproto.Cond{pipeline.InZone(t.Zone)}
	if s.Network != nil { // a port without addresses may send from those of another network
		zone = append(zone, pipeline.InNet(b.Numbers.Group(s.Network.ID())))
	}
	for _, p := range insiders(b, t, s, four) {
		if !x.Routed(p) { // of a public network more than answers comes in
			answersTo(b, t, x, s.ID(), p, once)
		}
		who := ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p)
		for _, where := range destinations {
			conds := append(append(where, who, ip), zone...)
			once(serves, pipeline.SNATSel, sources-ofOne*uint16(rank), append(conds[:len(conds):len(conds)], leavesBy(x)), out...)
		}
		for _, where := range stillTo(exemptOf(s), four) {
			if isPublic(b, p) { // it may leave so, wherever it goes
				break
			}
			once(s.ID(), pipeline.SNATSel, again, append(append(append(where, who, ip), zone...), pipeline.Remembered(), pipeline.Related.IsNot()),
				pipeline.ToOutside.Clear(), ofproto.GotoTable(pipeline.Commit))
		}
		for _, where := range pieces(exemptOf(s), four) {
			once(serves, pipeline.SNATSel, sources-ofOne*uint16(rank), append(append(where, who, ip, leavesBy(x)), zone...), pipeline.ToDrop(pipeline.PortlessPiece)...)
		}
	}
	b.Translate(t, pipeline.Translation{Of: s.ID(), Conds: []ofproto.Cond{ip, pipeline.SNAT.Is(), ofproto.Is(pipeline.RegSNAT, tag), leavesBy(x)}, Sure: true})
}

// answersTo has what is for p come to t by x, or from another tenant of the bridge, marked as what can only be an answer.
func answersTo(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, id intent.ID, p netip.Prefix, once func(intent.ID, ofproto.Table, uint16, []ofproto.Cond, ...ofproto.Action)) {
	if hop, ok := hopOf(b, x, p); ok {
		once(id, pipeline.Neigh, others+uint16(p.Bits()), goesTo(hop, p), x.ToTenants()...)
	}
	once(id, pipeline.ExtIn, answersOnly+uint16(p.Bits()), []ofproto.Cond{cameBy(x), ofproto.InPrefix(pipeline.IPDst(p.Addr()), p)},
		slices.Insert(t.EnterTenant(), 0, ofproto.Action(ofproto.Set(pipeline.RegSNAT.Whole(), uint64(b.Numbers.Tag(t.ID())))))...)
}

// notBegun drops what comes to an address inside that is no answer. The connection that it would
// begin has not been opened from the inside, and no address stands for its end.
func notBegun(b *pipeline.Builder, t *pipeline.TenantSite) {
	drop := func(priority uint16, what ofproto.Cond) {
		b.Flow(t.ID(), pipeline.Route, priority, ofproto.MatchOn(pipeline.InZone(t.Zone), ofproto.Is(pipeline.RegSNAT, uint64(b.Numbers.Tag(t.ID()))), what),
			pipeline.ToDrop(pipeline.NotExpected)...)
	}
	drop(1000, pipeline.Begins())
	for _, r := range []pipeline.Reason{pipeline.InvalidState, pipeline.NotSYN} { // it may pass all the same, in this tenant
		drop(1001, ofproto.Is(pipeline.RegReason, uint64(r)))
	}
}

// exemptOf is where s is asked, and exempts. Without a prefix it is nowhere.
func exemptOf(s *intent.SNAT) intent.Destination {
	d := s.To
	d.CIDRs = s.Exempt
	if len(s.To.CIDRs) > 0 {
		d.CIDRs = intersection(s.Exempt, s.To.CIDRs)
	}
	return d
}

// insiders are the addresses that s selects of those that the tenant's networks have.
func insiders(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, four bool) (all []netip.Prefix) {
	for _, n := range t.Tenant.Networks {
		for _, sub := range n.Subnets {
			if sub.CIDR.Addr().Is4() == four && sub.Gateway.IsValid() && slices.Contains(n.Bridges, b.Bridge.Name) && (s.Network == nil || s.Network == n) {
				all = append(all, sub.CIDR)
			}
		}
	}
	if s.From.Empty() {
		return all
	}
	return intersection(all, sendersOf(t, s, four))
}

// intersection returns what is in one of a and in one of b.
func intersection(a, b []netip.Prefix) (all []netip.Prefix) {
	for _, p := range a {
		for _, q := range b {
			switch {
			case !p.Overlaps(q):
			case p.Bits() > q.Bits():
				all = append(all, p)
			default:
				all = append(all, q)
			}
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
