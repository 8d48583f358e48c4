package ofproto

import "fmt"

// A packet is what is known of the packets that a list of actions is for: from the match of
// the flow, and from the actions before the one that is looked at. A field that the match
// does not ask for is zero, as Open vSwitch has it.
type packet struct {
	table Table // in which the flow is; NoTable if it is in none, and may go to any

	packetType  uint32 // zero: Ethernet
	ether       uint16
	vlans       [2]uint16 // the outer one first; with vlanPresent if there is one
	proto       uint8
	frag        uint8
	icmp        [2]uint16 // type and code, or the ports
	ctState     CTStateBits
	ctStateMask CTStateBits

	inconsistent bool // an action does not go with the packet, which OpenFlow 1.0 did not mind
}

// vlanPresent is the bit of a VLAN TCI that says that there is a tag (OFPVID_PRESENT).
const vlanPresent = 0x1000

// Types of packets other than Ethernet: the namespace of EtherTypes, and what is not known
// before it is decapsulated.
const (
	etherTypeNamespace = 1
	unknownPacketType  = 0xffff_ffff
	noEtherType        = 0x05ff // of a packet that has no EtherType
)

// A checker is an action that does not go with all packets, or that makes another packet of
// it. check returns the error for which a switch refuses the action at this place; it notes
// what is only inconsistent in the packet, because a later action may be refused for more.
type checker interface{ check(*packet) ErrorCode }

// CheckActions refuses actions and instructions that do not go with the match or the table of
// their flow, as Open vSwitch does when it reads a flow-mod, mostly with
// OFPBAC_MATCH_INCONSISTENT: an IPv4 address cannot be written where the match does not ask for
// IPv4, and goto_table cannot go back. The ports may be any. AllTables stands for no table, from
// which one may go to any.
func CheckActions(m Match, table Table, actions []Action) error {
	return checkConsistent(m, table, actions)
}

// checkConsistent refuses a flow whose actions do not go with its match or its table, as
// Open vSwitch does when it reads a flow-mod and, with the packet as match, a packet-out:
// with OFPBAC_MATCH_INCONSISTENT in most cases. table is that of the flow; NoTable stands
// for none.
func checkConsistent(m Match, table Table, actions []Action) error {
	p := packetOf(m)
	p.table = table
	for i, a := range actions {
		if code := p.checkOne(a); code != 0 {
			return fmt.Errorf("action %d, %s: %w", i+1, briefly(a), code)
		}
	}
	if p.inconsistent {
		return fmt.Errorf("the actions need another match: %w", OFPBAC_MATCH_INCONSISTENT)
	}
	return nil
}

func (p *packet) checkOne(a Action) ErrorCode {
	if c, ok := a.(checker); ok {
		return c.check(p)
	}
	return 0
}

// A checking is a list that waits while the actions of a clone in it are looked at.
type checking struct {
	rest   []Action
	before packet
}

// checkAll looks at a list, without recursion where a clone stands in another one: there can
// be 4,095 of them.
func (p *packet) checkAll(actions []Action) ErrorCode {
	var waiting []checking
	for {
		for ; len(actions) == 0; waiting = waiting[:len(waiting)-1] {
			if len(waiting) == 0 {
				return 0
			}
			last := &waiting[len(waiting)-1]
			last.before.inconsistent = p.inconsistent
			*p, actions = last.before, last.rest
		}
		a := actions[0]
		actions = actions[1:]
		if c, ok := a.(Clone); ok {
			if len(actions) > 0 { // or nobody will look at what the packet was
				waiting = append(waiting, checking{actions, *p})
			}
			actions = c.Actions
		} else if code := p.checkOne(a); code != 0 {
			return code
		}
	}
}

// checkNested looks at actions that get a copy of the packet.
func (p *packet) checkNested(actions []Action) ErrorCode {
	inner := *p
	code := inner.checkAll(actions)
	p.inconsistent = inner.inconsistent
	return code
}

// packetOf returns what a match says of the packet.
func packetOf(m Match) *packet {
	p := &packet{}
	for _, c := range m {
		p.set(c.Field, c.Value, c.Mask)
	}
	return p
}

// set makes the bits of f that are in mask those of value.
func (p *packet) set(f Field, value, mask Bits) {
	v, m := value.Uint64(), mask.Uint64()
	switch f {
	case PacketType:
		p.packetType = uint32(masked(uint64(p.packetType), v, m))
	case EthType:
		p.ether = uint16(masked(uint64(p.ether), v, m))
	case VLANTCI:
		p.vlans[0] = uint16(masked(uint64(p.vlans[0]), v, m))
	case IPProto:
		p.proto = uint8(masked(uint64(p.proto), v, m))
	case IPFrag:
		p.frag = uint8(masked(uint64(p.frag), v, m))
	case TCPSrc, UDPSrc, SCTPSrc, ICMPv4Type, ICMPv6Type:
		p.icmp[0] = uint16(masked(uint64(p.icmp[0]), v, m))
	case TCPDst, UDPDst, SCTPDst, ICMPv4Code, ICMPv6Code:
		p.icmp[1] = uint16(masked(uint64(p.icmp[1]), v, m))
	case CTState:
		p.ctState = CTStateBits(masked(uint64(p.ctState), v, m))
		p.ctStateMask |= CTStateBits(m)
	case VLANVID:
		p.vlans[0] = p.vlans[0]&0xe000 | uint16(v&m&0x1fff)
	}
}

// write makes a part of a field, in the match that a learn makes, a value. A part of a field
// that cannot be matched in part is lost.
func (p *packet) write(s Subfield, value string) {
	i := &info[s.Field]
	if i.bytes > 16 {
		return
	}
	var v, mask Bits
	for n := range int(s.Bits) {
		to := int(s.Offset) + n
		mask[15-to/8] |= 1 << (to % 8)
		if at := len(value) - 1 - n/8; at >= 0 {
			v[15-to/8] |= value[at] >> (n % 8) & 1 << (to % 8)
		}
	}
	if i.access&maskable != 0 || mask == ones(i.bytes) {
		p.set(s.Field, v, mask)
	}
}

func masked(old, v, mask uint64) uint64 { return old&^mask | v&mask }

// etherType returns the EtherType of the packet, whether it is Ethernet or not.
func (p *packet) etherType() uint16 {
	switch {
	case p.packetType == 0:
		return p.ether
	case p.packetType>>16 == etherTypeNamespace:
		return uint16(p.packetType)
	}
	return noEtherType
}

func (p *packet) isIP() bool { t := p.etherType(); return t == 0x0800 || t == 0x86dd }

func (p *packet) isMPLS() bool { t := p.etherType(); return t == 0x8847 || t == 0x8848 }

func (p *packet) hasVLAN() bool { return p.vlans[0]&vlanPresent != 0 }

// meets reports whether the packet has what a field needs.
func (p *packet) meets(need prereq) bool {
	switch need {
	case isEthernet:
		return p.packetType == 0
	case isARP:
		return p.etherType() == 0x0806 || p.etherType() == 0x8035
	case isVLAN:
		return p.packetType == 0 && p.hasVLAN()
	case isIPv4:
		return p.etherType() == 0x0800
	case isIPv6:
		return p.etherType() == 0x86dd
	case isIP:
		return p.isIP()
	case isMPLS:
		return p.isMPLS()
	case isNSH:
		return p.etherType() == 0x894f
	case isCT:
		return p.tracked()
	case isTCP:
		return p.isTransport(6)
	case isUDP:
		return p.isTransport(17)
	case isSCTP:
		return p.isTransport(132)
	case isICMPv4:
		return p.etherType() == 0x0800 && p.proto == 1
	case isICMPv6:
		return p.isICMPv6()
	case isND:
		return p.isND(135) || p.isND(136)
	case isNDSolicit:
		return p.isND(135)
	case isNDAdvert:
		return p.isND(136)
	}
	return true
}

// isTransport reports whether the packet has the header of an IP protocol.
func (p *packet) isTransport(proto uint8) bool {
	const later = 2 // FLOW_NW_FRAG_LATER
	return p.isIP() && p.proto == proto && p.frag&later == 0
}

func (p *packet) isICMPv6() bool { return p.etherType() == 0x86dd && p.proto == 58 }

func (p *packet) isND(typ uint16) bool { return p.isICMPv6() && p.icmp == [2]uint16{typ, 0} }

// tracked reports whether the match asks for something that only a packet of a valid
// connection has.
func (p *packet) tracked() bool {
	return p.ctState&(New|Est|Rel|Rpl|SNAT|DNAT) != 0 || p.ctState&Trk != 0 && p.ctStateMask&Inv != 0 && p.ctState&Inv == 0
}

// checkSrc says whether s can be read from the packet; nil is any packet.
func checkSrc(s Subfield, p *packet) ErrorCode {
	switch width := int(s.Field.width()); {
	case s.Field == 0:
		return OFPBAC_BAD_SET_TYPE
	case s.Bits == 0 || int(s.Offset) >= width || int(s.Offset)+int(s.Bits) > width:
		return OFPBAC_BAD_SET_LEN
	case p != nil && !p.meets(info[s.Field].needs):
		return OFPBAC_MATCH_INCONSISTENT
	}
	return 0
}

// checkDst says whether s can be written in the packet; nil is any packet.
func checkDst(s Subfield, p *packet) ErrorCode {
	if code := checkSrc(s, p); code != 0 {
		return code
	}
	if info[s.Field].access&writable == 0 {
		return OFPBAC_BAD_SET_ARGUMENT
	}
	return 0
}
