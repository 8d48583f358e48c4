package conntrack

import (
	"math/bits"
	"strconv"
	"strings"
)

// A Protocol is the number of an IP protocol (IANA).
type Protocol uint8

// The protocols to which Open vSwitch gives names.
const (
	ICMP    Protocol = 1
	IGMP    Protocol = 2
	TCP     Protocol = 6
	UDP     Protocol = 17
	DCCP    Protocol = 33
	ICMPv6  Protocol = 58
	SCTP    Protocol = 132
	UDPLite Protocol = 136
)

const gre Protocol = 47 // to which it gives none

var protocolNames = map[Protocol]string{
	ICMP: "icmp", IGMP: "igmp", TCP: "tcp", UDP: "udp", DCCP: "dccp", ICMPv6: "icmpv6", SCTP: "sctp", UDPLite: "udplite",
}

// String returns p as Open vSwitch names it: "tcp", "icmpv6"; a number for others.
func (p Protocol) String() string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// ParseProtocol reads what String writes.
func ParseProtocol(s string) (Protocol, bool) {
	for p, name := range protocolNames {
		if name == s {
			return p, true
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return Protocol(n), err == nil
}

// A State is how far a connection has come, in the words of Open vSwitch. Zero: not said.
type State uint8

// The states of TCP, in the order in which a connection goes through them; and those that only
// SCTP has, and only DCCP. Closed and Established are of all three, and so are Closing and
// TimeWait of TCP and DCCP.
const (
	Closed State = 1 + iota
	Listen
	SynSent
	SynRecv
	Established
	CloseWait
	FinWait1
	Closing
	LastAck
	FinWait2
	TimeWait

	CookieWait
	CookieEchoed
	ShutdownSent
	ShutdownRecd
	ShutdownAckSent
	HeartbeatSent
	HeartbeatAcked

	Request
	Respond
	PartOpen
	CloseReq

	states
)

var stateNames = [states]string{
	"", "CLOSED", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "CLOSING", "LAST_ACK", "FIN_WAIT_2", "TIME_WAIT",
	"COOKIE_WAIT", "COOKIE_ECHOED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
	"REQUEST", "RESPOND", "PARTOPEN", "CLOSEREQ",
}

// String returns s as Open vSwitch writes it; empty: not said.
func (s State) String() string {
	if s >= states {
		return strconv.Itoa(int(s))
	}
	return stateNames[s]
}

// ParseState reads what String writes, but for what is empty.
func ParseState(text string) (State, bool) {
	for s := Closed; s < states; s++ {
		if stateNames[s] == text {
			return s, true
		}
	}
	return 0, false
}

// Status is the bits of the kernel's that say what has become of a connection
// (linux/netfilter/nf_conntrack_common.h). The userspace datapath has none.
type Status uint32

// The bits of Status.
const (
	StatusExpected     Status = 1 << iota // IPS_EXPECTED: another connection has announced it
	StatusSeenReply                       // IPS_SEEN_REPLY: packets went both ways
	StatusAssured                         // IPS_ASSURED: it is not to make room for others
	StatusConfirmed                       // IPS_CONFIRMED: it is in the table
	StatusSrcNAT                          // IPS_SRC_NAT
	StatusDstNAT                          // IPS_DST_NAT
	StatusSeqAdjust                       // IPS_SEQ_ADJUST: its sequence numbers are changed
	StatusSrcNATDone                      // IPS_SRC_NAT_DONE: it is settled what its source becomes
	StatusDstNATDone                      // IPS_DST_NAT_DONE
	StatusDying                           // IPS_DYING: it is gone from the table
	StatusFixedTimeout                    // IPS_FIXED_TIMEOUT: packets do not keep it alive
	StatusTemplate                        // IPS_TEMPLATE
	StatusUntracked                       // IPS_UNTRACKED, or IPS_NAT_CLASH by now
	StatusHelper                          // IPS_HELPER: its helper was asked for
	StatusOffload                         // IPS_OFFLOAD: a flow table forwards it
	StatusHWOffload                       // IPS_HW_OFFLOAD: the network card does
)

var statusNames = [...]string{
	"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE", "DST_NAT_DONE", "DYING",
	"FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD",
}

// String returns the names of the bits, as Open vSwitch writes them: "SEEN_REPLY|CONFIRMED", and
// "0" for none. Bits without a name are one number: "0x10000".
func (s Status) String() string { return flagText(uint32(s), statusNames[:]) }

// ParseStatus reads what String writes, or a number.
func ParseStatus(text string) (Status, bool) {
	v, ok := parseFlags(text, statusNames[:], 32)
	return Status(v), ok
}

// TCPFlags are the bits of one end of a TCP connection, as the kernel has them
// (IP_CT_TCP_FLAG_*).
type TCPFlags uint8

var tcpFlagNames = [...]string{"WINDOW_SCALE", "SACK_PERM", "CLOSE_INIT", "BE_LIBERAL", "DATA_UNACKNOWLEDGED", "MAXACK_SET"}

// String returns the names of the bits, as Status does.
func (f TCPFlags) String() string { return flagText(uint32(f), tcpFlagNames[:]) }

// ParseTCPFlags reads what String writes, or a number.
func ParseTCPFlags(text string) (TCPFlags, bool) {
	v, ok := parseFlags(text, tcpFlagNames[:], 8)
	return TCPFlags(v), ok
}

func flagText(v uint32, names []string) string {
	var b strings.Builder
	for v != 0 {
		i := bits.TrailingZeros32(v)
		if b.Len() > 0 {
			b.WriteByte('|')
		}
		if i >= len(names) {
			b.WriteString("0x" + strconv.FormatUint(uint64(v), 16))
			break
		}
		b.WriteString(names[i])
		v &^= 1 << i
	}
	if b.Len() == 0 {
		return "0"
	}
	return b.String()
}

// parseFlags reads names and numbers between |.
func parseFlags(text string, names []string, width int) (v uint32, ok bool) {
	for more := true; more; {
		var part string
		part, text, more = strings.Cut(text, "|")
		i := 0
		for i < len(names) && names[i] != part {
			i++
		}
		if i < len(names) {
			v |= 1 << i
			continue
		}
		n, err := strconv.ParseUint(part, 0, width)
		if err != nil {
			return 0, false
		}
		v |= uint32(n)
	}
	return v, true
}
