package quirk

import (
	"fmt"
	"slices"
)

// A Means is by what Open vSwitch has its tracker forget one connection, and no other.
type Means string

// The means. NXT_CT_FLUSH_ZONE is none of them: it empties a zone.
const (
	ByOpenFlow Means = "NXT_CT_FLUSH"          // through a bridge of the datapath, with the whole original tuple and the zone
	ByControl  Means = "dpctl/flush-conntrack" // through the control socket, with the same
	ByNetlink  Means = "netlink"               // out of the kernel's table, past Open vSwitch: any connection of the kernel's datapath, with the same
)

// A Target is a connection, as far as it matters to how it is forgotten.
type Target struct {
	Protocol         uint8 // IP protocol
	SrcPort, DstPort uint16
	ICMPType         uint8 // of the side that opened it
}

// IP protocols (IANA).
const (
	icmp    = 1
	tcp     = 6
	udp     = 17
	dccp    = 33
	icmpv6  = 58
	sctp    = 132
	udplite = 136
)

// Forget says by which means a switch with some quirks forgets one connection: none other goes
// with it, and the switch lives. The error says why there is no such means; the connection has to
// end by itself then. All that it knows comes from what was seen and read of versions 2.17 to 3.7:
//
//   - A port of zero is no port but any: others of the same hosts would go as well.
//   - ICMP and ICMPv6 of a type that the userspace datapath cannot turn round kill it; so does
//     ICMPv6 of any type before the versions in FlushICMPv6.
//   - The kernel's datapath removes ICMP, ICMPv6, TCP and UDP; asked for others it does nothing, and
//     tells nobody.
func Forget(quirks []Quirk, userspace bool, t Target) (Means, error) {
	has := func(id ID) bool { return slices.ContainsFunc(quirks, func(q Quirk) bool { return q.ID == id }) }
	switch {
	case t.Protocol == icmpv6 && has(FlushICMPv6):
		return "", fmt.Errorf("removing one of ICMPv6 kills this version of ovs-vswitchd (%s)", FlushICMPv6)
	case userspace && !reversible(t):
		return "", fmt.Errorf("removing one of ICMP type %d kills ovs-vswitchd (%s)", t.ICMPType, FlushICMPType)
	case (t.SrcPort == 0 || t.DstPort == 0) && t.hasPorts(userspace, has(SCTPPorts)):
		return "", fmt.Errorf("a port of zero stands for any: others would go with it (%s)", FlushPortZero)
	case !userspace && !slices.Contains([]uint8{icmp, icmpv6, tcp, udp}, t.Protocol):
		return "", fmt.Errorf("Open vSwitch removes none of IP protocol %d from the kernel's table", t.Protocol)
	case has(NoFlush):
		return ByControl, nil
	}
	return ByOpenFlow, nil
}

// hasPorts reports whether the tracker tells connections apart by ports. That of the userspace
// datapath knows those of TCP and UDP; of SCTP it has, in versions with SCTPPorts, one connection between two
// hosts, of which both ports are zero.
func (t Target) hasPorts(userspace, portless bool) bool {
	if userspace && t.SrcPort == 0 && t.DstPort == 0 {
		return t.Protocol == tcp || t.Protocol == udp || t.Protocol == sctp && !portless
	}
	return slices.Contains([]uint8{tcp, udp, dccp, sctp, udplite}, t.Protocol)
}

// reversible reports whether the userspace datapath knows the answer to an ICMP message: that of
// another one it looks up with an assertion.
func reversible(t Target) bool {
	switch t.Protocol {
	case icmp:
		return slices.Contains([]uint8{0, 8, 13, 14, 15, 16}, t.ICMPType) // echo, timestamp, information: requests and answers
	case icmpv6:
		return t.ICMPType == 128 || t.ICMPType == 129
	}
	return true
}
