package intent

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

type (
	balancerSpec struct {
		meta
		address    value[netip.Addr]
		ports      []lbPortSpec
		portsAt    place
		backends   []backendSpec
		backendsAt place
		algorithm  value[string]
		health     *healthSpec
		load       *loadSpec
		drain      value[Duration]
		snat       value[string]
		whenEmpty  value[string]
		onRemove   value[string]
	}
	lbPortSpec struct {
		place        place
		port, target value[uint64]
		protocol     value[string]
	}
	backendSpec struct {
		place    place
		endpoint value[string]
		ip       value[netip.Addr]
		labels   map[string][]string
		labelsAt place
		address  value[netip.Addr]
		weight   value[uint64]
		port     value[uint64]
	}
	healthSpec struct {
		place             place
		kind              value[string]
		port              value[uint64]
		path, host        value[string]
		expect            []value[StatusRange]
		expectAt          place
		interval, timeout value[Duration]
		rise, fall        value[uint64]
		slowStart         value[Duration]
	}
	loadSpec struct {
		place          place
		kind           value[string]
		port, strength value[uint64]
		path           value[string]
		interval       value[Duration]
	}
)

func (l *balancerSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"address": {func(n ast.Node, p string) { l.address = r.addr(n, p) }, true},
		"ports": {func(n ast.Node, p string) {
			l.portsAt = place{r.at(n), p}
			r.atLeastOne(n, p, func(n ast.Node, p string) { l.ports = append(l.ports, r.lbPort(n, p)) })
		}, true},
		"backends": {func(n ast.Node, p string) {
			l.backendsAt = place{r.at(n), p}
			if list, ok := n.(*ast.SequenceNode); ok {
				l.backends = make([]backendSpec, 0, len(list.Values)) // each is large
			}
			r.list(n, p, func(n ast.Node, p string) { l.backends = append(l.backends, r.backend(n, p)) })
		}, true},
		"algorithm": {func(n ast.Node, p string) {
			l.algorithm = r.choice(n, p, string(Hash), string(Consistent), string(SourceIP))
		}, false},
		"health": {func(n ast.Node, p string) { l.health = r.health(n, p) }, false},
		"load":   {func(n ast.Node, p string) { l.load = r.load(n, p) }, false},
		"drain":  {func(n ast.Node, p string) { l.drain = r.onlyTimeout(n, p) }, false},
		"snat": {func(n ast.Node, p string) {
			l.snat = r.choice(n, p, string(SNATAuto), string(SNATAlways), string(SNATNever))
		}, false},
		"whenEmpty": {func(n ast.Node, p string) { l.whenEmpty = r.choice(n, p, string(EmptyDrop), string(EmptyReject)) }, false},
		"onRemove": {func(n ast.Node, p string) {
			l.onRemove = r.choice(n, p, string(StaleKeep), string(StaleFlush), string(StaleReset))
		}, false},
	}
}

func (r *reader) lbPort(n ast.Node, path string) (s lbPortSpec) {
	s.place = place{r.at(n), path}
	r.mapping(n, path, map[string]field{
		"port":       {func(n ast.Node, p string) { s.port = r.port(n, p) }, true},
		"protocol":   {func(n ast.Node, p string) { s.protocol = r.choice(n, p, "tcp", "udp", "sctp") }, true},
		"targetPort": {func(n ast.Node, p string) { s.target = r.port(n, p) }, false},
	})
	return s
}

// port reads one port: a number, also in quotes.
func (r *reader) port(n ast.Node, path string) (v value[uint64]) {
	p := r.portRange(n, path)
	if p.set && p.v.Lo != p.v.Hi {
		r.bad(n, path, "write each port on its own", "%q is a range, and this is one port", p.v.String())
		return v
	}
	return value[uint64]{uint64(p.v.Lo), p.at, p.path, p.set}
}

func (r *reader) backend(n ast.Node, path string) (s backendSpec) {
	s.place = place{r.at(n), path}
	if a, only := r.onlyEntry(n, path, "address"); only { // of thousands nearly all are that, and a table of what may stand there takes longer than to read it
		s.address = r.addr(a.node.Value, a.path)
		return s
	}
	before := len(r.problems)
	given := 0
	r.mapping(n, path, map[string]field{
		"endpoint": {func(n ast.Node, p string) { s.endpoint, given = r.name(n, p), given+1 }, false},
		"labels": {func(n ast.Node, p string) {
			s.labelsAt, s.labels, given = place{r.at(n), p}, r.labelSets(n, p), given+1
		}, false},
		"address": {func(n ast.Node, p string) { s.address, given = r.addr(n, p), given+1 }, false},
		"ip":      {func(n ast.Node, p string) { s.ip = r.addr(n, p) }, false},
		"weight":  {func(n ast.Node, p string) { s.weight = r.number(n, p, 0, 65535) }, false},
		"port":    {func(n ast.Node, p string) { s.port = r.port(n, p) }, false},
	})
	switch {
	case len(r.problems) > before:
	case given != 1:
		r.bad(n, path, "", "want one of endpoint, labels and address")
	case s.ip.set && !s.endpoint.set:
		r.bad(n, path, "leave ip out", "ip says which address of an endpoint is meant, and there is no endpoint")
	}
	return s
}

// onlyTimeout reads {timeout: 60s}: a mapping, so that there can be more one day.
func (r *reader) onlyTimeout(n ast.Node, path string) (v value[Duration]) {
	r.mapping(n, path, map[string]field{
		"timeout": {func(n ast.Node, p string) { v = r.span(n, p, Second, 365*Day) }, true},
	})
	return v
}

func (r *reader) health(n ast.Node, path string) *healthSpec {
	s := &healthSpec{place: place{r.at(n), path}}
	r.mapping(n, path, map[string]field{
		"type": {func(n ast.Node, p string) {
			s.kind = r.choice(n, p, string(CheckTCP), string(CheckHTTP), string(CheckUDP), string(CheckICMP))
		}, true},
		"port": {func(n ast.Node, p string) { s.port = r.port(n, p) }, false},
		"path": {func(n ast.Node, p string) { s.path = r.urlPath(n, p) }, false},
		"host": {func(n ast.Node, p string) { s.host = r.host(n, p) }, false},
		"expect": {func(n ast.Node, p string) {
			s.expectAt, s.expect = place{r.at(n), p}, r.statuses(n, p)
		}, false},
		"interval":  {func(n ast.Node, p string) { s.interval = r.span(n, p, minInterval, Hour) }, false},
		"timeout":   {func(n ast.Node, p string) { s.timeout = r.span(n, p, minTimeout, Hour) }, false},
		"rise":      {func(n ast.Node, p string) { s.rise = r.number(n, p, 1, 100) }, false},
		"fall":      {func(n ast.Node, p string) { s.fall = r.number(n, p, 1, 100) }, false},
		"slowStart": {func(n ast.Node, p string) { s.slowStart = r.span(n, p, Second, Hour) }, false},
	})
	return s
}

// Bounds of health checks: below them a controller that is busy would be taken for a backend
// that is not well.
const (
	minInterval = 100 * Millisecond
	minTimeout  = 10 * Millisecond
)

func (r *reader) load(n ast.Node, path string) *loadSpec {
	s := &loadSpec{place: place{r.at(n), path}}
	r.mapping(n, path, map[string]field{
		"type": {func(n ast.Node, p string) {
			s.kind = r.choice(n, p, "none", string(LoadConnections), string(LoadReported))
		}, true},
		"port":     {func(n ast.Node, p string) { s.port = r.port(n, p) }, false},
		"path":     {func(n ast.Node, p string) { s.path = r.urlPath(n, p) }, false},
		"interval": {func(n ast.Node, p string) { s.interval = r.span(n, p, Second, Hour) }, false},
		"strength": {func(n ast.Node, p string) { s.strength = r.number(n, p, 1, 100) }, false},
	})
	return s
}

// urlPath reads what a GET asks for, with a query if there is one.
func (r *reader) urlPath(n ast.Node, path string) (v value[string]) {
	v = r.text(n, path)
	switch {
	case !v.set:
	case !strings.HasPrefix(v.v, "/"):
		r.bad(n, path, "write "+strconv.Quote("/"+v.v), "%q does not begin with /", v.v)
	case !visible(v.v):
		r.bad(n, path, "write others in percent, as in %20", "%q has characters that no URL has, or more than %d", v.v, maxWord)
	default:
		return v
	}
	return value[string]{}
}

// host reads a header's value.
func (r *reader) host(n ast.Node, path string) (v value[string]) {
	v = r.text(n, path)
	if v.set && (v.v == "" || !visible(v.v) || strings.ContainsAny(v.v, "/@?#")) {
		r.bad(n, path, "", "%q is no name of a host, as in shop.example.com", v.v)
		return value[string]{}
	}
	return v
}

// visible reports whether s has printed characters of ASCII alone, and not too many.
func visible(s string) bool {
	return len(s) <= maxWord && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// statuses reads a status code or a range of them, or a list.
func (r *reader) statuses(n ast.Node, path string) (all []value[StatusRange]) {
	add := func(n ast.Node, path string) {
		if v := r.status(n, path); v.set {
			all = append(all, v)
		}
	}
	if _, many := n.(*ast.SequenceNode); many {
		r.atLeastOne(n, path, add)
	} else {
		add(n, path)
	}
	slices.SortFunc(all, func(a, b value[StatusRange]) int { return int(a.v.Lo) - int(b.v.Lo) })
	return all
}

func (r *reader) status(n ast.Node, path string) (v value[StatusRange]) {
	if s, ok := n.(*ast.StringNode); ok && (s.Value == "" || strings.Trim(s.Value, "0123456789- ") != "") {
		r.bad(n, path, "", "%q is no status code and no range of them, as in 204 or \"200-399\"", s.Value)
		return v
	}
	p := r.portRange(n, path)
	switch {
	case !p.set:
	case p.v.Lo < 100 || p.v.Hi > 599:
		r.bad(n, path, "", "%v: status codes go from 100 to 599", p.v)
	default:
		return located(r, n, path, StatusRange(p.v))
	}
	return v
}

// span reads a duration: 500ms, 2s, 1m30s.
func (r *reader) span(n ast.Node, path string, lo, hi Duration) (v value[Duration]) {
	s := r.timed(n, path)
	if !s.set {
		return v
	}
	d, ok := durationOf(s.v)
	switch {
	case !ok:
		r.bad(n, path, "", "%q is no duration, as in 500ms, 2s or 1m30s", s.v)
	case d < lo || d > hi:
		r.bad(n, path, "", "%s is not between %v and %v", s.v, lo, hi)
	default:
		return located(r, n, path, d)
	}
	return v
}

// durationOf returns the time in s, or more than there may be if there is.
func durationOf(s string) (d Duration, ok bool) {
	whole, part := s, Duration(0)
	if rest, milli := strings.CutSuffix(s, "ms"); milli {
		whole = strings.TrimRight(rest, "0123456789")
		n, err := strconv.ParseUint(rest[len(whole):], 10, 32)
		if err != nil {
			return 0, false
		}
		part = Duration(n) * Millisecond
		if whole == "" {
			return part, true
		}
	}
	seconds, ok := duration(whole)
	return Duration(min(seconds, 1<<32))*Second + part, ok
}
