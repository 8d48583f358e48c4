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

// high returns the high 64 bits of b.
func (b *Bits) high() uint64 { return binary.BigEndian.Uint64(b[:8]) }

// low returns the low 64 bits of b.
func (b *Bits) low() uint64 { return binary.BigEndian.Uint64(b[8:]) }

// and returns the bits that are set in both.
func (b Bits) and(c Bits) Bits {
	binary.BigEndian.PutUint64(b[:8], b.high()&c.high())
	binary.BigEndian.PutUint64(b[8:], b.low()&c.low())
	return b
}

// or returns the bits that are set in one of them.
func (b Bits) or(c Bits) Bits {
	binary.BigEndian.PutUint64(b[:8], b.high()|c.high())
	binary.BigEndian.PutUint64(b[8:], b.low()|c.low())
	return b
}

// without returns the bits of b that are not set in c.
func (b Bits) without(c Bits) Bits {
	binary.BigEndian.PutUint64(b[:8], b.high()&^c.high())
	binary.BigEndian.PutUint64(b[8:], b.low()&^c.low())
	return b
}

// zero reports whether no bit is set.
func (b *Bits) zero() bool { return b.low()|b.high() == 0 }

// onesOf has, by number of bytes, the mask that covers them.
var onesOf = func() (all [17]Bits) {
	for n := range all {
		for i := 16 - n; i < 16; i++ {
			all[n][i] = 0xff
		}
	}
	return all
}()

// ones is the mask that covers the whole of a field n bytes wide.
func ones(n int) Bits { return onesOf[min(n, 16)] }
