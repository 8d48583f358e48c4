package ofproto

import (
	"net/netip"
	"strings"
)

// fieldNamed returns the field with a name, or an alias, that ovs-ofctl takes in a match: "eth_src"
// or "dl_src", but not "NXM_OF_ETH_SRC".
func fieldNamed(name string) (Field, bool) {
	f, ok := byName[name]
	return f, ok && (name == info[f].name || name == info[f].alias)
}

// value reads a value of f with its mask, in any form in which ovs-ofctl takes it: "7",
// "0x5/0xff", "10.0.0.0/8", "+new-est", "LOCAL", "first", "*". Of a tunnel option it
// reads up to 16 bytes.
func (p *parser) value(f Field, t text) (value, mask Bits) {
	i := &info[f]
	if t.s == "*" {
		return value, mask
	}
	ok := false
	exact := ones(i.bytes)
	switch i.format {
	case decimal, hexadecimal:
		return p.integer(f, t)
	case ipv4:
		value, mask, ok = parseIPv4(t.s)
	case ipv6:
		value, mask, ok = parseIPv6(t.s)
	case mac:
		value, mask, ok = parseMAC(t.s)
	case port, port16:
		value, mask, ok = Uint(uint64(p.port(t))).and(exact), exact, true
	case frag:
		value, mask, ok = parseFrag(t.s)
	case packetType:
		value, ok = parsePacketType(t.s)
		mask = exact
	case ctState:
		return p.flags(t, ctStateNames, 0xff, exact)
	case tunFlags:
		return p.flags(t, tunFlagNames, 1, exact)
	case tcpFlags:
		return p.flags(t, tcpFlagNames, 0xfff, exact)
	}
	if !ok {
		p.bad(t, "%q is not %s", t.s, formatNames[i.format])
	}
	return value, p.allowed(f, t, mask)
}

// formatNames says what is wanted where something else stands.
var formatNames = map[format]string{
	ipv4: "an IPv4 address, ADDRESS/LENGTH or ADDRESS/MASK", ipv6: "an IPv6 address, ADDRESS/LENGTH or ADDRESS/MASK",
	mac: "an Ethernet address or ADDRESS/MASK", frag: "no, yes, first, later or not_later", packetType: "(NAMESPACE,TYPE)",
}

// allowed returns mask, and notes a mistake if f cannot have it.
func (p *parser) allowed(f Field, t text, mask Bits) Bits {
	if info[f].access&maskable == 0 && !mask.zero() && mask != ones(info[f].bytes) {
		p.bad(t, "%v is matched as a whole or not at all: leave out the mask", f)
	}
	return mask
}

// integer reads "VALUE" or "VALUE/MASK" of f.
func (p *parser) integer(f Field, t text) (value, mask Bits) {
	v, m, masked := p.longInteger(f, t)
	if len(v) > 16 {
		cut := len(v) - 16
		if significant(v) > 16 || masked && significant(m) > 16 {
			p.bad(t, "%v is longer than 16 bytes", f)
		}
		v, m = v[cut:], m[min(cut, len(m)):]
	}
	copy(value[16-len(v):], v)
	if !masked {
		return value, ones(info[f].bytes)
	}
	copy(mask[16-len(m):], m)
	return value, p.allowed(f, t, mask)
}

// longInteger reads "VALUE" or "VALUE/MASK" of f, each in as many bytes as f has.
func (p *parser) longInteger(f Field, t text) (value, mask []byte, masked bool) {
	n := info[f].bytes
	value, rest, ok := long(t.s, n)
	if !ok || rest != "" && rest[0] != '/' {
		p.bad(t, "%q is not a number for the %d bytes of %v", t.s, n, f)
		return value, nil, false
	}
	if rest == "" {
		return value, nil, false
	}
	at := t.from(len(t.s) - len(rest) + 1)
	mask, rest, ok = long(at.s, n)
	if !ok || rest != "" {
		p.bad(at, "%q is not a mask for the %d bytes of %v", at.s, n, f)
	}
	return value, mask, true
}

// scanned reads a number at the beginning of s as a scan does.
func scanned(s string, base uint64) (v uint64, rest string, ok bool) {
	at := scan{text{s, 0}, true}
	v = at.uint(base)
	return v, at.s, at.ok
}

// scanBytes reads n bytes with a separator between them.
func scanBytes(s string, n int, base uint64, separator byte) (b []byte, rest string, ok bool) {
	for i := range n {
		if i > 0 {
			if s == "" || s[0] != separator {
				return nil, s, false
			}
			s = s[1:]
		}
		v, rest, ok := scanned(s, base)
		if !ok {
			return nil, s, false
		}
		b, s = append(b, byte(v)), rest
	}
	return b, s, true
}

// fromBytes returns b as Bits.
func fromBytes(b []byte) (v Bits) {
	copy(v[16-len(b):], b)
	return v
}

// parseMAC reads "00:11:22:33:44:55", perhaps with a mask of the same form behind a slash.
func parseMAC(s string) (value, mask Bits, ok bool) {
	v, rest, ok := scanBytes(s, 6, 16, ':')
	if !ok || rest == "" {
		return fromBytes(v), ones(6), ok
	}
	if rest[0] != '/' {
		return value, mask, false
	}
	m, rest, ok := scanBytes(rest[1:], 6, 16, ':')
	return fromBytes(v), fromBytes(m), ok && rest == ""
}

// parseIPv4 reads "10.1.2.3", "10.0.0.0/8" or "10.0.0.0/255.0.0.0".
func parseIPv4(s string) (value, mask Bits, ok bool) {
	v, rest, ok := scanBytes(s, 4, 10, '.')
	if !ok || rest == "" {
		return fromBytes(v), ones(4), ok
	}
	if rest[0] != '/' {
		return value, mask, false
	}
	if m, rest, ok := scanBytes(rest[1:], 4, 10, '.'); ok {
		return fromBytes(v), fromBytes(m), rest == ""
	}
	length, rest, ok := scanned(rest[1:], 10)
	if !ok || rest != "" || uint32(length) > 32 {
		return value, mask, false
	}
	return fromBytes(v), prefixMask(4, int(uint32(length))), true
}

// parseIPv6 reads "fe80::1", "fe80::/10" or "::1/::ffff".
func parseIPv6(s string) (value, mask Bits, ok bool) {
	address, rest, masked := strings.Cut(s, "/")
	value, ok = parseIPv6Address(address)
	if !ok || !masked {
		return value, ones(16), ok
	}
	if length, rest, ok := scanned(rest, 10); ok {
		return value, prefixMask(16, int(uint8(length))), rest == "" && uint32(length) <= 128
	}
	mask, ok = parseIPv6Address(rest)
	return value, mask, ok
}

func parseIPv6Address(s string) (v Bits, ok bool) {
	a, err := netip.ParseAddr(strings.TrimLeft(s, blanks))
	if err != nil || !a.Is6() || a.Zone() != "" {
		return v, false
	}
	return a.As16(), true
}

// fragments are the ways to say what kind of fragment a packet is. The first that fits a
// value is printed, and read.
var fragments = []struct {
	name        string
	mask, value uint8
}{
	{"no", 3, 0}, {"first", 3, 1}, {"later", 3, 3}, {"no", 1, 0}, {"yes", 1, 1}, {"not_later", 2, 0}, {"later", 2, 2},
}

// parseFrag reads a kind of fragment. The upper bits of the mask are set, as Open vSwitch
// has them.
func parseFrag(s string) (value, mask Bits, ok bool) {
	for _, f := range fragments {
		if strings.EqualFold(f.name, s) {
			return Uint(uint64(f.value)), Uint(uint64(f.mask) | 0xfc), true
		}
	}
	return value, mask, false
}

// parsePacketType reads "(1,0x800)"; what stands behind it counts for nothing.
func parsePacketType(s string) (value Bits, ok bool) {
	s, ok = strings.CutPrefix(s, "(")
	namespace, rest, ok1 := long(s, 2)
	rest, ok2 := strings.CutPrefix(rest, ",")
	typ, rest, ok3 := long(rest, 2)
	ok4 := strings.HasPrefix(rest, ")")
	return fromBytes(append(namespace, typ...)), ok && ok1 && ok2 && ok3 && ok4
}

// Names of flags, by bit.
var (
	ctStateNames = []string{"new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"}
	tunFlagNames = []string{"oam", "df", "csum", "key"}
	tcpFlagNames = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"}
)

// flags reads flags that have names: "+syn-ack" asks for some of them, "syn|ack" and "0x12"
// for all, "0x2/0x12" for those in the mask. Only the bits in allowed can be asked for; full
// is the mask that stands for all.
func (p *parser) flags(t text, names []string, allowed uint64, full Bits) (value, mask Bits) {
	if v, rest, ok := scanned(t.s, 0); ok && strings.HasPrefix(rest, "/") {
		if m, _, ok := scanned(rest[1:], 0); ok {
			if uint32(v|m)&^uint32(allowed) != 0 {
				p.bad(t, "%q has bits that stand for nothing", t.s)
			}
			return Uint(uint64(uint32(v))), Uint(uint64(uint32(m)))
		}
	}
	if strings.HasPrefix(t.s, "+") || strings.HasPrefix(t.s, "-") {
		return p.signedFlags(t, names, allowed)
	}
	for t.s != "" && p.err == nil {
		if v, rest, ok := scanned(t.s, 0); ok {
			if v = uint64(uint32(v)); v&^allowed != 0 { // whatever more there is
				p.bad(t, "%q has bits that stand for nothing", t.s)
			}
			value = value.or(Uint(v))
			t = t.from(len(t.s) - len(strings.TrimPrefix(rest, "|")))
			continue
		}
		name, _, _ := strings.Cut(t.s, "|")
		value = value.or(Uint(p.flag(t.to(len(name)), names, allowed)))
		t = t.from(min(len(name)+1, len(t.s)))
	}
	return value, full
}

// signedFlags reads "+syn-ack".
func (p *parser) signedFlags(t text, names []string, allowed uint64) (value, mask Bits) {
	var v, m uint64
	for t.s != "" && p.err == nil {
		sign, rest := t.s[0], t.from(1)
		n := strings.IndexAny(rest.s, "+-")
		if n < 0 {
			n = len(rest.s)
		}
		bit := p.flag(rest.to(n), names, allowed)
		if m&bit != 0 {
			p.bad(rest.to(n), "%s stands twice", rest.s[:n])
		}
		m |= bit
		if sign == '+' {
			v |= bit
		}
		t = rest.from(n)
	}
	return Uint(v), Uint(m)
}

// flag reads the name of one flag.
func (p *parser) flag(t text, names []string, allowed uint64) uint64 {
	for i, name := range names {
		if name == t.s && allowed>>i&1 == 1 {
			return 1 << i
		}
	}
	p.bad(t, "%q is none of the flags %s", t.s, strings.Join(names[:min(len(names), significantBits(allowed))], ", "))
	return 0
}

// significantBits returns how many bits it takes to write v.
func significantBits(v uint64) (n int) {
	for ; v != 0; v >>= 1 {
		n++
	}
	return n
}
