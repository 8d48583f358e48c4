package nat

import (
	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A choice is how a pool is shared out. A datapath chooses an address of one range, by the
// connection or, in the kernel, by the addresses of both ends. All else the flows choose, by the
// sender's address alone: what they choose by is in the match of the datapath's flows, and
// there is one for each sender in place of one for each connection.
type choice struct {
	slots []intent.AddrRange
	links int // of a multipath, each of which is a slot's; zero: as many as slots
}

// maxLinks bounds how finely ranges of different sizes are told apart.
const maxLinks = 256

// choiceOf returns how s uses a pool: an address for each sender, or a range.
func choiceOf(s *intent.SNAT, pool intent.Pool) choice {
	if s.Selection == intent.SelectPersistent {
		return choice{slots: addressesOf(pool)}
	}
	c := choice{slots: pool.Ranges}
	for _, r := range pool.Ranges {
		if sizeOf(r) != sizeOf(pool.Ranges[0]) {
			c.links = max(maxLinks, len(c.slots))
		}
	}
	return c
}

// addressesOf returns the addresses of a pool, each as a range.
func addressesOf(pool intent.Pool) (all []intent.AddrRange) {
	for _, r := range pool.Ranges {
		for a := r.Lo; a.Compare(r.Hi) <= 0; a = a.Next() {
			all = append(all, intent.AddrRange{Lo: a, Hi: a})
			if a == r.Hi { // it may be the last that there is
				break
			}
		}
	}
	return all
}

// sizeOf returns how many addresses there are: 65,536 at most.
func sizeOf(r intent.AddrRange) (n int) {
	for _, p := range prefixesOf(r) {
		n += 1 << (p.Addr().BitLen() - p.Bits())
	}
	return n
}

// Values of NXAST_MULTIPATH: it hashes the source address, and whoever had a link keeps it for
// the most part when there are more (highest random weight).
const (
	hashSource    = 4
	highestWeight = 2
)

// choose are the actions that choose a slot and go on.
func (c choice) choose() []ofproto.Action {
	if len(c.slots) == 1 {
		return []ofproto.Action{ofproto.GotoTable(pipeline.Commit)}
	}
	m := ofproto.Multipath{Fields: hashSource, Algorithm: highestWeight, Links: uint32(max(c.links, len(c.slots))), Dst: pipeline.RegSlot.Range(0, 15)}
	if c.links > 0 {
		return []ofproto.Action{m, ofproto.GotoTable(pipeline.SNATSlot)}
	}
	return []ofproto.Action{m, ofproto.GotoTable(pipeline.Commit)}
}

// weigh gives each slot as many links as it has addresses, about, and one at least.
func (c choice) weigh(b *pipeline.Builder, of intent.ID, chosen []ofproto.Cond) {
	if c.links == 0 {
		return
	}
	left, links, from := 0, c.links, 0
	for _, r := range c.slots {
		left += sizeOf(r)
	}
	for i, r := range c.slots {
		n := max(1, min(links*sizeOf(r)/left, links-(len(c.slots)-i-1)))
		for _, some := range ofproto.CoverPorts(pipeline.RegSlot, uint16(from), uint16(from+n-1)) {
			b.Flow(of, pipeline.SNATSlot, 100, ofproto.MatchOn(append(chosen[:len(chosen):len(chosen)], some)...),
				ofproto.Set(pipeline.RegSlot.Whole(), uint64(i)), ofproto.GotoTable(pipeline.Commit))
		}
		left, links, from = left-sizeOf(r), links-n, from+n
	}
}

// slot is the condition that a packet has got a slot, beside others.
func (c choice) slot(conds []ofproto.Cond, i int) []ofproto.Cond {
	if len(c.slots) == 1 {
		return conds
	}
	return append(conds[:len(conds):len(conds)], ofproto.Is(pipeline.RegSlot, uint64(i)))
}
