package ofproto

import (
	"fmt"
	"strings"
)

// A SyntaxError says what is wrong in a text in the syntax of ovs-ofctl, and where.
type SyntaxError struct {
	Text   string
	Offset int       // of the byte in Text at which the mistake begins
	Reason string    // what is wrong, and what to write instead
	Code   ErrorCode // the error with which a switch would refuse it; zero: it cannot even be sent
}

// Error names the place by its column, which counts from 1.
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Offset+1, e.Reason) }

// Unwrap returns the ErrorCode, or nil.
func (e *SyntaxError) Unwrap() error {
	if e.Code != 0 {
		return e.Code
	}
	return nil
}

// text is a piece of what is being parsed, and where it begins in the whole.
type text struct {
	s  string
	at int
}

// from returns t without its first n bytes; to, only these.
func (t text) from(n int) text { return text{t.s[n:], t.at + n} }
func (t text) to(n int) text   { return text{t.s[:n], t.at} }

const blanks = " \t\r\n"

// A parser reads one text in the syntax of ovs-ofctl(8) and ovs-actions(7). After the
// first mistake it goes on, but keeps that one.
type parser struct {
	whole  string
	err    *SyntaxError
	match  Match  // of the flow whose actions are parsed: tp_dst is tcp's or udp's
	never  text   // a field in match that no version of OpenFlow can ask for, if there is one
	depth  int    // of the list of actions that is being read: 1 is the flow's
	checks bool   // the actions have to go with match; those of a group go with any
	places []text // of the actions of the list that was read last
}

// bad notes a mistake at t.
func (p *parser) bad(t text, format string, args ...any) { p.refuse(t, 0, format, args...) }

// refuse notes a mistake at t, for which a switch has a code.
func (p *parser) refuse(t text, code ErrorCode, format string, args ...any) {
	if p.err == nil {
		p.err = &SyntaxError{p.whole, min(t.at, len(p.whole)), fmt.Sprintf(format, args...), code}
	}
}

// A pair is one "key", "key=value", "key:value" or "key(value)".
type pair struct {
	key, value text
	paren      bool // the value stood in parentheses
}

// next takes the next pair off t. Pairs are separated by commas or spaces; a value ends
// there, but not inside parentheses. In "key(x)->y" the value is "x)->y".
func (p *parser) next(t *text) (kv pair, ok bool) {
	*t = t.from(len(t.s) - len(strings.TrimLeft(t.s, ","+blanks)))
	if t.s == "" {
		return kv, false
	}
	n := strings.IndexAny(t.s, ":=(,"+blanks)
	if n < 0 {
		kv.key, *t = *t, t.from(len(t.s))
		kv.value = *t
		return kv, true
	}
	kv.key = t.to(n)
	delimiter := t.s[n]
	*t = t.from(n + 1)
	ends := "," + blanks
	switch delimiter {
	case '(':
		kv.paren, ends = true, ")"
	case ':', '=':
	default:
		kv.value = t.to(0)
		return kv, true
	}
	n = valueLen(t.s, ends)
	if kv.paren && strings.HasPrefix(t.s[n:], ")->") {
		n += valueLen(t.s[n:], ","+blanks)
	}
	kv.value = t.to(n)
	*t = t.from(min(n+1, len(t.s)))
	return kv, true
}

// valueLen returns how far s goes until one of ends stands outside parentheses.
func valueLen(s, ends string) int {
	level := 0
	for i := range len(s) {
		switch c := s[i]; {
		case level == 0 && strings.IndexByte(ends, c) >= 0:
			return i
		case c == '(':
			level++
		case c == ')' && level > 0:
			level--
		}
	}
	return len(s)
}

// subfield reads "NXM_NX_REG0[0..15]", "reg0[3]", "reg0[]" or "reg0".
func (p *parser) subfield(t text) Subfield {
	s := p.nextSubfield(&t)
	if t.s != "" {
		p.bad(t, "want nothing after the field, not %q", t.s)
	}
	return s
}

// nextSubfield takes a subfield off t, which goes as far as a "]", or if it has none, as far
// as a "-" or the end.
func (p *parser) nextSubfield(t *text) Subfield {
	n := strings.IndexAny(t.s, "[-")
	if n < 0 {
		n = len(t.s)
	}
	name := t.to(n)
	*t = t.from(n)
	f, ok := byName[name.s]
	if !ok && strings.Contains(name.s, "XM_") { // the name of a header may be that of its masked form
		f, ok = byName[strings.TrimSuffix(name.s, "_W")]
	}
	if !ok {
		p.bad(name, "there is no field %q", name.s)
		return Subfield{}
	}
	if !strings.HasPrefix(t.s, "[") {
		return f.Whole()
	}
	end := strings.IndexByte(t.s, ']')
	if end < 0 {
		p.bad(*t, "want [], [BIT] or [FIRST..LAST] after %s", name.s)
		return Subfield{}
	}
	bits := t.to(end).from(1)
	*t = t.from(end + 1)
	if bits.s == "" {
		return f.Whole()
	}
	return p.bitsOf(f, bits)
}

// bitsOf reads "3" or "0..15".
func (p *parser) bitsOf(f Field, t text) Subfield {
	at := scan{t, true}
	lo := int32(at.uint(10))
	hi := lo
	if at.ok && at.s != "" {
		at.byte('.')
		at.byte('.')
		hi = int32(at.uint(10))
	}
	switch {
	case !at.ok || at.s != "" || lo < 0:
		p.bad(t, "want [], [BIT] or [FIRST..LAST] after %v", f)
	case lo > hi:
		p.bad(t, "bit %d stands before bit %d", lo, hi)
	case hi >= int32(f.width()):
		p.bad(t, "%v has bits 0 to %d only", f, f.width()-1)
	default:
		return Subfield{f, uint16(lo), uint16(hi - lo + 1)}
	}
	return Subfield{}
}

// An actionSyntax reads the argument of an action in a text. What is one action for
// people can be several in OpenFlow 1.3, as a masked set_field is.
type actionSyntax func(p *parser, kv pair) []Action

// syntaxes has the actions by the names that they have in a text, in small letters. Each
// action puts its own here, beside its code.
var syntaxes = map[string]actionSyntax{}

// splitAt returns what stands before a list such as "actions=", and what behind. Open vSwitch
// looks for no more than word, which is the name without its last letter, and for the next
// equals sign.
func (p *parser) splitAt(t text, word, hint string) (before, list text) {
	n := strings.Index(t.s, word)
	if n < 0 {
		p.bad(t.from(len(t.s)), "%ss=... is missing at the end%s", word, hint)
		return t, list
	}
	equals := strings.IndexByte(t.s[n:], '=')
	if equals < 0 {
		p.bad(t.from(n), "want %ss=...", word)
		return t, list
	}
	return t.to(n), t.from(n + equals + 1)
}

// inText says how an action is read from a text.
func inText(name string, s actionSyntax) { syntaxes[name] = s }

// cut returns what stands before and after sep in t. If sep is not in it, before is t.
func (t text) cut(sep string) (before, after text, found bool) {
	i := strings.Index(t.s, sep)
	if i < 0 {
		return t, t.from(len(t.s)), false
	}
	return t.to(i), t.from(i + len(sep)), true
}

// table reads the number of a table. Open vSwitch takes a minus sign for the beginning of a
// negative number, even before a zero.
func (p *parser) table(t text) Table {
	if strings.HasPrefix(t.s, "-") {
		p.bad(t, "%s is not a number from 0 to 255", t.s)
	}
	return Table(p.decimal(t, 255))
}
