package ofproto

// plainTLV is what it takes to read a TLV whose field stands in a match as it stands on the
// wire. Nearly all are so, and the tables of a switch have millions.
type plainTLV struct {
	head, headMasked uint32 // its first four bytes
	field            Field
	size             uint8 // of the value
	shift            uint8 // of a word that begins with the value, to have the value
	needs            prereq
	narrow           bool   // at most 8 bytes
	limited          bool   // not all values are possible
	teaches          bool   // other fields depend on it
	shared           bool   // other fields share its place
	keep             uint64 // the bits that a mask may have, of the lower half
}

// plainTLVs has them by class and number, as plainIndex says. A header that is none has
// noTLV for its head.
var plainTLVs = func() (all [512]plainTLV) {
	for i := range all {
		all[i].head, all[i].headMasked = noTLV, noTLV
	}
	for f := Field(1); f < numFields; f++ {
		for _, c := range info[f].codes {
			head := be.Uint32(appendHeader(nil, c.header, min(info[f].bytes, 16), false))
			if head&0x7ffe0000 == 0 && isPlain(f) {
				all[plainIndex(head)] = plainTLVOf(f, c.header, head)
			}
		}
	}
	return all
}()

// noTLV begins none: it is of a class that plainIndex does not know.
const noTLV = 0xffffffff

// plainIndex returns where in plainTLVs a TLV stands that begins so, if it is one of Nicira's
// classes, of the basic class or of that of the packet registers, which differ in their first
// and in their last bit only. What stands there begins otherwise if it is not.
func plainIndex(head uint32) uint32 { return head>>31<<8 | head>>16&1<<7 | head>>9&0x7f }

// isPlain reports whether f stands in a match as it stands on the wire, but for bits of the
// mask that are cut off.
func isPlain(f Field) bool {
	return f != PacketType && f != VLANTCI && !f.isTunMetadata() && (foldingOf[f] == plain || foldingOf[f] == cutMask)
}

func plainTLVOf(f Field, h header, head uint32) plainTLV {
	n := info[f].bytes
	t := plainTLV{
		head: head, headMasked: noTLV, field: f, size: uint8(n), shift: uint8(64 - 8*min(n, 8)), needs: info[f].needs, limited: valid[f] != nil,
		teaches: teaches[f], shared: placeOf[f] != f || len(shared[f]) > 0, keep: 1<<(8*n) - 1,
	}
	t.narrow = n <= 8
	if info[f].access&maskable != 0 {
		t.headMasked = be.Uint32(appendHeader(nil, h, n, true))
	}
	if foldingOf[f] == cutMask {
		parts, _ := fold(Cond{Field: f, Mask: ones(n)})
		t.keep = parts[0].Mask.low()
	}
	return t
}

// plain takes in the TLVs at the beginning of b that are plain, good, and in the order of a
// match, and returns how long they are. Whatever else there is, it leaves to tlv. Bytes that b
// has room for behind its end may be looked at, but count for nothing.
func (r *matchReader) plain(b []byte, strict bool) (read int) {
	last := Field(0)
	if n := len(r.m); n > 0 {
		last = r.m[n-1].Field
	}
	for len(b)-read > 4 && len(r.m) < cap(r.m) {
		head := be.Uint32(b[read:])
		n := 4 + int(head&0xff) // the row has it too, but where the next TLV begins should not wait for it
		t := &plainTLVs[plainIndex(head)]
		masked := head == t.headMasked
		if !masked && head != t.head || len(b)-read < n || t.field <= last || !strict && t.shared ||
			strict && t.needs != always && !r.headers.meet(t.needs) {
			break
		}
		if t.narrow && cap(b)-read >= 20 {
			v, mask := t.words(b[read+4:read+20], masked)
			if mask == 0 || t.limited && !valid[t.field](v) {
				break
			}
			r.appendNumber(t, v&mask, mask)
		} else if !r.appendPlain(t, b[read+4:read+n]) {
			break
		}
		r.ethernet = r.ethernet || t.needs != always
		last, read = t.field, read+n
	}
	return read
}

// words returns value and mask at the beginning of two words; a mask of zero if they are not
// good.
func (t *plainTLV) words(b []byte, masked bool) (v, mask uint64) {
	v, mask = be.Uint64(b)>>(t.shift&63), t.keep
	if masked {
		all := be.Uint64(b[t.size&15:]) >> (t.shift & 63)
		if mask &= all; v&^all != 0 {
			return 0, 0
		}
	}
	return v, mask
}

func (r *matchReader) appendNumber(t *plainTLV, v, mask uint64) {
	r.m = r.m[:len(r.m)+1]
	c := &r.m[len(r.m)-1]
	*c = Cond{Field: t.field}
	be.PutUint64(c.Value[8:], v)
	be.PutUint64(c.Mask[8:], mask)
	if t.teaches {
		r.headers.learn(c)
	}
}

// appendPlain appends the condition in the payload of a TLV, unless it is not good.
func (r *matchReader) appendPlain(t *plainTLV, payload []byte) bool {
	c := condOf(t.field, len(payload) > int(t.size), payload)
	keep := wire[t.field].full
	if t.narrow {
		be.PutUint64(keep[8:], t.keep)
	}
	outside := c.Value.without(c.Mask)
	c.Mask = c.Mask.and(keep)
	if c.Mask.zero() || !outside.zero() || t.limited && !valid[t.field](c.Value.low()) {
		return false
	}
	c.Value = c.Value.and(c.Mask)
	r.m = append(r.m, c)
	if t.teaches {
		r.headers.learn(&c)
	}
	return true
}
