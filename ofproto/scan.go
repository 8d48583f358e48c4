package ofproto

import "strings"

// A scan reads a text as C's scanf does, by which Open vSwitch reads conjunctions and ranges
// of addresses: a number may have a sign and blanks before it, and wraps around.
type scan struct {
	text
	ok bool // all was there so far
}

// uint takes a number off the text, of base 10, or of the base that its prefix says if base
// is 0.
func (s *scan) uint(base uint64) uint64 {
	t := strings.TrimLeft(s.s, blanks+"\v\f")
	negative := strings.HasPrefix(t, "-")
	if negative || strings.HasPrefix(t, "+") {
		t = t[1:]
	}
	switch {
	case (base == 0 || base == 16) && len(t) > 1 && t[0] == '0' && t[1]|0x20 == 'x':
		base, t = 16, t[2:]
	case base == 0 && strings.HasPrefix(t, "0"):
		base = 8
	case base == 0:
		base = 10
	}
	var v uint64
	n := 0
	for n < len(t) && uint64(hexDigit(t[n])) < base {
		v = v*base + uint64(hexDigit(t[n]))
		n++
	}
	s.ok = s.ok && n > 0
	s.text = s.from(len(s.s) - len(t) + n)
	if negative {
		v = -v
	}
	return v
}

// byte takes c off the text, which has to be there.
func (s *scan) byte(c byte) {
	if s.s == "" || s.s[0] != c {
		s.ok = false
		return
	}
	s.text = s.from(1)
}

// take takes c off the text, if it is there.
func (s *scan) take(c byte) bool {
	if s.s == "" || s.s[0] != c {
		return false
	}
	s.text = s.from(1)
	return true
}

// blanks skips blanks.
func (s *scan) blanks() { s.text = s.from(len(s.s) - len(strings.TrimLeft(s.s, blanks+"\v\f"))) }

// span takes off as many bytes as there are of a set, at most max.
func (s *scan) span(set string, max int) string {
	n := 0
	for n < len(s.s) && n < max && strings.IndexByte(set, s.s[n]) >= 0 {
		n++
	}
	s.ok = s.ok && n > 0
	t := s.to(n).s
	s.text = s.from(n)
	return t
}
