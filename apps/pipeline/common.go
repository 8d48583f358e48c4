package pipeline

import (
	"cmp"
	"net/netip"
	"slices"

	"weir/intent"
)

// A Common is addresses outside as which several tenants leave. The bridge answers for them,
// as they are no single tenant's.
type Common struct {
	External string // the outside's network
	intent.AddrRange
}

// commons are the addresses on a bridge that tenants have in common: all of them, and those of
// each tenant.
type commons struct {
	all []Common // in order
	of  map[intent.ID][]Common
}

// commons finds the addresses that more than one tenant leaves as. The model has seen to it
// that of two ranges that overlap all is the same, and that each tenant has ports of its own.
func (in Input) commons() commons {
	tenants := map[Common][]intent.ID{}
	for _, t := range in.Model.Tenants() {
		for _, c := range in.blocksOf(t) {
			if had := tenants[c]; !slices.Contains(had, t.ID()) {
				tenants[c] = append(had, t.ID())
			}
		}
	}
	found := commons{of: map[intent.ID][]Common{}}
	for c, ids := range tenants {
		if len(ids) > 1 {
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

// blocksOf returns the addresses on the bridge of which a tenant has ports.
func (in Input) blocksOf(t *intent.Tenant) (all []Common) {
	for _, s := range t.SNATs {
		if s.Shared || s.Preserves() {
			continue
		}
		for _, p := range s.Pools {
			if p.Bridge != in.Bridge {
				continue
			}
			for _, r := range p.Ranges {
				all = append(all, Common{p.External, r})
			}
		}
	}
	return all
}

func (c Common) compare(d Common) int {
	return cmp.Or(cmp.Compare(c.External, d.External), c.Lo.Compare(d.Lo))
}

// InCommon reports whether t has an address outside in common with other tenants.
func (t *TenantSite) InCommon(network string, a netip.Addr) bool {
	return slices.ContainsFunc(t.Commons, func(c Common) bool { return c.External == network && c.Contains(a) })
}
