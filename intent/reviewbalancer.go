package intent

import (
	"net/netip"
	"slices"
)

// balancers notes what of a tenant's load balancers is probably not meant.
func (v *review) balancers(t *Tenant) {
	for _, l := range t.LoadBalancers {
		v.nobodyServes(l)
		v.smallShare(l)
		v.selectsNobody(t, l)
		v.asksTooOften(l)
		v.fewClients(t, l)
		v.beyond(t, l)
		v.notLetIn(t, l)
		for _, b := range l.Backends {
			if b.Endpoint == nil && b.Network != nil {
				v.note(l.ID(), "spec.backends", "make it an endpoint", "%v is in network %q, and is no endpoint's: the router finds endpoints alone, and nobody gets through", b.IP, b.Network.Name)
			}
		}
	}
}

// nobodyServes notes a load balancer that nobody, or one alone, is behind.
func (v *review) nobodyServes(l *LoadBalancer) {
	serve := slices.DeleteFunc(slices.Clone(l.Backends), func(b Backend) bool { return b.Weight == 0 })
	switch {
	case len(l.Backends) == 0 && len(l.Selects) == 0:
		v.note(l.ID(), "spec.backends", "", "are none: nobody gets through")
	case len(l.Backends) > 0 && len(serve) == 0:
		v.note(l.ID(), "spec.backends", "", "all have weight 0: no new connection gets through")
	case len(serve) == 1 && l.Health != nil:
		v.note(l.ID(), "spec.backends", "", "%s gets all connections: there is nobody to take over when it fails", serve[0].name())
	case len(serve) == 1:
		v.note(l.ID(), "spec.backends", "", "%s gets all connections: there is nobody to share them", serve[0].name())
	}
}

// smallShare notes a weight that is less than half of the least share that hash can give, which is
// one of 256.
func (v *review) smallShare(l *LoadBalancer) {
	sum := 0
	for _, b := range l.Backends {
		sum += int(b.Weight)
	}
	for _, b := range l.Backends {
		if l.Algorithm == Hash && b.Weight > 0 && 2*maxBackends*int(b.Weight) < sum {
			v.note(l.ID(), "spec.backends", "write 0 for no new connections", "%s has %d of %d, and gets a %dth of all: there is no smaller share", b.name(), b.Weight, sum, maxBackends)
			return
		}
	}
}

// selectsNobody notes labels that nobody has.
func (v *review) selectsNobody(t *Tenant, l *LoadBalancer) {
	for _, s := range l.Selects {
		if slices.ContainsFunc(l.Backends, func(b Backend) bool { return b.Endpoint != nil && s.fitsLabels(b.Endpoint) }) {
			continue
		}
		switch all := selectionOf(t, s); {
		case all.nobody():
			v.note(l.ID(), "spec.backends", hintFor(t, s), "selects nobody: %s", absent(s))
		case !slices.ContainsFunc(all.endpoints, func(e *Endpoint) bool { return e.has(l.Address.Is4()) }):
			v.note(l.ID(), "spec.backends", "", "selects nobody: no endpoint with %s has an %s address", labelText(s.Labels), versionOf(l.Address.Is4()))
		}
	}
}

// has reports whether e has an address of IPv4, or else IPv6.
func (e *Endpoint) has(v4 bool) bool {
	return slices.ContainsFunc(e.IPs, func(a netip.Addr) bool { return a.Is4() == v4 })
}

// asksTooOften notes checks that overlap.
func (v *review) asksTooOften(l *LoadBalancer) {
	if h := l.Health; h != nil && h.Interval < h.Timeout {
		v.note(l.ID(), "spec.health", "", "asks every %v, and waits %v for an answer: several questions will be open at a time", h.Interval, h.Timeout)
	}
}

// fewClients notes a choice by the client's address where many clients have one.
func (v *review) fewClients(t *Tenant, l *LoadBalancer) {
	if l.Algorithm != SourceIP || l.Inside() {
		return
	}
	for _, other := range v.model.tenants {
		for _, s := range other.SNATs {
			if other != t && len(s.PoolsOn(l.Bridge, l.External)) > 0 {
				v.note(l.ID(), "spec.algorithm", "write hash or consistent if that is too few", "all who come by the same address of %s, at %s, get to one backend", s.ID(), v.place(s.ID()))
				return
			}
		}
	}
}

// beyond notes backends outside to which some clients do not get.
func (v *review) beyond(t *Tenant, l *LoadBalancer) {
	i := slices.IndexFunc(l.Backends, Backend.Outside)
	switch {
	case i < 0:
	case l.Inside() && !t.leavesFrom(l):
		v.note(l.ID(), "spec.backends", "write an SNAT, by which such connections leave", "%v is outside, and nothing says as whom clients leave for there: only those get to it that have a floating IP, or addresses that are known outside", l.Backends[i].IP)
	case !l.Inside() && l.SNAT == SNATNever:
		v.note(l.ID(), "spec.snat", "write auto", "%v is outside, and is to see the client, whose answers would not come back by this side: clients outside do not get to it", l.Backends[i].IP)
	case !l.Inside():
		v.acrossTwice(t, l)
	}
}

// leavesFrom reports whether something says as whom clients of l leave for the outside, if not each for
// itself: an SNAT, or that their addresses are known there.
func (t *Tenant) leavesFrom(l *LoadBalancer) bool {
	return slices.ContainsFunc(t.SNATs, func(s *SNAT) bool {
		return slices.ContainsFunc(s.Pools, func(p Pool) bool { return p.Is4() == l.Address.Is4() && l.isOn(p.Bridge) })
	})
}

// acrossTwice notes backends that are somebody's on the bridge: what comes from another tenant of it goes to
// no third one.
func (v *review) acrossTwice(t *Tenant, l *LoadBalancer) {
	for _, other := range v.model.tenants {
		for _, b := range l.Backends {
			if other != t && b.Outside() && other.publicAt(b.IP) != "" {
				v.note(l.ID(), "spec.backends", "", "%v is that of %s, on the same bridge: clients of other tenants there do not get to it", b.IP, other.publicAt(b.IP))
				return
			}
		}
	}
}

// notLetIn notes a port through which no backend can be reached: policies judge the backend's own
// port, and most are written for the load balancer's.
func (v *review) notLetIn(t *Tenant, l *LoadBalancer) {
	if t.Mode != Enforce || t.Ingress != Deny {
		return
	}
	for _, p := range l.Ports {
		behind := func(lets func(b Backend) bool) bool {
			return slices.ContainsFunc(l.Backends, func(b Backend) bool { return b.Endpoint == nil || lets(b) })
		}
		in := func(port func(b Backend) uint16) bool {
			return behind(func(b Backend) bool { return t.admitsTo(b.Endpoint, l, p.Protocol, port(b)) })
		}
		switch target := func(b Backend) uint16 { return b.Target(p) }; {
		case len(l.Backends) == 0 || in(target):
		case in(func(Backend) uint16 { return p.Port }):
			v.note(l.ID(), "spec.ports", "policies judge the backend's own port: write that there", "nobody gets through to %s port %d: no rule lets anybody in to the port that it becomes", p.Protocol, p.Port)
		default:
			v.note(l.ID(), "spec.ports", "add a rule that does", "nobody gets through to %s port %d: no rule lets anybody in to that of a backend", p.Protocol, p.Port)
		}
	}
}

// admitsTo reports whether some rule of t may let a client of l in to a port of e. Clients of
// an address in a network may be endpoints, those of one outside are not.
func (t *Tenant) admitsTo(e *Endpoint, l *LoadBalancer, p Protocol, port uint16) bool {
	ports := PortRange{port, port}
	lets := func(r *Rule) bool {
		return r.Direction == Ingress && (r.Action == Allow || r.Action == Stateless) && (r.Protocol == AnyProtocol || r.Protocol == p) &&
			(len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, ports.overlaps)) && (l.Inside() || r.Peer.admitsOutside(l.Address.Is4()))
	}
	return slices.ContainsFunc(t.Policies, func(p *Policy) bool {
		return p.AppliesTo.Selects(e) && slices.ContainsFunc(p.Rules, lets)
	})
}

// admitsOutside reports whether s may select somebody outside who speaks IPv4, or else IPv6.
func (s Selector) admitsOutside(v4 bool) bool {
	return s.Empty() || slices.ContainsFunc(s.Prefixes(), func(p netip.Prefix) bool { return p.Addr().Is4() == v4 })
}
