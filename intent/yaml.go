package intent

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a document may have. No model comes near any of them. They are there because the
// YAML parser recurses for every level and for every key of a block mapping, and needs
// time in the square of the number of keys, of empty items, and of blank lines in a
// block scalar.
const (
	maxDepth = 32
	maxKeys  = 512 // of one mapping
	maxOdd   = 512 // empty items, tags, anchors, aliases and "? " keys, together
	maxBlank = 100 // blank lines in a row, if there can be a block scalar
)

// A document is a segment of a file with something in it.
type document struct {
	text   string
	before int // lines
}

// documents cuts a file into its documents. One with nothing in it is left out: the library
// would drop the one that follows it.
func documents(text string) (docs []document) {
	c, before := cutter{text: text}, 0
	for s, more := c.next(); more; s, more = c.next() {
		if s.content {
			docs = append(docs, document{s.text, before})
		}
		before += strings.Count(s.text, "\n")
	}
	return docs
}

// marker reports whether a document begins with this line.
func marker(line string) bool {
	rest, ok := strings.CutPrefix(line, "---")
	return ok && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n"))
}

func hasContent(line string) bool {
	l := strings.TrimSpace(line)
	return l != "" && l != "---" && l != "..." && l[0] != '#' && line[0] != '%'
}

// nodes parses a document. It notes what is wrong with the form of it.
func (r *reader) nodes(d document) (nodes []ast.Node) {
	r.before = d.before
	if line := blankRun(d.text); line > 0 {
		r.refuse(Position{File: r.file, Line: d.before + line, Column: 1}, fmt.Sprintf("there are more than %d blank lines in a row", maxBlank))
		return nil
	}
	if n, ok := plainDocument(d.text); ok && !r.slow {
		return []ast.Node{n}
	}
	tokens := lexer.Tokenize(d.text)
	if t, why := excess(tokens); why != "" {
		r.refuse(r.position(t), why)
		return nil
	}
	f, err := parseTokens(tokens)
	if err != nil {
		r.syntax(err)
		return nil
	}
	for _, d := range f.Docs {
		switch d.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode, *ast.DirectiveNode:
		default:
			nodes = append(nodes, d.Body)
		}
	}
	return nodes
}

// parseTokens parses; duplicate keys are left to the reader, who does not stop at them.
// A panic of the parser, which is not ours, is a mistake in the file like another.
func parseTokens(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// refuse notes a problem that makes a whole document unreadable.
func (r *reader) refuse(at Position, why string) {
	r.lost = true
	r.problems = append(r.problems, Problem{At: at, Why: why, Excerpt: excerpt(r.lines, at)})
}

func (r *reader) syntax(err error) {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		r.refuse(Position{File: r.file}, "is no YAML: "+err.Error())
		return
	}
	why := y.GetMessage()
	if strings.Contains(why, "\t") {
		why = "a tab cannot begin anything: indent with blanks"
	}
	r.refuse(r.position(y.GetToken()), "is no YAML: "+why)
}

// blankRun returns the number of the line with which a run of blank lines gets too
// long, or zero. Without a block scalar ("|" or ">") such a run costs nothing.
func blankRun(text string) int {
	if !strings.ContainsAny(text, "|>") {
		return 0
	}
	run, line := 0, 0
	for l := range strings.Lines(text) {
		line++
		if strings.TrimSpace(l) != "" {
			run = 0
		} else if run++; run > maxBlank {
			return line
		}
	}
	return 0
}

// excess returns the first token with which a document has too much of something, and
// of what.
func excess(tokens token.Tokens) (*token.Token, string) {
	var s scan
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		if s.now != nil {
			s.step(t)
		}
		s.before, s.now = s.now, t
		if why := s.excess(); why != "" {
			return s.now, why
		}
	}
	if s.now != nil {
		s.step(nil)
	}
	return s.now, s.excess()
}

// A scan goes through the tokens of a document, one behind: a token is judged when the
// one after it is known.
type scan struct {
	before, now *token.Token
	levels      []level // inside out
	chain       int     // tokens in a row that only introduce another
	odd         int
}

// A level is a list or mapping that is open.
type level struct {
	bracket token.Type // of a flow collection; else zero
	column  int        // of the entries of a block collection
	keys    int
}

func (s *scan) excess() string {
	switch {
	case len(s.levels) > maxDepth, s.chain > maxDepth:
		return fmt.Sprintf("lists and mappings nest deeper than %d", maxDepth)
	case len(s.levels) > 0 && s.levels[len(s.levels)-1].keys > maxKeys:
		return fmt.Sprintf("there are more than %d keys in one mapping", maxKeys)
	case s.odd > maxOdd:
		return fmt.Sprintf("there are more than %d empty items, tags, anchors and aliases", maxOdd)
	}
	return ""
}

// step judges s.now; next is the token after it, or nil.
func (s *scan) step(next *token.Token) {
	switch t := s.now; t.Type {
	case token.MappingStartType, token.SequenceStartType:
		s.levels = append(s.levels, level{bracket: t.Type})
		s.chain = 0
	case token.MappingEndType, token.SequenceEndType:
		s.close()
		s.chain = 0
	case token.CollectEntryType:
		s.chain = 0
	case token.SequenceEntryType:
		s.block(t.Position.Column)
		s.introduce(t, t.Position.Column, next)
	case token.MappingValueType:
		s.key(next)
	case token.AnchorType, token.AliasType, token.TagType, token.MappingKeyType, token.DirectiveType:
		s.odd++
		s.chain++
	default:
		s.scalar(next)
	}
}

func (s *scan) flow() bool { return len(s.levels) > 0 && s.levels[len(s.levels)-1].bracket != 0 }

// count notes one more key of the innermost mapping.
func (s *scan) count() {
	if n := len(s.levels); n > 0 && s.levels[n-1].bracket != token.SequenceStartType {
		s.levels[n-1].keys++
	}
}

// close ends the innermost flow collection and the block collections in it.
func (s *scan) close() {
	for i := len(s.levels) - 1; i >= 0; i-- {
		if s.levels[i].bracket != 0 {
			s.levels = s.levels[:i]
			return
		}
	}
}

// block goes to the block collection whose entries begin at a column.
func (s *scan) block(column int) {
	if s.flow() {
		return
	}
	n := len(s.levels)
	for n > 0 && s.levels[n-1].bracket == 0 && s.levels[n-1].column > column {
		n--
	}
	s.levels = s.levels[:n]
	if n == 0 || s.levels[n-1].bracket != 0 || s.levels[n-1].column < column {
		s.levels = append(s.levels, level{column: column})
	}
}

func (s *scan) key(next *token.Token) {
	column := s.now.Position.Column
	if s.before != nil && s.before.Position.Line == s.now.Position.Line {
		column = s.before.Position.Column
	}
	s.block(column)
	s.count()
	s.introduce(s.now, column, next)
}

// introduce notes a token that stands before an item, and whether there is one.
func (s *scan) introduce(t *token.Token, column int, next *token.Token) {
	s.chain++
	switch {
	case next == nil, next.Type == token.CollectEntryType, next.Type == token.MappingEndType, next.Type == token.SequenceEndType:
		s.odd++
	case next.Position.Line == t.Position.Line:
	case next.Position.Column < column, next.Position.Column == column && (t.Type == token.SequenceEntryType || next.Type != token.SequenceEntryType):
		s.odd++
	}
}

// scalar notes a key without a value in a flow mapping. There, "a: b: c" nests too, so
// that the chain goes on.
func (s *scan) scalar(next *token.Token) {
	if !s.flow() {
		s.chain = 0
		return
	}
	if s.levels[len(s.levels)-1].bracket != token.MappingStartType || s.before == nil || next == nil {
		return
	}
	first := s.before.Type == token.MappingStartType || s.before.Type == token.CollectEntryType
	if first && (next.Type == token.CollectEntryType || next.Type == token.MappingEndType) {
		s.odd++
	}
}
