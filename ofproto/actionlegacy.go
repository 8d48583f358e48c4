package ofproto

import (
	"fmt"
	"net/netip"
)

// A SetOld is one of the actions by which OpenFlow 1.0 and 1.1 write a field. Open vSwitch
// still reads them over OpenFlow 1.3, but writes what OpenFlow 1.3 has for them, which is
// SetField mostly.
type SetOld struct {
	What  OldAction
	Value uint64

	proto  uint8 // of the packets, to say whose port it is
	tagged bool  // the packets have a VLAN tag
}

// OldAction says what a SetOld writes.
type OldAction uint8

// The actions, with the name that ovs-ofctl has for them.
const (
	OldModVLANID    OldAction = iota // mod_vlan_vid: adds a tag if there is none
	OldSetVLANID                     // set_vlan_vid
	OldModVLANPCP                    // mod_vlan_pcp: adds a tag if there is none
	OldSetVLANPCP                    // set_vlan_pcp
	OldSetEthSrc                     // mod_dl_src
	OldSetEthDst                     // mod_dl_dst
	OldSetIPv4Src                    // mod_nw_src
	OldSetIPv4Dst                    // mod_nw_dst
	OldSetTOS                        // mod_nw_tos: the upper six bits of the byte
	OldSetECN                        // mod_nw_ecn
	OldSetPortSrc                    // mod_tp_src
	OldSetPortDst                    // mod_tp_dst
	OldSetMPLSLabel                  // set_mpls_label
	OldSetMPLSTC                     // set_mpls_tc
	OldSetTunnel                     // set_tunnel
	OldSetTunnel64                   // set_tunnel64
)

// oldActions has one row for each OldAction.
var oldActions = [...]struct {
	name   string
	typ    uint16 // on the wire; zero: OpenFlow 1.3 has no such action
	vendor vendor
	bytes  uint8  // of the argument on the wire
	unused uint64 // bits that must be zero
	field  Field
	format string
}{
	OldModVLANID:    {"mod_vlan_vid", 0, openflow, 2, ^uint64(0xfff), VLANVID, "%s:%d"},
	OldSetVLANID:    {"set_vlan_vid", 1, openflow, 2, ^uint64(0xfff), VLANVID, "%s:%d"},
	OldModVLANPCP:   {"mod_vlan_pcp", 0, openflow, 1, ^uint64(7), VLANPCP, "%s:%d"},
	OldSetVLANPCP:   {"set_vlan_pcp", 2, openflow, 1, ^uint64(7), VLANPCP, "%s:%d"},
	OldSetEthSrc:    {"mod_dl_src", 3, openflow, 6, 0, EthSrc, ""},
	OldSetEthDst:    {"mod_dl_dst", 4, openflow, 6, 0, EthDst, ""},
	OldSetIPv4Src:   {"mod_nw_src", 5, openflow, 4, 0, IPv4Src, ""},
	OldSetIPv4Dst:   {"mod_nw_dst", 6, openflow, 4, 0, IPv4Dst, ""},
	OldSetTOS:       {"mod_nw_tos", 7, openflow, 1, ^uint64(0xfc), IPDSCP, "%s:%d"},
	OldSetECN:       {"mod_nw_ecn", 8, openflow, 1, ^uint64(3), IPECN, "%s:%d"},
	OldSetPortSrc:   {"mod_tp_src", 9, openflow, 2, 0, 0, "%s:%d"},
	OldSetPortDst:   {"mod_tp_dst", 10, openflow, 2, 0, 0, "%s:%d"},
	OldSetMPLSLabel: {"set_mpls_label", 13, openflow, 4, 0, MPLSLabel, "%s(%d)"},
	OldSetMPLSTC:    {"set_mpls_tc", 14, openflow, 1, 0, MPLSTC, "%s(%d)"},
	OldSetTunnel:    {"set_tunnel", 2, niciraAction, 4, 0, TunID, "%s:%s"},
	OldSetTunnel64:  {"set_tunnel64", 9, niciraAction, 8, 0, TunID, "%s:%s"},
}

func init() {
	for what := range oldActions {
		what, a := OldAction(what), &oldActions[what]
		inText(a.name, func(p *parser, kv pair) []Action { return []Action{what.parse(p, kv.value)} })
		size := 8
		if a.bytes == 6 || a.vendor == niciraAction {
			size = 16
		}
		if what == OldSetTunnel64 {
			size = 24
		}
		if a.typ != 0 {
			onWire(a.vendor, a.typ, size, false, func(d *decoder) Action { return what.read(d) })
		}
	}
}

func (w OldAction) read(d *decoder) Action {
	a := &oldActions[w]
	switch w { // numbers stand where they are aligned
	case OldSetTunnel:
		d.skip(2)
	case OldSetTunnel64:
		d.skip(6)
	}
	s := SetOld{What: w}
	for _, b := range d.bytes(int(a.bytes)) {
		s.Value = s.Value<<8 | uint64(b)
	}
	if s.Value&a.unused != 0 {
		d.fail(OFPBAC_BAD_ARGUMENT)
	}
	return s
}

// appendTo appends what Open vSwitch sends for s over OpenFlow 1.3.
func (s SetOld) appendTo(b []byte) ([]byte, error) {
	f, v := oldActions[s.What].field, s.Value
	switch s.What {
	case OldModVLANID, OldModVLANPCP:
		if !s.tagged {
			b = appendUint16(b, 17, 0x8100) // push_vlan
		}
	case OldSetTOS:
		v >>= 2
	case OldSetPortSrc, OldSetPortDst:
		if f = s.port(); f == 0 {
			return appendUint16(b, uint8(oldActions[s.What].typ), uint16(v)), nil
		}
	}
	if f == VLANVID {
		v |= vlanPresent
	}
	return SetField{f, Uint(v)}.appendTo(b)
}

// port returns the field in which the packets have the port, or zero if they have none.
func (s SetOld) port() Field {
	switch s.proto {
	case 6:
		return TCPSrc + Field(s.What-OldSetPortSrc)
	case 17:
		return UDPSrc + Field(s.What-OldSetPortSrc)
	case 132:
		return SCTPSrc + Field(s.What-OldSetPortSrc)
	}
	return 0
}

// String returns the action as ovs-ofctl prints it.
func (s SetOld) String() string {
	a := &oldActions[s.What]
	switch s.What {
	case OldSetTunnel, OldSetTunnel64:
		if s.Value > 0xffffffff {
			a = &oldActions[OldSetTunnel64]
		}
		return fmt.Sprintf(a.format, a.name, hexText(Uint(s.Value)))
	case OldSetEthSrc, OldSetEthDst, OldSetIPv4Src, OldSetIPv4Dst:
		return a.name + ":" + valueText(Uint(s.Value), &info[a.field])
	}
	return fmt.Sprintf(a.format, a.name, s.Value)
}

func (w OldAction) parse(p *parser, t text) SetOld {
	s := SetOld{What: w}
	switch w {
	case OldSetEthSrc, OldSetEthDst:
		mac, _, ok := scanBytes(t.s, 6, 16, ':') // whatever stands behind it
		if !ok {
			p.bad(t, "%q is not an Ethernet address", t.s)
			break
		}
		v := fromBytes(mac)
		s.Value = v.Uint64()
	case OldSetIPv4Src, OldSetIPv4Dst:
		addr, err := netip.ParseAddr(t.s)
		if err != nil || !addr.Is4() {
			p.bad(t, "%q is not an IPv4 address", t.s)
			break
		}
		s.Value = uint64(be.Uint32(addr.AsSlice()))
	case OldSetTunnel, OldSetTunnel64:
		s.Value = p.uint(t, 64)
	default:
		s.Value = p.uint(t, int(oldActions[w].bytes)*8)
	}
	unused := oldActions[w].unused
	switch w {
	case OldSetMPLSLabel:
		unused = ^uint64(0xfffff)
	case OldSetMPLSTC:
		unused = ^uint64(7)
	}
	if s.Value&unused != 0 {
		p.bad(t, "%s cannot write %s: its field does not have all of these bits", oldActions[w].name, t.s)
	}
	return s
}

func (s SetOld) check(p *packet) ErrorCode {
	switch s.What {
	case OldSetVLANID, OldSetVLANPCP:
		p.want(p.hasVLAN())
		fallthrough
	case OldModVLANID, OldModVLANPCP:
		p.vlans[0] |= vlanPresent
	case OldSetIPv4Src, OldSetIPv4Dst:
		return p.want(p.etherType() == 0x0800)
	case OldSetTOS, OldSetECN:
		return p.want(p.isIP())
	case OldSetPortSrc, OldSetPortDst:
		return p.want(p.isTransport(6) || p.isTransport(17) || p.isTransport(132))
	case OldSetMPLSLabel, OldSetMPLSTC:
		return p.want(p.isMPLS())
	}
	return 0
}

// An oldAction is written as the packets are to which it is done.
type oldAction interface{ forPacket(*packet) Action }

// forPacket returns s as it is for such packets.
func (s SetOld) forPacket(p *packet) Action {
	s.proto, s.tagged = p.proto, p.hasVLAN()
	return s
}

// resolve makes the old ones among actions what they are for such packets: Open vSwitch sends
// them by what is known of the packets where they stand.
func (p *packet) resolve(actions []Action) {
	for i, a := range actions {
		inner := *p
		switch a := a.(type) {
		case oldAction:
			actions[i] = a.forPacket(p)
		case Clone:
			inner.resolve(a.Actions)
		case WriteActions:
			inner.resolve(a.Actions)
		}
		p.checkOne(a)
	}
}
