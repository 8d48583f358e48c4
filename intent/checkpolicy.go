package intent

import (
	"cmp"
	"iter"
	"net/netip"
)

func (c *checker) policies() {
	for _, s := range c.spec.policies {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		p := &Policy{Tenant: t.Name, Name: s.name.v, Tier: ApplicationTier, Priority: DefaultPriority, OnRevoke: RevokeEnforce}
		if !c.is(p.ID(), s.place) {
			continue
		}
		p.AppliesTo = c.selector(t, s.appliesTo)
		for _, u := range s.rules {
			if r := c.rule(t, p, u); r != nil {
				p.Rules = append(p.Rules, r)
			}
		}
		t.Policies = append(t.Policies, p)
	}
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
	return sel
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
		Policy: p, Name: s.name.v, Direction: Direction(s.direction.v), Action: Action(s.action.v),
		Service: Service{Protocol: cmp.Or(Protocol(s.protocol.v), AnyProtocol)}, Mark: uint16(s.mark.v),
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
	for _, ports := range s.ports {
		r.Ports = append(r.Ports, ports.v)
	}
	c.service(t, r, s, peer)
	return r
}

// service checks protocol, ports and families against one another.
func (c *checker) service(t *Tenant, r *Rule, s ruleSpec, peer selectorSpec) {
	if len(s.ports) > 0 && r.Protocol != TCP && r.Protocol != UDP {
		hint := ""
		if !s.protocol.set {
			hint = "add protocol: tcp or udp"
		}
		c.bad(s.portsAt, hint, "protocol %s has no ports", r.Protocol)
	}
	neighbours := r.Protocol == ARP || r.Protocol == ND
	if neighbours && t.ImplicitARP {
		c.bad(s.protocol.place(), "set the tenant's implicitARP to false", "ARP and ND pass without a rule, so this one would mean nothing")
	}
	if neighbours && r.Action == Stateless {
		c.bad(s.action.place(), "write allow", "ARP and ND are never tracked")
	}
	if s.mark.set && r.Action != Allow {
		c.bad(s.mark.place(), "", "a mark is for connections, and a %s rule makes none", r.Action)
	}
	for _, p := range peer.cidrs {
		if !fits(r.Protocol, p.v) {
			c.bad(p.place(), "", "%v is not of the family of protocol %s", p.v, r.Protocol)
		}
	}
}

// fits reports whether packets of protocol p can have an address in c.
func fits(p Protocol, c netip.Prefix) bool {
	switch p {
	case ICMP, ARP:
		return c.Addr().Is4()
	case ICMPv6, ND:
		return c.Addr().Is6()
	}
	return true
}
