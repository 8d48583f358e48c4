package intent

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A sides is what the outsides of one bridge have in common: a place in its router.
type sides struct {
	c        *checker
	bridge   *Bridge
	prefixes []ownSubnet
	routes   map[netip.Prefix]owned[place]
}

// externals checks the outsides of a bridge.
func (c *checker) externals(b *Bridge, s bridgeSpec) {
	c.bridge[b.Name], c.murky[b.Name] = b, s.flawed
	side := sides{c: c, bridge: b, routes: map[netip.Prefix]owned[place]{}}
	for i, e := range s.externals {
		c.uses(true, externalSide, e.place)
		c.uses(i > 0, externalSeveral, e.place)
		if !e.network.set || !e.port.set {
			continue
		}
		x := &External{Bridge: b.Name, Network: e.network.v, Port: e.port.v, MAC: e.mac.v}
		if !c.is(x.ID(), e.network.place()) {
			continue
		}
		side.port(x, e)
		side.subnets(x, e)
		side.routesOf(x, e)
		side.nextHops(x, e)
		c.alone(x, e)
		b.Externals = append(b.Externals, x)
	}
	c.overlaps(side.prefixes, "an address is behind one port")
	side.elsewhere(s)
}

// port notes that a port is taken: by no endpoint, and by no other outside.
func (s *sides) port(x *External, e externalSpec) {
	key := "port " + x.Bridge + " " + x.Port
	if first, taken := s.c.ports[key]; taken {
		s.c.bad(e.port.place(), "write what is behind one port as subnets of one outside", "port %s is %s's already, at %s", x.Port, first.by, lineOf(first.v.at))
		return
	}
	s.c.ports[key] = owned[place]{string(x.ID()), e.port.place()}
}

func (s *sides) subnets(x *External, e externalSpec) {
	for _, sub := range e.subnets {
		if !sub.cidr.set {
			continue
		}
		s.c.uses(sub.cidr.v.Addr().Is6(), externalIPv6, sub.cidr.place())
		s.c.uses(sub.address.set, externalAddress, sub.address.place())
		if !isLinkLocal(sub.gateway.v) || sub.cidr.v.Addr().Is4() {
			s.c.gateway(sub.subnetSpec)
		}
		s.c.gateway(subnetSpec{sub.cidr, sub.address})
		if sub.address.set && sub.address.v == sub.gateway.v {
			s.c.bad(sub.address.place(), "take another one, or leave it out", "%v is the next hop, and cannot be the router's own", sub.address.v)
		}
		s.peopled(sub.cidr)
		s.prefixes = append(s.prefixes, ownSubnet{sub.cidr, x.Network, len(s.prefixes)})
		x.Subnets = append(x.Subnets, ExternalSubnet{sub.cidr.v, sub.gateway.v, sub.address.v})
	}
	for _, p := range e.prefixes {
		s.c.uses(true, externalPrefixes, p.place())
		s.c.uses(p.v.Addr().Is6(), externalIPv6, p.place())
		s.peopled(p)
		s.prefixes = append(s.prefixes, ownSubnet{p, x.Network, len(s.prefixes)})
		x.Prefixes = append(x.Prefixes, p.v)
	}
	s.c.uses(e.mac.set, externalMAC, e.mac.place())
}

// peopled checks that somebody can be outside at the addresses of a prefix.
func (s *sides) peopled(p value[netip.Prefix]) {
	if p.set && covered(Martians, p.v) {
		s.c.bad(p.place(), "take addresses that hosts can have", "%v is nobody's: what comes from there is dropped (RFC 1812, 5.3.7)", p.v)
	}
}

func isLinkLocal(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }

// routesOf collects the routes of an outside, those of gateways too.
func (s *sides) routesOf(x *External, e externalSpec) {
	for _, sub := range e.subnets {
		if sub.cidr.set && sub.gateway.set {
			s.route(x, Route{netip.PrefixFrom(zeroOf(sub.gateway.v), 0), sub.gateway.v}, sub.gateway.place())
		}
	}
	for _, r := range e.routes {
		s.c.uses(true, externalRoutes, r.to.place())
		s.c.uses(r.to.set && r.to.v.Addr().Is6(), externalIPv6, r.to.place())
		s.peopled(r.to)
		if r.to.set && r.via.set && s.via(x, r) {
			s.route(x, Route{r.to.v, r.via.v}, r.to.place())
		}
	}
	slices.SortFunc(x.Routes, func(a, b Route) int {
		return cmp.Or(b.To.Bits()-a.To.Bits(), a.To.Addr().Compare(b.To.Addr()))
	})
}

// route adds a route that no outside of the bridge has yet. Each may have a way to everything.
func (s *sides) route(x *External, r Route, at place) {
	first, twice := s.routes[r.To]
	if twice && (r.To.Bits() > 0 || first.by == x.Network) {
		s.c.bad(at, "leave one of them out", "there is a route to %v already, at %s", r.To, lineOf(first.v.at))
		return
	}
	s.routes[r.To] = owned[place]{x.Network, at}
	x.Routes = append(x.Routes, r)
}

// elsewhere checks that routes lead to what is not here: on a link, or routed to the bridge.
func (s *sides) elsewhere(b bridgeSpec) {
	for _, e := range b.externals {
		for _, r := range e.routes {
			i := slices.IndexFunc(s.prefixes, func(p ownSubnet) bool { return r.to.set && covered([]netip.Prefix{p.cidr.v}, r.to.v) })
			if i >= 0 {
				s.c.bad(r.to.place(), "leave the route out", "%v is in %v of %q, and needs no next hop", r.to.v, s.prefixes[i].cidr.v, s.prefixes[i].network)
			}
		}
	}
}

// via reports whether a next hop is one.
func (s *sides) via(x *External, r routeSpec) bool {
	via, to := r.via.v, r.to.v
	sub, ok := x.OnLink(via)
	switch {
	case via.Is4() != to.Addr().Is4():
		s.c.bad(r.via.place(), "", "%v is not of the family of %v", via, to)
	case isLinkLocal(via):
		return true
	case !ok && s.c.murky[x.Bridge]:
	case !ok:
		s.c.bad(r.via.place(), "add the subnet that it is in", "%v is in no subnet of %q, so that it cannot be asked", via, x.Network)
	case sub.Address == via:
		s.c.bad(r.via.place(), "", "%v is the router's own address", via)
	case !isHost(sub.CIDR, via):
		s.c.bad(r.via.place(), "", "%v is the network's or the broadcast address of %v", via, sub.CIDR)
	default:
		return true
	}
	return false
}

// nextHops collects what routes are by.
func (s *sides) nextHops(x *External, e externalSpec) {
	for _, r := range x.Routes {
		if !slices.ContainsFunc(x.NextHops, func(h NextHop) bool { return h.Address == r.Via }) {
			x.NextHops = append(x.NextHops, NextHop{Address: r.Via})
		}
	}
	slices.SortFunc(x.NextHops, func(a, b NextHop) int { return a.Address.Compare(b.Address) })
	for _, h := range e.nextHops {
		s.c.uses(true, nextHopMAC, h.address.place())
		i := slices.IndexFunc(x.NextHops, func(n NextHop) bool { return n.Address == h.address.v })
		switch {
		case !h.address.set || !h.mac.set:
		case i < 0 && s.c.murky[x.Bridge]:
		case i < 0:
			s.c.bad(h.address.place(), "leave it out: hosts on the link are found by ARP and neighbour discovery", "%v is no next hop: neither gateway nor via names it", h.address.v)
		case x.NextHops[i].MAC != MAC{}:
			s.c.bad(h.address.place(), "", "%v is given twice", h.address.v)
		case h.mac.v == x.MAC:
			s.c.bad(h.mac.place(), "", "is the router's own MAC address on %q", x.Network)
		default:
			x.NextHops[i].MAC = h.mac.v
		}
	}
}

// alone checks that the router of no other bridge has x's own addresses on the same network.
func (c *checker) alone(x *External, e externalSpec) {
	once := func(what string, at place, why string) {
		if first, taken := c.routers[what]; taken {
			c.bad(at, "each router on a network needs its own", "%s is that of %s already, at %s", why, first.by, lineOf(first.v.at))
			return
		}
		c.routers[what] = owned[place]{string(x.ID()), at}
	}
	if e.mac.set {
		once("mac "+x.Network+" "+string(x.MAC[:]), e.mac.place(), "this MAC address")
	}
	for _, s := range e.subnets {
		if s.address.set {
			once("address "+x.Network+" "+s.address.v.String(), s.address.place(), s.address.v.String())
		}
	}
}

// besideOutsides checks that a subnet of a network is not outside as well. One in a prefix
// that is routed to the bridge is reached from there as it is.
func (c *checker) besideOutsides(n *Network, cidr value[netip.Prefix]) {
	for _, name := range n.Bridges {
		for _, x := range c.externalsOf(name) {
			for _, s := range x.Subnets {
				if s.CIDR.Overlaps(cidr.v) {
					c.bad(cidr.place(), "take other addresses; public ones of its own are declared as prefixes of the outside", "%v overlaps %v, which is outside of bridge %s (%s)", cidr.v, s.CIDR, name, x.Network)
				}
			}
			for _, p := range x.Prefixes {
				if p.Overlaps(cidr.v) && p.Bits() > cidr.v.Bits() {
					c.bad(cidr.place(), "take a subnet inside of the prefix, or beside it", "%v is more than %v, which is routed to bridge %s (%s)", cidr.v, p, name, x.Network)
				}
			}
		}
	}
}

func (c *checker) externalsOf(bridge string) []*External {
	if b := c.bridge[bridge]; b != nil {
		return b.Externals
	}
	return nil
}

// outside returns the outside, of one of some bridges, that an address is in. If there is
// none, or more than one, it says so.
func (c *checker) outside(bridges []string, a netip.Addr, at place) *External {
	var found, all []*External
	unsure := c.spec.lost || len(bridges) == 0
	for _, name := range bridges {
		unsure = unsure || c.murky[name]
		for _, x := range c.externalsOf(name) {
			all = append(all, x)
			if x.Has(a) {
				found = append(found, x)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(found) > 1:
		c.bad(at, "put the network on one bridge, or declare on each bridge only prefixes of its own", "%v is outside of both bridge %s and bridge %s, and only one may answer for it", a, found[0].Bridge, found[1].Bridge)
	case unsure:
	case len(all) == 0:
		c.bad(at, "add external to its spec, with the subnet that the address is in", "%s has no outside", bridgesText(bridges))
	default:
		c.bad(at, "what is outside: "+prefixesText(all), "%v is in no subnet and no prefix of an outside of %s", a, bridgesText(bridges))
	}
	return nil
}

func bridgesText(names []string) string {
	if len(names) == 1 {
		return "bridge " + names[0]
	}
	return "bridges " + strings.Join(names, ", ")
}

// prefixesText is where addresses may be.
func prefixesText(all []*External) string {
	var parts []string
	for _, x := range all {
		for _, s := range x.Subnets {
			parts = append(parts, s.CIDR.String())
		}
		for _, p := range x.Prefixes {
			parts = append(parts, p.String())
		}
	}
	return strings.Join(parts, ", ")
}

// zeroOf returns the address of all zeroes of a's family.
func zeroOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
