package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// snat has what a tenant opens to an outside leave from a pool.
func snat(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, s *intent.SNAT, pool intent.Pool, rank int, known map[netip.Prefix]bool, counted map[intent.ID]bool) {
	ip := pipeline.IPVersion(pool.Is4())
	for _, r := range pool.Ranges {
		for _, p := range prefixesOf(r) {
			if owns(b, t, x, s.ID(), p, known) {
				nobody(b, t, x, s.ID(), p)
			}
		}
	}
	choice := choiceOf(s, pool)
	selected := append([]ofproto.Action{pipeline.SNAT.Set(), ofproto.Set(pipeline.RegSNAT.Whole(), uint64(b.Numbers.Tag(s.ID())))}, choice.choose()...)
	serves := s.ID()
	if b.Refused(serves) { // the next SNAT has not been asked for
		serves, selected = t.ID(), pipeline.ToDrop(pipeline.NotTranslated)
	}
	at := sources - ofOne*uint16(rank)
	here := []ofproto.Cond{ip, pipeline.InZone(t.Zone), leavesBy(x)}
	for _, who := range senders(b, t, s, pool.Is4(), pipeline.IPSrc) {
		for _, where := range destinations(s.To, pool.Is4()) {
			b.Flow(serves, pipeline.SNATSel, at-1, ofproto.MatchOn(slices.Concat(who, where, here)...), selected...)
		}
		for _, where := range pieces(s.To, pool.Is4()) {
			b.Flow(serves, pipeline.SNATSel, at-1, ofproto.MatchOn(slices.Concat(who, where, here)...), pipeline.ToDrop(pipeline.PortlessPiece)...)
		}
	}
	chosen := []ofproto.Cond{ip, pipeline.SNAT.Is(), ofproto.Is(pipeline.RegSNAT, uint64(b.Numbers.Tag(s.ID()))), leavesBy(x)}
	choice.weigh(b, s.ID(), chosen)
	if !s.Shared && !sure(choice, s) && !counted[s.ID()] {
		counted[s.ID()] = true
		b.Exhaustible(s.ID())
	}
	for i, r := range choice.slots {
		switch c, common := t.Common(x.Network, r.Lo); {
		case common && c.Zone != 0:
			translateShared(b, t, s, c, r, choice.slot(chosen, i))
		case common:
			translateBlock(b, t, s, r, choice.slot(chosen, i))
		default:
			b.Translate(t, pipeline.Translation{
				Of:    s.ID(),
				ICMP:  withoutPorts(r, s),
				Conds: choice.slot(chosen, i),
				NAT:   sourceOf(r, s),
				Sure:  r.Lo == r.Hi && s.Preserves(),
			})
		}
	}
}

// sure reports whether the address that each slot translates to is known however the search for
// a port ends.
func sure(c choice, s *intent.SNAT) bool {
	return s.Preserves() && !slices.ContainsFunc(c.slots, func(r intent.AddrRange) bool { return r.Lo != r.Hi })
}

// withoutPorts is the translation of what has identifiers in place of ports, and is to keep them:
// the kernel's datapath would take them for ports.
func withoutPorts(r intent.AddrRange, s *intent.SNAT) *ofproto.NAT {
	if s.Preserves() {
		return nil
	}
	n := toRange(r)
	return &n
}

// sourceOf is the translation to an address of a range, and to a port that s says. Of the
// datapaths the kernel's alone draws ports by chance.
func sourceOf(r intent.AddrRange, s *intent.SNAT) ofproto.NAT {
	n := toRange(r)
	n.PortMin = s.Ports.Lo
	if s.Ports.Hi != s.Ports.Lo {
		n.PortMax = s.Ports.Hi
		n.Random = s.Selection == intent.SelectRandom
	}
	return n
}

// toRange is the translation to an address of a range. What is one address has no end.
func toRange(r intent.AddrRange) ofproto.NAT {
	n := ofproto.NAT{Src: true, AddrMin: r.Lo}
	if r.Hi != r.Lo {
		n.AddrMax = r.Hi
	}
	return n
}

// senders returns conditions of which those that s translates meet one, on the field of the
// sender's address.
func senders(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, four bool, field func(netip.Addr) ofproto.Field) (all [][]ofproto.Cond) {
	var in []ofproto.Cond
	if s.Network != nil {
		in = append(in, pipeline.InNet(b.Numbers.Group(s.Network.ID())))
	}
	if s.From.Empty() {
		return [][]ofproto.Cond{in}
	}
	for _, p := range sendersOf(t, s, four) {
		all = append(all, append(slices.Clip(in), ofproto.InPrefix(field(p.Addr()), p)))
	}
	return all
}

// sendersOf returns the addresses that s names, of a version of IP.
func sendersOf(t *pipeline.TenantSite, s *intent.SNAT, four bool) []netip.Prefix {
	from := s.From.Prefixes()
	for _, e := range t.Tenant.Endpoints {
		if s.From.Selects(e) {
			for _, a := range e.IPs {
				from = append(from, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	from = slices.DeleteFunc(from, func(p netip.Prefix) bool { return p.Addr().Is4() != four })
	slices.SortFunc(from, netip.Prefix.Compare)
	return slices.Compact(from)
}
