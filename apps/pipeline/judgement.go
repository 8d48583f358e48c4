package pipeline

import (
	"slices"

	"weir/ofproto"
)

// An effect is what a flow that judges does with a connection.
type effect uint8

const (
	grants effect = iota // lets it go on
	denies
	passes // leaves it to the next tier, which may decide otherwise than the rules that are jumped over
)

// A judgement is a flow that judges, with the identities that it asks for beside the rest
// of its match. A clause of a conjunction does what the conjunction does.
type judgement struct {
	flow    ofproto.Flow
	rest    ofproto.Match // of the match, without identities
	key     string        // of rest
	ends    ends
	does    ofproto.Flow // says what becomes of what matches: flow, or the conjunction's
	effect  effect
	decider bool // of a conjunction, whose clauses say what it is for
}

// An end is the identity, or the range, of one end of a connection that a flow asks for.
type end struct {
	asked bool
	id    uint64
}

// ends are the identities of the source and the destination, and the ranges of both. Which of
// them is even is the source's.
type ends [4]end

// identity are the registers of the identities, and registers those of all ends.
var (
	identity  = [2]ofproto.Field{RegSrcID, RegDstID}
	registers = [len(ends{})]ofproto.Field{RegSrcID, RegDstID, RegPeer, RegPeer}
)

// endOf returns which end a flow of a table asks for in a field, or -1.
func endOf(t ofproto.Table, f ofproto.Field) int {
	switch {
	case f == RegSrcID:
		return 0
	case f == RegDstID:
		return 1
	case f == RegPeer && t == PolIn:
		return 2
	case f == RegPeer && t == PolOut:
		return 3
	}
	return -1
}

// given returns what f gives an end, in whichever table that is. Ranges are given in tables of
// their own: the register is another thing elsewhere.
func given(f ofproto.Flow, at int) (uint64, bool) {
	if of := [...]ofproto.Table{2: PeerSrc, 3: PeerDst}; at >= 2 && f.Table != of[at] || f.Table == PolOut || f.Table == PolIn {
		return 0, false // rules ask, and give nothing
	}
	return loaded(f.Actions, registers[at].Whole())
}

// judges reports whether f decides who may talk to whom.
func judges(f ofproto.Flow) bool {
	switch f.Table {
	case PolOut, PolIn, PolMiss: // in PolMiss, what an audit lets pass
		_, owned := TagOf(f.Cookie)
		return owned && !reports(f)
	}
	return false
}

// judgements returns flows that judge as judgements.
func judgements(flows []ofproto.Flow) (all []*judgement) {
	by := deciders(flows)
	them := make([]judgement, len(flows))
	for i, f := range flows {
		j := &them[i]
		*j = judgement{flow: f, does: decided(f, by)}
		j.effect = effectOf(j.does)
		for _, c := range f.Match {
			i := endOf(f.Table, c.Field)
			if i < 0 {
				j.rest = append(j.rest, c)
				j.decider = j.decider || c.Field == ofproto.ConjID
				continue
			}
			j.ends[i] = end{true, c.Value.Uint64()}
		}
		j.key = j.rest.Key()
		all = append(all, j)
	}
	return all
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
	if clause, ok := clauseOf(f); ok {
		return by[clause.ID]
	}
	return f
}

// clauseOf returns the clause of a conjunction that f is, if it is one.
func clauseOf(f ofproto.Flow) (ofproto.Conjunction, bool) {
	if len(f.Actions) == 0 {
		return ofproto.Conjunction{}, false
	}
	clause, ok := f.Actions[0].(ofproto.Conjunction)
	return clause, ok
}

// effectOf says what f does with what it matches.
func effectOf(f ofproto.Flow) effect {
	if len(f.Actions) == 0 {
		return denies
	}
	switch last := f.Actions[len(f.Actions)-1].(type) {
	case ofproto.GotoTable:
		switch ofproto.Table(last) {
		case PolMiss, Drop, Reject:
			return denies
		}
	case ofproto.Resubmit:
		if last.Table == f.Table {
			return passes
		}
	case ofproto.ConnTrack: // marked, and that is all
		if last.Table == ofproto.NoTable {
			return denies
		}
	}
	return grants
}

// same reports whether j and k do the same with what they match, in the service of the same
// intent.
func (j *judgement) same(k *judgement) bool {
	return j.effect == k.effect && j.decider == k.decider && sameActions(j.flow, k.flow) && sameActions(j.does, k.does)
}

// sameActions reports whether f and g do the same in the service of the same intent, but for
// what they report.
func sameActions(f, g ofproto.Flow) bool {
	a, b := ofproto.Flow{Cookie: f.Cookie, Actions: unreported(f.Actions)}, ofproto.Flow{Cookie: g.Cookie, Actions: unreported(g.Actions)}
	return a.Equal(b)
}

// unreported returns actions without those that have a decision reported.
func unreported(actions []ofproto.Action) []ofproto.Action {
	isReport := func(a ofproto.Action) bool { return a == LogNew.Set() || a == LogSampled.Set() }
	if !slices.ContainsFunc(actions, isReport) {
		return actions
	}
	return slices.DeleteFunc(slices.Clone(actions), isReport)
}

// covers reports whether j matches all that k does.
func (j *judgement) covers(k *judgement) bool {
	for i, e := range j.ends {
		if e.asked && e != k.ends[i] {
			return false
		}
	}
	for _, c := range j.rest {
		i := slices.IndexFunc(k.rest, func(d ofproto.Cond) bool { return d.Field == c.Field })
		if i < 0 || !c.Covers(k.rest[i]) {
			return false
		}
	}
	return true
}

// overlaps reports whether some packet may match both j and k.
func (j *judgement) overlaps(k *judgement) bool {
	for i, e := range j.ends {
		if e.asked && k.ends[i].asked && e != k.ends[i] {
			return false
		}
	}
	for _, c := range j.rest {
		for _, d := range k.rest {
			if c.Field == d.Field && !c.Overlaps(d) {
				return false
			}
		}
	}
	return true
}
