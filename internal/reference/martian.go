package reference

import (
	"net/netip"
	"slices"

	"weir/intent"
)

// Martian reports whether no packet that a router is sent can be from an address: none that stands for no host, or
// for the host itself, or for many (RFC 1812, 5.3.7; RFC 6890, 2.2).
func Martian(a netip.Addr) bool {
	if !a.Is4() {
		return a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4In6()
	}
	first := a.As4()[0]
	return first == 0 || first == 127 || first >= 224
}

// ourselves reports whether the router is at an address on the side of an outside: by its own, or for a tenant.
func (r Router) ourselves(x *intent.External, a netip.Addr) bool {
	return r.whoHas(x, a) != nil || slices.ContainsFunc(x.Subnets, func(s intent.ExternalSubnet) bool { return s.Address == a })
}

// onLink reports whether an address is one of those on the link of an outside.
func onLink(x *intent.External, a netip.Addr) bool {
	return slices.ContainsFunc(x.Subnets, func(s intent.ExternalSubnet) bool { return s.CIDR.Contains(a) })
}
