package intent

import (
	"cmp"
	"net/netip"
	"slices"
)

func (c *checker) policies() {
	for _, s := range c.spec.policies {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		p := &Policy{Tenant: t.Name, Name: s.name.v}
		if !c.is(p.ID(), s.place) {
			continue
		}
		names := endpointNames(t)
		p.AppliesTo = c.selector(t, names, s.appliesTo)
		for _, u := range s.rules {
			if r := c.rule(t, p, names, u); r != nil {
				p.Rules = append(p.Rules, r)
			}
		}
		t.Policies = append(t.Policies, p)
	}
}

func endpointNames(t *Tenant) map[string]bool {
	names := make(map[string]bool, len(t.Endpoints))
	for _, e := range t.Endpoints {
		names[e.Name] = true
	}
	return names
}

// selector checks what can be known before any packet: that the names are there.
func (c *checker) selector(t *Tenant, endpoints map[string]bool, s selectorSpec) Selector {
	sel := Selector{Labels: s.labels}
	for _, p := range s.cidrs {
		if slices.Contains(sel.CIDRs, p.v) {
			c.bad(p.place(), "", "%v is given twice", p.v)
			continue
		}
		sel.CIDRs = append(sel.CIDRs, p.v)
	}
	for _, e := range s.endpoints {
		switch {
		case !e.set:
		case !endpoints[e.v]:
			c.bad(e.place(), meant(e.v, keys(endpoints)), "tenant %q has no endpoint %q", t.Name, e.v)
		case slices.Contains(sel.Endpoints, e.v):
			c.bad(e.place(), "", "%q is given twice", e.v)
		default:
			sel.Endpoints = append(sel.Endpoints, e.v)
		}
	}
	if s.set && sel.Empty() && len(s.endpoints)+len(s.cidrs) == 0 {
		c.bad(s.place, "leave it out to select everything", "selects nothing")
	}
	return sel
}

// rule returns a checked rule, or nil if so much is missing that it cannot be checked.
func (c *checker) rule(t *Tenant, p *Policy, endpoints map[string]bool, s ruleSpec) *Rule {
	if !s.name.set || !s.direction.set || !s.action.set {
		return nil
	}
	r := &Rule{
		Policy: p, Name: s.name.v, Direction: Direction(s.direction.v), Action: Action(s.action.v),
		Protocol: cmp.Or(Protocol(s.protocol.v), AnyProtocol), Mark: uint16(s.mark.v),
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
	r.Peer = c.selector(t, endpoints, peer)
	for _, ports := range s.ports {
		r.Ports = append(r.Ports, ports.v)
	}
	c.service(t, r, s, peer)
	return r
}

// service checks protocol, ports and families against one another.
func (c *checker) service(t *Tenant, r *Rule, s ruleSpec, peer selectorSpec) {
	if len(s.ports) > 0 && r.Protocol != TCP && r.Protocol != UDP {
		c.bad(s.portsAt, "add protocol: tcp or udp", "protocol %s has no ports", r.Protocol)
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
