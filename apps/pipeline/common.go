package pipeline

import (
	"cmp"
	"net/netip"
	"slices"

	"weir/intent"
)

// A Common is addresses outside as which several tenants leave, or may. The bridge answers for
// them, as they are no single tenant's.
type Common struct {
	External string // the outside's network
	intent.AddrRange
	Zone uint16 // in which the connections of all of them are translated; zero: each tenant has ports of its own
}

// commons are the addresses on a bridge that tenants have in common: all of them, and those of
// each tenant.
type commons struct {
	all []Common // in order
	of  map[intent.ID][]Common
}

// commons finds the addresses that more than one tenant leaves as, and those that tenants
// share, also if there is one so far: who comes later is to change nothing for it. The model has
// seen to it that of two ranges that overlap all is the same.
func (in Input) commons() commons {
	tenants := map[Common][]intent.ID{}
	for _, t := range in.Model.Tenants() {
		for _, c := range in.commonsOf(t) {
			if had := tenants[c]; !slices.Contains(had, t.ID()) {
				tenants[c] = append(had, t.ID())
			}
		}
	}
	found := commons{of: map[intent.ID][]Common{}}
	for c, ids := range tenants {
		if len(ids) > 1 || c.Zone != 0 {
			found.all = append(found.all, c)
		}
	}
	slices.SortFunc(found.all, Common.compare)
	for _, c := range found.all {
		for _, id := range tenants[c] {
			found.of[id] = append(found.of[id], c)
		}
	}
	return found
}

// commonsOf returns the addresses on the bridge that a tenant shares, or has ports of.
func (in Input) commonsOf(t *intent.Tenant) (all []Common) {
	for _, s := range t.SNATs {
		if !s.Shared && s.Preserves() {
			continue
		}
		for _, p := range s.Pools {
			if p.Bridge != in.Bridge {
				continue
			}
			for _, r := range p.Ranges {
				c := Common{External: p.External, AddrRange: r}
				if s.Shared {
					c.Zone = in.Numbers.Zone(sharedZone(p.Bridge, p.External, r))
				}
				all = append(all, c)
			}
		}
	}
	return all
}

func (c Common) compare(d Common) int {
	return cmp.Or(cmp.Compare(c.External, d.External), c.Lo.Compare(d.Lo))
}

// Common returns the addresses that t has in common with other tenants, if a is one of some.
func (t *TenantSite) Common(network string, a netip.Addr) (c Common, is bool) {
	i := slices.IndexFunc(t.Commons, func(c Common) bool { return c.External == network && c.Contains(a) })
	if i < 0 {
		return c, false
	}
	return t.Commons[i], true
}

// InCommon reports whether t has an address outside in common with other tenants.
func (t *TenantSite) InCommon(network string, a netip.Addr) bool {
	_, is := t.Common(network, a)
	return is
}
