package ofproto

// A Field is one packet, register or connection-tracking field that a flow can
// match on or set. Zero is no field.
type Field uint8

// The fields, in the order of a canonical Match, which is the one in which Open
// vSwitch writes them.
const (
	ConjID Field = iota + 1
	InPort
	EthSrc
	EthDst
	EthType
	VLANTCI
	IPv4Src
	IPv4Dst
	IPv6Src
	IPv6Dst
	IPFrag
	IPDSCP
	IPECN
	IPTTL
	IPv6Label
	IPProto
	TCPSrc
	TCPDst
	TCPFlags
	UDPSrc
	UDPDst
	SCTPSrc
	SCTPDst
	ICMPv4Type
	ICMPv4Code
	ICMPv6Type
	ICMPv6Code
	NDTarget
	NDSLL
	NDTLL
	NDReserved
	NDOptionsType
	ARPOp
	ARPSPA
	ARPTPA
	ARPSHA
	ARPTHA
	TunID
	Reg0
	Reg1
	Reg2
	Reg3
	Reg4
	Reg5
	Reg6
	Reg7
	Reg8
	Reg9
	Reg10
	Reg11
	Reg12
	Reg13
	Reg14
	Reg15
	PktMark
	CTState
	CTZone
	CTMark
	CTLabel
	CTNwSrc
	CTNwDst
	CTIPv6Src
	CTIPv6Dst
	CTNwProto
	CTTpSrc
	CTTpDst
	Metadata
	numFields
)

// format says how a field's value is written in text.
type format uint8

const (
	decimal format = iota
	hexadecimal
	ipv4
	ipv6
	mac
	ctState
	port
	frag
	tcpFlags
	flowLabel
)

// Classes of OXM headers.
const (
	classNXM0  = 0x0000 // Nicira, the fields of OpenFlow 1.0
	classNXM1  = 0x0001 // Nicira
	classBasic = 0x8000 // OpenFlow basic
	classERIC  = 0x1000 // ND extensions
)

// header is the class and number of a field.
type header struct {
	class uint16
	num   uint8
}

// fieldInfo is all that the codec and the printer know about a field.
type fieldInfo struct {
	name   string // in set_field and ovs-fields(7)
	match  string // in a match, if it is another
	nxm    string // in load, move and ct
	oxm    header // as it is sent
	alt    header // the other header that it may come with; zero: none
	bytes  int
	format format
	needs  []Cond // prerequisites that are not ambiguous
}

var (
	needIPv4  = []Cond{IsIPv4}
	needIPv6  = []Cond{IsIPv6}
	needARP   = []Cond{IsARP}
	needTCP   = []Cond{{IPProto, Uint(6), ones(1)}}
	needUDP   = []Cond{{IPProto, Uint(17), ones(1)}}
	needSCTP  = []Cond{{IPProto, Uint(132), ones(1)}}
	needICMP  = []Cond{IsIPv4, {IPProto, Uint(1), ones(1)}}
	needICMP6 = []Cond{IsIPv6, {IPProto, Uint(58), ones(1)}}
)

// info has one row for each field. A new field is a new row here, a name above, and
// nothing else.
var info [numFields]fieldInfo

func init() { // not a literal: the rows refer to conditions that are made with the codec
	nx := func(n uint8) header { return header{classNXM1, n} }
	of := func(n uint8) header { return header{classBasic, n} }
	n0 := func(n uint8) header { return header{classNXM0, n} }
	none := header{}
	info = [numFields]fieldInfo{
		InPort:        {"in_port_oxm", "in_port", "OXM_OF_IN_PORT", of(0), none, 4, port, nil},
		Metadata:      {"metadata", "", "OXM_OF_METADATA", of(2), none, 8, hexadecimal, nil},
		ConjID:        {"conj_id", "", "NXM_NX_CONJ_ID", nx(37), none, 4, decimal, nil},
		PktMark:       {"pkt_mark", "", "NXM_NX_PKT_MARK", nx(33), none, 4, hexadecimal, nil},
		CTState:       {"ct_state", "", "NXM_NX_CT_STATE", nx(105), none, 4, ctState, nil},
		CTZone:        {"ct_zone", "", "NXM_NX_CT_ZONE", nx(106), none, 2, decimal, nil},
		CTMark:        {"ct_mark", "", "NXM_NX_CT_MARK", nx(107), none, 4, hexadecimal, nil},
		CTLabel:       {"ct_label", "", "NXM_NX_CT_LABEL", nx(108), none, 16, hexadecimal, nil},
		EthDst:        {"eth_dst", "dl_dst", "NXM_OF_ETH_DST", of(3), n0(1), 6, mac, nil},
		EthSrc:        {"eth_src", "dl_src", "NXM_OF_ETH_SRC", of(4), n0(2), 6, mac, nil},
		EthType:       {"eth_type", "dl_type", "NXM_OF_ETH_TYPE", of(5), n0(3), 2, hexadecimal, nil},
		VLANTCI:       {"vlan_tci", "", "NXM_OF_VLAN_TCI", n0(4), none, 2, hexadecimal, nil},
		IPProto:       {"nw_proto", "", "NXM_OF_IP_PROTO", of(10), n0(6), 1, decimal, nil},
		IPDSCP:        {"ip_dscp", "", "OXM_OF_IP_DSCP", of(8), none, 1, decimal, nil},
		IPECN:         {"nw_ecn", "", "NXM_NX_IP_ECN", of(9), nx(28), 1, decimal, nil},
		IPTTL:         {"nw_ttl", "", "NXM_NX_IP_TTL", nx(29), none, 1, decimal, nil},
		IPFrag:        {"ip_frag", "nw_frag", "NXM_NX_IP_FRAG", nx(26), none, 1, frag, nil},
		IPv4Src:       {"ip_src", "nw_src", "NXM_OF_IP_SRC", of(11), n0(7), 4, ipv4, needIPv4},
		IPv4Dst:       {"ip_dst", "nw_dst", "NXM_OF_IP_DST", of(12), n0(8), 4, ipv4, needIPv4},
		IPv6Src:       {"ipv6_src", "", "NXM_NX_IPV6_SRC", of(26), nx(19), 16, ipv6, needIPv6},
		IPv6Dst:       {"ipv6_dst", "", "NXM_NX_IPV6_DST", of(27), nx(20), 16, ipv6, needIPv6},
		IPv6Label:     {"ipv6_label", "", "NXM_NX_IPV6_LABEL", of(28), nx(27), 4, flowLabel, needIPv6},
		TCPSrc:        {"tcp_src", "tp_src", "NXM_OF_TCP_SRC", of(13), n0(9), 2, decimal, needTCP},
		TCPDst:        {"tcp_dst", "tp_dst", "NXM_OF_TCP_DST", of(14), n0(10), 2, decimal, needTCP},
		TCPFlags:      {"tcp_flags", "", "NXM_NX_TCP_FLAGS", nx(34), of(42), 2, tcpFlags, needTCP},
		UDPSrc:        {"udp_src", "tp_src", "NXM_OF_UDP_SRC", of(15), n0(11), 2, decimal, needUDP},
		UDPDst:        {"udp_dst", "tp_dst", "NXM_OF_UDP_DST", of(16), n0(12), 2, decimal, needUDP},
		SCTPSrc:       {"sctp_src", "tp_src", "OXM_OF_SCTP_SRC", of(17), none, 2, decimal, needSCTP},
		SCTPDst:       {"sctp_dst", "tp_dst", "OXM_OF_SCTP_DST", of(18), none, 2, decimal, needSCTP},
		ICMPv4Type:    {"icmp_type", "", "NXM_OF_ICMP_TYPE", of(19), n0(13), 1, decimal, needICMP},
		ICMPv4Code:    {"icmp_code", "", "NXM_OF_ICMP_CODE", of(20), n0(14), 1, decimal, needICMP},
		ICMPv6Type:    {"icmpv6_type", "icmp_type", "NXM_NX_ICMPV6_TYPE", of(29), nx(21), 1, decimal, needICMP6},
		ICMPv6Code:    {"icmpv6_code", "icmp_code", "NXM_NX_ICMPV6_CODE", of(30), nx(22), 1, decimal, needICMP6},
		ARPOp:         {"arp_op", "", "NXM_OF_ARP_OP", of(21), n0(15), 2, decimal, needARP},
		ARPSPA:        {"arp_spa", "", "NXM_OF_ARP_SPA", of(22), n0(16), 4, ipv4, needARP},
		ARPTPA:        {"arp_tpa", "", "NXM_OF_ARP_TPA", of(23), n0(17), 4, ipv4, needARP},
		ARPSHA:        {"arp_sha", "", "NXM_NX_ARP_SHA", of(24), nx(17), 6, mac, needARP},
		ARPTHA:        {"arp_tha", "", "NXM_NX_ARP_THA", of(25), nx(18), 6, mac, needARP},
		NDTarget:      {"nd_target", "", "NXM_NX_ND_TARGET", of(31), nx(23), 16, ipv6, needICMP6},
		NDSLL:         {"nd_sll", "", "NXM_NX_ND_SLL", of(32), nx(24), 6, mac, needICMP6},
		NDTLL:         {"nd_tll", "", "NXM_NX_ND_TLL", of(33), nx(25), 6, mac, needICMP6},
		NDReserved:    {"nd_reserved", "", "ERICOXM_OF_ICMPV6_ND_RESERVED", header{classERIC, 1}, none, 4, decimal, needICMP6},
		NDOptionsType: {"nd_options_type", "", "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", header{classERIC, 2}, none, 1, decimal, needICMP6},
		TunID:         {"tun_id", "", "NXM_NX_TUN_ID", of(38), nx(16), 8, hexadecimal, nil},
		CTNwSrc:       {"ct_nw_src", "", "NXM_NX_CT_NW_SRC", nx(120), none, 4, ipv4, needIPv4},
		CTNwDst:       {"ct_nw_dst", "", "NXM_NX_CT_NW_DST", nx(121), none, 4, ipv4, needIPv4},
		CTIPv6Src:     {"ct_ipv6_src", "", "NXM_NX_CT_IPV6_SRC", nx(122), none, 16, ipv6, needIPv6},
		CTIPv6Dst:     {"ct_ipv6_dst", "", "NXM_NX_CT_IPV6_DST", nx(123), none, 16, ipv6, needIPv6},
		CTNwProto:     {"ct_nw_proto", "", "NXM_NX_CT_NW_PROTO", nx(119), none, 1, decimal, nil},
		CTTpSrc:       {"ct_tp_src", "", "NXM_NX_CT_TP_SRC", nx(124), none, 2, decimal, nil},
		CTTpDst:       {"ct_tp_dst", "", "NXM_NX_CT_TP_DST", nx(125), none, 2, decimal, nil},
	}
	for i := range uint8(16) {
		digits := string(rune('0' + i))
		if i > 9 {
			digits = "1" + string(rune('0'+i-10))
		}
		info[Reg0+Field(i)] = fieldInfo{"reg" + digits, "", "NXM_NX_REG" + digits, nx(i), none, 4, hexadecimal, nil}
	}
	byHeader = make(map[header]Field)
	for f := Field(1); f < numFields; f++ {
		byHeader[info[f].oxm] = f
		if info[f].alt != none {
			byHeader[info[f].alt] = f
		}
	}
	for _, f := range []Field{NDSLL} { // these belong to one message type each
		info[f].needs = append(needICMP6[:2:2], Cond{ICMPv6Type, Uint(135), ones(1)})
	}
	for _, f := range []Field{NDTLL} {
		info[f].needs = append(needICMP6[:2:2], Cond{ICMPv6Type, Uint(136), ones(1)})
	}
}

// byHeader finds a field by class and number.
var byHeader map[header]Field

// String returns the field's name as ovs-fields(7) has it: "reg0", "eth_src".
func (f Field) String() string {
	if f == 0 || f >= numFields {
		return "field?"
	}
	return info[f].name
}

// matchName returns the field's name as a match has it: "dl_src".
func (f Field) matchName() string {
	if info[f].match != "" {
		return info[f].match
	}
	return info[f].name
}

// Whole returns all of f as a Subfield.
func (f Field) Whole() Subfield { return Subfield{f, 0, f.width()} }

// width returns how many bits of its bytes a field uses.
func (f Field) width() uint16 {
	switch f {
	case IPECN:
		return 2
	case IPDSCP:
		return 6
	case TCPFlags:
		return 12
	case IPv6Label:
		return 20
	}
	return uint16(8 * info[f].bytes)
}

// Range returns bits lo to hi of f, both included, as in reg5[0..15].
func (f Field) Range(lo, hi uint16) Subfield { return Subfield{f, lo, hi - lo + 1} }

// ones is the mask that covers the whole of a field n bytes wide.
func ones(n int) (b Bits) {
	for i := 16 - n; i < 16; i++ {
		b[i] = 0xff
	}
	return b
}
