package intent

import (
	"net/netip"
	"slices"
)

// An External is an outside of a bridge: a port behind which there are routers and hosts
// that are nobody's endpoints. Addresses of SNATs, floating IPs and port forwards lie in one
// of its subnets, where the router answers for them, or in a prefix that others route to it.
type External struct {
	Bridge   string
	Network  string           // its name; the same on two bridges means the same network
	Port     string           // the interface's name
	MAC      MAC              // of the router on this side; zero: given by Weir
	Subnets  []ExternalSubnet // on the link
	Prefixes []netip.Prefix   // masked; routed to this side by others
	Routes   []Route          // what is reached by a next hop, gateways' too: long prefixes before short ones, then by address
	NextHops []NextHop        // each gateway and via once, by address
}

// ID returns "bridge/NAME/external/NETWORK".
func (x *External) ID() ID { return ID("bridge/" + x.Bridge + "/external/" + x.Network) }

// An ExternalSubnet is a prefix whose hosts are reached on the link.
type ExternalSubnet struct {
	CIDR    netip.Prefix // masked
	Gateway netip.Addr   // the next hop for everything else in its family, and for what has an address here; unset: none
	Address netip.Addr   // the router's own; unset: it has none but those that it answers for
}

// A Route says by which next hop a prefix is reached.
type Route struct {
	To  netip.Prefix // masked
	Via netip.Addr
}

// A NextHop is a neighbour on the link that routes are by. Its MAC address is zero if it has
// to be found out.
type NextHop struct {
	Address netip.Addr
	MAC     MAC
}

// OnLink returns the subnet of x that an address is in. The router answers for the addresses
// of intents in it; those in a prefix alone come by a next hop unasked.
func (x *External) OnLink(a netip.Addr) (s ExternalSubnet, ok bool) {
	for _, s := range x.Subnets {
		if s.CIDR.Contains(a) {
			return s, true
		}
	}
	return s, false
}

// Routed reports whether a subnet is in a prefix that others route to this side.
func (x *External) Routed(subnet netip.Prefix) bool {
	return slices.ContainsFunc(x.Prefixes, func(p netip.Prefix) bool { return p.Contains(subnet.Addr()) && p.Bits() <= subnet.Bits() })
}

// Has reports whether an address is on this side: in a subnet or a prefix.
func (x *External) Has(a netip.Addr) bool {
	_, onLink := x.OnLink(a)
	return onLink || inSome(x.Prefixes, a)
}

// External returns the outside of b by a name, or nil.
func (b *Bridge) External(network string) *External {
	for _, x := range b.Externals {
		if x.Network == network {
			return x
		}
	}
	return nil
}
