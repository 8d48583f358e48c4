package pipeline

import (
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// A Neighbour is a host on the link of an outside, and the MAC address that it has said. Zero:
// it is to be asked.
type Neighbour struct {
	External intent.ID
	Address  netip.Addr
	MAC      intent.MAC
}

// A Presence is addresses that a router answers for on a link: which port leads there, and the
// MAC address that it has on it.
type Presence struct {
	Port   uint32 // OpenFlow port
	MAC    intent.MAC
	Prefix netip.Prefix
}

// neighbours returns those of the neighbours that are on the bridge's outsides.
func (in Input) neighbours(outsides []ExternalSite) (some []Neighbour) {
	for _, n := range in.Facts.Neighbours {
		if slices.ContainsFunc(outsides, func(x ExternalSite) bool { return x.ID() == n.External }) {
			some = append(some, n)
		}
	}
	return some
}

// Outsides returns the outsides of the bridge whose port is there.
func (in Input) Outsides() []ExternalSite {
	b := in.bridge()
	if b == nil || len(b.Externals) == 0 {
		return nil
	}
	all, _ := in.externals(b, byBinding(in.Facts.Ports))
	return slices.DeleteFunc(all, func(x ExternalSite) bool { return x.Port == 0 })
}

// NeighboursIn reads neighbours off the flows of a bridge: it is the memory, so that a daemon
// that is started anew does not take away what it knew before.
func NeighboursIn(flows []ofproto.Flow, n Numbers) (all []Neighbour) {
	for _, f := range flows {
		tag, owned := TagOf(f.Cookie)
		id, known := n.Origin(tag)
		if f.Table != Neigh || !owned || !known || !strings.Contains(string(id), "/external/") {
			continue
		}
		external, a := neighbourOf(id, f.Match)
		if mac, ok := macIn(f); ok && a.IsValid() {
			all = append(all, Neighbour{external, a, mac})
		}
	}
	return all
}

// neighbourOf returns whom a flow of an outside, or of a next hop there, is for.
func neighbourOf(id intent.ID, m ofproto.Match) (external intent.ID, a netip.Addr) {
	if name, hop, is := strings.Cut(string(id), "/nexthop/"); is {
		a, _ = netip.ParseAddr(hop) // not valid, if it is none
		return intent.ID(name), a
	}
	for _, c := range m {
		switch c.Field {
		case ofproto.IPv4Dst:
			a = netip.AddrFrom4([4]byte(c.Value[12:]))
		case ofproto.IPv6Dst:
			a = netip.AddrFrom16(c.Value)
		}
	}
	return id, a
}

// macIn returns the MAC address to which f sends.
func macIn(f ofproto.Flow) (mac intent.MAC, ok bool) {
	for _, a := range f.Actions {
		if set, is := a.(ofproto.SetField); is && set.Field == ofproto.EthDst {
			return intent.MAC(set.Value[10:]), true
		}
	}
	return mac, false
}
