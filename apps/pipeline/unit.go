package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/intent"
	"weir/internal/depth"
	"weir/ofproto"
)

// A Unit is what one tenant needs in a bridge, or what the bridge has whatever its tenants
// are. It never changes: as long as what it is made of is the same it is the same pointer,
// so that what compares programs need not look into it.
type Unit struct {
	Of      intent.ID // the tenant or the bridge
	Flows   []ofproto.Flow
	Groups  []ofproto.Group
	Meters  []ofproto.MeterConfig
	Pending []Pending

	epoch  []ofproto.Flow // of a tenant's own: those of Flows that say its epoch
	shapes *depth.Shapes
}

// An App is a part of the compiler: what it adds to every bridge, and what for a tenant
// that is on it. What it adds for a tenant depends on that tenant, on numbers, and on the
// bridge's features, and on no other tenant.
//
// Links is what it adds for the neighbours on the links of outsides; nil: nothing. They come and go
// with the traffic, and have a unit of their own, so that little else is looked at then.
//
// Float is what it adds for one floating IP of a tenant, and Balancer for one load balancer, each of which has a unit of
// its own: there may be thousands, which come and go, and whose backends change often. A part that an app
// does not have is nil.
type App struct {
	Bridge   func(*Builder)
	Links    func(*Builder)
	Tenant   func(*Builder, *TenantSite)
	Float    func(*Builder, *TenantSite, *FloatSite)
	Balancer func(*Builder, *TenantSite, *BalancerSite)
}

// A Cache has the units of a bridge as they were compiled last, with what they were made
// of. It is for one goroutine, one bridge, and numbers that are one another's successors: a
// number once given stays. The zero Cache is empty.
type Cache struct {
	bridge    made[bridgeSite]
	links     made[linkSite]
	tenants   map[intent.ID]made[*TenantSite]
	floats    map[intent.ID]*floated // by tenant
	balancers map[*intent.LoadBalancer]made[*BalancerSite]
	before    map[ranked]int // what the bridge had when there was nothing here
	ports     []Port         // of which bound was made
	bound     map[binding]uint32
	worst     worst

	// Ahead is asked, when many load balancers come that were not there before, for a channel with room for as many units. Build sends it
	// theirs as they are made, before all else is compiled, and closes it. They use no groups but their own. If nil, nobody wants to know.
	Ahead func(most int) chan<- *Unit
}

// Remember tells an empty Cache what the bridge has, so that what is compiled first keeps the
// priorities that are there.
func (c *Cache) Remember(flows []ofproto.Flow) {
	if c.tenants == nil {
		c.before = priorities(flows)
	}
}

// made is a unit, and what it was made of.
type made[S any] struct {
	of   S
	unit *Unit
}

// bridgeSite is what the unit of a bridge is made of.
type bridgeSite struct {
	*intent.Bridge
	outsides []ExternalSite
	absent   []Pending
	commons  []Common
	balances bool // some tenant has a load balancer
	features Features
}

// same reports whether a unit made of t is as good as one made of s.
func (s bridgeSite) same(t bridgeSite) bool {
	return s.ID() == t.ID() && s.features == t.features && s.balances == t.balances && slices.Equal(s.outsides, t.outsides) && slices.Equal(s.absent, t.absent) && slices.Equal(s.commons, t.commons)
}

// linkSite is what the unit of the links of a bridge is made of.
type linkSite struct {
	bridgeSite
	near []Neighbour
}

// Build compiles in: the skeleton, and then what each app adds. A bridge that the
// model does not have gets an empty program. The error names two intents that want
// different things of the same flow, which is a contradiction in our own code, or the
// same port, which is one in the model.
func Build(in Input, apps ...App) (*Program, error) { return new(Cache).Build(in, apps...) }

// Build is the function Build, and compiles only what has changed since the last time. The
// apps have to be the same each time.
func (c *Cache) Build(in Input, apps ...App) (*Program, error) {
	p, err := c.build(in, apps)
	if err != nil {
		c.ports = nil // the tenants' places are those of before
	}
	return p, err
}

func (c *Cache) build(in Input, apps []App) (*Program, error) {
	bridge := in.bridge()
	if bridge == nil {
		*c = Cache{}
		return &Program{}, nil
	}
	moved := c.bind(in.Facts.Ports)
	outsides, absent := in.externals(bridge, c.bound)
	common := in.commons()
	sites, err := c.sites(in, outsides, common, moved)
	if err != nil {
		return nil, err
	}
	own, err := c.ownUnits(in, bridgeSite{bridge, outsides, absent, common.all, in.balances(), in.Facts.Features}, apps)
	if err != nil {
		return nil, err
	}
	p := &Program{Units: append(own, make([]*Unit, len(sites))...)}
	if err := c.tenantUnits(in, bridge, sites, apps, p.Units[len(own):]); err != nil {
		return nil, err
	}
	floats, err := c.floatUnits(in, bridge, sites, apps)
	if err != nil {
		return nil, err
	}
	balanced, err := c.balancerUnits(in, bridge, sites, common.all, apps)
	if err != nil {
		return nil, err
	}
	p.Units = append(append(p.Units, floats...), balanced...)
	if p.Rounds = c.worst.of(p.Units, in.Numbers); p.Rounds.tooMany() != nil {
		return nil, p.Rounds.tooMany()
	}
	c.tenants = make(map[intent.ID]made[*TenantSite], len(sites))
	for i, s := range sites {
		c.tenants[s.ID()] = made[*TenantSite]{s, p.Units[len(own)+i]}
	}
	return p, nil
}

// ownUnits returns the units of the bridge itself: what it has in any case, and its links.
func (c *Cache) ownUnits(in Input, site bridgeSite, apps []App) ([]*Unit, error) {
	bridge, err := c.bridgeUnit(in, site, apps)
	if err != nil || len(site.outsides) == 0 {
		return []*Unit{bridge}, err
	}
	links, err := c.linkUnit(in, linkSite{site, in.neighbours(site.outsides)}, apps)
	return []*Unit{bridge, links}, err
}

func (c *Cache) linkUnit(in Input, site linkSite, apps []App) (*Unit, error) {
	if c.links.unit != nil && c.links.of.same(site.bridgeSite) && slices.Equal(c.links.of.near, site.near) {
		return c.links.unit, nil
	}
	b := newBuilder(in, site.Bridge, site.ID(), nil)
	b.Externals, b.Neighbours, b.Commons = site.outsides, site.near, site.commons
	for _, app := range apps {
		if app.Links != nil {
			app.Links(b)
		}
	}
	unit, err := b.sorted()
	c.links = made[linkSite]{site, unit}
	return unit, err
}

func (c *Cache) bridgeUnit(in Input, site bridgeSite, apps []App) (*Unit, error) {
	if c.bridge.unit != nil && c.bridge.of.same(site) {
		return c.bridge.unit, nil
	}
	b := newBuilder(in, site.Bridge, site.ID(), nil)
	b.Externals, b.Commons, b.Balances, b.unit.Pending = site.outsides, site.commons, site.balances, site.absent
	skeleton(b)
	for _, app := range apps {
		if app.Bridge != nil {
			app.Bridge(b)
		}
	}
	unit, err := b.sorted()
	c.bridge = made[bridgeSite]{site, unit}
	return unit, err
}

// maxParts is how many goroutines compile units, which have nothing to do with one another, at
// the same time.
const maxParts = 16

// inParts makes what is stale, and returns the first error.
func inParts(stale []int, unit func(i int) error) error {
	part := func(some []int) error {
		for _, i := range some {
			if err := unit(i); err != nil {
				return err
			}
		}
		return nil
	}
	var parts []<-chan error
	for some := range slices.Chunk(stale, max(1, (len(stale)+maxParts-1)/maxParts)) {
		done := make(chan error, 1)
		go func() { done <- part(some) }()
		parts = append(parts, done)
	}
	var first error
	for _, done := range parts {
		if err := <-done; first == nil {
			first = err
		}
	}
	return first
}

// tenantUnits puts the units of sites into units.
func (c *Cache) tenantUnits(in Input, bridge *intent.Bridge, sites []*TenantSite, apps []App, units []*Unit) error {
	var stale []int
	for i, s := range sites {
		if was, known := c.tenants[s.ID()]; known && was.of.same(s) {
			sites[i], units[i] = was.of, was.unit
		} else {
			stale = append(stale, i)
		}
	}
	return inParts(stale, func(i int) (err error) {
		units[i], err = c.tenantUnit(in, bridge, sites[i], apps)
		return err
	})
}

func (c *Cache) tenantUnit(in Input, bridge *intent.Bridge, s *TenantSite, apps []App) (*Unit, error) {
	b := newBuilder(in, bridge, s.ID(), s.refused)
	b.Externals, b.before = s.Outsides, c.before
	if was, known := c.tenants[s.ID()]; known {
		if was.of.timeless(s) && was.of.placed(s) {
			epoch(b, s)
			return was.unit.with(b.unit.Flows), nil
		}
		b.before = priorities(was.unit.Flows)
		b.unit.Flows = make([]ofproto.Flow, 0, len(was.unit.Flows)+8)
	}
	s.locate()
	s.classify(in.Numbers)
	b.unit.Pending = slices.Clip(s.pending)
	serveTenant(b, s)
	for _, app := range apps {
		if app.Tenant != nil {
			app.Tenant(b, s)
		}
	}
	u, err := b.sorted()
	if u != nil {
		u.epoch = epochIn(u.Flows)
	}
	return u, err
}

// epochIn returns those of flows that say an epoch.
func epochIn(flows []ofproto.Flow) (all []ofproto.Flow) {
	for i := range flows {
		if _, says := loaded(flows[i].Actions, Epoch); says {
			all = append(all, flows[i])
		}
	}
	return all
}

// with returns u with some flows in place of those of the same tables and priorities, of
// which there is one each.
func (u *Unit) with(some []ofproto.Flow) *Unit {
	v := *u
	v.Flows = slices.Clone(u.Flows)
	for _, f := range some {
		i, _ := slices.BinarySearchFunc(v.Flows, f, func(a, b ofproto.Flow) int {
			return cmp.Or(cmp.Compare(a.Table, b.Table), -cmp.Compare(a.Priority, b.Priority))
		})
		v.Flows[i] = f
	}
	v.epoch = epochIn(v.Flows)
	return &v
}

// sorted returns the unit in canonical order: flows by table, then from the highest
// priority down.
func (b *Builder) sorted() (*Unit, error) {
	u := b.unit
	if b.err != nil {
		return nil, b.err
	}
	flows := make([]ofproto.Flow, len(u.Flows))
	order := inCanonicalOrder(u.Flows)
	for i, k := range order {
		flows[i] = *k.flow
		if i > 0 && order[i-1].same(k) {
			return nil, fmt.Errorf("%q and %q both define the flow %v", origin(b.Numbers, flows[i-1]), origin(b.Numbers, flows[i]), flows[i])
		}
	}
	u.Flows = flows
	slices.SortFunc(u.Groups, func(a, b ofproto.Group) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(u.Meters, func(a, b ofproto.MeterConfig) int { return cmp.Compare(a.ID, b.ID) })
	u.shapes = depth.ShapesOf(u.Flows, u.Groups)
	return u, nil
}

// keyed is a flow with its place: its table, then its priority from the highest down, and the
// key of its match.
type keyed struct {
	rank uint32
	key  string
	flow *ofproto.Flow
}

func inCanonicalOrder(flows []ofproto.Flow) []keyed {
	all := make([]keyed, len(flows))
	for i := range flows {
		f := &flows[i]
		all[i] = keyed{uint32(f.Table)<<16 | uint32(^f.Priority), f.Match.Key(), f}
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.key, b.key)) })
	return all
}

// same reports whether the two would be one flow of a switch.
func (a keyed) same(b keyed) bool { return a.rank == b.rank && a.key == b.key }
