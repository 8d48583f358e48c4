package ofproto

import "net/netip"

type (
	// CTFlushZone removes all connections of a zone (NXT_CT_FLUSH_ZONE).
	CTFlushZone struct{ Zone uint16 }

	// CTFlush removes the connections that match (NXT_CT_FLUSH, of Open vSwitch 3.1).
	CTFlush struct {
		Proto           uint8   // IP protocol; zero: any
		Zone            uint16  // if HasZone
		HasZone         bool    // else: of all zones
		Original, Reply CTTuple // what is zero in them matches all
	}
)

// A CTTuple is how packets of one direction of a connection look. An IPv4 and an IPv6
// address are not in one CTFlush.
type CTTuple struct {
	Src, Dst           Addr
	SrcPort, DstPort   uint16 // of ICMP: SrcPort is the id, and DstPort code and type
	ICMPType, ICMPCode uint8
}

// ctTuple properties: NXT_CT_*.
const (
	ctOriginal = 0
	ctReply    = 1
	ctZone     = 2

	ctSrc      = 0
	ctDst      = 1
	ctSrcPort  = 2
	ctDstPort  = 3
	ctICMPID   = 4
	ctICMPType = 5
	ctICMPCode = 6
)

// Subtypes of experimenter messages about connections.
const (
	nxCTFlushZone = 29
	nxCTFlush     = 32
)

func (CTFlushZone) messageType() uint8 { return typeExperimenter }
func (CTFlush) messageType() uint8     { return typeExperimenter }

func (m CTFlushZone) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, nicira, nxCTFlushZone)
	return be.AppendUint16(append(b, 0, 0, 0, 0, 0, 0), m.Zone), nil
}

func (m CTFlush) appendBody(b []byte) ([]byte, error) {
	b = append(appendExperimenter(b, nicira, nxCTFlush), m.Proto, 0, 0, 0, 0, 0, 0, 0)
	b = m.Original.append(b, ctOriginal, m.Proto)
	b = m.Reply.append(b, ctReply, m.Proto)
	if m.HasZone {
		b = appendShort(b, ctZone, m.Zone)
	}
	return b, nil
}

// appendShort appends a property of 16 bits, which OpenFlow makes 32 bits long.
func appendShort(b []byte, typ, v uint16) []byte {
	b, _ = appendProperty(b, typ, []byte{byte(v >> 8), byte(v), 0, 0})
	return b
}

func isICMP(proto uint8) bool { return proto == 1 || proto == 58 }

// append appends t as a property, if there is anything in it.
func (t CTTuple) append(b []byte, typ uint16, proto uint8) []byte {
	b, start := startProperty(b, typ)
	b = append(b, 0, 0, 0, 0)
	empty := len(b)
	for i, a := range []Addr{t.Src, t.Dst} {
		if a16 := a.As16(); a.IsValid() && a16 != ([16]byte{}) {
			b, _ = appendProperty(b, ctSrc+uint16(i), a16[:])
		}
	}
	if isICMP(proto) {
		b = appendShort(b, ctICMPID, t.SrcPort)
		b, _ = appendProperty(b, ctICMPType, []byte{t.ICMPType})
		b, _ = appendProperty(b, ctICMPCode, []byte{t.ICMPCode})
	}
	if !isICMP(proto) && t.SrcPort != 0 {
		b = appendShort(b, ctSrcPort, t.SrcPort)
	}
	if !isICMP(proto) && t.DstPort != 0 {
		b = appendShort(b, ctDstPort, t.DstPort)
	}
	if len(b) == empty {
		return b[:start]
	}
	b, _ = endProperty(b, start)
	return b
}

func (d *decoder) ctFlush() (m CTFlush, family ctFamily) {
	m.Proto = d.u8()
	d.zero(7, NXBRC_MUST_BE_ZERO)
	for d.more() {
		p, typ := d.property(0xffff)
		switch typ {
		case ctOriginal:
			p.ctTuple(&m.Original, &family)
		case ctReply:
			p.ctTuple(&m.Reply, &family)
		case ctZone:
			m.Zone, m.HasZone = p.u16(), true
		}
		d.done(&p)
	}
	return m, family
}

// ctFamily is the family of the address that was read last; an unset one has none.
type ctFamily uint8

const (
	ctNoFamily ctFamily = iota
	ctIPv4
	ctIPv6
)

func (d *decoder) ctTuple(t *CTTuple, family *ctFamily) {
	d.skip(4)
	for d.more() {
		p, typ := d.property(0xffff)
		switch typ {
		case ctSrc:
			t.Src = p.ctAddr(family)
		case ctDst:
			t.Dst = p.ctAddr(family)
		case ctSrcPort, ctICMPID:
			t.SrcPort = p.u16()
		case ctDstPort:
			t.DstPort = p.u16()
			t.ICMPCode, t.ICMPType = uint8(t.DstPort>>8), uint8(t.DstPort)
		case ctICMPType:
			t.ICMPType = p.u8()
			t.DstPort = t.DstPort&0xff00 | uint16(t.ICMPType)
		case ctICMPCode:
			t.ICMPCode = p.u8()
			t.DstPort = t.DstPort&0xff | uint16(t.ICMPCode)<<8
		}
		d.done(&p)
	}
}

// ctAddr reads an address, an IPv4 one in its form within IPv6. Open vSwitch checks each
// against the one before.
func (d *decoder) ctAddr(family *ctFamily) Addr {
	b := d.bytes(16)
	if b == nil {
		return Addr{}
	}
	a, f := netip.AddrFrom16([16]byte(b)), ctIPv6
	switch {
	case a.IsUnspecified():
		a, f = Addr{}, ctNoFamily
	case a.Is4In6():
		a, f = a.Unmap(), ctIPv4
	}
	if *family != ctNoFamily && f != ctNoFamily && f != *family {
		d.refuse(OFPBPC_BAD_VALUE)
	}
	*family = f
	return a
}

func init() {
	onMessage(niciraMessage, nxCTFlushZone, messageForm{name: "CT_FLUSH_ZONE", print: (*printer).ctFlushZone, least: 8,
		read: func(d *decoder, _ head) Message {
			d.skip(6)
			return CTFlushZone{d.u16()}
		}})
	onMessage(niciraMessage, nxCTFlush, messageForm{name: "CT_FLUSH", print: (*printer).ctFlush, least: 8, unit: 8,
		read: func(d *decoder, _ head) Message {
			m, _ := d.ctFlush()
			return m
		}})
}
