package ofproto

// experimenterProperty is the type of a property of an experimenter, with the experimenter
// in the upper half and its own type in the lower.
func experimenterProperty(id, typ uint32) uint64 { return uint64(id)<<32 | uint64(typ) }

// property takes the next property off d (OpenFlow 1.4, 7.2.1.2): two bytes of type, two of
// length, and padding to a multiple of 8, which is not part of it. Types from experimenters
// on have an experimenter and a type of its own, with which experimenterProperty is made.
// The decoder that comes back stands behind all that.
func (d *decoder) property(experimenters uint16) (p decoder, typ uint64) {
	d.short = OFPBPC_BAD_LEN
	at, left := d.off, len(d.b)
	t, n := d.u16(), int(d.u16())
	if padded := (n + 7) &^ 7; d.err == nil && (n < 4 || padded > left) {
		d.fail(OFPBPC_BAD_LEN)
	}
	p = d.sub(n-4, "property", OFPBPC_BAD_LEN)
	d.skip(-n & 7)
	typ = uint64(t)
	if d.err == nil && t >= experimenters {
		id, own := p.u32(), p.u32()
		if p.err == nil && id == 0 { // its types would be those of the standard
			p.off = at
			p.fail(OFPBPC_BAD_EXPERIMENTER)
		}
		typ = experimenterProperty(id, own)
		d.done(&p)
	}
	return p, typ
}

// startProperty appends the header of a property. endProperty ends it: it says how long it
// is, and pads.
func startProperty(b []byte, typ uint16) (with []byte, start int) {
	return append(be.AppendUint16(b, typ), 0, 0), len(b)
}

func endProperty(b []byte, start int) ([]byte, error) {
	if err := setLen(b, start, 2); err != nil {
		return b, err
	}
	return pad8(b, start), nil
}

// appendProperty appends a whole property.
func appendProperty(b []byte, typ uint16, value []byte) ([]byte, error) {
	b, start := startProperty(b, typ)
	return endProperty(append(b, value...), start)
}
