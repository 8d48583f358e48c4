package intent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// A claim is addresses on a network outside that something needs: for itself alone, or
// together with others that say the same.
type claim struct {
	id      ID
	tenant  string
	network string // outside
	bridge  string // of a pool: the one that answers for it
	AddrRange
	kind   claimKind
	snat   *SNAT // of a pool
	behind bool  // of a forward: its tenant has an SNAT with that address
	ports  []*PortForward
}

// A claimKind is what addresses are claimed for.
type claimKind int

const (
	toFloat     claimKind = iota // a floating IP
	toTranslate                  // an SNAT
	toForward                    // the port forwards of a tenant
	toBalance                    // the load balancers of a tenant
	asTheyAre                    // a network's own, in a prefix that is routed to the bridge
	exempted                     // a network's own, that leave untranslated
)

// A clash is two claims that cannot both be met.
type clash struct {
	a, b    ID
	address netip.Addr // that both claim
	field   clashField
	hint    string
	say     func(other string) string // what is wrong with either, the other being there

	protocol Protocol // of ports that both have
	port     uint16   // the first of them
}

// A clashField is what has to be changed.
type clashField int

const (
	inAddress clashField = iota
	inPorts
	inExempt
	inBackends // of b
)

// clashes returns what cannot be met in a model, across all of its tenants. Of several that
// clash with one, each is told once.
func clashes(m *Model) []clash {
	floats := 0
	for _, t := range m.tenants {
		floats += len(t.FloatingIPs)
	}
	claims := make([]claim, 0, floats+4*len(m.tenants)) // mostly
	for _, t := range m.tenants {
		claims = t.claims(claims, m)
	}
	return slices.Concat(overlapping(claims), colliding(m.listeners()), m.loops())
}

// claims appends what t claims. What its bridges have outside is m's to say.
func (t *Tenant) claims(all []claim, m *Model) []claim {
	one := func(id ID, network string, r AddrRange, kind claimKind) claim {
		return claim{id: id, tenant: t.Name, network: network, AddrRange: r, kind: kind}
	}
	for _, f := range t.FloatingIPs {
		all = append(all, one(f.ID(), f.External, AddrRange{f.Address, f.Address}, toFloat))
	}
	for _, s := range t.SNATs {
		for _, p := range s.Pools {
			for _, r := range p.Ranges {
				c := one(s.ID(), p.External, r, toTranslate)
				c.snat, c.bridge = s, p.Bridge
				all = append(all, c)
			}
		}
	}
	all = t.balancerClaims(t.forwardClaims(all))
	for _, b := range m.bridges {
		for _, x := range b.Externals {
			all = t.ownClaims(all, x)
		}
	}
	return all
}

// forwardClaims appends one claim for each address that t forwards ports of.
func (t *Tenant) forwardClaims(all []claim) []claim {
	type key struct {
		network string
		address netip.Addr
	}
	at := map[key]int{}
	for _, f := range t.PortForwards {
		k := key{f.External, f.Address}
		i, known := at[k]
		if !known {
			i = len(all)
			at[k] = i
			all = append(all, claim{
				id: f.ID(), tenant: t.Name, network: f.External, AddrRange: AddrRange{f.Address, f.Address}, kind: toForward,
				behind: t.translatesTo(f.External, f.Address),
			})
		}
		all[i].ports = append(all[i].ports, f)
	}
	return all
}

// translatesTo reports whether t has a SNAT with an address.
func (t *Tenant) translatesTo(external string, a netip.Addr) bool {
	return slices.ContainsFunc(t.SNATs, func(s *SNAT) bool {
		return slices.ContainsFunc(s.Pools, func(p Pool) bool {
			return p.External == external && slices.ContainsFunc(p.Ranges, func(r AddrRange) bool { return r.Contains(a) })
		})
	})
}

// ownClaims appends the subnets of t that are seen outside as they are.
func (t *Tenant) ownClaims(all []claim, x *External) []claim {
	for _, n := range t.Networks {
		if !slices.Contains(n.Bridges, x.Bridge) {
			continue
		}
		for _, s := range n.Subnets {
			c := claim{id: n.ID(), tenant: t.Name, network: x.Network, AddrRange: rangeOf(s.CIDR), kind: asTheyAre}
			if !inSome(x.Prefixes, s.CIDR.Addr()) {
				exempts := slices.IndexFunc(t.SNATs, func(v *SNAT) bool { return v.exempts(n, s, x) })
				if exempts < 0 {
					continue
				}
				c.id, c.kind = t.SNATs[exempts].ID(), exempted
			}
			all = append(all, c)
		}
	}
	return all
}

// exempts reports whether hosts of a subnet may leave by x with the addresses that they have.
func (s *SNAT) exempts(n *Network, sub Subnet, x *External) bool {
	v4 := sub.CIDR.Addr().Is4()
	return (s.Network == nil || s.Network == n) && len(s.PoolsOn(x.Bridge, x.Network)) > 0 &&
		slices.ContainsFunc(s.Exempt, func(p netip.Prefix) bool { return p.Addr().Is4() == v4 })
}

// overlapping returns those claims that overlap others and must not. In the order of their
// first addresses, a claim has to be compared only with those that have not ended before it.
func overlapping(claims []claim) (all []clash) {
	order := make([]*claim, len(claims)) // a claim is large, and there may be thousands
	for i := range claims {
		order[i] = &claims[i]
	}
	slices.SortFunc(order, (*claim).compare)
	var around []claim
	for _, next := range order {
		c := *next
		around = slices.DeleteFunc(around, func(o claim) bool { return o.network != c.network || !o.Contains(c.Lo) })
		clear := true
		for _, o := range around {
			if x := meet(o, c); x != nil {
				all, clear = append(all, *x), false
				break
			}
		}
		if clear {
			around = append(around, c)
		}
	}
	return all
}

// compare has claims in the order of their addresses, and those that are around others first.
func (c *claim) compare(d *claim) int {
	if c.network != d.network {
		return cmp.Compare(c.network, d.network)
	}
	if by := c.Lo.Compare(d.Lo); by != 0 {
		return by
	}
	return cmp.Or(d.Hi.Compare(c.Hi), cmp.Compare(c.id, d.id))
}

// meet returns what is wrong with two claims that overlap, or nil.
func meet(a, b claim) *clash {
	switch {
	case a.kind == exempted || b.kind == exempted:
		return meetExempted(a, b)
	case a.kind == asTheyAre && b.kind == asTheyAre && a.tenant == b.tenant:
		return nil
	case a.kind == toTranslate && b.kind == toTranslate:
		return meetPools(a, b)
	case a.kind == toForward && b.kind == toForward && a.behind && b.behind:
		return nil
	case a.sendsPorts() && b.sendsPorts() && a.tenant == b.tenant:
		return nil
	case a.kind == toTranslate && b.kind == toForward:
		return meetForward(a, b)
	case a.kind == toForward && b.kind == toTranslate:
		return meetForward(b, a)
	case a.kind == toTranslate && b.kind == toBalance:
		return meetBalancer(a, b)
	case a.kind == toBalance && b.kind == toTranslate:
		return meetBalancer(b, a)
	}
	return taken(a, b, "")
}

// sendsPorts reports whether c needs some ports of its address, and not all.
func (c claim) sendsPorts() bool { return c.kind == toForward || c.kind == toBalance }

// taken says that addresses are somebody's already.
func taken(a, b claim, hint string) *clash {
	if hint == "" {
		hint = "take another one: an address outside stands for one thing"
	}
	return &clash{a: a.id, b: b.id, address: b.Lo, hint: hint, say: func(other string) string {
		return fmt.Sprintf("%v is that of %s already", both(a.AddrRange, b.AddrRange), other)
	}}
}

// both returns the addresses that two ranges share.
func both(a, b AddrRange) AddrRange {
	if a.Lo.Less(b.Lo) {
		a.Lo = b.Lo
	}
	if b.Hi.Less(a.Hi) {
		a.Hi = b.Hi
	}
	return a
}

// meetExempted: answers to what is not translated are told apart by their addresses.
func meetExempted(a, b claim) *clash {
	if a.kind != b.kind || a.tenant == b.tenant {
		return nil
	}
	return &clash{a: a.id, b: b.id, address: b.Lo, field: inExempt, hint: "only one of the two can leave untranslated", say: func(other string) string {
		return fmt.Sprintf("%v leaves untranslated for %s as well, and answers could not be told apart", both(a.AddrRange, b.AddrRange), other)
	}}
}

// meetPools: those of one tenant are equal; tenants share by saying so, or by ports.
func meetPools(a, b claim) *clash {
	shared := a.snat.Shared && b.snat.Shared
	blocks := !a.snat.Shared && !b.snat.Shared && !a.snat.Preserves() && !b.snat.Preserves()
	switch {
	case a.AddrRange != b.AddrRange && (a.tenant == b.tenant || shared || blocks):
		return &clash{a: a.id, b: b.id, address: b.Lo, hint: "two pools have all of a range in common, or nothing", say: func(other string) string {
			return fmt.Sprintf("%v and %v overlap, and are not the same: the other is that of %s", a.AddrRange, b.AddrRange, other)
		}}
	case a.tenant == b.tenant && a.snat.Shared == b.snat.Shared:
		return nil
	case a.bridge != b.bridge && (shared || blocks):
		return taken(a, b, fmt.Sprintf("one bridge answers for it, and these are on %s and on %s: take another address on one of them", a.bridge, b.bridge))
	case shared:
		return nil
	case a.tenant == b.tenant:
		return taken(a, b, "write shared: true in both, or in neither")
	case blocks && a.snat.Ports.overlaps(b.snat.Ports):
		return &clash{a: a.id, b: b.id, address: b.Lo, field: inPorts, hint: "give each tenant ports of its own, or both shared: true", say: func(other string) string {
			return fmt.Sprintf("some of these ports of %v are those of %s already", b.AddrRange, other)
		}}
	case blocks:
		return nil
	}
	return taken(a, b, "tenants share an address if each says shared: true, or has a range of ports of its own")
}

// meetForward: a forwarded port must not be one that the pool may use for somebody whose
// connections are looked up elsewhere.
func meetForward(pool, forward claim) *clash {
	s := pool.snat
	if !forward.behind {
		return taken(pool, forward, "take an address that nobody else has, or that the tenant shares by an SNAT of its own")
	}
	if pool.tenant == forward.tenant && !s.Shared {
		return nil // in one zone, where the tracker tells connections by both of their ends
	}
	for _, f := range forward.ports {
		if !s.Preserves() && !s.Ports.overlaps(f.Ports) {
			continue
		}
		hint := "give that SNAT ports that leave it out, as in 32768-65535"
		return &clash{a: s.ID(), b: f.ID(), address: f.Address, field: inPorts, hint: hint, say: func(other string) string {
			return fmt.Sprintf("%s port %v of %v may be in use for the shared address: %s", f.Protocol, f.Ports, f.Address, other)
		}}
	}
	return nil
}

// meetBalancer: a load balancer may have an address that only its own tenant leaves as.
func meetBalancer(pool, balancer claim) *clash {
	switch {
	case pool.tenant != balancer.tenant:
		return taken(pool, balancer, "take an address that nobody else has, or one that an SNAT of the tenant's own has")
	case pool.snat.Shared:
		return taken(pool, balancer, "take an address that the tenant does not share")
	}
	return nil
}

// overlaps reports whether a port is in both.
func (p PortRange) overlaps(q PortRange) bool { return p.Lo <= q.Hi && q.Lo <= p.Hi }

// String returns "80" or "8000-8080".
func (p PortRange) String() string { return p.from(p.size()) }

// written is where an object says what clashes with others.
type written struct {
	addresses     []value[AddrRange]
	ports, exempt place
	listens       []listening
	place         place
	order         int // of those that clash, the one with the higher is wrong
}

// at returns where an object says what clashes.
func (w written) at(x clash) place {
	for _, l := range w.listens {
		if x.field == inPorts && l.protocol == x.protocol && l.port == x.port {
			return l.at
		}
	}
	switch {
	case x.field == inPorts && w.ports.path != "":
		return w.ports
	case x.field == inExempt && w.exempt.path != "":
		return w.exempt
	}
	for _, v := range w.addresses {
		if v.v.Contains(x.address) {
			return v.place()
		}
	}
	return w.place
}

// clashes says what cannot be had together.
func (c *checker) clashes() {
	for _, x := range clashes(c.model) {
		c.clash(x)
	}
}

// clash says of the object that comes later that another one is in its way.
func (c *checker) clash(x clash) {
	first, second, other := c.written[x.a], c.written[x.b], x.a
	if first.order > second.order && x.field != inBackends {
		first, second, other = second, first, x.b
	}
	c.bad(second.at(x), x.hint, "%s", x.say(fmt.Sprintf("%s (%s)", other, lineOf(first.at(x).at))))
}

// write notes where an object says what may clash.
func (c *checker) write(id ID, w written) {
	if c.quick {
		return
	}
	w.order = len(c.written)
	c.written[id] = w
}
