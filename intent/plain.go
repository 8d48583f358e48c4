package intent

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// plainDocument parses a document of the plain kind, which nearly all are: mappings and lists,
// in blocks or within a line, of simple words, numbers, and strings in quotes without escapes.
// It does so in a tenth of the time that the library takes, and gives the same nodes. Of
// everything else, and of everything that is wrong, it says that it does not know: then the
// library is asked.
func plainDocument(text string) (ast.Node, bool) {
	p := plain{}
	if !p.cut(text) {
		return nil, false
	}
	n := p.block(0)
	if p.unknown || p.next < len(p.lines) {
		return nil, false
	}
	return n, true
}

// Bounds of a plain document, well below those of any other.
const (
	plainDepth = 8
	plainKeys  = 64
)

// plain parses a plain document.
type plain struct {
	lines   []plainLine
	next    int
	unknown bool // it is not plain
}

// A plainLine is a line with something in it, from there on.
type plainLine struct {
	number, indent int
	text           string
}

// cut cuts a document into its lines, and reports whether they may be plain.
func (p *plain) cut(text string) bool {
	number, begun := 0, false
	for l := range strings.Lines(text) {
		number++
		l = strings.TrimSuffix(l, "\n")
		t := strings.TrimLeft(l, " ")
		switch {
		case !printable(l), strings.HasPrefix(l, "..."), strings.HasPrefix(l, "%"):
			return false
		case t == "", t[0] == '#':
		case t[len(t)-1] == ' ': // of which the library finds the end where it is not
			return false
		case l == "---" && len(p.lines) == 0 && !begun:
			begun = true
		case strings.HasPrefix(l, "---"):
			return false
		default:
			p.lines = append(p.lines, plainLine{number, len(l) - len(t), t})
		}
	}
	return len(p.lines) > 0
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// wrong notes that this is not known.
func (p *plain) wrong() ast.Node {
	p.unknown = true
	return nil
}

// block parses the mapping or list that begins with the next line.
func (p *plain) block(depth int) ast.Node {
	if p.unknown || p.next == len(p.lines) || depth > plainDepth {
		return p.wrong()
	}
	l := p.lines[p.next]
	if strings.HasPrefix(l.text, "- ") {
		return p.blockList(l.indent, depth)
	}
	return p.blockMapping(l.indent, depth)
}

// here reports whether the next line is of the block with an indent. A line that is further
// in belongs to nobody.
func (p *plain) here(indent int) bool {
	if p.unknown || p.next == len(p.lines) {
		return false
	}
	p.unknown = p.lines[p.next].indent > indent
	return p.lines[p.next].indent == indent
}

func (p *plain) blockMapping(indent, depth int) ast.Node {
	var values []*ast.MappingValueNode
	for p.here(indent) {
		l := p.lines[p.next]
		key, rest, ok := keyOf(l.text)
		if !ok || len(values) == plainKeys {
			return p.wrong()
		}
		k := wordNode(key, at(l, 0))
		name, ok := k.(*ast.StringNode)
		if !ok {
			return p.wrong()
		}
		values = append(values, ast.MappingValue(name.Token, name, p.value(l, rest, indent, depth)))
	}
	if p.unknown || len(values) == 0 {
		return p.wrong()
	}
	return ast.Mapping(values[0].Start, false, values...)
}

// value parses what follows a key: from rest on in its line, or a block in the next ones.
func (p *plain) value(l plainLine, rest, indent, depth int) ast.Node {
	p.next++
	if rest < len(l.text) && l.text[rest] != '#' {
		return p.inline(l, rest, depth+1)
	}
	if p.next == len(p.lines) {
		return p.wrong()
	}
	inner := p.lines[p.next]
	if inner.indent < indent || inner.indent == indent && !strings.HasPrefix(inner.text, "- ") {
		return p.wrong()
	}
	return p.block(depth + 1)
}

func (p *plain) blockList(indent, depth int) ast.Node {
	place := at(p.lines[p.next], 0)
	list := ast.Sequence(token.SequenceEntry("-", &place), false)
	for p.here(indent) {
		l := &p.lines[p.next]
		if !strings.HasPrefix(l.text, "- ") {
			break // the mapping that it is in goes on, or else nobody knows the line
		}
		inner := strings.TrimLeft(l.text[2:], " ")
		skip := len(l.text) - len(inner)
		if _, _, ok := keyOf(inner); ok {
			*l = plainLine{l.number, indent + skip, inner}
			list.Values = append(list.Values, p.block(depth+1))
			continue
		}
		p.next++
		list.Values = append(list.Values, p.inline(*l, skip, depth+1))
	}
	return list
}

// keyOf returns the key with which text begins, and where its value does.
func keyOf(text string) (key string, rest int, ok bool) {
	n := wordLength(text)
	if n == 0 || n == len(text) || text[n] != ':' || n+1 < len(text) && text[n+1] != ' ' {
		return "", 0, false
	}
	rest = len(text) - len(strings.TrimLeft(text[n+1:], " "))
	return text[:n], rest, true
}

// at returns a place in a line.
func at(l plainLine, i int) token.Position {
	return token.Position{Line: l.number, Column: l.indent + i + 1}
}

// inline parses a value that takes the rest of a line, but for a comment.
func (p *plain) inline(l plainLine, i, depth int) ast.Node {
	f := plainFlow{line: l, i: i}
	n := f.node(depth)
	if f.unknown {
		return p.wrong()
	}
	rest := l.text[f.i:]
	if rest != "" && !strings.HasPrefix(strings.TrimLeft(rest, " "), "#") || rest != "" && rest[0] != ' ' {
		return p.wrong()
	}
	return n
}

// plainFlow parses what is within a line.
type plainFlow struct {
	line    plainLine
	i       int
	unknown bool
}

func (f *plainFlow) wrong() ast.Node {
	f.unknown = true
	return nil
}

// char returns the next character, or zero.
func (f *plainFlow) char() byte {
	if f.i == len(f.line.text) {
		return 0
	}
	return f.line.text[f.i]
}

func (f *plainFlow) blanks() {
	for f.char() == ' ' {
		f.i++
	}
}

func (f *plainFlow) node(depth int) ast.Node {
	if f.unknown || depth > plainDepth {
		return f.wrong()
	}
	switch c := f.char(); c {
	case '{':
		return f.mapping(depth)
	case '[':
		return f.list(depth)
	case '"', '\'':
		return f.quoted(c)
	}
	return f.word()
}

// more goes to the next item of a collection, and reports whether there is one.
func (f *plainFlow) more(first bool, end byte) bool {
	f.blanks()
	if f.unknown || f.char() == end && first {
		return false
	}
	if first {
		return true
	}
	if f.char() != ',' {
		f.unknown = f.char() != end
		return false
	}
	f.i++
	f.blanks()
	f.unknown = f.char() == end || f.char() == ','
	return !f.unknown
}

func (f *plainFlow) mapping(depth int) ast.Node {
	place := at(f.line, f.i)
	m := ast.Mapping(token.MappingStart("{", &place), true)
	f.i++
	for f.more(len(m.Values) == 0, '}') {
		key, ok := f.word().(*ast.StringNode)
		if !ok || f.char() != ':' || len(m.Values) == plainKeys {
			return f.wrong()
		}
		if f.i++; f.char() != ' ' {
			return f.wrong()
		}
		f.blanks()
		m.Values = append(m.Values, ast.MappingValue(key.Token, key, f.node(depth+1)))
	}
	return f.end(m)
}

func (f *plainFlow) list(depth int) ast.Node {
	place := at(f.line, f.i)
	list := ast.Sequence(token.SequenceStart("[", &place), true)
	f.i++
	for f.more(len(list.Values) == 0, ']') {
		list.Values = append(list.Values, f.node(depth+1))
	}
	return f.end(list)
}

// end leaves a collection.
func (f *plainFlow) end(collection ast.Node) ast.Node {
	if f.unknown {
		return nil
	}
	f.i++
	return collection
}

// quoted parses a string in quotes that has no escapes.
func (f *plainFlow) quoted(quote byte) ast.Node {
	rest := f.line.text[f.i+1:]
	n := strings.IndexByte(rest, quote)
	if n < 0 || strings.Contains(rest[:n], `\`) || strings.HasPrefix(rest[n+1:], "'") {
		return f.wrong()
	}
	place, text := at(f.line, f.i), f.line.text[f.i:f.i+n+2]
	f.i += n + 2
	if quote == '"' {
		return ast.String(token.DoubleQuote(rest[:n], text, &place))
	}
	return ast.String(token.SingleQuote(rest[:n], text, &place))
}

func (f *plainFlow) word() ast.Node {
	n := wordLength(f.line.text[f.i:])
	if n == 0 {
		return f.wrong()
	}
	node := wordNode(f.line.text[f.i:f.i+n], at(f.line, f.i))
	f.i += n
	switch f.char() {
	case 0, ' ', ',', ':', ']', '}':
	default:
		return f.wrong()
	}
	if node == nil {
		return f.wrong()
	}
	return node
}

// wordLength returns how long the simple word is with which text begins.
func wordLength(text string) (n int) {
	for n < len(text) && simple(text[n], n) {
		n++
	}
	return n
}

func simple(c byte, at int) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return at > 0 && (c == '-' || c == '.' || c == '/' || c == '_')
}

// A textNode is a string with all that the library puts behind it, in one piece.
type textNode struct {
	node  ast.StringNode
	base  ast.BaseNode
	token token.Token
	place token.Position
}

// textAt is ast.String of token.String.
func textAt(word string, place token.Position) *ast.StringNode {
	t := &textNode{place: place}
	t.token = token.Token{Type: token.StringType, CharacterType: token.CharacterTypeMiscellaneous, Indicator: token.NotIndicator, Value: word, Origin: word, Position: &t.place}
	t.node = ast.StringNode{BaseNode: &t.base, Token: &t.token, Value: word}
	return &t.node
}

// isText reports whether a word is neither a number nor one that means something.
func isText(word string) bool {
	switch strings.ToLower(word) {
	case "null", "true", "false":
		return false
	}
	return word[0] >= 'A'
}

// wordNode returns what the library takes a word for.
func wordNode(word string, place token.Position) ast.Node {
	if isText(word) {
		return textAt(word, place)
	}
	t := token.New(word, word, &place)
	switch t.Type {
	case token.StringType:
		return ast.String(t)
	case token.IntegerType, token.HexIntegerType, token.OctetIntegerType, token.BinaryIntegerType:
		return ast.Integer(t)
	case token.BoolType:
		return ast.Bool(t)
	case token.FloatType:
		return ast.Float(t)
	case token.NullType:
		return ast.Null(t)
	}
	return nil
}
