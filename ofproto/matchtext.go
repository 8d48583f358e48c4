package ofproto

import (
	"slices"
	"strconv"
)

// textOrder is the order in which ovs-ofctl prints a match. EthType stands where the name
// of the protocol stands, which speaks for EthType and IPProto.
var textOrder = func() []Field {
	order := []Field{
		PktMark, RecircID, DPHash, ConjID, ActsetOutput, CTState, CTZone, CTMark, CTLabel, CTNwSrc, CTIPv6Src,
		CTNwDst, CTIPv6Dst, CTNwProto, CTTpSrc, CTTpDst, PacketType, EthType,
	}
	for f := Reg0; f <= Reg15; f++ {
		order = append(order, f)
	}
	order = append(order, TunID, TunSrc, TunDst, TunIPv6Src, TunIPv6Dst, TunGBPID, TunGBPFlags,
		TunERSPANVer, TunERSPANIdx, TunERSPANDir, TunERSPANHWID, TunGTPUFlags, TunGTPUMsgType, TunFlags)
	for f := TunMetadata0; f <= TunMetadata63; f++ {
		order = append(order, f)
	}
	return append(order, Metadata, InPort, VLANTCI, EthSrc, EthDst, IPv6Src, IPv6Dst, IPv6Label, ARPSPA, ARPTPA,
		NSHFlags, NSHTTL, NSHMDType, NSHNP, NSHSPI, NSHSI, NSHC1, NSHC2, NSHC3, NSHC4, IPv4Src, IPv4Dst, IPProto, ARPOp,
		ARPSHA, ARPTHA, IPDSCP, IPECN, IPTTL, MPLSLabel, MPLSTC, MPLSTTL, MPLSBoS, IPFrag,
		ICMPv4Type, ICMPv4Code, ICMPv6Type, ICMPv6Code, NDTarget, NDSLL, NDTLL, NDReserved, NDOptionsType,
		TCPSrc, TCPDst, UDPSrc, UDPDst, SCTPSrc, SCTPDst, TCPFlags)
}()

// textRank is the inverse of textOrder, with room between two ranks.
var textRank = func() (rank [numFields]uint16) {
	for i, f := range textOrder {
		rank[f] = uint16(2 * i)
	}
	return rank
}()

// String returns m as ovs-ofctl prints it, without table and priority.
func (m Match) String() string {
	var buf [256]byte
	return string(m.appendText(buf[:0]))
}

// appendText appends m as ovs-ofctl prints it, without table and priority.
func (m Match) appendText(b []byte) []byte {
	var order [32]uint8
	start := len(b)
	t := matchText{m: m, headers: m.headers().shown(), megaflow: m.has(RecircID)}
	for _, i := range t.inTextOrder(order[:0]) {
		if n := len(b); n > start && b[n-1] != ',' {
			b = append(b, ',')
		}
		b = t.append(b, int(i))
	}
	if n := len(b); n > start && b[n-1] == ',' {
		b = b[:n-1]
	}
	return b
}

// inTextOrder appends the indices of the conditions to order as they are printed. A tunnel
// option of several is there once. The index beyond the last stands for "eth" where that is
// to be said though it is not a condition of its own.
func (t *matchText) inTextOrder(order []uint8) []uint8 {
	for i := range t.m {
		if i == 0 || t.m[i].Field != t.m[i-1].Field {
			order = slices.Insert(order, t.place(order, t.rank(i)), uint8(i))
		}
	}
	if t.megaflow && t.m.needsHeaders() && !t.m.has(PacketType) {
		order = slices.Insert(order, t.place(order, textRank[PacketType]), uint8(len(t.m)))
	}
	return order
}

// place returns where in order something of that rank stands.
func (t *matchText) place(order []uint8, rank uint16) int {
	at := len(order)
	for at > 0 && t.rank(int(order[at-1])) > rank {
		at--
	}
	return at
}

// rank returns where the i-th condition is printed. A type that has no name stands behind
// the addresses.
func (t *matchText) rank(i int) uint16 {
	if i == len(t.m) {
		return textRank[PacketType]
	}
	if f := t.m[i].Field; f != EthType || etherName(t.headers.ether()) != "" {
		return textRank[f]
	}
	return textRank[EthDst] + 1
}

// matchText prints one match.
type matchText struct {
	m        Match
	headers  headers
	megaflow bool // it is one of a datapath: all is said
}

// append appends the i-th condition, or nothing if it is not printed.
func (t *matchText) append(b []byte, i int) []byte {
	if i == len(t.m) {
		return append(b, "eth"...)
	}
	c := &t.m[i]
	switch {
	case c.Field.isTunMetadata():
		return t.m.appendTunText(b, i)
	case !t.prints(c):
		return b
	case c.Field == EthType:
		return t.appendProtocol(b)
	case c.Field == VLANTCI:
		return appendTCIText(b, uint16(c.Value.low()), uint16(c.Mask.low()))
	}
	return c.appendText(b)
}

// prints reports whether Open vSwitch prints c in this match, though there may be no reason
// why it does not.
func (t *matchText) prints(c *Cond) bool {
	h := &t.headers
	switch f := c.Field; f {
	case PacketType:
		return t.megaflow || !c.Value.zero()
	case TunERSPANIdx:
		return t.exactly(TunERSPANVer, 1)
	case TunERSPANDir, TunERSPANHWID:
		return t.exactly(TunERSPANVer, 2)
	case CTTpSrc, CTTpDst:
		return t.m.has(CTNwProto)
	case NSHC1, NSHC2, NSHC3, NSHC4:
		return h.ether() == etherNSH && t.exactly(NSHMDType, 1)
	case NSHFlags, NSHTTL, NSHMDType, NSHNP, NSHSPI, NSHSI:
		return h.ether() == etherNSH
	case IPv6Src, IPv6Dst, IPv6Label:
		return h.ether() == etherIPv6
	case IPv4Src, IPv4Dst:
		return h.ether() != etherIPv6 && h.ether() != etherNSH
	case IPProto:
		return t.protocolName() == ""
	case ARPSHA, ARPTHA:
		return h.meet(isARP)
	case NDTarget, NDSLL, NDTLL, NDReserved, NDOptionsType:
		return h.isICMPv6()
	case TCPFlags:
		real := t.m.headers()
		return real.carries(isTCP)
	}
	return true
}

// exactly reports whether the match has v as the value of f.
func (t *matchText) exactly(f Field, v uint64) bool {
	i, found := t.m.find(f)
	return found && t.m[i].Value.low() == v
}

// protocolName returns the name that stands for EthType and IPProto together; "" if there is
// none.
func (t *matchText) protocolName() string {
	if !t.m.has(EthType) || !t.m.has(IPProto) {
		return ""
	}
	proto := t.headers.proto
	switch t.headers.ether() {
	case etherIPv4:
		switch proto {
		case 1:
			return "icmp"
		case 6:
			return "tcp"
		case 17:
			return "udp"
		case 132:
			return "sctp"
		}
	case etherIPv6:
		switch proto {
		case 6:
			return "tcp6"
		case 17:
			return "udp6"
		case 58:
			return "icmp6"
		case 132:
			return "sctp6"
		}
	}
	return ""
}

// appendProtocol appends what stands for EthType.
func (t *matchText) appendProtocol(b []byte) []byte {
	if name := t.protocolName(); name != "" {
		return append(b, name...)
	}
	if name := etherName(t.headers.ether()); name != "" {
		return append(b, name...)
	}
	return append0x(append(b, "dl_type="...), uint64(t.headers.ether()), 4)
}

func etherName(ether uint16) string {
	switch ether {
	case etherIPv4:
		return "ip"
	case etherIPv6:
		return "ipv6"
	case etherARP:
		return "arp"
	case etherRARP:
		return "rarp"
	case etherMPLS:
		return "mpls"
	case etherMPLSM:
		return "mplsm"
	}
	return ""
}

// appendTunText appends the tunnel option that begins at m[i].
func (m Match) appendTunText(b []byte, i int) []byte {
	value, mask, masked, _ := m.tunMetadata(i)
	b = append(b, info[m[i].Field].name...)
	if masked && significant(mask) == 0 {
		return b // it is there
	}
	b = appendHex(append(b, '='), value)
	if slices.ContainsFunc(mask, func(c byte) bool { return c != 0xff }) {
		b = appendHex(append(b, '/'), mask)
	}
	return b
}

// appendTCIText appends a condition on the VLAN TCI: as VID and PCP if it is one on these and
// on nothing else.
func appendTCIText(b []byte, tci, mask uint16) []byte {
	vid, pcp := mask&vlanVID, mask&vlanPCP
	if tci&mask&vlanCFI != 0 && (vid == 0 || vid == vlanVID) && (pcp == 0 || pcp == vlanPCP) && vid|pcp != 0 {
		if vid != 0 {
			b = strconv.AppendUint(append(b, "dl_vlan="...), uint64(tci&vlanVID), 10)
		}
		if vid != 0 && pcp != 0 {
			b = append(b, ',')
		}
		if pcp != 0 {
			b = strconv.AppendUint(append(b, "dl_vlan_pcp="...), uint64(tci>>13), 10)
		}
		return b
	}
	b = append0x(append(b, "vlan_tci="...), uint64(tci), 4)
	if mask != 0xffff {
		b = append0x(append(b, '/'), uint64(mask), 4)
	}
	return b
}

// String returns c as ovs-ofctl prints it in a match.
func (c Cond) String() string {
	switch {
	case c.Field.isTunMetadata():
		return string(Match{c}.appendTunText(nil, 0))
	case c.Field == VLANTCI:
		return string(appendTCIText(nil, uint16(c.Value.low()), uint16(c.Mask.low())))
	}
	return string(c.appendText(nil))
}

// A matchStyle is how a field's value is written in a match, which is not always how it is
// written in an action.
type matchStyle uint8

const (
	asFormat    matchStyle = iota // as in an action
	asNumber                      // decimal; masked, hexadecimal
	asNumber08                    // the same, masked with eight digits
	asNumber02                    // the same, masked with two digits
	asHex                         // hexadecimal, but a zero without 0x
	as0x                          // hexadecimal
	as0x04                        // with four digits
	as0x05                        // with five digits
	asValue                       // decimal; the mask is not printed
	asHexValue                    // hexadecimal; the mask is not printed
	asTOS                         // the DSCP where it stands in the byte
	asStateBits                   // of ct_state
	asTunFlags
	asAny // anything else that is complete with its name
)

// matchStyles has how fields are written in a match.
var matchStyles = func() (style [numFields]matchStyle) {
	set := func(s matchStyle, fields ...Field) {
		for _, f := range fields {
			style[f] = s
		}
	}
	set(asHex, PktMark, RecircID, DPHash, CTMark, TunID, Metadata)
	for f := Reg0; f <= Reg15; f++ {
		style[f] = asHex
	}
	set(asNumber, CTZone, CTTpSrc, CTTpDst, TunGBPID, TCPSrc, TCPDst, UDPSrc, UDPDst, SCTPSrc, SCTPDst,
		ICMPv4Type, ICMPv4Code, ICMPv6Type, ICMPv6Code, NDOptionsType)
	set(asNumber08, NDReserved)
	set(asNumber02, NSHFlags, NSHTTL, NSHMDType, NSHNP, NSHSI)
	set(as0x, NSHSPI, NSHC1, NSHC2, NSHC3, NSHC4)
	set(as0x04, EthType)
	set(as0x05, IPv6Label)
	set(asValue, ConjID, CTNwProto, TunERSPANVer, TunERSPANDir, TunGTPUMsgType, IPProto, ARPOp, IPECN, IPTTL, MPLSLabel, MPLSTC, MPLSTTL, MPLSBoS)
	set(asHexValue, TunGBPFlags, TunERSPANIdx, TunERSPANHWID, TunGTPUFlags)
	set(asTOS, IPDSCP)
	set(asStateBits, CTState)
	set(asTunFlags, TunFlags)
	set(asAny, PacketType)
	return style
}()

// appendText appends c as ovs-ofctl prints it in a match.
func (c *Cond) appendText(b []byte) []byte {
	style := matchStyles[c.Field]
	v, mask := c.Value.low(), c.Mask.low()
	if style == asAny {
		return appendPacketType(b, uint32(v), uint32(mask))
	}
	b = append(append(b, matchName(c.Field)...), '=')
	switch style {
	case asFormat:
		return appendValue(b, c.Field, c.Value, c.Mask)
	case asTOS:
		return strconv.AppendUint(b, v<<2, 10)
	case asValue:
		return strconv.AppendUint(b, v, 10)
	case asHexValue:
		return appendHex(b, c.Value[:])
	case asStateBits:
		return appendFlags(b, ctStateNames, v, mask&0xff, 0xff)
	case asTunFlags:
		return appendFlags(b, tunFlagNames, v, mask, 15)
	}
	return c.appendNumber(b, style)
}

// appendNumber appends the value of c, and its mask if it is not of all bits.
func (c *Cond) appendNumber(b []byte, style matchStyle) []byte {
	v, mask := c.Value.low(), c.Mask.low()
	exact := c.Mask == ones(info[c.Field].bytes) || c.Mask == ones(2) && info[c.Field].bytes == 1
	digits := 1
	switch style {
	case asHex:
		b = appendHex(b, c.Value[:])
		if !exact {
			b = appendHex(append(b, '/'), c.Mask[:])
		}
		return b
	case asNumber08:
		digits = 8
	case asNumber02:
		digits = 2
	case as0x04:
		digits = 4
	case as0x05:
		digits = 5
	}
	if exact && (style == asNumber || style == asNumber08 || style == asNumber02) {
		return strconv.AppendUint(b, v, 10)
	}
	b = append0x(b, v, digits)
	if !exact {
		b = append0x(append(b, '/'), mask, digits)
	}
	return b
}

// matchName returns the name of f in a match, where it may be another than in actions.
func matchName(f Field) string {
	switch f {
	case InPort:
		return "in_port"
	case EthSrc, EthDst, EthType, IPv4Src, IPv4Dst, IPFrag:
		return info[f].alias
	case IPDSCP:
		return "nw_tos"
	case TCPSrc, UDPSrc, SCTPSrc:
		return "tp_src"
	case TCPDst, UDPDst, SCTPDst:
		return "tp_dst"
	case ICMPv6Type:
		return "icmp_type"
	case ICMPv6Code:
		return "icmp_code"
	case TunGTPUFlags:
		return "gtpu_flags"
	case TunGTPUMsgType:
		return "gtpu_msgtype"
	}
	return info[f].name
}
