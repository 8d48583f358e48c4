package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// An Installed is to which backends the load balancers of a bridge send what is new, as the bridge
// says itself. It never changes.
type Installed struct {
	groups map[uint32][]netip.AddrPort // by number
	flows  map[uint32][]netip.AddrPort // by the tag of the load balancer
}

// InstalledIn reads what is in a bridge.
func InstalledIn(t ofproto.Tables) *Installed {
	i := &Installed{map[uint32][]netip.AddrPort{}, map[uint32][]netip.AddrPort{}}
	for _, g := range t.Groups {
		for _, b := range g.Buckets {
			if to, ok := written(b.Actions); ok {
				i.groups[g.ID] = append(i.groups[g.ID], to)
			}
		}
	}
	for _, f := range t.Flows {
		if f.Table != LBSlot && (f.Table != LBVIP || f.Priority != Balancing) {
			continue
		}
		if tag, owned := TagOf(f.Cookie); owned {
			if to, ok := written(f.Actions); ok && !slices.Contains(i.flows[tag], to) {
				i.flows[tag] = append(i.flows[tag], to)
			}
		}
	}
	return i
}

// written returns the destination that actions write, whose port is zero where they leave it.
func written(actions []ofproto.Action) (to netip.AddrPort, ok bool) {
	for _, a := range actions {
		s, is := a.(ofproto.SetField)
		if !is {
			continue
		}
		switch s.Field {
		case ofproto.IPv4Dst:
			to, ok = netip.AddrPortFrom(netip.AddrFrom4([4]byte(s.Value[12:])), to.Port()), true
		case ofproto.IPv6Dst:
			to, ok = netip.AddrPortFrom(netip.AddrFrom16(s.Value), to.Port()), true
		case ofproto.TCPDst, ofproto.UDPDst, ofproto.SCTPDst:
			to = netip.AddrPortFrom(to.Addr(), uint16(s.Value.Uint64()))
		}
	}
	return to, ok
}

// Has reports whether connections of some port of a load balancer are sent to a backend.
func (i *Installed) Has(n Numbers, l *intent.LoadBalancer, b intent.Backend) bool {
	for _, p := range l.Ports {
		target := b.Target(p)
		if target == p.Port {
			target = 0 // it is not written
		}
		at := netip.AddrPortFrom(b.IP, target)
		if slices.Contains(i.groups[n.Group(ServiceID(l, p))], at) || slices.Contains(i.flows[n.Tag(l.ID())], at) {
			return true
		}
	}
	return false
}
