package ofproto

import (
	"hash/maphash"
	"math/bits"
)

// Tables is what is, or should be, in a bridge.
type Tables struct {
	Flows  []Flow
	Groups []Group
	Meters []MeterConfig
}

// A Plan is what has to be sent to a bridge to make it as it should be, in the
// order in which it has to be sent: a flow must find its group and its meter, and
// these must outlive the flows that use them, for the switch would delete the
// flows with them.
//
// Putting a flow or a group replaces the one that has the same key; the flow keeps
// its counters. Deletions carry what is deleted, so that a plan can be shown.
type Plan struct {
	PutMeters    []MeterConfig
	PutGroups    []Group
	PutFlows     []Flow
	DeleteFlows  []Flow
	DeleteGroups []Group
	DeleteMeters []MeterConfig
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool {
	return len(p.PutMeters)+len(p.PutGroups)+len(p.PutFlows)+len(p.DeleteFlows)+len(p.DeleteGroups)+len(p.DeleteMeters) == 0
}

// Diff returns the plan that turns have into want: puts in the order of want,
// deletions in the order of have. Of two in want that have the same key the last
// counts, as if they had been sent one after the other.
func Diff(want, have Tables) Plan {
	var p Plan
	p.PutMeters, p.DeleteMeters = diff(want.Meters, have.Meters, keyed[MeterConfig]{
		hash:  func(m *MeterConfig) uint64 { return mix(hashSeed, uint64(m.ID), 0) },
		same:  func(m, n *MeterConfig) bool { return m.ID == n.ID },
		equal: func(m, n *MeterConfig) bool { return m.Equal(*n) },
	})
	p.PutGroups, p.DeleteGroups = diff(want.Groups, have.Groups, keyed[Group]{
		hash:  func(g *Group) uint64 { return mix(hashSeed, uint64(g.ID), 0) },
		same:  func(g, h *Group) bool { return g.ID == h.ID },
		equal: func(g, h *Group) bool { return g.Equal(*h) },
	})
	p.PutFlows, p.DeleteFlows = diff(want.Flows, have.Flows, keyed[Flow]{
		hash:  (*Flow).hash,
		same:  (*Flow).sameKey,
		equal: (*Flow).equalBut,
	})
	return p
}

// Updated returns flows as they are after updates, in no special order. It changes neither.
// What an update does not tell, the flags, a flow that was modified keeps.
func Updated(flows []Flow, updates []FlowUpdate) []Flow {
	news := make([]Flow, len(updates))
	for i := range updates {
		news[i] = updates[i].Flow
	}
	x := newIndex(news, keyed[Flow]{hash: (*Flow).hash, same: (*Flow).sameKey})
	after := make([]Flow, 0, len(flows)+len(news))
	for i := range flows {
		switch k := x.find(&flows[i]); {
		case k < 0:
			after = append(after, flows[i])
		case updates[k].Event == UpdateModified:
			news[k].Flags = flows[i].Flags
		}
	}
	for i := range news {
		if !x.replaced[i] && updates[i].Event != UpdateDeleted {
			after = append(after, news[i])
		}
	}
	return after
}

// keyed says how values of V are found and compared.
type keyed[V any] struct {
	hash  func(*V) uint64
	same  func(a, b *V) bool // have one key
	equal func(a, b *V) bool // in all but the key
}

func diff[V any](want, have []V, by keyed[V]) (put, del []V) {
	x := newIndex(want, by)
	found := make([]int32, len(want)) // where in have, plus 1
	for i := range have {
		if w := x.find(&have[i]); w >= 0 {
			found[w] = int32(i + 1)
		} else {
			del = append(del, have[i])
		}
	}
	for i := range want {
		switch {
		case x.replaced[i]:
		case found[i] == 0 || !by.equal(&want[i], &have[found[i]-1]):
			if more := len(want) - len(have); put == nil && more > 0 { // so many at least, if none has the key of another
				put = make([]V, 0, more)
			}
			put = append(put, want[i])
		}
	}
	return put, del
}

// An index finds values by key: a hash table with open addressing. A map would want
// a key that is comparable, and so a string made for each flow, which takes longer
// than all of the rest.
type index[V any] struct {
	keyed[V]
	values   []V
	slots    []int32 // indexes into values, plus 1; a power of two of them
	hashes   []uint64
	replaced []bool // by a later value with the same key
}

func newIndex[V any](values []V, by keyed[V]) *index[V] {
	x := &index[V]{
		keyed:    by,
		values:   values,
		slots:    make([]int32, 1<<bits.Len(uint(2*len(values)))),
		hashes:   make([]uint64, len(values)),
		replaced: make([]bool, len(values)),
	}
	for i := range values {
		x.hashes[i] = x.hash(&values[i])
		slot := x.slot(&values[i], x.hashes[i])
		if was := *slot; was != 0 {
			x.replaced[was-1] = true
		}
		*slot = int32(i + 1)
	}
	return x
}

// slot returns where v is, or the empty slot in which it would be.
func (x *index[V]) slot(v *V, hash uint64) *int32 {
	for i := hash; ; i++ {
		s := &x.slots[i&uint64(len(x.slots)-1)]
		if *s == 0 || x.hashes[*s-1] == hash && x.same(v, &x.values[*s-1]) {
			return s
		}
	}
}

// find returns the index of the value that has the key of v, or -1.
func (x *index[V]) find(v *V) int { return int(*x.slot(v, x.hash(v))) - 1 }

// hashSeed differs from run to run, so that nobody can choose keys that collide.
var hashSeed = maphash.Comparable(maphash.MakeSeed(), 0) | 1

// mix folds two words into a hash.
func mix(hash, v, w uint64) uint64 {
	hi, lo := bits.Mul64(hash^v, hashSeed^w)
	return hi ^ lo
}

// hash hashes the key of f.
func (f *Flow) hash() uint64 {
	h := mix(hashSeed, uint64(f.Table)<<16|uint64(f.Priority), uint64(len(f.Match)))
	for i := range f.Match {
		c := &f.Match[i]
		h = mix(h+uint64(c.Field), be.Uint64(c.Value[8:]), be.Uint64(c.Mask[8:]))
		if info[c.Field].bytes > 8 {
			h = mix(h, be.Uint64(c.Value[:8]), be.Uint64(c.Mask[:8]))
		}
	}
	if f.RawMatch != "" {
		h ^= maphash.String(rawSeed, f.RawMatch)
	}
	return h
}

var rawSeed = maphash.MakeSeed()

// sameKey reports whether adding f would replace g.
func (f *Flow) sameKey(g *Flow) bool {
	return f.Table == g.Table && f.Priority == g.Priority && f.RawMatch == g.RawMatch && f.Match.equal(g.Match)
}
