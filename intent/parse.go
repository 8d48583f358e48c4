package intent

import (
	"bytes"
	"fmt"
	"slices"
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
	files := make([]contents, len(sources))
	inParts(len(sources), maxParts, func(i int) { files[i] = parse(sources[i]) })
	return assemble(files)
}

// inParts calls f for all numbers below n, and for those of some parts at the same time.
func inParts(n, parts int, f func(int)) {
	size := max(1, (n+parts-1)/parts)
	var waits []<-chan bool
	for lo := 0; lo < n; lo += size {
		done := make(chan bool, 1)
		go func() {
			for i := lo; i < min(lo+size, n); i++ {
				f(i)
			}
			done <- true
		}()
		waits = append(waits, done)
	}
	for _, done := range waits {
		<-done
	}
}

// contents is what one file says.
type contents struct {
	name     string
	lines    []string
	spec     Spec
	problems Problems
}

func linesOf(files []contents) map[string][]string {
	lines := make(map[string][]string, len(files))
	for _, f := range files {
		lines[f.name] = f.lines
	}
	return lines
}

// assemble puts together what files say, and what is wrong with the form of them.
func assemble(files []contents) (Spec, error) {
	s := Spec{lines: linesOf(files)}
	var all Problems
	for _, f := range files {
		s.add(f.spec)
		all = append(all, f.problems...)
	}
	if s.objects == 0 && len(all) == 0 {
		at := Position{File: "no file"}
		if len(files) > 0 {
			at.File = files[0].name
		}
		all = Problems{{At: at, Why: "there is no object in it", Hint: "a model with nothing in it would take everything off the bridges: detach them instead"}}
	}
	s.unsound = len(all) > 0
	return s, all.err()
}

// parse reads the documents of one file, several at a time.
func parse(src Source) (p contents) {
	p.name = src.Name
	if why := unreadable(src.Data); why != "" {
		p.spec.lost = true
		p.problems = Problems{{At: Position{File: src.Name}, Why: why}}
		return p
	}
	text := string(withoutMark(src.Data))
	p.lines = strings.Split(text, "\n")
	docs := documents(text)
	var parts []<-chan part
	for docs := range slices.Chunk(docs, max(minPart, len(docs)/maxParts)) {
		done := make(chan part, 1)
		go func() { done <- parsePart(&reader{file: src.Name, lines: p.lines}, docs) }()
		parts = append(parts, done)
	}
	for _, done := range parts {
		part := <-done
		p.spec.add(part.spec)
		p.problems = append(p.problems, part.problems...)
	}
	return p
}

// A file is read in parts, each by a goroutine of its own: reading YAML is most of the way
// from a file to a compiled model, and documents have nothing to do with one another.
const (
	minPart  = 16 // documents
	maxParts = 64
)

// A part is what some documents of a file say, and what is wrong with them.
type part struct {
	spec     Spec
	problems Problems
}

func parsePart(r *reader, docs []document) part {
	var s Spec
	for _, d := range docs {
		for _, object := range r.nodes(d) {
			s.objects++
			s.object(r, object)
		}
	}
	s.lost = r.lost
	return part{s, r.problems}
}

// add appends what another spec says, which is of the documents that follow.
func (s *Spec) add(t Spec) {
	s.bridges = together(s.bridges, t.bridges)
	s.tenants = together(s.tenants, t.tenants)
	s.networks = together(s.networks, t.networks)
	s.endpoints = together(s.endpoints, t.endpoints)
	s.groups = together(s.groups, t.groups)
	s.policies = together(s.policies, t.policies)
	s.snats = together(s.snats, t.snats)
	s.floatings = together(s.floatings, t.floatings)
	s.forwards = together(s.forwards, t.forwards)
	s.balancers = together(s.balancers, t.balancers)
	s.objects += t.objects
	s.lost = s.lost || t.lost
}

// together appends b to a. Where a is empty it is b itself, for nobody changes what has been read,
// and objects of a kind are mostly in one file of their tenant.
func together[T any](a, b []T) []T {
	if len(a) == 0 {
		return slices.Clip(b)
	}
	return append(a, b...)
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
	if utf8.Valid(data) {
		return ""
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

// kinds are the kinds that can be read.
var kinds = []string{"Bridge", "Tenant", "Network", "Endpoint", "Group", "Policy", "SNAT", "FloatingIP", "PortForward", "LoadBalancer"}

// object reads one document. It returns of which kind it is, and what it says of itself.
func (s *Spec) object(r *reader, n ast.Node) (of string, m meta) {
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
		return "", m
	}
	if m.name.set && kind.v == "Bridge" {
		m.name = r.bridge(m.node, m.name.path)
	} else if m.name.set {
		m.name = r.name(m.node, m.name.path)
	}
	m.node = nil // it has the whole document behind it
	r.lost = r.lost || !m.name.set
	tenanted := kind.v != "Bridge" && kind.v != "Tenant"
	switch {
	case tenanted && !m.tenant.set && known:
		r.bad(n, "metadata.tenant", "", "is missing: a %s belongs to a tenant", kind.v)
	case !tenanted && m.tenant.set:
		r.problems = append(r.problems, Problem{m.tenant.at, "metadata.tenant", "a " + kind.v + " belongs to no tenant", "", excerpt(r.lines, m.tenant.at)})
	}
	s.spec(r, kind.v, m, n, spec)
	return kind.v, m
}

func (r *reader) kind(n ast.Node, path string) value[string] {
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
	case "Group":
		g := groupSpec{meta: m}
		fields(true, g.fields(r))
		if n != nil {
			g.members.place = place{r.at(n), "spec"}
			r.nothing(n, "spec")
		}
		s.groups = append(s.groups, g)
	case "Policy":
		p := policySpec{meta: m}
		fields(true, p.fields(r))
		s.policies = append(s.policies, p)
	case "SNAT":
		t := snatSpec{meta: m}
		fields(true, t.fields(r))
		s.snats = append(s.snats, t)
	case "FloatingIP":
		f := floatingSpec{meta: m}
		fields(true, f.fields(r))
		s.floatings = append(s.floatings, f)
	case "PortForward":
		f := forwardSpec{meta: m}
		fields(true, f.fields(r))
		s.forwards = append(s.forwards, f)
	case "LoadBalancer":
		l := balancerSpec{meta: m}
		fields(true, l.fields(r))
		s.balancers = append(s.balancers, l)
	}
}

func (b *bridgeSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"external":        {func(n ast.Node, p string) { b.readExternals(r, n, p) }, false},
		"allowDisruption": {func(n ast.Node, p string) { b.allowDisruption = r.flag(n, p) }, false},
		"certificate":     {func(n ast.Node, p string) { b.certificate = r.certificate(n, p) }, false},
		"foreignFlows":    {func(n ast.Node, p string) { b.foreign = r.choice(n, p, "refuse", "keep", "remove") }, false},
		"failMode": {func(n ast.Node, p string) {
			if v := r.text(n, p); v.set && v.v != "secure" {
				r.bad(n, p, "write secure, or leave it out", "%q would turn the firewall off whenever the controller is away", v.v)
			}
		}, false},
	}
}

// maxCertificate bounds the name of a certificate, in bytes.
const maxCertificate = 2048

// certificate reads the name that a certificate has to bear.
func (r *reader) certificate(n ast.Node, p string) value[string] {
	v := r.text(n, p)
	odd := func(c rune) bool { return !unicode.IsPrint(c) }
	switch {
	case v.set && (v.v == "" || strings.TrimSpace(v.v) != v.v || len(v.v) > maxCertificate || strings.ContainsFunc(v.v, odd)):
		r.bad(n, p, "write its common name, a DNS name or a URI, or leave it out: then any certificate will do that an authority has signed", "%q is no name of a certificate", v.v)
	case strings.Contains(v.v, "*"):
		r.bad(n, p, "write the name of this one switch", "names of certificates are compared letter by letter: %q would not stand for others", v.v)
	}
	return v
}

func (t *tenantSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"zone": {func(n ast.Node, p string) {
			if v, ok := n.(*ast.StringNode); !ok || v.Value != "auto" {
				t.zone = r.number(n, p, 1, 65535)
			}
		}, false},
		"mode":            {func(n ast.Node, p string) { t.mode = r.choice(n, p, "enforce", "audit", "off") }, false},
		"implicitARP":     {func(n ast.Node, p string) { t.implicitARP = r.flag(n, p) }, false},
		"allowDisruption": {func(n ast.Node, p string) { t.allowDisruption = r.flag(n, p) }, false},
		"defaults":        {func(n ast.Node, p string) { r.mapping(n, p, t.defaults(r)) }, false},
		"limits": {func(n ast.Node, p string) {
			r.mapping(n, p, map[string]field{
				"connections":  {func(n ast.Node, p string) { t.connections = r.limit(n, p) }, false},
				"newPerSecond": {func(n ast.Node, p string) { t.newPerSecond = r.limit(n, p) }, false},
			})
		}, false},
		"timeouts": {func(n ast.Node, p string) { r.mapping(n, p, t.timeoutFields(r)) }, false},
	}
}

func (t *tenantSpec) defaults(r *reader) map[string]field {
	verdict := func(to *value[string]) field {
		return field{func(n ast.Node, p string) { *to = r.choice(n, p, "allow", "deny") }, false}
	}
	return map[string]field{
		"ingress": verdict(&t.ingress), "egress": verdict(&t.egress),
		"invalid":   {func(n ast.Node, p string) { t.invalid = r.choice(n, p, "drop", "allow") }, false},
		"strictTCP": {func(n ast.Node, p string) { t.strictTCP = r.flag(n, p) }, false},
	}
}

// timeouts are the fields of a tenant's timeouts.
var timeouts = map[string]Timeout{
	"tcpSynSent": "tcp_syn_sent", "tcpSynRecv": "tcp_syn_recv", "tcpEstablished": "tcp_established", "tcpFinWait": "tcp_fin_wait",
	"tcpCloseWait": "tcp_close_wait", "tcpLastAck": "tcp_last_ack", "tcpTimeWait": "tcp_time_wait", "tcpClose": "tcp_close",
	"tcpSynSent2": "tcp_syn_sent2", "tcpRetransmit": "tcp_retransmit", "tcpUnack": "tcp_unack",
	"udpFirst": "udp_first", "udpSingle": "udp_single", "udpStream": "udp_multiple",
	"icmpFirst": "icmp_first", "icmpReply": "icmp_reply",
}

func (t *tenantSpec) timeoutFields(r *reader) map[string]field {
	fields := map[string]field{}
	for name, state := range timeouts {
		fields[name] = field{func(n ast.Node, p string) {
			if v := r.seconds(n, p); v.set {
				t.timeouts = append(t.timeouts, timeoutSpec{state, v})
			}
		}, false}
	}
	return fields
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
		"unknownStations": {func(n ast.Node, p string) { w.unknown = r.choice(n, p, "drop", "learn") }, false},
	}
}

func (e *endpointSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"network": {func(n ast.Node, p string) { e.network = r.name(n, p) }, true},
		"mac":     {func(n ast.Node, p string) { e.mac = r.macOrAny(n, p) }, true},
		"trusted": {func(n ast.Node, p string) { e.trusted = r.flag(n, p) }, false},
		"roles": {func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) { e.roles = append(e.roles, r.choice(n, p, "dhcpServer", "router")) })
		}, false},
		"limits": {func(n ast.Node, p string) {
			r.mapping(n, p, map[string]field{
				"newPerSecond": {func(n ast.Node, p string) { e.newPerSecond = r.limit(n, p) }, false},
			})
		}, false},
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
