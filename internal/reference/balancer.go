package reference

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/intent"
)

// What is for a port of a load balancer's address is for one of its backends, any that has a
// weight. Which one is the datapath's to say: so the reference is asked for each.

// Backends returns those of which one gets p, as a router that it is sent to may choose. There
// are none if p is not for a load balancer, or for one that nobody serves.
func (r Router) Backends(p Packet, x *intent.External) (all []intent.Backend) {
	for _, t := range r.Model.Tenants() {
		if l, _ := r.serving(t, p); l != nil && (!l.Inside() || p.From != nil && p.From.Tenant == t.Name || r.reached(t, p, x)) {
			all = append(all, usable(l)...)
		}
	}
	return all
}

// reached reports whether p comes to an address of a public network of t from somebody who is not in t.
func (r Router) reached(t *intent.Tenant, p Packet, x *intent.External) bool {
	if p.From != nil {
		x, _ = r.wayOf(p)
	}
	return x != nil && PublicAt(t, x, p.Dst) != nil
}

// usable are the backends that get new connections.
func usable(l *intent.LoadBalancer) []intent.Backend {
	return slices.DeleteFunc(slices.Clone(l.Backends), func(b intent.Backend) bool { return b.Weight == 0 })
}

// serving returns the load balancer of t for a port of which p is.
func (r Router) serving(t *intent.Tenant, p Packet) (*intent.LoadBalancer, intent.LBPort) {
	for _, l := range BalancersAt(t, p.Dst) {
		for _, port := range l.Ports {
			if number, _ := port.Protocol.Number(); number == p.Protocol && port.Port == p.DstPort {
				return l, port
			}
		}
	}
	return nil, intent.LBPort{}
}

// BalancersAt returns the load balancers of t that have an address. What is not tracked is not
// sent to one.
func BalancersAt(t *intent.Tenant, a netip.Addr) (all []*intent.LoadBalancer) {
	for _, l := range t.LoadBalancers {
		if l.Address == a && t.Mode != intent.Off {
			all = append(all, l)
		}
	}
	return all
}

// balance aims what is for a load balancer at the backend that r chooses. It reports whether
// something is at the address, but nobody at the port, who would get it; told is whether the sender
// hears of that.
func (r Router) balance(t *intent.Tenant, p Packet, w *Way) (nobody, told bool) {
	at := BalancersAt(t, p.Dst)
	l, port := r.serving(t, p)
	switch {
	case w.As != "" || len(at) == 0: // a forward's
		return false, false
	case l == nil:
		return true, false
	}
	all := usable(l)
	if len(all) == 0 {
		return true, l.WhenEmpty == intent.EmptyReject && t.Mode == intent.Enforce
	}
	b := all[0]
	if i := slices.IndexFunc(all, func(b intent.Backend) bool { return b.IP == r.Backend.IP && b.Port == r.Backend.Port }); i >= 0 {
		b = all[i]
	}
	w.As, w.Both = serviceOf(l, port), l.SNAT == intent.SNATAlways
	w.Seen.Dst, w.Seen.DstPort = b.IP, b.Target(port)
	if l.Inside() {
		w.Link = linkOf(l)
	}
	if b.Network == nil { // outside, where it sees the address as which that is left
		w.by, w.Both = l, false
	}
	return false, false
}

// linkOf returns the subnet of a load balancer's address, if that has no gateway.
func linkOf(l *intent.LoadBalancer) intent.Subnet {
	for _, s := range l.Network.Subnets {
		if s.CIDR.Contains(l.Address) && !s.Gateway.IsValid() {
			return s
		}
	}
	return intent.Subnet{}
}

// asBalancer returns what a packet to a backend outside leaves as by an outside: its load balancer, if the
// address of that is there, and the source is to be another one.
func asBalancer(l *intent.LoadBalancer, p Packet, x *intent.External) (*intent.LoadBalancer, bool) {
	return l, l != nil && l.SNAT != intent.SNATNever && l.Bridge == x.Bridge && l.External == x.Network && p.Src != l.Address
}

// serviceOf names a port of a load balancer.
func serviceOf(l *intent.LoadBalancer, p intent.LBPort) intent.ID {
	return l.ID() + intent.ID(fmt.Sprintf("/%s/%d", p.Protocol, p.Port))
}

// ReachesItself reports whether an address is one of an endpoint that gets what it sends to
// itself: all do that something stands for, but a load balancer that says snat: never.
func ReachesItself(t *intent.Tenant, a netip.Addr) bool {
	return slices.ContainsFunc(t.FloatingIPs, func(f *intent.FloatingIP) bool { return f.IP == a }) ||
		slices.ContainsFunc(t.PortForwards, func(f *intent.PortForward) bool { return f.IP == a }) ||
		slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool {
			return l.SNAT != intent.SNATNever && slices.ContainsFunc(l.Backends, func(b intent.Backend) bool { return b.IP == a })
		})
}
