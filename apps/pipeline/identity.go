package pipeline

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// A Class is the endpoints of a tenant that all its selectors treat alike. Rules
// match on classes, not on endpoints, so that an endpoint that comes or goes costs
// its own flows and none of the rules'. The number of a class is the tag of its ID;
// it travels in a register as an identity.
type Class struct {
	ID      intent.ID // "blue/identity/HASH", made from what selects it
	Members []*intent.Endpoint
}

// Classes returns the classes of a tenant's endpoints as sources (RegSrcID) or as
// destinations (RegDstID), in the order of their first members. Endpoints that no rule tells
// apart there are in one class.
//
// A source is told apart by whom egress rules apply to, and by the peers of ingress rules; a
// destination by the others. So what an endpoint may open does not multiply with what may be
// opened to it.
func Classes(t *intent.Tenant, at ofproto.Field) []*Class {
	selectors := selectorsOf(t, at)
	var classes []*Class
	byKey := map[string]*Class{}
	for _, e := range t.Endpoints {
		key := membership(selectors, e)
		c := byKey[key]
		if c == nil {
			c = &Class{ID: classID(t, key)}
			byKey[key] = c
			classes = append(classes, c)
		}
		c.Members = append(c.Members, e)
	}
	return classes
}

// classID is made from what selects the class, so that it stays the same as long as
// that does, whoever the members are.
func classID(t *intent.Tenant, key string) intent.ID {
	h := fnv.New64a()
	h.Write([]byte(key))
	return t.ID() + intent.ID("/identity/"+strconv.FormatUint(h.Sum64(), 16))
}

// A selector is the part of an intent.Selector that selects endpoints, with its
// canonical text.
type selector struct {
	text string
	sel  intent.Selector
}

// selectorsOf returns the distinct selectors of t's policies that tell sources, or
// destinations, apart, by text.
func selectorsOf(t *intent.Tenant, at ofproto.Field) []selector {
	seen := map[string]bool{}
	var all []selector
	add := func(s intent.Selector) {
		if text := selectorText(s); text != "" && !seen[text] {
			seen[text] = true
			all = append(all, selector{text, s})
		}
	}
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			if subject := (r.Direction == intent.Egress) == (at == RegSrcID); subject {
				add(p.AppliesTo)
			} else {
				add(r.Peer)
			}
		}
	}
	slices.SortFunc(all, func(a, b selector) int { return strings.Compare(a.text, b.text) })
	return all
}

// selectorText is s in one canonical way, without CIDRs: those match packets.
func selectorText(s intent.Selector) string {
	var parts []string
	for k, values := range s.Labels {
		v := slices.Sorted(slices.Values(values))
		parts = append(parts, k+"="+strings.Join(v, "|"))
	}
	slices.Sort(parts)
	text := strings.Join(parts, ",")
	if len(s.Endpoints) > 0 {
		text += "@" + strings.Join(slices.Sorted(slices.Values(s.Endpoints)), "|")
	}
	if len(s.Groups) > 0 {
		text += "+" + strings.Join(groupNames(s.Groups), "|")
	}
	return text
}

// groupNames names groups, and does not say who is in them: so that the classes stay the
// same, and with them the rules, when a member comes or goes.
func groupNames(groups []*intent.Group) (names []string) {
	for _, g := range groups {
		names = append(names, g.Name)
	}
	slices.Sort(names)
	return names
}

func membership(selectors []selector, e *intent.Endpoint) string {
	var in []string
	for _, s := range selectors {
		if s.sel.Selects(e) {
			in = append(in, s.text)
		}
	}
	return strings.Join(in, ";")
}

// Addresses returns the addresses from which the members of c send: the declared
// ones, and the link-local ones of those that have IPv6.
func (c *Class) Addresses() (ips []netip.Addr) {
	for _, e := range c.Members {
		ips = append(ips, AddressesOf(e)...)
	}
	return ips
}

// AddressesOf returns the addresses from which e may send.
func AddressesOf(e *intent.Endpoint) []netip.Addr {
	ips := slices.Clone(e.IPs)
	if hasIPv6(e.IPs) {
		ips = append(ips, LinkLocal(e.MAC))
	}
	return ips
}
