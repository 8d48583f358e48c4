package pipeline

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// Balancing is the priority in LBVIP of what is new and for a port of a load balancer, and of
// nothing else: no connection that there is depends on where such a flow sends what comes next.
const Balancing = 101

// LostFrom is the priority in SNATSel of what is to leave from a port to which others are sent, and is
// of no connection that is known. No connection depends on that, either.
const LostFrom = 55000

// ServiceID names a port of a load balancer: "TENANT/loadbalancer/NAME/tcp/80". What is
// remembered of a connection is its tag.
func ServiceID(l *intent.LoadBalancer, p intent.LBPort) intent.ID {
	return l.ID() + intent.ID(fmt.Sprintf("/%s/%d", p.Protocol, p.Port))
}

// ServiceOf returns the load balancer whose port an id names, and the port as it is written,
// "tcp/80", if it names one.
func ServiceOf(id intent.ID) (balancer intent.ID, port string, ok bool) {
	tenant, rest, is := strings.Cut(string(id), "/loadbalancer/")
	name, port, more := strings.Cut(rest, "/")
	return intent.ID(tenant + "/loadbalancer/" + name), port, is && more
}

// serviceIDs names all ports of a load balancer.
func serviceIDs(l *intent.LoadBalancer) (ids []intent.ID) {
	for _, p := range l.Ports {
		ids = append(ids, ServiceID(l, p))
	}
	return ids
}

// BackendKey is what Facts.Weights knows a backend of a load balancer by: its address, and its own
// port, if it has one.
func BackendKey(b intent.Backend) netip.AddrPort { return netip.AddrPortFrom(b.IP, b.Port) }

// BackendText is what people know a backend by: its address, and its own port, if it has one.
func BackendText(b intent.Backend) string {
	if b.Port == 0 {
		return b.IP.String()
	}
	return BackendKey(b).String()
}

// A BalancerSite is a load balancer on a bridge, with the facts put beside it. It is all that
// its unit is made of beside the site of its tenant, as far as that is not of an epoch.
//
// What several load balancers of a tenant would each bring, one does: the first of them in the
// order of the tenant's.
type BalancerSite struct {
	*intent.LoadBalancer
	Answers   bool             // it answers for its address
	Theirs    bool             // ... which comes to the tenant already, by a translation of another kind
	OnLink    bool             // its subnet has no gateway, and it brings what leads to those who are there
	Spare     intent.PortRange // ... ports of its address that nobody serves
	Mirrors   []Mirror         // ... endpoints that it has reach themselves
	Itself    []Backing        // addresses of backends that it has reach themselves
	TurnsBack bool             // ... and their answers looked up
	Doubles   []Backing        // addresses of backends that it has see gateways
	Gateways  []netip.Addr     // that it has looked up for that: of all subnets, for backends come and go
	SCTPTaken bool             // something else gets what comes by SCTP for its address
	Shallow   bool             // its packets must not be sent back
	Lost      []netip.AddrPort // outside: of its backends, from which nothing leaves that is of no connection
	LeavesAs  intent.ID        // outside, with backends outside: who has what goes to these leave as its address; empty: nobody
	Asked     *Asked           // whom the tenant's backends answer; nil: nobody asks them, or another one brings that
	Weights   []uint16         // of its backends, as they are in force; nil: as they are declared

	tenant *TenantSite
}

// A Backing is an address of a backend on the bridge.
type Backing struct {
	EndpointSite
	Backend intent.Backend
	First   bool // that brings what is the same for several: all of the endpoint's, or of the gateway's
}

// A Mirror is an endpoint on the bridge that reaches itself by a load balancer in a subnet without a
// gateway. What is the same for all load balancers with its address, and for all with the
// endpoint, one brings.
type Mirror struct {
	EndpointSite
	ForAddress, ForEndpoint bool
}

// Weight returns the weight that is in force of a backend, by its place in the list.
func (s *BalancerSite) Weight(i int) uint16 {
	if s.Weights == nil {
		return s.Backends[i].Weight
	}
	return s.Weights[i]
}

// same reports whether a unit made of t is as good as one made of s.
func (s *BalancerSite) same(t *BalancerSite) bool {
	return s == t || s.LoadBalancer == t.LoadBalancer && s.Answers == t.Answers && s.Theirs == t.Theirs && s.Shallow == t.Shallow && s.SCTPTaken == t.SCTPTaken && s.TurnsBack == t.TurnsBack && s.LeavesAs == t.LeavesAs && s.OnLink == t.OnLink && s.Spare == t.Spare && slices.Equal(s.Mirrors, t.Mirrors) && slices.Equal(s.Weights, t.Weights) && slices.Equal(s.Lost, t.Lost) &&
		s.Asked.same(t.Asked) && slices.EqualFunc(s.Itself, t.Itself, Backing.same) && slices.EqualFunc(s.Doubles, t.Doubles, Backing.same) && slices.Equal(s.Gateways, t.Gateways) &&
		s.tenant.alike(t.tenant)
}

func (b Backing) same(c Backing) bool {
	return b.EndpointSite == c.EndpointSite && b.Backend == c.Backend && b.First == c.First
}

// balances reports whether some tenant has a load balancer.
func (in Input) balances() bool {
	return slices.ContainsFunc(in.Model.Tenants(), func(t *intent.Tenant) bool { return len(t.LoadBalancers) > 0 })
}

// translates reports whether something on the bridge translates.
func (b *Builder) translates() bool { return len(b.Externals) > 0 || b.Balances }

// BridgesOf returns the bridges that a load balancer is on.
func BridgesOf(l *intent.LoadBalancer) []string {
	if l.Inside() {
		return l.Network.Bridges
	}
	return []string{l.Bridge}
}

// balancersOf returns the load balancers of a tenant that are on the bridge. One that is as it was is the same
// *BalancerSite: there may be thousands.
func (c *Cache) balancersOf(in Input, s *TenantSite, shallow bool) (all []*BalancerSite) {
	t := in.Model.Tenant(s.Name)
	if len(t.LoadBalancers) == 0 || t.Mode == intent.Off {
		return nil
	}
	all = make([]*BalancerSite, 0, len(t.LoadBalancers))
	s.locate()
	said := in.claimed(s, t)
	for _, l := range t.LoadBalancers {
		if in.refuses(l) || !slices.Contains(BridgesOf(l), in.Bridge) || l.Inside() && in.Refused[l.Network.ID()] {
			continue
		}
		x := BalancerSite{LoadBalancer: l, Shallow: shallow, tenant: s}
		if len(in.Facts.Weights) > 0 {
			x.Weights = weightsOf(l, in.Facts.Weights[l.ID()])
		}
		said.claim(s, &x)
		all = append(all, c.kept(&x))
	}
	if a := askedOn(t, all); len(a.Gateways) > 0 {
		first := *all[0] // which may be one of before
		first.Asked = &a
		all[0] = c.kept(&first)
	}
	return all
}

// kept returns the site of a load balancer as it was, if it is the same and so is that of its tenant, or a copy of x.
func (c *Cache) kept(x *BalancerSite) *BalancerSite {
	if was, known := c.balancers[x.LoadBalancer]; known && was.of.tenant == x.tenant && was.of.same(x) {
		return was.of
	}
	site := *x
	return &site
}

// refuses reports whether the switch has refused something of l: then all of it is left out, for what
// would be left leads nowhere. There may be thousands of load balancers, and it seldom does.
func (in Input) refuses(l *intent.LoadBalancer) bool {
	return len(in.Refused) > 0 && (in.Refused[l.ID()] || slices.ContainsFunc(serviceIDs(l), func(id intent.ID) bool { return in.Refused[id] }))
}

// weightsOf returns the weights of l's backends with those that are others, or nil.
func weightsOf(l *intent.LoadBalancer, others map[netip.AddrPort]uint16) (all []uint16) {
	if len(others) == 0 {
		return nil
	}
	for _, b := range l.Backends {
		w, other := others[BackendKey(b)]
		if !other || b.Weight == 0 { // it drains, whatever else is known of it
			w = b.Weight
		}
		all = append(all, w)
	}
	return all
}

// claims is what somebody of a tenant brings already.
type claims struct {
	addresses map[netip.Addr]bool // of load balancers that are answered for
	theirs    map[netip.Addr]bool // outside, of which ports are forwarded
	sctp      map[netip.Addr]bool // to which something comes by SCTP
	itself    map[netip.Addr]bool // of endpoints that reach themselves
	turned    map[bool]bool       // versions of IP of which answers are turned back; true: IPv4
	lost      map[exit]bool
	doubled   map[netip.Addr]bool // of endpoints that see their gateway
	gateways  map[netip.Addr]bool
	leaves    map[netip.Addr]intent.ID       // of load balancers, as which what goes to backends outside leaves
	links     map[netip.Prefix]bool          // without a gateway, of which somebody brings what leads there
	mirrored  map[mirrored]bool              // who reach themselves there
	served    map[netip.Addr]map[uint16]bool // ports there
}

// A mirrored is an endpoint that reaches itself by an address.
type mirrored struct {
	tag uint32
	at  netip.Addr
}

// An exit is a port of an endpoint by which connections from an outside are answered.
type exit struct {
	external string
	at       netip.AddrPort
}

// claimed returns what the forwards and floating IPs of a tenant bring on the bridge.
func (in Input) claimed(s *TenantSite, t *intent.Tenant) claims {
	c := s.forwarded(in.Bridge)
	if len(s.Outsides) == 0 {
		return c
	}
	for _, f := range t.FloatingIPs {
		if f.Bridge == in.Bridge {
			c.float(s, &FloatSite{FloatingIP: f})
		}
	}
	return c
}

// forwarded returns what the forwards of a tenant bring on a bridge.
func (t *TenantSite) forwarded(bridge string) claims {
	c := claims{
		addresses: make(map[netip.Addr]bool, len(t.LoadBalancers)), theirs: map[netip.Addr]bool{}, sctp: map[netip.Addr]bool{}, itself: map[netip.Addr]bool{},
		turned: map[bool]bool{}, lost: map[exit]bool{}, doubled: map[netip.Addr]bool{}, gateways: map[netip.Addr]bool{},
		leaves: map[netip.Addr]intent.ID{}, links: map[netip.Prefix]bool{}, mirrored: map[mirrored]bool{},
	}
	if len(t.Outsides) == 0 {
		return c
	}
	note := func(e *intent.Endpoint, ip netip.Addr) {
		if t.Here(e) && !t.Refused(e.ID()) {
			c.itself[ip], c.turned[ip.Is4()] = true, true
		}
	}
	see := func(e *intent.Endpoint, ip, gateway netip.Addr, mode intent.SNATMode, on string) {
		if mode == intent.SNATAlways && on == bridge && t.Here(e) && gateway.IsValid() {
			c.doubled[ip], c.gateways[gateway] = true, true
		}
	}
	for _, f := range t.PortForwards {
		note(f.Endpoint, f.IP)
		see(f.Endpoint, f.IP, f.Gateway, f.SNAT, f.Bridge)
		if f.Bridge == bridge && !t.Refused(f.ID()) {
			c.theirs[f.Address] = true
			c.sctp[f.Address] = c.sctp[f.Address] || f.Protocol == intent.SCTP
		}
	}
	return c
}

// Refused reports whether the switch has refused what serves an intent of t.
func (t *TenantSite) Refused(id intent.ID) bool {
	_, is := slices.BinarySearch(t.refused, id)
	return is
}

// claim has x bring what nobody does yet.
func (c claims) claim(t *TenantSite, x *BalancerSite) {
	if !c.addresses[x.Address] {
		c.addresses[x.Address], x.Answers = true, true
		x.Theirs = !x.Inside() && (c.theirs[x.Address] || t.leavesAs(x))
	}
	if !x.Inside() && x.SNAT != intent.SNATNever && x.Outward {
		if c.leaves[x.Address] == "" {
			c.leaves[x.Address] = x.ID()
		}
		x.LeavesAs = c.leaves[x.Address]
	}
	if slices.ContainsFunc(x.Ports, func(p intent.LBPort) bool { return p.Protocol == intent.SCTP }) {
		x.SCTPTaken, c.sctp[x.Address] = c.sctp[x.Address] || t.leavesAs(x), true
	}
	bridged := x.Bridged()
	if bridged {
		c.onLink(t, x)
	}
	for _, b := range x.Backends {
		if b.Endpoint == nil {
			continue
		}
		e, here := t.Site(b.Endpoint)
		if !here {
			continue
		}
		if bridged {
			c.mirror(x, e, b)
			continue
		}
		if x.SNAT != intent.SNATNever && !c.itself[b.IP] {
			x.Itself = append(x.Itself, Backing{e, b, !c.another(e, b.IP)})
			c.itself[b.IP] = true
		}
		if x.SNAT == intent.SNATAlways && b.Gateway.IsValid() && !c.doubled[b.IP] {
			x.Doubles = append(x.Doubles, Backing{EndpointSite: e, Backend: b})
			c.doubled[b.IP] = true
		}
	}
	x.Lost = c.exits(t, x)
	if x.SNAT == intent.SNATAlways {
		x.Gateways = c.lookUp(t, x.Address.Is4())
	}
	if four := x.Address.Is4(); len(x.Itself) > 0 && !c.turned[four] {
		c.turned[four], x.TurnsBack = true, true
	}
}

// mirrors reports whether l has backends reach themselves, in a subnet without a gateway.
func mirrors(l *intent.LoadBalancer) bool {
	return l.SNAT != intent.SNATNever && l.Bridged() && slices.ContainsFunc(l.Backends, func(b intent.Backend) bool { return b.Endpoint != nil })
}

// onLink has x, in a subnet without a gateway, bring what leads to those who are there, if nobody
// does yet.
func (c *claims) onLink(t *TenantSite, x *BalancerSite) {
	link := x.Subnet().CIDR
	x.OnLink, c.links[link] = !c.links[link], true
	if c.served == nil {
		c.served = map[netip.Addr]map[uint16]bool{}
		for _, l := range t.LoadBalancers {
			if l.Bridged() && c.served[l.Address] == nil {
				c.served[l.Address] = map[uint16]bool{}
			}
			for _, p := range l.Ports {
				if l.Bridged() {
					c.served[l.Address][p.Port] = true
				}
			}
		}
	}
	x.Spare = spareOf(c.served[x.Address])
}

// spareOf returns the longest range of ports from 1024 up that are not served, and none of those from
// which backends are asked.
func spareOf(served map[uint16]bool) (longest intent.PortRange) {
	taken := slices.AppendSeq([]uint16{intent.ProbesFrom.Lo}, maps.Keys(served))
	slices.Sort(taken)
	next := uint16(1024)
	for _, port := range taken {
		if port > next && (longest == intent.PortRange{} || port-1-next > longest.Hi-longest.Lo) {
			longest = intent.PortRange{Lo: next, Hi: port - 1}
		}
		if next = max(next, port+1); port >= intent.ProbesFrom.Lo {
			break
		}
	}
	return longest
}

// mirror has an endpoint that is a backend of x in a subnet without a gateway reach itself.
func (c claims) mirror(x *BalancerSite, e EndpointSite, b intent.Backend) {
	if x.SNAT == intent.SNATNever || slices.ContainsFunc(x.Mirrors, func(m Mirror) bool { return m.EndpointSite == e }) {
		return
	}
	at := mirrored{e.Tag, x.Address}
	x.Mirrors = append(x.Mirrors, Mirror{e, !c.mirrored[at], !c.itself[b.IP] && !c.another(e, b.IP)})
	c.mirrored[at], c.itself[b.IP] = true, true
}

// exits returns the ports by which x's backends answer what comes from outside, and claims them.
func (c claims) exits(t *TenantSite, x *BalancerSite) (all []netip.AddrPort) {
	for _, p := range x.Ports {
		for _, b := range x.Backends {
			e := exit{x.External, netip.AddrPortFrom(b.IP, b.Target(p))}
			if !x.Inside() && b.Network != nil && p.Protocol == intent.TCP && !c.lost[e] && !t.forwards(e) {
				c.lost[e] = true
				all = append(all, e.at)
			}
		}
	}
	return all
}

// forwards reports whether an exit is that of a forwarded port.
func (t *TenantSite) forwards(e exit) bool {
	return slices.ContainsFunc(t.PortForwards, func(f *intent.PortForward) bool {
		return f.External == e.external && f.IP == e.at.Addr() && f.Protocol == intent.TCP && f.ToPorts.Lo <= e.at.Port() && e.at.Port() <= f.ToPorts.Hi && !t.Refused(f.ID())
	})
}

// lookUp returns the gateways of a version of IP that nobody looks up yet.
func (c claims) lookUp(t *TenantSite, four bool) (all []netip.Addr) {
	for _, n := range t.Networks {
		for _, s := range n.GatewaysOf(four) {
			if !c.gateways[s.Gateway] {
				c.gateways[s.Gateway] = true
				all = append(all, s.Gateway)
			}
		}
	}
	return all
}

// GatewaysOf returns the subnets of a version of IP that have a gateway.
func (n *NetworkSite) GatewaysOf(four bool) (some []intent.Subnet) {
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() && s.Gateway.Is4() == four {
			some = append(some, s)
		}
	}
	return some
}

// another reports whether another address of e, of a's version of IP, reaches itself already.
func (c claims) another(e EndpointSite, a netip.Addr) bool {
	return slices.ContainsFunc(e.IPs, func(o netip.Addr) bool { return o != a && o.Is4() == a.Is4() && c.itself[o] })
}

// leavesAs reports whether an SNAT of t has the address of a load balancer outside.
func (t *TenantSite) leavesAs(x *BalancerSite) bool {
	return slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool {
		return !t.Refused(s.ID()) && slices.ContainsFunc(s.PoolsOn(x.Bridge, x.External), func(p intent.Pool) bool {
			return slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(x.Address) })
		})
	})
}

// balancerUnits returns the units of the load balancers of the tenants that are on the bridge.
func (c *Cache) balancerUnits(in Input, bridge *intent.Bridge, tenants []*TenantSite, shared []Common, apps []App) ([]*Unit, error) {
	shallow := slices.ContainsFunc(shared, func(c Common) bool { return c.Zone != 0 })
	var sites []*BalancerSite
	for _, t := range tenants {
		sites = append(sites, c.balancersOf(in, t, shallow)...)
	}
	units := make([]*Unit, len(sites))
	var stale []int
	for i, s := range sites {
		if was, known := c.balancers[s.LoadBalancer]; known && was.of.same(s) {
			units[i] = was.unit
		} else {
			stale = append(stale, i)
		}
	}
	tell, told := c.tellAhead(sites, stale)
	err := inParts(stale, func(i int) (err error) {
		if units[i], err = balancerUnit(in, bridge, sites[i], apps); err == nil {
			tell(i, units[i])
		}
		return err
	})
	told()
	if err != nil {
		return nil, err
	}
	c.balancers = make(map[*intent.LoadBalancer]made[*BalancerSite], len(sites))
	for i, s := range sites {
		c.balancers[s.LoadBalancer] = made[*BalancerSite]{s, units[i]}
	}
	return units, nil
}

// many is how many load balancers are worth being told of before all of a program is known.
const many = 100

// tellAhead returns what tells Ahead of a unit, of those that are stale, if its load balancer was not there before; and
// what is to be called when all are made.
func (c *Cache) tellAhead(sites []*BalancerSite, stale []int) (tell func(int, *Unit), told func()) {
	if c.Ahead == nil || len(stale) < many {
		return func(int, *Unit) {}, func() {}
	}
	were := make(map[intent.ID]bool, len(c.balancers))
	for l := range c.balancers {
		were[l.ID()] = true
	}
	units := c.Ahead(len(stale))
	tell = func(i int, u *Unit) {
		if !were[sites[i].ID()] {
			units <- u
		}
	}
	return tell, func() { close(units) }
}

func balancerUnit(in Input, bridge *intent.Bridge, s *BalancerSite, apps []App) (*Unit, error) {
	b := newBuilder(in, bridge, s.tenant.ID(), s.tenant.refused)
	b.Externals, b.Commons = s.tenant.Outsides, s.tenant.Commons
	for _, app := range apps {
		if app.Balancer != nil {
			app.Balancer(b, s.tenant, s)
		}
	}
	return b.sorted()
}

// late translates, where the kernel's datapath does it in a commit alone, what a load balancer
// has sent somewhere and of which no answer has come, and what an endpoint has sent to an address that stands for one. It goes where
// it went, whatever would be chosen by now, so that it has to come back to be routed.
func late(b *Builder, t *TenantSite, epoch uint32) {
	is, all := epoch|MarkCommitted, MarkEpoch|MarkBlocked|MarkCommitted|MarkBalanced
	asked := ofproto.CT(ofproto.New|ofproto.Trk, ofproto.Rpl|ofproto.Rel)
	balanced, aimed := state{404, asked, is | MarkBalanced, all}, state{406, asked, is | MarkDNAT, all | MarkDNAT}
	for i, nobody := range []netip.Addr{hairpin4, hairpin6} {
		actions := append(b.comesBack(), asBefore(false, nobody, Route))
		here := []ofproto.Cond{IPVersion(nobody.Is4()), InZone(t.Zone)}
		if t.Balances {
			b.Flow(t.ID(), CtState, balanced.priority+uint16(i), balanced.match(here...), actions...)
		}
		if len(t.Outsides) > 0 {
			b.Flow(t.ID(), CtState, aimed.priority+uint16(i), aimed.match(append(here, FromOutside.IsNot())...), actions...)
		}
	}
}
