package pipeline

import (
	"weir/intent"
	"weir/ofproto"
)

// Narrowed returns the tenants whose live connections have to be judged again when
// the bridge goes from have to want: those for which something that judges is taken
// away, changed, or added to deny. What only lets more pass touches no connection.
//
// The bridge is the memory: this also sees what was changed while nobody looked. A
// tenant whose epoch in n is not the one in have is on its way already, and is not
// named again.
func Narrowed(want *Program, have ofproto.Tables, n Numbers, m *intent.Model) []intent.ID {
	installed := Epochs(have.Flows)
	narrowed := narrowedZones(want.Tables().Flows, have.Flows)
	var ids []intent.ID
	for _, t := range m.Tenants() {
		zone := n.Zone(t.ID())
		epoch, there := installed[zone]
		if there && epoch == n.Epoch(t.ID()) && narrowed[zone] {
			ids = append(ids, t.ID())
		}
	}
	return ids
}

// judges reports whether f decides who may talk to whom.
func judges(f ofproto.Flow) bool {
	switch f.Table {
	case IDSrc, IDDst, PolOut, PolIn, PolMiss: // in PolMiss, what an audit lets pass
		_, owned := TagOf(f.Cookie)
		return owned
	}
	return false
}

// denies reports whether f stops what it matches.
func denies(f ofproto.Flow) bool {
	if len(f.Actions) == 0 {
		return true
	}
	next, ok := f.Actions[len(f.Actions)-1].(ofproto.GotoTable)
	return ok && (ofproto.Table(next) == PolMiss || ofproto.Table(next) == Drop)
}

// passes reports whether f leaves what it matches to the next tier, which may decide
// otherwise than the rules that it jumps over.
func passes(f ofproto.Flow) bool {
	if len(f.Actions) == 0 {
		return false
	}
	again, ok := f.Actions[len(f.Actions)-1].(ofproto.Resubmit)
	return ok && again.Table == f.Table
}

// deciders returns the flows that say what conjunctions do, by id.
func deciders(flows []ofproto.Flow) map[uint32]ofproto.Flow {
	all := map[uint32]ofproto.Flow{}
	for _, f := range flows {
		for _, c := range f.Match {
			if c.Field == ofproto.ConjID {
				all[uint32(c.Value.Uint64())] = f
			}
		}
	}
	return all
}

// decided returns the flow that says what f does: itself, unless f is a clause of a
// conjunction.
func decided(f ofproto.Flow, by map[uint32]ofproto.Flow) ofproto.Flow {
	if len(f.Actions) > 0 {
		if clause, ok := f.Actions[0].(ofproto.Conjunction); ok {
			return by[clause.ID]
		}
	}
	return f
}

// narrowedZones returns the zones in which want lets less pass than have.
func narrowedZones(want, have []ofproto.Flow) map[uint16]bool {
	old := map[ofproto.FlowKey]ofproto.Flow{}
	for _, f := range have {
		if judges(f) {
			old[f.Key()] = f
		}
	}
	zones := map[uint16]bool{}
	now, then := deciders(want), deciders(have)
	for _, f := range want {
		if !judges(f) {
			continue
		}
		was, there := old[f.Key()]
		delete(old, f.Key())
		what := decided(f, now)
		if there && !was.Equal(f) || !there && (denies(what) || passes(what)) {
			mark(zones, f)
		}
	}
	for _, f := range old {
		if !denies(decided(f, then)) {
			mark(zones, f)
		}
	}
	return zones
}

func mark(zones map[uint16]bool, f ofproto.Flow) {
	if zone, ok := ZoneOf(f); ok {
		zones[zone] = true
	}
}

// ZoneOf returns the zone that f matches, if it matches one.
func ZoneOf(f ofproto.Flow) (uint16, bool) {
	for _, c := range f.Match {
		if c.Field == Zone.Field {
			return uint16(c.Value.Uint64()), true
		}
	}
	return 0, false
}

// Epochs reads the epoch of each zone off the flows that give it to new
// connections.
func Epochs(flows []ofproto.Flow) map[uint16]uint8 {
	epochs := map[uint16]uint8{}
	for _, f := range flows {
		if _, owned := TagOf(f.Cookie); !owned || f.Table != CtState {
			continue
		}
		for _, a := range f.Actions {
			if l, ok := a.(ofproto.Load); ok && l.Dst == Epoch {
				if zone, ok := ZoneOf(f); ok {
					epochs[zone] = uint8(l.Value)
				}
			}
		}
	}
	return epochs
}
