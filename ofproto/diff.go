package ofproto

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
// deletions in the order of have.
func Diff(want, have Tables) Plan {
	var p Plan
	p.PutMeters, p.DeleteMeters = diff(want.Meters, have.Meters, func(m MeterConfig) uint32 { return m.ID }, MeterConfig.Equal)
	p.PutGroups, p.DeleteGroups = diff(want.Groups, have.Groups, func(g Group) uint32 { return g.ID }, Group.Equal)
	p.PutFlows, p.DeleteFlows = diff(want.Flows, have.Flows, Flow.Key, Flow.equalBut)
	return p
}

func diff[K comparable, V any](want, have []V, key func(V) K, equal func(V, V) bool) (put, del []V) {
	index := make(map[K]int, len(have))
	for i, v := range have {
		index[key(v)] = i
	}
	kept := make([]bool, len(have))
	for _, v := range want {
		i, there := index[key(v)]
		if there {
			kept[i] = true
		}
		if !there || !equal(v, have[i]) {
			put = append(put, v)
		}
	}
	for i, v := range have {
		if !kept[i] {
			del = append(del, v)
		}
	}
	return put, del
}
