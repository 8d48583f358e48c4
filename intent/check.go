package intent

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// New checks s as a whole and returns the model that it describes. The error is of type
// Problems and has all that is wrong besides what Parse has found; it is empty if
// that is all. No model is made of what Parse has found fault with.
func New(s Spec) (*Model, error) { return check(s, uncompiled) }

// check is New, with another table of what is not compiled yet.
func check(s Spec, uncompiled map[feature]bool) (*Model, error) {
	c := newChecker(s, uncompiled)
	if err := c.all(); err != nil {
		return nil, err
	}
	return c.model, nil
}

func newChecker(s Spec, uncompiled map[feature]bool) *checker {
	return &checker{
		spec: s, uncompiled: uncompiled, model: Empty(), tenants: map[string]*Tenant{}, networks: map[ID]*Network{},
		groups: map[ID]*Group{}, seen: map[ID]Position{}, subnets: map[inNetwork]Subnet{}, flawed: map[*Network]bool{},
		bridge: map[string]*Bridge{}, murky: map[string]bool{}, ports: map[string]owned[place]{}, routers: map[string]owned[place]{},
		endpoint: map[ID]*Endpoint{}, doubtful: map[*Endpoint]bool{}, written: map[ID]written{}, floats: map[floated]place{},
		owners: map[string]map[netip.Addr]*Endpoint{}, byLabel: map[string]map[string][]*Endpoint{},
	}
}

// all checks everything.
func (c *checker) all() error {
	c.bridges()
	c.tenantsOf()
	c.networksOf()
	c.endpoints()
	c.groupsOf()
	c.policies()
	c.nat()
	c.balancers()
	if !c.quick {
		c.clashes()
	}
	c.sort()
	if len(c.problems) == 0 && !c.spec.unsound {
		c.problems = c.refused
	}
	if c.spec.unsound && len(c.problems) == 0 {
		return Problems{}
	}
	return c.problems.err()
}

// Read parses sources and checks what they say. The error is of type Problems and has
// all that either has found.
func Read(sources ...Source) (*Model, error) { return model(Parse(sources...)) }

// model makes a model of what was parsed, and tells all that is wrong at once.
func model(s Spec, err error) (*Model, error) {
	var all, more Problems
	errors.As(err, &all)
	m, err := New(s)
	errors.As(err, &more)
	if err := append(all, more...).err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Empty returns a model that wants nothing.
func Empty() *Model { return &Model{at: map[string]map[ID]Position{}} }

// A checker makes a model out of a spec, and notes what is wrong.
type checker struct {
	spec       Spec
	uncompiled map[feature]bool
	model      *Model
	tenants    map[string]*Tenant
	networks   map[ID]*Network
	groups     map[ID]*Group
	seen       map[ID]Position // every object by its ID
	subnets    map[inNetwork]Subnet
	lengths    [129]bool         // of the prefixes of subnets
	flawed     map[*Network]bool // not all of it could be read
	bridge     map[string]*Bridge
	murky      map[string]bool         // bridges of whose outsides not all could be read
	ports      map[string]owned[place] // that outsides are behind
	routers    map[string]owned[place] // addresses of the routers outside
	endpoint   map[ID]*Endpoint
	doubtful   map[*Endpoint]bool // it has more addresses, which are wrong
	written    map[ID]written
	floats     map[floated]place                   // what has a floating IP
	owners     map[string]map[netip.Addr]*Endpoint // by tenant, made when it is first asked for
	byLabel    map[string]map[string][]*Endpoint   // by tenant and "key=value", likewise
	hints      int
	quick      bool // it is enough to know that something is wrong; what clashes is looked for elsewhere
	problems   Problems
	refused    Problems // what is not compiled yet: only said if there is nothing else
}

// inNetwork is a prefix of a network.
type inNetwork struct {
	network *Network
	cidr    netip.Prefix
}

func (c *checker) bad(at place, hint, why string, args ...any) {
	c.problems = append(c.problems, Problem{at.at, at.path, fmt.Sprintf(why, args...), hint, excerpt(c.spec.lines[at.at.File], at.at)})
}

// unknown notes a name that nothing has. If there are objects whose names could not be
// read, it may be that of one of them: then nothing is said.
func (c *checker) unknown(name value[string], known iter.Seq[string], why string, args ...any) {
	if c.spec.lost {
		return
	}
	hint := ""
	if c.hints++; c.hints <= maxHints {
		hint = meant(name.v, known)
	}
	c.bad(name.place(), hint, why, args...)
}

// maxHints bounds for how many unknown names a near one is looked for: each is compared
// with all.
const maxHints = 1000

// is notes that an object is there, and reports whether it is the first of its name.
func (c *checker) is(id ID, at place) bool {
	if first, twice := c.seen[id]; twice {
		c.bad(at, "", "%s is there already, at %s:%d", id, first.File, first.Line)
		return false
	}
	c.seen[id] = at.at
	c.model.put(id, at.at)
	return true
}

func (c *checker) bridges() {
	for _, s := range c.spec.bridges {
		b := &Bridge{Name: s.name.v, ForeignFlows: cmp.Or(ForeignFlows(s.foreign.v), ForeignRefuse), AllowDisruption: s.allowDisruption.v, Certificate: s.certificate.v}
		c.uses(s.allowDisruption.v, bridgeDisruption, s.allowDisruption.place())
		if s.name.set && c.is(b.ID(), s.place) {
			c.model.bridges = append(c.model.bridges, b)
			c.externals(b, s)
		}
	}
}

func (c *checker) tenantsOf() {
	zones := map[uint64]string{}
	for _, s := range c.spec.tenants {
		t := c.newTenant(s)
		if !s.name.set || !c.is(t.ID(), s.place) {
			continue
		}
		if t.Name == "bridge" {
			c.bad(s.place, "", "bridge is no name for a tenant: the names of bridges begin with it")
		}
		if other, taken := zones[s.zone.v]; taken && s.zone.set {
			c.bad(s.zone.place(), "leave zone out to be given one", "%d is the zone of tenant %q already", s.zone.v, other)
		}
		if s.zone.set {
			zones[s.zone.v] = t.Name
		}
		c.tenants[t.Name] = t
		c.model.tenants = append(c.model.tenants, t)
	}
}

// newTenant returns what a tenant says of itself.
func (c *checker) newTenant(s tenantSpec) *Tenant {
	t := &Tenant{
		Name: s.name.v, Zone: uint16(s.zone.v), Mode: cmp.Or(Mode(s.mode.v), Enforce),
		Ingress: cmp.Or(Action(s.ingress.v), Deny), Egress: cmp.Or(Action(s.egress.v), Allow),
		InvalidAllow: s.invalid.v == "allow", StrictTCP: s.strictTCP.v, ImplicitARP: !s.implicitARP.set || s.implicitARP.v,
		AllowDisruption: s.allowDisruption.v,
		Limits:          Limits{Connections: uint32(s.connections.v), NewPerSecond: uint32(s.newPerSecond.v)},
	}
	for _, x := range s.timeouts {
		if t.Timeouts == nil {
			t.Timeouts = map[Timeout]uint32{}
		}
		t.Timeouts[x.state] = uint32(x.seconds.v)
		c.uses(true, tenantTimeouts, x.seconds.place())
	}
	c.uses(t.Mode == Audit, modeAudit, s.mode.place())
	c.uses(t.Mode == Off, modeOff, s.mode.place())
	c.uses(t.StrictTCP, strictTCP, s.strictTCP.place())
	c.uses(t.AllowDisruption, tenantDisruption, s.allowDisruption.place())
	c.uses(s.connections.set, connectionLimit, s.connections.place())
	c.uses(s.newPerSecond.set, tenantRate, s.newPerSecond.place())
	return t
}

// tenant returns the tenant of an object, or says that there is none.
func (c *checker) tenant(m meta) *Tenant {
	if !m.tenant.set || !m.name.set {
		return nil
	}
	t := c.tenants[m.tenant.v]
	if t == nil {
		c.unknown(m.tenant, maps.Keys(c.tenants), "there is no tenant %q", m.tenant.v)
	}
	return t
}

func (c *checker) networksOf() {
	subnets := map[string][]ownSubnet{} // by tenant
	for _, s := range c.spec.networks {
		t := c.tenant(s.meta)
		if t == nil {
			continue
		}
		n := &Network{Tenant: t.Name, Name: s.name.v, Bridges: c.bridgesOf(s), Learn: s.unknown.v == "learn"}
		c.uses(n.Learn, learnStations, s.unknown.place())
		if !c.is(n.ID(), s.place) {
			continue
		}
		var own []value[AddrRange]
		for _, sub := range s.subnets {
			if !sub.cidr.set {
				continue
			}
			c.gateway(sub)
			c.besideOutsides(n, sub.cidr)
			own = append(own, value[AddrRange]{rangeOf(sub.cidr.v), sub.cidr.at, sub.cidr.path, true})
			subnets[t.Name] = append(subnets[t.Name], ownSubnet{sub.cidr, n.Name, len(subnets[t.Name])})
			n.Subnets = append(n.Subnets, Subnet{sub.cidr.v, sub.gateway.v})
			c.lengths[sub.cidr.v.Bits()] = true
			c.subnets[inNetwork{n, sub.cidr.v}] = Subnet{sub.cidr.v, sub.gateway.v}
		}
		c.write(n.ID(), written{addresses: own, place: s.place})
		c.networks[n.ID()] = n
		c.flawed[n] = s.flawed
		t.Networks = append(t.Networks, n)
	}
	for _, t := range c.model.tenants {
		c.overlaps(subnets[t.Name], "the tenant's networks are routed among one another")
	}
}

// bridgesOf returns the bridges of a network. If there is but one, it need not be said.
func (c *checker) bridgesOf(s networkSpec) (names []string) {
	if s.bridges == nil {
		return c.onlyBridge(s)
	}
	for _, b := range s.bridges {
		_, known := c.seen[(&Bridge{Name: b.v}).ID()]
		switch {
		case !b.set:
		case !known:
			c.unknown(b, c.bridgeNames(), "there is no bridge %q", b.v)
		case slices.Contains(names, b.v):
			c.bad(b.place(), "", "%q is given twice", b.v)
		default:
			names = append(names, b.v)
		}
	}
	return names
}

func (c *checker) onlyBridge(s networkSpec) []string {
	switch n := len(c.model.bridges); {
	case n == 1:
		return []string{c.model.bridges[0].Name}
	case c.spec.lost, s.flawed:
	case n == 0:
		c.bad(s.place, "add an object of kind Bridge", "there is no bridge that the network could be on")
	default:
		c.bad(s.place, "add spec.bridges", "there are %d bridges: say which of them the network is on", n)
	}
	return nil
}

func (c *checker) bridgeNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, b := range c.model.bridges {
			if !yield(b.Name) {
				return
			}
		}
	}
}

// ownSubnet is a subnet of a tenant.
type ownSubnet struct {
	cidr    value[netip.Prefix]
	network string
	written int // its place among those of the tenant
}

// overlaps looks for subnets that overlap, and says why they must not. In the order of their addresses,
// the large before the small, a subnet overlaps an earlier one only if it is inside.
func (c *checker) overlaps(subnets []ownSubnet, why string) {
	slices.SortFunc(subnets, func(a, b ownSubnet) int {
		return cmp.Or(a.cidr.v.Addr().Compare(b.cidr.v.Addr()), a.cidr.v.Bits()-b.cidr.v.Bits(), a.written-b.written)
	})
	var around []ownSubnet // those that the last one is inside of
	for _, s := range subnets {
		for len(around) > 0 && !around[len(around)-1].cidr.v.Overlaps(s.cidr.v) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 {
			first, second := around[len(around)-1], s
			if second.written < first.written {
				first, second = second, first
			}
			c.bad(second.cidr.place(), "", "%v overlaps %v of network %q: %s", second.cidr.v, first.cidr.v, first.network, why)
		}
		around = append(around, s)
	}
}

func (c *checker) gateway(s subnetSpec) {
	switch g := s.gateway; {
	case !g.set:
	case g.v.Is4() != s.cidr.v.Addr().Is4():
		c.bad(g.place(), "", "%v is not of the family of %v", g.v, s.cidr.v)
	case !s.cidr.v.Contains(g.v):
		c.bad(g.place(), "", "%v is not in %v", g.v, s.cidr.v)
	case !isHost(s.cidr.v, g.v):
		c.bad(g.place(), "", "%v is the network's or the broadcast address of %v", g.v, s.cidr.v)
	}
}

// isHost reports whether a host may have an address of p: in IPv4 not the first, nor
// the last, unless p is too small to have both (RFC 3021).
func isHost(p netip.Prefix, a netip.Addr) bool {
	if a.Is6() || p.Bits() >= 31 {
		return true
	}
	last := !p.Contains(a.Next())
	return a != p.Addr() && !last
}

// sort puts everything by name, and policies in the order in which they are asked. Rules
// stay in theirs.
func (c *checker) sort() {
	slices.SortFunc(c.model.bridges, func(a, b *Bridge) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.model.tenants, func(a, b *Tenant) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range c.model.tenants {
		slices.SortFunc(t.Networks, func(a, b *Network) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(t.Endpoints, func(a, b *Endpoint) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(t.Groups, func(a, b *Group) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(t.SNATs, func(a, b *SNAT) int {
			return cmp.Or(-cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
		})
		t.sortLeaves()
	}
}

// sortLeaves is sort, for the kinds of leaves.
func (t *Tenant) sortLeaves() {
	slices.SortFunc(t.Policies, inOrder)
	slices.SortFunc(t.FloatingIPs, func(a, b *FloatingIP) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(t.PortForwards, func(a, b *PortForward) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(t.LoadBalancers, func(a, b *LoadBalancer) int { return cmp.Compare(a.Name, b.Name) })
}

// tiers are the bands of policies in the order in which they are asked.
var tiers = []Tier{AdminTier, ApplicationTier, BaselineTier}

// inOrder compares policies by when they are asked.
func inOrder(a, b *Policy) int {
	return cmp.Or(
		cmp.Compare(slices.Index(tiers, a.Tier), slices.Index(tiers, b.Tier)),
		-cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(a.Name, b.Name),
	)
}
