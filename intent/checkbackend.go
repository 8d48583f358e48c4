package intent

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// maxBackends bounds the backends of a load balancer: as many as a group has buckets that Open
// vSwitch chooses among without asking anybody.
const maxBackends = 256

// A foundBackend is a backend with the place where it, or what selects it, is written.
type foundBackend struct {
	Backend
	subnet Subnet // that its address is in
	unsure bool   // it may be in a network that could not be read
	at     place
}

// backends are the backends of a load balancer that have been found.
type backends struct {
	c      *checker
	tenant *Tenant
	public netip.Addr
	all    []foundBackend
	named  map[*Endpoint]bool
}

// resolve finds the backends of l: those that are named, and then those that labels select
// besides.
func (c *checker) resolve(t *Tenant, l *LoadBalancer, s balancerSpec) []foundBackend {
	b := backends{c: c, tenant: t, public: s.address.v, all: make([]foundBackend, 0, len(s.backends))}
	for _, x := range s.backends {
		switch {
		case x.endpoint.set:
			b.endpoint(x)
		case x.address.set:
			b.address(x)
		}
		c.ownPort(l, x)
	}
	for _, x := range s.backends {
		if len(x.labels) > 0 {
			l.Selects = append(l.Selects, Selector{Labels: x.labels})
			b.selected(x)
		}
	}
	if n := len(b.all); n > maxBackends {
		c.bad(s.backendsAt, "a second load balancer can have the others", "there are %d, and one group takes %d", n, maxBackends)
	}
	slices.SortStableFunc(b.all, foundBackend.compare)
	b.once()
	return b.all
}

// once takes each address once, and says which are there again.
func (b *backends) once() {
	kept := b.all[:0]
	for _, d := range b.all {
		if n := len(kept); n > 0 && kept[n-1].IP == d.IP {
			b.c.bad(d.at, "give it more weight if it is to get more", "%v is given twice, first at %s", d.IP, lineOf(kept[n-1].at.at))
			continue
		}
		kept = append(kept, d)
	}
	b.all = kept
}

// compare has backends in the order in which a LoadBalancer has them.
func (b foundBackend) compare(d foundBackend) int {
	if b.Endpoint == nil || d.Endpoint == nil {
		nobody := map[bool]int{true: 1}
		return cmp.Or(nobody[b.Endpoint == nil]-nobody[d.Endpoint == nil], b.IP.Compare(d.IP))
	}
	return cmp.Or(cmp.Compare(b.Endpoint.Name, d.Endpoint.Name), b.IP.Compare(d.IP))
}

// endpoint adds an endpoint that is named.
func (b *backends) endpoint(x backendSpec) {
	e := b.c.endpoint[(&Endpoint{Tenant: b.tenant.Name, Name: x.endpoint.v}).ID()]
	if e == nil {
		b.c.stranger(b.tenant, x.endpoint)
		return
	}
	if ip, ok := b.c.addressOf(e, targetSpec{endpoint: x.endpoint, ip: x.ip}, b.public); ok {
		b.add(x, Backend{Endpoint: e, IP: ip}, x.place)
	}
}

// address adds an address, whose ever it is.
func (b *backends) address(x backendSpec) {
	switch {
	case x.address.v.Is4() != b.public.Is4():
		b.c.bad(x.address.place(), "", "%v is not of the family of %v", x.address.v, b.public)
		return
	case isLinkLocal(x.address.v):
		b.c.bad(x.address.place(), "take one that is routed", "%v is a link-local address, which each link has anew", x.address.v)
		return
	}
	b.add(x, Backend{Endpoint: b.c.ownerOf(b.tenant, x.address.v), IP: x.address.v}, x.address.place())
}

// selected adds those that labels select, by their first address of the family. Who is named
// otherwise is there already.
func (b *backends) selected(x backendSpec) {
	if b.named == nil {
		b.named = map[*Endpoint]bool{}
		for _, d := range b.all {
			b.named[d.Endpoint] = true
		}
	}
	for _, e := range b.c.labelled(b.tenant, x.labels) {
		i := slices.IndexFunc(e.IPs, func(a netip.Addr) bool { return a.Is4() == b.public.Is4() })
		if i >= 0 && !b.named[e] {
			b.named[e] = true
			b.add(x, Backend{Endpoint: e, IP: e.IPs[i]}, x.labelsAt)
		}
	}
}

func (b *backends) add(x backendSpec, d Backend, at place) {
	f := foundBackend{Backend: d, at: at}
	if e := d.Endpoint; e != nil {
		f.Network = e.Network
		f.subnet, _ = b.c.subnetOf(e.Network, d.IP)
	} else {
		f.Network, f.subnet, f.unsure = b.c.networkAt(b.tenant, d.IP)
	}
	f.Gateway = f.subnet.Gateway
	f.Port, f.Weight = uint16(x.port.v), DefaultWeight
	if x.weight.set {
		f.Weight = uint16(x.weight.v)
	}
	b.all = append(b.all, f)
}

// labelled returns the endpoints of t that have labels. It looks at those that have one of
// them: there may be as many load balancers as endpoints.
func (c *checker) labelled(t *Tenant, labels map[string][]string) (all []*Endpoint) {
	of := c.byLabel[t.Name]
	if of == nil {
		of = map[string][]*Endpoint{}
		c.byLabel[t.Name] = of
		for _, e := range t.Endpoints {
			for k, v := range e.Labels {
				of[k+"="+v] = append(of[k+"="+v], e)
			}
		}
	}
	key := slices.Min(slices.Collect(maps.Keys(labels))) // whoever has all of them has this one
	for _, v := range labels[key] {
		all = append(all, of[key+"="+v]...)
	}
	s := Selector{Labels: labels}
	return slices.DeleteFunc(all, func(e *Endpoint) bool { return !s.fitsLabels(e) })
}

// ownPort checks that it is known which port a backend has instead of.
func (c *checker) ownPort(l *LoadBalancer, x backendSpec) {
	several := func(p Protocol) bool {
		n := 0
		for _, q := range l.Ports {
			if q.Protocol == p {
				n++
			}
		}
		return n > 1
	}
	if x.port.set && (several(TCP) || several(UDP) || several(SCTP)) {
		c.bad(x.port.place(), "write a load balancer for each port, with the same address", "there are several ports, and all of them would become this one")
	}
}

// reached checks that connections get to the backends, and takes those to which they do.
func (c *checker) reached(t *Tenant, l *LoadBalancer, found []foundBackend) {
	l.Backends = slices.Grow(l.Backends, len(found))
	for _, b := range found {
		if b.Network != nil && c.reachedInside(l, b) || b.Network == nil && !b.unsure && c.reachedOutside(t, l, b) {
			l.Backends, l.Outward = append(l.Backends, b.Backend), l.Outward || b.Outside()
		}
	}
}

// name is who a backend is, in a sentence.
func (b Backend) name() string {
	if b.Endpoint == nil {
		return b.IP.String()
	}
	return fmt.Sprintf("%v of endpoint %q", b.IP, b.Endpoint.Name)
}

// reachedInside reports whether connections get to a backend in a network.
func (c *checker) reachedInside(l *LoadBalancer, b foundBackend) bool {
	n, sub := b.Network, b.subnet
	near := l.Network == n && sub.CIDR.Contains(l.Address)
	switch {
	case b.IP == l.Address:
		c.bad(b.at, "take one that serves", "%v is the load balancer's own address: it would send connections to itself", b.IP)
	case b.IP == sub.Gateway:
		c.bad(b.at, "take one that serves", "%v is the gateway of network %q", b.IP, n.Name)
	case !isHost(sub.CIDR, b.IP):
		c.bad(b.at, "", "%v is the network's or the broadcast address of %v", b.IP, sub.CIDR)
	case !slices.ContainsFunc(n.Bridges, l.isOn):
		c.bad(b.at, "put the network on that bridge, or the address on this one", "%s is in network %q on %s, and %v is on %s", b.name(), n.Name, bridgesText(n.Bridges), l.Address, bridgesText(l.bridges()))
	case !near && l.Bridged():
		c.bad(b.at, "take one on that link, or an address in a subnet with a gateway", "%s is in subnet %v, and %v in %v, which has no gateway: only who is on that link gets there, and back", b.name(), sub.CIDR, l.Address, l.Subnet().CIDR)
	case !sub.Gateway.IsValid() && !near:
		c.bad(b.at, "give it a gateway", "%s is in subnet %v of network %q, which has no gateway, so that its answers get to nobody", b.name(), sub.CIDR, n.Name)
	case !sub.Gateway.IsValid() && l.SNAT == SNATAlways:
		c.bad(b.at, "give it a gateway, or leave snat: always out", "%s is in subnet %v of network %q, which has no gateway whose address it could see", b.name(), sub.CIDR, n.Name)
	default:
		return true
	}
	return false
}

// bridges returns the bridges that the address of l is on.
func (l *LoadBalancer) bridges() []string {
	if l.Inside() {
		return l.Network.Bridges
	}
	return []string{l.Bridge}
}

func (l *LoadBalancer) isOn(bridge string) bool { return slices.Contains(l.bridges(), bridge) }

// reachedOutside reports whether connections get to a backend that is in no network.
func (c *checker) reachedOutside(t *Tenant, l *LoadBalancer, b foundBackend) bool {
	by := wayTo(c.sides(l.bridges()), b.IP)
	var sub ExternalSubnet
	if by != nil {
		sub, _ = by.OnLink(b.IP)
	}
	switch own := t.publicAt(b.IP); {
	case b.IP == l.Address:
		c.bad(b.at, "take one that serves", "%v is the load balancer's own address: it would send connections to itself", b.IP)
	case l.Bridged():
		c.bad(b.at, "take one on that link, or an address in a subnet with a gateway", "%v is outside, and %v in subnet %v, which has no gateway: only who is on that link gets there, and back", b.IP, l.Address, l.Subnet().CIDR)
	case own != "":
		c.bad(b.at, "name the endpoint that is behind it", "%v is that of %s, and would be translated once more", b.IP, own)
	case sub.Address == b.IP:
		c.bad(b.at, "take one that serves", "%v is the router's own address", b.IP)
	case sub.CIDR.IsValid() && !isHost(sub.CIDR, b.IP):
		c.bad(b.at, "", "%v is the network's or the broadcast address of %v", b.IP, sub.CIDR)
	case by == nil && slices.ContainsFunc(l.bridges(), func(name string) bool { return c.murky[name] }):
	case by == nil:
		c.bad(b.at, "add a route or a gateway to an outside of it", "%v is in no subnet of tenant %q, and no outside of %s leads to it", b.IP, t.Name, bridgesText(l.bridges()))
	case !l.Inside() && by.Network != l.External:
		c.bad(b.at, fmt.Sprintf("take an address of outside %q for the load balancer", by.Network),
			"%v is reached by outside %q, and would be asked from %v, which is of outside %q: its answers would get to nobody", b.IP, by.Network, l.Address, l.External)
	default:
		return true
	}
	return false
}

// wayTo returns by which of some outsides an address is reached: that of the longest prefix, and the first
// of those that have it; or nil.
func wayTo(sides []*External, a netip.Addr) (by *External) {
	longest := -1
	lead := func(x *External, p netip.Prefix) {
		if p.Contains(a) && p.Bits() > longest {
			by, longest = x, p.Bits()
		}
	}
	for _, x := range sides {
		for _, s := range x.Subnets {
			lead(x, s.CIDR)
		}
		for _, r := range x.Routes {
			lead(x, r.To)
		}
	}
	return by
}

// publicAt returns the id of the floating IP, port forward or SNAT of t that has an address, or
// nothing.
func (t *Tenant) publicAt(a netip.Addr) ID {
	for _, f := range t.FloatingIPs {
		if f.Address == a {
			return f.ID()
		}
	}
	for _, f := range t.PortForwards {
		if f.Address == a {
			return f.ID()
		}
	}
	for _, s := range t.SNATs {
		if slices.ContainsFunc(s.Pools, func(p Pool) bool {
			return slices.ContainsFunc(p.Ranges, func(r AddrRange) bool { return r.Contains(a) })
		}) {
			return s.ID()
		}
	}
	return ""
}
