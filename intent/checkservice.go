package intent

import (
	"cmp"
	"slices"
)

// serviceOf returns the service of a rule, with its ports and types in order and each
// once: a port that two ranges have would be compiled twice.
func serviceOf(s ruleSpec) Service {
	v := Service{Protocol: cmp.Or(s.protocol.v, AnyProtocol)}
	for _, p := range s.ports {
		v.Ports = append(v.Ports, p.v)
	}
	for _, t := range s.types {
		v.Types = append(v.Types, t.v)
	}
	v.Ports, v.Types = merged(v.Ports), distinct(v.Types)
	return v
}

// merged returns the same ports in as few ranges as there can be, in order.
func merged(ports []PortRange) (all []PortRange) {
	slices.SortFunc(ports, func(a, b PortRange) int { return cmp.Or(cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi)) })
	for _, p := range ports {
		if last := len(all) - 1; last >= 0 && int(p.Lo) <= int(all[last].Hi)+1 {
			all[last].Hi = max(all[last].Hi, p.Hi)
		} else {
			all = append(all, p)
		}
	}
	return all
}

// distinct returns the same types in order, without those that another one contains.
func distinct(types []ICMPType) (all []ICMPType) {
	slices.SortFunc(types, func(a, b ICMPType) int {
		if a.Type == b.Type && a.AnyCode != b.AnyCode {
			return map[bool]int{true: -1, false: 1}[a.AnyCode]
		}
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	})
	for _, t := range types {
		if last := len(all) - 1; last < 0 || !all[last].contains(t) {
			all = append(all, t)
		}
	}
	return all
}

// contains reports whether all messages of u are of t.
func (t ICMPType) contains(u ICMPType) bool {
	return t.Type == u.Type && (t.AnyCode || !u.AnyCode && t.Code == u.Code)
}

// service checks protocol, ports, types and families against one another.
func (c *checker) service(t *Tenant, r *Rule, s ruleSpec, peer selectorSpec) {
	said := func(hint string) string {
		if s.protocol.set {
			return ""
		}
		return hint
	}
	switch {
	case len(s.ports) == 0:
	case r.Protocol == DCCP:
		c.bad(s.portsAt, "leave them out: the rule is then for all of them", "Open vSwitch matches no ports of dccp")
	case !r.Protocol.HasPorts():
		c.bad(s.portsAt, said("add protocol: tcp, udp or sctp"), "protocol %s has no ports", r.Protocol)
	}
	if s.typesAt.path != "" && messages[r.Protocol] == nil {
		c.bad(s.typesAt, said("add protocol: icmp or icmpv6"), "protocol %s has no types", r.Protocol)
	}
	for _, v := range s.types {
		if r.Protocol == ICMPv6 && isDiscovery(v.v.Type) {
			c.bad(v.place(), "", "type %d is one of neighbour discovery or multicast listeners, which are checked at each port and are not judged by rules", v.v.Type)
		}
	}
	if r.neighbours() && t.ImplicitARP {
		c.bad(s.protocol.place(), "set the tenant's implicitARP to false", "ARP and ND pass without a rule, so this one would mean nothing")
	}
	for _, p := range peer.cidrs {
		if !r.Protocol.fits(p.v.Addr().Is4()) {
			c.bad(p.place(), "", "%v is not of the family of protocol %s", p.v, r.Protocol)
		}
	}
}

// neighbours reports whether r is about neighbours and no connections.
func (r *Rule) neighbours() bool { return r.Protocol == ARP || r.Protocol == ND }

// fits reports whether p is spoken in IPv4, or else in IPv6.
func (p Protocol) fits(v4 bool) bool {
	switch p {
	case ICMP, ARP:
		return v4
	case ICMPv6, ND:
		return !v4
	}
	return true
}

// manner checks how a rule acts against what it acts on.
func (c *checker) manner(r *Rule, s ruleSpec) {
	if r.neighbours() && r.Action != Allow && r.Action != Deny {
		why, hint := "ARP and ND are never tracked", "write allow"
		if r.Action != Stateless {
			why, hint = "a rule about ARP or ND allows or denies", "write deny"
		}
		c.bad(s.action.place(), hint, "%s", why)
	}
	if s.mark.set && r.Action != Allow {
		c.bad(s.mark.place(), "", "a mark is for connections, and a %s rule makes none", r.Action)
	}
	c.alg(r, s)
	switch {
	case !s.log.set:
	case r.neighbours():
		c.bad(s.log.place(), "", "what is logged is connections, and %s has none", r.Protocol)
	case r.Action == Pass:
		c.bad(s.log.place(), "log in the rule that decides", "a pass rule decides nothing that could be logged")
	case r.Action == Stateless && r.Log == LogNew:
		c.bad(s.log.place(), "write sampled", "a stateless rule knows no connections, so that every packet would be new")
	}
}

// alg checks a gateway against what it reads.
func (c *checker) alg(r *Rule, s ruleSpec) {
	carrier := map[ALG]Protocol{FTP: TCP, TFTP: UDP}[r.ALG]
	switch {
	case !s.alg.set:
	case r.Action != Allow:
		c.bad(s.alg.place(), "", "alg follows connections, and a %s rule makes none", r.Action)
	case r.Protocol != carrier:
		c.bad(s.alg.place(), "write protocol: "+string(carrier), "%s runs over %s, and the rule's protocol is %s", r.ALG, carrier, r.Protocol)
	}
}
