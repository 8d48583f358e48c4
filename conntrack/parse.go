package conntrack

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ParseEntry reads one line of dpctl/dump-conntrack, as Open vSwitch 2.17 and later write it with
// -m, -s, both or neither: a protocol, and then keys with values, some of which are such lists
// themselves.
//
//	tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),reply=(...),id=0,zone=5,status=0,timeout=9,mark=1,
//	labels=0x7,protoinfo=(state_orig=ESTABLISHED,...),helper=ftp,parent=(src=...)
//
// Keys that are not known are kept in Other. What is damaged is a *Damage, on line 1: no
// protocol, no tuple, a key twice, a value that its key cannot have, a state that is not known, a
// parenthesis that is not closed.
func ParseEntry(line string) (Entry, error) {
	var e Entry
	if d := parseEntry(line, &e); d != nil {
		d.Line = 1
		return Entry{}, d
	}
	return e, nil
}

// A parser goes through a line. It makes no copy of anything: what it puts into its entry that
// is text is cloned, for a line is a part of a larger text.
type parser struct {
	line string
	at   int
	e    *Entry
}

// A place is the list that a key is in.
type place uint8

const (
	onTop place = iota
	inOrig
	inReply
	inParent
	inProtoinfo
)

var placeNames = [...]string{inOrig: "orig", inReply: "reply", inParent: "parent", inProtoinfo: "protoinfo"}

func parseEntry(line string, e *Entry) *Damage {
	p := parser{line: line, e: e}
	if d := p.whole(); d != nil {
		return d
	}
	if !e.Orig.Src.IsValid() || !e.Reply.Src.IsValid() {
		return p.damage(p.at, "orig or reply is missing: the line is cut")
	}
	if e.State == 0 {
		e.State = max(e.StateOrig, e.StateReply)
	}
	return nil
}

// whole reads the line: a protocol, and what is said of it.
func (p *parser) whole() *Damage {
	name := p.upTo(onTop)
	var ok bool
	if p.e.Protocol, ok = protocolOf(name); !ok {
		return p.damage(0, "no protocol")
	}
	if !p.next(',') {
		return p.damage(p.at, "nothing behind the protocol: the line is cut")
	}
	return p.pairs(onTop)
}

// protocolOf is ParseProtocol, for the two that are on nearly all lines at once.
func protocolOf(name string) (Protocol, bool) {
	switch name {
	case "tcp":
		return TCP, true
	case "udp":
		return UDP, true
	}
	return ParseProtocol(name)
}

// pairs reads KEY=VALUE,KEY=VALUE... up to the end of its list.
func (p *parser) pairs(in place) *Damage {
	var room [16]string
	seen := room[:0]
	for {
		start := p.at
		key := p.key()
		if key == "" {
			return p.damage(start, "a key is missing")
		}
		for _, k := range seen {
			if k == key {
				return p.damage(start, key+" comes twice")
			}
		}
		seen = append(seen, key)
		if d := p.pair(in, key); d != nil {
			return d
		}
		switch {
		case p.next(','):
		case in == onTop && p.at == len(p.line), in != onTop && p.next(')'):
			return nil
		case p.at == len(p.line):
			return p.damage(p.at, "parenthesis is not closed: the line is cut")
		default:
			return p.damage(p.at, "something too much")
		}
	}
}

// pair reads the value of a key.
func (p *parser) pair(in place, key string) *Damage {
	if !p.next('=') {
		p.keep(in, key, "")
		return nil
	}
	if p.next('(') {
		return p.list(in, key)
	}
	start := p.at
	if why := p.set(in, key, p.upTo(in)); why != "" {
		return p.damage(start, why)
	}
	return nil
}

// list reads a value that is a list, up to and with its parenthesis.
func (p *parser) list(in place, key string) *Damage {
	start := p.at
	if in == onTop {
		switch key {
		case "orig":
			return p.tuple(inOrig, start, &p.e.Orig)
		case "reply":
			return p.tuple(inReply, start, &p.e.Reply)
		case "parent":
			return p.tuple(inParent, start, &p.e.Parent)
		case "protoinfo":
			if p.next(')') {
				return nil // of a protocol that has none
			}
			return p.pairs(inProtoinfo)
		}
	}
	for depth := 1; p.at < len(p.line); p.at++ {
		switch p.line[p.at] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.keep(in, key, p.line[start:p.at])
				p.at++
				return nil
			}
		}
	}
	return p.damage(start, "parenthesis is not closed: the line is cut")
}

func (p *parser) tuple(in place, start int, t *Tuple) *Damage {
	if d := p.pairs(in); d != nil {
		return d
	}
	if !t.Src.IsValid() || !t.Dst.IsValid() {
		return p.damage(start, "tuple without addresses: the line is cut")
	}
	if t.Src.Is4() != t.Dst.Is4() {
		return p.damage(start, "tuple of IPv4 and IPv6")
	}
	return nil
}

// set puts a value where its key says; it returns why it cannot.
func (p *parser) set(in place, key, v string) (why string) {
	switch in {
	case onTop:
		return p.setOnTop(key, v)
	case inOrig:
		return p.setInTuple(in, &p.e.Orig, &p.e.CountOrig, key, v)
	case inReply:
		return p.setInTuple(in, &p.e.Reply, &p.e.CountReply, key, v)
	case inParent:
		return p.setInTuple(in, &p.e.Parent, new(Counters), key, v)
	}
	return p.setInProtoinfo(key, v)
}

func (p *parser) setOnTop(key, v string) (why string) {
	switch key {
	case "zone":
		return number(&p.e.Zone, v)
	case "mark":
		return number(&p.e.Mark, v)
	case "id":
		return number(&p.e.ID, v)
	case "status":
		if s, ok := statusOf(v); ok {
			p.e.Status = s
			return ""
		}
	case "timeout":
		return number(&p.e.Timeout, v)
	case "labels":
		return label(&p.e.Label, v)
	case "start":
		return moment(&p.e.Start, v)
	case "stop":
		return moment(&p.e.Stop, v)
	case "helper":
		p.e.Helper = strings.Clone(v)
		return ""
	}
	p.keep(onTop, key, v) // bits that have got names since, too
	return ""
}

// statusOf reads the bits of a status. Open vSwitch before 3.1 writes nothing for none.
func statusOf(v string) (Status, bool) {
	if v == "" || v == "0" {
		return 0, true
	}
	return ParseStatus(v)
}

// setInTuple sets a part of a tuple.
func (p *parser) setInTuple(in place, t *Tuple, c *Counters, key, v string) (why string) {
	switch key {
	case "src":
		return address(&t.Src, v)
	case "dst":
		return address(&t.Dst, v)
	case "sport":
		return number(&t.SrcPort, v)
	case "dport":
		return number(&t.DstPort, v)
	case "id":
		return number(&t.ICMPID, v)
	case "type":
		return number(&t.ICMPType, v)
	case "code":
		return number(&t.ICMPCode, v)
	case "packets":
		return number(&c.Packets, v)
	case "bytes":
		return number(&c.Bytes, v)
	}
	p.keep(in, key, v)
	return ""
}

// setInProtoinfo sets a part of "state=...,vtag_orig=...", or of "state_orig=...,state_reply=..."
// of TCP.
func (p *parser) setInProtoinfo(key, v string) (why string) {
	switch key {
	case "state":
		return state(&p.e.State, v)
	case "state_orig":
		return state(&p.e.StateOrig, v)
	case "state_reply":
		return state(&p.e.StateReply, v)
	case "flags_orig":
		return p.flags(&p.e.FlagsOrig, key, v)
	case "flags_reply":
		return p.flags(&p.e.FlagsReply, key, v)
	case "wscale_orig":
		return number(&p.e.ScaleOrig, v)
	case "wscale_reply":
		return number(&p.e.ScaleReply, v)
	case "vtag_orig":
		return tag(&p.e.TagOrig, v)
	case "vtag_reply":
		return tag(&p.e.TagReply, v)
	}
	p.keep(inProtoinfo, key, v)
	return ""
}

func (p *parser) flags(to *TCPFlags, key, v string) (why string) {
	if v == "" || v == "0" {
		return ""
	}
	f, ok := ParseTCPFlags(v)
	if !ok {
		p.keep(inProtoinfo, key, v)
	}
	*to = f
	return ""
}

// tag reads a verification tag. ovs-vswitchd takes what the kernel says in the network's order for a
// number of the machine's: on most machines, and so on this one then, its bytes are turned round.
func tag(to *uint32, v string) (why string) {
	why = number(to, v)
	if littleEndian {
		*to = bits.ReverseBytes32(*to)
	}
	return why
}

func state(to *State, v string) (why string) {
	s, ok := ParseState(v)
	if !ok {
		return "there is no such state"
	}
	*to = s
	return ""
}

func address(to *netip.Addr, v string) (why string) {
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" {
		return "not an address"
	}
	*to = a
	return ""
}

func number[T uint8 | uint16 | uint32 | uint64](to *T, v string) (why string) {
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || uint64(T(n)) != n {
		return "not a number in its range"
	}
	*to = T(n)
	return ""
}

// label reads 0x and up to 32 hexadecimal digits.
func label(to *Label, v string) (why string) {
	digits, ok := strings.CutPrefix(v, "0x")
	if !ok || len(digits) > 2*len(to) || digits == "" {
		return "not a label"
	}
	for i := range len(digits) { // from the last one
		n := strings.IndexByte("0123456789abcdefABCDEF", digits[len(digits)-1-i])
		if n < 0 {
			return "not a label"
		}
		if n > 15 {
			n -= 6
		}
		to[len(to)-1-i/2] |= byte(n) << (i % 2 * 4)
	}
	return ""
}

const timeLayout = "2006-01-02T15:04:05.000"

// moment reads a time as ovs-vswitchd writes it: in its own time zone, taken to be ours.
func moment(to *int64, v string) (why string) {
	t, err := time.ParseInLocation(timeLayout, v, time.Local)
	if err != nil {
		return "not a time"
	}
	*to = t.UnixNano()
	return ""
}

// keep keeps what is not known, with the list that it is in: "orig.vlan".
func (p *parser) keep(in place, key, v string) {
	if in != onTop {
		key = placeNames[in] + "." + key
	}
	p.e.Other = p.e.Other.With(key, v)
}

func (p *parser) damage(at int, why string) *Damage {
	return &Damage{Column: at + 1, Text: strings.Clone(p.line), Why: why}
}

// next goes past c, if it is what comes.
func (p *parser) next(c byte) bool {
	if p.at == len(p.line) || p.line[p.at] != c {
		return false
	}
	p.at++
	return true
}

// key goes up to what ends a key.
func (p *parser) key() string {
	start := p.at
	for ; p.at < len(p.line); p.at++ {
		if c := p.line[p.at]; c == '=' || c == ',' || c == ')' || c == '(' {
			break
		}
	}
	return p.line[start:p.at]
}

// upTo goes up to what ends a value: a comma, and in a list a parenthesis.
func (p *parser) upTo(in place) string {
	start := p.at
	for ; p.at < len(p.line); p.at++ {
		if c := p.line[p.at]; c == ',' || c == ')' && in != onTop {
			break
		}
	}
	return p.line[start:p.at]
}
