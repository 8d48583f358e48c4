package lb

import (
	"math/bits"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/maglev"
	"weir/ofproto"
)

// bySlots reports whether a table of slots chooses. A group does it in the datapath, without a word to
// ovs-vswitchd for each connection, but chooses by a hash that is another one on each host, and
// on the userspace datapath does not know the ports of UDP. It also sends each packet back to
// itself, which a bridge on which tenants share addresses outside has no room for, and
// one from which a backend outside is reached might not have.
func (s service) bySlots() bool {
	return s.l.Algorithm != intent.Hash || s.port.Protocol == intent.UDP && !s.b.Features.HashUDP || s.l.Shallow ||
		s.l.Outward
}

// Values of NXAST_MULTIPATH.
const (
	hashConnection = 3 // addresses and ports, also of UDP; the same for both directions
	hashSource     = 4 // the source address
	modulo         = 0
)

// slot chooses a slot.
func (s service) slot() ofproto.Action {
	m := ofproto.Multipath{Fields: hashConnection, Algorithm: modulo, Links: uint32(slotsFor(len(s.l.Backends))), Dst: pipeline.BackendAt}
	if s.l.Algorithm == intent.SourceIP {
		m.Fields = hashSource
	}
	return m
}

// slots says who has each slot.
func (s service) slots() {
	fill := maglev.Table
	if s.l.Algorithm == intent.SourceIP {
		fill = maglev.Rendezvous
	}
	var all []maglev.Backend
	for i, b := range s.l.Backends {
		all = append(all, maglev.Backend{Name: pipeline.BackendKey(b).String(), Weight: s.l.Weight(i)})
	}
	for slot, i := range fill(all, slotsFor(len(all))) {
		s.b.Flow(s.l.ID(), pipeline.LBSlot, 100, ofproto.MatchOn(pipeline.IPVersion(s.l.Address.Is4()), ofproto.Is(ofproto.IPProto, s.protocol.number),
			ofproto.Is(pipeline.RegTarget, uint64(s.tag)), pipeline.At(uint16(slot))), s.to(s.l.Backends[i], ofproto.GotoTable(pipeline.IDSrc))...)
	}
}

// slotsFor returns how many slots there are for so many backends, whatever their weights: a power of
// two, so that what changes a backend seldom changes it, and 32 for each.
func slotsFor(backends int) int {
	return min(max(1<<bits.Len(uint(32*backends-1)), 256), 4096)
}

// group adds the group that chooses. A bucket says all by itself: nothing has to be looked up
// behind it. The group is there for as long as the service is, also while nobody takes
// connections, when it is empty, or one backend has all of them, and no flow asks it: it costs a
// kilobyte, and is never deleted to be added again.
func (s service) group() {
	var weights []uint16
	for i := range s.l.Backends {
		weights = append(weights, s.l.Weight(i))
	}
	shares, split := sharesOf(weights)
	next := ofproto.Resubmit{Port: ofproto.PortInPort16, Table: pipeline.IDSrc}
	var buckets []ofproto.Bucket
	for i, to := range s.l.Backends {
		if shares[i] == 0 {
			continue
		}
		actions := s.to(to, next)
		if split && shares[i] > 1 {
			buckets = append(buckets, ofproto.Bucket{Weight: 1, Actions: actions})
			shares[i]--
			split = false
		}
		buckets = append(buckets, ofproto.Bucket{Weight: shares[i], Actions: actions})
	}
	s.b.Group(s.id, ofproto.GroupSelect, buckets)
}
