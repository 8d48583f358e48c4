package pipeline

import (
	"slices"

	"weir/ofproto"
)

// narrows reports whether the flows of a zone may let less pass now than then.
//
// What was granted is granted still if each flow that granted it has its equal, for all the
// identities that its connections have now; and if no flow stops connections that were not
// stopped, or comes before a grant now and did not before.
func narrows(now, then []ofproto.Flow) bool {
	if sameFlows(now, then) || onlyTranslatesMore(now, then) {
		return false
	}
	before, after := admissionOf(then), admissionOf(now)
	if before.open && !after.open {
		return true // what strangers had opened must not be that of an endpoint that comes later
	}
	if !translatesAll(now, then) {
		return true
	}
	var c comparison
	for at := range c.moves {
		var kept bool
		if c.moves[at], kept = movesOf(identitiesOf(now, at), identitiesOf(then, at), before); !kept {
			return true
		}
	}
	rules, were := chosen(now, judges), chosen(then, judges)
	if sameFlows(rules, were) && !slices.ContainsFunc(rules, c.isAbout) {
		return false
	}
	c.now, c.then = indexed(judgements(rules)), indexed(judgements(were))
	return !c.grantsStay() || !c.stopsWereThere() || c.reordered()
}

// onlyTranslatesMore reports whether all that is other now is that more is translated.
func onlyTranslatesMore(now, then []ofproto.Flow) bool {
	plan := ofproto.Diff(ofproto.Tables{Flows: now}, ofproto.Tables{Flows: then})
	return onlyAdds(plan, now, then) &&
		!slices.ContainsFunc(plan.PutFlows, func(f ofproto.Flow) bool { return !translates(f) || identifies(f) })
}

// onlyAdds reports whether a plan that leads from some flows to others deletes and replaces none.
func onlyAdds(plan ofproto.Plan, now, then []ofproto.Flow) bool {
	return len(plan.DeleteFlows) == 0 && len(plan.PutFlows) == len(now)-len(then)
}

// translatesAll reports whether what was translated then is so now: who has an address outside
// and does not have it any more, or another, has connections by it.
func translatesAll(now, then []ofproto.Flow) bool {
	want, have := chosen(now, translates), chosen(then, translates)
	plan := ofproto.Diff(ofproto.Tables{Flows: want}, ofproto.Tables{Flows: have})
	return onlyAdds(plan, want, have)
}

// translates reports whether f says as whom somebody is known outside. To which backend a load
// balancer sends what is new is of no matter to what is there.
func translates(f ofproto.Flow) bool {
	_, owned := TagOf(f.Cookie)
	return owned && (f.Table == ExtIn || f.Table == LBVIP && f.Priority != Balancing || f.Table == SNATSel && f.Priority != LostFrom || f.Table == SNATAgain)
}

// chosen returns those of flows that are something.
func chosen(flows []ofproto.Flow, are func(ofproto.Flow) bool) (some []ofproto.Flow) {
	for _, f := range flows {
		if are(f) {
			some = append(some, f)
		}
	}
	return some
}

// isAbout reports whether an end that f asks for is not whom it was, or was not whom it is:
// if none is, and the flows are the same, nothing is judged otherwise. Who comes to what only
// grants, or leaves what only stops, is of no matter.
func (c *comparison) isAbout(f ofproto.Flow) bool {
	clause, _ := clauseOf(f)
	effect := effectOf(f)
	for _, cond := range f.Match {
		at := endOf(f.Table, cond.Field)
		if at < 0 {
			continue
		}
		id, m := cond.Value.Uint64(), c.moves[at]
		left, came := !slices.Equal(m.to[id], []uint64{id}), !slices.Equal(m.from[id], []uint64{id})
		if left && len(m.to[id]) > 0 && effect != denies || came && len(m.from[id]) > 0 && (effect != grants || clause.Of > 0) {
			return true
		}
	}
	return false
}

// A comparison is what judges in a zone, now and before.
type comparison struct {
	now, then index
	moves     [len(ends{})]moves
	grants    []pair // flows that granted or passed, and those that do so in their stead
	stops     []pair // flows that deny or pass, and those that did so
}

// A pair is a flow of now and its priority before.
type pair struct {
	*judgement
	before uint16
}

// An index finds judgements.
type index struct {
	all    []*judgement
	equal  map[asked][]*judgement
	serves map[served][]*judgement
}

// asked is what a judgement matches.
type asked struct {
	table ofproto.Table
	ends  ends
	key   string
}

// served is where an intent has its flows.
type served struct {
	table  ofproto.Table
	cookie uint64
}

func indexed(all []*judgement) index {
	x := index{all, make(map[asked][]*judgement, len(all)), make(map[served][]*judgement, len(all))}
	for _, j := range all {
		a, s := asked{j.flow.Table, j.ends, j.key}, served{j.flow.Table, j.flow.Cookie}
		x.equal[a] = append(x.equal[a], j)
		x.serves[s] = append(x.serves[s], j)
	}
	return x
}

// find returns a judgement that matches all that j would, with other ends, and is fit: of
// those that match just that, the one of j's priority, if there is one.
func (x index) find(j *judgement, ends ends, fit func(*judgement) bool) *judgement {
	var found *judgement
	for _, k := range x.equal[asked{j.flow.Table, ends, j.key}] {
		if fit(k) && (found == nil || k.flow.Priority == j.flow.Priority) {
			found = k
		}
	}
	if found != nil {
		return found
	}
	moved := *j
	moved.ends = ends
	for _, k := range x.serves[served{j.flow.Table, j.flow.Cookie}] {
		if fit(k) && k.covers(&moved) {
			return k
		}
	}
	return nil
}

// grantsStay pairs what granted, or passed, with what does so now for the same connections.
func (c *comparison) grantsStay() bool {
	for _, j := range c.then.all {
		if j.effect == denies {
			continue
		}
		for _, ends := range c.across(j.ends, moves.after) {
			k := c.now.find(j, ends, j.same)
			if k == nil {
				return false
			}
			moved := *j
			moved.ends, moved.flow.Priority = ends, k.flow.Priority
			c.grants = append(c.grants, pair{&moved, j.flow.Priority})
		}
	}
	return true
}

// stopsWereThere pairs what denies, or passes, with what did so before for the same
// connections.
func (c *comparison) stopsWereThere() bool {
	audited := slices.ContainsFunc(c.then.all, func(j *judgement) bool { return j.flow.Table == PolMiss && j.effect == grants })
	for _, k := range c.now.all {
		if k.effect == grants {
			continue
		}
		stopped := func(j *judgement) bool {
			return k.same(j) || j.effect == denies && k.effect == denies && !audited && c.alike(j, k)
		}
		before := k.flow.Priority
		for _, ends := range c.across(k.ends, moves.earlier) {
			j := c.then.find(k, ends, stopped)
			if j == nil {
				return false
			}
			before = min(before, j.flow.Priority)
		}
		c.stops = append(c.stops, pair{k, before})
	}
	return true
}

// alike reports whether two flows are both whole, or the same clause of a conjunction.
func (c *comparison) alike(j, k *judgement) bool {
	a, is := clauseOf(j.flow)
	b, too := clauseOf(k.flow)
	return is == too && a == b && j.decider == k.decider
}

// across returns the ends that connections of some ends have on the other side of a change.
func (c *comparison) across(of ends, other func(moves, uint64) []uint64) []ends {
	all := []ends{of}
	for at, e := range of {
		if !e.asked {
			continue
		}
		var more []ends
		for _, x := range all {
			for _, id := range other(c.moves[at], e.id) {
				x[at].id = id
				more = append(more, x)
			}
		}
		all = more
	}
	return all
}

// enough bounds how many pairs of flows are looked at closely.
const enough = 200000

// reordered reports whether something that stops comes before something that grants, and
// did not before. At least one of the two then has another priority than it had.
func (c *comparison) reordered() bool {
	var other []pair
	for _, stop := range c.stops {
		if stop.before != stop.flow.Priority {
			other = append(other, stop)
		}
	}
	looked := 0
	for _, grant := range c.grants {
		stops := other
		if grant.before != grant.flow.Priority {
			stops = c.stops
		}
		for _, stop := range stops {
			if !grant.fallsBehind(stop) {
				continue
			}
			if looked++; looked > enough || grant.overlaps(stop.judgement) {
				return true
			}
		}
	}
	return false
}

// fallsBehind reports whether what grants came before what stops, and does no more. What
// decides for a conjunction has the priority of its clauses, which say what it is for.
func (grant pair) fallsBehind(stop pair) bool {
	return grant.before > stop.before && grant.flow.Priority <= stop.flow.Priority &&
		grant.flow.Table == stop.flow.Table && !grant.decider && !stop.decider
}
