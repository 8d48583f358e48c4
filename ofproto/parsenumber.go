package ofproto

import (
	"math/bits"
	"strings"
)

// number reads the number at the beginning of s as C's strtoull does, by which Open vSwitch
// reads all numbers: blanks, a sign, and with base 0 hexadecimal after "0x" and octal after
// "0". A negative number comes back as its two's complement. It is not ok if there is no
// digit or if 64 bits do not hold it.
func number(s string, base uint64) (v uint64, negative bool, rest string, ok bool) {
	whole := s
	s = strings.TrimLeft(s, blanks+"\v\f")
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	if base == 0 {
		base, s = prefix(s)
	}
	n := 0
	for ok = true; n < len(s); n++ {
		digit := uint64(hexDigit(s[n]))
		if digit >= base {
			break
		}
		high, low := bits.Mul64(v, base)
		sum, carry := bits.Add64(low, digit, 0)
		ok = ok && high == 0 && carry == 0
		v = sum
	}
	if n == 0 {
		return 0, false, whole, false
	}
	if negative {
		v = -v
	}
	return v, negative && v != 0, s[n:], ok
}

// prefix takes "0x" off s if a number in hexadecimal follows it.
func prefix(s string) (base uint64, rest string) {
	switch {
	case len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' && hexDigit(s[2]) < 16:
		return 16, s[2:]
	case s != "" && s[0] == '0':
		return 8, s
	}
	return 10, s
}

// hexDigit returns what the digit c stands for, or 255.
func hexDigit(c byte) uint8 {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// uint reads a number of at most the given bits: decimal, hexadecimal after 0x, octal after
// 0. As Open vSwitch does, it takes a negative number for the two's complement and cuts off
// what 32 bits do not hold if the number is wider than 16 bits: -1 is all ones.
func (p *parser) uint(t text, width int) uint64 {
	v, negative, rest, ok := number(t.s, 0)
	switch {
	case t.s == "":
		p.bad(t, "a number is missing")
	case !ok || rest != "":
		p.bad(t, "%q is not a number", t.s)
	case width <= 16 && (negative || bits.Len64(v) > width):
		p.bad(t, "%s is not a number from 0 to %d", t.s, 1<<width-1)
	case width <= 32 && width > 16:
		v = uint64(uint32(v))
	}
	return v
}

// decimal reads a number from 0 to largest for which Open vSwitch takes digits only.
func (p *parser) decimal(t text, largest uint64) uint64 {
	v, negative, rest, ok := number(t.s, 10)
	if !ok || negative || rest != "" || v > largest {
		p.bad(t, "%q is not a number from 0 to %d", t.s, largest)
		return 0
	}
	return v
}

// long reads the whole number at the beginning of s that is too long for an integer: 0x and
// any digits of hexadecimal, among which blanks may stand; anything else as number does. It
// is not ok if n bytes do not hold it. The result has n bytes.
func long(s string, n int) (v []byte, rest string, ok bool) {
	v = make([]byte, n)
	if len(s) < 2 || s[0] != '0' || s[1]|0x20 != 'x' {
		u, _, rest, ok := number(s, 0)
		for i := n - 1; i >= 0; i-- {
			v[i] = byte(u)
			u >>= 8
		}
		return v, rest, ok && u == 0
	}
	var digits []byte
	for s = s[2:]; ; s = s[1:] {
		s = strings.TrimLeft(s, blanks)
		if s == "" || hexDigit(s[0]) == 255 {
			break
		}
		if digit := hexDigit(s[0]); digit != 0 || len(digits) > 0 {
			digits = append(digits, digit)
		}
	}
	if len(digits) > 2*n {
		return v, s, false
	}
	for i := range digits {
		digit := digits[len(digits)-1-i]
		v[n-1-i/2] |= digit << (4 * (i % 2))
	}
	return v, s, true
}

// portOffset is what OpenFlow 1.1 and later add to the reserved ports of OpenFlow 1.0.
const portOffset = 0xffff0000

// portsByName has the reserved ports by the names that Open vSwitch takes, in small letters.
var portsByName = map[string]uint32{
	"in_port": PortInPort, "table": PortTable, "normal": PortNormal, "flood": PortFlood, "all": PortAll,
	"controller": PortController, "local": PortLocal, "any": PortAny, "none": PortAny, "unset": PortUnset,
}

// portNumber reads an OpenFlow port: a number, or the name of a reserved port in any case.
// The reserved ports of OpenFlow 1.0 mean those of OpenFlow 1.3.
func portNumber(s string) (port uint32, ok bool) {
	v, negative, rest, ok := number(s, 10)
	switch {
	case strings.HasPrefix(s, "-"):
		return 0, false
	case !ok || negative || rest != "" || v > 0xffffffff:
		port, ok = portsByName[strings.ToLower(s)]
		return port, ok
	case v < 0xff00:
		return uint32(v), true
	case v <= 0xffff:
		return uint32(v) + portOffset, true
	}
	return uint32(v), v >= portOffset+0xff00
}

// port reads an OpenFlow port.
func (p *parser) port(t text) uint32 {
	port, ok := portNumber(t.s)
	if !ok {
		p.bad(t, "%q is not a port: want a number, or LOCAL, IN_PORT, CONTROLLER, NORMAL, ...", t.s)
	}
	return port
}
