package reference

import (
	"net/netip"
	"slices"

	"weir/intent"
)

// A Mapping is what a tracker has made of a connection in one tenant.
type Mapping struct {
	Src     netip.Addr // as its receiver sees it
	Dst     netip.Addr
	DstPort uint16
	As      intent.ID        // what its label says that it was opened to
	Both    bool             // its receiver sees its gateway
	Keep    bool             // its policy wants it to live on
	Shared  bool             // Src is an address that tenants share,
	Range   intent.AddrRange // of these, which are told apart together
	Leaves  intent.ID        // as what it leaves to a backend outside; empty: it does not go there, or leaves as itself
}

// Keeps reports whether a connection that p has opened is to go on: policy has nothing against
// it, or wants it kept; what it was aimed at is still what its destination stands for; and
// something still translates its sender to the address that it has. What would translate a new
// one does not matter.
func (r Router) Keeps(p Packet, x *intent.External, m Mapping) bool {
	t := r.tenantOf(p, x)
	if t == nil || x != nil && Inside(t, p.Src) || p.From != nil && !MayBe(t, p.From, p.Src) {
		return false
	}
	w := r.stands(t, p, m)
	if w.Seen.Dst != m.Dst || w.Seen.DstPort != m.DstPort || m.Both && !w.Both {
		return false
	}
	q := p
	q.To, q.Dst, q.DstPort = owner(t, m.Dst), m.Dst, m.DstPort
	state := OldOriginal
	if m.Keep {
		state = OldKept
	}
	switch {
	case q.To != nil && !LeadsTo(q.To, q.Dst), q.To == nil && x != nil && m.Leaves == "":
		return false
	case !r.judge(t, q, p, state).Passes():
		return false
	}
	return q.To != nil || publishes(t, p.Dst, m.Src) || x == nil && r.mayBe(t, q, m)
}

// publishes reports whether what goes to backends outside by the load balancers of t at an address outside
// leaves as that.
func publishes(t *intent.Tenant, at, as netip.Addr) bool {
	return at == as && slices.ContainsFunc(BalancersAt(t, at), func(l *intent.LoadBalancer) bool {
		return !l.Inside() && l.SNAT != intent.SNATNever && slices.ContainsFunc(l.Backends, intent.Backend.Outside)
	})
}

// stands is aim for a connection that there is: to a port of a load balancer, whichever backend
// it has.
func (r Router) stands(t *intent.Tenant, p Packet, m Mapping) Way {
	w := r.aim(t, p)
	l, port := r.serving(t, p)
	if w.As == "" && l != nil && m.As == serviceOf(l, port) {
		w.As, w.Both, w.Seen.Dst, w.Seen.DstPort = m.As, l.SNAT == intent.SNATAlways, m.Dst, m.DstPort
	}
	return w
}

// mayBe reports whether something translates who sends p, which is for whom it has been given to, to an address, or
// lets it leave with its own.
func (r Router) mayBe(t *intent.Tenant, p Packet, m Mapping) bool {
	as := m.Src
	if as == p.Src && slices.ContainsFunc(r.Bridge.Externals, func(x *intent.External) bool { return PublicAt(t, x, as) != nil }) {
		return true
	}
	if slices.ContainsFunc(t.FloatingIPs, func(f *intent.FloatingIP) bool { return f.IP == p.Src && f.Address == as }) {
		return true
	}
	return slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool {
		if as == p.Src {
			return translates(s, p) && exempts(t, s, p)
		}
		return s.Shared == m.Shared && translates(s, p) && slices.ContainsFunc(s.Pools, func(pool intent.Pool) bool {
			return slices.ContainsFunc(pool.Ranges, func(r intent.AddrRange) bool { return r.Contains(as) && (!m.Shared || r == m.Range) })
		})
	})
}
