package ofproto

// implied has the conditions that a prerequisite stands for, as far as they are not
// ambiguous: tcp needs nw_proto=6, but whether that is in ip or in ipv6 has to be said.
var implied = [...][]Cond{
	isARP:       {IsARP},
	isVLAN:      {{Field: VLANTCI, Value: Uint(vlanCFI), Mask: Uint(vlanCFI)}},
	isIPv4:      {IsIPv4},
	isIPv6:      {IsIPv6},
	isNSH:       {Is(EthType, etherNSH)},
	isTCP:       {Is(IPProto, 6)},
	isUDP:       {Is(IPProto, 17)},
	isSCTP:      {Is(IPProto, 132)},
	isICMPv4:    {IsIPv4, Is(IPProto, 1)},
	isICMPv6:    {IsIPv6, Is(IPProto, 58)},
	isND:        {IsIPv6, Is(IPProto, 58)},
	isNDSolicit: {IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, ndSolicit)},
	isNDAdvert:  {IsIPv6, Is(IPProto, 58), Is(ICMPv6Type, ndAdvert)},
}

// EtherTypes that fields depend on.
const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherRARP  = 0x8035
	etherIPv6  = 0x86dd
	etherMPLS  = 0x8847
	etherMPLSM = 0x8848
	etherNSH   = 0x894f
	etherNone  = 0x05ff // of a packet without an Ethernet header
)

// Types of ICMPv6 that neighbour discovery has.
const (
	ndSolicit = 135
	ndAdvert  = 136
)

// fragLater is the bit of ip_frag that later fragments have.
const fragLater = 2

// headers is what the conditions of a match say of the headers of a packet, as far as other
// fields depend on it. What they leave open is zero.
type headers struct {
	packetType uint32 // zero: Ethernet
	etherType  uint16
	vlan       uint16
	proto      uint8
	frag       uint8
	tpSrc      uint16 // or type of an ICMP
	tpDst      uint16 // or code
	state      CTStateBits
	stateMask  CTStateBits
	ctProto    uint8 // of the connection
}

// learn takes in what c says.
func (h *headers) learn(c *Cond) {
	v := c.Value.low()
	switch c.Field {
	case PacketType:
		h.packetType = uint32(v)
	case EthType:
		h.etherType = uint16(v)
	case VLANTCI:
		h.vlan = uint16(v)
	case IPProto, ARPOp:
		h.proto = uint8(v)
	case IPFrag:
		h.frag = uint8(v)
	case TCPSrc, UDPSrc, SCTPSrc, ICMPv4Type, ICMPv6Type:
		h.tpSrc = uint16(v)
	case TCPDst, UDPDst, SCTPDst, ICMPv4Code, ICMPv6Code:
		h.tpDst = uint16(v)
	case CTNwProto:
		h.ctProto = uint8(v)
	case CTState:
		h.state, h.stateMask = CTStateBits(v), CTStateBits(c.Mask.low())
	}
}

// headers returns what m says of a packet's headers.
func (m Match) headers() (h headers) {
	for i := range m {
		h.learn(&m[i])
	}
	return h
}

// ether returns the EtherType of what the packet carries, with or without an Ethernet header.
func (h *headers) ether() uint16 {
	switch {
	case h.packetType == 0:
		return h.etherType
	case h.packetType>>16 == 1: // the namespace of EtherTypes
		return uint16(h.packetType)
	}
	return etherNone
}

// shown returns h as Open vSwitch prints it, which looks at the EtherType even of a packet
// that is of another kind altogether.
func (h headers) shown() headers {
	if h.packetType>>16 != 1 {
		h.packetType = 0
	}
	return h
}

// isIP reports whether the packet is IPv4 or IPv6.
func (h *headers) isIP() bool {
	t := h.ether()
	return t == etherIPv4 || t == etherIPv6
}

// isICMPv6 reports whether the packet is ICMPv6.
func (h *headers) isICMPv6() bool { return h.ether() == etherIPv6 && h.proto == 58 }

// isND reports whether the packet is a neighbour solicitation or advertisement.
func (h *headers) isND() bool {
	return h.isICMPv6() && h.tpDst == 0 && (h.tpSrc == ndSolicit || h.tpSrc == ndAdvert)
}

// isTracked reports whether the packet has a connection whose tuple it can be asked for.
func (h *headers) isTracked() bool {
	return h.state&(New|Est|Rel|Rpl|SNAT|DNAT) != 0 || h.state&Trk != 0 && h.stateMask&Inv != 0 && h.state&Inv == 0
}

// meet reports whether a packet with these headers has the fields that need p.
func (h *headers) meet(p prereq) bool {
	switch p {
	case always:
		return true
	case isEthernet:
		return h.packetType == 0
	case isARP:
		t := h.ether()
		return t == etherARP || t == etherRARP
	case isVLAN:
		return h.packetType == 0 && h.vlan&vlanCFI != 0
	case isIPv4:
		return h.ether() == etherIPv4
	case isIPv6:
		return h.ether() == etherIPv6
	case isIP:
		return h.isIP()
	case isMPLS:
		t := h.ether()
		return t == etherMPLS || t == etherMPLSM
	case isNSH:
		return h.ether() == etherNSH
	case isCT:
		return h.isTracked()
	case isICMPv4:
		return h.ether() == etherIPv4 && h.proto == 1
	case isICMPv6:
		return h.isICMPv6()
	case isND:
		return h.isND()
	case isNDSolicit:
		return h.isND() && h.tpSrc == ndSolicit
	case isNDAdvert:
		return h.isND() && h.tpSrc == ndAdvert
	}
	return h.frag&fragLater == 0 && h.carries(p)
}

// carries reports whether the packet is of the transport protocol p.
func (h *headers) carries(p prereq) bool {
	return h.isIP() && (p == isTCP && h.proto == 6 || p == isUDP && h.proto == 17 || p == isSCTP && h.proto == 132)
}

// teaches says which conditions learn takes something from.
var teaches = [numFields]bool{
	PacketType: true, EthType: true, VLANTCI: true, IPProto: true, ARPOp: true, IPFrag: true, CTNwProto: true, CTState: true,
	TCPSrc: true, UDPSrc: true, SCTPSrc: true, ICMPv4Type: true, ICMPv6Type: true,
	TCPDst: true, UDPDst: true, SCTPDst: true, ICMPv4Code: true, ICMPv6Code: true,
}
