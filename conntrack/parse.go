package conntrack

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ParseEntry reads one line of dpctl/dump-conntrack: a protocol, and then keys with
// values, some of which are such lists themselves. Keys that are not known are kept in
// Other; what is damaged is a *Damage.
func ParseEntry(line string) (Entry, error) {
	p := parser{text: line}
	protocol, ok := ParseProtocol(p.upTo(","))
	if !ok {
		return Entry{}, p.damage("no protocol")
	}
	e := Entry{Protocol: protocol}
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

func (e *Entry) keep(key, value string) { e.Other = e.Other.With(key, value) }

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
		return flags(&e.Status, v, ParseStatus)
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
		return e.Orig.read(body, e.counted(key, &e.CountOrig))
	case "reply":
		return e.Reply.read(body, e.counted(key, &e.CountReply))
	case "parent":
		return e.Parent.read(body, e.keepIn(key))
	case "protoinfo":
		return e.protoinfo(body)
	}
	e.keep(key, body)
	return nil
}

// protoinfo reads "state=...,vtag_orig=..." or, of TCP, "state_orig=...,state_reply=...".
func (e *Entry) protoinfo(body string) error {
	for part := range strings.SplitSeq(body, ",") {
		k, v, _ := strings.Cut(part, "=")
		if err := e.protocolFact(k, v); err != nil {
			return err
		}
	}
	if e.State == 0 {
		e.State = max(e.StateOrig, e.StateReply)
	}
	return nil
}

func (e *Entry) protocolFact(k, v string) error {
	switch k {
	case "state":
		return state(&e.State, v)
	case "state_orig":
		return state(&e.StateOrig, v)
	case "state_reply":
		return state(&e.StateReply, v)
	case "flags_orig":
		return flags(&e.FlagsOrig, v, ParseTCPFlags)
	case "flags_reply":
		return flags(&e.FlagsReply, v, ParseTCPFlags)
	case "wscale_orig":
		return number(&e.ScaleOrig, v)
	case "wscale_reply":
		return number(&e.ScaleReply, v)
	case "vtag_orig":
		return number(&e.TagOrig, v)
	case "vtag_reply":
		return number(&e.TagReply, v)
	}
	e.keep("protoinfo."+k, v)
	return nil
}

func state(to *State, v string) error {
	s, ok := ParseState(v)
	if !ok {
		return errors.New(v + " is no state")
	}
	*to = s
	return nil
}

func flags[T Status | TCPFlags](to *T, v string, parse func(string) (T, bool)) error {
	f, ok := parse(v)
	if !ok {
		return errors.New(v + " are no flags")
	}
	*to = f
	return nil
}

// counted reads the counters of a direction, and keeps what is not known.
func (e *Entry) counted(list string, c *Counters) func(key, value string) error {
	return func(key, value string) error {
		switch key {
		case "packets":
			return number(&c.Packets, value)
		case "bytes":
			return number(&c.Bytes, value)
		}
		e.keep(list+"."+key, value)
		return nil
	}
}

// keepIn keeps what is not known of a list: "orig.vlan".
func (e *Entry) keepIn(list string) func(key, value string) error {
	return func(key, value string) error {
		e.keep(list+"."+key, value)
		return nil
	}
}

// read reads "src=...,dst=...,sport=...".
func (t *Tuple) read(body string, keep func(key, value string) error) error {
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
			err = keep(k, v)
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

func number[T uint8 | uint16 | uint32 | uint64](to *T, v string) error {
	n, err := strconv.ParseUint(v, 10, 64)
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
