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

// String returns f in the syntax of ovs-ofctl add-flow, much as dump-flows prints it.
func (f Flow) String() string {
	s := fmt.Sprintf("cookie=%#x, table=%d, ", f.Cookie, f.Table)
	if f.IdleTimeout != 0 {
		s += fmt.Sprintf("idle_timeout=%d, ", f.IdleTimeout)
	}
	if f.HardTimeout != 0 {
		s += fmt.Sprintf("hard_timeout=%d, ", f.HardTimeout)
	}
	s += fmt.Sprintf("priority=%d", f.Priority)
	if m := f.Match.String(); m != "" {
		s += "," + m
	}
	if f.RawMatch != "" { // ovs-ofctl has no syntax for it
		s += fmt.Sprintf(",match:%x", f.RawMatch)
	}
	return s + " actions=" + Text(f.Actions)
}
