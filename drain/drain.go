// Package drain says what becomes of the connections of a load balancer when its backends
// change. No flow asks that: a connection goes on to the backend that it was given, whatever
// has become of it. So those that have to end are looked for in the connection tracker, by
// who answers them, and are forgotten there one by one; what a load balancer gives to others
// is not touched, and nothing has to be judged again.
//
// A backend that is no longer to have new connections drains: those that it has may go on
// until a deadline. One that has failed can do nothing with them. What has to be remembered
// for that is since when a backend has been so (Ledger, Since); all else is read from the tracker
// each time, so that a restart loses nothing.
//
// The package has no clock and reads nothing: it is given the time and what was read.
package drain

import (
	"net/netip"
	"slices"
	"strings"

	"weir/apps/pipeline"
	"weir/intent"
)

// A State is what a backend is to its load balancer.
type State string

// The states of a backend.
const (
	Serving  State = "serving"  // it gets new connections
	Draining State = "draining" // it has weight 0
	Removed  State = "removed"  // it is not listed
	Failed   State = "failed"   // it is listed, and was found not to be well
)

// A Key names a backend as the connections of one port of a load balancer know it.
type Key struct {
	Service  intent.ID // the load balancer
	Protocol uint8     // IP protocol
	Port     uint16    // the load balancer's
	Backend  netip.AddrPort
}

// Weights are weights in force, by load balancer and by address and own port of a backend, where
// they are others than the declared ones. It is zero and the declared one is not if the backend
// has failed.
type Weights map[intent.ID]map[netip.AddrPort]uint16

// Services are the load balancers of a tenant, with the weights in force.
type Services struct {
	numbers pipeline.Numbers
	byID    map[intent.ID]service
}

type service struct {
	*intent.LoadBalancer
	weights map[netip.AddrPort]uint16
}

// ServicesOf returns the load balancers of a tenant.
func ServicesOf(t *intent.Tenant, n pipeline.Numbers, w Weights) Services {
	s := Services{n, make(map[intent.ID]service, len(t.LoadBalancers))}
	for _, l := range t.LoadBalancers {
		id := l.ID()
		s.byID[id] = service{l, w[id]}
	}
	return s
}

// KeyOf returns the key of a backend.
func KeyOf(l *intent.LoadBalancer, p intent.LBPort, b intent.Backend) Key {
	return Key{l.ID(), protocols[p.Protocol], p.Port, netip.AddrPortFrom(b.IP, b.Target(p))}
}

const sctp = 132 // IANA

var protocols = map[intent.Protocol]uint8{intent.TCP: pipeline.ProtoTCP, intent.UDP: pipeline.ProtoUDP, intent.SCTP: sctp}

func (l service) state(b intent.Backend) State { return StateOf(b, l.weights) }

// StateOf returns what a backend is that is listed, by the weights in force of its load balancer.
func StateOf(b intent.Backend, weights map[netip.AddrPort]uint16) State {
	weight, other := weights[netip.AddrPortFrom(b.IP, b.Port)]
	switch {
	case b.Weight == 0:
		return Draining
	case other && weight == 0:
		return Failed
	}
	return Serving
}

// idle returns the backends that are listed and not serving.
func (s Services) idle() map[Key]State {
	some := map[Key]State{}
	for _, l := range s.byID {
		for _, b := range l.Backends {
			if state := l.state(b); state != Serving {
				for _, p := range l.Ports {
					some[KeyOf(l.LoadBalancer, p, b)] = state
				}
			}
		}
	}
	return some
}

// Backend returns the backend that a connection was given, and what it is by now. There is none
// if no load balancer of the tenant has made the connection, or not with a port that it has:
// such a connection is its policy's to end.
func (s Services) Backend(c pipeline.Connection) (Key, State, bool) {
	id, known := s.numbers.Origin(c.Object)
	if !known || c.Object == 0 {
		return Key{}, "", false
	}
	l, there := s.byID[serviceOf(id)]
	if !there || c.Orig.Dst != l.Address {
		return Key{}, "", false
	}
	k := Key{serviceOf(id), c.Protocol, c.Orig.DstPort, netip.AddrPortFrom(c.Reply.Src, c.Reply.SrcPort)}
	if k.Protocol == sctp && k.Port == 0 { // the datapath knows no more
		k = l.portless(k)
	}
	return s.of(k)
}

// portless returns the key of a backend of SCTP of which only the address is known: then the load
// balancer has one port of it, and the backend the same.
func (l service) portless(k Key) Key {
	for _, p := range l.Ports {
		if protocols[p.Protocol] == sctp {
			k.Port, k.Backend = p.Port, netip.AddrPortFrom(k.Backend.Addr(), p.Port)
		}
	}
	return k
}

// of returns what a backend is by now, if its load balancer has its port.
func (s Services) of(k Key) (Key, State, bool) {
	l := s.byID[k.Service]
	if l.LoadBalancer == nil {
		return Key{}, "", false
	}
	i := slices.IndexFunc(l.Ports, func(p intent.LBPort) bool { return protocols[p.Protocol] == k.Protocol && p.Port == k.Port })
	if i < 0 {
		return Key{}, "", false
	}
	for _, b := range l.Backends {
		if b.IP == k.Backend.Addr() && b.Target(l.Ports[i]) == k.Backend.Port() {
			return k, l.state(b), true
		}
	}
	return k, Removed, true
}

// serviceOf returns the load balancer of what has a number for it: of itself, or of a port.
func serviceOf(id intent.ID) intent.ID {
	parts := strings.SplitN(string(id), "/", 4)
	return intent.ID(strings.Join(parts[:min(len(parts), 3)], "/"))
}

// Settles reports whether nothing has to be looked at when s becomes t: no backend is anything else
// that was listed, those that are new serve, and no load balancer says anything else of
// what becomes of connections. One that is new has none, and those of one that is gone are its policy's to end.
func (s Services) Settles(t Services) bool {
	for id, m := range t.byID {
		l, known := s.byID[id]
		same := l.LoadBalancer == m.LoadBalancer && len(l.weights)+len(m.weights) == 0
		if known && !same && !l.settles(m) {
			return false
		}
	}
	return true
}

func (l service) settles(m service) bool {
	if l.Drain != m.Drain || l.Stale != m.Stale || l.Address != m.Address || !slices.Equal(l.Ports, m.Ports) {
		return false
	}
	was := l.listed()
	for at, state := range m.listed() {
		before, known := was[at]
		if known && before != state || !known && state != Serving {
			return false
		}
		delete(was, at)
	}
	return len(was) == 0
}

// listed returns what those are that are listed, by their addresses and own ports.
func (l service) listed() map[netip.AddrPort]State {
	all := make(map[netip.AddrPort]State, len(l.Backends))
	for _, b := range l.Backends {
		all[netip.AddrPortFrom(b.IP, b.Port)] = l.state(b)
	}
	return all
}
