package oftest

import (
	"encoding/binary"
	"errors"

	"weir/ofproto"
)

// handle does what Open vSwitch does with m, whose bytes are wire, or says what is bad about
// it; m is nil if it could not even be told what it is. The error has an ErrorCode in it.
func (n *session) handle(xid uint32, m ofproto.Message, bad error, wire []byte, planned refusals) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.role == ofproto.RoleSecondary && m != nil && changes(wire) { // it may be bad all the same
		return ofproto.OFPBRC_IS_SECONDARY
	}
	if bad != nil {
		return n.worse(m, bad)
	}
	m, err := n.whole(xid, m, wire)
	if m == nil || err != nil {
		return err
	}
	switch m := m.(type) {
	case ofproto.BundleControl:
		return n.bundleControl(xid, m, wire, planned)
	case ofproto.BundleAdd:
		return n.bundleAdd(m, wire)
	case ofproto.MultipartRequest:
		return n.multipart(xid, m)
	case ofproto.FlowMonitorRequest:
		return n.monitorRequest(xid, m)
	case ofproto.FlowMonitorCancel:
		return n.cancelMonitor(m.ID)
	case ofproto.RoleRequest:
		return n.takeRole(xid, m)
	case ofproto.PacketOut:
		return n.packetOut(m)
	case ofproto.PortMod:
		return n.portMod(m)
	case ofproto.TLVTableMod:
		return n.tlvMod(m)
	case ofproto.FlowMod, ofproto.GroupMod, ofproto.MeterMod:
		return n.change(m, change{n, xid})
	}
	return n.handleSimple(xid, m)
}

// worse returns what Open vSwitch finds first about m, of which bad is what the codec found:
// only the switch knows which tunnel options there are.
func (s *Switch) worse(m ofproto.Message, bad error) error {
	if f, ok := m.(ofproto.FlowMod); ok {
		if err := s.checkTLVs(ofproto.Flow{Match: f.Flow.Match}); err != nil {
			return err
		}
	}
	return bad
}

// handleSimple does what hardly has a way to fail, but for what it does not know.
func (n *session) handleSimple(xid uint32, m ofproto.Message) error {
	switch m := m.(type) {
	case ofproto.EchoRequest:
		n.reply(xid, ofproto.EchoReply(m))
	case ofproto.BarrierRequest:
		n.reply(xid, ofproto.BarrierReply{})
	case ofproto.FeaturesRequest:
		n.reply(xid, n.features())
	case ofproto.GetConfigRequest:
		n.reply(xid, ofproto.GetConfigReply{Flags: n.fragments, MissSendLen: n.missSendLen})
	case ofproto.SetConfig:
		n.setConfig(m)
	case ofproto.NXRoleRequest:
		n.setRole(m.Role)
		n.reply(xid, ofproto.NXRoleReply{Role: n.role})
	case ofproto.GetAsyncRequest:
		n.reply(xid, n.asyncReply())
	case ofproto.SetAsync:
		n.setAsync(m.AsyncConfig)
	case ofproto.NXSetAsync:
		n.setAsync(m.AsyncConfig)
	case ofproto.NXSetAsync2:
		n.setAsync2(m)
	case ofproto.TLVTableRequest:
		n.reply(xid, n.tlvReply())
	case ofproto.SetControllerID:
		n.controller = m.ID
	case ofproto.SetPacketInFormat:
		n.format = m.Format
	case ofproto.TableMod: // there is nothing to configure
		if m.Table == internalTable {
			return ofproto.OFPTMFC_EPERM
		}
	case ofproto.CTFlushZone, ofproto.CTFlush, ofproto.Resume, ofproto.EchoReply, ofproto.FlowAge:
	default: // among them HELLO and ERROR
		return ofproto.OFPBRC_BAD_TYPE
	}
	return nil
}

// changes reports whether a secondary controller may not send a message.
func changes(wire []byte) bool {
	const packetOut, flowMod, groupMod, portMod, tableMod, meterMod, experimenter = 13, 14, 15, 16, 17, 29, 4
	switch wire[1] {
	case packetOut, flowMod, groupMod, portMod, tableMod, meterMod:
		return true
	case experimenter:
		return len(wire) >= 16 && changing[binary.BigEndian.Uint64(wire[8:])]
	}
	return false
}

// changing has the experimenters and types of the messages that a secondary may not send.
var changing = map[uint64]bool{
	0x4f4e4600<<32 | 2300: true, // ONFT_BUNDLE_CONTROL
	0x4f4e4600<<32 | 2301: true, // ONFT_BUNDLE_ADD_MESSAGE
	0x00002320<<32 | 13:   true, // NXT_FLOW_MOD
	0x00002320<<32 | 24:   true, // NXT_TLV_TABLE_MOD
}

// errNoChange says that a message changes no table.
var errNoChange = errors.New("changes no table")

// change carries out a message that changes tables, and tells who wants to know. The lock is
// held.
func (s *Switch) change(m ofproto.Message, by change) error {
	var err error
	switch m := m.(type) {
	case ofproto.FlowMod:
		if err = s.admitFlow(m); err == nil {
			err = s.tables.applyFlow(m, by)
		}
	case ofproto.GroupMod:
		err = s.tables.applyGroup(m, by)
	case ofproto.MeterMod:
		return s.changeMeters(m, by)
	default:
		return errNoChange
	}
	if err != nil {
		s.tables.rollBack()
		return err
	}
	s.tell(s.tables.keep())
	return nil
}

func (n *session) features() ofproto.FeaturesReply {
	return ofproto.FeaturesReply{
		DatapathID: n.config.DatapathID, Tables: uint8(internalTable),
		Capabilities: ofproto.FlowCounters | ofproto.TableCounters | ofproto.PortCounters | ofproto.GroupCounters | ofproto.QueueCounters,
	}
}

// setConfig sets how fragments are handled, for all, and how much of a packet the session
// gets. A way to handle fragments that Open vSwitch does not have changes nothing.
func (n *session) setConfig(m ofproto.SetConfig) {
	frag := m.Flags & 3
	if frag != ofproto.FragReasm && (n.config.Service || n.role != ofproto.RoleSecondary) {
		n.fragments = frag
	}
	n.missSendLen = m.MissSendLen
}

// packetOut checks a packet that is sent out; Received tells of it.
func (n *session) packetOut(m ofproto.PacketOut) error {
	if err := admitPacketOut(m); err != nil {
		return err
	}
	return n.tables.checkActions(m.Actions)
}

func admitPacketOut(m ofproto.PacketOut) error {
	if m.BufferID != 0 { // no packet is kept here
		return ofproto.OFPBRC_BUFFER_UNKNOWN
	}
	return nil
}

func (n *session) portMod(m ofproto.PortMod) error {
	if err := n.checkPort(m); err != nil {
		return err
	}
	n.modifyPort(m, n)
	return nil
}

// takeRole gives a controller the role that it asks for (OpenFlow 1.3, 6.3.5).
func (n *session) takeRole(xid uint32, m ofproto.RoleRequest) error {
	if m.Role == ofproto.RolePrimary || m.Role == ofproto.RoleSecondary {
		if n.generation != nil && int64(m.Generation-*n.generation) < 0 {
			return ofproto.OFPRRFC_STALE
		}
		n.generation = &m.Generation
	}
	n.setRole(m.Role)
	n.reply(xid, ofproto.RoleReply{Role: n.role, Generation: n.newest()})
	return nil
}

// setRole gives the session a role. A new primary makes the one before a secondary.
func (n *session) setRole(r ofproto.Role) {
	if r == ofproto.RoleNoChange {
		return
	}
	if r == ofproto.RolePrimary && r != n.role {
		n.fence()
	}
	n.role = r
}

// newest returns the generation id of the newest primary.
func (n *session) newest() uint64 {
	if n.generation == nil {
		return ofproto.NoGeneration
	}
	return *n.generation
}

// fence makes the primary a secondary, and tells it.
func (n *session) fence() {
	for _, o := range n.sessions {
		if o.role == ofproto.RolePrimary {
			o.role = ofproto.RoleSecondary
			o.send(0, ofproto.RoleStatus{Role: ofproto.RoleSecondary, Generation: n.newest()})
		}
	}
}
