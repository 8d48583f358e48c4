package ofproto

import "slices"

type (
	// FlowMod changes the flow table (A.3.4.1).
	FlowMod struct {
		Command    FlowCommand
		Flow       Flow
		CookieMask uint64 // of modifications and deletions: which bits of the cookie have to be as in Flow
		BufferID   uint32 // of a packet in the switch that goes through the flow; zero: none (OFP_NO_BUFFER on the wire)
		OutPort    uint32 // of deletions: only flows that output there; zero: all (OFPP_ANY on the wire)
		OutGroup   uint32 // of deletions; zero: all (OFPG_ANY on the wire)
	}

	// NXFlowMod is Open vSwitch's FlowMod for OpenFlow 1.0 (NXT_FLOW_MOD), which it takes
	// in 1.3 too, with OpenFlow 1.3's instructions in it.
	NXFlowMod struct {
		Command  uint16 // a FlowCommand; the upper byte is the table, where that has been agreed on
		Flow     Flow
		BufferID uint32 // zero: none
		OutPort  uint32 // zero: all
	}

	// FlowRemoved says that a flow has gone (A.4.2). The switch sends it for flows with
	// SendFlowRem. Flow has no actions.
	FlowRemoved struct {
		FlowStats
		Reason RemovedReason
	}

	// NXFlowRemoved is Open vSwitch's FlowRemoved for OpenFlow 1.0 (NXT_FLOW_REMOVED).
	NXFlowRemoved struct{ FlowRemoved }

	// FlowModTableID lets the upper byte of the command of an NXFlowMod be its table
	// (NXT_FLOW_MOD_TABLE_ID).
	FlowModTableID struct{ On bool }

	// FlowAge has no meaning in Open vSwitch 3.1 (NXT_FLOW_AGE).
	FlowAge struct{}
)

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

// RemovedReason is why a flow has gone (OFPRR_*).
type RemovedReason uint16

// The reasons of OpenFlow 1.3, A.4.2, and of 1.4 from RemovedByMeter on.
const (
	RemovedIdle RemovedReason = iota
	RemovedHard
	RemovedByDelete
	RemovedByGroup // the group that it outputs to was deleted
	RemovedByMeter
	RemovedByEviction
)

// Subtypes of experimenter messages about flows.
const (
	nxFlowMod        = 13
	nxFlowRemoved    = 14
	nxFlowModTableID = 15
	nxFlowAge        = 18
)

func (FlowMod) messageType() uint8        { return typeFlowMod }
func (NXFlowMod) messageType() uint8      { return typeExperimenter }
func (FlowRemoved) messageType() uint8    { return typeFlowRemoved }
func (NXFlowRemoved) messageType() uint8  { return typeExperimenter }
func (FlowModTableID) messageType() uint8 { return typeExperimenter }
func (FlowAge) messageType() uint8        { return typeExperimenter }

// swapAny turns the zero of our types into "any" on the wire, and back. The wire's zero,
// which means nothing where these are used, or a group, becomes "any" here: so that all
// that can be read can be written again.
func swapAny(v uint32) uint32 {
	switch v {
	case 0:
		return PortAny
	case PortAny:
		return 0
	}
	return v
}

func (m FlowMod) appendBody(b []byte) ([]byte, error) { return m.append(b) }

func (m *FlowMod) append(b []byte) ([]byte, error) {
	f := &m.Flow
	b = slices.Grow(b, 40)
	n := len(b)
	b = b[:n+40]
	h := (*[40]byte)(b[n:])
	be.PutUint64(h[:], f.Cookie)
	be.PutUint64(h[8:], m.CookieMask)
	h[16], h[17] = byte(f.Table), byte(m.Command)
	be.PutUint16(h[18:], f.IdleTimeout)
	be.PutUint16(h[20:], f.HardTimeout)
	be.PutUint16(h[22:], f.Priority)
	be.PutUint32(h[24:], swapAny(m.BufferID))
	be.PutUint32(h[28:], swapAny(m.OutPort))
	be.PutUint32(h[32:], swapAny(m.OutGroup))
	be.PutUint32(h[36:], uint32(f.Flags)<<16)
	b = f.appendMatch(b)
	if m.deletes() {
		return b, nil
	}
	return appendInstructions(b, f.Actions)
}

func (m *FlowMod) deletes() bool { return m.Command == FlowDelete || m.Command == FlowDeleteStrict }

func (m NXFlowMod) appendBody(b []byte) ([]byte, error) {
	f := &m.Flow
	b = appendExperimenter(b, nicira, nxFlowMod)
	b = be.AppendUint16(be.AppendUint64(b, f.Cookie), m.Command)
	b = be.AppendUint16(be.AppendUint16(be.AppendUint16(b, f.IdleTimeout), f.HardTimeout), f.Priority)
	b = be.AppendUint32(b, swapAny(m.BufferID))
	b = be.AppendUint16(be.AppendUint16(b, uint16(swapAny(m.OutPort))), uint16(f.Flags))
	b = appendNXMatch(b, f.Match)
	return appendInstructions(b, f.Actions)
}

// appendNXMatch appends a match as Nicira's messages have it: two bytes of length, six of
// padding, and the conditions, padded.
func appendNXMatch(b []byte, m Match) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = appendNXMs(b, m)
	be.PutUint16(b[at:], uint16(len(b)-at-8))
	return pad8(b, at)
}

func (m FlowRemoved) appendBody(b []byte) ([]byte, error) {
	b = append(be.AppendUint16(be.AppendUint64(b, m.Cookie), m.Priority), byte(m.Reason), byte(m.Table))
	b = be.AppendUint32(be.AppendUint32(b, m.DurationSec), m.DurationNsec)
	b = be.AppendUint16(be.AppendUint16(b, m.IdleTimeout), m.HardTimeout)
	b = be.AppendUint64(be.AppendUint64(b, m.Packets), m.Bytes)
	return m.appendMatch(b), nil
}

func (m NXFlowRemoved) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, nicira, nxFlowRemoved)
	b = append(be.AppendUint16(be.AppendUint64(b, m.Cookie), m.Priority), byte(m.Reason), byte(m.Table)+1)
	b = be.AppendUint32(be.AppendUint32(b, m.DurationSec), m.DurationNsec)
	start := len(b) + 2
	b = be.AppendUint16(b, m.IdleTimeout)
	b = append(b, 0, 0) // length of the match
	b = be.AppendUint64(be.AppendUint64(b, m.Packets), m.Bytes)
	at := len(b)
	b = appendNXMs(b, m.Match)
	be.PutUint16(b[start:], uint16(len(b)-at))
	return pad8(b, at), nil
}

func (m FlowModTableID) appendBody(b []byte) ([]byte, error) {
	b = appendExperimenter(b, nicira, nxFlowModTableID)
	return append(b, byte(flag(m.On, 1)), 0, 0, 0, 0, 0, 0, 0), nil
}

func (FlowAge) appendBody(b []byte) ([]byte, error) {
	return appendExperimenter(b, nicira, nxFlowAge), nil
}

func (d *decoder) flowMod() (m FlowMod) {
	f := &m.Flow
	f.Cookie, m.CookieMask = d.u64(), d.u64()
	f.Table, m.Command = Table(d.u8()), FlowCommand(d.u8())
	f.IdleTimeout, f.HardTimeout, f.Priority = d.u16(), d.u16(), d.u16()
	m.BufferID, m.OutPort, m.OutGroup = swapAny(d.u32()), swapAny(d.u32()), swapAny(d.u32())
	f.Flags = FlowFlags(d.u16())
	d.skip(2)
	d.flowMatch(f)
	d.checkFlowMod(&m)
	f.Actions = d.instructions(len(d.b))
	d.checkActions(f)
	return m
}

// checkFlowMod refuses what Open vSwitch 3.1 refuses before it reads the instructions.
func (d *decoder) checkFlowMod(m *FlowMod) {
	switch {
	case !d.strict || d.err != nil:
	case m.Flow.Table == AllTables && !m.deletes():
		d.fail(OFPFMFC_BAD_TABLE_ID)
	case !isPort(swapAny(m.OutPort)):
		d.fail(OFPBAC_BAD_OUT_PORT)
	default:
		d.checkFlow(&m.Flow, uint16(m.Command))
	}
}

// checkFlow refuses what Open vSwitch 3.1 refuses in all kinds of flow-mods.
func (d *decoder) checkFlow(f *Flow, command uint16) {
	switch {
	case !d.strict || d.err != nil:
	case !f.Match.tupleFits():
		d.fail(OFPBAC_MATCH_INCONSISTENT)
	case command > uint16(FlowDeleteStrict):
		d.fail(OFPFMFC_BAD_COMMAND)
	}
}

// checkActions refuses what Open vSwitch 3.1 refuses after it has read the instructions.
func (d *decoder) checkActions(f *Flow) {
	switch {
	case !d.strict || d.err != nil:
	case f.Flags&^allFlowFlags != 0:
		d.fail(OFPFMFC_BAD_FLAGS)
	default:
		if err := checkConsistent(f.Match, f.Table, f.Actions); err != nil {
			d.fail(err)
		}
	}
}

// isPort reports whether a number may be a port's: those of Open vSwitch are below 0xff00,
// and the reserved ones begin at 0xffffff00.
func isPort(p uint32) bool { return p < 0xff00 || p >= 0xffffff00 }

// tupleFits reports whether conditions on the addresses of a connection's first packet are
// of the same family as the packet.
func (m Match) tupleFits() bool {
	ether, _ := m.value(EthType)
	return (ether == 0x0800 || !m.has(CTNwSrc) && !m.has(CTNwDst)) &&
		(ether == 0x86dd || !m.has(CTIPv6Src) && !m.has(CTIPv6Dst))
}

func (d *decoder) nxFlowMod() (m NXFlowMod) {
	f := &m.Flow
	f.Cookie, m.Command = d.u64(), d.u16()
	f.IdleTimeout, f.HardTimeout, f.Priority = d.u16(), d.u16(), d.u16()
	m.BufferID = swapAny(d.u32())
	m.OutPort = swapAny(port32(d.u16()))
	f.Flags = FlowFlags(d.u16())
	n := int(d.u16())
	d.skip(6)
	f.Match = d.nxMatch(n, true)
	f.Table = Table(m.Command >> 8)
	d.checkFlow(f, m.Command&0xff)
	f.Actions = d.instructions(len(d.b))
	d.checkActions(f)
	return m
}

// port32 is a port of OpenFlow 1.0 in 32 bits.
func port32(p uint16) uint32 {
	if p >= 0xff00 {
		return 0xffff0000 | uint32(p)
	}
	return uint32(p)
}

func (d *decoder) flowRemoved() (m FlowRemoved) {
	m.Cookie, m.Priority, m.Reason, m.Table = d.u64(), d.u16(), RemovedReason(d.u8()), Table(d.u8())
	m.DurationSec, m.DurationNsec = d.u32(), d.u32()
	m.IdleTimeout, m.HardTimeout = d.u16(), d.u16()
	m.Packets, m.Bytes = d.u64(), d.u64()
	d.flowMatch(&m.Flow)
	return m
}

func (d *decoder) nxFlowRemoved() (m NXFlowRemoved) {
	m.Cookie, m.Priority, m.Reason, m.Table = d.u64(), d.u16(), RemovedReason(d.u8()), Table(d.u8()-1)
	m.DurationSec, m.DurationNsec = d.u32(), d.u32()
	m.IdleTimeout = d.u16()
	n := int(d.u16())
	m.Packets, m.Bytes = d.u64(), d.u64()
	m.Match = d.nxMatch(n, true)
	if d.more() {
		d.refuse(OFPBRC_BAD_LEN)
	}
	return m
}

// nxMatch reads n bytes of conditions and their padding, strictly or as those of a
// packet-in.
func (d *decoder) nxMatch(n int, strict bool) Match {
	if n > len(d.b) || (n+7)&^7 > len(d.b) {
		d.fail(OFPBMC_BAD_LEN)
	}
	s := d.sub(n, "match", OFPBMC_BAD_LEN)
	m := s.oxms(strict)
	d.done(&s)
	d.skip(-n & 7)
	return m
}

func init() {
	onMessage(openflowMessage, typeFlowMod, messageForm{name: "FLOW_MOD", print: (*printer).flowMod, least: 40, unit: 8,
		read: func(d *decoder, _ head) Message { return d.flowMod() }})
	onMessage(niciraMessage, nxFlowMod, messageForm{name: "FLOW_MOD", print: (*printer).nxFlowMod, least: 32, unit: 8,
		read: func(d *decoder, _ head) Message { return d.nxFlowMod() }})
	onMessage(openflowMessage, typeFlowRemoved, messageForm{name: "FLOW_REMOVED", print: (*printer).flowRemoved, least: 40, unit: 8,
		read: func(d *decoder, _ head) Message { return d.flowRemoved() }})
	onMessage(niciraMessage, nxFlowRemoved, messageForm{name: "FLOW_REMOVED", print: (*printer).nxFlowRemoved, least: 40, unit: 8,
		read: func(d *decoder, _ head) Message { return d.nxFlowRemoved() }})
	onMessage(niciraMessage, nxFlowModTableID, messageForm{name: "FLOW_MOD_TABLE_ID", print: (*printer).flowModTableID, least: 8,
		read: func(d *decoder, _ head) Message { return FlowModTableID{d.u8() != 0} }})
	onMessage(niciraMessage, nxFlowAge, messageForm{name: "FLOW_AGE",
		read: func(*decoder, head) Message { return FlowAge{} }})
}
