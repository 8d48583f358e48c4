package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/intent"
)

// A Selector says which connections are meant, in words: terms that all have to be met, with spaces
// between them.
//
//	protocol=tcp dst=10.1.0.0/16,db-1 dport=5432 state!=TIME_WAIT
//	rule=policy/db-ingress age>1h bytes>10M !blocked
//
// A term is a name, one of = != < > and values, of which one has to be met (of !=: none). What is not known of
// a connection meets no term but those with !=.
type Selector struct {
	text  string
	terms []term
}

// A term is one condition.
type term struct {
	not   bool
	meets []func(Connection) bool // one of them has to be met
	of    string                  // its name
	named []word                  // endpoints
}

// A word is a part of a selector, and where it stands.
type word struct {
	text string
	at   int // in bytes
}

// A SelectorError says where a selector makes no sense.
type SelectorError struct {
	Text string // all of it
	At   int    // in bytes
	Why  string
}

// Error has the selector in a line of its own, and a caret under the place.
func (e *SelectorError) Error() string {
	column := len([]rune(e.Text[:e.At]))
	return fmt.Sprintf("selector, column %d: %s\n    %s\n    %s^", column+1, e.Why, e.Text, strings.Repeat(" ", column))
}

// fail is an error at a word.
func (s *Selector) fail(w word, format string, args ...any) error {
	return badRequest("%w", &SelectorError{s.text, w.at, fmt.Sprintf(format, args...)})
}

// ParseSelector reads a selector. The error has the place.
func ParseSelector(text string) (*Selector, error) {
	text = strings.Map(func(r rune) rune { // a caret stands under what is printed
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	s := &Selector{text: text}
	for _, w := range fields(text) {
		t, err := s.parse(w)
		if err != nil {
			return nil, err
		}
		s.terms = append(s.terms, t)
	}
	if len(s.terms) == 0 {
		return nil, s.fail(word{}, "it is empty: want terms as in protocol=tcp dport=443")
	}
	return s, nil
}

// fields are the words between spaces.
func fields(text string) (all []word) {
	from := -1
	for i, r := range text + " " {
		switch {
		case r != ' ' && from < 0:
			from = i
		case r == ' ' && from >= 0:
			all = append(all, word{text[from:i], from})
			from = -1
		}
	}
	return all
}

// parse reads a term.
func (s *Selector) parse(w word) (t term, err error) {
	if bare := strings.TrimPrefix(w.text, "!"); flags[bare] != nil {
		return term{of: bare, not: bare != w.text, meets: []func(Connection) bool{flags[bare]}}, nil
	}
	end := strings.IndexAny(w.text, "!=<>")
	if end < 0 && terms[w.text] != nil {
		return t, s.fail(w, "want %s=VALUE", w.text)
	}
	if end < 0 {
		return t, s.unknown(w, "want NAME=VALUE, and ")
	}
	t.of = w.text[:end]
	op := w.text[end : end+1]
	if strings.HasPrefix(w.text[end:], "!=") {
		op = "!="
	}
	read, there := terms[t.of]
	rest := word{w.text[end+len(op):], w.at + end + len(op)}
	switch {
	case !there:
		return t, s.unknown(word{t.of, w.at}, "")
	case op == "!":
		return t, s.fail(word{at: w.at + end}, "want !=")
	case rest.text == "":
		return t, s.fail(rest, "a value is missing")
	case (op == "<" || op == ">") && !slices.Contains(amounts, t.of):
		return t, s.fail(word{at: w.at + end}, "%s is no amount: want = or !=; < and > are for %s", t.of, strings.Join(amounts, ", "))
	}
	t.not = op == "!="
	for _, v := range split(rest) {
		one, err := read(op, v.text)
		if err != nil {
			return t, s.fail(v, "%s: %v", t.of, err)
		}
		if slices.Contains(ends, t.of) && !isAddress(v.text) {
			t.named = append(t.named, v)
		}
		t.meets = append(t.meets, one)
	}
	return t, nil
}

// split cuts a list of values at its commas.
func split(w word) (all []word) {
	at := w.at
	for _, part := range strings.Split(w.text, ",") {
		all = append(all, word{part, at})
		at += len(part) + 1
	}
	return all
}

// unknown says that there is no term of a name, and which may be meant.
func (s *Selector) unknown(w word, first string) error {
	names := slices.Sorted(maps.Keys(terms))
	names = append(names, slices.Sorted(maps.Keys(flags))...)
	hint := "there are " + strings.Join(names, ", ")
	if n := cmp.Or(intent.Nearest(w.text, slices.Values(names)), begins(w.text, names)); n != "" {
		hint = fmt.Sprintf("did you mean %q?", n)
	}
	return s.fail(w, "%sthere is no %q: %s", first, w.text, hint)
}

// begins returns the only name that begins with what is said; empty: there is none, or more than one.
func begins(said string, names []string) (name string) {
	for _, n := range names {
		switch {
		case !strings.HasPrefix(n, said):
		case name != "":
			return ""
		default:
			name = n
		}
	}
	return name
}

// Known checks the endpoints that s names against those that there are.
func (s *Selector) Known(endpoints []string) error {
	for _, t := range s.terms {
		for _, w := range t.named {
			if slices.Contains(endpoints, w.text) {
				continue
			}
			hint := "want an address, a prefix or an endpoint's name"
			if n := intent.Nearest(w.text, slices.Values(endpoints)); n != "" {
				hint = fmt.Sprintf("did you mean %q?", n)
			}
			return s.fail(w, "%s: there is no endpoint %q: %s", t.of, w.text, hint)
		}
	}
	return nil
}

// Matches reports whether c is meant. nil means all.
func (s *Selector) Matches(c Connection) bool {
	if s == nil {
		return true
	}
	for _, t := range s.terms {
		if slices.ContainsFunc(t.meets, func(is func(Connection) bool) bool { return is(c) }) == t.not {
			return false
		}
	}
	return true
}

// String returns s as it was written.
func (s *Selector) String() string { return s.text }

// flags are the terms without a value.
var flags = map[string]func(Connection) bool{
	"blocked":    func(c Connection) bool { return c.Blocked },
	"audited":    func(c Connection) bool { return c.Audited },
	"translated": func(c Connection) bool { return c.SourceTo() != "" || c.TargetTo() != "" },
}

var (
	amounts = []string{"age", "bytes", "dport", "expires", "packets", "sport"} // that are more or less
	ends    = []string{"src", "dst", "host"}                                   // of which a value may be an endpoint
)

// terms make a condition of an operator and a value.
var terms = map[string]func(op, value string) (func(Connection) bool, error){
	"tenant":   is(func(c Connection) string { return c.Tenant }),
	"on":       is(func(c Connection) string { return c.Host }),
	"protocol": is(func(c Connection) string { return c.Protocol }),
	"state":    is(func(c Connection) string { return c.State }),
	"id":       is(func(c Connection) string { return c.Ref }),
	"src":      end(func(c Connection) []at { return []at{{c.Orig.Src, c.From}} }),
	"dst":      end(func(c Connection) []at { return []at{{c.Orig.Dst, c.To}, {c.Reply.Src, c.To}} }),
	"host":     end(func(c Connection) []at { return []at{{c.Orig.Src, c.From}, {c.Orig.Dst, c.To}, {c.Reply.Src, c.To}} }),
	"sport":    port(func(c Connection) uint16 { return c.Orig.Sport }),
	"dport":    port(func(c Connection) uint16 { return c.Orig.Dport }),
	"rule":     intentTerm(func(c Connection) []string { return []string{c.Egress, c.Ingress} }),
	"egress":   intentTerm(func(c Connection) []string { return []string{c.Egress} }),
	"ingress":  intentTerm(func(c Connection) []string { return []string{c.Ingress} }),
	"nat":      natTerm,
	"backend":  backendTerm,
	"zone":     exactly(16, func(c Connection) uint64 { return uint64(c.Zone) }),
	"class":    exactly(16, func(c Connection) uint64 { return uint64(c.Class) }),
	"epoch":    exactly(8, func(c Connection) uint64 { return uint64(c.Epoch) }),
	"mark":     markTerm,
	"age":      ageTerm,
	"expires":  expiresTerm,
	"bytes":    amount(func(c Connection) uint64 { return c.Orig.Bytes + c.Reply.Bytes }),
	"packets":  amount(func(c Connection) uint64 { return c.Orig.Packets + c.Reply.Packets }),
}

// SelectorTerms returns what terms may begin with, sorted: "dport=" with a value, "blocked" without.
func SelectorTerms() (all []string) {
	for name := range terms {
		all = append(all, name+"=")
	}
	for name := range flags {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// is compares a text, in whatever case.
func is(of func(Connection) string) func(op, value string) (func(Connection) bool, error) {
	return func(_, value string) (func(Connection) bool, error) {
		if value == "" {
			return nil, fmt.Errorf("a value is missing")
		}
		return func(c Connection) bool { return strings.EqualFold(of(c), value) }, nil
	}
}

// An at is an end of a connection: its address, and whose it is.
type at struct{ address, endpoint string }

func isAddress(s string) bool {
	_, err := netip.ParsePrefix(s)
	_, single := netip.ParseAddr(s)
	return err == nil || single == nil
}

func end(of func(Connection) []at) func(op, value string) (func(Connection) bool, error) {
	return func(_, value string) (func(Connection) bool, error) {
		p, err := parseEnd(value)
		if err != nil {
			return nil, err
		}
		return func(c Connection) bool {
			return slices.ContainsFunc(of(c), func(e at) bool {
				if p.IsValid() {
					return within(p, e.address)
				}
				return e.endpoint == value || strings.HasSuffix(e.endpoint, "/endpoint/"+value)
			})
		}, nil
	}
}

// parseEnd reads an address or a prefix; of an endpoint's name it returns no prefix.
func parseEnd(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	if s == "" || strings.ContainsAny(s, "./:") || s[0] == '-' {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix nor an endpoint's name", s)
	}
	return netip.Prefix{}, nil
}

// port compares a port: 443, 1024-65535; with < and > one.
func port(of func(Connection) uint16) func(op, value string) (func(Connection) bool, error) {
	return func(op, value string) (func(Connection) bool, error) {
		first, last, isRange := strings.Cut(value, "-")
		lo, err := strconv.ParseUint(first, 10, 16)
		hi := lo
		if isRange && err == nil {
			hi, err = strconv.ParseUint(last, 10, 16)
		}
		switch {
		case err != nil || lo == 0 || hi < lo || isRange && op != "=" && op != "!=":
			return nil, fmt.Errorf("%q is no port, nor a range of ports", value)
		case op == "<":
			return func(c Connection) bool { return of(c) != 0 && uint64(of(c)) < lo }, nil
		case op == ">":
			return func(c Connection) bool { return uint64(of(c)) > lo }, nil
		}
		return func(c Connection) bool { return uint64(of(c)) >= lo && uint64(of(c)) <= hi }, nil
	}
}

// intentTerm compares intents: one, or all that are under it; the tenant may be left out.
func intentTerm(of func(Connection) []string) func(op, value string) (func(Connection) bool, error) {
	return func(_, value string) (func(Connection) bool, error) {
		value = strings.TrimSuffix(value, "/")
		if value == "" {
			return nil, fmt.Errorf("a name is missing")
		}
		return func(c Connection) bool {
			return slices.ContainsFunc(of(c), func(id string) bool {
				return id != "" && (under(id, value) || under(strings.TrimPrefix(id, c.Tenant+"/"), value))
			})
		}, nil
	}
}

func natTerm(_, value string) (func(Connection) bool, error) {
	if value == "" {
		return nil, fmt.Errorf("a name is missing")
	}
	return func(c Connection) bool { return c.NAT != "" && Filter{NAT: value}.translates(c.NAT) }, nil
}

// backendTerm compares who answers for a load balancer: ADDRESS or ADDRESS:PORT.
func backendTerm(_, value string) (func(Connection) bool, error) {
	var f Filter
	if f.parseAs(value) != nil || !f.As.IsValid() {
		return nil, fmt.Errorf("%q is neither an address nor one with a port", value)
	}
	return func(c Connection) bool {
		return strings.Contains(c.NAT, "/loadbalancer/") && c.Reply.Src == f.As.Addr().String() && (f.As.Port() == 0 || f.As.Port() == c.Reply.Sport)
	}, nil
}

func exactly(bits int, of func(Connection) uint64) func(op, value string) (func(Connection) bool, error) {
	return func(_, value string) (func(Connection) bool, error) {
		n, err := strconv.ParseUint(value, 0, bits)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of %d bits", value, bits)
		}
		return func(c Connection) bool { return of(c) == n }, nil
	}
}

// markTerm compares the ct_mark: VALUE or VALUE/MASK.
func markTerm(_, value string) (func(Connection) bool, error) {
	v, m, masked := strings.Cut(value, "/")
	n, err := strconv.ParseUint(v, 0, 32)
	mask := uint64(1<<32 - 1)
	if err == nil && masked {
		mask, err = strconv.ParseUint(m, 0, 32)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no mark: want VALUE or VALUE/MASK, as in 0x100/0x100", value)
	case n&^mask != 0:
		return nil, fmt.Errorf("%q never matches: the value has bits outside its mask", value)
	}
	return func(c Connection) bool { return uint64(c.Mark)&mask == n }, nil
}

// ageTerm compares how long ago a connection was opened, where the tracker notes that.
func ageTerm(op, value string) (func(Connection) bool, error) {
	d, err := duration(op, value)
	return func(c Connection) bool {
		return c.Start != nil && moreOrLess(op, time.Since(*c.Start).Seconds(), d.Seconds())
	}, err
}

// expiresTerm compares how long a connection is remembered if no packet comes.
func expiresTerm(op, value string) (func(Connection) bool, error) {
	d, err := duration(op, value)
	return func(c Connection) bool { return moreOrLess(op, float64(c.Expires), d.Seconds()) }, err
}

func duration(op, value string) (time.Duration, error) {
	if op != "<" && op != ">" {
		return 0, fmt.Errorf("want < or >")
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: want 90s, 5m or 2h", value)
	}
	return d, nil
}

// moreOrLess compares as < and > say.
func moreOrLess[N cmp.Ordered](op string, is, than N) bool {
	if op == "<" {
		return is < than
	}
	return is > than
}

// amount compares a number, with k, M or G behind it for thousands, millions and thousands of those. What
// the tracker has not counted is no amount.
func amount(of func(Connection) uint64) func(op, value string) (func(Connection) bool, error) {
	return func(op, value string) (func(Connection) bool, error) {
		digits := strings.TrimRight(value, "kMG")
		n, err := strconv.ParseUint(digits, 10, 50)
		by, there := map[string]uint64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[value[len(digits):]]
		switch {
		case err != nil || !there:
			return nil, fmt.Errorf("%q is no amount: want a number, with k, M or G behind it", value)
		case op != "<" && op != ">":
			return nil, fmt.Errorf("want < or >")
		case n > 1e9:
			return nil, fmt.Errorf("%q is too much", value)
		}
		return func(c Connection) bool { return of(c) > 0 && moreOrLess(op, of(c), n*by) }, nil
	}
}
