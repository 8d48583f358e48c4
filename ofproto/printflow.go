package ofproto

// flowModCommands are the commands of a flow-mod as they are printed.
var flowModCommands = [...]string{"ADD", "MOD", "MOD_STRICT", "DEL", "DEL_STRICT"}

func (p *printer) flowMod(d *decoder, _ head) {
	if m := d.flowMod(); d.err == nil {
		p.flowModText(m)
	}
}

// flowModText prints a flow-mod. The cookie of one that adds is what the flow gets; that of
// another one says with its mask which flows are meant.
func (p *printer) flowModText(m FlowMod) {
	f := &m.Flow
	p.flowModHead(flowModCommands[m.Command], f)
	switch {
	case m.Command != FlowAdd && m.CookieMask != 0:
		p.f("cookie:0x%x/0x%x ", f.Cookie, m.CookieMask)
	case m.Command == FlowAdd && f.Cookie != 0 && f.Cookie != noCookie:
		p.f("cookie:0x%x ", f.Cookie)
	}
	p.flowModTail(f, m.BufferID, m.OutPort)
}

func (p *printer) flowModHead(command string, f *Flow) {
	p.text(" " + command)
	if f.Table != 0 {
		p.uint(" table:", uint64(f.Table))
	}
	p.text(" ")
	p.match(f.Match, f.Priority)
	if !p.last(' ') {
		p.text(" ")
	}
}

func (p *printer) flowModTail(f *Flow, buffer, outPort uint32) {
	if f.IdleTimeout != 0 {
		p.f("idle:%d ", f.IdleTimeout)
	}
	if f.HardTimeout != 0 {
		p.f("hard:%d ", f.HardTimeout)
	}
	if buffer != 0 {
		p.f("buf:0x%x ", swapAny(buffer))
	}
	if outPort != 0 {
		p.port("out_port:", swapAny(outPort))
		p.text(" ")
	}
	for bit, name := range flowFlagNames {
		if f.Flags>>bit&1 == 1 {
			p.text(name + " ")
		}
	}
	p.actions("actions=", f.Actions)
}

func (p *printer) nxFlowMod(d *decoder, _ head) {
	m := d.nxFlowMod()
	if d.err != nil {
		return
	}
	f := &m.Flow
	p.flowModHead(flowModCommands[m.Command&0xff], f)
	if f.Cookie != 0 && f.Cookie != noCookie {
		p.f("cookie:0x%x ", f.Cookie)
	}
	p.flowModTail(f, m.BufferID, m.OutPort)
}

func (p *printer) flowStatsRequest(d *decoder, _ head) {
	q := d.flowQuery()
	if d.err != nil {
		return
	}
	if q.Table != AllTables {
		p.uint(" table=", uint64(q.Table))
	}
	if q.OutPort != 0 {
		p.port(" out_port=", swapAny(q.OutPort))
	}
	p.text(" ")
	p.match(q.Match, defaultPriority)
}

func (p *printer) flowStatsReply(d *decoder, _ head) {
	for d.more() {
		if f := d.flowStats(); d.err == nil {
			p.text("\n ")
			p.flowStats(&f)
		}
	}
}

func (p *printer) flowStats(f *FlowStats) {
	p.f("cookie=0x%x, duration=", f.Cookie)
	p.duration(f.DurationSec, f.DurationNsec)
	p.f(", table=%d, ", f.Table)
	p.counter("n_packets=", f.Packets, ", ")
	p.counter("n_bytes=", f.Bytes, ", ")
	p.out = f.appendRules(p.out)
}

// removedNames are the reasons why flows go.
var removedNames = []string{"idle", "hard", "delete", "group_delete", "meter_delete", "eviction"}

func (p *printer) removedReason(prefix string, r RemovedReason) {
	if int(r) < len(removedNames) {
		p.text(prefix + removedNames[r])
	} else {
		p.uint(prefix, uint64(r))
	}
}

func (p *printer) flowRemoved(d *decoder, _ head) {
	if m := d.flowRemoved(); d.err == nil {
		p.flowRemovedText(&m)
	}
}

func (p *printer) nxFlowRemoved(d *decoder, _ head) {
	if m := d.nxFlowRemoved(); d.err == nil {
		p.flowRemovedText(&m.FlowRemoved)
	}
}

func (p *printer) flowRemovedText(m *FlowRemoved) {
	p.text(" ")
	p.match(m.Match, m.Priority)
	p.removedReason(" reason=", m.Reason)
	if m.Table != AllTables {
		p.uint(" table_id=", uint64(m.Table))
	}
	if m.Cookie != 0 {
		p.hex(" cookie:0x", m.Cookie)
	}
	p.text(" duration")
	p.duration(m.DurationSec, m.DurationNsec)
	p.uint(" idle", uint64(m.IdleTimeout))
	if m.HardTimeout != 0 {
		p.uint(" hard", uint64(m.HardTimeout))
	}
	p.f(" pkts%d bytes%d\n", m.Packets, m.Bytes)
}

// monitorNames are the flags of a monitor, by the bits that OpenFlow 1.4 gives them.
var monitorNames = []string{"initial", "add", "delete", "modify", "actions", "own"}

func (p *printer) flowMonitorRequest(d *decoder, _ head) {
	for d.more() {
		k := d.flowMonitor()
		if d.err != nil {
			return
		}
		p.f("\n id=%d flags=", k.ID)
		p.bits(uint32(k.Flags), monitorNames, ",")
		if k.OutPort != 0 {
			p.port(" out_port=", swapAny(k.OutPort))
		}
		if k.Table != AllTables {
			p.uint(" table=", uint64(k.Table))
		}
		p.text(" ")
		p.match(k.Match, defaultPriority)
		p.chomp(' ')
	}
}

func (p *printer) flowMonitorReply(d *decoder, _ head) {
	for d.more() {
		if u := d.flowUpdate(); d.err == nil {
			p.flowUpdate(&u)
		}
	}
}

func (p *printer) flowUpdate(u *FlowUpdate) {
	p.text("\n event=")
	switch u.Event {
	case UpdateAdded:
		p.text("ADDED")
	case UpdateDeleted:
		p.removedReason("DELETED reason=", u.Reason)
	case UpdateModified:
		p.text("MODIFIED")
	case UpdateAbbreviated:
		p.hex("ABBREV xid=0x", uint64(u.XID))
		return
	}
	f := &u.Flow
	p.uint(" table=", uint64(f.Table))
	if f.IdleTimeout != 0 {
		p.uint(" idle_timeout=", uint64(f.IdleTimeout))
	}
	if f.HardTimeout != 0 {
		p.uint(" hard_timeout=", uint64(f.HardTimeout))
	}
	p.text(" cookie=" + cHex(f.Cookie) + " ")
	p.match(f.Match, defaultPriority)
	if len(f.Actions) > 0 {
		if !p.last(' ') {
			p.text(" ")
		}
		p.actions("actions=", f.Actions)
	}
}
