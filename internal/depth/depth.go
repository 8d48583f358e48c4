// Package depth says how often flows may send a packet back to the flow tables: the most
// recirculations that there are on any way through them. Open vSwitch bounds that, and drops
// what is over it with no more than a line in its log.
//
// A way is followed by tables and by the bits of one register, reg0, which is where the pipeline
// keeps what a packet is: a flow is on it if its match does not contradict what those bits are
// known to be, and no flow before it that asks for nothing else takes the packet. All else of a
// match is taken to be met. So the answer is never too small; it is
// that of a packet which comes by the worst of the flows that there are.
package depth

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"weir/ofproto"
)

// flags are the bits of reg0 that are followed. The others are a number.
const flags = 0x00ffffff

// A shape is what a flow has to do with a packet's way. Many flows have the same one.
type shape struct {
	table       ofproto.Table
	mask, value uint32 // of the flags, as the flow matches them
	whole       bool   // the flow matches nothing else
	priority    uint16 // the highest of a flow that has it
	moves       []move
	flow        int // the first that has it, by its place among the flows
}

// A move sends a packet to a table, or back to it.
type move struct {
	to      ofproto.Table
	back    bool
	change  // of the flags, by then
	ordinal uint8
}

// A change is what is done to flags: those of set become those of value, and those of unknown
// anything.
type change struct{ set, value, unknown uint32 }

// Shapes is what some flows have to do with ways. It never changes.
type Shapes struct {
	key string // of all of it
	all []shape
}

// ShapesOf returns the shapes of flows, with the groups that they use.
func ShapesOf(flows []ofproto.Flow, groups []ofproto.Group) *Shapes {
	r := reader{groups: groups}
	byKey := map[string]shape{}
	for i := range flows {
		s := r.read(&flows[i])
		if len(s.moves) == 0 && !s.whole {
			continue
		}
		r.key = s.appendTo(r.key[:0])
		switch was, known := byKey[string(r.key)]; {
		case !known:
			s.flow, s.moves = i, slices.Clone(s.moves)
			byKey[string(r.key)] = s
		case was.priority < s.priority:
			was.priority = s.priority
			byKey[string(r.key)] = was
		}
	}
	all := &Shapes{}
	for _, k := range slices.Sorted(maps.Keys(byKey)) {
		all.key += fmt.Sprintf("%d %s\n", byKey[k].priority, k)
		all.all = append(all.all, byKey[k])
	}
	return all
}

// Same reports whether ways through t are those through s.
func (s *Shapes) Same(t *Shapes) bool { return s == t || s.key == t.key }

// appendTo appends what tells s from other shapes. Those that hide others are told apart by
// where they are.
func (s shape) appendTo(b []byte) []byte {
	if s.whole {
		b = binary.BigEndian.AppendUint16(b, s.priority)
	}
	b = binary.BigEndian.AppendUint32(append(b, byte(s.table)), s.mask)
	b = binary.BigEndian.AppendUint32(b, s.value)
	for _, m := range s.moves {
		b = append(b, byte(m.to), m.ordinal)
		for _, v := range []uint32{m.set, m.value, m.unknown} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
	}
	return b
}

// A reader reads shapes.
type reader struct {
	groups []ofproto.Group
	key    []byte
	moves  []move
}

func (r *reader) read(f *ofproto.Flow) shape {
	s := shape{table: f.Table, whole: true, priority: f.Priority}
	for _, c := range f.Match {
		s.whole = s.whole && c.Field == ofproto.Reg0
		if c.Field == ofproto.Reg0 {
			s.whole = s.whole && c.Mask.Uint64()&^flags == 0
			mask := uint32(c.Mask.Uint64())
			s.mask |= mask & flags
			s.value |= uint32(c.Value.Uint64()) & mask & flags
		}
	}
	r.moves = r.moves[:0]
	r.do(f.Table, f.Actions, change{})
	s.moves = r.moves
	return s
}

// do notes where actions of a flow of table at send a packet whose flags have been changed.
func (r *reader) do(at ofproto.Table, actions []ofproto.Action, c change) {
	for _, a := range actions {
		switch a := a.(type) {
		case ofproto.GotoTable:
			r.moves = append(r.moves, move{ofproto.Table(a), false, c, 0})
		case ofproto.Resubmit:
			to := a.Table
			if to == ofproto.NoTable {
				to = at
			}
			r.moves = append(r.moves, move{to, false, c, 0})
			c = change{unknown: flags} // it may have changed any
		case ofproto.ConnTrack:
			if a.Table != ofproto.NoTable {
				r.moves = append(r.moves, move{a.Table, true, c, 1})
			}
		case ofproto.Clone:
			r.do(at, a.Actions, c)
		case ofproto.ToGroup:
			r.group(at, uint32(a), c)
		default:
			c = c.after(a)
		}
	}
}

// group follows all buckets of a group. One of type select has the packet sent back to itself,
// with the hash by which it chooses. (What its buckets would have sent back once more, as none of
// the pipeline's has, is not counted.)
func (r *reader) group(at ofproto.Table, id uint32, c change) {
	i := slices.IndexFunc(r.groups, func(g ofproto.Group) bool { return g.ID == id })
	if i < 0 {
		return
	}
	g, first := &r.groups[i], len(r.moves)
	for _, b := range g.Buckets {
		r.do(at, b.Actions, c)
	}
	if g.Type != ofproto.GroupSelect {
		return
	}
	for i := first; i < len(r.moves); i++ {
		r.moves[i].back = true
	}
	r.moves = slices.CompactFunc(r.moves, func(a, b move) bool { return a == b }) // of many buckets one way
}

// after returns what has become of the flags after an action, too.
func (c change) after(a ofproto.Action) change {
	switch a := a.(type) {
	case ofproto.Load:
		if a.Dst.Field == ofproto.Reg0 {
			return c.to(bits(a.Dst), uint32(a.Value)<<a.Dst.Offset)
		}
	case ofproto.SetField:
		if a.Field == ofproto.Reg0 {
			return c.to(flags, uint32(a.Value.Uint64()))
		}
	case ofproto.SetMasked:
		if a.Field == ofproto.Reg0 {
			return c.to(uint32(a.Mask.Uint64()), uint32(a.Value.Uint64()))
		}
	case ofproto.Move:
		if a.Dst.Field == ofproto.Reg0 {
			c.unknown |= bits(a.Dst) & flags
			c.set &^= c.unknown
		}
	}
	return c
}

// to returns c and then some flags with a value.
func (c change) to(mask, value uint32) change {
	mask &= flags
	return change{c.set | mask, c.value&^mask | value&mask, c.unknown &^ mask}
}

func bits(s ofproto.Subfield) uint32 { return uint32(uint64(1)<<s.Bits-1) << s.Offset }
