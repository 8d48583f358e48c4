package oftest

import (
	"slices"
	"time"

	"weir/ofproto"
)

// A change is whose a message is that changes tables, and with which xid.
type change struct {
	by  *session // nil: of somebody else
	xid uint32
}

// admitFlow checks what Open vSwitch checks when it reads a flow-mod, and when it takes one
// into a bundle; what depends on the tables is left to applyFlow.
func (s *Switch) admitFlow(m ofproto.FlowMod) error {
	if err := s.checkTLVs(m.Flow); err != nil {
		return err
	}
	if deletes(m.Command) {
		return nil
	}
	if m.Flow.Table == internalTable {
		return ofproto.OFPBRC_EPERM
	}
	for _, c := range m.Flow.Match { // only the switch itself may ask for these
		if c.Field == ofproto.DPHash || c.Field == ofproto.RecircID && c.Value != (ofproto.Bits{}) {
			return ofproto.OFPBRC_EPERM
		}
	}
	if m.BufferID != 0 { // no packet is kept here
		return ofproto.OFPBRC_BUFFER_UNKNOWN
	}
	return nil
}

func deletes(c ofproto.FlowCommand) bool {
	return c == ofproto.FlowDelete || c == ofproto.FlowDeleteStrict
}

// applyFlow carries out a flow-mod (OpenFlow 1.3, 6.4).
func (t *tables) applyFlow(m ofproto.FlowMod, by change) error {
	switch {
	case m.Command == ofproto.FlowAdd:
		return t.addFlow(m.Flow, by)
	case deletes(m.Command):
		return t.deleteFlows(m, by)
	}
	return t.modifyFlows(m, by)
}

// keepsCookie is the cookie with which a flow that replaces another one keeps the cookie of
// that one.
const keepsCookie = ^uint64(0)

func (t *tables) addFlow(f ofproto.Flow, by change) error {
	if err := t.checkActions(f.Actions); err != nil {
		return err
	}
	n := &flow{Flow: f, created: time.Now()}
	old := t.flows[f.Key()]
	if old == nil {
		if f.Flags&ofproto.CheckOverlap != 0 && t.overlaps(f) {
			return ofproto.OFPFMFC_OVERLAP
		}
		t.putFlow(n)
		t.happened(event{kind: flowAdded, flow: n, by: by.by, xid: by.xid})
		return nil
	}
	if f.Cookie == keepsCookie {
		n.Cookie = old.Cookie
	}
	if f.Flags&ofproto.ResetCounts == 0 {
		n.packets, n.bytes = old.packets, old.bytes
	}
	t.putFlow(n)
	t.happened(event{kind: flowAdded, flow: n, before: old.Actions, by: by.by, xid: by.xid})
	return nil
}

// overlaps reports whether there is another flow of the same priority that the same packet
// could match.
func (t *tables) overlaps(f ofproto.Flow) bool {
	for _, o := range t.flows {
		if o.Table == f.Table && o.Priority == f.Priority && overlap(o.Match, f.Match) {
			return true
		}
	}
	return false
}

// modifyFlows gives other actions to the flows that m selects. Nothing else of them changes,
// and nothing is added: that went with OpenFlow 1.1.
func (t *tables) modifyFlows(m ofproto.FlowMod, by change) error {
	found := t.selected(selectionOf(m))
	if len(found) == 0 {
		return nil
	}
	if slices.ContainsFunc(found, isInternal) {
		if found = slices.DeleteFunc(found, isInternal); len(found) == 0 {
			return ofproto.OFPBRC_EPERM
		}
	}
	if err := t.checkActions(m.Flow.Actions); err != nil {
		return err
	}
	for _, old := range found {
		n := *old
		n.Actions, n.added, n.changed = m.Flow.Actions, 0, 0
		if m.Flow.Flags&ofproto.ResetCounts != 0 {
			n.packets, n.bytes = 0, 0
		}
		t.putFlow(&n)
		if !sameActions(n.Actions, old.Actions) {
			t.happened(event{kind: flowModified, flow: &n, before: old.Actions, by: by.by, xid: by.xid})
		}
	}
	return nil
}

func isInternal(f *flow) bool { return f.Table == internalTable }

func selectionOf(m ofproto.FlowMod) selection {
	s := selection{table: m.Flow.Table, match: m.Flow.Match, cookie: m.Flow.Cookie, cookieMask: m.CookieMask}
	if m.Command == ofproto.FlowModifyStrict || m.Command == ofproto.FlowDeleteStrict {
		s.strict, s.priority = true, m.Flow.Priority
	}
	if deletes(m.Command) {
		s.outPort, s.outGroup = m.OutPort, m.OutGroup
	}
	return s
}

func (t *tables) deleteFlows(m ofproto.FlowMod, by change) error {
	found := t.selected(selectionOf(m))
	theirs := slices.DeleteFunc(slices.Clone(found), isInternal)
	if len(theirs) == 0 && len(found) > 0 {
		return ofproto.OFPBRC_EPERM
	}
	t.removeFlows(theirs, event{reason: ofproto.RemovedByDelete, by: by.by, xid: by.xid})
	return nil
}

// removeFlows removes flows, each with an event like e.
func (t *tables) removeFlows(flows []*flow, e event) {
	for _, f := range flows {
		t.removeFlow(f)
		e.kind, e.flow = flowRemoved, f
		t.happened(e)
	}
}

// checkActions refuses actions that use a group or a meter that is not there.
func (t *tables) checkActions(actions []ofproto.Action) error {
	for a := range flat(actions) {
		switch a := a.(type) {
		case ofproto.Meter:
			if t.meters[uint32(a)] == nil {
				return ofproto.OFPMMFC_INVALID_METER
			}
		case ofproto.ToGroup:
			if t.groups[uint32(a)] == nil {
				return ofproto.OFPBAC_BAD_OUT_GROUP
			}
		}
	}
	return nil
}
