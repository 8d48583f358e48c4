package intent

import (
	"fmt"
	"net/netip"
	"slices"
)

// An SNAT gives what a tenant opens to the outside another source address. It is for what
// leaves by the outsides, and in the families, that it has addresses of; to all else it has
// nothing to say. The first one that matches decides. An endpoint's floating IP comes
// before all of them.
type SNAT struct {
	Tenant    string
	Name      string
	Priority  uint16         // higher ones are asked first
	Network   *Network       // of what is translated; nil: all of the tenant
	From      Selector       // in that network; empty: everybody
	To        Destination    // zero: anywhere
	Exempt    []netip.Prefix // masked; what goes there keeps its address, and no other SNAT is asked
	Pools     []Pool         // never empty; by bridge, outside and family, IPv4 first
	Ports     PortRange      // of the translated source; zero: the sender's own, another one where that is taken
	Selection Selection
	Shared    bool // other tenants may be behind the same addresses
}

// ID returns "TENANT/snat/NAME".
func (s *SNAT) ID() ID { return ID(s.Tenant + "/snat/" + s.Name) }

// Preserves reports whether a connection keeps its source port where it can.
func (s *SNAT) Preserves() bool { return s.Ports == PortRange{} }

// Selects reports whether some of what e sends is translated, by its labels, name or group
// or by one of its addresses.
func (s *SNAT) Selects(e *Endpoint) bool {
	if s.Network != nil && e.Network != s.Network {
		return false
	}
	return s.From.Selects(e) || slices.ContainsFunc(e.IPs, func(a netip.Addr) bool { return inSome(s.From.Prefixes(), a) })
}

// PoolsOn returns the addresses that s has on a bridge, in an outside of it.
func (s *SNAT) PoolsOn(bridge, external string) (pools []Pool) {
	for _, p := range s.Pools {
		if p.Bridge == bridge && p.External == external {
			pools = append(pools, p)
		}
	}
	return pools
}

// Destination is where a connection goes to, as an SNAT sees it.
type Destination struct {
	CIDRs   []netip.Prefix // masked; empty: anywhere
	Service                // without types
}

// Everything reports whether d is everything that leaves.
func (d Destination) Everything() bool { return len(d.CIDRs) == 0 && d.Protocol == AnyProtocol }

// A Pool is addresses of one family in one outside.
type Pool struct {
	Bridge   string
	External string      // the outside's network
	Ranges   []AddrRange // in order; none touches the next
}

// Is4 reports whether p is of IPv4 addresses.
func (p Pool) Is4() bool { return p.Ranges[0].Lo.Is4() }

// Selection says how one of several addresses, or ports, is chosen for a connection.
type Selection string

// The values of SNAT.Selection; hash is the default.
const (
	SelectHash       Selection = "hash"       // by a hash of the connection
	SelectRandom     Selection = "random"     // by chance
	SelectPersistent Selection = "persistent" // the same address for all connections of one host
)

// An AddrRange is the addresses from Lo to Hi, both included, of one family.
type AddrRange struct{ Lo, Hi netip.Addr }

// String returns "203.0.113.10" or "203.0.113.10-203.0.113.20".
func (r AddrRange) String() string {
	if r.Lo == r.Hi {
		return r.Lo.String()
	}
	return fmt.Sprintf("%v-%v", r.Lo, r.Hi)
}

// Contains reports whether an address is in r.
func (r AddrRange) Contains(a netip.Addr) bool {
	return a.BitLen() == r.Lo.BitLen() && r.Lo.Compare(a) <= 0 && a.Compare(r.Hi) <= 0
}

// Overlaps reports whether an address is in both.
func (r AddrRange) Overlaps(q AddrRange) bool { return r.Contains(q.Lo) || q.Contains(r.Lo) }

// A FloatingIP is an address on the outside that stands for one address of an endpoint: what
// comes to the one goes to the other, and what the endpoint sends out from the other comes
// from the one. Ports and protocols stay as they are.
type FloatingIP struct {
	Tenant   string
	Name     string
	Address  netip.Addr
	Bridge   string // on which the address is
	External string // the outside's network
	Endpoint *Endpoint
	IP       netip.Addr // one of the endpoint's, of the family of Address
	SNAT     SNATMode
	Gateway  netip.Addr // of the subnet of IP
}

// An SNATMode says whether what comes for an address that stands for an endpoint's comes to
// the endpoint from its gateway, and not from who has sent it.
type SNATMode string

// The values of SNATMode; auto is the default.
const (
	SNATAuto   SNATMode = "auto"   // where nothing else would bring the answers back
	SNATAlways SNATMode = "always" // also where the endpoint answers by another way
	SNATNever  SNATMode = "never"
)

// ID returns "TENANT/floatingip/NAME".
func (f *FloatingIP) ID() ID { return ID(f.Tenant + "/floatingip/" + f.Name) }

// A PortForward sends what comes to ports of an address on the outside to an endpoint. Only
// connections from outside begin with it: those of the endpoint are an SNAT's.
type PortForward struct {
	Tenant   string
	Name     string
	Protocol Protocol // TCP, UDP or SCTP
	Address  netip.Addr
	Bridge   string // on which the address is
	External string // the outside's network
	Ports    PortRange
	Endpoint *Endpoint
	IP       netip.Addr // one of the endpoint's, of the family of Address
	ToPorts  PortRange  // as many as Ports, in the same order
	SNAT     SNATMode
	Gateway  netip.Addr // of the subnet of IP
}

// ID returns "TENANT/portforward/NAME".
func (f *PortForward) ID() ID { return ID(f.Tenant + "/portforward/" + f.Name) }

// rangeOf returns the addresses of p.
func rangeOf(p netip.Prefix) AddrRange {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	hi, _ := netip.AddrFromSlice(b)
	return AddrRange{p.Masked().Addr(), hi}
}

// inSome reports whether one of the prefixes has an address.
func inSome(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
