package ofproto

import "encoding/binary"

// Bits is a field's value or mask: big-endian, right-aligned in 16 bytes, wide
// enough for ct_label and IPv6 addresses. Bits is comparable; zero is all zeroes.
type Bits [16]byte

// Uint returns v as Bits.
func Uint(v uint64) (b Bits) {
	binary.BigEndian.PutUint64(b[8:], v)
	return b
}

// Uint64 returns the low 64 bits of b.
func (b Bits) Uint64() uint64 { return binary.BigEndian.Uint64(b[8:]) }
