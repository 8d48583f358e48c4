package pipeline

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// An Input is all that compiling one bridge depends on. It never changes.
type Input struct {
	Bridge  string // the bridge's name
	Model   *intent.Model
	Facts   Facts
	Numbers Numbers
	Refused map[intent.ID]bool // what the switch did not take: left out, never failing open
}

// Facts is what has been observed of one bridge.
type Facts struct {
	Ports      []Port
	Neighbours []Neighbour // on the links outside, by outside and address
	Features   Features

	// Weights are those of backends of load balancers that are not as they are declared, by
	// BackendKey. What is in it never changes: where one is other, the map of its load balancer is.
	Weights map[intent.ID]map[netip.AddrPort]uint16
}

// A Port is an interface of a bridge.
type Port struct {
	Name    string // of the interface
	IfaceID string // external_ids:iface-id; empty if there is none
	OFPort  uint32
}

// Features is what a bridge's datapath can do.
type Features struct {
	NDExtension bool // nd_reserved and nd_options_type can be set
	SCTPPorts   bool // the connection tracker knows the ports of SCTP
	NullNAT     bool // a translation that may change nothing can be asked for
	HashUDP     bool // a group of type select chooses by the ports of UDP, too
	LateNAT     bool // what is new to the tracker is translated by a commit alone, also where the connection is known
}

// Numbers are the ids given to intents, for life. An implementation never changes
// once it has been given away.
type Numbers interface {
	Zone(intent.ID) uint16               // conntrack zone of a tenant or an AuxZone, 4096 to 32767 unless a tenant says its own; zero: none
	Epoch(tenant intent.ID) uint8        // 1 to 255
	Tag(intent.ID) uint32                // never 0
	Group(intent.ID) uint32              // never 0, below 1<<24
	Origin(tag uint32) (intent.ID, bool) // the inverse of Tag, also of intents that are gone
}

// Wants lists the intents of a model that need numbers.
type Wants struct {
	Zones  map[intent.ID]uint16 // by tenant, and by AuxZone: the zone the tenant says, or zero for any
	Tags   []intent.ID
	Groups []intent.ID
}

// WantsOf returns what compiling m will ask of Numbers.
func WantsOf(m *intent.Model) Wants { return WantsSince(m, nil) }

// WantsSince is WantsOf without the tags and groups of the tenants that were the same in an
// earlier model, and of load balancers that were: those numbers have been given, and for life. If
// that is nil, there was none.
func WantsSince(m, earlier *intent.Model) Wants {
	given := map[string]*intent.Tenant{}
	if earlier != nil {
		for _, t := range earlier.Tenants() {
			given[t.Name] = t
		}
	}
	w := Wants{Zones: ZonesOf(m)}
	for _, b := range m.Bridges() {
		w.Tags = append(append(w.Tags, b.ID()), externalIDs(b)...)
	}
	for _, t := range m.Tenants() {
		switch was := given[t.Name]; {
		case was == t:
		case was != nil && sameButParts(was, t):
			w.floats(t.FloatingIPs, was.FloatingIPs)
			w.balancers(t.LoadBalancers, was.LoadBalancers)
		default:
			w.add(t)
		}
	}
	for _, t := range m.Tenants() {
		if given[t.Name] != t {
			w.Tags = append(w.Tags, meteredIDs(t)...)
		}
	}
	return w
}

// balancers adds the tags and groups of load balancers that are not among those given.
func (w *Wants) balancers(all, given []*intent.LoadBalancer) {
	for _, l := range others(all, given) {
		services := serviceIDs(l)
		w.Tags, w.Groups = append(append(w.Tags, l.ID()), services...), append(w.Groups, services...)
	}
}

// floats adds the tags of floating IPs that are not among those given.
func (w *Wants) floats(all, given []*intent.FloatingIP) {
	for _, f := range others(all, given) {
		w.Tags = append(w.Tags, f.ID())
	}
}

// others returns those of all that are not given.
func others[T comparable](all, given []T) (some []T) {
	if slices.Equal(all, given) {
		return nil
	}
	had := make(map[T]bool, len(given))
	for _, x := range given {
		had[x] = true
	}
	for _, x := range all {
		if !had[x] {
			some = append(some, x)
		}
	}
	return some
}

// add adds the tags and groups of a tenant.
func (w *Wants) add(t *intent.Tenant) {
	w.Tags = append(w.Tags, t.ID(), t.DefaultID(intent.Ingress), t.DefaultID(intent.Egress))
	for _, n := range t.Networks {
		w.Tags = append(w.Tags, n.ID())
		w.Groups = append(w.Groups, n.ID())
	}
	for _, e := range t.Endpoints {
		w.Tags = append(w.Tags, e.ID())
	}
	for _, p := range t.Policies {
		w.Tags = append(w.Tags, p.ID())
		for _, r := range p.Rules {
			w.Tags = append(w.Tags, r.ID())
		}
	}
	w.Tags = append(w.Tags, translationIDs(t)...)
	w.balancers(t.LoadBalancers, nil)
	w.Groups = append(w.Groups, aliasIDs(t)...)
	for _, at := range identity {
		for _, c := range Classes(t, at) {
			w.Tags = append(w.Tags, c.ID)
		}
	}
	for _, d := range []intent.Direction{intent.Egress, intent.Ingress} {
		for _, r := range RangesOf(t, d) {
			w.Tags = append(w.Tags, r.ID)
		}
	}
}

// A TenantSite is a tenant on a bridge, with the numbers and the facts put beside it. What
// the switch refused is not in it. It is all that the tenant's unit is made of, which is nothing of its floating IPs and load
// balancers: they have units of their own, and those of the site may be older ones.
type TenantSite struct {
	*intent.Tenant
	Zone     uint16
	Balances bool   // it has a load balancer
	Source   uint16 // the zone of source translations; zero: none is needed
	Epoch    uint8
	Networks []*NetworkSite             // those that are on the bridge
	Outsides []ExternalSite             // the bridge's
	Commons  []Common                   // of its addresses outside, those that others have as well
	Classes  map[ofproto.Field][]*Class // of its endpoints, wherever they are, as sources and as destinations; none where nobody judges
	Ranges   map[intent.Direction][]*Range

	features Features
	refused  []intent.ID // of the tenant, in order
	pending  []Pending

	// Filled, as Classes, when the unit is made.
	here       map[*intent.Endpoint]EndpointSite
	untracks   bool                                          // a rule says "do not track"
	identities map[ofproto.Field]map[*intent.Endpoint]uint32 // numbers of the classes
}

// same reports whether a unit made of t is as good as one made of s.
func (s *TenantSite) same(t *TenantSite) bool {
	return s == t || s.like(t) && s.placed(t)
}

// placed reports whether the networks and endpoints of s and t are in the same places.
func (s *TenantSite) placed(t *TenantSite) bool {
	return slices.EqualFunc(s.Networks, t.Networks, func(n, m *NetworkSite) bool {
		return n == m || n.Network == m.Network && n.Number == m.Number && slices.Equal(n.Endpoints, m.Endpoints)
	})
}

// like reports whether s and t are of the same tenant, in the same state, wherever its ports
// are.
func (s *TenantSite) like(t *TenantSite) bool {
	return s.Epoch == t.Epoch && s.timeless(t)
}

// alike reports whether s and t are the same in whatever epoch.
func (s *TenantSite) alike(t *TenantSite) bool { return s == t || s.timeless(t) && s.placed(t) }

// timeless is like, whatever the epoch.
func (s *TenantSite) timeless(t *TenantSite) bool {
	return sameButParts(s.Tenant, t.Tenant) && s.Zone == t.Zone && s.Balances == t.Balances && s.Source == t.Source && s.features == t.features &&
		slices.Equal(s.refused, t.refused) && slices.Equal(s.Outsides, t.Outsides) && slices.Equal(s.Commons, t.Commons)
}

// sameButParts reports whether two tenants are of the same objects, but for their floating IPs and load
// balancers, each of which has a unit of its own.
func sameButParts(a, b *intent.Tenant) bool {
	if a == b {
		return true
	}
	v, w := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range v.NumField() {
		if !slices.Contains(parts, v.Type().Field(i).Type) && !sameField(v.Field(i), w.Field(i)) {
			return false
		}
	}
	return true
}

var parts = []reflect.Type{reflect.TypeFor[[]*intent.LoadBalancer](), reflect.TypeFor[[]*intent.FloatingIP]()}

// sameField compares what has a pointer by that, and all else by what it is.
func sameField(f, g reflect.Value) bool {
	if f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Pointer {
		return reflect.DeepEqual(f.Interface(), g.Interface())
	}
	if f.Len() != g.Len() {
		return false
	}
	for i := range f.Len() {
		if f.Index(i).Pointer() != g.Index(i).Pointer() {
			return false
		}
	}
	return true
}

// in returns s in another epoch.
func (s *TenantSite) in(epoch uint8) *TenantSite {
	t := *s
	t.Epoch = epoch
	return &t
}

// A NetworkSite is a network on a bridge.
type NetworkSite struct {
	*intent.Network
	Number    uint32         // of its group, and in metadata
	Endpoints []EndpointSite // those whose port is on the bridge
}

// Here reports whether an endpoint of t is on the bridge.
func (t *TenantSite) Here(e *intent.Endpoint) bool { _, is := t.here[e]; return is }

// Site returns where an endpoint of t is on the bridge, if it is there.
func (t *TenantSite) Site(e *intent.Endpoint) (EndpointSite, bool) {
	s, is := t.here[e]
	return s, is
}

// An EndpointSite is an endpoint whose port is on the bridge.
type EndpointSite struct {
	*intent.Endpoint
	Tag  uint32
	Port uint32 // OpenFlow port
}

// bridge returns the bridge, or nil if the model does not have it.
func (in Input) bridge() *intent.Bridge {
	for _, b := range in.Model.Bridges() {
		if b.Name == in.Bridge {
			return b
		}
	}
	return nil
}

// sites returns the tenants that are on the bridge.
func (c *Cache) sites(in Input, outsides []ExternalSite, common commons, moved bool) (all []*TenantSite, err error) {
	refused, bound := in.refusedOf(), make(map[uint32]intent.ID, len(in.Facts.Ports))
	for _, x := range outsides {
		if x.Port != 0 {
			bound[x.Port] = x.ID()
		}
	}
	for _, t := range in.Model.Tenants() {
		if in.Refused[t.ID()] {
			continue
		}
		s := &TenantSite{
			Tenant: t, Zone: in.Numbers.Zone(t.ID()), Balances: len(t.LoadBalancers) > 0, Epoch: in.Numbers.Epoch(t.ID()),
			Outsides: outsides, Commons: common.of[t.ID()], features: in.Facts.Features, refused: refused[t.ID()],
		}
		if hasDouble(t, in.Bridge) {
			s.Source = in.Numbers.Zone(t.ID() + SourceZone)
		}
		if was, known := c.tenants[t.ID()]; known && !moved && was.of.like(s) {
			s = was.of
		} else if known && !moved && was.of.timeless(s) {
			s = was.of.in(s.Epoch)
		} else {
			in.place(s, c.bound)
		}
		if len(s.Networks) == 0 {
			continue
		}
		if err := s.bind(bound); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// bind notes where ports are, and reports whether they may be others than before. They are
// not if they are the same list: what is observed never changes.
func (c *Cache) bind(ports []Port) (moved bool) {
	if len(ports) > 0 && len(ports) == len(c.ports) && &ports[0] == &c.ports[0] {
		return false
	}
	c.ports, c.bound = ports, byBinding(ports)
	return true
}

// refusedOf returns what is refused by tenant, in order.
func (in Input) refusedOf() map[intent.ID][]intent.ID {
	by := map[intent.ID][]intent.ID{}
	for id, is := range in.Refused {
		if tenant, _, of := strings.Cut(string(id), "/"); of && is {
			by[intent.ID(tenant)] = append(by[intent.ID(tenant)], id)
		}
	}
	for _, ids := range by {
		slices.Sort(ids)
	}
	return by
}

// bind notes whose each port is. A port has a name and may have an iface-id, so that two
// endpoints may mean the same one, and no check of the model could have known.
func (s *TenantSite) bind(bound map[uint32]intent.ID) error {
	for _, n := range s.Networks {
		for _, e := range n.Endpoints {
			if other, taken := bound[e.Port]; taken {
				return fmt.Errorf("%q and %q are bound to the same port, %d", other, e.ID(), e.Port)
			}
			bound[e.Port] = e.ID()
		}
	}
	return nil
}

// place puts the networks and endpoints of a tenant where they are.
func (in Input) place(s *TenantSite, ports map[binding]uint32) {
	nets := map[*intent.Network]*NetworkSite{}
	for _, n := range s.Tenant.Networks {
		if !on(n, in.Bridge) || in.Refused[n.ID()] {
			continue
		}
		nets[n] = &NetworkSite{Network: n, Number: in.Numbers.Group(n.ID())}
		s.Networks = append(s.Networks, nets[n])
	}
	for _, e := range s.Endpoints {
		n := nets[e.Network]
		if n == nil || in.Refused[e.ID()] {
			continue
		}
		b := bindingOf(e)
		port, ok := ports[b]
		if !ok {
			s.pending = append(s.pending, Pending{e.ID(), b.absent(in.Bridge)})
			continue
		}
		n.Endpoints = append(n.Endpoints, EndpointSite{e, in.Numbers.Tag(e.ID()), port})
	}
}

// Untracks reports whether a rule of t says that what it matches is not tracked.
func (t *TenantSite) Untracks() bool { return t.untracks }

// locate finds who is here.
func (t *TenantSite) locate() {
	if t.here != nil {
		return
	}
	t.here = make(map[*intent.Endpoint]EndpointSite, len(t.Endpoints))
	for _, in := range t.Networks {
		for _, e := range in.Endpoints {
			t.here[e.Endpoint] = e
		}
	}
	t.untracks = slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool {
		return slices.ContainsFunc(p.Rules, func(r *intent.Rule) bool { return r.Action == intent.Stateless })
	})
}

// classify finds the classes of t's endpoints, and their numbers.
func (t *TenantSite) classify(n Numbers) {
	if t.Mode == intent.Off {
		return
	}
	t.Classes, t.identities = map[ofproto.Field][]*Class{}, map[ofproto.Field]map[*intent.Endpoint]uint32{}
	for _, at := range identity {
		t.Classes[at] = Classes(t.Tenant, at)
		t.identities[at] = make(map[*intent.Endpoint]uint32, len(t.Endpoints))
		for _, c := range t.Classes[at] {
			for _, e := range c.Members {
				t.identities[at][e] = n.Tag(c.ID)
			}
		}
	}
	t.Ranges = map[intent.Direction][]*Range{intent.Egress: RangesOf(t.Tenant, intent.Egress), intent.Ingress: RangesOf(t.Tenant, intent.Ingress)}
}

func on(n *intent.Network, bridge string) bool {
	for _, b := range n.Bridges {
		if b == bridge {
			return true
		}
	}
	return false
}

// A binding is how an endpoint finds its port: by iface-id or by name.
type binding struct {
	ifaceID bool
	name    string
}

func bindingOf(e *intent.Endpoint) binding {
	if e.IfaceID != "" {
		return binding{true, e.IfaceID}
	}
	return binding{false, e.Port}
}

func (b binding) absent(bridge string) string {
	if b.ifaceID {
		return "no interface of " + bridge + " has external_ids:iface-id=" + b.name
	}
	return "no port of " + bridge + " is named " + b.name
}

func byBinding(ports []Port) map[binding]uint32 {
	m := make(map[binding]uint32, 2*len(ports))
	for _, p := range ports {
		m[binding{false, p.Name}] = p.OFPort
		if p.IfaceID != "" {
			m[binding{true, p.IfaceID}] = p.OFPort
		}
	}
	return m
}
