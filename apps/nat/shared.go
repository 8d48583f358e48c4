package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// Priorities in Out of what leaves as an alias: any, and what is new by an SNAT with other
// ports; each for what has no ports, too.
const (
	asAlias = 120 + iota
	asAliasPortless
	asOther
	asOtherPortless
)

// isShared reports whether tenants have a zone in common for some of b's addresses.
func isShared(b *pipeline.Builder) bool {
	return slices.ContainsFunc(b.Commons, func(c pipeline.Common) bool { return c.Zone != 0 })
}

// behind gives t what is for its aliases, and has what leaves as one translated once more. A
// connection that is in the common zone already keeps its port; so which SNAT it is by, and what
// that has chosen, has to be known of what is new only.
func behind(b *pipeline.Builder, t *pipeline.TenantSite) {
	done := map[netip.Addr]*intent.SNAT{}
	for _, s := range t.SNATs {
		for _, x := range b.Externals {
			for _, p := range s.PoolsOn(b.Bridge.Name, x.Network) {
				if s.Shared && !b.Refused(s.ID()) {
					publish(b, t, x, s, choiceOf(s, p), done)
				}
			}
		}
	}
}

// publish has what leaves as an alias get an address and a port of those that are shared. done
// are the SNATs that have done so for all that leaves as an alias.
func publish(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, s *intent.SNAT, chosen choice, done map[netip.Addr]*intent.SNAT) {
	var aliases []netip.Addr
	for i, r := range chosen.slots {
		c, _ := t.Common(x.Network, r.Lo)
		alias := b.Alias(t, c)
		if !slices.Contains(aliases, alias) {
			aliases = append(aliases, alias)
		}
		leaves := []ofproto.Cond{leavesBy(x), pipeline.NotYetTwice(), ofproto.IsAddr(pipeline.IPSrc(alias), alias)}
		if done[alias] == nil {
			done[alias] = s
			b.Behind(s.ID(), t, x, c)
			if len(b.Externals) > 1 {
				stayOn(b, s.ID(), x, netip.PrefixFrom(alias, alias.BitLen()))
			}
			translateAgain(b, s, c, c.AddrRange, asAlias, leaves)
		}
		if r != c.AddrRange || s.Ports != done[alias].Ports {
			leaves = append(leaves, ofproto.Is(pipeline.RegSNAT, uint64(b.Numbers.Tag(s.ID()))))
			translateAgain(b, s, c, r, asOther, chosen.slot(leaves, i))
		}
	}
	b.ExhaustibleShared(s.ID(), x, aliases...)
}

// translateAgain translates what is translated to an alias already.
func translateAgain(b *pipeline.Builder, s *intent.SNAT, c pipeline.Common, r intent.AddrRange, priority uint16, leaves []ofproto.Cond) {
	b.Flow(s.ID(), pipeline.Out, priority, ofproto.MatchOn(leaves...), c.Translate(sourceOf(r, s))...)
	if same := withoutPorts(r, s); same != nil {
		b.Flow(s.ID(), pipeline.Out, priority+1, ofproto.MatchOn(append(leaves[:len(leaves):len(leaves)], pipeline.IsICMP(r.Lo.Is4()))...), c.Translate(*same)...)
	}
}

// translateShared has what is selected leave as the alias of the tenant, and from there as one
// of the addresses that it shares.
func translateShared(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, c pipeline.Common, r intent.AddrRange, selected []ofproto.Cond) {
	n := pipeline.Translation{Of: s.ID(), Conds: selected, NAT: ofproto.NAT{Src: true, AddrMin: b.Alias(t, c)}, Then: c.Translate(sourceOf(r, s))}
	if same := withoutPorts(r, s); same != nil {
		n.ICMP, n.ThenICMP = &n.NAT, c.Translate(*same)
	}
	b.Translate(t, n)
}

// knownAs returns the addresses that connections by a range of s have in the tenant's zone.
func knownAs(b *pipeline.Builder, t *pipeline.TenantSite, s *intent.SNAT, x pipeline.ExternalSite, r intent.AddrRange) []netip.Prefix {
	if c, common := t.Common(x.Network, r.Lo); common && s.Shared {
		alias := b.Alias(t, c)
		return []netip.Prefix{netip.PrefixFrom(alias, alias.BitLen())}
	}
	return prefixesOf(r)
}
