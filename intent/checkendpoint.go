package intent

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

func (c *checker) endpoints() {
	used := uses{c: c, by: maps.Clone(c.ports)}
	for _, s := range c.spec.endpoints {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		e := &Endpoint{Tenant: t.Name, Name: s.name.v, Labels: s.labels, IfaceID: s.ifaceID.v, Port: s.port.v, MAC: s.mac.v, Trusted: s.trusted.v, NewPerSecond: uint32(s.newPerSecond.v)}
		if !c.is(e.ID(), s.place) {
			continue
		}
		if e.Network = c.networks[ID(t.Name+"/network/"+s.network.v)]; e.Network == nil {
			if s.network.set {
				c.unknown(s.network, networkNames(t), "tenant %q has no network %q", t.Name, s.network.v)
			}
			continue
		}
		c.binding(e, s, used)
		c.roles(e, s)
		c.layer2(e, s)
		if s.mac.set && e.MAC != (MAC{}) {
			c.station(e, s, used)
		}
		for _, ip := range s.ips {
			if ip.set && c.address(e.Network, ip) {
				used.once(fmt.Sprintf("ip %s %v", t.Name, ip.v), e, ip.place(), ip.v.String())
				e.IPs = append(e.IPs, ip.v)
			}
		}
		c.doubtful[e] = len(e.IPs) < len(s.ips)
		c.endpoint[e.ID()] = e
		t.Endpoints = append(t.Endpoints, e)
	}
}

// station checks that nobody else has an endpoint's MAC address: in its network, and, as
// IPv6 makes a link-local address of it, among those of the tenant who speak IPv6.
func (c *checker) station(e *Endpoint, s endpointSpec, used uses) {
	alone := used.once(fmt.Sprintf("mac %s %x", e.Network.ID(), e.MAC), e, s.mac.place(), "this MAC address")
	if alone && hasIPv6(s.ips) {
		used.once(fmt.Sprintf("link-local %s %x", e.Tenant, e.MAC), e, s.mac.place(), "this MAC address, and with it the link-local IPv6 address,")
	}
}

// roles notes what an endpoint may do besides.
func (c *checker) roles(e *Endpoint, s endpointSpec) {
	for _, role := range s.roles {
		is, needs := &e.DHCPServer, dhcpServer
		if role.v == "router" {
			is, needs = &e.Router, routerRole
		}
		switch {
		case !role.set:
			continue
		case *is:
			c.bad(role.place(), "", "%q is given twice", role.v)
		}
		*is = true
		c.uses(true, needs, role.place())
	}
	c.uses(e.Trusted, trustedPort, s.trusted.place())
	c.uses(s.newPerSecond.set, endpointRate, s.newPerSecond.place())
}

// layer2 checks an endpoint of which less is known than its addresses.
func (c *checker) layer2(e *Endpoint, s endpointSpec) {
	anyMAC := s.mac.set && e.MAC == MAC{}
	switch {
	case anyMAC && !e.Network.Learn && !c.flawed[e.Network]:
		c.bad(s.mac.place(), "set its unknownStations to learn", "network %q does not learn stations, so that nobody would reach those behind this port", e.Network.Name)
	case anyMAC && len(s.ips) > 0:
		c.bad(s.ips[0].place(), "give the station's mac, or leave the addresses out", "an address belongs to one station, and the mac is any")
	case len(s.ips) == 0:
		c.uses(true, withoutAddresses, s.place)
	}
}

func networkNames(t *Tenant) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, n := range t.Networks {
			if !yield(n.Name) {
				return
			}
		}
	}
}

// owned is something that belongs to an object of that name.
type owned[T any] struct {
	by string
	v  T
}

// uses notes what only one endpoint may have.
type uses struct {
	c  *checker
	by map[string]owned[place]
}

// once notes that e has something, and reports whether nobody else does.
func (u uses) once(what string, e *Endpoint, at place, name string) bool {
	if first, taken := u.by[what]; taken {
		u.c.bad(at, "", "%s is %s's already, at %s:%d", name, first.by, first.v.at.File, first.v.at.Line)
		return false
	}
	u.by[what] = owned[place]{string(e.ID()), at}
	return true
}

func (c *checker) binding(e *Endpoint, s endpointSpec, used uses) {
	for _, b := range e.Network.Bridges {
		switch {
		case s.ifaceID.set:
			used.once("iface-id "+b+" "+s.ifaceID.v, e, s.ifaceID.place(), "iface-id "+s.ifaceID.v)
		case s.port.set:
			used.once("port "+b+" "+s.port.v, e, s.port.place(), "port "+s.port.v)
		}
	}
}

// address reports whether an endpoint of n may have an address.
func (c *checker) address(n *Network, ip value[netip.Addr]) bool {
	s, ok := c.subnetOf(n, ip.v)
	switch {
	case !ok && c.flawed[n]:
		return false
	case !ok:
		c.bad(ip.place(), "", "%v is in no subnet of network %q", ip.v, n.Name)
	case ip.v.Is6() && ip.v.IsLinkLocalUnicast():
		c.bad(ip.place(), "leave it out", "%v is a link-local address: those of IPv6 are known from the MAC addresses", ip.v)
	case s.Gateway == ip.v:
		c.bad(ip.place(), "", "%v is the gateway of %v", ip.v, s.CIDR)
	case !isHost(s.CIDR, ip.v):
		c.bad(ip.place(), "", "%v is the network's or the broadcast address of %v", ip.v, s.CIDR)
	default:
		return true
	}
	return false
}

func hasIPv6(ips []value[netip.Addr]) bool {
	return slices.ContainsFunc(ips, func(a value[netip.Addr]) bool { return a.set && a.v.Is6() })
}

// subnetOf returns the subnet of n that an address is in.
func (c *checker) subnetOf(n *Network, a netip.Addr) (found Subnet, ok bool) {
	if len(n.Subnets) > fewSubnets {
		return c.longest(n, a)
	}
	for _, s := range n.Subnets {
		if s.CIDR.Contains(a) && (!ok || s.CIDR.Bits() > found.CIDR.Bits()) {
			found, ok = s, true
		}
	}
	return found, ok
}

// fewSubnets bounds the subnets of a network that are looked at one after the other: that is much
// faster than to look up one prefix of each length.
const fewSubnets = 16

// longest is subnetOf for a network with many subnets.
func (c *checker) longest(n *Network, a netip.Addr) (Subnet, bool) {
	for bits := a.BitLen(); bits >= 0; bits-- {
		if !c.lengths[bits] {
			continue
		}
		if s, ok := c.subnets[inNetwork{n, netip.PrefixFrom(a, bits).Masked()}]; ok {
			return s, true
		}
	}
	return Subnet{}, false
}
