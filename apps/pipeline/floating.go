package pipeline

import (
	"slices"

	"weir/intent"
)

// A FloatSite is a floating IP on a bridge, with what it brings. It is all that its unit is made of beside the site
// of its tenant, as far as that is not of an epoch.
//
// What several translations of a tenant would each bring, one does: a forward, which is in the unit of the
// tenant, else the first of the tenant's floating IPs, else the first of its load balancers.
type FloatSite struct {
	*intent.FloatingIP
	Outside   ExternalSite
	At        EndpointSite // of its endpoint; zero: that is not on the bridge, and nothing of what follows is so
	Itself    bool         // it has its endpoint reach itself
	First     bool         // ... and brings what is the same for all addresses of that
	TurnsBack bool         // ... and has answers to that looked up
	Double    bool         // it has its endpoint see its gateway
	LooksUp   bool         // ... and has that looked up
}

// same reports whether a unit made of g is as good as one made of f, in the same tenant.
func (f *FloatSite) same(g *FloatSite) bool { return *f == *g }

// floats returns the floating IPs of a tenant that are on the bridge. Those of the site may be
// older ones.
func (in Input) floats(s *TenantSite, t *intent.Tenant) (all []*FloatSite) {
	if len(t.FloatingIPs) == 0 || t.Mode == intent.Off || len(s.Outsides) == 0 {
		return nil
	}
	s.locate()
	said := s.forwarded(in.Bridge)
	for _, f := range t.FloatingIPs {
		i := slices.IndexFunc(s.Outsides, func(x ExternalSite) bool { return x.Network == f.External })
		if i < 0 || f.Bridge != in.Bridge {
			continue
		}
		x := &FloatSite{FloatingIP: f, Outside: s.Outsides[i]}
		said.float(s, x)
		all = append(all, x)
	}
	return all
}

// float has x bring what nobody does yet.
func (c claims) float(t *TenantSite, x *FloatSite) {
	e, here := t.Site(x.Endpoint)
	if !here {
		return
	}
	x.At = e
	if !c.itself[x.IP] {
		x.Itself, x.First = true, !c.another(e, x.IP)
		c.itself[x.IP] = true
	}
	if four := x.IP.Is4(); !c.turned[four] {
		c.turned[four], x.TurnsBack = true, true
	}
	if x.SNAT == intent.SNATAlways && x.Gateway.IsValid() && !c.doubled[x.IP] {
		x.Double, x.LooksUp = true, !c.gateways[x.Gateway]
		c.doubled[x.IP], c.gateways[x.Gateway] = true, true
	}
}

// floated is the floating IPs of a tenant and their units, and what these were made of.
type floated struct {
	tenant *intent.Tenant
	site   *TenantSite
	all    []made[*FloatSite]
}

// floatUnits returns the units of the floating IPs of the tenants that are on the bridge.
func (c *Cache) floatUnits(in Input, bridge *intent.Bridge, tenants []*TenantSite, apps []App) ([]*Unit, error) {
	type place struct {
		in *floated
		at int
	}
	now := make(map[intent.ID]*floated, len(tenants))
	var order, stale []place
	var all []*Unit
	for _, s := range tenants {
		f := c.floatsOf(in, s)
		now[s.ID()] = f
		for i, m := range f.all {
			order = append(order, place{f, i})
			if m.unit == nil {
				stale = append(stale, place{f, i})
			}
		}
	}
	err := inParts(upTo(len(stale)), func(i int) (err error) {
		p := stale[i]
		m := &p.in.all[p.at]
		m.unit, err = floatUnit(in, bridge, p.in.site, m.of, apps)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range order {
		all = append(all, p.in.all[p.at].unit)
	}
	c.floats = now
	return all, nil
}

// floatsOf returns the floating IPs of a tenant, with the units of those that are as they were.
func (c *Cache) floatsOf(in Input, s *TenantSite) *floated {
	t, was := in.Model.Tenant(s.Name), c.floats[s.ID()]
	if was != nil && was.tenant == t && was.site == s {
		return was
	}
	f := &floated{tenant: t, site: s}
	sites := in.floats(s, t)
	known := map[*intent.FloatingIP]made[*FloatSite]{}
	if was != nil && len(sites) > 0 && was.site.alike(s) {
		for _, m := range was.all {
			known[m.of.FloatingIP] = m
		}
	}
	for _, x := range sites {
		m, is := known[x.FloatingIP]
		if !is || !m.of.same(x) {
			m = made[*FloatSite]{of: x}
		}
		f.all = append(f.all, m)
	}
	return f
}

func floatUnit(in Input, bridge *intent.Bridge, s *TenantSite, f *FloatSite, apps []App) (*Unit, error) {
	b := newBuilder(in, bridge, s.ID(), s.refused)
	b.Externals, b.Commons = s.Outsides, s.Commons
	for _, app := range apps {
		if app.Float != nil {
			app.Float(b, s, f)
		}
	}
	return b.sorted()
}

// upTo returns the numbers from 0 on, n of them.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
