package ofproto

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

var ctStateNames = []string{"new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"}

// textOrder is the order in which ovs-ofctl prints a match. EthType stands where the
// name of the protocol stands, which speaks for EthType and IPProto.
var textOrder = []Field{
	PktMark, ConjID, CTState, CTZone, CTMark, CTLabel, CTNwSrc, CTIPv6Src, CTNwDst, CTIPv6Dst, CTNwProto, CTTpSrc, CTTpDst,
	EthType, Reg0, Reg1, Reg2, Reg3, Reg4, Reg5, Reg6, Reg7, Reg8, Reg9, Reg10, Reg11, Reg12, Reg13, Reg14, Reg15,
	TunID, Metadata, InPort, VLANTCI, EthSrc, EthDst, IPv4Src, IPv4Dst, IPv6Src, IPv6Dst, IPv6Label, ARPSPA, ARPTPA,
	IPProto, ARPOp, ARPSHA, ARPTHA, IPDSCP, IPECN, IPTTL, IPFrag,
	ICMPv4Type, ICMPv4Code, ICMPv6Type, ICMPv6Code, NDTarget, NDSLL, NDTLL, NDReserved, NDOptionsType,
	TCPSrc, TCPDst, UDPSrc, UDPDst, SCTPSrc, SCTPDst, TCPFlags,
}

// textRank is the inverse of textOrder.
var textRank = func() (rank [numFields]uint8) {
	for i, f := range textOrder {
		rank[f] = uint8(i)
	}
	return rank
}()

var protocolNames = map[uint64]map[uint64]string{
	0x0800: {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp", 2: "igmp"},
	0x86dd: {58: "icmp6", 6: "tcp6", 17: "udp6", 132: "sctp6"},
}

var etherNames = map[uint64]string{0x0800: "ip", 0x86dd: "ipv6", 0x0806: "arp", 0x8035: "rarp"}

// String returns m as ovs-ofctl prints it, without table and priority.
func (m Match) String() string {
	var parts [numFields]string
	ether, hasEther := m.value(EthType)
	proto, hasProto := m.value(IPProto)
	name := protocolNames[ether][proto]
	if !hasProto || !hasEther {
		name = ""
	}
	for _, c := range m {
		s := c.String()
		switch {
		case c.Field == EthType && name != "":
			s = name
		case c.Field == EthType && etherNames[ether] != "" && hasEther:
			s = etherNames[ether]
		case c.Field == IPProto && name != "":
			continue
		}
		parts[textRank[c.Field]] = s
	}
	var b strings.Builder
	for _, s := range parts {
		if s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s)
	}
	return b.String()
}

// String returns c as ovs-ofctl prints it in a match.
func (c Cond) String() string {
	if c.Field == IPDSCP { // the DSCP is the upper six bits of the TOS byte
		return "nw_tos=" + strconv.FormatUint(c.Value.Uint64()<<2, 10)
	}
	return matchName(c.Field) + "=" + c.value()
}

// value is the part after the equals sign.
func (c Cond) value() string {
	i := &info[c.Field]
	exact := c.Mask == ones(i.bytes)
	switch i.format {
	case ipv4, ipv6:
		return addrText(c, i.bytes, exact)
	case ctState:
		return ctStateText(c)
	case port:
		return portText(uint32(c.Value.Uint64()))
	case frag:
		return fragText(c)
	}
	s := valueText(c.Value, i)
	if exact {
		return s
	}
	if i.format == decimal { // a masked number is easier to read in hexadecimal
		s = fmt.Sprintf("%#x", c.Value.Uint64())
		return s + fmt.Sprintf("/%#x", c.Mask.Uint64())
	}
	return s + "/" + valueText(c.Mask, i)
}

// valueText is a whole value, as in set_field too.
func valueText(v Bits, i *fieldInfo) string {
	switch i.format {
	case mac:
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", v[10], v[11], v[12], v[13], v[14], v[15])
	case ipv4:
		return netip.AddrFrom4([4]byte(v[12:])).String()
	case ipv6:
		return netip.AddrFrom16(v).String()
	case decimal:
		return strconv.FormatUint(v.Uint64(), 10)
	case port:
		return portText(uint32(v.Uint64()))
	}
	if i.bits == 20 && i.format == hexadecimal { // the flow label
		return fmt.Sprintf("0x%05x", v.Uint64())
	}
	return hexText(v)
}

// hexText is a number as C's %#x has it: a zero has no prefix.
func hexText(v Bits) string {
	if v == (Bits{}) {
		return "0"
	}
	if hi := binary.BigEndian.Uint64(v[:8]); hi != 0 {
		return fmt.Sprintf("%#x%016x", hi, v.Uint64())
	}
	return fmt.Sprintf("%#x", v.Uint64())
}

func addrText(c Cond, n int, exact bool) string {
	addr := func(b Bits) netip.Addr {
		a, _ := netip.AddrFromSlice(b[16-n:])
		return a
	}
	a := addr(c.Value).String()
	if exact {
		return a
	}
	length := 0
	for _, b := range c.Mask[16-n:] {
		length += bits.OnesCount8(b)
	}
	if InPrefix(c.Field, netip.PrefixFrom(addr(c.Value), length)).Mask == c.Mask {
		return fmt.Sprintf("%s/%d", a, length)
	}
	return a + "/" + addr(c.Mask).String()
}

func ctStateText(c Cond) string {
	v, mask := c.Value.Uint64(), c.Mask.Uint64()
	var b strings.Builder
	for bit, name := range ctStateNames {
		switch {
		case mask>>bit&1 == 0:
		case v>>bit&1 == 1:
			b.WriteString("+" + name)
		default:
			b.WriteString("-" + name)
		}
	}
	return b.String()
}

func fragText(c Cond) string {
	switch [2]uint64{c.Value.Uint64(), c.Mask.Uint64()} {
	case [2]uint64{0, 3}, [2]uint64{0, 0xff}:
		return "no"
	case [2]uint64{1, 3}, [2]uint64{1, 0xff}:
		return "first"
	case [2]uint64{3, 3}, [2]uint64{3, 0xff}:
		return "later"
	case [2]uint64{0, 1}:
		return "no"
	case [2]uint64{1, 1}:
		return "yes"
	case [2]uint64{0, 2}:
		return "not_later"
	}
	return fmt.Sprintf("%#x/%#x", c.Value.Uint64(), c.Mask.Uint64())
}

var portNames = map[uint32]string{
	PortInPort: "IN_PORT", PortTable: "TABLE", PortNormal: "NORMAL", PortFlood: "FLOOD",
	PortAll: "ALL", PortController: "CONTROLLER", PortLocal: "LOCAL", PortAny: "ANY",
}

func portText(p uint32) string {
	if name, ok := portNames[p]; ok {
		return name
	}
	return strconv.FormatUint(uint64(p), 10)
}

// matchNames are the names of fields in a match, where these are others than in actions.
var matchNames = map[Field]string{
	InPort: "in_port", EthSrc: "dl_src", EthDst: "dl_dst", EthType: "dl_type", IPFrag: "nw_frag", IPv4Src: "nw_src", IPv4Dst: "nw_dst",
	TCPSrc: "tp_src", TCPDst: "tp_dst", UDPSrc: "tp_src", UDPDst: "tp_dst", SCTPSrc: "tp_src", SCTPDst: "tp_dst",
	ICMPv6Type: "icmp_type", ICMPv6Code: "icmp_code",
}

func matchName(f Field) string {
	if n, ok := matchNames[f]; ok {
		return n
	}
	return info[f].name
}
