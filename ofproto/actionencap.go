package ofproto

import (
	"encoding/hex"
	"fmt"
	"slices"
)

func init() {
	onWire(niciraAction, 46, 16, true, readEncap)
	onWire(niciraAction, 47, 16, true, readDecap)

	inText("encap", parseEncap)
	inText("decap", parseDecap)
}

// Types of packets (OpenFlow 1.5, 7.2.3.11): a namespace, and a number in it.
const (
	packetTypeEthernet = 0
	packetTypeNSH      = etherTypeNamespace<<16 | etherTypeNSH
	packetTypeMPLS     = etherTypeNamespace<<16 | 0x8847
	packetTypeMPLSMC   = etherTypeNamespace<<16 | 0x8848

	// PacketTypeNext, as the Type of a Decap, is what the header that is removed says.
	PacketTypeNext = 0xfffe

	etherTypeNSH = 0x894f
)

// packetTypeNames has the headers that Encap can add.
var packetTypeNames = map[uint32]string{packetTypeEthernet: "ethernet", packetTypeNSH: "nsh", packetTypeMPLS: "mpls", packetTypeMPLSMC: "mpls_mc"}

// Encap puts a header before the packet (NXAST_ENCAP).
type Encap struct {
	Type       uint32 // of the packet that this makes
	HeaderSize uint16 // zero: the usual one
	Props      []EncapProp
}

// An EncapProp is one property of a new NSH header: its metadata type or, if TLV is set, a
// context header of metadata type 2 (RFC 8300, 2.5.1).
type EncapProp struct {
	MDType uint8 // 1 or 2
	TLV    bool
	Type   uint8 // of a TLV, as Class and Value are
	Class  uint16
	Value  string // at most 127 bytes

	pad uint64 // the bytes behind Value up to a multiple of 8, if these are not zeroes
}

func (e Encap) same(o Action) bool {
	f, ok := o.(Encap)
	return ok && e.Type == f.Type && e.HeaderSize == f.HeaderSize && slices.Equal(e.Props, f.Props)
}

// Classes and types of properties.
const (
	propNSH       = 4
	propNSHMDType = 1
	propNSHTLV    = 2
)

func (e Encap) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = be.AppendUint16(appendNX(b, 46, 0), e.HeaderSize)
	b = be.AppendUint32(b, e.Type)
	for _, p := range e.Props {
		b = p.appendTo(b)
	}
	return b, setLen(b, start, 2)
}

func (p EncapProp) appendTo(b []byte) []byte {
	if !p.TLV {
		return append(b, 0, propNSH, propNSHMDType, 5, p.MDType, 0, 0, 0)
	}
	start, n := len(b), len(p.Value)
	b = be.AppendUint16(append(b, 0, propNSH, propNSHTLV, byte(8+(n+7)/8*8)), p.Class)
	b = pad8(append(append(b, p.Type, byte(n)), p.Value...), start)
	for i, pad := len(b)-1, p.pad; pad != 0; i, pad = i-1, pad>>8 {
		b[i] = byte(pad)
	}
	return b
}

func readEncap(d *decoder) Action {
	e := Encap{HeaderSize: d.u16(), Type: d.u32()}
	if packetTypeNames[e.Type] == "" {
		d.fail(NXBAC_BAD_HEADER_TYPE)
	}
	for d.more() {
		if p := d.encapProp(); d.err == nil {
			e.Props = append(e.Props, p)
		}
	}
	return e
}

// encapProp reads one property with its padding.
func (d *decoder) encapProp() (p EncapProp) {
	size := int(d.b[3])
	padded := (size + 7) / 8 * 8
	if size < 4 || padded > len(d.b) {
		d.fail(OFPBAC_BAD_LEN)
		return p
	}
	class, typ := d.u16(), d.u8()
	d.skip(1)
	b := d.bytes(padded - 4)
	switch {
	case class == propNSH && typ == propNSHMDType && size <= 8:
		return EncapProp{MDType: b[0]}
	case class == propNSH && typ == propNSHTLV && size == 8+(int(b[3])+7)/8*8:
		return nshTLV(b)
	case class == propNSH && (typ == propNSHMDType || typ == propNSHTLV):
		d.fail(NXBAC_BAD_ED_PROP)
	default:
		d.fail(NXBAC_UNKNOWN_ED_PROP)
	}
	return p
}

// nshTLV reads the TLV in a property, with its padding.
func nshTLV(b []byte) EncapProp {
	n := int(b[3])
	p := EncapProp{TLV: true, Class: be.Uint16(b), Type: b[2], Value: string(b[4 : 4+n])}
	for _, v := range b[4+n:] {
		p.pad = p.pad<<8 | uint64(v)
	}
	return p
}

// String returns the action as ovs-ofctl prints it.
func (e Encap) String() string {
	s := "encap(" + packetTypeNames[e.Type]
	for i, p := range e.Props {
		s += string("(,"[min(i, 1)]) + p.String()
	}
	if len(e.Props) > 0 {
		s += ")"
	}
	return s + ")"
}

// String returns the property as in an encap: "md_type=1".
func (p EncapProp) String() string {
	if !p.TLV {
		return fmt.Sprintf("md_type=%d", p.MDType)
	}
	return fmt.Sprintf("tlv(0x%04x,%d,%s)", p.Class, p.Type, longHexText(p.Value))
}

func (e Encap) check(p *packet) ErrorCode {
	if p.packetType = e.Type; e.Type>>16 == etherTypeNamespace {
		p.ether = uint16(e.Type)
	}
	if !p.isIP() {
		p.proto = 0
	}
	return 0
}

// parseEncap reads "nsh(md_type=2,tlv(0x1000,10,0x12345678))", or another header.
func parseEncap(p *parser, kv pair) []Action {
	t := kv.value
	h, _ := p.next(&t)
	e := Encap{}
	found := false
	for typ, name := range packetTypeNames {
		if name == h.key.s {
			e.Type, found = typ, true
		}
	}
	if !found {
		p.bad(kv.value, "want encap of ethernet, nsh, mpls or mpls_mc")
		return nil
	}
	t = h.value
	for prop, ok := p.next(&t); ok && p.err == nil; prop, ok = p.next(&t) {
		e.Props = append(e.Props, p.encapProp(e.Type, prop))
	}
	return []Action{e}
}

// encapProp reads a property of the header of a packet type.
func (p *parser) encapProp(typ uint32, kv pair) (prop EncapProp) {
	switch {
	case typ == packetTypeNSH && kv.key.s == "md_type":
		prop.MDType = uint8(p.uint(kv.value, 8))
		if prop.MDType != 1 && prop.MDType != 2 {
			p.bad(kv.value, "md_type is 1 or 2")
		}
	case typ == packetTypeNSH && kv.key.s == "tlv":
		prop = p.nshTLV(kv.value)
	default:
		p.bad(kv.key, "%s has no property %q: want md_type or tlv of nsh", packetTypeNames[typ], kv.key.s)
	}
	return prop
}

// nshTLV reads "0xCLASS,TYPE,0xVALUE". A digit that is no half of a byte counts for nothing.
func (p *parser) nshTLV(t text) (v EncapProp) {
	v.TLV = true
	at := scan{t, true}
	at.byte('0')
	at.byte('x')
	v.Class = uint16(at.uint(16))
	at.byte(',')
	v.Type = uint8(at.uint(10))
	for _, c := range []byte(",0x") {
		at.byte(c)
	}
	digits := at.span("0123456789abcdefABCDEF", 251)
	if !at.ok {
		p.bad(t, "want tlv(0xCLASS,TYPE,0xVALUE)")
		return v
	}
	value, _ := hex.DecodeString(digits[:len(digits)/2*2])
	v.Value = string(value)
	return v
}

// Decap removes the outer header of the packet (NXAST_DECAP). What it leaves is a packet of
// that type.
type Decap struct{ Type uint32 }

func (c Decap) appendTo(b []byte) ([]byte, error) {
	return be.AppendUint32(append(appendNX(b, 47, 16), 0, 0), c.Type), nil
}

func readDecap(d *decoder) Action {
	d.skip(2)
	c := Decap{d.u32()}
	if len(d.b) > 0 { // no property of it is known
		d.fail(NXBAC_UNKNOWN_ED_PROP)
	}
	return c
}

// String returns the action as ovs-ofctl prints it.
func (c Decap) String() string {
	if c.Type == PacketTypeNext {
		return "decap()"
	}
	typ := fmt.Sprintf("%#x", uint16(c.Type))
	if uint16(c.Type) == 0 {
		typ = "0"
	}
	return fmt.Sprintf("decap(packet_type(ns=%d,type=%s))", c.Type>>16, typ)
}

func (c Decap) check(p *packet) ErrorCode {
	if p.packetType == packetTypeEthernet {
		p.packetType = etherTypeNamespace<<16 | uint32(p.ether)
	} else { // what is inside is known only when it is there
		p.packetType, p.ether = unknownPacketType, 0xffff
	}
	return 0
}

// parseDecap reads "packet_type(ns=0,type=0xfffe)", or nothing.
func parseDecap(p *parser, kv pair) []Action {
	t := kv.value
	arg, ok := p.next(&t)
	if !ok {
		return []Action{Decap{PacketTypeNext}}
	}
	if arg.key.s != "packet_type" {
		p.bad(arg.key, "decap has packet_type, not %q", arg.key.s)
		return nil
	}
	t = arg.value
	ns := p.named(&t, "ns")
	if ns > 4 {
		p.bad(arg.value, "there is no namespace %d of packet types", ns)
	}
	return []Action{Decap{uint32(ns)<<16 | uint32(p.named(&t, "type"))}}
}

// named reads a number behind its name.
func (p *parser) named(t *text, name string) uint64 {
	kv, ok := p.next(t)
	if !ok || kv.key.s != name {
		p.bad(kv.key, "want %s=NUMBER", name)
		return 0
	}
	return p.uint(kv.value, 16)
}
