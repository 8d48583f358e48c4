package intent

import "strconv"

// A Service is what a connection is for, as far as its headers say: a protocol, and
// in it ports or types.
type Service struct {
	Protocol Protocol
	Ports    []PortRange // destination ports, of TCP, UDP and SCTP; empty: all
	Types    []ICMPType  // of ICMP and ICMPv6; empty: all
}

// A PortRange is the ports from Lo to Hi, both included.
type PortRange struct{ Lo, Hi uint16 }

// An ICMPType is a type of ICMP or ICMPv6 message, and one of its codes or all.
type ICMPType struct {
	Type    uint8
	Code    uint8 // zero if AnyCode
	AnyCode bool
}

// String returns "8" or "3/4".
func (t ICMPType) String() string {
	s := strconv.Itoa(int(t.Type))
	if !t.AnyCode {
		s += "/" + strconv.Itoa(int(t.Code))
	}
	return s
}

// Protocol is a rule's protocol: one of the names below, or the decimal number of an IP
// protocol that has none of them. So equal protocols are equal strings.
type Protocol string

// The protocols of a Rule that have a name. ARP and ND have rules of their own only
// where the tenant's implicitARP is false.
const (
	AnyProtocol Protocol = "any"
	TCP         Protocol = "tcp"
	UDP         Protocol = "udp"
	SCTP        Protocol = "sctp"
	DCCP        Protocol = "dccp" // Open vSwitch matches no ports of it
	GRE         Protocol = "gre"
	ICMP        Protocol = "icmp"   // IPv4 only
	ICMPv6      Protocol = "icmpv6" // IPv6 only
	ARP         Protocol = "arp"
	ND          Protocol = "nd"
)

// protocols are the names, in the order in which they are told.
var protocols = []string{
	string(AnyProtocol), string(TCP), string(UDP), string(SCTP), string(DCCP), string(GRE), string(ICMP), string(ICMPv6), string(ARP), string(ND),
}

// named are the numbers of the IP protocols that have a name here (IANA, protocol
// numbers).
var named = map[Protocol]uint8{ICMP: 1, TCP: 6, UDP: 17, DCCP: 33, GRE: 47, ICMPv6: 58, SCTP: 132}

// Number returns p's number in the IP header. It has none if p is any, ARP, or ND, which
// is a part of ICMPv6.
func (p Protocol) Number() (n uint8, ok bool) {
	if n, ok := named[p]; ok {
		return n, true
	}
	v, err := strconv.ParseUint(string(p), 10, 8)
	return uint8(v), err == nil
}

// HasPorts reports whether ports of p can be matched.
func (p Protocol) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// numbered returns the protocol of a number, by its name if it has one.
func numbered(n uint8) Protocol {
	for p, known := range named {
		if known == n {
			return p
		}
	}
	return Protocol(strconv.Itoa(int(n)))
}
