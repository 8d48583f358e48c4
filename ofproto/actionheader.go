package ofproto

import "fmt"

func init() {
	onWire(openflow, 15, 8, false, func(d *decoder) Action { return SetMPLSTTL(d.u8()) })
	onWire(openflow, 16, 8, false, func(d *decoder) Action { return DecMPLSTTL{} })
	onWire(openflow, 17, 8, false, readPushVLAN)
	onWire(openflow, 18, 8, false, func(d *decoder) Action { return PopVLAN{} })
	onWire(openflow, 19, 8, false, readPushMPLS)
	onWire(openflow, 20, 8, false, func(d *decoder) Action { return PopMPLS(d.u16()) })
	onWire(openflow, 23, 8, false, func(d *decoder) Action { return SetTTL(d.u8()) })
	onWire(niciraAction, 21, 16, true, readDecTTLIDs)
	onWire(niciraAction, 48, 16, false, func(d *decoder) Action { return DecNSHTTL{} })

	inText("push_vlan", parsePushVLAN)
	inText("pop_vlan", func(p *parser, kv pair) []Action { return []Action{PopVLAN{}} })
	inText("strip_vlan", func(p *parser, kv pair) []Action { return []Action{PopVLAN{}} })
	inText("push_mpls", func(p *parser, kv pair) []Action { return []Action{PushMPLS(p.uint(kv.value, 16))} })
	inText("pop_mpls", func(p *parser, kv pair) []Action { return []Action{PopMPLS(p.uint(kv.value, 16))} })
	inText("set_mpls_ttl", func(p *parser, kv pair) []Action { return []Action{SetMPLSTTL(p.uint(kv.value, 8))} })
	inText("dec_mpls_ttl", func(p *parser, kv pair) []Action { return []Action{DecMPLSTTL{}} })
	inText("mod_nw_ttl", parseSetTTL)
	inText("set_nw_ttl", parseSetTTL)
	inText("dec_ttl", parseDecTTL)
	inText("dec_nsh_ttl", func(p *parser, kv pair) []Action { return []Action{DecNSHTTL{}} })
}

// PushVLAN adds a VLAN tag with an Ethernet type of 0x8100 or 0x88a8 (OFPAT_PUSH_VLAN).
type PushVLAN uint16

func (v PushVLAN) appendTo(b []byte) ([]byte, error) { return appendUint16(b, 17, uint16(v)), nil }

// appendUint16 appends an action of OpenFlow with one argument of 16 bits.
func appendUint16(b []byte, typ uint8, v uint16) []byte {
	return append(b, 0, typ, 0, 8, byte(v>>8), byte(v), 0, 0)
}

// appendUint8 appends an action of OpenFlow with one argument of 8 bits.
func appendUint8(b []byte, typ, v uint8) []byte { return append(b, 0, typ, 0, 8, v, 0, 0, 0) }

func (v PushVLAN) valid() bool { return v == 0x8100 || v == 0x88a8 }

func readPushVLAN(d *decoder) Action {
	v := PushVLAN(d.u16())
	if !v.valid() {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return v
}

// String returns the action as ovs-ofctl prints it.
func (v PushVLAN) String() string { return fmt.Sprintf("push_vlan:%#x", uint16(v)) }

func parsePushVLAN(p *parser, kv pair) []Action {
	v := PushVLAN(p.uint(kv.value, 16))
	if !v.valid() {
		p.bad(kv.value, "the Ethernet type of a VLAN tag is 0x8100 or 0x88a8")
	}
	return []Action{v}
}

// PopVLAN removes the outer VLAN tag (OFPAT_POP_VLAN).
type PopVLAN struct{}

func (PopVLAN) appendTo(b []byte) ([]byte, error) { return append(b, 0, 18, 0, 8, 0, 0, 0, 0), nil }

// String returns the action as ovs-ofctl prints it.
func (PopVLAN) String() string { return "pop_vlan" }

// PushMPLS adds an MPLS label with an Ethernet type of 0x8847 or 0x8848 (OFPAT_PUSH_MPLS).
type PushMPLS uint16

func (m PushMPLS) appendTo(b []byte) ([]byte, error) { return appendUint16(b, 19, uint16(m)), nil }

func readPushMPLS(d *decoder) Action {
	m := PushMPLS(d.u16())
	if m != 0x8847 && m != 0x8848 {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return m
}

// String returns the action as ovs-ofctl prints it.
func (m PushMPLS) String() string { return fmt.Sprintf("push_mpls:0x%04x", uint16(m)) }

// PopMPLS removes the outer MPLS label, and gives the packet an Ethernet type (OFPAT_POP_MPLS).
type PopMPLS uint16

func (m PopMPLS) appendTo(b []byte) ([]byte, error) { return appendUint16(b, 20, uint16(m)), nil }

// String returns the action as ovs-ofctl prints it.
func (m PopMPLS) String() string { return fmt.Sprintf("pop_mpls:0x%04x", uint16(m)) }

// SetMPLSTTL writes the TTL of the outer MPLS label (OFPAT_SET_MPLS_TTL).
type SetMPLSTTL uint8

func (t SetMPLSTTL) appendTo(b []byte) ([]byte, error) { return appendUint8(b, 15, uint8(t)), nil }

// String returns the action as ovs-ofctl prints it.
func (t SetMPLSTTL) String() string { return fmt.Sprintf("set_mpls_ttl(%d)", uint8(t)) }

// DecMPLSTTL decrements the TTL of the outer MPLS label (OFPAT_DEC_MPLS_TTL).
type DecMPLSTTL struct{}

func (DecMPLSTTL) appendTo(b []byte) ([]byte, error) {
	return append(b, 0, 16, 0, 8, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (DecMPLSTTL) String() string { return "dec_mpls_ttl" }

// SetTTL writes the TTL of IPv4 or the hop limit of IPv6 (OFPAT_SET_NW_TTL).
type SetTTL uint8

func (t SetTTL) appendTo(b []byte) ([]byte, error) { return appendUint8(b, 23, uint8(t)), nil }

// String returns the action as ovs-ofctl prints it.
func (t SetTTL) String() string { return fmt.Sprintf("mod_nw_ttl:%d", uint8(t)) }

func parseSetTTL(p *parser, kv pair) []Action { return []Action{SetTTL(p.uint(kv.value, 8))} }

func (v PushVLAN) check(p *packet) ErrorCode {
	if p.vlans[1]&vlanPresent != 0 {
		return OFPBAC_BAD_TAG // Open vSwitch knows of two
	}
	p.vlans[1], p.vlans[0] = p.vlans[0], vlanPresent
	return 0
}

func (PopVLAN) check(p *packet) ErrorCode {
	p.want(p.hasVLAN())
	if p.hasVLAN() {
		p.vlans[0], p.vlans[1] = p.vlans[1], 0
	}
	return 0
}

// want notes whether the packet is as an action wants it.
func (p *packet) want(is bool) ErrorCode {
	p.inconsistent = p.inconsistent || !is
	return 0
}

func (m PushMPLS) check(p *packet) ErrorCode {
	p.want(p.packetType == 0)
	p.ether, p.proto = uint16(m), 0 // what is inside is not looked into
	return 0
}

func (m PopMPLS) check(p *packet) ErrorCode {
	p.want(p.packetType == 0 && p.isMPLS())
	p.ether = uint16(m)
	return 0
}

func (SetMPLSTTL) check(p *packet) ErrorCode { return p.want(p.isMPLS()) }
func (DecMPLSTTL) check(p *packet) ErrorCode { return p.want(p.isMPLS()) }
func (SetTTL) check(p *packet) ErrorCode     { return p.want(p.isIP()) }
func (DecTTL) check(p *packet) ErrorCode     { return p.want(p.isIP()) }
func (DecTTLIDs) check(p *packet) ErrorCode  { return p.want(p.isIP()) }
func (DecNSHTTL) check(p *packet) ErrorCode {
	return p.want(p.packetType == packetTypeNSH || p.ether == etherTypeNSH)
}

// DecTTLIDs decrements the TTL or hop limit; a packet for which that cannot be done goes to the
// controllers with these ids (NXAST_DEC_TTL_CNT_IDS), two bytes for each of them. DecTTL is for
// the controllers with id 0.
type DecTTLIDs string

// DecTTLFor returns the action for the controllers with the given ids.
func DecTTLFor(ids ...uint16) DecTTLIDs {
	var b []byte
	for _, id := range ids {
		b = be.AppendUint16(b, id)
	}
	return DecTTLIDs(b)
}

func (t DecTTLIDs) appendTo(b []byte) ([]byte, error) {
	start := len(b)
	b = be.AppendUint16(appendNX(b, 21, 0), uint16(len(t)/2))
	b = pad8(append(append(b, 0, 0, 0, 0), t...), start)
	return b, setLen(b, start, 2)
}

func readDecTTLIDs(d *decoder) Action {
	n := int(d.u16())
	d.zero(4, NXBRC_MUST_BE_ZERO)
	return DecTTLIDs(d.bytes(2 * n))
}

// String returns the action as ovs-ofctl prints it.
func (t DecTTLIDs) String() string {
	s := "dec_ttl("
	for i := 0; i+1 < len(t); i += 2 {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprint(uint16(t[i])<<8 | uint16(t[i+1]))
	}
	return s + ")"
}

// parseDecTTL reads the ids of controllers. What is no number is 0.
func parseDecTTL(p *parser, kv pair) []Action {
	t := kv.value
	if t.s == "" {
		return []Action{DecTTL{}}
	}
	var ids []uint16
	for id := token(&t, ", "); id.s != ""; id = token(&t, ", ") {
		ids = append(ids, uint16(atoi(id.s)))
	}
	if len(ids) == 0 {
		p.bad(kv.value, "want the id of at least one controller")
	}
	return []Action{DecTTLFor(ids...)}
}

// DecNSHTTL decrements the TTL of an NSH header (NXAST_DEC_NSH_TTL).
type DecNSHTTL struct{}

func (DecNSHTTL) appendTo(b []byte) ([]byte, error) {
	return append(appendNX(b, 48, 16), 0, 0, 0, 0, 0, 0), nil
}

// String returns the action as ovs-ofctl prints it.
func (DecNSHTTL) String() string { return "dec_nsh_ttl" }
