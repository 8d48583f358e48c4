package pipeline

import (
	"net/netip"
	"slices"

	"weir/ofproto"
)

// A place is what an identity is given to: the condition on an address, or, where there is
// none, the whole match of the flow that gives it.
type place struct {
	addr ofproto.Cond
	flow string
}

// addresses are the fields of the addresses of the ends.
var addresses = [2][]ofproto.Field{{ofproto.IPv4Src, ofproto.IPv6Src}, {ofproto.IPv4Dst, ofproto.IPv6Dst}}

// identifies reports whether f gives somebody an identity or a range.
func identifies(f ofproto.Flow) bool {
	if _, owned := TagOf(f.Cookie); !owned {
		return false
	}
	for at := range registers {
		if _, ok := given(f, at); ok {
			return true
		}
	}
	return false
}

// identities are those of one end, by place. Where there are several for a place, for it is
// in several networks, it has them all.
type identities map[place][]uint64

// identitiesOf returns the identities that flows give an end.
func identitiesOf(flows []ofproto.Flow, at int) identities {
	all := identities{}
	for _, f := range flows {
		id, ok := given(f, at)
		if _, owned := TagOf(f.Cookie); !ok || !owned {
			continue
		}
		p := place{flow: f.Match.Key()}
		if i := slices.IndexFunc(f.Match, func(c ofproto.Cond) bool { return slices.Contains(addresses[at%2], c.Field) }); i >= 0 {
			p = place{addr: f.Match[i]}
		}
		if !slices.Contains(all[p], id) {
			all[p] = append(all[p], id)
		}
	}
	return all
}

// Identities returns the identity that flows of one tenant give each address as a source
// (RegSrcID) or a destination (RegDstID).
func Identities(flows []ofproto.Flow, at ofproto.Field) map[netip.Addr]uint32 {
	all := map[netip.Addr]uint32{}
	for p, ids := range identitiesOf(flows, slices.Index(identity[:], at)) {
		switch v := p.addr.Value; {
		case p.flow != "" || !isHost(p.addr):
		case p.addr.Field == ofproto.IPv4Src || p.addr.Field == ofproto.IPv4Dst:
			all[netip.AddrFrom4([4]byte(v[12:]))] = uint32(ids[0])
		default:
			all[netip.AddrFrom16(v)] = uint32(ids[0])
		}
	}
	return all
}

// of returns the identities of a place: its own, or those of the longest prefix around it,
// or none.
func (ids identities) of(p place) []uint64 {
	if own, ok := ids[p]; ok {
		return own
	}
	around, nearest := []uint64{0}, place{}
	for q, id := range ids {
		if q.flow == "" && p.flow == "" && q.addr.Covers(p.addr) && (nearest.addr.Mask == ofproto.Bits{} || nearest.addr.Covers(q.addr)) {
			around, nearest = id, q
		}
	}
	return around
}

// anywhere returns the identities that are given without regard to an address: who has them
// may have been at any.
func (ids identities) anywhere() (all []uint64) {
	for p, some := range ids {
		if p.flow != "" {
			all = append(all, some...)
		}
	}
	return all
}

// An admission is from where the flows of a zone let somebody send.
type admission struct {
	open bool                  // from anywhere
	from map[ofproto.Bits]bool // else from these addresses
}

// admissionOf reads the admission off the flows of a zone. A packet comes in by a port, and
// then only from the addresses that PortSec knows; whatever else lets it in is open.
func admissionOf(flows []ofproto.Flow) admission {
	a := admission{from: map[ofproto.Bits]bool{}}
	for _, f := range flows {
		if _, entry := loaded(f.Actions, Zone); entry && f.Table != PhyIn {
			a.open = true
		}
		if f.Table != PortSec || unjudged(f) {
			continue
		}
		i := slices.IndexFunc(f.Match, func(c ofproto.Cond) bool {
			return slices.Contains(addresses[0], c.Field) && isHost(c)
		})
		if i < 0 {
			a.open = true
			continue
		}
		a.from[f.Match[i].Value] = true
	}
	return a
}

// somewhere reports whether somebody may send from an address that satisfies c.
func (a admission) somewhere(c ofproto.Cond) bool {
	if a.open || isHost(c) {
		return a.open || a.from[c.Value]
	}
	for from := range a.from {
		if c.Covers(ofproto.Cond{Field: c.Field, Value: from, Mask: allOf(c.Field)}) {
			return true
		}
	}
	return false
}

// isHost reports whether c is about one address.
func isHost(c ofproto.Cond) bool { return c.Mask == allOf(c.Field) }

// allOf is the mask of a whole address.
func allOf(f ofproto.Field) ofproto.Bits {
	if f == ofproto.IPv4Src || f == ofproto.IPv4Dst {
		return ofproto.Uint(0xffffffff)
	}
	return ofproto.IsAddr(ofproto.IPv6Src, allDHCPServers).Mask
}

// unjudged reports whether what f lets pass never comes to policy.
func unjudged(f ofproto.Flow) bool {
	if len(f.Actions) == 0 {
		return true
	}
	next, ok := f.Actions[len(f.Actions)-1].(ofproto.GotoTable)
	return ok && (ofproto.Table(next) == ArpNd || ofproto.Table(next) == Drop)
}

// Moves are what became of the identities of one end.
type moves struct {
	to   map[uint64][]uint64 // what those with an identity have now
	from map[uint64][]uint64 // what those with an identity had before
}

// movesOf compares the identities of an end. It returns false if an address has lost its
// own: the connections that it had stay in the tracker, and must not be somebody else's who
// is given the address later. An address that is new has had none, unless it was let in.
func movesOf(now, then identities, before admission) (m moves, ok bool) {
	m = moves{map[uint64][]uint64{}, map[uint64][]uint64{}}
	for p := range then {
		if _, still := now[p]; !still {
			return m, false
		}
	}
	m.add(0, 0)
	for p, ids := range now {
		if _, known := then[p]; !known && p.flow == "" && !before.somewhere(p.addr) {
			continue
		}
		was := then.of(p)
		if _, known := then[p]; !known && before.open {
			was = append(slices.Clip(was), then.anywhere()...)
		}
		for _, a := range was {
			for _, b := range ids {
				m.add(a, b)
			}
		}
	}
	return m, true
}

func (m moves) add(a, b uint64) {
	if !slices.Contains(m.to[a], b) {
		m.to[a] = append(m.to[a], b)
		m.from[b] = append(m.from[b], a)
	}
}

// after returns what those with an identity have now.
func (m moves) after(id uint64) []uint64 { return m.to[id] }

// earlier returns what those with an identity had before.
func (m moves) earlier(id uint64) []uint64 { return m.from[id] }
