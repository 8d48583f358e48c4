package ofproto

import "slices"

// appendNXMs appends the TLVs of m as Open vSwitch writes them in messages that are older than
// OXM: with the headers of Nicira where there are some, with a port in 16 bits and with the
// VLAN TCI as a whole.
func appendNXMs(b []byte, m Match) []byte {
	w := matchWriter{start: len(b)}
	for i := 0; i < len(m); i++ {
		c := &m[i]
		info := &wire[c.Field]
		w.headers.learn(c)
		switch {
		case c.Field.isTunMetadata():
			var n int
			b, n = m.appendTunMetadata(b, i)
			i += n - 1
		case c.Field == PacketType && c.Value.zero():
			w.framed = true
		case info.needs == always:
			b = c.appendNXM(b)
		default:
			w.framed = true
			if c.Field == VLANTCI || w.headers.sends(c, info.needs) {
				w.sent = true
				b = c.appendNXM(b)
			}
		}
	}
	if w.framed && !w.sent && w.headers.packetType == 0 {
		b = slices.Insert(b, w.start, (&Cond{Field: PacketType, Mask: ones(4)}).append(nil)...)
	}
	return b
}

// appendNXM appends c with the header of Nicira, if there is one.
func (c Cond) appendNXM(b []byte) []byte {
	w := &wire[c.Field]
	if w.only {
		c = c.narrowed()
	}
	switch c.Field {
	case InPort:
		c = Is(InPort16, c.Value.low()&0xffff)
	case IPDSCP:
		c = Is(IPTOS, c.Value.low()<<2)
	}
	n := info[c.Field].bytes
	masked := c.Mask != ones(n)
	b = appendHeader(b, info[c.Field].nxm().header, n, masked)
	b = append(b, c.Value[16-n:]...)
	if masked {
		b = append(b, c.Mask[16-n:]...)
	}
	return b
}
