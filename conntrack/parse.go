package conntrack

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseEntry reads one line of dpctl/dump-conntrack: a protocol, and then keys with
// values, some of which are such lists themselves. Keys that are not known are kept in
// Other; what is damaged is a *Damage.
func ParseEntry(line string) (Entry, error) {
	p := parser{text: line}
	e := Entry{Protocol: p.upTo(",")}
	if e.Protocol == "" || strings.ContainsAny(e.Protocol, "=()") {
		return Entry{}, p.damage("no protocol")
	}
	seen := map[string]bool{}
	for p.next(',') {
		key := p.upTo("=,")
		if !p.next('=') && key != "" {
			e.keep(key, "")
			continue
		}
		if key == "" || seen[key] {
			return Entry{}, p.damage("key missing or twice")
		}
		seen[key] = true
		if err := e.value(key, &p); err != nil {
			return Entry{}, p.damage(err.Error())
		}
	}
	if !p.end() {
		return Entry{}, p.damage("something too much")
	}
	if !e.Orig.Src.IsValid() || !e.Reply.Src.IsValid() {
		return Entry{}, p.damage("orig or reply is missing: the line is cut")
	}
	return e, nil
}

func (e *Entry) keep(key, value string) {
	if e.Other == nil {
		e.Other = map[string]string{}
	}
	e.Other[key] = value
}

var errNumber = errors.New("not a number in its range")

// value reads the value of a key into e.
func (e *Entry) value(key string, p *parser) error {
	if p.next('(') {
		return e.list(key, p)
	}
	v := p.upTo(",")
	n, err := strconv.ParseUint(v, 0, 32)
	switch key {
	case "zone":
		e.Zone = uint16(n)
		if n > 0xffff {
			err = errNumber
		}
	case "mark":
		e.Mark = uint32(n)
	case "id":
		e.ID = uint32(n)
	case "status":
		if err != nil { // names of bits, separated by |
			e.keep(key, v)
		}
		e.Status = uint32(n)
		return nil
	case "timeout":
		e.Timeout = uint32(n)
	case "labels":
		return e.label(v)
	case "helper":
		e.Helper = v
		return nil
	default:
		e.keep(key, v)
		return nil
	}
	if err != nil {
		return errNumber
	}
	return nil
}

func (e *Entry) label(v string) error {
	digits, ok := strings.CutPrefix(v, "0x")
	if !ok || len(digits) > 32 || digits == "" {
		return errors.New("not a label")
	}
	b, err := hex.DecodeString(strings.Repeat("0", 32-len(digits)) + digits)
	if err != nil {
		return errors.New("not a label")
	}
	e.Label = Label(b)
	return nil
}

// list reads the value of a key that is a list in parentheses.
func (e *Entry) list(key string, p *parser) error {
	body, ok := p.body()
	if !ok {
		return errors.New("parenthesis is not closed: the line is cut")
	}
	switch key {
	case "orig":
		return e.Orig.read(body, e.keepIn(key))
	case "reply":
		return e.Reply.read(body, e.keepIn(key))
	case "protoinfo":
		return e.protoinfo(body)
	}
	e.keep(key, body)
	return nil
}

// tcpStates are in the order in which a connection goes through them.
var tcpStates = []string{"CLOSED", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "CLOSING", "LAST_ACK", "FIN_WAIT_2", "TIME_WAIT"}

func (e *Entry) protoinfo(body string) error {
	for part := range strings.SplitSeq(body, ",") {
		k, v, _ := strings.Cut(part, "=")
		switch k {
		case "state":
			e.State = v
		case "state_orig":
			e.StateOrig = v
		case "state_reply":
			e.StateReply = v
		default:
			if v != "0" { // of flags, which say nothing then
				e.keep("protoinfo."+k, v)
			}
		}
	}
	if e.State == "" {
		e.State = e.StateOrig
		if slices.Index(tcpStates, e.StateReply) > slices.Index(tcpStates, e.StateOrig) {
			e.State = e.StateReply
		}
	}
	return nil
}

// keepIn keeps what is not known of a list: "orig.vlan".
func (e *Entry) keepIn(list string) func(key, value string) {
	return func(key, value string) { e.keep(list+"."+key, value) }
}

// read reads "src=...,dst=...,sport=...".
func (t *Tuple) read(body string, keep func(key, value string)) error {
	for part := range strings.SplitSeq(body, ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok {
			return errors.New("tuple without values: the line is cut")
		}
		var err error
		switch k {
		case "src":
			t.Src, err = netip.ParseAddr(v)
		case "dst":
			t.Dst, err = netip.ParseAddr(v)
		case "sport":
			err = number(&t.SrcPort, v)
		case "dport":
			err = number(&t.DstPort, v)
		case "id":
			err = number(&t.ICMPID, v)
		case "type":
			err = number(&t.ICMPType, v)
		case "code":
			err = number(&t.ICMPCode, v)
		default:
			keep(k, v)
		}
		if err != nil {
			return err
		}
	}
	if !t.Src.IsValid() || !t.Dst.IsValid() {
		return errors.New("tuple without addresses: the line is cut")
	}
	return nil
}

func number[T uint8 | uint16](to *T, v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || uint64(T(n)) != n {
		return errNumber
	}
	*to = T(n)
	return nil
}

// A parser goes through a line.
type parser struct {
	text string
	at   int
}

func (p *parser) damage(why string) *Damage {
	return &Damage{Column: p.at + 1, Text: p.text, Why: why}
}

func (p *parser) end() bool { return p.at == len(p.text) }

// next goes past c, if it is what comes.
func (p *parser) next(c byte) bool {
	if p.end() || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

// upTo goes up to the first of some characters, or the end.
func (p *parser) upTo(chars string) string {
	rest := p.text[p.at:]
	if i := strings.IndexAny(rest, chars); i >= 0 {
		rest = rest[:i]
	}
	p.at += len(rest)
	return rest
}

// body goes past the parenthesis that closes the one just opened.
func (p *parser) body() (string, bool) {
	start, depth := p.at, 1
	for ; !p.end(); p.at++ {
		switch p.text[p.at] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.at++
				return p.text[start : p.at-1], true
			}
		}
	}
	return "", false
}
