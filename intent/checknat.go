package intent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// nat checks what is translated.
func (c *checker) nat() {
	for _, s := range c.spec.snats {
		c.snat(s)
	}
	for _, s := range c.spec.floatings {
		c.floating(s)
	}
	for _, s := range c.spec.forwards {
		c.forward(s)
	}
}

func (c *checker) snat(s snatSpec) {
	t := c.tenant(s.meta)
	if t == nil {
		return
	}
	x := &SNAT{
		Tenant: t.Name, Name: s.name.v, Priority: DefaultPriority, Exempt: valuesOf(s.exempt), Ports: s.ports.v,
		Selection: cmp.Or(Selection(s.selection.v), SelectHash), Shared: s.shared.v,
		To: Destination{valuesOf(s.to.cidrs), serviceOf(ruleSpec{protocol: s.to.protocol, ports: s.to.ports})},
	}
	if s.priority.set {
		x.Priority = uint16(s.priority.v)
	}
	if !c.is(x.ID(), s.place) || !c.fewEnough(t, s) {
		return
	}
	c.tracked(t, s.meta, "an SNAT")
	c.destination(x, s)
	x.From = c.selector(t, s.from)
	networks := c.translated(t, x, s)
	c.pools(t, x, s, networks)
	c.families(s, networks)
	c.persistent(x, s)
	c.usedBySNAT(x, s)
	c.write(x.ID(), written{addresses: s.addresses, ports: s.ports.place(), exempt: s.exemptAt, place: s.place})
	t.SNATs = append(t.SNATs, x)
}

func valuesOf[T any](values []value[T]) (all []T) {
	for _, v := range values {
		all = append(all, v.v)
	}
	return all
}

// tracked says so if a tenant has no connection tracking.
func (c *checker) tracked(t *Tenant, m meta, kind string) {
	if t.Mode == Off {
		c.bad(m.place, "mode: audit lets everything pass as well, and tracks it", "tenant %q has mode off, which tracks nothing, and %s translates what is tracked", t.Name, kind)
	}
}

// destination checks what a SNAT says of where connections go.
func (c *checker) destination(x *SNAT, s snatSpec) {
	p, at := x.To.Protocol, s.to.protocol.place()
	switch {
	case p == ARP || p == ND:
		c.bad(at, "", "protocol %s never leaves its network, and is not translated", p)
	case len(s.to.ports) > 0 && !p.HasPorts() && s.to.protocol.set:
		c.bad(s.to.portsAt, "", "protocol %s has no ports that Open vSwitch can match", p)
	case len(s.to.ports) > 0 && !p.HasPorts():
		c.bad(s.to.portsAt, "add protocol: tcp, udp or sctp", "protocol %s has no ports", p)
	case s.ports.set && p != AnyProtocol && !p.HasPorts():
		c.bad(s.ports.place(), "leave it out", "protocol %s has no ports to be translated", p)
	}
	for _, v := range slices.Concat(s.to.cidrs, s.exempt) {
		if !p.fits(v.v.Addr().Is4()) {
			c.bad(v.place(), "", "%v is not of the family of protocol %s", v.v, p)
		}
	}
}

// translated returns the networks whose endpoints are translated.
func (c *checker) translated(t *Tenant, x *SNAT, s snatSpec) []*Network {
	if s.network.set {
		if x.Network = c.networks[ID(t.Name+"/network/"+s.network.v)]; x.Network == nil {
			c.unknown(s.network, networkNames(t), "tenant %q has no network %q", t.Name, s.network.v)
			return nil
		}
		return []*Network{x.Network}
	}
	if len(t.Networks) == 0 && !c.spec.lost {
		c.bad(s.place, "add an object of kind Network", "tenant %q has no network, so that there is nobody to translate", t.Name)
	}
	return t.Networks
}

// pools checks the addresses, and puts them together by outside and family.
func (c *checker) pools(t *Tenant, x *SNAT, s snatSpec, networks []*Network) {
	bridges := bridgesUnder(networks)
	for i, r := range s.addresses {
		if j := slices.IndexFunc(s.addresses[:i], func(o value[AddrRange]) bool { return o.v.Overlaps(r.v) }); j >= 0 {
			c.bad(r.place(), "leave it out", "%v is given twice, first as %v", r.v, s.addresses[j].v)
			continue
		}
		ext := c.outside(bridges, r.v.Lo, r.place())
		if ext == nil || !c.usable(ext, r.v, r.place()) || !c.notInside(t, r.v, r.place()) {
			continue
		}
		at := slices.IndexFunc(x.Pools, func(p Pool) bool {
			return p.Bridge == ext.Bridge && p.External == ext.Network && p.Is4() == r.v.Lo.Is4()
		})
		if at < 0 {
			at = len(x.Pools)
			x.Pools = append(x.Pools, Pool{Bridge: ext.Bridge, External: ext.Network})
		}
		x.Pools[at].Ranges = append(x.Pools[at].Ranges, r.v)
	}
	for i := range x.Pools {
		x.Pools[i].Ranges = joined(x.Pools[i].Ranges)
	}
	slices.SortFunc(x.Pools, func(a, b Pool) int {
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), cmp.Compare(a.External, b.External), a.Ranges[0].Lo.Compare(b.Ranges[0].Lo))
	})
}

func bridgesUnder(networks []*Network) (names []string) {
	for _, n := range networks {
		names = append(names, n.Bridges...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// joined returns the same addresses in as few ranges as there can be, in order.
func joined(ranges []AddrRange) (all []AddrRange) {
	slices.SortFunc(ranges, func(a, b AddrRange) int { return a.Lo.Compare(b.Lo) })
	for _, r := range ranges {
		if last := len(all) - 1; last >= 0 && all[last].Hi.Next() == r.Lo {
			all[last].Hi = r.Hi
		} else {
			all = append(all, r)
		}
	}
	return all
}

// families checks that what is translated and what it is translated to are of the same
// version of IP.
func (c *checker) families(s snatSpec, networks []*Network) {
	var has [2]bool // IPv4, IPv6
	for _, r := range s.addresses {
		v4 := r.v.Lo.Is4()
		if !has[family(v4)] && len(networks) > 0 && !c.routed(networks, v4) {
			c.bad(r.place(), "give it one, or leave the address out", "no network of those that are translated has an %s subnet with a gateway, so that nobody would leave as %v", versionOf(v4), r.v)
		}
		has[family(v4)] = true
	}
	if len(s.addresses) == 0 {
		return
	}
	for _, p := range slices.Concat(s.from.cidrs, s.to.cidrs, s.exempt) {
		if v4 := p.v.Addr().Is4(); !has[family(v4)] {
			c.bad(p.place(), "add an "+versionOf(v4)+" address", "%v is %s, and none of the addresses is", p.v, versionOf(v4))
		}
	}
	for _, v4 := range []bool{true, false} {
		if p := s.to.protocol; p.set && !has[family(v4)] && !p.v.fits(!v4) {
			c.bad(p.place(), "add an "+versionOf(v4)+" address", "protocol %s is %s, and none of the addresses is", p.v, versionOf(v4))
		}
	}
}

func family(v4 bool) int {
	if v4 {
		return 0
	}
	return 1
}

func versionOf(v4 bool) string {
	if v4 {
		return "IPv4"
	}
	return "IPv6"
}

// routed reports whether one of the networks may have a way out.
func (c *checker) routed(networks []*Network, v4 bool) bool {
	return slices.ContainsFunc(networks, func(n *Network) bool {
		return c.flawed[n] || slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.Gateway.IsValid() && s.CIDR.Addr().Is4() == v4 })
	})
}

// usable reports whether addresses of an outside are free to be translated to.
func (c *checker) usable(x *External, r AddrRange, at place) bool {
	sub, onLink := x.OnLink(r.Lo)
	whole := sub.CIDR
	if i := slices.IndexFunc(x.Prefixes, func(p netip.Prefix) bool { return p.Contains(r.Lo) }); !onLink && i >= 0 {
		whole = x.Prefixes[i]
	}
	hop := slices.IndexFunc(x.NextHops, func(h NextHop) bool { return r.Contains(h.Address) })
	switch {
	case !whole.Contains(r.Hi):
		c.bad(at, "end it with "+rangeOf(whole).Hi.Prev().String()+" at the latest", "%v begins in %v and ends outside of it", r, whole)
	case hop >= 0:
		c.bad(at, "take other addresses of "+whole.String(), "%v is a next hop of bridge %s", x.NextHops[hop].Address, x.Bridge)
	case onLink && !isHost(whole, r.Lo), onLink && !isHost(whole, r.Hi):
		c.bad(at, "", "%v has the network's or the broadcast address of %v, which no host can have", r, whole)
	default:
		return c.notOthers(x, r, at)
	}
	return false
}

// notOthers reports whether no other bridge's router has an address on the same network.
func (c *checker) notOthers(x *External, r AddrRange, at place) bool {
	for _, b := range c.model.bridges {
		other := b.External(x.Network)
		if other == nil || other == x {
			continue
		}
		for _, s := range other.Subnets {
			if s.Address.IsValid() && r.Contains(s.Address) {
				c.bad(at, "take another one", "%v is the address of bridge %s on %q", s.Address, b.Name, x.Network)
				return false
			}
		}
	}
	return true
}

// notInside reports whether addresses are in no subnet of the tenant.
func (c *checker) notInside(t *Tenant, r AddrRange, at place) bool {
	for _, n := range t.Networks {
		for _, s := range n.Subnets {
			if !rangeOf(s.CIDR).Overlaps(r) {
				continue
			}
			what := fmt.Sprintf("%v is in subnet %v of network %q, and cannot be outside as well", r, s.CIDR, n.Name)
			for _, e := range t.Endpoints {
				if i := slices.IndexFunc(e.IPs, r.Contains); i >= 0 {
					what = fmt.Sprintf("%v is the address of endpoint %q", e.IPs[i], e.Name)
				}
			}
			if s.Gateway.IsValid() && r.Contains(s.Gateway) {
				what = fmt.Sprintf("%v is the gateway of network %q", s.Gateway, n.Name)
			}
			c.bad(at, "take addresses that none of the tenant's networks has", "%s", what)
			return false
		}
	}
	return true
}

func (c *checker) floating(s floatingSpec) {
	t := c.tenant(s.meta)
	if t == nil {
		return
	}
	f := &FloatingIP{Tenant: t.Name, Name: s.name.v, Address: s.address.v, SNAT: s.target.mode()}
	if !c.is(f.ID(), s.place) {
		return
	}
	c.uses(true, floatingIPs, s.place)
	c.uses(f.SNAT == SNATAlways, snatAlways, s.target.snat.place())
	c.tracked(t, s.meta, "a FloatingIP")
	f.Endpoint, f.IP = c.target(t, s.target, s.address)
	x := c.public(t, f.Endpoint, s.address)
	if x == nil || f.Endpoint == nil || !f.IP.IsValid() {
		return
	}
	if sub, _ := x.OnLink(f.Address); sub.Address == f.Address {
		c.bad(s.address.place(), "an SNAT or a PortForward may use it", "%v is the router's own address, and a floating IP takes all that comes", f.Address)
	}
	f.Bridge, f.External, f.Gateway = x.Bridge, x.Network, c.gatewayOf(f.Endpoint, f.IP)
	if first, twice := c.floats[f.floated()]; twice {
		c.bad(s.target.endpoint.place(), "connections could leave as either: for more addresses to come in by, write port forwards", "%v of endpoint %q has a floating IP on %q already, at %s", f.IP, f.Endpoint.Name, x.Network, lineOf(first.at))
	} else {
		c.floats[f.floated()] = s.address.place()
	}
	c.write(f.ID(), written{addresses: single(s.address), place: s.place})
	t.FloatingIPs = append(t.FloatingIPs, f)
}

// floated is an address inside, which on each network outside has one floating IP at most.
type floated struct {
	tenant  string
	ip      netip.Addr
	network string
}

func (f *FloatingIP) floated() floated { return floated{f.Tenant, f.IP, f.External} }

// single is an address as a range.
func single(a value[netip.Addr]) []value[AddrRange] {
	return []value[AddrRange]{{AddrRange{a.v, a.v}, a.at, a.path, a.set}}
}

// public returns the outside of an address that stands for an endpoint, or nil.
func (c *checker) public(t *Tenant, e *Endpoint, a value[netip.Addr]) *External {
	if !a.set || e == nil {
		return nil
	}
	if slices.Contains(e.IPs, a.v) {
		c.bad(a.place(), "take an address that is outside", "%v is the endpoint's own: it would be translated to itself", a.v)
		return nil
	}
	x := c.outside(e.Network.Bridges, a.v, a.place())
	r := AddrRange{a.v, a.v}
	if x == nil || !c.usable(x, r, a.place()) || !c.notInside(t, r, a.place()) {
		return nil
	}
	return x
}

// target returns the endpoint that something is sent to, and which address of it. Either is
// missing if it cannot be known, or is wrong.
func (c *checker) target(t *Tenant, s targetSpec, public value[netip.Addr]) (*Endpoint, netip.Addr) {
	if !s.endpoint.set {
		return nil, netip.Addr{}
	}
	e := c.endpoint[(&Endpoint{Tenant: t.Name, Name: s.endpoint.v}).ID()]
	if e == nil {
		c.stranger(t, s.endpoint)
		return nil, netip.Addr{}
	}
	if !public.set {
		return e, netip.Addr{}
	}
	a, ok := c.addressOf(e, s, public.v)
	if !ok {
		return e, netip.Addr{}
	}
	if sub, ok := c.subnetOf(e.Network, a); ok && !sub.Gateway.IsValid() {
		c.bad(s.endpoint.place(), "give it a gateway", "subnet %v of network %q has no gateway, so that nothing gets in or out", sub.CIDR, e.Network.Name)
		return e, netip.Addr{}
	}
	return e, a
}

// gatewayOf returns the gateway of the subnet of an address of e, of which target has seen to it
// that it is there.
func (c *checker) gatewayOf(e *Endpoint, a netip.Addr) netip.Addr {
	sub, _ := c.subnetOf(e.Network, a)
	return sub.Gateway
}

// mode returns what s says of the source.
func (s targetSpec) mode() SNATMode {
	if !s.snat.set {
		return SNATAuto
	}
	return SNATMode(s.snat.v)
}

// stranger says that an endpoint is not there, or is somebody else's.
func (c *checker) stranger(t *Tenant, name value[string]) {
	if c.hasEndpoint(t, name.v) {
		return // and is wrong in itself
	}
	for _, other := range c.model.tenants {
		if c.hasEndpoint(other, name.v) {
			c.bad(name.place(), fmt.Sprintf("tenant %q has one: only its own objects can name it", other.Name), "tenant %q has no endpoint %q", t.Name, name.v)
			return
		}
	}
	c.unknown(name, endpointNames(t), "tenant %q has no endpoint %q", t.Name, name.v)
}

// addressOf returns the address of e that is meant: the one that is said, or the only one
// of its family.
func (c *checker) addressOf(e *Endpoint, s targetSpec, public netip.Addr) (a netip.Addr, ok bool) {
	n := 0
	for _, ip := range e.IPs {
		if ip.Is4() == public.Is4() {
			a, n = ip, n+1
		}
	}
	switch version := versionOf(public.Is4()); {
	case s.ip.set && s.ip.v.Is4() != public.Is4():
		c.bad(s.ip.place(), "", "%v is not of the family of %v", s.ip.v, public)
	case s.ip.set && slices.Contains(e.IPs, s.ip.v):
		return s.ip.v, true
	case c.doubtful[e]:
	case s.ip.set:
		c.bad(s.ip.place(), meant(s.ip.v.String(), slices.Values(e.of(public.Is4()))), "endpoint %q does not have the address %v", e.Name, s.ip.v)
	case len(e.IPs) == 0:
		c.bad(s.endpoint.place(), "give it ips", "endpoint %q has no addresses, so that %v could stand for none", e.Name, public)
	case n == 0:
		c.bad(s.endpoint.place(), "IPv4 is not translated to IPv6", "endpoint %q has no %s address that %v could stand for", e.Name, version, public)
	case n > 1:
		fit := e.of(public.Is4())
		c.bad(s.endpoint.place(), "add ip: "+fit[0], "endpoint %q has %d %s addresses: %s", e.Name, n, version, strings.Join(fit, ", "))
	default:
		return a, true
	}
	return a, false
}

// of returns the addresses of e that are IPv4, or else IPv6, as they are written.
func (e *Endpoint) of(v4 bool) (all []string) {
	for _, ip := range e.IPs {
		if ip.Is4() == v4 {
			all = append(all, ip.String())
		}
	}
	return all
}

func (c *checker) forward(s forwardSpec) {
	t := c.tenant(s.meta)
	if t == nil {
		return
	}
	f := &PortForward{Tenant: t.Name, Name: s.name.v, Protocol: Protocol(s.protocol.v), Address: s.address.v, Ports: s.ports.v, ToPorts: s.ports.v, SNAT: s.target.mode()}
	if s.toPorts.set {
		f.ToPorts = s.toPorts.v
	}
	if !c.is(f.ID(), s.place) {
		return
	}
	c.usedByForward(f, s)
	c.tracked(t, s.meta, "a PortForward")
	c.equalPorts(f, s)
	f.Endpoint, f.IP = c.target(t, s.target, s.address)
	x := c.public(t, f.Endpoint, s.address)
	if x == nil || !f.IP.IsValid() || !s.ports.set || !s.protocol.set {
		return
	}
	f.Bridge, f.External, f.Gateway = x.Bridge, x.Network, c.gatewayOf(f.Endpoint, f.IP)
	c.write(f.ID(), written{addresses: single(s.address), ports: s.ports.place(), place: s.place})
	t.PortForwards = append(t.PortForwards, f)
}

// maxMoved bounds the ports that are forwarded to others: each is a flow, for Open vSwitch
// would choose among a range.
const maxMoved = 1024

// equalPorts checks that there are as many ports here as there.
func (c *checker) equalPorts(f *PortForward, s forwardSpec) {
	many, to := f.Ports.size(), f.ToPorts.size()
	switch {
	case !s.ports.set || !s.toPorts.set:
	case many != to:
		c.bad(s.toPorts.place(), fmt.Sprintf("write %q, or leave it out for the same ports", f.ToPorts.from(many)), "%d ports cannot be forwarded to %d", many, to)
	case many > maxMoved && f.Ports != f.ToPorts:
		c.bad(s.toPorts.place(), "leave it out for the same ports, or forward fewer", "%d ports are forwarded to others, and at most %d can be", many, maxMoved)
	}
}

// size returns how many ports there are.
func (p PortRange) size() int { return int(p.Hi) - int(p.Lo) + 1 }

// from returns n ports from p's first on, or up to the last that there is.
func (p PortRange) from(n int) string {
	lo := min(int(p.Lo), 65536-n)
	if n == 1 {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, lo+n-1)
}

// lineOf is a place in a sentence.
func lineOf(at Position) string { return fmt.Sprintf("%s:%d", at.File, at.Line) }
