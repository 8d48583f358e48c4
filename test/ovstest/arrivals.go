package ovstest

import (
	"maps"
	"net/netip"
	"slices"

	"weir/intent"
	"weir/internal/reference"
	"weir/quirk"
)

// holdArrivals fails the test if something came to a host to begin a connection that the reference lets nobody send there.
func (n *Net) holdArrivals(verdicts map[reference.Frame]verdict) {
	n.T.Helper()
	missing := map[reference.Frame]bool{}
	spoken := n.seen.spoken()
	for f, at := range n.seen.come {
		if f.Piece != 0 || f.Kind != 0 || f.For[0]&1 == 1 || n.asked(f) {
			continue
		}
		first, before := spoken[answerTo(f)]
		if f.Opens || f.Protocol == reference.UDP && (!before || first > at) {
			missing[f] = true
		}
	}
	for f, v := range verdicts {
		if len(missing) == 0 {
			return
		}
		for _, a := range v.arrives {
			n.seen.strike(missing, f, a)
		}
		if v.freely {
			maps.DeleteFunc(missing, func(c reference.Frame, _ bool) bool { return c.Protocol == f.Protocol && c.DstPort == f.DstPort })
		}
	}
	for f := range missing {
		if n.collided(f) {
			continue
		}
		n.T.Errorf("to %s has come what the reference lets nobody send there: %s", f.Port, told(f))
	}
}

// A said is a datagram of a host.
type said struct {
	port     string
	src, dst netip.AddrPort
}

// answerTo is what a host says that answers f, or that f answers.
func answerTo(f reference.Frame) said {
	return said{f.Port, netip.AddrPortFrom(f.Dst, f.DstPort), netip.AddrPortFrom(f.Src, f.SrcPort)}
}

// spoken returns what hosts have said by UDP, and when first.
func (s *sighting) spoken() map[said]int {
	all := map[said]int{}
	for f, c := range s.sent {
		if f.Protocol != reference.UDP || f.Kind != 0 {
			continue
		}
		key := said{f.Port, netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort)}
		if first, is := all[key]; !is || c.first < first {
			all[key] = c.first
		}
	}
	return all
}

// strike strikes those off that may be f as it arrives. Its port may be another one then, where that was taken.
func (s *sighting) strike(missing map[reference.Frame]bool, f reference.Frame, a reference.Arrival) {
	for c := range missing {
		here := c.Port == a.Port || c.Port == a.IfaceID
		same := c.Protocol == f.Protocol && c.Type == f.Type && c.Code == f.Code && c.Dst == s.classes.Addr(a.Dst) && c.DstPort == s.classes.Port(a.DstPort)
		if here && same && slices.ContainsFunc(a.Sources, func(r intent.AddrRange) bool { return r.Contains(c.Src) || s.classes.Addr(r.Lo) == c.Src }) {
			delete(missing, c)
		}
	}
}

// asked reports whether f may be Weir's own: a question how a backend is, or one that finds out what an end of a connection
// expects, so that it can be reset (RFC 5961, 4).
func (n *Net) asked(f reference.Frame) bool {
	return slices.ContainsFunc(n.Weir.judge.models, func(m *intent.Model) bool {
		return slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool {
			return slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return asks(l, f) })
		})
	})
}

// collided reports whether f may be what a load balancer's commit could not translate, for another connection of its sender has
// the same answers: versions that have this quirk hand it over as it was, and whoever gets it does not know the address.
func (n *Net) collided(f reference.Frame) bool {
	return n.Has(quirk.IdentityNAT) && slices.ContainsFunc(n.Weir.judge.models, func(m *intent.Model) bool {
		return slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool {
			return slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.Address == f.Dst })
		})
	})
}

func asks(l *intent.LoadBalancer, f reference.Frame) bool {
	resets := l.Stale == intent.StaleReset
	return resets && f.Src == l.Address || slices.ContainsFunc(l.Backends, func(b intent.Backend) bool {
		return b.IP == f.Dst && (resets || (l.Health != nil || l.Load != nil) && l.Asker(b) == f.Src)
	})
}
