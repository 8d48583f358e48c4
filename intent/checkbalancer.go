package intent

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// balancers checks the load balancers one by one, and says what each of them claims.
func (c *checker) balancers() {
	for _, s := range c.spec.balancers {
		c.balancer(s)
	}
}

func (c *checker) balancer(s balancerSpec) {
	t := c.tenant(s.meta)
	if t == nil {
		return
	}
	l := &LoadBalancer{
		Tenant: t.Name, Name: s.name.v, Address: s.address.v, Drain: s.drain.v,
		Algorithm: cmp.Or(Algorithm(s.algorithm.v), Hash), SNAT: cmp.Or(SNATMode(s.snat.v), SNATAuto),
		WhenEmpty: cmp.Or(WhenEmpty(s.whenEmpty.v), EmptyDrop), Stale: cmp.Or(Stale(s.onRemove.v), StaleFlush),
	}
	if !c.is(l.ID(), s.place) {
		return
	}
	c.tracked(t, s.meta, "a LoadBalancer")
	c.listens(l, s)
	if s.address.set {
		found := c.resolve(t, l, s)
		if c.stands(t, l, s.address, found) {
			c.reached(t, l, found)
			c.spares(l, s)
		}
	}
	c.health(l, s)
	c.load(l, s)
	c.usedByBalancer(l, s)
	c.writeBalancer(l, s)
	t.LoadBalancers = append(t.LoadBalancers, l)
}

// listens checks the ports.
func (c *checker) listens(l *LoadBalancer, s balancerSpec) {
	type key struct{ protocol, port any }
	given := map[key]place{}
	for _, p := range s.ports {
		if !p.port.set || !p.protocol.set {
			continue
		}
		k := key{p.protocol.v, p.port.v}
		if first, twice := given[k]; twice {
			c.bad(p.port.place(), "leave it out: the backends of a port are those of all", "%s port %d is given twice, first at %s", p.protocol.v, p.port.v, lineOf(first.at))
			continue
		}
		given[k] = p.port.place()
		l.Ports = append(l.Ports, LBPort{Protocol(p.protocol.v), uint16(p.port.v), uint16(cmp.Or(p.target.v, p.port.v))})
	}
}

// spares checks that a load balancer in a subnet without a gateway leaves the ports alone from
// which its backends are asked how they are: by its address.
func (c *checker) spares(l *LoadBalancer, s balancerSpec) {
	if !l.Bridged() {
		return
	}
	for _, p := range s.ports {
		if port := uint16(p.port.v); p.port.set && ProbesFrom.Lo <= port && port <= ProbesFrom.Hi {
			c.bad(p.port.place(), "take another port, or an address in a subnet with a gateway", "from ports %v of %v its backends are asked how they are, for subnet %v has no gateway", ProbesFrom, l.Address, l.Subnet().CIDR)
		}
	}
}

// stands checks the address, and reports whether it is known where it is.
func (c *checker) stands(t *Tenant, l *LoadBalancer, a value[netip.Addr], found []foundBackend) bool {
	if isLinkLocal(a.v) {
		c.bad(a.place(), "take one that is routed", "%v is a link-local address, which each link has anew", a.v)
		return false
	}
	n, sub, unsure := c.networkAt(t, a.v)
	if n != nil {
		l.Network = n
		return c.free(t, l, sub, a)
	}
	bridges := bridgesBehind(t, found)
	side := slices.ContainsFunc(bridges, func(name string) bool {
		return slices.ContainsFunc(c.externalsOf(name), func(x *External) bool { return x.Has(a.v) })
	})
	if !side {
		if !unsure && !c.spec.lost && len(bridges) > 0 && !slices.ContainsFunc(bridges, func(b string) bool { return c.murky[b] }) {
			c.bad(a.place(), placesText(t, c.sides(bridges)), "%v is in no subnet of tenant %q, and in none outside of %s", a.v, t.Name, bridgesText(bridges))
		}
		return false
	}
	x := c.outside(bridges, a.v, a.place())
	if x == nil || !c.usable(x, AddrRange{a.v, a.v}, a.place()) {
		return false
	}
	l.Bridge, l.External = x.Bridge, x.Network
	return true
}

// networkAt returns the network of t, and its subnet, that an address is in. It is unsure if
// there is none, and not all networks could be read.
func (c *checker) networkAt(t *Tenant, a netip.Addr) (in *Network, sub Subnet, unsure bool) {
	for _, n := range t.Networks {
		if sub, ok := c.subnetOf(n, a); ok {
			return n, sub, false
		}
		unsure = unsure || c.flawed[n]
	}
	return nil, Subnet{}, unsure
}

// free reports whether an address of a subnet can be a load balancer's.
func (c *checker) free(t *Tenant, l *LoadBalancer, sub Subnet, a value[netip.Addr]) bool {
	switch e := c.ownerOf(t, a.v); {
	case e != nil:
		c.bad(a.place(), "take a free address, or one outside", "%v is the address of endpoint %q", a.v, e.Name)
	case a.v == sub.Gateway:
		c.bad(a.place(), "take a free address, or one outside", "%v is the gateway of network %q", a.v, l.Network.Name)
	case !isHost(sub.CIDR, a.v):
		c.bad(a.place(), "", "%v is the network's or the broadcast address of %v", a.v, sub.CIDR)
	default:
		return true
	}
	return false
}

// ownerOf returns the endpoint of t that has an address, or nil.
func (c *checker) ownerOf(t *Tenant, a netip.Addr) *Endpoint {
	of := c.owners[t.Name]
	if of == nil {
		of = map[netip.Addr]*Endpoint{}
		c.owners[t.Name] = of
		for _, e := range t.Endpoints {
			for _, ip := range e.IPs {
				of[ip] = e
			}
		}
	}
	return of[a]
}

// bridgesBehind returns the bridges on which all backends are that are in a network, or those
// of the tenant if there is no such bridge.
func bridgesBehind(t *Tenant, found []foundBackend) []string {
	all := bridgesUnder(t.Networks)
	behind := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		return slices.ContainsFunc(found, func(b foundBackend) bool { return b.Network != nil && !slices.Contains(b.Network.Bridges, name) })
	})
	if len(behind) == 0 {
		return all
	}
	return behind
}

func (c *checker) sides(bridges []string) (all []*External) {
	for _, name := range bridges {
		all = append(all, c.externalsOf(name)...)
	}
	return all
}

// placesText says where an address may be.
func placesText(t *Tenant, sides []*External) string {
	var parts []string
	for _, n := range t.Networks {
		for _, s := range n.Subnets {
			parts = append(parts, s.CIDR.String())
		}
	}
	text := "inside: " + strings.Join(parts[:min(len(parts), maxPlaces)], ", ")
	if len(parts) == 0 {
		text = "inside: nothing"
	}
	if len(sides) > 0 {
		text += "; outside: " + prefixesText(sides)
	}
	return text
}

// maxPlaces bounds the subnets that are told: nobody reads more.
const maxPlaces = 8

// writeBalancer notes where l says what may clash with others.
func (c *checker) writeBalancer(l *LoadBalancer, s balancerSpec) {
	if c.quick {
		return
	}
	w := written{ports: s.portsAt, place: s.place}
	if s.address.set {
		w.addresses = single(s.address)
	}
	for _, p := range s.ports {
		w.listens = append(w.listens, listening{Protocol(p.protocol.v), uint16(p.port.v), p.port.place()})
	}
	for _, b := range s.backends {
		if b.address.set {
			w.addresses = append(w.addresses, single(b.address)...)
		}
	}
	c.write(l.ID(), w)
}
