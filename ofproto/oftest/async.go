package oftest

import "weir/ofproto"

// The reasons for which a session gets messages that it has not asked for, unless it says
// otherwise: all but packets whose TTL has run out, and flows whose meter was deleted. A
// secondary hears of ports only.
var defaultAsync = ofproto.AsyncConfig{
	Primary:   ofproto.AsyncReasons{PacketIn: 1<<ofproto.ReasonNoMatch | 1<<ofproto.ReasonAction | laterActions, PortStatus: 7, FlowRemoved: 0xf},
	Secondary: ofproto.AsyncReasons{PortStatus: 7},
}

// laterActions are the reasons that OpenFlow 1.4 has beside ReasonAction, of which it is made
// up in 1.3.
const laterActions = 1<<ofproto.ReasonActionSet | 1<<ofproto.ReasonGroup | 1<<ofproto.ReasonPacketOut

// setAsync sets which messages the session gets.
func (n *session) setAsync(c ofproto.AsyncConfig) {
	for _, r := range []*ofproto.AsyncReasons{&c.Primary, &c.Secondary} {
		if r.PacketIn&(1<<ofproto.ReasonAction) != 0 {
			r.PacketIn |= laterActions
		}
	}
	n.async = c
	if n.config.Service && n.missSendLen == 0 {
		n.missSendLen = defaultMissSendLen
	}
}

// setAsync2 sets the kinds of messages that m names.
func (n *session) setAsync2(m ofproto.NXSetAsync2) {
	c := n.async
	for _, k := range m.Masks {
		c.Set(k)
	}
	n.setAsync(c)
}

// asyncReply is what the session has set, as far as OpenFlow 1.3 has words for it.
func (n *session) asyncReply() ofproto.GetAsyncReply {
	c := n.async
	for _, r := range []*ofproto.AsyncReasons{&c.Primary, &c.Secondary} {
		*r = ofproto.AsyncReasons{PacketIn: r.PacketIn & 7, PortStatus: r.PortStatus & 7, FlowRemoved: r.FlowRemoved & 0x3f}
	}
	return ofproto.GetAsyncReply{AsyncConfig: c}
}

// hears reports whether the session gets a message that it has not asked for; which takes
// the reasons of that kind of message.
func (n *session) hears(which func(ofproto.AsyncReasons) uint32, reason uint8) bool {
	if n.config.Service && n.missSendLen == 0 {
		return false
	}
	r := n.async.Primary
	if n.role == ofproto.RoleSecondary {
		r = n.async.Secondary
	}
	return which(r)>>reason&1 == 1
}

func ofPackets(r ofproto.AsyncReasons) uint32  { return r.PacketIn }
func ofPorts(r ofproto.AsyncReasons) uint32    { return r.PortStatus }
func ofFlows(r ofproto.AsyncReasons) uint32    { return r.FlowRemoved }
func ofRequests(r ofproto.AsyncReasons) uint32 { return r.RequestForward }

// PacketIn has a packet come in: every session with the controller id (0, unless it has said
// another one) gets it that wants packets for this reason, in the format that it wants.
func (s *Switch) PacketIn(controller uint16, p ofproto.PacketIn2) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sessions {
		if n.controller == controller && n.hears(ofPackets, uint8(p.Reason)) {
			n.send(0, n.formatted(p))
		}
	}
}

// formatted returns p in the format that the session wants.
func (n *session) formatted(p ofproto.PacketIn2) ofproto.Message {
	if p.Reason > ofproto.ReasonInvalidTTL {
		p.Reason = ofproto.ReasonAction
	}
	p.BufferID = ofproto.NoBuffer
	switch n.format {
	case ofproto.FormatPacketIn2:
		return p
	case ofproto.FormatNXPacketIn:
		return ofproto.NXPacketIn{PacketIn: p.PacketIn}
	}
	return p.PacketIn
}

// tellRemoved sends FlowRemoved to all who want it.
func (s *Switch) tellRemoved(e event) {
	f := e.flow
	if f.Flags&ofproto.SendFlowRem == 0 {
		return
	}
	reason := e.reason
	m := ofproto.FlowRemoved{FlowStats: f.stats(), Reason: reason}
	m.Actions = nil
	if reason == ofproto.RemovedByMeter { // of OpenFlow 1.4
		m.Reason = ofproto.RemovedByDelete
	}
	for _, n := range s.sessions {
		if n.hears(ofFlows, uint8(reason)) {
			n.reply(0, m)
		}
	}
}

// forward sends a group-mod or meter-mod that was carried out to the others who want it
// (OFPT_REQUESTFORWARD).
func (s *Switch) forward(m ofproto.Message, by change) {
	reason := uint8(0) // OFPRFR_GROUP_MOD
	if _, ok := m.(ofproto.MeterMod); ok {
		reason = 1 // OFPRFR_METER_MOD
	}
	for _, n := range s.sessions {
		if n != by.by && n.hears(ofRequests, reason) {
			n.send(0, ofproto.RequestForward{XID: by.xid, Request: m})
		}
	}
}
