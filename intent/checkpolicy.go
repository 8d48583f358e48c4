package intent

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

func (c *checker) groupsOf() {
	for _, s := range c.spec.groups {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		g := &Group{Tenant: t.Name, Name: s.name.v, Members: c.selector(t, s.members)}
		if !c.is(g.ID(), s.place) {
			continue
		}
		c.groups[g.ID()] = g
		c.uses(true, groups, s.place)
		t.Groups = append(t.Groups, g)
	}
}

func (c *checker) policies() {
	for _, s := range c.spec.policies {
		c.policy(s)
	}
}

func (c *checker) policy(s policySpec) {
	t := c.tenant(s.meta)
	if t == nil {
		return
	}
	p := &Policy{
		Tenant: t.Name, Name: s.name.v, Priority: DefaultPriority,
		Tier: cmp.Or(Tier(s.tier.v), ApplicationTier), OnRevoke: cmp.Or(OnRevoke(s.onRevoke.v), RevokeEnforce),
	}
	if s.priority.set {
		p.Priority = uint16(s.priority.v)
	}
	if !c.is(p.ID(), s.place) {
		return
	}
	c.uses(p.OnRevoke == RevokeKeep, revokeKeep, s.onRevoke.place())
	c.uses(p.OnRevoke == RevokeReset, revokeReset, s.onRevoke.place())
	p.AppliesTo = c.appliesTo(t, s.appliesTo)
	for _, u := range s.rules {
		if r := c.rule(t, p, u); r != nil {
			p.Rules = append(p.Rules, r)
		}
	}
	t.Policies = append(t.Policies, p)
}

// appliesTo is the selector of a policy's own endpoints.
func (c *checker) appliesTo(t *Tenant, s selectorSpec) Selector {
	sel := c.selector(t, s)
	for _, g := range s.groups {
		if known := c.groups[(&Group{Tenant: t.Name, Name: g.v}).ID()]; known != nil && len(known.Members.CIDRs) > 0 {
			c.bad(g.place(), "name a group of endpoints only", "group %q has CIDRs, and a policy applies to endpoints", g.v)
		}
	}
	return sel
}

// selector checks what can be known before any packet: that the names are there.
func (c *checker) selector(t *Tenant, s selectorSpec) Selector {
	sel := Selector{Labels: s.labels}
	cidrs, names := map[netip.Prefix]bool{}, map[string]bool{}
	for _, p := range s.cidrs {
		if cidrs[p.v] {
			c.bad(p.place(), "", "%v is given twice", p.v)
			continue
		}
		cidrs[p.v] = true
		sel.CIDRs = append(sel.CIDRs, p.v)
	}
	for _, e := range s.endpoints {
		switch {
		case !e.set:
		case !c.hasEndpoint(t, e.v):
			c.unknown(e, endpointNames(t), "tenant %q has no endpoint %q", t.Name, e.v)
		case names[e.v]:
			c.bad(e.place(), "", "%q is given twice", e.v)
		default:
			names[e.v] = true
			sel.Endpoints = append(sel.Endpoints, e.v)
		}
	}
	sel.Groups = c.members(t, s.groups)
	return sel
}

// members returns the groups of some names.
func (c *checker) members(t *Tenant, names []value[string]) (all []*Group) {
	for _, name := range names {
		id := (&Group{Tenant: t.Name, Name: name.v}).ID()
		g := c.groups[id]
		switch {
		case !name.set:
		case g == nil:
			c.unknown(name, groupNames(t), "tenant %q has no group %q", t.Name, name.v)
		case slices.Contains(all, g):
			c.bad(name.place(), "", "%q is given twice", name.v)
		default:
			all = append(all, g)
		}
	}
	return all
}

func groupNames(t *Tenant) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, g := range t.Groups {
			if !yield(g.Name) {
				return
			}
		}
	}
}

// hasEndpoint reports whether t has an endpoint of that name, be it right or wrong.
func (c *checker) hasEndpoint(t *Tenant, name string) bool {
	_, ok := c.seen[(&Endpoint{Tenant: t.Name, Name: name}).ID()]
	return ok
}

func endpointNames(t *Tenant) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, e := range t.Endpoints {
			if !yield(e.Name) {
				return
			}
		}
	}
}

// rule returns a checked rule, or nil if so much is missing that it cannot be checked.
func (c *checker) rule(t *Tenant, p *Policy, s ruleSpec) *Rule {
	if !s.name.set || !s.direction.set || !s.action.set {
		return nil
	}
	r := &Rule{
		Policy: p, Name: s.name.v, Description: s.about.v, Direction: Direction(s.direction.v), Action: Action(s.action.v),
		Service: serviceOf(s), ALG: ALG(s.alg.v), Log: Log(s.log.v), Mark: uint16(s.mark.v),
	}
	if !c.is(r.ID(), s.name.place()) {
		return nil
	}
	peer, wrong := s.from, s.to
	if r.Direction == Egress {
		peer, wrong = s.to, s.from
	}
	if wrong.set {
		c.bad(wrong.place, "", "an %s rule has no such peer: ingress rules say from, egress rules say to", r.Direction)
	}
	r.Peer = c.selector(t, peer)
	c.service(t, r, s, peer)
	c.manner(r, s)
	c.usedBy(r, s)
	return r
}
