package depth

import (
	"slices"

	"weir/ofproto"
)

// A Step is by what a packet is sent back: of which shapes it is, and which of them. It is the same in shapes that
// are the Same.
type Step struct{ Shapes, Shape int }

// Flow returns the first flow of a shape, by its place among those that s was read from.
func (s *Shapes) Flow(shape int) int { return s.all[shape].flow }

// Most returns the steps of the way on which a packet that comes into table 0, with empty
// registers, is sent back most often; or of one on which it is sent back limit times, if there is
// such a one.
func Most(limit int, all ...*Shapes) []Step {
	w := walker{}
	for i, s := range all {
		for k, f := range s.all {
			w.tables[f.table] = append(w.tables[f.table], placed{f, Step{i, k}})
		}
	}
	now := []*state{{place: place{known: flags}}}
	var last *state
	for range limit + 1 {
		next := w.pass(now)
		if len(now) > 0 {
			last = now[0]
		}
		if len(next) == 0 {
			break
		}
		now = next
	}
	return last.steps()
}

// placed is a shape, and where it is.
type placed struct {
	shape
	at Step
}

// A place is where a packet is, and what is known of its flags.
type place struct {
	table        ofproto.Table
	known, value uint32
}

// A state is a place that can be come to: after a step, from another one.
type state struct {
	place
	by   Step
	from *state // nil: it is the beginning of the way
}

// steps returns how s is come to.
func (s *state) steps() (all []Step) {
	for ; s.from != nil; s = s.from {
		all = append(all, s.by)
	}
	slices.Reverse(all)
	return all
}

// A walker walks through tables.
type walker struct{ tables [256][]placed }

// pass goes on from some states until packets are sent back, and returns where.
func (w *walker) pass(begin []*state) (back []*state) {
	seen, sent := map[place]bool{}, map[place]bool{}
	type at struct {
		place
		since *state
	}
	var todo []at
	for _, s := range begin {
		todo = append(todo, at{s.place, s})
	}
	for len(todo) > 0 {
		here := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[here.place] {
			continue
		}
		seen[here.place] = true
		taken := w.taken(here.place)
		for _, f := range w.tables[here.table] {
			now, fits := here.meeting(f.shape)
			if !fits || int(f.priority) < taken {
				continue
			}
			for _, m := range f.moves {
				there := now.after(m)
				switch {
				case !m.back:
					todo = append(todo, at{there, here.since})
				case !sent[there]:
					sent[there] = true
					back = append(back, &state{there, f.at, here.since})
				}
			}
		}
	}
	return back
}

// taken returns the priority below which no flow gets a packet in p, for a flow that asks for
// nothing else than what is known has it first; -1 if there is no such flow.
func (w *walker) taken(p place) int {
	most := -1
	for _, f := range w.tables[p.table] {
		if f.whole && f.mask&^p.known == 0 && (p.value^f.value)&f.mask == 0 {
			most = max(most, int(f.priority))
		}
	}
	return most
}

// meeting returns what is known of a packet in p that s matches, if it can.
func (p place) meeting(s shape) (place, bool) {
	if (p.value^s.value)&p.known&s.mask != 0 {
		return p, false
	}
	p.value |= s.value
	p.known |= s.mask
	return p, true
}

// after returns where a packet is, and what is known of it, after a move.
func (p place) after(m move) place {
	p.table = m.to
	p.value = p.value&^m.set | m.value&m.set
	p.known = (p.known | m.set) &^ m.unknown
	p.value &= p.known
	return p
}
