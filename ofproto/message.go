package ofproto

import "fmt"

// Version is OpenFlow 1.3 on the wire.
const Version = 4

// HeaderLen is the length of the header of every message.
const HeaderLen = 8

// A Message is one OpenFlow 1.3 message without its header. The set is closed; a
// message that the codec does not know is kept as Unknown.
type Message interface{ message() }

// Message types of OpenFlow 1.3, A.1.
const (
	typeHello            = 0
	typeError            = 1
	typeEchoRequest      = 2
	typeEchoReply        = 3
	typeExperimenter     = 4
	typeFeaturesRequest  = 5
	typeFeaturesReply    = 6
	typeSetConfig        = 9
	typePacketIn         = 10
	typeFlowRemoved      = 11
	typePortStatus       = 12
	typePacketOut        = 13
	typeFlowMod          = 14
	typeGroupMod         = 15
	typeMeterMod         = 29
	typeMultipartRequest = 18
	typeMultipartReply   = 19
	typeBarrierRequest   = 20
	typeBarrierReply     = 21
	typeRoleRequest      = 24
	typeRoleReply        = 25
)

type (
	// Hello opens a session (A.5.1). Versions has bit N set for version N of the wire
	// protocol; zero: only the version of the header is known.
	Hello struct {
		Version  uint8 // of the header
		Versions uint32
	}

	// EchoRequest asks the peer to answer with the same data.
	EchoRequest struct{ Data []byte }
	// EchoReply answers an EchoRequest.
	EchoReply struct{ Data []byte }

	// FeaturesRequest asks for a FeaturesReply.
	FeaturesRequest struct{}
	// FeaturesReply says who the switch is (A.3.1).
	FeaturesReply struct {
		DatapathID   uint64
		Buffers      uint32
		Tables       uint8
		AuxiliaryID  uint8
		Capabilities uint32
	}

	// SetConfig sets how fragments are handled and how much of a packet is sent to the
	// controller (A.3.2).
	SetConfig struct{ Flags, MissSendLen uint16 }

	// BarrierRequest asks for an answer once all before it is done.
	BarrierRequest struct{}
	// BarrierReply answers a BarrierRequest.
	BarrierReply struct{}

	// RoleRequest asks for a role; RoleReply says which one it is (A.3.9).
	RoleRequest struct {
		Role       uint32
		Generation uint64
	}
	// RoleReply answers a RoleRequest.
	RoleReply struct {
		Role       uint32
		Generation uint64
	}

	// FlowMod changes the flow table (A.3.4.1).
	FlowMod struct {
		Command    FlowCommand
		Flow       Flow
		CookieMask uint64
		OutPort    uint32 // of deletes; zero: PortAny
		OutGroup   uint32 // of deletes; zero: any
	}

	// GroupMod changes the group table (A.3.4.2).
	GroupMod struct {
		Command GroupCommand
		Group   Group
	}

	// MeterMod changes the meter table (A.3.4.4).
	MeterMod struct {
		Command uint16 // 0 add, 1 modify, 2 delete
		Meter   MeterConfig
	}

	// PacketIn is a packet that a flow sent to the controller (A.4.1).
	PacketIn struct {
		BufferID uint32 // NoBuffer: none
		TotalLen uint16
		Reason   uint8 // OFPR_*
		Table    Table
		Cookie   uint64
		Match    Match // in_port at least, and the registers that are not zero
		Data     []byte
	}

	// PacketOut sends a packet through actions (A.3.7).
	PacketOut struct {
		InPort  uint32
		Actions []Action
		Data    []byte
	}

	// BundleControl opens, closes, commits or discards a bundle (ONF extension 230).
	BundleControl struct {
		ID    uint32
		Type  BundleControlType
		Flags uint16 // BundleAtomic, BundleOrdered
	}

	// BundleAdd adds a message to a bundle.
	BundleAdd struct {
		ID      uint32
		Flags   uint16
		XID     uint32 // of the message
		Message Message
	}

	// CTFlushZone removes all connections of a zone (NXT_CT_FLUSH_ZONE).
	CTFlushZone struct{ Zone uint16 }

	// MultipartRequest asks for a part of the switch's state (A.3.5).
	MultipartRequest struct {
		Type MultipartType
		Body []byte // of that type; see FlowStatsRequest
	}

	// MultipartReply is one part of the answer.
	MultipartReply struct {
		Type MultipartType
		More bool
		Body []byte // decoded by the functions for each type
	}

	// Unknown is a message that the codec does not know.
	Unknown struct {
		Type uint8
		Body []byte
	}
)

func (Hello) message()            {}
func (*Error) message()           {}
func (EchoRequest) message()      {}
func (EchoReply) message()        {}
func (FeaturesRequest) message()  {}
func (FeaturesReply) message()    {}
func (SetConfig) message()        {}
func (BarrierRequest) message()   {}
func (BarrierReply) message()     {}
func (RoleRequest) message()      {}
func (RoleReply) message()        {}
func (FlowMod) message()          {}
func (GroupMod) message()         {}
func (MeterMod) message()         {}
func (PacketIn) message()         {}
func (PacketOut) message()        {}
func (BundleControl) message()    {}
func (BundleAdd) message()        {}
func (CTFlushZone) message()      {}
func (MultipartRequest) message() {}
func (MultipartReply) message()   {}
func (Unknown) message()          {}

// NoBuffer says that a packet is not kept in the switch.
const NoBuffer uint32 = 0xffffffff

// FragNXMatch is the SetConfig flag with which fragments keep their ports
// (OFPC_FRAG_NX_MATCH).
const FragNXMatch = 3

// FlowCommand is OFPFC_*.
type FlowCommand uint8

// The commands of a FlowMod.
const (
	FlowAdd FlowCommand = iota
	FlowModify
	FlowModifyStrict
	FlowDelete
	FlowDeleteStrict
)

// GroupCommand is OFPGC_*.
type GroupCommand uint16

// The commands of a GroupMod. GroupAddOrMod is Open vSwitch's.
const (
	GroupAdd      GroupCommand = 0
	GroupModify   GroupCommand = 1
	GroupDelete   GroupCommand = 2
	GroupAddOrMod GroupCommand = 0x8000
)

// BundleControlType is ONF_BCT_*: even numbers ask, odd ones answer.
type BundleControlType uint16

// The types of a BundleControl.
const (
	BundleOpen BundleControlType = iota
	BundleOpened
	BundleClose
	BundleClosed
	BundleCommit
	BundleCommitted
	BundleDiscard
	BundleDiscarded
)

// The flags of a bundle: all or nothing, and in the order in which it was filled.
const (
	BundleAtomic  = 1
	BundleOrdered = 2
)

// MultipartType is OFPMP_*.
type MultipartType uint16

// The multipart types that are spoken here.
const (
	MultipartDesc        MultipartType = 0
	MultipartFlow        MultipartType = 1
	MultipartGroupDesc   MultipartType = 7
	MultipartMeterConfig MultipartType = 10
)

// Rejected says which flow, group or meter of a Plan a switch refused, and why. At
// most one of Flow, Group and Meter is set.
type Rejected struct {
	Flow  *Flow
	Group *Group
	Meter *MeterConfig
	Err   error // an *Error
}

// Error names what was refused, and why.
func (r *Rejected) Error() string {
	switch {
	case r.Flow != nil:
		return fmt.Sprintf("%v: flow %v", r.Err, r.Flow)
	case r.Group != nil:
		return fmt.Sprintf("%v: group %v", r.Err, r.Group)
	case r.Meter != nil:
		return fmt.Sprintf("%v: meter %d", r.Err, r.Meter.ID)
	}
	return r.Err.Error()
}

// Unwrap returns the *Error.
func (r *Rejected) Unwrap() error { return r.Err }
