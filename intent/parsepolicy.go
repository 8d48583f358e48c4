package intent

import "github.com/goccy/go-yaml/ast"

func (p *policySpec) fields(r *reader) map[string]field {
	return map[string]field{
		"appliesTo": {func(n ast.Node, path string) { p.appliesTo = r.selector(n, path, false) }, false},
		"tier":      {func(n ast.Node, path string) { p.tier = r.choice(n, path, "admin", "application", "baseline") }, false},
		"priority":  {func(n ast.Node, path string) { p.priority = r.number(n, path, 0, 65535) }, false},
		"onRevoke":  {func(n ast.Node, path string) { p.onRevoke = r.choice(n, path, "enforce", "keep", "reset") }, false},
		"rules": {func(n ast.Node, path string) {
			if list, ok := n.(*ast.SequenceNode); ok {
				p.rules = make([]ruleSpec, 0, len(list.Values))
			}
			r.list(n, path, func(n ast.Node, path string) { p.rules = append(p.rules, r.rule(n, path)) })
		}, true},
	}
}

func (r *reader) rule(n ast.Node, path string) (u ruleSpec) {
	u.place = place{r.at(n), path}
	var types ast.Node // what they mean depends on the protocol, which may come after them
	r.mapping(n, path, map[string]field{
		"name":        {func(n ast.Node, p string) { u.name = r.name(n, p) }, true},
		"description": {func(n ast.Node, p string) { u.about = r.sentence(n, p) }, false},
		"direction":   {func(n ast.Node, p string) { u.direction = r.choice(n, p, "ingress", "egress") }, true},
		"action": {func(n ast.Node, p string) {
			u.action = r.choice(n, p, "allow", "deny", "reject", "stateless", "pass")
		}, true},
		"from":     {func(n ast.Node, p string) { u.from = r.selector(n, p, true) }, false},
		"to":       {func(n ast.Node, p string) { u.to = r.selector(n, p, true) }, false},
		"protocol": {func(n ast.Node, p string) { u.protocol = r.protocol(n, p) }, false},
		"ports": {func(n ast.Node, p string) {
			u.portsAt = place{r.at(n), p}
			r.some(n, p, func(n ast.Node, p string) {
				if v := r.portRange(n, p); v.set {
					u.ports = append(u.ports, v)
				}
			})
		}, false},
		"types": {func(n ast.Node, p string) { types, u.typesAt = n, place{r.at(n), p} }, false},
		"alg":   {func(n ast.Node, p string) { u.alg = r.choice(n, p, "ftp", "tftp") }, false},
		"log":   {func(n ast.Node, p string) { u.log = r.choice(n, p, "new", "sampled") }, false},
		"mark":  {func(n ast.Node, p string) { u.mark = r.number(n, p, 1, 65535) }, false},
	})
	if types != nil {
		u.types = r.icmpTypes(types, u.typesAt.path, u.protocol.v)
	}
	return u
}

// icmpTypes reads the types of a protocol. For a protocol that has none, it only looks
// that there is a list.
func (r *reader) icmpTypes(n ast.Node, path string, p Protocol) (types []value[ICMPType]) {
	known := messages[p]
	r.some(n, path, func(n ast.Node, path string) {
		if known == nil {
			return
		}
		if v := r.icmpType(n, path, p, known); v.set {
			types = append(types, v)
		}
	})
	return types
}

func (g *groupSpec) fields(r *reader) map[string]field {
	fields := r.selectors(&g.members, true)
	fields["groups"] = field{func(n ast.Node, p string) {
		r.bad(n, p, "name both where they are used", "a group has no groups in it")
	}, false}
	g.members.set = true
	return fields
}

func (r *reader) selector(n ast.Node, path string, cidrs bool) (s selectorSpec) {
	s.place, s.set = place{r.at(n), path}, true
	r.mapping(n, path, r.selectors(&s, cidrs))
	r.nothing(n, path)
	return s
}

// selectors are the fields of a selector.
func (r *reader) selectors(s *selectorSpec, cidrs bool) map[string]field {
	fields := map[string]field{
		"labels": {func(n ast.Node, p string) { s.labels = r.labelSets(n, p) }, false},
		"endpoints": {func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) { s.endpoints = append(s.endpoints, r.name(n, p)) })
		}, false},
		"groups": {func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) { s.groups = append(s.groups, r.name(n, p)) })
		}, false},
		"cidrs": {func(n ast.Node, p string) {
			r.bad(n, p, "give addresses as from or to in its rules", "a policy applies to endpoints")
		}, false},
	}
	if cidrs {
		fields["cidrs"] = field{func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) {
				if v := r.cidr(n, p); v.set {
					s.cidrs = append(s.cidrs, v)
				}
			})
		}, false}
	}
	return fields
}

// nothing notes a selector that is there and empty.
func (r *reader) nothing(n ast.Node, path string) {
	if m, _ := n.(*ast.MappingNode); m != nil && len(m.Values) == 0 {
		hint := "leave it out to select everything"
		if path == "spec" {
			hint = "add cidrs, labels or endpoints"
		}
		r.bad(n, path, hint, "selects nothing")
	}
}

// some reads a list that must have an item. In a selector, a list without any selects
// nothing, and would select everything if it were taken for left out.
func (r *reader) some(n ast.Node, path string, item func(n ast.Node, path string)) {
	if list, ok := n.(*ast.SequenceNode); ok && len(list.Values) == 0 {
		r.bad(n, path, "leave it out if it does not matter", "is an empty list")
	}
	r.list(n, path, item)
}

// labelSets reads {tier: app} and {tier: [app, web]}.
func (r *reader) labelSets(n ast.Node, path string) map[string][]string {
	labels := map[string][]string{}
	entries, ok := r.entries(n, path)
	if ok && len(entries) == 0 {
		r.bad(n, path, "leave it out if it does not matter", "is empty")
	}
	for _, e := range entries {
		add := func(n ast.Node, p string) {
			if v, ok := r.label(e, n, p); ok {
				labels[e.key] = append(labels[e.key], v)
			}
		}
		if _, many := e.node.Value.(*ast.SequenceNode); many {
			r.some(e.node.Value, e.path, add)
		} else {
			add(e.node.Value, e.path)
		}
	}
	return labels
}
