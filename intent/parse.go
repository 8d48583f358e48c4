package intent

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// MaxSource is the length in bytes of the longest file that is read.
const MaxSource = 4 << 20

// A Source is a file that has been read.
type Source struct {
	Name string
	Data []byte
}

// Parse reads YAML documents, one object in each. The error is of type Problems and has
// all that is wrong with the form of them; the Spec has what could be read, so that New
// can find more.
func Parse(sources ...Source) (Spec, error) {
	s := Spec{lines: map[string][]string{}}
	var all Problems
	objects := 0
	for _, src := range sources {
		r := &reader{file: src.Name}
		objects += s.parse(r, src.Data)
		all = append(all, r.problems...)
		s.lost = s.lost || r.lost
	}
	if objects == 0 && len(all) == 0 {
		at := Position{File: "no file"}
		if len(sources) > 0 {
			at.File = sources[0].Name
		}
		all = Problems{{At: at, Why: "there is no object in it", Hint: "a model with nothing in it would take everything off the bridges: detach them instead"}}
	}
	s.unsound = len(all) > 0
	return s, all.err()
}

// parse reads the documents of one file and returns how many objects there are.
func (s *Spec) parse(r *reader, data []byte) int {
	if why := unreadable(data); why != "" {
		r.refuse(Position{File: r.file}, why)
		return 0
	}
	text := strings.TrimPrefix(string(data), byteOrderMark)
	r.lines = strings.Split(text, "\n")
	s.lines[r.file] = r.lines
	n := 0
	for _, d := range documents(text) {
		for _, object := range r.nodes(d) {
			n++
			s.object(r, object)
		}
	}
	return n
}

const byteOrderMark = "\uFEFF"

// unreadable says why data is no text to begin with.
func unreadable(data []byte) string {
	if len(data) > MaxSource {
		return fmt.Sprintf("has %d bytes; a file of a model has at most %d MiB: split it, or is it the right file?", len(data), MaxSource>>20)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return fmt.Sprintf("is a binary file (byte %d is zero), not YAML", i)
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Sprintf("is not UTF-8 text (byte %d)", i)
		}
		i += n
	}
	return ""
}

const apiVersion = "weir/v1"

// kinds are the kinds that can be read; soonKinds are planned.
var (
	kinds     = []string{"Bridge", "Tenant", "Network", "Endpoint", "Policy"}
	soonKinds = map[string]bool{"SNAT": true, "FloatingIP": true, "PortForward": true, "LoadBalancer": true}
)

// object reads one document.
func (s *Spec) object(r *reader, n ast.Node) {
	var m meta
	var kind value[string]
	var spec ast.Node
	var known bool // there is metadata, and all of it could be read
	r.mapping(n, "", map[string]field{
		"apiVersion": {func(n ast.Node, p string) {
			if v := r.text(n, p); v.set && v.v != apiVersion {
				r.bad(n, p, "write "+apiVersion, "%q is not known", v.v)
			}
		}, true},
		"kind": {func(n ast.Node, p string) { kind = r.kind(n, p) }, true},
		"metadata": {func(n ast.Node, p string) {
			before := len(r.problems)
			m = r.metadata(n, p)
			known = len(r.problems) == before
		}, true},
		"spec": {func(n ast.Node, p string) { spec = n }, false},
	})
	m.place = place{r.at(n), "metadata.name"}
	if m.name.set {
		m.place.at = m.name.at
	}
	if !kind.set {
		r.lost = true
		return
	}
	if m.name.set && kind.v == "Bridge" {
		m.name = r.bridge(m.node, m.name.path)
	} else if m.name.set {
		m.name = r.name(m.node, m.name.path)
	}
	r.lost = r.lost || !m.name.set
	tenanted := kind.v != "Bridge" && kind.v != "Tenant"
	switch {
	case tenanted && !m.tenant.set && known:
		r.bad(n, "metadata.tenant", "", "is missing: a %s belongs to a tenant", kind.v)
	case !tenanted && m.tenant.set:
		r.problems = append(r.problems, Problem{m.tenant.at, "metadata.tenant", "a " + kind.v + " belongs to no tenant", "", excerpt(r.lines, m.tenant.at)})
	}
	s.spec(r, kind.v, m, n, spec)
}

func (r *reader) kind(n ast.Node, path string) value[string] {
	v := r.text(n, path)
	if v.set && soonKinds[v.v] {
		r.bad(n, path, "", "%s is not supported yet", v.v)
		return value[string]{}
	}
	if !v.set {
		return v
	}
	return r.choice(n, path, kinds...)
}

func (r *reader) metadata(n ast.Node, path string) (m meta) {
	r.mapping(n, path, map[string]field{
		"name":   {func(n ast.Node, p string) { m.name, m.node = r.text(n, p), n }, true},
		"tenant": {func(n ast.Node, p string) { m.tenant = r.name(n, p) }, false},
		"labels": {func(n ast.Node, p string) { m.labels = r.labels(n, p) }, false},
	})
	return m
}

func (r *reader) labels(n ast.Node, path string) map[string]string {
	labels := map[string]string{}
	entries, _ := r.entries(n, path)
	for _, e := range entries {
		if v, ok := r.label(e, e.node.Value, e.path); ok {
			labels[e.key] = v
		}
	}
	return labels
}

// label reads one value of a label. It takes a number or a boolean as it is written:
// tier: 1.
func (r *reader) label(e entry, n ast.Node, path string) (string, bool) {
	if e.key == "" || !isLabel(e.key) {
		r.bad(e.node, path, "", "%q is no key of a label: want up to %d characters, and none of %s", e.key, maxName, reserved)
		return "", false
	}
	var v string
	switch n := n.(type) {
	case *ast.StringNode:
		v = n.Value
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		v = n.GetToken().Value
	default:
		r.bad(n, path, "", "must be a string, and is %s", kindOf(n))
		return "", false
	}
	if !isLabel(v) {
		r.bad(n, path, "", "%q is no label: want up to %d characters, and none of %s", v, maxName, reserved)
		return "", false
	}
	return v, true
}

// reserved characters separate labels where a set of them is written in one word.
const reserved = "|,;@="

func isLabel(s string) bool {
	odd := func(c rune) bool { return !unicode.IsPrint(c) || strings.ContainsRune(reserved, c) }
	return len(s) <= maxName && !strings.ContainsFunc(s, odd)
}

// spec reads the spec of a kind.
func (s *Spec) spec(r *reader, kind string, m meta, object, n ast.Node) {
	fields := func(required bool, f map[string]field) {
		switch {
		case n != nil:
			r.mapping(n, "spec", f)
		case required:
			r.bad(object, "spec", "", "is missing")
		}
	}
	switch kind {
	case "Bridge":
		b := bridgeSpec{meta: m}
		fields(false, b.fields(r))
		s.bridges = append(s.bridges, b)
	case "Tenant":
		t := tenantSpec{meta: m}
		fields(false, t.fields(r))
		s.tenants = append(s.tenants, t)
	case "Network":
		w, before := networkSpec{meta: m}, len(r.problems)
		fields(true, w.fields(r))
		w.flawed = len(r.problems) > before
		s.networks = append(s.networks, w)
	case "Endpoint":
		e := endpointSpec{meta: m}
		fields(true, e.fields(r))
		s.endpoints = append(s.endpoints, e)
	case "Policy":
		p := policySpec{meta: m}
		fields(true, p.fields(r))
		s.policies = append(s.policies, p)
	}
}

func (b *bridgeSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"external":     {},
		"foreignFlows": {func(n ast.Node, p string) { b.foreign = r.choice(n, p, "refuse", "keep", "remove") }, false},
		"failMode": {func(n ast.Node, p string) {
			if v := r.text(n, p); v.set && v.v != "secure" {
				r.bad(n, p, "write secure, or leave it out", "%q would turn the firewall off whenever the controller is away", v.v)
			}
		}, false},
	}
}

func (t *tenantSpec) fields(r *reader) map[string]field {
	verdict := func(to *value[string]) field {
		return field{func(n ast.Node, p string) { *to = r.choice(n, p, "allow", "deny") }, false}
	}
	return map[string]field{
		"limits": {}, "timeouts": {},
		"zone": {func(n ast.Node, p string) {
			if v, ok := n.(*ast.StringNode); !ok || v.Value != "auto" {
				t.zone = r.number(n, p, 1, 65535)
			}
		}, false},
		"implicitARP": {func(n ast.Node, p string) { t.implicitARP = r.flag(n, p) }, false},
		"mode": {func(n ast.Node, p string) {
			if v := r.choice(n, p, "enforce", "audit", "off"); v.set && v.v != "enforce" {
				r.bad(n, p, "", "%s is not supported yet", v.v)
			}
		}, false},
		"defaults": {func(n ast.Node, p string) {
			r.mapping(n, p, map[string]field{
				"ingress": verdict(&t.ingress), "egress": verdict(&t.egress),
				"invalid": {func(n ast.Node, p string) { t.invalid = r.choice(n, p, "drop", "allow") }, false},
			})
		}, false},
	}
}

func (w *networkSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"bridges": {func(n ast.Node, p string) {
			r.list(n, p, func(n ast.Node, p string) { w.bridges = append(w.bridges, r.bridge(n, p)) })
		}, false},
		"subnets": {func(n ast.Node, p string) {
			r.list(n, p, func(n ast.Node, p string) {
				var s subnetSpec
				r.mapping(n, p, map[string]field{
					"cidr":    {func(n ast.Node, p string) { s.cidr = r.cidr(n, p) }, true},
					"gateway": {func(n ast.Node, p string) { s.gateway = r.addr(n, p) }, false},
				})
				w.subnets = append(w.subnets, s)
			})
		}, false},
	}
}

func (e *endpointSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"network": {func(n ast.Node, p string) { e.network = r.name(n, p) }, true},
		"mac":     {func(n ast.Node, p string) { e.mac = r.mac(n, p) }, true},
		"ips": {func(n ast.Node, p string) {
			r.list(n, p, func(n ast.Node, p string) { e.ips = append(e.ips, r.addr(n, p)) })
		}, false},
		"bind": {func(n ast.Node, p string) {
			given, before := 0, len(r.problems)
			r.mapping(n, p, map[string]field{
				"ifaceID": {func(n ast.Node, p string) { e.ifaceID, given = r.device(n, p), given+1 }, false},
				"port":    {func(n ast.Node, p string) { e.port, given = r.device(n, p), given+1 }, false},
			})
			if given != 1 && len(r.problems) == before {
				r.bad(n, p, "", "want either ifaceID or port")
			}
		}, true},
	}
}

func (p *policySpec) fields(r *reader) map[string]field {
	return map[string]field{
		"appliesTo": {func(n ast.Node, path string) { p.appliesTo = r.selector(n, path, false) }, false},
		"tier": {func(n ast.Node, path string) {
			if v := r.text(n, path); v.set && v.v != "application" {
				r.bad(n, path, "", "%q: tiers other than application are not supported yet", v.v)
			}
		}, false},
		"rules": {func(n ast.Node, path string) {
			r.list(n, path, func(n ast.Node, path string) { p.rules = append(p.rules, r.rule(n, path)) })
		}, true},
	}
}

func (r *reader) rule(n ast.Node, path string) (u ruleSpec) {
	u.place = place{r.at(n), path}
	r.mapping(n, path, map[string]field{
		"log": {}, "alg": {},
		"name":      {func(n ast.Node, p string) { u.name = r.name(n, p) }, true},
		"direction": {func(n ast.Node, p string) { u.direction = r.choice(n, p, "ingress", "egress") }, true},
		"action":    {func(n ast.Node, p string) { u.action = r.action(n, p) }, true},
		"from":      {func(n ast.Node, p string) { u.from = r.selector(n, p, true) }, false},
		"to":        {func(n ast.Node, p string) { u.to = r.selector(n, p, true) }, false},
		"protocol": {func(n ast.Node, p string) {
			u.protocol = r.choice(n, p, "any", "tcp", "udp", "icmp", "icmpv6", "arp", "nd")
		}, false},
		"ports": {func(n ast.Node, p string) {
			u.portsAt = place{r.at(n), p}
			r.some(n, p, func(n ast.Node, p string) {
				if v := r.portRange(n, p); v.set {
					u.ports = append(u.ports, v)
				}
			})
		}, false},
		"mark": {func(n ast.Node, p string) { u.mark = r.number(n, p, 1, 65535) }, false},
	})
	return u
}

func (r *reader) action(n ast.Node, path string) value[string] {
	v := r.text(n, path)
	if v.set && (v.v == "reject" || v.v == "pass") {
		r.bad(n, path, "", "%s is not supported yet", v.v)
		return value[string]{}
	}
	if !v.set {
		return v
	}
	return r.choice(n, path, string(Allow), string(Deny), string(Stateless))
}

func (r *reader) selector(n ast.Node, path string, cidrs bool) (s selectorSpec) {
	s.place, s.set = place{r.at(n), path}, true
	fields := map[string]field{
		"labels": {func(n ast.Node, p string) { s.labels = r.labelSets(n, p) }, false},
		"endpoints": {func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) { s.endpoints = append(s.endpoints, r.name(n, p)) })
		}, false},
	}
	fields["cidrs"] = field{func(n ast.Node, p string) {
		r.bad(n, p, "give addresses as from or to in its rules", "a policy applies to endpoints")
	}, false}
	if cidrs {
		fields["cidrs"] = field{func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) {
				if v := r.cidr(n, p); v.set {
					s.cidrs = append(s.cidrs, v)
				}
			})
		}, false}
	}
	before := len(r.problems)
	r.mapping(n, path, fields)
	if entries, _ := n.(*ast.MappingNode); entries != nil && len(entries.Values) == 0 && len(r.problems) == before {
		r.bad(n, path, "leave it out to select everything", "selects nothing")
	}
	return s
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

func (r *reader) cidr(n ast.Node, path string) (v value[netip.Prefix]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	p, err := netip.ParsePrefix(s.v)
	switch {
	case err != nil:
		r.bad(n, path, "", "%q is no prefix, as in 10.1.0.0/24 or fd00:1::/64", s.v)
	case p.Addr().Zone() != "" || p.Addr().Is4In6():
		r.bad(n, path, "", "%q is no prefix of plain IPv4 or IPv6", s.v)
	case p.Masked() != p:
		r.bad(n, path, fmt.Sprintf("write %v, or %v/%d for one address", p.Masked(), p.Addr(), p.Addr().BitLen()), "%v has bits set beyond its length", p)
	default:
		return located(r, n, path, p)
	}
	return v
}

func (r *reader) addr(n ast.Node, path string) (v value[netip.Addr]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	a, err := netip.ParseAddr(s.v)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		hint := ""
		if p, err := netip.ParsePrefix(s.v); err == nil {
			hint = fmt.Sprintf("write %v: the length of the prefix is that of the subnet", p.Addr())
		}
		r.bad(n, path, hint, "%q is no address of a host", s.v)
		return v
	}
	return located(r, n, path, a)
}

func (r *reader) mac(n ast.Node, path string) (v value[MAC]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	var m MAC
	parts := strings.Split(s.v, ":")
	ok := len(parts) == len(m)
	for i := 0; ok && i < len(m); i++ {
		b, err := strconv.ParseUint(parts[i], 16, 8)
		m[i], ok = byte(b), err == nil && len(parts[i]) == 2
	}
	switch {
	case !ok:
		r.bad(n, path, `write it as in "02:00:00:00:00:11", in quotes`, "%q is no Ethernet address", s.v)
	case m[0]&1 == 1 || m == MAC{}:
		r.bad(n, path, "", "%q is no address of one station", s.v)
	default:
		return located(r, n, path, m)
	}
	return v
}
