package intent

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Review returns what is probably not meant in a model with which nothing is wrong:
// rules that can never match, with the place of the rule that is asked before them;
// rules that are there twice; SNATs that translate nothing; port forwards and load balancers by
// which nobody gets through; and selections that select nobody. The sources are for the excerpts.
//
// A rule is said never to match only if one earlier rule matches all that it would. That
// several do so together is not looked for.
func Review(m *Model, sources ...Source) Problems {
	v := &review{model: m, lines: map[string][]string{}}
	for _, s := range sources {
		v.lines[s.Name] = strings.Split(strings.TrimPrefix(string(s.Data), byteOrderMark), "\n")
	}
	for _, t := range m.tenants {
		v.tenant(t)
	}
	slices.SortStableFunc(v.found, byPlace)
	return v.found
}

// A review goes through a model.
type review struct {
	model *Model
	lines map[string][]string
	found Problems
}

func (v *review) note(id ID, path, hint, why string, args ...any) {
	at := v.model.Position(id)
	v.found = append(v.found, Problem{at, path, fmt.Sprintf(why, args...), hint, excerpt(v.lines[at.File], at)})
}

// place is where an intent is written, in a sentence.
func (v *review) place(id ID) string {
	at := v.model.Position(id)
	return fmt.Sprintf("%s:%d", at.File, at.Line)
}

func (v *review) tenant(t *Tenant) {
	for _, g := range t.Groups {
		if s := selectionOf(t, g.Members); s.nobody() {
			v.note(g.ID(), "spec", hintFor(t, g.Members), "selects nobody: %s", absent(g.Members))
		}
	}
	q := &queue{tenant: t, everybody: selectionOf(t, Selector{}), before: map[asked][]*scope{}, passing: map[Tier]map[Direction]bool{}}
	for _, tier := range tiers {
		q.passing[tier] = map[Direction]bool{}
	}
	for _, p := range t.Policies {
		v.policy(q, p)
	}
	v.nat(t)
	v.forwards(t)
	v.balancers(t)
	v.unreachable(t)
}

// A queue is the rules of a tenant in the order in which they are asked, as far as they
// have been gone through.
type queue struct {
	tenant    *Tenant
	everybody *selection
	before    map[asked][]*scope
	passing   map[Tier]map[Direction]bool // there is a pass rule
}

// selection resolves s. Most policies and rules are for everybody, who is resolved once.
func (q *queue) selection(s Selector) *selection {
	if s.Empty() {
		return q.everybody
	}
	return selectionOf(q.tenant, s)
}

// asked is what rules have to have in common to be asked about the same packets.
type asked struct {
	direction Direction
	protocol  Protocol
}

func (v *review) policy(q *queue, p *Policy) {
	t, subjects := q.tenant, q.selection(p.AppliesTo)
	switch {
	case len(p.Rules) == 0:
		v.note(p.ID(), "spec.rules", "", "is empty: the policy says nothing")
	case subjects.nobody() && len(t.Endpoints) > 0:
		v.note(p.ID(), "spec.appliesTo", hintFor(t, p.AppliesTo), "selects nobody: %s", absent(p.AppliesTo))
		return
	}
	for i, r := range p.Rules {
		s := scopeOf(r, subjects, q.selection(r.Peer))
		path := fmt.Sprintf("spec.rules[%d]", i)
		if !v.pointless(t, s, path) {
			v.shadowed(s, path, q.before)
		}
		s.passed = q.passing[p.Tier][r.Direction]
		q.passing[p.Tier][r.Direction] = s.passed || r.Action == Pass
		key := asked{r.Direction, r.Protocol}
		q.before[key] = append(q.before[key], s)
	}
}

// pointless notes a rule that can match nothing by itself, and reports whether it is one.
func (v *review) pointless(t *Tenant, s *scope, path string) bool {
	r := s.rule
	side := map[Direction]string{Ingress: ".from", Egress: ".to"}[r.Direction]
	switch {
	case s.peers.nobody():
		v.note(r.ID(), path+side, hintFor(t, r.Peer), "selects nobody: %s", absent(r.Peer))
	case !s.v4 && !s.v6 && len(t.Endpoints) > 0:
		v.note(r.ID(), path, "", "can never match: its endpoints, its peers and its protocol have no IP version in common")
	case r.Action != Stateless && len(r.Types) > 0 && !slices.ContainsFunc(r.Types, r.Protocol.opens):
		v.note(r.ID(), path+".types", "leave the rule out: errors and answers pass with the connection that they are about",
			"can never match: such messages open no connection, and only new ones are judged by rules")
	default:
		return false
	}
	return true
}

// shadowed notes a rule of which an earlier one matches everything.
func (v *review) shadowed(s *scope, path string, before map[asked][]*scope) {
	r := s.rule
	first := s.shadow(before[asked{r.Direction, r.Protocol}])
	if r.Protocol != AnyProtocol && !r.neighbours() {
		if any := s.shadow(before[asked{r.Direction, AnyProtocol}]); any != nil && (first == nil || inOrderOfRules(any.rule, first.rule)) {
			first = any
		}
	}
	switch {
	case first == nil:
	case first.rule.same(r) && s.contains(first):
		v.note(r.ID(), path, "", "says the same as %s, at %s", first.rule.ID(), v.place(first.rule.ID()))
	default:
		v.note(r.ID(), path, "", "can never match: %s (%s), at %s, comes first and matches all of it", first.rule.ID(), first.rule.Action, v.place(first.rule.ID()))
	}
}

// inOrderOfRules reports whether a is asked before b.
func inOrderOfRules(a, b *Rule) bool {
	if a.Policy != b.Policy {
		return inOrder(a.Policy, b.Policy) < 0
	}
	return slices.Index(a.Policy.Rules, a) < slices.Index(a.Policy.Rules, b)
}

// same reports whether r and q do the same with what they match.
func (r *Rule) same(q *Rule) bool {
	return r.Action == q.Action && r.ALG == q.ALG && r.Log == q.Log && r.Mark == q.Mark
}

// opens reports whether a message of a type is one that the connection tracker takes for
// the first of a connection: a request that is answered (as Open vSwitch does; Linux takes
// a few more).
func (p Protocol) opens(t ICMPType) bool {
	if p == ICMPv6 {
		return t.Type == 128
	}
	return t.Type == 8 || t.Type == 13 || t.Type == 15 || t.Type == 17
}

// absent says why a selector selects nobody.
func absent(s Selector) string {
	var why []string
	if len(s.Labels) > 0 {
		why = append(why, "no endpoint has "+labelText(s.Labels))
	}
	for _, g := range s.Groups {
		why = append(why, fmt.Sprintf("group %q has no members", g.Name))
	}
	return strings.Join(why, ", and ")
}

func labelText(labels map[string][]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+strings.Join(labels[k], "|"))
	}
	return strings.Join(parts, ", ")
}

// hintFor returns what was probably meant by labels that nobody has.
func hintFor(t *Tenant, s Selector) string {
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		keys, values := map[string]bool{}, map[string]bool{}
		for _, e := range t.Endpoints {
			for key, value := range e.Labels {
				keys[key] = true
				values[value] = values[value] || key == k
			}
		}
		if !keys[k] {
			return meant(k, maps.Keys(keys))
		}
		for _, want := range s.Labels[k] {
			if !values[want] {
				maps.DeleteFunc(values, func(_ string, of bool) bool { return !of })
				return meant(want, maps.Keys(values))
			}
		}
	}
	return ""
}

// linkLocals is where the addresses are that IPv6 hosts give themselves.
var linkLocals = netip.MustParsePrefix("fe80::/64")
