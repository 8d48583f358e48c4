package intent

import (
	"maps"
	"net/netip"
	"slices"
)

// A leaf is a kind of objects that no other object is made of. Where nothing else has changed of a
// tenant, those that have are checked alone, beside all that is as it was.
type leaf struct {
	check func(*checker, Spec)
	drop  func(c *checker, t *Tenant, name string)
	at    func(Spec) netip.Addr // what it claims; nil: nothing
}

// leaves are the kinds of leaves. A SNAT is none: what is forwarded goes by what it has.
var leaves = map[string]leaf{
	"Policy": {
		check: func(c *checker, s Spec) { c.policy(s.policies[0]) },
		drop: func(c *checker, t *Tenant, name string) {
			p := pick(&t.Policies, func(p *Policy) bool { return p.Name == name })
			c.forget(p.ID())
			for _, r := range p.Rules {
				c.forget(r.ID())
			}
		},
	},
	"FloatingIP": {
		check: func(c *checker, s Spec) { c.floating(s.floatings[0]) },
		drop: func(c *checker, t *Tenant, name string) {
			f := pick(&t.FloatingIPs, func(f *FloatingIP) bool { return f.Name == name })
			c.forget(f.ID())
			delete(c.floats, f.floated())
		},
		at: func(s Spec) netip.Addr { return s.floatings[0].address.v },
	},
	"PortForward": {
		check: func(c *checker, s Spec) { c.forward(s.forwards[0]) },
		drop: func(c *checker, t *Tenant, name string) {
			c.forget(pick(&t.PortForwards, func(f *PortForward) bool { return f.Name == name }).ID())
		},
		at: func(s Spec) netip.Addr { return s.forwards[0].address.v },
	},
	"LoadBalancer": {
		check: func(c *checker, s Spec) { c.balancer(s.balancers[0]) },
		drop: func(c *checker, t *Tenant, name string) {
			c.forget(pick(&t.LoadBalancers, func(l *LoadBalancer) bool { return l.Name == name }).ID())
		},
		at: func(s Spec) netip.Addr { return s.balancers[0].address.v },
	},
}

// pick takes the one of some objects that is meant out of them, and returns it.
func pick[T any](all *[]*T, meant func(*T) bool) *T {
	i := slices.IndexFunc(*all, meant)
	one := (*all)[i]
	if *all = slices.Delete(*all, i, i+1); len(*all) == 0 {
		*all = nil // as of a tenant that never had one
	}
	return one
}

// forget forgets that an object is there.
func (c *checker) forget(id ID) {
	delete(c.seen, id)
	delete(c.model.at[owner(id)], id)
}

// areLeaves reports whether documents have only leaves in them.
func areLeaves(some []*sheet) bool {
	return !slices.ContainsFunc(some, func(d *sheet) bool { return leaves[d.kind].check == nil })
}

// most is how many leaves are looked at one by one.
const most = 16

// withOther returns a tenant with other leaves, or nil if something is wrong with them, or too many
// are others. Its checker is used up then.
func (k *kept) withOther(x change) *kept {
	c := k.checker
	if k.checker = nil; c == nil || len(x.gone)+len(x.come) > most || !areLeaves(x.gone) || !areLeaves(x.come) {
		k.checker = c
		return nil
	}
	t := *k.tenant
	t.Policies, t.FloatingIPs = slices.Clone(t.Policies), slices.Clone(t.FloatingIPs)
	t.PortForwards, t.LoadBalancers = slices.Clone(t.PortForwards), slices.Clone(t.LoadBalancers)
	c.tenants[t.Name] = &t
	c.model.tenants, c.model.at = []*Tenant{&t}, map[string]map[ID]Position{t.Name: maps.Clone(k.at)}
	for _, d := range x.gone {
		leaves[d.kind].drop(c, &t, d.name)
	}
	for _, d := range x.come {
		leaves[d.kind].check(c, *d.spec)
	}
	if len(c.problems) > 0 || len(c.refused) > 0 {
		return nil
	}
	t.sortLeaves()
	return c.kept()
}

// kept returns the one tenant that was checked, with which nothing is wrong, and what is needed to
// check leaves of it later.
func (c *checker) kept() *kept {
	t := c.model.tenants[0]
	c.spec = Spec{}
	return &kept{t, c.model.at[t.Name], c}
}

// An arrival is a leaf that is there now.
type arrival struct {
	*sheet
	moved bool // nothing of its name claimed the same before
}

// arrivals are the leaves that are there now.
func (x change) arrivals() (all []arrival) {
	for _, d := range x.come {
		there := func(g *sheet) bool {
			return g.kind == d.kind && g.name == d.name && g.claims == d.claims
		}
		all = append(all, arrival{d, !slices.ContainsFunc(x.gone, there)})
	}
	return all
}

// conflictOf reports whether a leaf wants something that somebody has. All others want what they
// wanted, beside one another.
func (m *Model) conflictOf(d arrival) bool {
	if !d.claims.IsValid() {
		return false
	}
	a, t := d.claims, m.Tenant(d.tenant)
	if d.kind != "LoadBalancer" && t.sendsTo(a) {
		return true // it has to be asked again whether a load balancer may
	}
	return len(clashes(m.around(a, t.balancer(d.name), d.moved))) > 0
}

// sendsTo reports whether a load balancer of t has a backend that is in no network.
func (t *Tenant) sendsTo(a netip.Addr) bool {
	return slices.ContainsFunc(t.LoadBalancers, func(l *LoadBalancer) bool {
		return slices.ContainsFunc(l.Backends, func(b Backend) bool { return b.Network == nil && b.IP == a })
	})
}

// balancer returns the load balancer of a name, or nil.
func (t *Tenant) balancer(name string) *LoadBalancer {
	for _, l := range t.LoadBalancers {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// around returns m with only those objects that claim an address, and those load balancers that
// have to do with one of that address: whose addresses are those of its backends, and, if it
// stands there since now, who sends to it.
func (m *Model) around(a netip.Addr, l *LoadBalancer, moved bool) *Model {
	sub := &Model{bridges: m.bridges}
	near := map[netip.Addr]bool{a: true}
	if l != nil {
		for _, b := range l.Backends {
			near[b.IP] = true
		}
	}
	for _, t := range m.tenants {
		sub.tenants = append(sub.tenants, &Tenant{
			Name: t.Name, Networks: t.Networks, SNATs: t.SNATs,
			FloatingIPs:   chosen(t.FloatingIPs, func(f *FloatingIP) bool { return f.Address == a }),
			PortForwards:  chosen(t.PortForwards, func(f *PortForward) bool { return f.Address == a }),
			LoadBalancers: chosen(t.LoadBalancers, func(o *LoadBalancer) bool { return near[o.Address] || moved && l != nil && o.has(a) }),
		})
	}
	return sub
}

// has reports whether an address is that of a backend of l.
func (l *LoadBalancer) has(a netip.Addr) bool {
	return slices.ContainsFunc(l.Backends, func(b Backend) bool { return b.IP == a })
}

// chosen returns those of some objects that are something.
func chosen[T any](all []*T, are func(*T) bool) (some []*T) {
	for _, x := range all {
		if are(x) {
			some = append(some, x)
		}
	}
	return some
}
