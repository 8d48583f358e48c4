// Package maglev fills tables by which backends are chosen: a client's hash says which slot, and
// the slot which backend. The same backends and weights give the same table everywhere and
// always, whatever has been there before, so that nothing has to be remembered or told.
package maglev

import "math"

// A Backend is somebody who gets slots: as many as its weight is of the sum of all.
type Backend struct {
	Name   string // by which it is known again; none twice
	Weight uint16
}

// None is the place of nobody: in the tables of backends of which none has a weight.
const None = -1

// Table fills a table of a power of two of slots as Maglev does (Eisenbud and others, NSDI 2016,
// 3.4; with weights): each backend in turn takes the slot that it likes best of those that
// are left. All get what they should to within a slot or two; when one goes, few of the others' slots
// move. It holds places in backends.
func Table(backends []Backend, slots int) []int {
	table := make([]int, slots)
	for i := range table {
		table[i] = None
	}
	prefers, most := preferences(backends, slots)
	if most == 0 {
		return table
	}
	for left := slots; left > 0; {
		for i := range prefers {
			p := &prefers[i]
			if p.credit += float64(backends[i].Weight) / float64(most); p.credit < 1 || left == 0 {
				continue
			}
			p.credit--
			table[p.next(table)] = i
			left--
		}
	}
	return table
}

// A preference is the order in which a backend likes slots.
type preference struct {
	at, skip uint64
	credit   float64 // turns that it has not had yet
}

// preferences returns those of all backends, and the highest weight. A skip that is odd comes by all
// slots of a power of two.
func preferences(backends []Backend, slots int) (all []preference, most uint16) {
	for _, b := range backends {
		h := hash(b.Name, 0)
		all = append(all, preference{at: h % uint64(slots), skip: mix(h) | 1})
		most = max(most, b.Weight)
	}
	return all, most
}

// next returns the slot that p likes best of those that are nobody's.
func (p *preference) next(table []int) int {
	for {
		slot := p.at
		p.at = (p.at + p.skip) % uint64(len(table))
		if table[slot] == None {
			return int(slot)
		}
	}
}

// Rendezvous fills a table so that as few slots as can be move when weights change, or backends
// come or go: each slot is the backend's that has the highest score there (weighted rendezvous
// hashing). What backends get differs more from what they should than in Table.
func Rendezvous(backends []Backend, slots int) []int {
	table := make([]int, slots)
	for slot := range table {
		table[slot] = None
		best := math.Inf(-1)
		for i, b := range backends {
			if s := score(b, uint64(slot)); b.Weight > 0 && s > best {
				table[slot], best = i, s
			}
		}
	}
	return table
}

// score is what a backend has in a slot: of all that are there each has the highest as often as its
// weight says.
func score(b Backend, slot uint64) float64 {
	u := (float64(hash(b.Name, slot+1)>>11) + 0.5) / (1 << 53) // between 0 and 1
	return -float64(b.Weight) / math.Log(u)
}

// hash is FNV-1a of a name, with a number mixed in.
func hash(name string, n uint64) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return mix(h ^ mix(n))
}

// mix is the finalizer of SplitMix64: each bit of what it gives depends on all bits of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
