package explain

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
)

// Ends are what policy sees of the first packet of a connection.
type Ends struct {
	From, To   *intent.Endpoint // of the tenant whose policy is asked; nil: none of its endpoints
	Src, Dst   netip.Addr       // as policy sees them: the destination is the endpoint's own
	Protocol   uint8
	Port       uint16 // destination port; zero: not known, or the protocol has none
	Type, Code uint8  // of ICMP and ICMPv6
}

// A Lack is one thing that keeps a rule from matching.
type Lack struct {
	Want string // "tier=app", "port 5432"
	Is   string // "web-1 has tier=web", "it is port 22"
}

// A Near is a rule that would have let a packet pass.
type Near struct {
	Rule   intent.ID
	Lacks  []Lack    // empty: it matches
	Before intent.ID // the rule that is asked first and stops the packet all the same; empty: none
}

// String returns "blue/policy/db/app needs tier=app; web-1 has tier=web".
func (n Near) String() string {
	var lacks []string
	for _, l := range n.Lacks {
		lacks = append(lacks, l.Want+"; "+l.Is)
	}
	s := string(n.Rule)
	switch {
	case len(lacks) == 0 && n.Before == "":
		return s + " would allow it"
	case len(lacks) == 0:
		return fmt.Sprintf("%s would allow it, but %s comes before it", s, n.Before)
	}
	s += " needs " + strings.Join(lacks, "; and ")
	if n.Before != "" {
		s += fmt.Sprintf("; and %s comes before it", n.Before)
	}
	return s
}

// Nearest returns the rule of t that lets connections pass in a direction and comes nearest to
// letting that of e pass, by which is the rule or the default that has stopped it: of the rules of that direction the one
// with the fewest conditions that are not met, of several the one that is asked first. Where the tenant's default
// allows, nothing comes nearer. It returns false if there is no such rule.
func Nearest(t *intent.Tenant, d intent.Direction, e Ends, by intent.ID) (near Near, found bool) {
	stopped := ""
	best := 0
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			if r.ID() == by {
				stopped = string(by)
			}
			if r.Direction != d || r.Action != intent.Allow && r.Action != intent.Stateless || !readable(r.Protocol) {
				continue
			}
			lacks, far := lacksOf(r, e)
			if !found || far < best {
				near, best, found = Near{r.ID(), lacks, intent.ID(stopped)}, far, true
			}
		}
	}
	if allows := t.Ingress == intent.Allow && d == intent.Ingress || t.Egress == intent.Allow && d == intent.Egress; allows && (!found || best > 0) {
		return Near{t.DefaultID(d), nil, intent.ID(stopped)}, stopped != ""
	}
	return near, found
}

// readable reports whether rules of a protocol are about IP connections.
func readable(p intent.Protocol) bool { return p != intent.ARP && p != intent.ND }

// lacksOf returns what keeps a rule from matching, and how far it is from that. One that is for other
// endpoints, or another protocol, is further away than one that lacks a label or a port, if they lack as many.
func lacksOf(r *intent.Rule, e Ends) (lacks []Lack, far int) {
	add := func(weight int, want, is string) {
		lacks, far = append(lacks, Lack{want, is}), far+100+weight
	}
	subject, peer, address := e.To, e.From, e.Src
	if r.Direction == intent.Egress {
		subject, peer, address = e.From, e.To, e.Dst
	}
	if subject == nil || !r.Policy.AppliesTo.Selects(subject) {
		add(2, "to be for "+selectorText(r.Policy.AppliesTo), selectedText(subject, r.Policy.AppliesTo))
	}
	if !matchesPeer(r.Peer, peer, address) {
		add(0, selectorText(r.Peer), peerText(r.Peer, peer, address))
	}
	if n, has := r.Protocol.Number(); has && n != e.Protocol {
		add(1, string(r.Protocol), "it is "+protocolName(e.Protocol))
		return lacks, far
	}
	if e.Port != 0 && len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(p intent.PortRange) bool { return p.Lo <= e.Port && e.Port <= p.Hi }) {
		add(0, portsText(r.Ports), fmt.Sprintf("it is port %d", e.Port))
	}
	if len(r.Types) > 0 && !slices.ContainsFunc(r.Types, func(t intent.ICMPType) bool {
		return t.Type == e.Type && (t.AnyCode || t.Code == e.Code)
	}) {
		add(0, typesText(r.Types), fmt.Sprintf("it is type %d/%d", e.Type, e.Code))
	}
	return lacks, far
}

// matchesPeer reports whether a selector matches the other end.
func matchesPeer(s intent.Selector, e *intent.Endpoint, a netip.Addr) bool {
	if s.Empty() || e != nil && s.Selects(e) {
		return true
	}
	return slices.ContainsFunc(s.Prefixes(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// selectorText is what a selector selects, in short.
func selectorText(s intent.Selector) string {
	var parts []string
	if len(s.Labels) > 0 {
		parts = append(parts, labelsText(s.Labels))
	}
	for _, e := range s.Endpoints {
		parts = append(parts, "endpoint "+e)
	}
	for _, g := range s.Groups {
		parts = append(parts, "group "+g.Name)
	}
	for _, p := range s.CIDRs {
		parts = append(parts, p.String())
	}
	if len(parts) > 6 {
		parts = append(parts[:5], fmt.Sprintf("%d more", len(parts)-5))
	}
	if len(parts) == 0 {
		return "everybody"
	}
	return strings.Join(parts, " or ")
}

func labelsText(labels map[string][]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+strings.Join(labels[k], "|"))
	}
	return strings.Join(parts, ",")
}

// peerText is what the other end is, as far as a selector asks.
func peerText(s intent.Selector, e *intent.Endpoint, a netip.Addr) string {
	switch {
	case e == nil && len(s.Labels)+len(s.Endpoints)+len(s.Groups) > 0:
		return fmt.Sprintf("%v is none of the tenant's endpoints", a)
	case e == nil || len(s.Labels)+len(s.Endpoints)+len(s.Groups) == 0:
		return fmt.Sprintf("it is %v", a)
	}
	return selectedText(e, s)
}

// selectedText is what an endpoint is, as far as a selector asks.
func selectedText(e *intent.Endpoint, s intent.Selector) string {
	if e == nil {
		return "it is none of the tenant's endpoints"
	}
	keys := maps.Clone(s.Labels)
	for _, g := range s.Groups {
		for k := range g.Members.Labels {
			if keys == nil {
				keys = map[string][]string{}
			}
			keys[k] = nil
		}
	}
	var has []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if v, is := e.Labels[k]; is {
			has = append(has, k+"="+v)
		} else {
			has = append(has, "no label "+k)
		}
	}
	if len(has) == 0 {
		return "it is " + e.Name
	}
	return e.Name + " has " + strings.Join(has, ", ")
}

func portsText(ports []intent.PortRange) string {
	var parts []string
	for _, p := range ports {
		if p.Lo == p.Hi {
			parts = append(parts, fmt.Sprint(p.Lo))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", p.Lo, p.Hi))
		}
	}
	return "port " + strings.Join(parts, " or ")
}

func typesText(types []intent.ICMPType) string {
	var parts []string
	for _, t := range types {
		parts = append(parts, t.String())
	}
	return "type " + strings.Join(parts, " or ")
}

// protocolName is the name of an IP protocol, or its number.
func protocolName(n uint8) string {
	for _, name := range []string{"icmp", "tcp", "udp", "dccp", "gre", "icmpv6", "sctp"} {
		if protocols[name] == n {
			return name
		}
	}
	return fmt.Sprint("protocol ", n)
}
