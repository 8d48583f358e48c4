package intent

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// New checks s as a whole and returns the model that it describes. The error is of type
// Problems and has all that is wrong besides what Parse has found; it is empty if
// that is all. No model is made of what Parse has found fault with.
func New(s Spec) (*Model, error) {
	c := &checker{
		spec: s, model: Empty(), tenants: map[string]*Tenant{}, networks: map[ID]*Network{},
		seen: map[ID]Position{}, subnets: map[inNetwork]Subnet{}, flawed: map[*Network]bool{},
	}
	c.bridges()
	c.tenantsOf()
	c.networksOf()
	c.endpoints()
	c.policies()
	c.sort()
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	if s.unsound {
		return nil, Problems{}
	}
	return c.model, nil
}

// Read parses sources and checks what they say. The error is of type Problems and has
// all that either has found.
func Read(sources ...Source) (*Model, error) {
	s, err := Parse(sources...)
	var all, more Problems
	errors.As(err, &all)
	m, err := New(s)
	errors.As(err, &more)
	if err := append(all, more...).err(); err != nil {
		return nil, err
	}
	return m, nil
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
	subnets  map[inNetwork]Subnet
	flawed   map[*Network]bool // not all of it could be read
	hints    int
	problems Problems
}

// inNetwork is a prefix of a network.
type inNetwork struct {
	network *Network
	cidr    netip.Prefix
}

func (c *checker) bad(at place, hint, why string, args ...any) {
	c.problems = append(c.problems, Problem{at.at, at.path, fmt.Sprintf(why, args...), hint, excerpt(c.spec.lines[at.at.File], at.at)})
}

// unknown notes a name that nothing has. If there are objects whose names could not be
// read, it may be that of one of them: then nothing is said.
func (c *checker) unknown(name value[string], known iter.Seq[string], why string, args ...any) {
	if c.spec.lost {
		return
	}
	hint := ""
	if c.hints++; c.hints <= maxHints {
		hint = meant(name.v, known)
	}
	c.bad(name.place(), hint, why, args...)
}

// maxHints bounds for how many unknown names a near one is looked for: each is compared
// with all.
const maxHints = 1000

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
			Name: s.name.v, Zone: uint16(s.zone.v), Mode: Enforce, InvalidAllow: s.invalid.v == "allow", ImplicitARP: !s.implicitARP.set || s.implicitARP.v,
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
		c.unknown(m.tenant, maps.Keys(c.tenants), "there is no tenant %q", m.tenant.v)
	}
	return t
}

func (c *checker) networksOf() {
	subnets := map[string][]ownSubnet{} // by tenant
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
			c.gateway(sub)
			subnets[t.Name] = append(subnets[t.Name], ownSubnet{sub.cidr, n.Name, len(subnets[t.Name])})
			n.Subnets = append(n.Subnets, Subnet{sub.cidr.v, sub.gateway.v})
			c.subnets[inNetwork{n, sub.cidr.v}] = Subnet{sub.cidr.v, sub.gateway.v}
		}
		c.networks[n.ID()] = n
		c.flawed[n] = s.flawed
		t.Networks = append(t.Networks, n)
	}
	for _, t := range c.model.tenants {
		c.overlaps(subnets[t.Name])
	}
}

// bridgesOf returns the bridges of a network. If there is but one, it need not be said.
func (c *checker) bridgesOf(s networkSpec) (names []string) {
	if s.bridges == nil {
		return c.onlyBridge(s)
	}
	for _, b := range s.bridges {
		_, known := c.seen[(&Bridge{Name: b.v}).ID()]
		switch {
		case !b.set:
		case !known:
			c.unknown(b, c.bridgeNames(), "there is no bridge %q", b.v)
		case slices.Contains(names, b.v):
			c.bad(b.place(), "", "%q is given twice", b.v)
		default:
			names = append(names, b.v)
		}
	}
	return names
}

func (c *checker) onlyBridge(s networkSpec) []string {
	switch n := len(c.model.bridges); {
	case n == 1:
		return []string{c.model.bridges[0].Name}
	case c.spec.lost, s.flawed:
	case n == 0:
		c.bad(s.place, "add an object of kind Bridge", "there is no bridge that the network could be on")
	default:
		c.bad(s.place, "add spec.bridges", "there are %d bridges: say which of them the network is on", n)
	}
	return nil
}

func (c *checker) bridgeNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, b := range c.model.bridges {
			if !yield(b.Name) {
				return
			}
		}
	}
}

// ownSubnet is a subnet of a tenant.
type ownSubnet struct {
	cidr    value[netip.Prefix]
	network string
	written int // its place among those of the tenant
}

// overlaps looks for subnets of a tenant that overlap. In the order of their addresses,
// the large before the small, a subnet overlaps an earlier one only if it is inside.
func (c *checker) overlaps(subnets []ownSubnet) {
	slices.SortFunc(subnets, func(a, b ownSubnet) int {
		return cmp.Or(a.cidr.v.Addr().Compare(b.cidr.v.Addr()), a.cidr.v.Bits()-b.cidr.v.Bits(), a.written-b.written)
	})
	var around []ownSubnet // those that the last one is inside of
	for _, s := range subnets {
		for len(around) > 0 && !around[len(around)-1].cidr.v.Overlaps(s.cidr.v) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 {
			first, second := around[len(around)-1], s
			if second.written < first.written {
				first, second = second, first
			}
			c.bad(second.cidr.place(), "", "%v overlaps %v of network %q: the tenant's networks are routed among one another", second.cidr.v, first.cidr.v, first.network)
		}
		around = append(around, s)
	}
}

func (c *checker) gateway(s subnetSpec) {
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
				c.unknown(s.network, networkNames(t), "tenant %q has no network %q", t.Name, s.network.v)
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
	case s.Gateway == ip.v:
		c.bad(ip.place(), "", "%v is the gateway of %v", ip.v, s.CIDR)
	case !isHost(s.CIDR, ip.v):
		c.bad(ip.place(), "", "%v is the network's or the broadcast address of %v", ip.v, s.CIDR)
	default:
		return true
	}
	return false
}

// subnetOf returns the subnet of n that an address is in.
func (c *checker) subnetOf(n *Network, a netip.Addr) (Subnet, bool) {
	for bits := a.BitLen(); bits >= 0; bits-- {
		if s, ok := c.subnets[inNetwork{n, netip.PrefixFrom(a, bits).Masked()}]; ok {
			return s, true
		}
	}
	return Subnet{}, false
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
