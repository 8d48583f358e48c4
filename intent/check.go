package intent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// New checks s as a whole and returns the model that it describes. The error is of type
// Problems and has all that is wrong.
func New(s Spec) (*Model, error) {
	c := &checker{spec: s, model: Empty(), tenants: map[string]*Tenant{}, networks: map[ID]*Network{}, seen: map[ID]Position{}}
	c.bridges()
	c.tenantsOf()
	c.networksOf()
	c.endpoints()
	c.policies()
	c.sort()
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	return c.model, nil
}

// Empty returns a model that wants nothing.
func Empty() *Model { return &Model{at: map[ID]Position{}} }

// A checker makes a model out of a spec, and notes what is wrong.
type checker struct {
	spec     Spec
	model    *Model
	tenants  map[string]*Tenant
	networks map[ID]*Network
	seen     map[ID]Position // every object by its ID
	problems Problems
}

func (c *checker) bad(at place, hint, why string, args ...any) {
	p := Problem{At: at.at, Path: at.path, Why: fmt.Sprintf(why, args...), Hint: hint}
	if lines := c.spec.lines[at.at.File]; at.at.Line > 0 && at.at.Line <= len(lines) && len(lines[at.at.Line-1]) <= 160 {
		p.Excerpt = strings.TrimRight(lines[at.at.Line-1], "\r")
	}
	c.problems = append(c.problems, p)
}

// is notes that an object is there, and reports whether it is the first of its name.
func (c *checker) is(id ID, at place) bool {
	if first, twice := c.seen[id]; twice {
		c.bad(at, "", "%s is there already, at %s:%d", id, first.File, first.Line)
		return false
	}
	c.seen[id] = at.at
	c.model.at[id] = at.at
	return true
}

func (c *checker) bridges() {
	for _, s := range c.spec.bridges {
		b := &Bridge{Name: s.name.v, ForeignFlows: cmp.Or(ForeignFlows(s.foreign.v), ForeignRefuse)}
		if s.name.set && c.is(b.ID(), s.place) {
			c.model.bridges = append(c.model.bridges, b)
		}
	}
}

func (c *checker) tenantsOf() {
	zones := map[uint64]string{}
	for _, s := range c.spec.tenants {
		t := &Tenant{
			Name: s.name.v, Zone: uint16(s.zone.v), InvalidAllow: s.invalid.v == "allow", ImplicitARP: !s.implicitARP.set || s.implicitARP.v,
			Ingress: cmp.Or(Action(s.ingress.v), Deny), Egress: cmp.Or(Action(s.egress.v), Allow),
		}
		if !s.name.set || !c.is(t.ID(), s.place) {
			continue
		}
		if t.Name == "bridge" {
			c.bad(s.place, "", "bridge is no name for a tenant: the names of bridges begin with it")
		}
		if other, taken := zones[s.zone.v]; taken && s.zone.set {
			c.bad(s.zone.place(), "leave zone out to be given one", "%d is the zone of tenant %q already", s.zone.v, other)
		}
		if s.zone.set {
			zones[s.zone.v] = t.Name
		}
		c.tenants[t.Name] = t
		c.model.tenants = append(c.model.tenants, t)
	}
}

// tenant returns the tenant of an object, or says that there is none.
func (c *checker) tenant(m meta) *Tenant {
	if !m.tenant.set || !m.name.set {
		return nil
	}
	t := c.tenants[m.tenant.v]
	if t == nil {
		c.bad(m.tenant.place(), meant(m.tenant.v, keys(c.tenants)), "there is no tenant %q", m.tenant.v)
	}
	return t
}

func keys[K ~string, V any](m map[K]V) (names []string) {
	for k := range m {
		names = append(names, string(k))
	}
	return names
}

func (c *checker) networksOf() {
	subnets := map[string][]owned[netip.Prefix]{}
	for _, s := range c.spec.networks {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		n := &Network{Tenant: t.Name, Name: s.name.v, Bridges: c.bridgesOf(s)}
		if !c.is(n.ID(), s.place) {
			continue
		}
		for _, sub := range s.subnets {
			if !sub.cidr.set {
				continue
			}
			c.subnet(sub, subnets[t.Name])
			subnets[t.Name] = append(subnets[t.Name], owned[netip.Prefix]{n.Name, sub.cidr.v})
			n.Subnets = append(n.Subnets, Subnet{sub.cidr.v, sub.gateway.v})
		}
		c.networks[n.ID()] = n
		t.Networks = append(t.Networks, n)
	}
}

// owned is something that belongs to an object of that name.
type owned[T any] struct {
	by string
	v  T
}

func (c *checker) bridgesOf(s networkSpec) (names []string) {
	var known []string
	for _, b := range c.model.bridges {
		known = append(known, b.Name)
	}
	if len(s.bridges) == 0 {
		if len(known) == 1 {
			return known
		}
		c.bad(s.place, "add spec.bridges", "there are %d bridges: say which of them the network is on", len(known))
	}
	for _, b := range s.bridges {
		switch {
		case !b.set:
		case !slices.Contains(known, b.v):
			c.bad(b.place(), meant(b.v, known), "there is no bridge %q", b.v)
		case slices.Contains(names, b.v):
			c.bad(b.place(), "", "%q is given twice", b.v)
		default:
			names = append(names, b.v)
		}
	}
	return names
}

func (c *checker) subnet(s subnetSpec, others []owned[netip.Prefix]) {
	for _, o := range others {
		if o.v.Overlaps(s.cidr.v) {
			c.bad(s.cidr.place(), "", "%v overlaps %v of network %q: the tenant's networks are routed among one another", s.cidr.v, o.v, o.by)
		}
	}
	switch g := s.gateway; {
	case !g.set:
	case g.v.Is4() != s.cidr.v.Addr().Is4():
		c.bad(g.place(), "", "%v is not of the family of %v", g.v, s.cidr.v)
	case !s.cidr.v.Contains(g.v):
		c.bad(g.place(), "", "%v is not in %v", g.v, s.cidr.v)
	case !isHost(s.cidr.v, g.v):
		c.bad(g.place(), "", "%v is the network's or the broadcast address of %v", g.v, s.cidr.v)
	}
}

// isHost reports whether a host may have an address of p: in IPv4 not the first, nor
// the last, unless p is too small to have both (RFC 3021).
func isHost(p netip.Prefix, a netip.Addr) bool {
	if a.Is6() || p.Bits() >= 31 {
		return true
	}
	last := !p.Contains(a.Next())
	return a != p.Addr() && !last
}

func (c *checker) endpoints() {
	used := uses{c: c, by: map[string]owned[place]{}}
	for _, s := range c.spec.endpoints {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		e := &Endpoint{Tenant: t.Name, Name: s.name.v, Labels: s.labels, IfaceID: s.ifaceID.v, Port: s.port.v, MAC: s.mac.v}
		if !c.is(e.ID(), s.place) {
			continue
		}
		if e.Network = c.networks[ID(t.Name+"/network/"+s.network.v)]; e.Network == nil {
			if s.network.set {
				c.bad(s.network.place(), meant(s.network.v, networkNames(t)), "tenant %q has no network %q", t.Name, s.network.v)
			}
			continue
		}
		c.binding(e, s, used)
		if s.mac.set {
			used.once(fmt.Sprintf("mac %s %x", e.Network.ID(), e.MAC), e, s.mac.place(), "this MAC address")
		}
		for _, ip := range s.ips {
			if ip.set && c.address(e.Network, ip) {
				used.once(fmt.Sprintf("ip %s %v", t.Name, ip.v), e, ip.place(), ip.v.String())
				e.IPs = append(e.IPs, ip.v)
			}
		}
		t.Endpoints = append(t.Endpoints, e)
	}
}

func networkNames(t *Tenant) (names []string) {
	for _, n := range t.Networks {
		names = append(names, n.Name)
	}
	return names
}

// uses notes what only one endpoint may have.
type uses struct {
	c  *checker
	by map[string]owned[place]
}

func (u uses) once(what string, e *Endpoint, at place, name string) {
	if first, taken := u.by[what]; taken {
		u.c.bad(at, "", "%s is %s's already, at %s:%d", name, first.by, first.v.at.File, first.v.at.Line)
		return
	}
	u.by[what] = owned[place]{string(e.ID()), at}
}

func (c *checker) binding(e *Endpoint, s endpointSpec, used uses) {
	for _, b := range e.Network.Bridges {
		switch {
		case s.ifaceID.set && s.ifaceID.v == "" || s.port.set && s.port.v == "":
			c.bad(s.place, "", "is bound to nothing: the name is empty")
			return
		case s.ifaceID.set:
			used.once("iface-id "+b+" "+s.ifaceID.v, e, s.ifaceID.place(), "iface-id "+s.ifaceID.v)
		case s.port.set:
			used.once("port "+b+" "+s.port.v, e, s.port.place(), "port "+s.port.v)
		}
	}
}

// address reports whether an endpoint of n may have an address.
func (c *checker) address(n *Network, ip value[netip.Addr]) bool {
	for _, s := range n.Subnets {
		switch {
		case !s.CIDR.Contains(ip.v):
			continue
		case s.Gateway == ip.v:
			c.bad(ip.place(), "", "%v is the gateway of %v", ip.v, s.CIDR)
		case !isHost(s.CIDR, ip.v):
			c.bad(ip.place(), "", "%v is the network's or the broadcast address of %v", ip.v, s.CIDR)
		default:
			return true
		}
		return false
	}
	c.bad(ip.place(), "", "%v is in no subnet of network %q", ip.v, n.Name)
	return false
}

// sort puts everything by name. Rules stay in their order.
func (c *checker) sort() {
	slices.SortFunc(c.model.bridges, func(a, b *Bridge) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.model.tenants, func(a, b *Tenant) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range c.model.tenants {
		slices.SortFunc(t.Networks, func(a, b *Network) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(t.Endpoints, func(a, b *Endpoint) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(t.Policies, func(a, b *Policy) int { return cmp.Compare(a.Name, b.Name) })
	}
}
