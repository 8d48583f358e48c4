package ofproto

import (
	"net/netip"
	"strings"
)

// fieldNamed finds a field by its name in ovs-fields(7), which is the only one that set_field
// takes.
func fieldNamed(name string) (Field, bool) {
	f, ok := byName[name]
	return f, ok && (info[f].name == name || info[f].alias == name)
}

// value reads a value of f, with its mask: "7", "0x5/0xff", "10.0.0.0/8", "LOCAL".
func (p *parser) value(f Field, t text) (value, mask Bits) {
	i := &info[f]
	mask = ones(i.bytes)
	switch i.format {
	case mac:
		return Uint(p.mac(t)), mask
	case port, port16:
		return Uint(uint64(p.port(t))), mask
	case ipv4, ipv6:
		addr, err := netip.ParseAddr(t.s)
		if err != nil {
			p.bad(t, "%q is not an address", t.s)
			return value, mask
		}
		copy(value[16-i.bytes:], addr.AsSlice())
		return value, mask
	}
	v, m, masked := strings.Cut(t.s, "/")
	b, rest, ok := long(v, i.bytes)
	copy(value[16-i.bytes:], b)
	if masked && ok && rest == "" {
		b, rest, ok = long(m, i.bytes)
		copy(mask[16-i.bytes:], b)
	}
	if !ok || rest != "" {
		p.bad(t, "%q is not a number", t.s)
	}
	return value, mask
}
