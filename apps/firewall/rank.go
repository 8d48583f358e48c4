package firewall

import (
	"fmt"
	"iter"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A band is the priorities of a tier: from highest down to lowest.
type band struct{ highest, first, lowest int }

// bands are where rules go, from first down, and where there is room for those that are put
// in front later.
var bands = map[intent.Tier]band{
	intent.AdminTier:       {60000, 50000, 40001},
	intent.ApplicationTier: {40000, 30000, 20001},
	intent.BaselineTier:    {20000, 10000, 2},
}

// step is how far apart rules are that overlap, where there is room, so that others can be
// put between.
const step = 100

// A ranking gives the rules of a tenant for a direction their priorities. A rule goes below
// all earlier ones of its tier that it overlaps, and shares a priority with those that it
// does not.
//
// A rule keeps the priority that it has in the bridge as long as that is right. So one that
// is put in front of many costs its own flows.
type ranking struct {
	rules        []rule
	table        ofproto.Table
	neighbours   neighbours
	before       []int // the priority of each rule, where it is worth keeping; zero: none
	conjunctions shared
	full         int // the rule for which there was no priority left
}

// ranked returns the tenant's rules for a direction, in order, with their priorities.
func ranked(b *pipeline.Builder, t *pipeline.TenantSite, d intent.Direction, style style) []rule {
	s := stages[d]
	rules := passed(resolved(b, t, d))
	for i := range rules {
		if r := &rules[i]; style == cheapest {
			r.as = r.conjunctive(b.Numbers, s)
		}
	}
	k := &ranking{rules: rules, table: s.table, neighbours: neighboursOf(rules), before: make([]int, len(rules))}
	for i, r := range rules {
		if p := b.Before(s.table, r.ID()); bands[r.Policy.Tier].has(p) && !r.refused { // it stands for more now, and others must not move for it
			k.before[i] = p
		}
	}
	if k.forget(); !k.kept() && !k.anew() {
		b.Fail(k.noRoom())
	}
	return rules
}

// noRoom says what is to be done where there are no priorities left.
func (k *ranking) noRoom() error {
	r := k.rules[k.full]
	return fmt.Errorf("%s: too many rules of tier %s overlap one another, and there is no priority left for this one: move some policies to another tier, or make one rule of several", r.ID(), r.Policy.Tier)
}

func (b band) has(p int) bool { return b.lowest <= p && p <= b.highest }

// apart reports whether no packet can match both of two rules, or they are of two tiers.
func (k *ranking) apart(i, j int) bool {
	a, b := &k.rules[i], &k.rules[j]
	return a.Policy.Tier != b.Policy.Tier || !a.overlaps(b)
}

// forget forgets priorities that contradict the order of the rules: as few as will do, or
// all if there are so many that the rules are others.
func (k *ranking) forget() {
	against, pairs := map[int][]int{}, 0
	for j, p := range k.before {
		for i := range k.neighbours.of(&k.rules[j]) {
			if q := k.before[i]; i >= j || q == 0 || q > p || k.apart(i, j) {
				continue
			}
			against[i], against[j] = append(against[i], j), append(against[j], i)
			if pairs++; pairs > 1000+4*len(k.rules) {
				clear(k.before)
				return
			}
		}
	}
	for len(against) > 0 {
		k.forgetOne(against)
	}
}

// forgetOne forgets the priority that contradicts most others.
func (k *ranking) forgetOne(against map[int][]int) {
	worst := -1
	for i, others := range against {
		if n := len(against[worst]); worst < 0 || len(others) > n || len(others) == n && i < worst {
			worst = i
		}
	}
	k.before[worst] = 0
	for _, i := range against[worst] {
		if against[i] = slices.DeleteFunc(against[i], func(j int) bool { return j == worst }); len(against[i]) == 0 {
			delete(against, i)
		}
	}
	delete(against, worst)
}

// kept gives the rules the priorities from before, and puts the others between. It returns
// false if nothing is known of before, or there is no room.
func (k *ranking) kept() bool {
	if !slices.ContainsFunc(k.before, func(p int) bool { return p != 0 }) {
		return false
	}
	k.conjunctions = shared{}
	for i, p := range k.before {
		if p != 0 && k.asideFrom(i, p) != p {
			k.before[i] = 0
		}
	}
	for i := range k.rules {
		p, highest := k.before[i], k.below(i, 1)
		if p == 0 || p > highest {
			p = k.asideFrom(i, k.between(i, highest))
		}
		if !k.give(i, p) {
			return false
		}
	}
	return true
}

// below returns the highest priority that the rule i may have, so far below those that it has
// to be below.
func (k *ranking) below(i, distance int) int {
	highest := bands[k.rules[i].Policy.Tier].highest
	for j := range k.neighbours.of(&k.rules[i]) {
		if p := int(k.rules[j].priority) - distance; j < i && p < highest && !k.apart(j, i) {
			highest = p
		}
	}
	return highest
}

// between returns a priority for the rule i, from highest down, that is above those of before
// of the rules that it has to be above, if it can be: in the middle, or with some room.
func (k *ranking) between(i, highest int) int {
	b := bands[k.rules[i].Policy.Tier]
	lowest := b.lowest
	for j := range k.neighbours.of(&k.rules[i]) {
		if p := k.before[j]; j > i && p >= lowest && p < highest && !k.apart(i, j) {
			lowest = p + 1
		}
	}
	switch {
	case highest == b.highest && lowest == b.lowest:
		return b.first
	case highest == b.highest:
		return lowest + min(step-1, (highest-lowest)/2)
	case lowest == b.lowest:
		return highest - min(step-1, (highest-lowest)/2)
	}
	return (lowest + highest) / 2
}

// anew gives the rules priorities as if there had been none.
func (k *ranking) anew() bool {
	for _, distance := range []int{step, step / 10, 1} {
		if k.from(distance, func(b band) int { return b.first }) {
			return true
		}
	}
	return k.from(1, func(b band) int { return b.highest })
}

// from gives the rules priorities from a first one down, some distance apart.
func (k *ranking) from(distance int, first func(band) int) bool {
	k.conjunctions = shared{}
	for i := range k.rules {
		p := min(k.below(i, distance), first(bands[k.rules[i].Policy.Tier]))
		if !k.give(i, k.asideFrom(i, p)) {
			return false
		}
	}
	return true
}

// asideFrom returns the first priority from p down at which no conjunction has a match in
// common with that of the rule i.
func (k *ranking) asideFrom(i, p int) int {
	r := &k.rules[i]
	if r.as == nil {
		return p
	}
	return k.conjunctions.apart(p, r.as.keys(r.unpassed(k.table)))
}

// give gives the rule i a priority, if it is one of its tier.
func (k *ranking) give(i, p int) bool {
	k.full = i
	k.rules[i].priority = uint16(p)
	return p >= bands[k.rules[i].Policy.Tier].lowest
}

// Neighbours are the rules that may overlap, by their places. Most rules are for one port, and
// need not be compared with those for another.
type neighbours struct {
	all, wide []int // wide: for more than one port
	narrow    map[portOf][]int
}

// A portOf is a port of a protocol.
type portOf struct {
	protocol intent.Protocol
	port     uint16
}

func neighboursOf(rules []rule) neighbours {
	n := neighbours{narrow: map[portOf][]int{}}
	for i := range rules {
		n.all = append(n.all, i)
		if p, ok := rules[i].onePort(); ok {
			n.narrow[p] = append(n.narrow[p], i)
		} else {
			n.wide = append(n.wide, i)
		}
	}
	return n
}

// of yields the places of the rules that may overlap r, in no order, and that of r itself.
func (n *neighbours) of(r *rule) iter.Seq[int] {
	some, more := n.all, []int(nil)
	if p, ok := r.onePort(); ok {
		some, more = n.narrow[p], n.wide
	}
	return func(yield func(int) bool) {
		for _, list := range [][]int{some, more} {
			for _, i := range list {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// onePort returns the only port that r is for.
func (r *rule) onePort() (portOf, bool) {
	if len(r.Ports) != 1 || r.Ports[0].Lo != r.Ports[0].Hi {
		return portOf{}, false
	}
	return portOf{r.Protocol, r.Ports[0].Lo}, true
}
