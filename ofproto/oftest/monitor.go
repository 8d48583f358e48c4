package oftest

import (
	"weir/ofproto"
)

// monitorLimit is how many bytes of updates may lie unread before a session's monitors
// pause.
const monitorLimit = 128 << 10

// A monitor is which changes of which flows a session wants to hear of.
type monitor struct {
	flags ofproto.MonitorFlags
	selection
}

func monitorOf(m ofproto.FlowMonitor) *monitor {
	return &monitor{m.Flags, selection{table: m.Table, match: m.Match, outPort: m.OutPort}}
}

// monitorRequest starts monitors. If one of them cannot be, those that came with it before
// are not either.
func (n *session) monitorRequest(xid uint32, m ofproto.FlowMonitorRequest) error {
	var begun []uint32
	for _, k := range m.Monitors {
		err := n.addMonitor(k)
		if err != nil {
			for _, id := range begun {
				delete(n.monitors, id)
			}
			return err
		}
		begun = append(begun, k.ID)
	}
	r := refreshed{flows: map[*flow]int{}}
	for _, id := range begun {
		if k := n.monitors[id]; k.flags&ofproto.MonitorInitial != 0 {
			n.refresh(&r, k, 0)
		}
	}
	n.replyParts(xid, ofproto.FlowMonitorReply{}, encodeUpdates(r.updates))
	return nil
}

func (n *session) addMonitor(k ofproto.FlowMonitor) error {
	if n.monitors[k.ID] != nil {
		return ofproto.OFPMOFC_MONITOR_EXISTS
	}
	n.monitors[k.ID] = monitorOf(k)
	return nil
}

func (n *session) cancelMonitor(id uint32) error {
	if n.monitors[id] == nil {
		return ofproto.OFPMOFC_UNKNOWN_MONITOR
	}
	delete(n.monitors, id)
	return nil
}

// refreshed are flows of which a session has to be told, in order, and how.
type refreshed struct {
	updates []ofproto.FlowUpdate
	flows   map[*flow]int // where in updates
}

// refresh adds the flows that a monitor sees and that were added or changed since an event;
// zero: all that it sees. A flow that several monitors see is told once, with its actions if
// one of them wants them.
func (n *session) refresh(r *refreshed, k *monitor, since uint64) {
	for _, f := range n.tables.selected(k.selection) {
		event, wanted := ofproto.UpdateAdded, ofproto.MonitorAdd|ofproto.MonitorModify
		if since != 0 && f.added <= since {
			event, wanted = ofproto.UpdateModified, ofproto.MonitorModify
		}
		if since != 0 && (f.changed <= since || k.flags&wanted == 0) {
			continue
		}
		i, told := r.flows[f]
		if !told {
			i = len(r.updates)
			r.flows[f] = i
			r.updates = append(r.updates, update(f, event, 0))
		}
		if k.flags&ofproto.MonitorActions != 0 {
			r.updates[i].Flow.Actions = f.Actions
		}
	}
}

// update tells of a flow, with its actions only if flags say so.
func update(f *flow, event ofproto.UpdateEvent, flags ofproto.MonitorFlags) ofproto.FlowUpdate {
	u := ofproto.FlowUpdate{Event: event, Flow: f.Flow}
	if flags&ofproto.MonitorActions == 0 {
		u.Flow.Actions = nil
	}
	return u
}

func encodeUpdates(updates []ofproto.FlowUpdate) (entries [][]byte) {
	head := len(encode(0, ofproto.FlowMonitorReply{}))
	for _, u := range updates {
		if b := encode(0, ofproto.FlowMonitorReply{Updates: []ofproto.FlowUpdate{u}}); b != nil {
			entries = append(entries, b[head:])
		}
	}
	return entries
}

// tell tells all who want to hear of it what happened. The lock is held.
func (s *Switch) tell(o outcome) {
	for _, f := range o.forwards {
		s.forward(f.m, f.by)
	}
	for i := range o.events {
		s.countEvent(&o.events[i])
	}
	for _, n := range s.sessions {
		n.tellMonitors(o.events)
	}
	for _, e := range o.events {
		if e.kind == flowRemoved {
			s.tellRemoved(e)
		}
	}
}

// countEvent gives an event its number.
func (s *Switch) countEvent(e *event) {
	switch e.kind {
	case flowAdded:
		s.events++
		e.flow.added, e.flow.changed = s.events, s.events
	case flowModified:
		s.events++
		e.flow.changed = s.events
	}
}

// tellMonitors tells one session, and pauses its monitors if it does not keep up.
func (n *session) tellMonitors(events []event) {
	var updates []ofproto.FlowUpdate
	abbreviated := false
	for _, e := range events {
		flags := n.wants(e)
		switch {
		case flags == 0:
		case flags&ofproto.MonitorOwn != 0 || e.by != n || n.paused != 0:
			u := update(e.flow, e.update(), flags)
			u.Reason = e.reason
			updates = append(updates, u)
		case !abbreviated:
			updates = append(updates, ofproto.FlowUpdate{Event: ofproto.UpdateAbbreviated, XID: e.xid})
			abbreviated = true
		}
	}
	if len(updates) == 0 {
		return
	}
	for _, b := range parts(0, ofproto.FlowMonitorReply{}, encodeUpdates(updates)) {
		n.out.put(frame{b: b, monitor: true})
	}
	if n.paused == 0 && n.out.unseen() > monitorLimit {
		n.Switch.events++
		n.paused = n.Switch.events
		n.out.put(frame{b: encode(0, ofproto.FlowMonitorPaused{}), monitor: true})
	}
}

// wants returns the flags of all monitors that want to hear of e. While they are paused they
// hear only of the end of flows that they have heard of.
func (n *session) wants(e event) (flags ofproto.MonitorFlags) {
	if n.paused != 0 && (e.kind != flowRemoved || e.flow.added > n.paused) {
		return 0
	}
	for _, k := range n.monitors {
		if k.flags&e.flag() != 0 && k.sees(e) {
			flags |= k.flags
		}
	}
	return flags
}

// sees reports whether a monitor sees the flow of e, or saw it before it was changed.
func (k *monitor) sees(e event) bool {
	if k.selection.wants(e.flow) {
		return true
	}
	if e.before == nil {
		return false
	}
	before := *e.flow
	before.Actions = e.before
	return k.selection.wants(&before)
}

func (e event) flag() ofproto.MonitorFlags {
	return [...]ofproto.MonitorFlags{ofproto.MonitorAdd, ofproto.MonitorModify, ofproto.MonitorDelete}[e.kind]
}

func (e event) update() ofproto.UpdateEvent {
	return [...]ofproto.UpdateEvent{ofproto.UpdateAdded, ofproto.UpdateModified, ofproto.UpdateDeleted}[e.kind]
}

// resume tells the session what it has missed, once it has read all else.
func (n *session) resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.paused == 0 || n.out.unseen() > 0 {
		return
	}
	r := refreshed{flows: map[*flow]int{}}
	for _, id := range sortedKeys(n.monitors) {
		n.refresh(&r, n.monitors[id], n.paused)
	}
	if len(r.updates) > 0 {
		n.replyParts(0, ofproto.FlowMonitorReply{}, encodeUpdates(r.updates))
	}
	n.reply(0, ofproto.FlowMonitorResumed{})
	n.paused = 0
}
