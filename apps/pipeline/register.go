package pipeline

import (
	"encoding/binary"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// The registers. They carry numbers, not addresses, so that IPv4 and IPv6 are the
// same flows from the lookup on.
//
//	reg0      31     24 23 22 21  20 19..17 16..14  13    11, 10   6   4  3   2  1 0
//	         +---------+--+--+---+--+-------+------+---+--+-------+---+--+---+---+---+
//	         |         |  |mk|lim|st|alg,rel|      |all|  |  log  |sl |fo|jdg|est|nat|
//	         +---------+--+--+---+--+-------+------+---+--+-------+---+--+---+---+---+
//	          nat: 0 dnat, 1 snat; fo: 4 from outside; 5 double; 7 twice; 8 to outside; 9 across
//	reg1      endpoint the packet came from (tag)
//	reg2      endpoint it goes to (tag)
//	reg3      identity of the source          reg4  identity of the destination
//	reg5      conntrack zone in bits 0 to 15, that of source translations in bits 16 to 31
//	reg6      rule that let it out (tag)      reg7  rule that let it in (tag)
//	reg8      NAT target (tag)
//	reg9      slot of the SNAT's pool, in bits 0 to 15, and of the load balancer, in bits 16 to 31
//	reg10     ct_mark as a commit is to write it, with the bits where they are there: but for 9 to 11, which only
//	          commits that translate write
//	reg11     reason to drop it (Reason)
//	reg13     SNAT (tag)
//	reg14     next hop; zero: the destination itself. Where policy is asked: range of the peer
//	reg15     tiers of policy that a pass rule has left, a bit for each table and tier
//	metadata  network in bits 0 to 23, VRF (the zone) in bits 24 to 47
const (
	regFlags   = ofproto.Reg0
	RegIn      = ofproto.Reg1
	RegOut     = ofproto.Reg2
	RegSrcID   = ofproto.Reg3
	RegDstID   = ofproto.Reg4
	RegRuleOut = ofproto.Reg6
	RegRuleIn  = ofproto.Reg7
	RegTarget  = ofproto.Reg8
	RegSlot    = ofproto.Reg9
	regMark    = ofproto.Reg10
	RegReason  = ofproto.Reg11
	RegSNAT    = ofproto.Reg13
	RegNextHop = ofproto.Reg14
	RegPeer    = ofproto.Reg14
	regPassed  = ofproto.Reg15
)

// Parts of registers.
var (
	Zone       = ofproto.Reg5.Range(0, 15)
	zoneSource = ofproto.Reg5.Range(16, 31)
	ConnClass  = regMark.Range(16, 31)
	Epoch      = regMark.Range(0, 7)
	BackendAt  = ofproto.Reg9.Range(16, 31)
	Net        = ofproto.Metadata.Range(0, 23)
	VRF        = ofproto.Metadata.Range(24, 47)
)

// A Flag is one bit of reg0, or, from inMark on, of reg10.
type Flag uint16

// inMark is the first Flag that is a bit of ct_mark to be.
const inMark Flag = 32

// The flags. The numbers that are missing belong to load balancing.
const (
	DNAT        Flag = 0  // its destination stands for another one, which is chosen and not yet put in
	SNAT        Flag = 1  // its source is to be another one
	FromOutside Flag = 4  // it came from an outside
	ToOutside   Flag = 8  // it is bound for one
	Twice       Flag = 7  // its source has been translated in a zone of several tenants, and is not again
	Across      Flag = 9  // ... and for an address there of another tenant of the bridge
	Double      Flag = 5  // DNAT, and its source is to be its endpoint's gateway
	Outward     Flag = 12 // it goes to a backend of a load balancer that is outside; with Double, and comes from there
	CameAcross  Flag = 23 // it came from another tenant of the bridge
	AsItself    Flag = 14 // as whom it leaves is said, and is its sender
	OneWay      Flag = 16 // it has come back from the tracker once, for the kernel's datapath to translate it, and does not again
	LivesOn     Flag = 15 // denied, judged again and kept, if it may leave as it does

	Established Flag = 2 // the tracker knows the connection, and so do we
	JudgeAgain  Flag = 3 // a known connection, admitted by a policy that has been narrowed since
	Untracked   Flag = 6 // never seen by the tracker: ARP, ND, and what a stateless rule lets pass

	ToAll   Flag = 13          // for a whole network
	MayKeep Flag = 22          // nobody who has let it out does not want it to be kept
	Keep    Flag = inMark + 12 // whoever has admitted it so far wants it to live on when its policy is changed
	Reset   Flag = inMark + 13 // if its policy is changed so that it stops, both its ends are to be told

	LogNew     Flag = 10 // a rule reports what becomes of it
	LogSampled Flag = 11 // a rule reports it, if there is room for it

	KnownStation Flag = 20 // its sender has been learned

	Audited Flag = inMark + 14 // denied, and let pass all the same
	ours    Flag = inMark + 15 // it is remembered by us

	Related Flag = 17 // a new connection that a known one has announced
	FTP     Flag = 18 // the tracker is to read the connection as FTP's control connection
	TFTP    Flag = 19 // the same of TFTP
	Limited Flag = 21 // its tenant may have only so many connections
)

// Set returns the action that raises f.
func (f Flag) Set() ofproto.Action {
	return ofproto.Load{Dst: f.bit(), Value: 1}
}

// Clear returns the action that lowers f.
func (f Flag) Clear() ofproto.Action {
	return ofproto.Load{Dst: f.bit(), Value: 0}
}

// As returns the action that makes f what g is.
func (f Flag) As(g Flag) ofproto.Action {
	return ofproto.Move{Src: g.bit(), Dst: f.bit()}
}

func (f Flag) bit() ofproto.Subfield {
	if f >= inMark {
		return regMark.Range(uint16(f-inMark), uint16(f-inMark))
	}
	return regFlags.Range(uint16(f), uint16(f))
}

// isWithout is the condition that f is raised, and g is not.
func (f Flag) isWithout(g Flag) ofproto.Cond { return ofproto.Masked(regFlags, 1<<f, 1<<f|1<<g) }

// Is is the condition that f is raised.
func (f Flag) Is() ofproto.Cond { return ofproto.Masked(regFlags, 1<<f, 1<<f) }

// IsNot is the condition that f is not raised.
func (f Flag) IsNot() ofproto.Cond { return ofproto.Masked(regFlags, 0, 1<<f) }

// passable are the tables that have policy, and tiers its tiers, in the order of the bits
// of reg15.
var (
	passable = []ofproto.Table{Stateless, StatelessReply, StatelessIn, StatelessInReply, PolOut, PolIn}
	tiers    = []intent.Tier{intent.AdminTier, intent.ApplicationTier, intent.BaselineTier}
)

// passedBit is the bit of reg15 that says that a packet has left a tier in a table.
func passedBit(t ofproto.Table, tier intent.Tier) uint16 {
	return uint16(slices.Index(passable, t)*len(tiers) + slices.Index(tiers, tier))
}

// Pass returns the actions that leave a tier: they ask the same table again, in which the
// rules of the tier no longer match.
func Pass(t ofproto.Table, tier intent.Tier) []ofproto.Action {
	bit := passedBit(t, tier)
	return []ofproto.Action{ofproto.Load{Dst: regPassed.Range(bit, bit), Value: 1}, ofproto.Resubmit{Port: ofproto.PortInPort16, Table: t}}
}

// NotPassed is the condition that a tier has not been left in a table.
func NotPassed(t ofproto.Table, tier intent.Tier) ofproto.Cond {
	return ofproto.Masked(regPassed, 0, 1<<passedBit(t, tier))
}

// Bits of ct_mark:
//
//	 31            16 15 14 13 12 11 10  9   8  7      0
//	+----------------+--+--+--+--+--+--+---+---+--------+
//	|     class      |c |a |r |k |b |s | d |blk| epoch  |
//	+----------------+--+--+--+--+--+--+---+---+--------+
//
// c is set by our own commits only, so that an entry of somebody else is never
// taken for one of ours; a by those that only an audit let through; k by those of which the
// policy says that they live on when it is changed; r by those whose ends are to be told if it
// stops them; d by those of which the destination is translated; s by those of which the source is, too, in a
// zone for that; b by those for which a load balancer has chosen the destination.
const (
	MarkEpoch      uint32 = 0xff
	MarkBlocked    uint32 = 1 << 8
	MarkDNAT       uint32 = 1 << 9
	MarkDouble     uint32 = 1 << 10
	MarkBalanced   uint32 = 1 << 11
	MarkKeep       uint32 = 1 << 12
	MarkReset      uint32 = 1 << 13
	MarkAudited    uint32 = 1 << 14
	MarkCommitted  uint32 = 1 << 15
	MarkClassShift        = 16
)

var (
	markEpoch     = ofproto.CTMark.Range(0, 7)
	markBlocked   = ofproto.CTMark.Range(8, 8)
	markDouble    = ofproto.CTMark.Range(10, 10)
	markBalanced  = ofproto.CTMark.Range(11, 11)
	markCommitted = ofproto.CTMark.Range(15, 15)

	// What the policy has to say of a connection, and how it is translated.
	regJudged, markJudged = [2]ofproto.Subfield{regMark.Range(0, 8), regMark.Range(12, 31)}, [2]ofproto.Subfield{ofproto.CTMark.Range(0, 8), ofproto.CTMark.Range(12, 31)}
	markTranslated        = ofproto.CTMark.Range(9, 11)
)

// Bits of ct_label, written when a connection is committed and matched by no flow:
//
//	 127     120 119      96 95        64 63        32 31         0
//	+-----------+-----------+------------+------------+------------+
//	|  layout   |  backend  |  service   | rule in    | rule out   |
//	+-----------+-----------+------------+------------+------------+
//
// Of a forward that moves its port the port there is in place of the backend, in bits 96 to 111. Of what goes to a
// backend outside bit 112 says that it leaves with its sender's address, and bit 113 that it does not leave as its load balancer's,
// although that is outside. These two are matched, of such connections.
// LabelLayout is the number of this layout.
const LabelLayout = 1

var (
	labelRuleOut = ofproto.CTLabel.Range(0, 31)
	labelRuleIn  = ofproto.CTLabel.Range(32, 63)
	labelObject  = ofproto.CTLabel.Range(64, 95)
	labelPort    = ofproto.CTLabel.Range(96, 111)
	labelItself  = ofproto.CTLabel.Range(112, 112)
	labelNever   = ofproto.CTLabel.Range(113, 113)
	labelHow     = ofproto.CTLabel.Range(96, 127) // the port, and the layout
	labelLayout  = ofproto.CTLabel.Range(120, 127)
)

// SamePort is the condition that a connection that was forwarded has the port to which it was
// opened. It is for what is judged again, and for no packet else.
var SamePort = ofproto.Cond{Field: ofproto.CTLabel, Mask: ofproto.Bits{2: 0xff, 3: 0xff}} // labelPort

// Conditions on what the label of a connection to a backend outside says.
var (
	leftAsItself   = ofproto.Cond{Field: ofproto.CTLabel, Value: ofproto.Bits{1: 1}, Mask: ofproto.Bits{1: 1}} // labelItself
	leftAsBalancer = ofproto.Cond{Field: ofproto.CTLabel, Mask: ofproto.Bits{1: 2}}                            // labelNever
)

// A Reason says why a packet was dropped. It is in reg11 when the packet comes to
// Drop.
type Reason uint32

// The reasons. They are constants for the life of the product.
const (
	NoReason        Reason = 0
	UnknownPort     Reason = 1  // no endpoint is bound to the port
	Spoofed         Reason = 2  // from an address that is not its sender's
	UnansweredArp   Reason = 3  // ARP or ND that nobody may see
	NotItsRole      Reason = 4  // a router's or DHCP server's message of somebody else
	NotIP           Reason = 5  // neither IP nor ARP
	InvalidState    Reason = 22 // the tracker calls the packet invalid
	BlockedBefore   Reason = 20 // the connection was stopped by a change of policy
	NoState         Reason = 23 // no state flow of the tenant fits
	NotSYN          Reason = 24 // a TCP connection that does not begin with a SYN
	Expired         Reason = 25 // its life was at an end at a router
	NoRoute         Reason = 40
	NoNeighbour     Reason = 41 // the next hop is not there
	UnknownMAC      Reason = 42 // nobody in the network has the destination's MAC and IP address
	TooManyStations Reason = 43 // as many stations as may be are behind the port already
	DeniedByRule    Reason = 50
	DeniedByDefault Reason = 51
	RefusedRule     Reason = 52 // the switch refused a rule, and its scope is closed
	StoppedAndTold  Reason = 21 // judged again and denied, and both its ends told
	RejectedByRule  Reason = 53 // denied, and its sender told
	LimitReached    Reason = 57 // the tenant has as many connections as it may
	NoPort          Reason = 60 // the port of the endpoint, or of the outside, has gone
	NotOurs         Reason = 61 // from outside, for an address that nobody has
	NotExpected     Reason = 62 // from outside, new, for an address that nobody is behind
	NotTranslated   Reason = 63 // bound for the outside from an address that has no business there
	WhoseFragment   Reason = 73 // a later fragment for forwarded ports, of which the first alone says which
	NoBackend       Reason = 65 // for a load balancer of which no backend takes connections
	NotServed       Reason = 66 // for an address of load balancers, and for a port of none
	NoPortLeft      Reason = 64 // all ports of the addresses that it could leave as are taken
	WithoutPorts    Reason = 68 // several tenants leave as its address, and answers are theirs by their ports
	NobodysPort     Reason = 69 // from outside, for an address of several tenants, and for a port of none
	NotOfItsOwn     Reason = 71 // for an address outside of the sender's tenant that nobody is behind
	Lost            Reason = 72 // from a forwarded port, of a connection that the tracker has lost
	PortlessPiece   Reason = 67 // a later fragment, where ports say as whom it leaves
	NotBothEnds     Reason = 70 // both ends were to be translated, and could not
)

// Reasons are the reasons as people read them.
var Reasons = map[Reason]string{
	NoReason: "no reason given", UnknownPort: "no endpoint is bound to the port",
	Spoofed: "not its sender's address", UnansweredArp: "ARP or ND that no rule lets pass",
	NotItsRole: "router's or DHCP server's message of somebody who is none",
	NotIP:      "neither IP nor ARP", InvalidState: "invalid to the connection tracker",
	BlockedBefore: "connection stopped by a change of policy", NoState: "unknown connection state", NotSYN: "TCP connection that does not begin with a SYN",
	Expired: "time to live exceeded at the router",
	NoRoute: "no route", NoNeighbour: "next hop is not there", UnknownMAC: "nobody in the network has that MAC and IP address",
	TooManyStations: "too many stations behind the port",
	DeniedByRule:    "denied by a rule", DeniedByDefault: "denied by the tenant's default",
	RejectedByRule: "rejected by a rule",
	StoppedAndTold: "connection stopped by a change of policy, and reset",
	RefusedRule:    "the switch refused a rule; its scope is closed", LimitReached: "the tenant has as many connections as it may",
	NoPort:  "the port has gone",
	NotOurs: "from outside, for an address that nobody has", NotExpected: "from outside, for an address that nobody is behind",
	WhoseFragment: "fragment that does not say for which forwarded port it is",
	NotTranslated: "nothing says as whom it may leave for the outside", NoPortLeft: "no port is left of the addresses as which it may leave",
	WithoutPorts:  "its tenant has ports of an address outside, and its protocol has none that could be told apart",
	NobodysPort:   "from outside, for an address of several tenants, and for a port of none",
	Lost:          "from a forwarded port, of a connection that is not known any more",
	NotOfItsOwn:   "for an address outside of its own tenant that nobody is behind",
	PortlessPiece: "later fragment of what begins a connection, where ports say as whom it leaves",
	NoBackend:     "no backend of the load balancer takes connections",
	NotServed:     "for an address of load balancers, and for a port of none",
	NotBothEnds:   "both ends were to be translated, and could not be",
}

// ToDrop returns the actions that drop a packet for a reason.
func ToDrop(r Reason) []ofproto.Action {
	return []ofproto.Action{ofproto.Set(RegReason.Whole(), uint64(r)), ofproto.GotoTable(Drop)}
}

// ObjectIs is the condition that what translates a connection has a tag. It is for what is judged
// again, and for no packet else.
func ObjectIs(tag uint32) ofproto.Cond {
	c := ofproto.Cond{Field: ofproto.CTLabel, Mask: ofproto.Bits{4: 0xff, 5: 0xff, 6: 0xff, 7: 0xff}} // labelObject
	binary.BigEndian.PutUint32(c.Value[4:], tag)
	return c
}

// At is the condition that a load balancer has chosen a slot.
func At(slot uint16) ofproto.Cond { return is(BackendAt, uint64(slot)) }

// is requires a part of a register to equal v.
func is(s ofproto.Subfield, v uint64) ofproto.Cond {
	mask := (uint64(1)<<s.Bits - 1) << s.Offset
	return ofproto.Masked(s.Field, v<<s.Offset, mask)
}

// InZone requires the packet to belong to a zone.
func InZone(zone uint16) ofproto.Cond { return is(Zone, uint64(zone)) }

// InNet requires the packet to be in a network.
func InNet(n uint32) ofproto.Cond { return is(Net, uint64(n)) }

// InVRF requires the packet to be routed among a tenant's networks.
func InVRF(zone uint16) ofproto.Cond { return is(VRF, uint64(zone)) }
