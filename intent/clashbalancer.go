package intent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// A spot is an address where it stands for something: on a network outside, or in one of a
// tenant's.
type spot struct {
	where   string // the outside's network, or the ID of the tenant's
	address netip.Addr
}

// spot returns where the address of l is; ok is false if that is not known.
func (l *LoadBalancer) spot() (s spot, ok bool) {
	if l.Inside() {
		return spot{string(l.Network.ID()), l.Address}, true
	}
	return spot{l.External, l.Address}, l.External != ""
}

// balancerClaims appends one claim for each address outside that load balancers of t have.
func (t *Tenant) balancerClaims(all []claim) []claim {
	known := map[spot]bool{}
	for _, l := range t.LoadBalancers {
		s, ok := l.spot()
		if !ok || l.Inside() || known[s] {
			continue
		}
		known[s] = true
		all = append(all, claim{id: l.ID(), tenant: t.Name, network: l.External, AddrRange: AddrRange{l.Address, l.Address}, kind: toBalance})
	}
	return all
}

// A listener is ports of an address that are sent to somebody.
type listener struct {
	spot
	id       ID
	bridge   string // of one outside
	protocol Protocol
	ports    PortRange
}

// listeners returns what listens in m.
func (m *Model) listeners() (all []listener) {
	for _, t := range m.tenants {
		for _, f := range t.PortForwards {
			all = append(all, listener{spot{f.External, f.Address}, f.ID(), f.Bridge, f.Protocol, f.Ports})
		}
		for _, l := range t.LoadBalancers {
			s, ok := l.spot()
			for _, p := range l.Ports {
				if ok {
					all = append(all, listener{s, l.ID(), l.Bridge, p.Protocol, PortRange{p.Port, p.Port}})
				}
			}
		}
	}
	return all
}

// colliding returns ports that another one has already.
func colliding(all []listener) (found []clash) {
	slices.SortFunc(all, func(a, b listener) int {
		return cmp.Or(cmp.Compare(a.where, b.where), a.address.Compare(b.address), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.ports.Lo, b.ports.Lo), cmp.Compare(a.id, b.id))
	})
	var before listener // the one that reaches highest
	for i, f := range all {
		if i > 0 && f.spot == all[i-1].spot && f.bridge != all[i-1].bridge {
			found = append(found, f.elsewhere(all[i-1]))
		}
		same := before.spot == f.spot && before.protocol == f.protocol
		if same && before.ports.overlaps(f.ports) {
			found = append(found, f.collides(before))
		}
		if !same || f.ports.Hi > before.ports.Hi {
			before = f
		}
	}
	return found
}

// elsewhere says that f and b have an address that only one bridge can answer for.
func (f listener) elsewhere(b listener) clash {
	return clash{a: b.id, b: f.id, address: f.address, hint: "take another address on one of them", say: func(other string) string {
		return fmt.Sprintf("one bridge answers for %v, and these are on %s and on %s: the other is %s", f.address, b.bridge, f.bridge, other)
	}}
}

// collides says that f has ports that b has.
func (f listener) collides(b listener) clash {
	both := PortRange{max(b.ports.Lo, f.ports.Lo), min(b.ports.Hi, f.ports.Hi)}
	return clash{a: b.id, b: f.id, address: f.address, field: inPorts, protocol: f.protocol, port: both.Lo, hint: "take other ports, or another address", say: func(other string) string {
		return fmt.Sprintf("%s port %v of %v is forwarded already, by %s", f.protocol, both, f.address, other)
	}}
}

// loops returns backends that are the address of another load balancer, by which a connection
// would be sent on once more, perhaps for ever. An endpoint's address is none.
func (m *Model) loops() (all []clash) {
	var stand map[spot]ID
	for _, t := range m.tenants {
		for _, l := range t.LoadBalancers {
			for _, b := range l.Backends {
				if b.Endpoint != nil {
					continue
				}
				if stand == nil {
					stand = m.balanced()
				}
				if id, ok := stand[b.spot()]; ok {
					all = append(all, l.loop(b, id))
				}
			}
		}
	}
	return all
}

// balanced returns the addresses of load balancers. Those outside, and those in a network that is
// reached from there, are of one network too, for it does not matter by which way a connection goes
// out.
func (m *Model) balanced() map[spot]ID {
	stand := map[spot]ID{}
	for _, t := range m.tenants {
		for _, l := range t.LoadBalancers {
			s, ok := l.spot()
			if !ok {
				continue
			}
			if l.Inside() {
				stand[s] = l.ID()
			}
			if !l.Inside() || m.routed(l) {
				stand[spot{"", l.Address}] = l.ID()
			}
		}
	}
	return stand
}

// routed reports whether the address of l is in a prefix that others route to a bridge of its
// network.
func (m *Model) routed(l *LoadBalancer) bool {
	return slices.ContainsFunc(m.bridges, func(b *Bridge) bool {
		return l.isOn(b.Name) && slices.ContainsFunc(b.Externals, func(x *External) bool { return inSome(x.Prefixes, l.Address) })
	})
}

// spot returns where the address of a backend is.
func (b Backend) spot() spot {
	if b.Network == nil {
		return spot{"", b.IP}
	}
	return spot{string(b.Network.ID()), b.IP}
}

// loop says that backend b of l is the address of another one, whatever was written first.
func (l *LoadBalancer) loop(b Backend, id ID) clash {
	return clash{a: id, b: l.ID(), address: b.IP, field: inBackends, hint: "name those that serve", say: func(other string) string {
		return fmt.Sprintf("%v is the address of %s: a load balancer is no backend of another", b.IP, other)
	}}
}

// listening is a port with the place where it is written.
type listening struct {
	protocol Protocol
	port     uint16
	at       place
}
