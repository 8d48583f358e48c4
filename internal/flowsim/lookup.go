package flowsim

import (
	"cmp"
	"encoding/binary"
	"slices"

	"weir/ofproto"
)

// A table finds the flow that a packet hits by tuple space search, as Open vSwitch
// does: the flows that match on the same bits of the same fields are one hash table. A
// lookup costs one probe for each set of masks, and not one for each flow.
type table struct {
	tuples []*tuple // from the highest priority down
}

// A tuple is the flows of a table that match on the same bits.
type tuple struct {
	fields  []ofproto.Field
	masks   []word
	top     uint16 // the highest priority among them
	entries map[string]*entry
}

// An entry is a flow, and those below it that have the same match.
type entry struct {
	flow    *ofproto.Flow
	clauses []ofproto.Conjunction // if it is a part of conjunctive matches, and no flow of its own
	below   *entry
}

// add puts a flow into its tuple.
func (t *table) add(byMask map[string]*tuple, f *ofproto.Flow) {
	shape, key := make([]byte, 0, 256), make([]byte, 0, 256)
	for _, c := range f.Match {
		m := wordOf(c.Mask)
		shape = appendWord(append(shape, byte(c.Field)), m, word{^uint64(0), ^uint64(0)})
		key = appendWord(key, wordOf(c.Value), m)
	}
	u := byMask[string(shape)]
	if u == nil {
		u = &tuple{entries: map[string]*entry{}}
		for _, c := range f.Match {
			u.fields, u.masks = append(u.fields, c.Field), append(u.masks, wordOf(c.Mask))
		}
		byMask[string(shape)] = u
		t.tuples = append(t.tuples, u)
	}
	u.top = max(u.top, f.Priority)
	u.entries[string(key)] = u.entries[string(key)].insert(&entry{flow: f, clauses: clausesOf(f)})
}

// insert puts n among the entries of one match; of two that have the same priority the
// later replaces the earlier, as in a switch.
func (e *entry) insert(n *entry) *entry {
	switch {
	case e == nil || n.flow.Priority > e.flow.Priority:
		n.below = e
		return n
	case n.flow.Priority == e.flow.Priority:
		n.below = e.below
		return n
	}
	e.below = e.below.insert(n)
	return e
}

func clausesOf(f *ofproto.Flow) (all []ofproto.Conjunction) {
	for _, a := range f.Actions {
		if c, ok := a.(ofproto.Conjunction); ok {
			all = append(all, c)
		}
	}
	return all
}

func (t *table) sort() {
	slices.SortStableFunc(t.tuples, func(a, b *tuple) int { return -cmp.Compare(a.top, b.top) })
}

// appendWord appends w under its mask: as much of it as the mask can let through.
func appendWord(b []byte, w, m word) []byte {
	if m.hi != 0 {
		b = binary.BigEndian.AppendUint64(b, w.hi&m.hi)
	}
	return binary.BigEndian.AppendUint64(b, w.lo&m.lo)
}

// find returns the entries whose match p meets, the highest first.
func (u *tuple) find(p *Packet, buf []byte) *entry {
	key := buf[:0]
	for i, f := range u.fields {
		key = appendWord(key, p.fields[f], u.masks[i])
	}
	return u.entries[string(key)]
}

// A hit is what a lookup finds.
type hit struct {
	flow  *ofproto.Flow // nil: none
	rival *ofproto.Flow // one of the same priority that does something else: which one it is, is chance
	conj  uint32        // the conjunction by which it was found; zero: none
}

// lookup returns the flow of the highest priority that p meets. A flow that is a clause
// of a conjunctive match counts only if all the others are met as well; then the packet
// has that conj_id, and is looked up again.
func (t *table) lookup(p *Packet) hit {
	h, soft := t.search(p, true)
	for len(soft) > 0 {
		top := soft[0].flow.Priority
		if h.flow != nil && h.flow.Priority >= top {
			break
		}
		n := 0
		for n < len(soft) && soft[n].flow.Priority == top {
			n++
		}
		for _, id := range satisfied(soft[:n]) {
			if found := t.conjoined(p, id); found.flow != nil {
				return found
			}
		}
		soft = soft[n:]
	}
	return h
}

// conjoined looks p up with a conj_id.
func (t *table) conjoined(p *Packet, id uint32) hit {
	was := p.fields[ofproto.ConjID]
	p.fields[ofproto.ConjID] = word{0, uint64(id)}
	h, _ := t.search(p, false)
	p.fields[ofproto.ConjID] = was
	h.conj = id
	return h
}

// search returns the best of the flows that need no other, and with conjunctive those
// above it that do, from the highest priority down. Without it a flow that needs others hides
// those of the same match below it, as in Open vSwitch's lookup of a conj_id.
func (t *table) search(p *Packet, conjunctive bool) (h hit, soft []*entry) {
	var buf [512]byte
	for _, u := range t.tuples {
		if h.flow != nil && u.top < h.flow.Priority {
			break
		}
		for e := u.find(p, buf[:]); e != nil; e = e.below {
			if e.clauses == nil {
				h.offer(e.flow)
				break
			}
			if !conjunctive {
				break
			}
			soft = append(soft, e)
		}
	}
	slices.SortStableFunc(soft, func(a, b *entry) int { return -cmp.Compare(a.flow.Priority, b.flow.Priority) })
	return h, soft
}

// offer takes f if it is better than what h has.
func (h *hit) offer(f *ofproto.Flow) {
	switch {
	case h.flow == nil || f.Priority > h.flow.Priority:
		h.flow, h.rival = f, nil
	case f.Priority == h.flow.Priority && ofproto.Text(f.Actions) != ofproto.Text(h.flow.Actions):
		h.rival = f
	}
}

// satisfied returns the conjunctions of which every clause is among the entries. Open
// vSwitch looks at none that has more clauses than there are entries: a flow that is two
// clauses of one conjunction never matches.
func satisfied(soft []*entry) (ids []uint32) {
	met := map[uint32]uint64{}
	for _, e := range soft {
		for _, c := range e.clauses {
			met[c.ID] |= 1 << c.Clause
			if int(c.Of) <= len(soft) && met[c.ID] == 1<<c.Of-1 && !slices.Contains(ids, c.ID) {
				ids = append(ids, c.ID)
			}
		}
	}
	return ids
}
