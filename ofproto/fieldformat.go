package ofproto

import (
	"net/netip"
	"strconv"
)

// formatted returns a value of f as Open vSwitch writes it in an action: "0x1f",
// "10.0.0.1", "LOCAL".
func formatted(f Field, v Bits) string {
	return string(appendValue(nil, f, v, ones(info[f].bytes)))
}

// valueText is a whole value, as in set_field.
func valueText(v Bits, i *fieldInfo) string {
	return string(appendFormat(nil, i, v, ones(i.bytes)))
}

// appendValue appends a value of f, and the mask if it is not of all bits, as Open vSwitch
// writes them outside of a match.
func appendValue(b []byte, f Field, v, mask Bits) []byte {
	i := &info[f]
	if mask.zero() {
		return append(b, "ANY"...)
	}
	return appendFormat(b, i, v, mask)
}

func appendFormat(b []byte, i *fieldInfo, v, mask Bits) []byte {
	exact := mask == ones(i.bytes)
	switch i.format {
	case ipv4:
		return appendIPv4Masked(b, v, mask)
	case ipv6:
		return appendIPv6Masked(b, v, mask)
	case mac:
		return appendMACMasked(b, v, mask)
	case ctState: // Open vSwitch takes no mask for that of all bits here
		return appendFlags(b, ctStateNames, v.low(), mask.low(), 0xffff)
	case tunFlags:
		return appendFlags(b, tunFlagNames, v.low(), mask.low()&1, 1)
	case tcpFlags:
		return appendFlags(b, tcpFlagNames, v.low(), mask.low()&0xfff, 0xfff)
	case frag:
		return appendFrag(b, uint8(v.low()), uint8(mask.low()))
	case packetType:
		return appendPacketType(b, uint32(v.low()), uint32(mask.low()))
	case port, port16:
		if exact {
			return appendPort(b, portOf(i, v))
		}
	}
	if i.format == hexadecimal {
		b = appendHex(b, v[:])
	} else {
		b = strconv.AppendUint(b, v.low(), 10)
	}
	if !exact {
		b = appendHex(append(b, '/'), mask[:])
	}
	return b
}

// portOf returns the port that v is, of OpenFlow 1.0 or later. One that no port of OpenFlow
// 1.0 stands for is none to Open vSwitch.
func portOf(i *fieldInfo, v Bits) uint32 {
	if i.format == port16 {
		return port32(uint16(v.low()))
	}
	if p := uint32(v.low()); p < 0xff00 || p >= portOffset+0xff00 {
		return p
	}
	return PortAny
}

const hexDigits = "0123456789abcdef"

// appendHex appends a number as Open vSwitch writes one of any length: without zeroes before
// it, and without 0x if it is zero.
func appendHex(b, v []byte) []byte {
	for len(v) > 0 && v[0] == 0 {
		v = v[1:]
	}
	if len(v) == 0 {
		return append(b, '0')
	}
	b = append(b, '0', 'x')
	if v[0] >= 16 {
		b = append(b, hexDigits[v[0]>>4])
	}
	b = append(b, hexDigits[v[0]&15])
	for _, c := range v[1:] {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

// hexText is a number as C's %#x has it: a zero has no prefix.
func hexText(v Bits) string { return string(appendHex(nil, v[:])) }

// append0x appends v in hexadecimal with 0x and at least n digits.
func append0x(b []byte, v uint64, n int) []byte {
	b = append(b, '0', 'x')
	for shift := 60; shift >= 0; shift -= 4 {
		if digit := v >> shift; digit != 0 || shift < 4*n {
			b = append(b, hexDigits[digit&15])
		}
	}
	return b
}

// appendMACMasked appends an Ethernet address, and its mask if it has one.
func appendMACMasked(b []byte, v, mask Bits) []byte {
	b = appendMAC(b, v)
	if mask != ones(6) {
		b = appendMAC(append(b, '/'), mask)
	}
	return b
}

func appendMAC(b []byte, v Bits) []byte {
	for i, c := range v[10:] {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

// appendIPv4Masked appends an address, and its mask, as a length if it is one.
func appendIPv4Masked(b []byte, v, mask Bits) []byte {
	b = appendIPv4(b, v)
	if mask == ones(4) {
		return b
	}
	b = append(b, '/')
	if n := prefixLen(mask, 4); n >= 0 {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return appendIPv4(b, mask)
}

func appendIPv4(b []byte, v Bits) []byte {
	return netip.AddrFrom4([4]byte(v[12:])).AppendTo(b)
}

// prefixLen returns how many of the first bits of n bytes are set in mask, or -1 if others
// are set too.
func prefixLen(mask Bits, n int) int {
	length := 0
	for length < 8*n && mask[16-n+length/8]>>(7-length%8)&1 == 1 {
		length++
	}
	if prefixMask(n, length) != mask {
		return -1
	}
	return length
}

// appendIPv6Masked appends an address, and its mask, as a length if it is one.
func appendIPv6Masked(b []byte, v, mask Bits) []byte {
	b = appendIPv6(b, v)
	if mask == ones(16) {
		return b
	}
	b = append(b, '/')
	if n := prefixLen(mask, 16); n >= 0 {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return appendIPv6(b, mask)
}

// appendIPv6 appends an address as C's inet_ntop writes it, which also writes the last four
// bytes of the old "IPv4-compatible" addresses, ::1.2.3.4, in decimal.
func appendIPv6(b []byte, v Bits) []byte {
	if v.high() == 0 && v.low()>>32 == 0 && v.low()>>16 != 0 {
		return appendIPv4(append(b, "::"...), v)
	}
	return netip.AddrFrom16(v).AppendTo(b)
}

// appendFlags appends flags: by name and with "|" between them if the mask is all, with a
// sign if it is not.
func appendFlags(b []byte, names []string, v, mask, all uint64) []byte {
	switch {
	case mask == all:
		return appendFlagNames(b, names, v)
	case mask == 0:
		return append(b, "0/0"...)
	}
	for i := range 32 {
		if mask>>i&1 == 0 {
			continue
		}
		sign, name := byte('-'), "[Unknown]"
		if v>>i&1 == 1 {
			sign = '+'
		}
		if i < len(names) {
			name = names[i]
		}
		b = append(append(b, sign), name...)
	}
	return b
}

// appendFlagNames appends "new|trk"; bits without a name come last, as a number.
func appendFlagNames(b []byte, names []string, v uint64) []byte {
	if v == 0 {
		return append(b, '0')
	}
	start := len(b)
	for i, name := range names {
		if v>>i&1 == 1 {
			if len(b) > start {
				b = append(b, '|')
			}
			b = append(b, name...)
		}
	}
	if rest := v >> len(names) << len(names); rest != 0 {
		if len(b) > start {
			b = append(b, '|')
		}
		b = append0x(b, rest, 1)
	}
	return b
}

// appendFrag appends a kind of fragment.
func appendFrag(b []byte, v, mask uint8) []byte {
	for _, f := range fragments {
		if f.mask == mask&3 && f.value == v&mask&3 {
			return append(b, f.name...)
		}
	}
	return append(b, "<error>"...)
}

// appendPacketType appends "packet_type=(1,0x800)", with the name of the field in it.
func appendPacketType(b []byte, v, mask uint32) []byte {
	if v == 0 && mask == 0xffffffff {
		return append(b, "eth"...)
	}
	b = append(b, "packet_type=("...)
	b = appendPart(b, uint16(v>>16), uint16(mask>>16))
	b = appendPart(append(b, ','), uint16(v), uint16(mask))
	return append(b, ')')
}

// appendPart appends one half of a packet type, in decimal up to 9.
func appendPart(b []byte, v, mask uint16) []byte {
	switch {
	case mask == 0:
		return append(b, '*')
	case v > 9:
		b = append0x(b, uint64(v), 1)
	default:
		b = append(b, '0'+byte(v))
	}
	if mask != 0xffff {
		b = append0x(append(b, '/'), uint64(mask), 1)
	}
	return b
}

// portName returns the name of a reserved port, or "".
func portName(p uint32) string {
	switch p {
	case PortUnset:
		return "UNSET"
	case PortInPort:
		return "IN_PORT"
	case PortTable:
		return "TABLE"
	case PortNormal:
		return "NORMAL"
	case PortFlood:
		return "FLOOD"
	case PortAll:
		return "ALL"
	case PortController:
		return "CONTROLLER"
	case PortLocal:
		return "LOCAL"
	case PortAny:
		return "ANY"
	}
	return ""
}

// appendPort appends a port: by name if it is a reserved one, else as Open vSwitch keeps it,
// which is in 16 bits.
func appendPort(b []byte, p uint32) []byte {
	if name := portName(p); name != "" {
		return append(b, name...)
	}
	return strconv.AppendUint(b, uint64(uint16(p)), 10)
}

func portText(p uint32) string { return string(appendPort(nil, p)) }
