package ofproto

import "fmt"

type (
	// FlowMonitorRequest starts monitors, of which a switch tells each change of its
	// tables (ONFST_FLOW_MONITOR, ONF extension 187). It answers with a FlowMonitorReply.
	FlowMonitorRequest struct {
		More     bool // more to come with the same xid
		Monitors []FlowMonitor
	}

	// FlowMonitorReply is what monitors see: the answer to a FlowMonitorRequest with its
	// xid, which has the flows that are there, and what changes later, with xid 0.
	FlowMonitorReply struct {
		More    bool
		Updates []FlowUpdate
	}

	// FlowMonitorCancel ends a monitor.
	FlowMonitorCancel struct{ ID uint32 }
	// FlowMonitorPaused says that the controller reads too slowly: monitors say nothing
	// from now on.
	FlowMonitorPaused struct{}
	// FlowMonitorResumed says that all that was not said has been made up for.
	FlowMonitorResumed struct{}
)

// A FlowMonitor is which changes of which flows are of interest.
type FlowMonitor struct {
	ID      uint32 // the controller's own
	Flags   MonitorFlags
	OutPort uint32 // only flows that output there; zero: all (OFPP_ANY on the wire)
	Table   Table  // or AllTables
	Match   Match  // flows that match at least this
}

// MonitorFlags are ONFFMF_*.
type MonitorFlags uint16

// What a monitor tells: at least one of MonitorAdd, MonitorDelete and MonitorModify.
const (
	MonitorInitial MonitorFlags = 1 << iota // the flows that there are when it begins
	MonitorAdd
	MonitorDelete
	MonitorModify
	MonitorActions // with the actions
	MonitorOwn     // changes by this controller too; else only their xid

	allMonitorFlags = MonitorInitial | MonitorAdd | MonitorDelete | MonitorModify | MonitorActions | MonitorOwn
)

// A FlowUpdate is one change of a flow.
type FlowUpdate struct {
	Event  UpdateEvent
	XID    uint32        // of UpdateAbbreviated: of the message that made the change
	Reason RemovedReason // of UpdateDeleted
	Flow   Flow          // with actions only if they were asked for; Flags are not told
}

// A TableChange is what others have changed in the tables of a switch, as far as it tells.
type TableChange struct {
	Flows  []FlowUpdate // in the order in which they happened
	Groups bool         // groups or meters were changed; how, they show
	All    bool         // anything may have been changed: the tables have to be read again
}

// UpdateEvent is ONFFME_*.
type UpdateEvent uint16

// The kinds of changes.
const (
	UpdateAdded UpdateEvent = iota
	UpdateDeleted
	UpdateModified
	UpdateAbbreviated // a change by this controller, of which only the xid is told
)

// Subtypes of experimenter messages about monitors.
const (
	onfFlowMonitor        = 1870
	onfFlowMonitorPaused  = 1871
	onfFlowMonitorResumed = 1872
)

func (FlowMonitorRequest) messageType() uint8 { return typeMultipartRequest }
func (FlowMonitorReply) messageType() uint8   { return typeMultipartReply }
func (FlowMonitorCancel) messageType() uint8  { return typeExperimenter }
func (FlowMonitorPaused) messageType() uint8  { return typeExperimenter }
func (FlowMonitorResumed) messageType() uint8 { return typeExperimenter }

// appendONFMultipart appends the headers of a multipart message of the ONF.
func appendONFMultipart(b []byte, subtype uint32, continues bool) []byte {
	b = be.AppendUint16(be.AppendUint16(b, uint16(MultipartExperimenter)), flag(continues, more))
	return appendExperimenter(append(b, 0, 0, 0, 0), onf, subtype)
}

func (m FlowMonitorRequest) appendBody(b []byte) ([]byte, error) {
	b = appendONFMultipart(b, onfFlowMonitor, m.More)
	for _, k := range m.Monitors {
		b = be.AppendUint16(be.AppendUint32(b, k.ID), uint16(k.Flags))
		at := len(b)
		b = be.AppendUint32(append(b, 0, 0), swapAny(k.OutPort))
		b = append(b, byte(k.Table), 0, 0, 0)
		start := len(b)
		b = appendMatch(b, k.Match)
		copy(b[at:at+2], b[start+2:]) // the length of the match, without its padding
	}
	return b, nil
}

func (m FlowMonitorReply) appendBody(b []byte) ([]byte, error) {
	b = appendONFMultipart(b, onfFlowMonitor, m.More)
	var err error
	for i := range m.Updates {
		if b, err = m.Updates[i].append(b); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (u *FlowUpdate) append(b []byte) ([]byte, error) {
	if u.Event == UpdateAbbreviated {
		return be.AppendUint32(be.AppendUint16(append(b, 0, 8), uint16(u.Event)), u.XID), nil
	}
	f, start := &u.Flow, len(b)
	b = be.AppendUint16(append(b, 0, 0), uint16(u.Event))
	b = be.AppendUint16(be.AppendUint16(b, uint16(u.Reason)), f.Priority)
	b = be.AppendUint16(be.AppendUint16(b, f.IdleTimeout), f.HardTimeout)
	at := len(b)
	b = be.AppendUint64(append(b, 0, 0, byte(f.Table), 0), f.Cookie)
	match := len(b)
	b = f.appendMatch(b)
	copy(b[at:at+2], b[match+2:]) // the length of the match, without its padding
	b, err := appendInstructions(b, f.Actions)
	if err != nil {
		return b, err
	}
	return b, setLen(b, start, 0)
}

func (m FlowMonitorCancel) appendBody(b []byte) ([]byte, error) {
	return be.AppendUint32(appendExperimenter(b, onf, onfFlowMonitor), m.ID), nil
}

func (FlowMonitorPaused) appendBody(b []byte) ([]byte, error) {
	return appendExperimenter(b, onf, onfFlowMonitorPaused), nil
}

func (FlowMonitorResumed) appendBody(b []byte) ([]byte, error) {
	return appendExperimenter(b, onf, onfFlowMonitorResumed), nil
}

func (d *decoder) flowMonitorRequest(h head) Message {
	m := FlowMonitorRequest{More: h.flags&more != 0}
	for d.more() {
		if k := d.flowMonitor(); d.err == nil {
			m.Monitors = append(m.Monitors, k)
		}
	}
	return m
}

func (d *decoder) flowMonitor() (k FlowMonitor) {
	d.short = OFPBRC_BAD_LEN
	if len(d.b) < 16 {
		d.truncated()
	}
	k.ID, k.Flags = d.u32(), MonitorFlags(d.u16())
	d.skip(2)
	if k.Flags&(MonitorAdd|MonitorDelete|MonitorModify) == 0 || k.Flags&^allMonitorFlags != 0 {
		d.refuse(OFPMOFC_BAD_FLAGS)
	}
	port := d.u32()
	k.OutPort, k.Table = swapAny(port), Table(d.u8())
	d.zero(3, NXBRC_MUST_BE_ZERO)
	if !isPort(port) {
		d.refuse(OFPBAC_BAD_OUT_PORT)
	}
	k.Match = d.match()
	return k
}

func (d *decoder) flowMonitorReply(h head) Message {
	m := FlowMonitorReply{More: h.flags&more != 0, Updates: room([]FlowUpdate(nil), countEntries(d.b, 8))}
	for d.more() {
		if u := d.flowUpdate(); d.err == nil {
			m.Updates = append(m.Updates, u)
		}
	}
	return m
}

// updateLen is the length of a FlowUpdate without its match and instructions.
const updateLen = 24

func (d *decoder) flowUpdate() (u FlowUpdate) {
	n := int(d.peek16())
	if len(d.b) < 4 || n > len(d.b) || n%8 != 0 {
		d.fail(fmt.Errorf("flow update: %w %d", OFPBRC_BAD_LEN, n))
		return u
	}
	u.Event = UpdateEvent(be.Uint16(d.b[2:]))
	switch {
	case u.Event > UpdateAbbreviated:
		d.fail(NXBRC_FM_BAD_EVENT)
	case u.Event == UpdateAbbreviated && n != 8, u.Event != UpdateAbbreviated && n < updateLen:
		d.fail(fmt.Errorf("flow update: %w %d", OFPBRC_BAD_LEN, n))
	case u.Event == UpdateAbbreviated:
		d.skip(4)
		u.XID = d.u32()
	default:
		d.fullUpdate(&u, n)
	}
	return u
}

// fullUpdate reads an update of n bytes. Open vSwitch reads the match before it looks
// whether it ends within the update.
func (d *decoder) fullUpdate(u *FlowUpdate, n int) {
	f, left := &u.Flow, len(d.b)
	d.skip(4)
	u.Reason, f.Priority = RemovedReason(d.u16()), d.u16()
	f.IdleTimeout, f.HardTimeout = d.u16(), d.u16()
	if int(d.u16()) > n-updateLen {
		d.refuse(OFPBRC_BAD_LEN)
	}
	f.Table = Table(d.u8())
	d.skip(1)
	f.Cookie = d.u64()
	d.flowMatch(f)
	f.Actions = d.instructionsUpTo(n - (left - len(d.b)))
}

func init() {
	onMessage(onfAsk, onfFlowMonitor, messageForm{name: "FLOW_MONITOR", unit: 8,
		print: (*printer).flowMonitorRequest, read: (*decoder).flowMonitorRequest})
	onMessage(onfAnswer, onfFlowMonitor, messageForm{name: "FLOW_MONITOR", unit: 8,
		print: (*printer).flowMonitorReply, read: (*decoder).flowMonitorReply})
	onMessage(onfMessage, onfFlowMonitor, messageForm{name: "FLOW_MONITOR_CANCEL", print: (*printer).flowMonitorCancel, least: 4,
		read: func(d *decoder, _ head) Message { return FlowMonitorCancel{d.u32()} }})
	onMessage(onfMessage, onfFlowMonitorPaused, messageForm{name: "FLOW_MONITOR_PAUSED",
		read: func(*decoder, head) Message { return FlowMonitorPaused{} }})
	onMessage(onfMessage, onfFlowMonitorResumed, messageForm{name: "FLOW_MONITOR_RESUMED",
		read: func(*decoder, head) Message { return FlowMonitorResumed{} }})
}
