package ofproto

import "bytes"

// actionHeader reads the header of a TLV in an action. The field is zero if there is none that
// has such a header and that length; the length goes to what stands behind the header.
func (d *decoder) actionHeader() (f Field, h header, masked bool, n int) {
	h.class = d.u16()
	num := d.u8()
	h.num, masked = num>>1, num&1 == 1
	n = int(d.u8())
	if h.class == classExperimenter {
		h.experimenter = d.u32()
		n -= 4
	}
	if n < 0 {
		d.fail(OFPBMC_BAD_LEN)
	}
	one := n
	if masked {
		one /= 2
	}
	f = h.field()
	if one != info[f].bytes && (!f.isTunMetadata() || one > 127) {
		f = 0
	}
	return f, h, masked, n
}

// longField reads a header of four or eight bytes, which must not be that of a mask.
func (d *decoder) longField() Field {
	d.short = OFPBMC_BAD_LEN
	f, _, masked, _ := d.actionHeader()
	d.short = OFPBAC_BAD_LEN
	switch {
	case f == 0:
		d.fail(OFPBMC_BAD_FIELD)
	case masked:
		d.fail(OFPBMC_BAD_MASK)
	}
	return f
}

// A fieldValue is what a TLV in an action says: in a set_field, value and mask. They are still
// part of the message, and as long as the field; those of a tunnel option have no zeroes before
// them.
type fieldValue struct {
	field       Field
	masked      bool
	value, mask []byte
}

// actionValue reads a whole TLV.
func (d *decoder) actionValue() (v fieldValue) {
	d.short = OFPBMC_BAD_LEN
	f, h, masked, n := d.actionHeader()
	if d.err == nil && f == 0 {
		d.fail(h.unknown(masked, n))
	}
	b := d.bytes(n)
	d.short = OFPBAC_BAD_LEN
	if d.err != nil {
		return v
	}
	v = fieldValue{field: f, masked: masked, value: b[:min(n, info[f].bytes)]}
	if masked {
		v.value, v.mask = b[:n/2], b[n/2:n/2*2]
	}
	for i := range v.mask {
		if v.value[i]&^v.mask[i] != 0 {
			d.fail(OFPBMC_BAD_WILDCARDS)
		}
	}
	if f.isTunMetadata() {
		v.trim()
	}
	return v
}

// trim makes value and mask of a tunnel option as short as they can be.
func (v *fieldValue) trim() {
	if !v.masked {
		v.value = bytes.TrimLeft(v.value, "\x00")
		return
	}
	n := min(len(v.value), info[v.field].bytes)
	v.value, v.mask, v.masked = trimmed(v.value[:n], v.mask[:n])
}

// trimmed returns value and mask of a tunnel option without the zeroes before them, and whether
// the mask is not of all bits.
func trimmed(value, mask []byte) (v, m []byte, masked bool) {
	if len(mask) == info[TunMetadata0].bytes && len(bytes.Trim(mask, "\xff")) == 0 {
		return bytes.TrimLeft(value, "\x00"), nil, false
	}
	n := max(len(bytes.TrimLeft(value, "\x00")), len(bytes.TrimLeft(mask, "\x00")))
	return value[len(value)-n:], mask[len(mask)-n:], true
}

// isLong reports whether the value is too long for Bits.
func (v *fieldValue) isLong() bool { return len(v.value) > 16 }

// valid reports whether an OFPAT_SET_FIELD may write the value.
func (v *fieldValue) valid() bool {
	if v.isLong() {
		return true
	}
	value := fromBytes(v.value)
	return validValue(v.field, value) && (v.field != VLANVID || value.Uint64()&vlanPresent != 0)
}

// validValue reports whether a field can have a value.
func validValue(f Field, v Bits) bool {
	n := v.Uint64()
	switch f {
	case InPort, ActsetOutput:
		return n < 0xff00 || n >= portOffset+0xff00
	case NSHTTL:
		return n <= 63
	case NSHMDType:
		return n == 1 || n == 2
	case IPTOS:
		return n&3 == 0
	case VLANVID:
		return n>>13 == 0
	case ARPOp:
		return n>>8 == 0
	case CTState:
		return n>>8 == 0
	case IPDSCP, IPECN, IPFrag, TCPFlags, DLVLAN, VLANPCP, DLVLANPCP, IPv6Label, MPLSLabel, MPLSTC, MPLSBoS, TunFlags, NSHSPI:
		return n>>f.width() == 0
	}
	return true
}

// setText is a value that an action writes, as ovs-ofctl prints it.
func setText(f Field, value, mask Bits) string {
	return string(appendValue(nil, f, value, mask))
}
