package pipeline

import (
	"net/netip"
	"slices"

	"weir/ofproto"

	"weir/intent"
)

// A Chosen is a backend of a port of a load balancer.
type Chosen struct {
	Service intent.ID // the port: see ServiceID
	Backend netip.Addr
}

// Begun reads from the counters of flows of Commit how often a connection was begun with each
// backend of each port of a load balancer, as long as the backend has been listed: packets that
// were the first of one, and that policy has let pass. Unlike the counters of a group's buckets
// these outlive that weights change.
func Begun(stats []ofproto.FlowStats, n Numbers) map[Chosen]uint64 {
	begun := map[Chosen]uint64{}
	for i := range stats {
		f := &stats[i]
		if f.Table != Commit || !balances(f.Flow) {
			continue
		}
		if of, ok := chosenBy(f.Match, n); ok {
			begun[of] += f.Packets
		}
	}
	return begun
}

// balances reports whether a flow remembers a connection as one of a load balancer's.
func balances(f ofproto.Flow) bool {
	return slices.ContainsFunc(f.Actions, func(a ofproto.Action) bool {
		c, ok := a.(ofproto.ConnTrack)
		return ok && slices.ContainsFunc(c.Exec, marksBalanced)
	})
}

// marksBalanced reports whether an action of a commit marks a connection as a load balancer's.
func marksBalanced(a ofproto.Action) bool {
	l, ok := a.(ofproto.Load)
	at := markBalanced.Offset - l.Dst.Offset
	return ok && l.Dst.Field == markBalanced.Field && l.Dst.Offset <= markBalanced.Offset && at < l.Dst.Bits && l.Value>>at&1 == 1
}

// chosenBy returns of which backend what a match in Commit lets through is.
func chosenBy(m ofproto.Match, n Numbers) (of Chosen, ok bool) {
	for _, c := range m {
		switch c.Field {
		case ofproto.IPv4Dst:
			of.Backend = netip.AddrFrom4([4]byte(c.Value[12:]))
		case ofproto.IPv6Dst:
			of.Backend = netip.AddrFrom16(c.Value)
		case RegTarget:
			of.Service, ok = n.Origin(uint32(c.Value.Uint64()))
		}
	}
	return of, ok && of.Backend.IsValid()
}
