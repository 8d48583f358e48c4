package intent

import (
	"net/netip"
	"slices"
)

// A selection is a Selector, resolved: which endpoints of a tenant, and which addresses.
type selection struct {
	anybody   bool
	endpoints []*Endpoint // by name
	has       map[*Endpoint]bool
	cidrs     []netip.Prefix
}

func selectionOf(t *Tenant, s Selector) *selection {
	all := &selection{anybody: s.Empty(), has: map[*Endpoint]bool{}, cidrs: slices.Clone(s.CIDRs)}
	for _, g := range s.Groups {
		all.cidrs = append(all.cidrs, g.Members.CIDRs...)
	}
	for _, e := range t.Endpoints {
		if s.Selects(e) {
			all.endpoints = append(all.endpoints, e)
			all.has[e] = true
		}
	}
	return all
}

// Selects reports whether s selects e by its labels, its name or a group. A selector that
// has only CIDRs selects no endpoint: it matches the addresses in packets.
func (s Selector) Selects(e *Endpoint) bool {
	return s.Empty() || slices.Contains(s.Endpoints, e.Name) || s.fitsLabels(e) ||
		slices.ContainsFunc(s.Groups, func(g *Group) bool { return g.Members.Selects(e) })
}

func (s Selector) fitsLabels(e *Endpoint) bool {
	for k, values := range s.Labels {
		if v, ok := e.Labels[k]; !ok || !slices.Contains(values, v) {
			return false
		}
	}
	return len(s.Labels) > 0
}

func (s *selection) nobody() bool { return !s.anybody && len(s.endpoints) == 0 && len(s.cidrs) == 0 }

// speaks reports whether s has somebody who speaks IPv4, or else IPv6.
func (s *selection) speaks(v4 bool) bool {
	return s.anybody && len(s.endpoints) == 0 ||
		slices.ContainsFunc(s.endpoints, func(e *Endpoint) bool { return e.speaks(v4) }) ||
		slices.ContainsFunc(s.cidrs, func(p netip.Prefix) bool { return p.Addr().Is4() == v4 })
}

// speaks reports whether e sends from addresses of IPv4, or else IPv6. One whose addresses
// are not known may send from any.
func (e *Endpoint) speaks(v4 bool) bool {
	return len(e.IPs) == 0 || slices.ContainsFunc(e.IPs, func(a netip.Addr) bool { return a.Is4() == v4 })
}

// A scope is what a rule matches.
type scope struct {
	rule     *Rule
	subjects *selection
	peers    *selection
	v4, v6   bool // the versions of IP in which it can match
	passed   bool // a pass rule of its tier comes before it, so that some of what it matches may go by
}

func scopeOf(r *Rule, subjects, peers *selection) *scope {
	s := &scope{rule: r, subjects: subjects, peers: peers}
	can := func(v4 bool) bool {
		return r.Protocol.fits(v4) && subjects.speaks(v4) && (s.peers.anybody || s.peers.speaks(v4))
	}
	s.v4, s.v6 = can(true), can(false)
	return s
}

// shadow returns the first of earlier rules that matches all that s does.
func (s *scope) shadow(earlier []*scope) *scope {
	for _, e := range earlier {
		if e.rule.Policy.Tier != s.rule.Policy.Tier && (e.rule.Action == Pass || e.passed) {
			continue // what it matches may come to the next tier
		}
		if e.contains(s) {
			return e
		}
	}
	return nil
}

// contains reports whether s matches all that t does, both being of one direction. It may
// say no where it does.
func (s *scope) contains(t *scope) bool {
	return s.rule.Service.contains(t.rule.Service) && s.subjects.containsEndpoints(t.subjects) && s.peers.contains(t.peers, t.v4, t.v6)
}

// contains reports whether all that is for u is for s.
func (s Service) contains(u Service) bool {
	if s.Protocol != u.Protocol {
		return s.Protocol == AnyProtocol && u.Protocol != ARP && u.Protocol != ND
	}
	return containsPorts(s.Ports, u.Ports) && containsTypes(s.Types, u.Types)
}

// containsPorts reports whether all ports of b are of a. The ranges of a Service are not
// adjacent, so that each of b is in one of a.
func containsPorts(a, b []PortRange) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == 0
	}
	for _, p := range b {
		if !slices.ContainsFunc(a, func(q PortRange) bool { return q.Lo <= p.Lo && p.Hi <= q.Hi }) {
			return false
		}
	}
	return true
}

func containsTypes(a, b []ICMPType) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == 0
	}
	for _, t := range b {
		if !slices.ContainsFunc(a, func(u ICMPType) bool { return u.contains(t) }) {
			return false
		}
	}
	return true
}

func (s *selection) containsEndpoints(t *selection) bool {
	if s == t || s.anybody {
		return true
	}
	return !slices.ContainsFunc(t.endpoints, func(e *Endpoint) bool { return !s.has[e] })
}

// contains reports whether all of t are in s, as far as they speak IPv4 and IPv6.
func (s *selection) contains(t *selection, v4, v6 bool) bool {
	everywhere := func(wanted, is4 bool) bool {
		return !wanted || slices.ContainsFunc(s.cidrs, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is4() == is4 })
	}
	switch {
	case s.anybody:
		return true
	case t.anybody:
		return everywhere(v4, true) && everywhere(v6, false)
	}
	for _, e := range t.endpoints {
		if !s.has[e] && !s.hasAddresses(e, v4, v6) {
			return false
		}
	}
	for _, p := range t.cidrs {
		if wanted := p.Addr().Is4() && v4 || p.Addr().Is6() && v6; wanted && !s.hasPrefix(p) {
			return false
		}
	}
	return true
}

// hasAddresses reports whether all that e may send from is in CIDRs of s.
func (s *selection) hasAddresses(e *Endpoint, v4, v6 bool) bool {
	own := false
	for _, a := range e.IPs {
		wanted := a.Is4() && v4 || a.Is6() && v6
		if wanted && !s.covers(netip.PrefixFrom(a, a.BitLen())) {
			return false
		}
		own = own || a.Is6() && v6
	}
	return len(e.IPs) > 0 && (!own || s.covers(linkLocals))
}

// hasPrefix reports whether s has all addresses of p: in one CIDR, or, if p is a single
// address, as that of an endpoint.
func (s *selection) hasPrefix(p netip.Prefix) bool {
	return s.covers(p) || p.IsSingleIP() && slices.ContainsFunc(s.endpoints, func(e *Endpoint) bool { return slices.Contains(e.IPs, p.Addr()) })
}

// covers reports whether one CIDR of s contains p.
func (s *selection) covers(p netip.Prefix) bool {
	return slices.ContainsFunc(s.cidrs, func(c netip.Prefix) bool { return c.Bits() <= p.Bits() && c.Overlaps(p) })
}
