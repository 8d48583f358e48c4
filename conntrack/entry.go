package conntrack

import (
	"encoding/hex"
	"iter"
	"net/netip"
	"strings"
)

// A Tuple is one direction of a connection. Ports are of TCP, UDP, SCTP, DCCP, and of GRE its
// keys; the ICMP fields of ICMP and ICMPv6. What the protocol does not have is zero.
type Tuple struct {
	Src, Dst           netip.Addr
	SrcPort, DstPort   uint16
	ICMPID             uint16
	ICMPType, ICMPCode uint8
}

// A Label is a ct_label, its highest byte first.
type Label [16]byte

// String returns l as Open vSwitch prints it: hexadecimal without leading zeroes.
func (l Label) String() string {
	s := hex.EncodeToString(l[:])
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return "0x" + s
}

// Counters are what went one way.
type Counters struct{ Packets, Bytes uint64 }

// An Entry is one connection. It holds no memory of its own but that of Other: it can be
// compared with ==, and be kept.
//
// What a source does not say is zero. The kernel's datapath has one state of a connection of
// TCP, which it then has in both directions, too; the userspace datapath has one of each, and
// State is the one that has come further.
type Entry struct {
	Protocol Protocol
	Orig     Tuple // of the side that opened it
	Reply    Tuple // of the answers, as they come
	Parent   Tuple // of the connection that announced it, as it was opened; no Src: none
	Zone     uint16
	Mark     uint32
	Label    Label
	ID       uint32
	Status   Status
	Timeout  uint32 // seconds until it expires
	Helper   string // "ftp"; empty: none

	State                 State // of TCP, SCTP and DCCP
	StateOrig, StateReply State // of TCP, by direction
	FlagsOrig, FlagsReply TCPFlags
	ScaleOrig, ScaleReply uint8  // of TCP's windows
	TagOrig, TagReply     uint32 // of SCTP: the verification tags
	CountOrig, CountReply Counters
	Start, Stop           int64  // Unix time in nanoseconds
	ZoneOrig, ZoneReply   uint16 // of one direction alone; Zone is zero then
	Uses                  uint32 // of the entry in the kernel
	Other                 Other  // what this version does not know

	Host string // whose tracker it is in, where those of several hosts are read; no source says it
}

// Over reports whether e is of a TCP connection that both ends have closed, or one has reset.
// The kernel's datapath says one state of the connection, and the userspace datapath one of
// each direction.
func (e *Entry) Over() bool {
	closed := func(s State) bool { return s == Closing || s == FinWait2 || s == TimeWait }
	if e.Protocol != TCP {
		return false
	}
	switch e.State {
	case LastAck, TimeWait, Closed:
		return true
	}
	return closed(e.StateOrig) && closed(e.StateReply)
}

// Other is what a source has said that this version does not know: "key=value" on lines of
// their own. Text, so that an Entry can be compared.
type Other string

// With returns o with one more; line ends in key and value become blanks.
func (o Other) With(key, value string) Other {
	s := strings.ReplaceAll(key+"="+value, "\n", " ")
	if o == "" {
		return Other(s)
	}
	return o + Other("\n"+s)
}

// All goes through keys and values, in the order in which they came.
func (o Other) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range strings.Lines(string(o)) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if !yield(key, value) {
				return
			}
		}
	}
}

// Map returns keys and values; nil: none.
func (o Other) Map() map[string]string {
	var m map[string]string
	for key, value := range o.All() {
		if m == nil {
			m = map[string]string{}
		}
		m[key] = value
	}
	return m
}
