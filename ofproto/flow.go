package ofproto

import "fmt"

// A Table is the number of a flow table.
type Table uint8

// AllTables means all tables in a deletion or a request (OFPTT_ALL).
const AllTables Table = 0xff

// A Flow is one entry of a flow table, as wanted or as installed. Statistics are
// not part of it: see FlowStats.
type Flow struct {
	Table       Table
	Priority    uint16
	Cookie      uint64
	IdleTimeout uint16    // seconds without a packet; zero: none
	HardTimeout uint16    // seconds in all; zero: none
	Flags       FlowFlags // OFPFF_*
	Match       Match
	RawMatch    string   // a whole ofp_match that has a field the codec does not know; Match is empty then
	Actions     []Action // in ofpact order: apply-actions first, GotoTable last; empty: drop
}

// FlowFlags are the OFPFF_* flags of a flow-mod.
type FlowFlags uint16

// The flags of OpenFlow 1.3, A.3.4.1.
const (
	SendFlowRem  FlowFlags = 1 << iota // OFPFF_SEND_FLOW_REM
	CheckOverlap                       // OFPFF_CHECK_OVERLAP
	ResetCounts                        // OFPFF_RESET_COUNTS
	NoPktCounts                        // OFPFF_NO_PKT_COUNTS
	NoBytCounts                        // OFPFF_NO_BYT_COUNTS

	allFlowFlags = SendFlowRem | CheckOverlap | ResetCounts | NoPktCounts | NoBytCounts
)

// FlowStats is a Flow as a switch reports it, with its counters.
type FlowStats struct {
	Flow
	Packets, Bytes uint64
	DurationSec    uint32
	DurationNsec   uint32
}

// A FlowKey names a flow within a bridge: adding a flow replaces the one that has
// the same key. It is comparable.
type FlowKey struct {
	Table    Table
	Priority uint16
	Match    string // Match.Key
}

// Key returns the key of f.
func (f Flow) Key() FlowKey { return FlowKey{f.Table, f.Priority, f.RawMatch + f.Match.Key()} }

// Equal reports whether f and g would be the same entry in a switch, cookie included.
func (f Flow) Equal(g Flow) bool {
	return f.sameKey(&g) && f.equalBut(&g)
}

// equalBut compares all but the key.
func (f *Flow) equalBut(g *Flow) bool {
	return f.Cookie == g.Cookie && f.IdleTimeout == g.IdleTimeout && f.HardTimeout == g.HardTimeout &&
		f.Flags == g.Flags && equalActions(f.Actions, g.Actions)
}

// flowFlagNames are the names of FlowFlags in a text, from the lowest bit up.
var flowFlagNames = []string{"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}

// String returns f as ovs-ofctl dump-flows --no-stats prints it and add-flow takes it. What
// a flow has if nothing is said is left out: table 0, priority 32768, cookie 0.
func (f Flow) String() string {
	b := make([]byte, 0, 256)
	if f.Cookie != 0 {
		b = fmt.Appendf(b, "cookie=%#x, ", f.Cookie)
	}
	if f.Table != 0 {
		b = fmt.Appendf(b, "table=%d, ", f.Table)
	}
	return string(f.appendRules(b))
}

// appendRules appends what follows the table and the counters.
func (f *Flow) appendRules(b []byte) []byte {
	if f.IdleTimeout != 0 {
		b = fmt.Appendf(b, "idle_timeout=%d, ", f.IdleTimeout)
	}
	if f.HardTimeout != 0 {
		b = fmt.Appendf(b, "hard_timeout=%d, ", f.HardTimeout)
	}
	for bit, name := range flowFlagNames {
		if f.Flags>>bit&1 == 1 {
			b = append(append(b, name...), ' ')
		}
	}
	if match := f.matchText(); match != "" {
		b = append(append(b, match...), ' ')
	}
	return append(append(b, "actions="...), Text(f.Actions)...)
}

// matchText is the priority, unless it is the one that needs no saying, and the match.
func (f *Flow) matchText() string {
	s := f.Match.String()
	if f.RawMatch != "" { // ovs-ofctl has no syntax for it
		s = fmt.Sprintf("match:%x", f.RawMatch)
	}
	switch {
	case f.Priority == 0x8000:
		return s
	case s == "":
		return fmt.Sprintf("priority=%d", f.Priority)
	}
	return fmt.Sprintf("priority=%d,%s", f.Priority, s)
}
