package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Question is what somebody wants to know: what becomes of a packet. ParseQuestion reads it from
// "tcp web-1 -> db-1:5432".
type Question struct {
	Text     string // as it was asked
	Protocol uint8
	Any6     bool // the protocol was said as "icmp": of IPv6 it is ICMPv6
	Typed    bool // a type of ICMP was said
	Type     uint8
	Code     uint8
	From, To End

	// Of a packet that is not what it should be, or not the first of its connection.
	As          netip.Addr // its source address, if it is not the sender's own
	AsMAC       string     // its source MAC address; empty: the sender's own
	ToMAC       string     // its destination MAC address; empty: that of the receiver, or the router
	Fragment    string     // "first" or "later"; empty: it is whole
	Established bool       // it is of a connection that has been answered
	Tenant      string     // whose names are meant; empty: those of all
}

// An End is the sender or the receiver in a Question.
type End struct {
	Outside bool       // the sender is a host outside
	Name    string     // of an endpoint, a load balancer, a floating IP or a port forward, with its tenant or without; empty: Addr says it
	Addr    netip.Addr // invalid: Name says it
	Port    uint16     // zero: none was said
	at, n   int        // where in the text it is
}

// A Mistake is what is wrong with the text of a question. Its text shows the place.
type Mistake struct {
	Text   string
	At     int // byte in Text where it begins
	Length int
	Why    string
	Hint   string // what to do; may be empty
}

// Error says why, and shows where.
func (m *Mistake) Error() string {
	s := fmt.Sprintf("%s\n    %s\n    %s%s", m.Why, m.Text, strings.Repeat(" ", m.At), strings.Repeat("^", max(m.Length, 1)))
	if m.Hint != "" {
		s += "\n    " + m.Hint
	}
	return s
}

// form is how a question is asked.
const form = `ask as in "tcp web-1 -> db-1:5432", "icmp 10.1.0.11 -> 10.2.0.11" or "udp outside/203.0.113.9 -> dns-ip:53"`

// A wordAt is a word of a question.
type wordAt struct {
	text string
	at   int
}

func wordsOf(text string) (words []wordAt) {
	begin := -1
	for i, c := range text + " " {
		switch {
		case c == ' ' || c == '\t':
			if begin >= 0 {
				words = append(words, wordAt{text[begin:i], begin})
			}
			begin = -1
		case begin < 0:
			begin = i
		}
	}
	return slices.DeleteFunc(words, func(w wordAt) bool { return w.text == "->" })
}

// ParseQuestion reads PROTOCOL SOURCE -> TARGET. The arrow may be left out: a shell takes an unquoted one for
// something else. PROTOCOL is a name or a number, of ICMP with a type and a code behind it ("icmp:3/4").
// SOURCE and TARGET are the name of an endpoint (blue/web-1 where several tenants have one), or an address, with
// a port behind it; the source may be outside/ADDRESS, the target the name of a load balancer, a floating IP
// or a port forward. The error is a *Mistake.
func ParseQuestion(text string) (q Question, err error) {
	q.Text = text
	words := wordsOf(text)
	wrong := func(w wordAt, hint, why string, args ...any) error {
		return &Mistake{Text: text, At: w.at, Length: len(w.text), Why: fmt.Sprintf(why, args...), Hint: hint}
	}
	end := wordAt{"", len(text)}
	switch {
	case len(words) == 3 && words[2].text == "-":
		return q, wrong(words[2], "write it without: "+words[0].text+" "+words[1].text+" TARGET, or the whole in quotes", "the shell has taken the > of the arrow to be for it")
	case len(words) > 3:
		return q, wrong(words[3], form, "%q is one word too many", words[3].text)
	case len(words) < 3:
		return q, wrong(end, form, "it says no %s", []string{"protocol, no source and no target", "source and no target", "target"}[len(words)])
	}
	if why, hint := q.parseProtocol(words[0].text); why != "" {
		return q, wrong(words[0], hint, "%s", why)
	}
	for i, e := range []*End{&q.From, &q.To} {
		w := words[1+i]
		if why := e.parse(w.text); why != "" {
			return q, wrong(w, form, "%s", why)
		}
		e.at, e.n = w.at, len(w.text)
	}
	if q.To.Outside {
		return q, wrong(words[2], "give the address itself", "only a source says outside/")
	}
	return q, nil
}

// protocols are the numbers of IP protocols that have a name (IANA).
var protocols = map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "icmpv6": 58, "icmp6": 58, "sctp": 132}

// parseProtocol reads "tcp", "89", "icmp:3/4". It returns why it cannot, or nothing.
func (q *Question) parseProtocol(s string) (why, hint string) {
	name, kind, typed := strings.Cut(s, ":")
	n, known := protocols[name]
	if !known {
		v, err := strconv.ParseUint(name, 10, 8)
		if err != nil {
			return fmt.Sprintf("%q is no protocol", name), "want tcp, udp, icmp, icmpv6, sctp, dccp, gre, or a number up to 255"
		}
		n = uint8(v)
	}
	q.Protocol, q.Any6, q.Typed = n, name == "icmp", typed
	if !typed {
		return "", ""
	}
	if n != 1 && n != 58 {
		return fmt.Sprintf("%s has no types", name), "a type comes behind icmp or icmpv6 only, as in icmp:3/4; ports come behind the target"
	}
	typ, code, coded := strings.Cut(kind, "/")
	t, err := strconv.ParseUint(typ, 10, 8)
	var c uint64
	if err == nil && coded {
		c, err = strconv.ParseUint(code, 10, 8)
	}
	if err != nil {
		return fmt.Sprintf("%q is no type of %s", kind, name), "want a number up to 255, with a code behind it or without: icmp:8, icmp:3/4"
	}
	q.Type, q.Code = uint8(t), uint8(c)
	return "", ""
}

// parse reads an end. It returns why it cannot, or nothing.
func (e *End) parse(s string) (why string) {
	if rest, outside := strings.CutPrefix(s, "outside/"); outside {
		e.Outside, s = true, rest
	} else if s == "outside" {
		e.Outside = true
		return ""
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		e.Addr = a
		return e.check(s)
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		e.Addr, e.Port = ap.Addr(), ap.Port()
		return e.check(s)
	}
	name, port, ported := strings.Cut(s, ":")
	if ported {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Sprintf("%q is no port: want a number from 1 to 65535; an IPv6 address with a port stands in brackets", port)
		}
		e.Port = uint16(n)
	}
	if name == "" || strings.Count(name, "/") > 1 || e.Outside {
		return fmt.Sprintf("%q is neither a name nor an address", s)
	}
	e.Name = name
	return ""
}

func (e *End) check(s string) string {
	if e.Addr.Zone() != "" {
		return fmt.Sprintf("%q has a zone, which a packet has not", s)
	}
	e.Addr = e.Addr.Unmap()
	return ""
}

// wrongEnd is a mistake about an end.
func (q Question) wrongEnd(e End, hint, why string, args ...any) error {
	return &Mistake{Text: q.Text, At: e.at, Length: e.n, Why: fmt.Sprintf(why, args...), Hint: hint}
}
