package reference

import (
	"net/netip"
	"slices"

	"weir/intent"
)

// A Common is how tenants have an address outside in common; the zero Common is that they do not.
type Common uint8

// The ways.
const (
	Shared    Common = iota + 1 // connections are told apart together, whatever they are of
	ByThePort                   // each tenant has ports of its own, and no protocol without ports is any tenant's
)

// CommonAt says how tenants have an address outside in common: they share it, also if one does so far, or more than one
// leaves as it.
func CommonAt(m *intent.Model, x *intent.External, a netip.Addr) Common {
	tenants := 0
	for _, t := range m.Tenants() {
		its := poolsAt(t, x, a)
		if slices.ContainsFunc(its, func(s *intent.SNAT) bool { return s.Shared }) {
			return Shared
		}
		if len(its) > 0 {
			tenants++
		}
	}
	if tenants > 1 {
		return ByThePort
	}
	return 0
}

// poolsAt returns the SNATs of t that have an address in their pools.
func poolsAt(t *intent.Tenant, x *intent.External, a netip.Addr) (all []*intent.SNAT) {
	for _, s := range t.SNATs {
		for _, p := range s.PoolsOn(x.Bridge, x.Network) {
			if slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(a) }) {
				all = append(all, s)
			}
		}
	}
	return all
}

// whosePort returns the tenant whose p is, of those that have its destination in common: by a port that is forwarded, or, where
// each has ports of its own, by these.
func (r Router) whosePort(x *intent.External, p Packet) *intent.Tenant {
	common := CommonAt(r.Model, x, p.Dst)
	for _, t := range r.Model.Tenants() {
		if t.Mode == intent.Off || !hasPorts(p.Protocol) {
			continue
		}
		forwards := slices.ContainsFunc(t.PortForwards, func(f *intent.PortForward) bool {
			number, _ := f.Protocol.Number()
			return f.Address == p.Dst && f.External == x.Network && number == p.Protocol && f.Ports.Lo <= p.DstPort && p.DstPort <= f.Ports.Hi
		})
		own := slices.ContainsFunc(poolsAt(t, x, p.Dst), func(s *intent.SNAT) bool { return s.Ports.Lo <= p.DstPort && p.DstPort <= s.Ports.Hi })
		if forwards || common == ByThePort && own {
			return t
		}
	}
	return nil
}
