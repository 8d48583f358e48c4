package intent

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

func (r *reader) cidr(n ast.Node, path string) (v value[netip.Prefix]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	p, err := netip.ParsePrefix(s.v)
	switch {
	case err != nil:
		r.bad(n, path, "", "%q is no prefix, as in 10.1.0.0/24 or fd00:1::/64", s.v)
	case p.Addr().Zone() != "" || p.Addr().Is4In6():
		r.bad(n, path, "", "%q is no prefix of plain IPv4 or IPv6", s.v)
	case p.Masked() != p:
		r.bad(n, path, fmt.Sprintf("write %v, or %v/%d for one address", p.Masked(), p.Addr(), p.Addr().BitLen()), "%v has bits set beyond its length", p)
	default:
		return located(r, n, path, p)
	}
	return v
}

func (r *reader) addr(n ast.Node, path string) (v value[netip.Addr]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	a, err := netip.ParseAddr(s.v)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		hint := ""
		if p, err := netip.ParsePrefix(s.v); err == nil {
			hint = fmt.Sprintf("write %v: the length of the prefix is that of the subnet", p.Addr())
		}
		r.bad(n, path, hint, "%q is no address of a host", s.v)
		return v
	}
	return located(r, n, path, a)
}

func (r *reader) mac(n ast.Node, path string) (v value[MAC]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	var m MAC
	parts := strings.Split(s.v, ":")
	ok := len(parts) == len(m)
	for i := 0; ok && i < len(m); i++ {
		b, err := strconv.ParseUint(parts[i], 16, 8)
		m[i], ok = byte(b), err == nil && len(parts[i]) == 2
	}
	switch {
	case !ok:
		r.bad(n, path, `write it as in "02:00:00:00:00:11", in quotes`, "%q is no Ethernet address", s.v)
	case m[0]&1 == 1 || m == MAC{}:
		r.bad(n, path, "", "%q is no address of one station", s.v)
	default:
		return located(r, n, path, m)
	}
	return v
}

// macOrAny reads the address of one station, or "any".
func (r *reader) macOrAny(n ast.Node, path string) value[MAC] {
	if s, ok := n.(*ast.StringNode); ok && s.Value == "any" {
		return located(r, n, path, MAC{})
	}
	return r.mac(n, path)
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

// limit reads a bound for a number of something.
func (r *reader) limit(n ast.Node, path string) value[uint64] {
	if i, ok := n.(*ast.IntegerNode); ok && i.Token.Value == "0" {
		r.bad(n, path, "leave it out for no limit", "0 would let nothing pass")
		return value[uint64]{}
	}
	return r.number(n, path, 1, 1<<32-1)
}

// timed reads the text of a duration, which has a unit.
func (r *reader) timed(n ast.Node, path string) (v value[string]) {
	if i, ok := n.(*ast.IntegerNode); ok {
		r.bad(n, path, "write "+i.Token.Value+"s if it is seconds", "%s has no unit", i.Token.Value)
		return v
	}
	return r.text(n, path)
}

// seconds reads a duration of whole seconds: 90s, 3m, 1h30m, 5d.
func (r *reader) seconds(n ast.Node, path string) (v value[uint64]) {
	s := r.timed(n, path)
	if !s.set {
		return v
	}
	total, ok := duration(s.v)
	switch {
	case !ok:
		r.bad(n, path, "", "%q is no duration of whole seconds, as in 90s, 3m, 1h30m or 5d", s.v)
	case total == 0 || total > 1<<32-1:
		r.bad(n, path, "", "%s is not between 1s and 49710d", s.v)
	default:
		return located(r, n, path, total)
	}
	return v
}

// duration returns the seconds in s, or more than fit into 32 bits if there are.
func duration(s string) (total uint64, ok bool) {
	last := uint64(1 << 32)
	for s != "" {
		i := strings.IndexAny(s, "dhms")
		if i < 1 {
			return 0, false
		}
		unit := map[byte]uint64{'d': 86400, 'h': 3600, 'm': 60, 's': 1}[s[i]]
		n, err := strconv.ParseUint(s[:i], 10, 32)
		if err != nil || unit >= last {
			return 0, false
		}
		total, last, s = total+n*unit, unit, s[i+1:]
		ok = true
	}
	return total, ok
}

// protocol reads the name of a protocol or the number of an IP protocol.
func (r *reader) protocol(n ast.Node, path string) (v value[Protocol]) {
	number := n
	if s, ok := n.(*ast.StringNode); ok {
		if !isNumber(s.Value) {
			name := r.choice(n, path, protocols...)
			return value[Protocol]{Protocol(name.v), name.at, name.path, name.set}
		}
		number = &ast.IntegerNode{BaseNode: s.BaseNode, Token: s.Token, Value: parsed(s.Value)}
	}
	i := r.number(number, path, 0, 255)
	switch {
	case !i.set:
	case i.v == 0 || i.v == 43 || i.v == 44 || i.v == 60:
		r.bad(n, path, "", "%d is an extension header of IPv6 and no protocol: packets are matched by what comes after it", i.v)
	case i.v == 255:
		r.bad(n, path, "", "255 is reserved: no packet has it")
	default:
		return located(r, n, path, numbered(uint8(i.v)))
	}
	return v
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// parsed is the number that s has the digits of, or the largest there is.
func parsed(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return v
}

// icmpType reads TYPE or TYPE/CODE, each by name or number.
func (r *reader) icmpType(n ast.Node, path string, p Protocol, known map[string]message) (v value[ICMPType]) {
	var text string
	switch n := n.(type) {
	case *ast.IntegerNode:
		text = n.Token.Value
	case *ast.StringNode:
		text = n.Value
	default:
		r.bad(n, path, "", "must be a type as in echo-request, 8 or destination-unreachable/port-unreachable, and is %s", kindOf(n))
		return v
	}
	name, code, both := strings.Cut(text, "/")
	m, why, hint := typeNamed(name, p, known)
	if why != "" {
		r.bad(n, path, hint, "%s", why)
		return v
	}
	t, ok := ICMPType{Type: m.number, AnyCode: !both}, true
	if both {
		if t.Code, ok = m.code(code); !ok {
			r.bad(n, path, meant(code, maps.Keys(m.codes)), "%q is no code of type %s%s", code, name, m.knownCodes())
			return v
		}
	}
	return located(r, n, path, t)
}
