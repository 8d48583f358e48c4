package intent

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A reader reads YAML nodes of one file, and notes what is wrong with them.
type reader struct {
	file     string
	lines    []string
	problems Problems
}

// A value is something read, with the place where it stands.
type value[T any] struct {
	v    T
	at   Position
	path string
	set  bool
}

// place is where a value stands, whatever it is.
type place struct {
	at   Position
	path string
}

func (v value[T]) place() place { return place{v.at, v.path} }

func (r *reader) at(n ast.Node) Position {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return Position{File: r.file}
	}
	t := n.GetToken()
	if m, ok := n.(*ast.MappingValueNode); ok { // its token is the colon
		t = m.Key.GetToken()
	}
	return Position{r.file, t.Position.Line, t.Position.Column}
}

func (r *reader) excerpt(at Position) string {
	if at.Line < 1 || at.Line > len(r.lines) {
		return ""
	}
	line := strings.TrimRight(r.lines[at.Line-1], "\r")
	if len(line) > 160 {
		return ""
	}
	return line
}

func (r *reader) bad(n ast.Node, path, hint, why string, args ...any) {
	at := r.at(n)
	r.problems = append(r.problems, Problem{at, path, fmt.Sprintf(why, args...), hint, r.excerpt(at)})
}

// kindOf is what people call a node.
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a fraction"
	case *ast.BoolNode:
		return "true or false"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which are not read here"
	case *ast.TagNode:
		return "a tagged value, which is not read here"
	default:
		return n.Type().String()
	}
}

// A field is a key of a mapping: how it is read, and whether it has to be there.
type field struct {
	read     func(n ast.Node, path string)
	required bool
}

// later are fields that are planned and not there yet: they are not misspelt.
var later = map[string]bool{
	"external": true, "limits": true, "timeouts": true, "log": true, "alg": true, "onRevoke": true, "dnsSearch": true,
}

// mapping reads a mapping with known keys.
func (r *reader) mapping(n ast.Node, path string, fields map[string]field) {
	entries, ok := r.entries(n, path)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for _, e := range entries {
		key := keyText(e)
		at := join(path, key)
		f, known := fields[key]
		switch {
		case seen[key]:
			r.bad(e, at, "", "is given twice")
		case !known && later[key]:
			r.bad(e, at, "", "is not supported yet")
		case !known:
			r.bad(e, at, meant(key, slices.Collect(maps.Keys(fields))), "unknown field")
		default:
			f.read(e.Value, at)
		}
		seen[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if fields[key].required && !seen[key] {
			r.bad(n, join(path, key), "", "is missing")
		}
	}
}

func keyText(e *ast.MappingValueNode) string {
	if t := e.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// entries returns the entries of a mapping.
func (r *reader) entries(n ast.Node, path string) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	r.bad(n, path, "", "must be a mapping, and is %s", kindOf(n))
	return nil, false
}

// list reads a list.
func (r *reader) list(n ast.Node, path string, item func(n ast.Node, path string)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.bad(n, path, "", "must be a list, and is %s", kindOf(n))
		return
	}
	for i, v := range s.Values {
		item(v, fmt.Sprintf("%s[%d]", path, i))
	}
}

func located[T any](r *reader, n ast.Node, path string, v T) value[T] {
	return value[T]{v, r.at(n), path, true}
}

// text reads a string.
func (r *reader) text(n ast.Node, path string) (v value[string]) {
	switch n := n.(type) {
	case *ast.StringNode:
		return located(r, n, path, n.Value)
	case *ast.LiteralNode:
		return located(r, n, path, n.Value.Value)
	}
	r.bad(n, path, "", "must be a string, and is %s", kindOf(n))
	return v
}

// flag reads true or false.
func (r *reader) flag(n ast.Node, path string) (v value[bool]) {
	if b, ok := n.(*ast.BoolNode); ok {
		return located(r, n, path, b.Value)
	}
	r.bad(n, path, "", "must be true or false, and is %s", kindOf(n))
	return v
}

// number reads a number from lo to hi.
func (r *reader) number(n ast.Node, path string, lo, hi uint64) (v value[uint64]) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		r.bad(n, path, "", "must be a number, and is %s", kindOf(n))
		return v
	}
	got := int64(-1)
	switch x := i.Value.(type) {
	case int64:
		got = x
	case uint64:
		got = int64(min(x, math.MaxInt64))
	}
	if got < 0 || uint64(got) < lo || uint64(got) > hi {
		r.bad(n, path, "", "%s is not between %d and %d", i.Token.Value, lo, hi)
		return v
	}
	return located(r, n, path, uint64(got))
}

// choice reads one of some words.
func (r *reader) choice(n ast.Node, path string, words ...string) (v value[string]) {
	v = r.text(n, path)
	if v.set && !slices.Contains(words, v.v) {
		r.bad(n, path, meant(v.v, words), "%q is none of %s", v.v, strings.Join(words, ", "))
		return value[string]{}
	}
	return v
}

const maxName = 63

// name reads a name as DNS labels are made (RFC 1123, 2.1).
func (r *reader) name(n ast.Node, path string) (v value[string]) {
	v = r.text(n, path)
	if v.set && !isName(v.v) {
		r.bad(n, path, "", "%q is no name: want up to %d of a-z, 0-9 and -, not beginning or ending with -", v.v, maxName)
		return value[string]{}
	}
	return v
}

// bridgeName reads the name of a bridge, which is that of a network device.
func (r *reader) bridgeName(n ast.Node, path string) (v value[string]) {
	v = r.text(n, path)
	if v.set && (v.v == "" || len(v.v) > maxName || strings.ContainsAny(v.v, "/ \t\n\x00") || v.v == "." || v.v == "..") {
		r.bad(n, path, "", "%q is no name of a bridge", v.v)
		return value[string]{}
	}
	return v
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// portRange reads 80, "80" or "8000-8080".
func (r *reader) portRange(n ast.Node, path string) (v value[PortRange]) {
	if s, ok := n.(*ast.StringNode); ok {
		lo, hi, both := strings.Cut(s.Value, "-")
		if !both {
			hi = lo
		}
		a, err1 := strconv.ParseUint(strings.TrimSpace(lo), 10, 32)
		b, err2 := strconv.ParseUint(strings.TrimSpace(hi), 10, 32)
		switch {
		case err1 != nil || err2 != nil:
			r.bad(n, path, "", "%q is no port and no range of ports, as in 80 or \"8000-8080\"", s.Value)
		case a > 65535 || b > 65535 || a < 1:
			r.bad(n, path, "", "%s: ports go from 1 to 65535", s.Value)
		case a > b:
			r.bad(n, path, fmt.Sprintf("write \"%d-%d\"", b, a), "%s: the range ends before it begins", s.Value)
		default:
			return located(r, n, path, PortRange{uint16(a), uint16(b)})
		}
		return v
	}
	p := r.number(n, path, 1, 65535)
	if !p.set {
		return v
	}
	return located(r, n, path, PortRange{uint16(p.v), uint16(p.v)})
}
