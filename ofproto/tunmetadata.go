package ofproto

import "slices"

// maxTunMetadata is how many bytes all tunnel options of one match have room for.
const maxTunMetadata = 256

// tunMetadataBytes is the longest value of one.
const tunMetadataBytes = 124

// lenMasked is set in the Len of a Cond on a tunnel option that is written with a mask.
const lenMasked = 0x80

// TunMetadata requires the tunnel option f (TunMetadata0 to TunMetadata63), whose length a
// switch learns from its TLV table, to equal value in the bits set in mask, or in all bits
// if mask is nil. Both are big-endian; zeroes at their beginning mean nothing. With an empty
// mask that is not nil it requires that there is such an option.
//
// The Len of a Cond has the number of bytes in its Value, and 128 more if a mask is sent
// with it. An option longer than 16 bytes is several Conds, of which all but the first
// have 16 bytes.
func TunMetadata(f Field, value, mask []byte) []Cond {
	return tunConds(f, value, mask, mask != nil)
}

func tunConds(f Field, value, mask []byte, masked bool) (conds []Cond) {
	n := significant(value)
	flag := uint8(0)
	if masked {
		n, flag = max(n, significant(mask)), lenMasked
		mask = aligned(mask, n)
	} else {
		mask = slices.Repeat([]byte{0xff}, n)
	}
	value = aligned(value, n)
	for first := true; first || n > 0; first = false {
		size := min(n, 16-(-n)&15) // the first has what the others, of 16 bytes each, leave
		c := Cond{Field: f, Len: flag | uint8(size)}
		copy(c.Mask[16-size:], mask[len(mask)-n:])
		copy(c.Value[16-size:], value[len(value)-n:])
		c.Value = c.Value.and(c.Mask)
		conds = append(conds, c)
		n -= size
	}
	return conds
}

// significant returns how long b is without the zeroes at its beginning.
func significant(b []byte) int {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return len(b)
}

// aligned returns the last n bytes of b, with zeroes before them if it is shorter.
func aligned(b []byte, n int) []byte {
	if len(b) >= n {
		return b[len(b)-n:]
	}
	return append(make([]byte, n-len(b), n), b...)
}

// tunMetadata returns the value and the mask of the option that begins at m[i], whether the
// mask is sent, and how many Conds it takes.
func (m Match) tunMetadata(i int) (value, mask []byte, masked bool, n int) {
	f := m[i].Field
	for ; i < len(m) && m[i].Field == f; i++ {
		c := &m[i]
		at := max(16-int(c.Len&^lenMasked), 0)
		value = append(value, c.Value[at:]...)
		mask = append(mask, c.Mask[at:]...)
		masked = c.Len&lenMasked != 0
		n++
	}
	return value, mask, masked, n
}

// appendTunMetadata appends the option that begins at m[i] as a TLV, and returns how many
// Conds it takes.
func (m Match) appendTunMetadata(b []byte, i int) ([]byte, int) {
	value, mask, masked, n := m.tunMetadata(i)
	b = appendHeader(b, info[m[i].Field].oxm(), len(value), masked)
	b = append(b, value...)
	if masked {
		b = append(b, mask...)
	}
	return b, n
}

// tunMetadata takes in a TLV of a tunnel option; payload is its value, and its mask if it is
// masked.
func (r *matchReader) tunMetadata(f Field, masked bool, payload []byte) error {
	if r.m.has(f) {
		return OFPBMC_DUP_FIELD
	}
	width := len(payload)
	if masked {
		width /= 2
	}
	value := payload[:min(width, tunMetadataBytes)]
	mask := payload[len(payload)-width:]
	if masked {
		mask = payload[width : width+len(value)]
	}
	if len(mask) == tunMetadataBytes && !slices.ContainsFunc(mask, func(b byte) bool { return b != 0xff }) {
		masked = false // it covers all that there can be
	}
	conds := tunConds(f, value, mask, masked)
	for _, c := range conds {
		r.options += int(c.Len &^ lenMasked)
	}
	if r.options > maxTunMetadata {
		return OFPBMC_BAD_VALUE
	}
	i, _ := r.m.find(f)
	r.m = slices.Insert(r.m, i, conds...)
	return nil
}
