package firewall

import (
	"slices"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// A rule with several endpoints, peers and services is the product of them in flows, or
// as a conjunction their sum: a flow for each value of each dimension, which says that the
// dimension is met, and one with what the rule does, which matches when all are.
//
// The id of a conjunction is the number of its rule. Its flows have a priority that no
// other conjunction with a flow in common has, so that each flow is one rule's.

// dimensions returns what has to be met at the same time for r to match: each is a list
// of alternatives. In none of them is IPv4 combined with IPv6, for a packet is but one.
func (r rule) dimensions(n pipeline.Numbers, s stage) [][][]ofproto.Cond {
	var subjects, peers, services [][]ofproto.Cond
	for _, c := range r.subjects {
		subjects = append(subjects, []ofproto.Cond{s.subject.class(n, c)})
	}
	seen := map[ofproto.Cond]bool{}
	for _, v := range r.versions {
		for _, peer := range r.peerConds(n, s.peer, v) {
			if len(peer) > 0 && !seen[peer[0]] { // a class may speak both versions
				seen[peer[0]] = true
				peers = append(peers, peer)
			}
		}
		for _, service := range r.services(forward) {
			services = append(services, append([]ofproto.Cond{ipVersion(v)}, service...))
		}
	}
	if r.anyPeer {
		return [][][]ofproto.Cond{subjects, services}
	}
	return [][][]ofproto.Cond{subjects, peers, services}
}

// A conjunction is a rule as one: the dimensions that have alternatives, and the
// conditions of those that have none.
type conjunction struct {
	several [][][]ofproto.Cond
	always  []ofproto.Cond
}

// conjunctive returns r as a conjunction, or nil if that is no fewer flows than the
// product.
func (r rule) conjunctive(n pipeline.Numbers, s stage) *conjunction {
	product := r.product(n, s)
	if product < 8 || r.refused { // 2 x 4: two and four, and one with what the rule does
		return nil
	}
	var c conjunction
	sum := 1
	for _, d := range r.dimensions(n, s) {
		if len(d) == 1 {
			c.always = append(c.always, d[0]...)
			continue
		}
		c.several = append(c.several, d)
		sum += len(d)
	}
	if len(c.several) < 2 || sum >= product || c.repeats() {
		return nil
	}
	return &c
}

// product returns how many flows r is without a conjunction.
func (r rule) product(n pipeline.Numbers, s stage) (flows int) {
	services := len(r.services(forward))
	for _, v := range r.versions {
		flows += len(r.subjects) * len(r.peerConds(n, s.peer, v)) * services
	}
	return flows
}

// conjoin adds a rule as its conjunction.
func conjoin(b *pipeline.Builder, t *pipeline.TenantSite, r rule, s stage) {
	id := b.Numbers.Tag(r.ID())
	common := append(r.unpassed(s.table), pipeline.InZone(t.Zone))
	for _, c := range r.as.clauses(id, common) {
		b.Flow(r.ID(), s.table, r.priority, c.match, c.met)
	}
	met := append([]ofproto.Cond{ofproto.Is(ofproto.ConjID, uint64(id))}, common...)
	b.Flow(r.ID(), s.table, r.priority, ofproto.MatchOn(met...), decision(b, r, s)...)
}

// repeats reports whether two dimensions are met by the same match, as ::/0 and any
// service of IPv6 are. Open vSwitch wants as many flows as there are dimensions: one flow
// for two of them would never match.
func (c *conjunction) repeats() bool {
	keys := c.keys(nil)
	slices.Sort(keys)
	return len(slices.Compact(keys)) < len(keys)
}

// A clause is a match, and the dimension that is met with it.
type clause struct {
	match ofproto.Match
	met   ofproto.Action
}

func (c *conjunction) clauses(id uint32, common []ofproto.Cond) (all []clause) {
	for i, d := range c.several {
		met := ofproto.Conjunction{Clause: uint8(i), Of: uint8(len(c.several)), ID: id}
		for _, alternative := range d {
			all = append(all, clause{c.clause(common, alternative), met})
		}
	}
	return all
}

func (c *conjunction) clause(common, alternative []ofproto.Cond) ofproto.Match {
	return ofproto.MatchOn(slices.Concat(common, c.always, alternative)...)
}

// keys are the matches of c, beside the zone.
func (c *conjunction) keys(common []ofproto.Cond) (keys []string) {
	for _, d := range c.several {
		for _, alternative := range d {
			keys = append(keys, c.clause(common, alternative).Key())
		}
	}
	return keys
}

// shared are the matches of the conjunctions of each priority.
type shared map[int]map[string]bool

// apart returns the first priority from p down at which no conjunction has one of the
// matches yet, and notes them there.
func (s shared) apart(p int, matches []string) int {
	for slices.ContainsFunc(matches, func(m string) bool { return s[p][m] }) {
		p--
	}
	s.note(p, matches)
	return p
}

func (s shared) note(p int, matches []string) {
	if s[p] == nil {
		s[p] = map[string]bool{}
	}
	for _, m := range matches {
		s[p][m] = true
	}
}
