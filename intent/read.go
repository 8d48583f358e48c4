package intent

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A reader reads YAML nodes of one file, and notes what is wrong with them.
type reader struct {
	file     string
	lines    []string
	before   int    // lines before the document that is being read
	doc      *sheet // that document, if it is read on its own
	slow     bool   // all documents are read by the library
	lost     bool
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

// at is where a node begins. The token of a block mapping is its first colon, which is
// not where people look for it.
func (r *reader) at(n ast.Node) Position {
	switch m := n.(type) {
	case nil:
		return Position{File: r.file}
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return r.at(m.Values[0])
		}
	case *ast.MappingValueNode:
		return r.position(m.Key.GetToken())
	}
	return r.position(n.GetToken())
}

func (r *reader) position(t *token.Token) Position {
	if t == nil || t.Position == nil {
		return Position{File: r.file}
	}
	return Position{r.file, r.before + t.Position.Line, t.Position.Column, r.doc}
}

// excerpt returns the line at a place, or nothing if it is too long to be of use.
func excerpt(lines []string, at Position) string {
	if at.Line < 1 || at.Line > len(lines) || len(lines[at.Line-1]) > maxExcerpt {
		return ""
	}
	return strings.TrimRight(lines[at.Line-1], "\r")
}

const maxExcerpt = 200 // bytes

func (r *reader) bad(n ast.Node, path, hint, why string, args ...any) {
	at := r.at(n)
	r.problems = append(r.problems, Problem{at, path, fmt.Sprintf(why, args...), hint, excerpt(r.lines, at)})
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
// A nil read is a field that is planned and not there yet: it is not misspelt.
type field struct {
	read     func(n ast.Node, path string)
	required bool
}

// mapping reads a mapping with known keys. A key that is probably misspelt counts as
// given: it is not said to be missing too.
func (r *reader) mapping(n ast.Node, path string, fields map[string]field) {
	entries, ok := r.entries(n, path)
	if !ok {
		return
	}
	given := make(map[string]bool, len(entries))
	for _, e := range entries {
		given[e.key] = true
		f, known := fields[e.key]
		switch {
		case !known:
			given[Nearest(e.key, maps.Keys(fields))] = true
			r.bad(e.node, e.path, meant(e.key, maps.Keys(fields)), "unknown field")
		case f.read == nil:
			r.bad(e.node, e.path, "", "is not supported yet")
		default:
			f.read(e.node.Value, e.path)
		}
	}
	var missing []string
	for key, f := range fields {
		if f.required && !given[key] {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	for _, key := range missing {
		r.bad(n, join(path, key), "", "is missing")
	}
}

// An entry is a key of a mapping with its value.
type entry struct {
	key  string
	path string
	node *ast.MappingValueNode
}

// onlyEntry returns the entry of a mapping that has that one key and no other.
func (r *reader) onlyEntry(n ast.Node, path, key string) (e entry, is bool) {
	m, ok := n.(*ast.MappingNode)
	if !ok || len(m.Values) != 1 {
		return e, false
	}
	t := m.Values[0].Key.GetToken()
	return entry{key, join(path, key), m.Values[0]}, t != nil && t.Value == key
}

// entries returns the entries of a mapping, each key once.
func (r *reader) entries(n ast.Node, path string) ([]entry, bool) {
	var nodes []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		nodes = n.Values
	case *ast.MappingValueNode:
		nodes = []*ast.MappingValueNode{n}
	default:
		r.bad(n, path, "", "must be a mapping, and is %s", kindOf(n))
		return nil, false
	}
	entries := make([]entry, 0, len(nodes))
	for _, n := range nodes {
		e := entry{node: n}
		if t := n.Key.GetToken(); t != nil {
			e.key = t.Value
		}
		e.path = join(path, e.key)
		// A mapping has at most maxKeys keys, and nearly always less than ten.
		if i := slices.IndexFunc(entries, func(o entry) bool { return o.key == e.key }); i >= 0 {
			r.bad(n, e.path, "", "is given twice, first in line %d", r.at(entries[i].node).Line)
			continue
		}
		entries = append(entries, e)
	}
	return entries, true
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// list reads a list.
func (r *reader) list(n ast.Node, path string, item func(n ast.Node, path string)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.bad(n, path, "", "must be a list, and is %s", kindOf(n))
		return
	}
	for i, v := range s.Values {
		item(v, path+"["+strconv.Itoa(i)+"]")
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
	r.bad(n, path, quoted(n), "must be a string, and is %s", kindOf(n))
	return v
}

// quoted says how to write a number or a boolean as a string.
func quoted(n ast.Node) string {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return fmt.Sprintf("write it in quotes: %q", n.GetToken().Value)
	}
	return ""
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
		r.bad(n, path, meant(v.v, slices.Values(words)), "%q is none of %s", v.v, strings.Join(words, ", "))
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

// device reads the name of a bridge or a port, or an iface-id: words of others, in which
// almost anything is allowed. They stand in lists and comments, so that what would break
// a line is refused.
func (r *reader) device(n ast.Node, path string) (v value[string]) {
	v = r.text(n, path)
	if v.set && !isWord(v.v) {
		r.bad(n, path, "", "%q is no name: want up to %d characters, without blanks", v.v, maxWord)
		return value[string]{}
	}
	return v
}

// sentence reads what people say of something, to be shown in a line.
func (r *reader) sentence(n ast.Node, path string) (v value[string]) {
	v = r.text(n, path)
	if v.set && (utf8.RuneCountInString(v.v) > maxSentence || strings.ContainsFunc(v.v, func(c rune) bool { return !unicode.IsPrint(c) })) {
		r.bad(n, path, "", "is no line of at most %d characters", maxSentence)
		return value[string]{}
	}
	return v
}

const maxSentence = 200

const maxWord = 255 // bytes

func isWord(s string) bool {
	odd := func(c rune) bool { return !unicode.IsPrint(c) || c == ' ' }
	return s != "" && len(s) <= maxWord && !strings.ContainsFunc(s, odd)
}

// isFile reports whether a word can be the name of a file.
func isFile(s string) bool {
	return s != "" && len(s) <= maxName && !strings.Contains(s, "/") && s != "." && s != ".."
}

// bridge reads the name of a bridge, which is also that of a file; or HOST/BRIDGE, where several hosts may have
// a bridge of that name.
func (r *reader) bridge(n ast.Node, path string) (v value[string]) {
	v = r.device(n, path)
	host, bridge, of := strings.Cut(v.v, "/")
	if !of {
		host, bridge = "", host
	}
	if v.set && (!isFile(bridge) || of && !isFile(host)) {
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
