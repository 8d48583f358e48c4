package ofproto

import (
	"fmt"
	"net/netip"
)

// An Addr is an IPv4 or IPv6 address; zero is unset.
type Addr = netip.Addr

// An Action is one thing done to a packet: an OpenFlow action, or an instruction,
// in the one list in which Open vSwitch keeps them. The set is closed; what the
// codec does not know is kept as Raw.
//
// String is the action as ovs-ofctl prints it.
type Action interface {
	fmt.Stringer
	action()
}

// A Subfield is Bits bits of a field, from bit Offset (0 is the lowest) up.
type Subfield struct {
	Field  Field
	Offset uint16
	Bits   uint16
}

type (
	// Output sends the packet to a port (OFPAT_OUTPUT). MaxLen matters for
	// PortController only.
	Output struct {
		Port   uint32
		MaxLen uint16
	}

	// ToGroup hands the packet to a group (OFPAT_GROUP).
	ToGroup uint32

	// GotoTable continues in a later table (OFPIT_GOTO_TABLE).
	GotoTable Table

	// SetField writes a whole field (OFPAT_SET_FIELD). Over OpenFlow 1.3 it cannot
	// be masked: see Load.
	SetField struct {
		Field Field
		Value Bits
	}

	// Load writes Value into a part of a field of at most 64 bits (NXAST_REG_LOAD).
	// Over OpenFlow 1.3 Open vSwitch reports masked writes so.
	Load struct {
		Dst   Subfield
		Value uint64
	}

	// Move copies one part of a field to another (NXAST_REG_MOVE).
	Move struct{ Src, Dst Subfield }

	// ConnTrack sends the packet through the connection tracker (NXAST_CT).
	ConnTrack struct {
		Commit bool
		Force  bool
		Zone   uint16   // if ZoneIn.Bits is zero
		ZoneIn Subfield // take the zone from here, if Bits is not zero
		Table  Table    // continue here; NoTable: do not
		ALG    uint16   // 21 ftp, 69 tftp
		NAT    *NAT     // nil: no NAT
		Exec   []Action
	}

	// NAT is the nat(...) of a ConnTrack (NXAST_NAT). Zero is plain nat: translate
	// as the connection says.
	NAT struct {
		Src, Dst                 bool
		Random, Hash, Persistent bool
		AddrMin, AddrMax         Addr // unset: none
		PortMin, PortMax         uint16
	}

	// CTClear forgets the packet's connection (NXAST_CT_CLEAR).
	CTClear struct{}

	// Resubmit looks the packet up again (NXAST_RESUBMIT_TABLE) and comes back.
	Resubmit struct {
		Port  uint16 // OpenFlow 1.0 port; PortInPort16 leaves it as it is
		Table Table
	}

	// DecTTL decrements the TTL or hop limit (OFPAT_DEC_NW_TTL).
	DecTTL struct{}

	// Meter applies a meter (OFPIT_METER). First in the list.
	Meter uint32

	// Conjunction is a clause of a conjunctive match (NXAST_CONJUNCTION).
	Conjunction struct {
		ID     uint32
		Clause uint8 // from 0
		Of     uint8 // 2..64
	}

	// Raw is an action the codec does not know, as it was on the wire.
	Raw string

	// RawInstruction is an instruction the codec does not know, as it was on the wire.
	RawInstruction string
)

// NoTable is a ConnTrack's Table that means: do not recirculate.
const NoTable Table = 0xff

// Reserved ports of OpenFlow 1.3, A.2.1.
const (
	PortInPort     uint32 = 0xfffffff8 // OFPP_IN_PORT
	PortTable      uint32 = 0xfffffff9 // OFPP_TABLE
	PortNormal     uint32 = 0xfffffffa // OFPP_NORMAL
	PortFlood      uint32 = 0xfffffffb // OFPP_FLOOD
	PortAll        uint32 = 0xfffffffc // OFPP_ALL
	PortController uint32 = 0xfffffffd // OFPP_CONTROLLER
	PortLocal      uint32 = 0xfffffffe // OFPP_LOCAL
	PortAny        uint32 = 0xffffffff // OFPP_ANY

	PortInPort16 uint16 = 0xfff8 // OFPP_IN_PORT of OpenFlow 1.0, as Resubmit has it
)

func (Output) action()         {}
func (ToGroup) action()        {}
func (GotoTable) action()      {}
func (SetField) action()       {}
func (Load) action()           {}
func (Move) action()           {}
func (ConnTrack) action()      {}
func (CTClear) action()        {}
func (Resubmit) action()       {}
func (DecTTL) action()         {}
func (Meter) action()          {}
func (Conjunction) action()    {}
func (Raw) action()            {}
func (RawInstruction) action() {}

// Set returns the action that writes v into s as Open vSwitch reports it back over
// OpenFlow 1.3: SetField if s is a whole field, Load otherwise.
func Set(s Subfield, v uint64) Action {
	if s == s.Field.Whole() {
		return SetField{s.Field, Uint(v)}
	}
	return Load{s, v}
}

// equalActions reports whether a and b do the same.
func equalActions(a, b []Action) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equalAction(a[i], b[i]) {
			return false
		}
	}
	return true
}

// equalAction compares by value. Only ConnTrack cannot be compared with ==.
func equalAction(a, b Action) bool {
	x, ok := a.(ConnTrack)
	if !ok {
		_, other := b.(ConnTrack)
		return !other && a == b
	}
	y, ok := b.(ConnTrack)
	if !ok || (x.NAT == nil) != (y.NAT == nil) || x.NAT != nil && *x.NAT != *y.NAT {
		return false
	}
	return x.Commit == y.Commit && x.Force == y.Force && x.Zone == y.Zone && x.ZoneIn == y.ZoneIn &&
		x.Table == y.Table && x.ALG == y.ALG && equalActions(x.Exec, y.Exec)
}
