package ofproto

import "strings"

// ParseFlow reads a flow in the syntax that ovs-ofctl add-flow takes, and in which
// dump-flows prints flows: "table=1,priority=50,tcp,tp_dst=80,actions=output:2". Fields
// come in any order, the actions last. A flow without a table is in table 0, one without a
// priority has 32768; statistics are read and forgotten. It returns a *SyntaxError, which
// wraps the ErrorCode if the flow can be written, but not sent: ParseFlow accepts and
// refuses what ovs-ofctl -O OpenFlow13 does.
//
// Names of ports and tables are known to a switch only, and are not taken.
func ParseFlow(s string) (Flow, error) {
	m, err := ParseFlowMod(FlowAdd, s)
	return m.Flow, err
}

// ParseFlowMod reads the text that add-flow, mod-flows or del-flows of ovs-ofctl, with or
// without --strict, takes, and returns the message that it sends. A cookie with a mask
// chooses the flows to modify or to delete; without one it is the cookie of a new flow.
func ParseFlowMod(cmd FlowCommand, s string) (FlowMod, error) {
	p := parser{whole: s}
	m := p.flowMod(cmd, text{s, 0})
	if p.err != nil {
		return FlowMod{}, p.err
	}
	return m, nil
}

// The keys of a flow that only some commands take.
const (
	ofAdd = 1 << iota
	ofModify
	ofDelete
	ofDeleteStrict
	ofAll    = ofAdd | ofModify | ofDelete | ofDeleteStrict
	ofSets   = ofAdd | ofModify
	ofChoice = ofDelete | ofDeleteStrict
)

var takenBy = [...]uint8{FlowAdd: ofAdd, FlowModify: ofModify, FlowModifyStrict: ofModify, FlowDelete: ofDelete, FlowDeleteStrict: ofDeleteStrict}

// A flowKey is a key of a flow that is not in its match.
type flowKey struct {
	takenBy uint8
	read    func(p *parser, m *FlowMod, value text) // nil: it says nothing that is sent
	bare    bool                                    // it needs no value
}

func flowFlag(f FlowFlags) flowKey {
	return flowKey{ofSets, func(_ *parser, m *FlowMod, _ text) { m.Flow.Flags |= f }, true}
}

var flowKeys = map[string]flowKey{
	"send_flow_rem":       flowFlag(SendFlowRem),
	"check_overlap":       flowFlag(CheckOverlap),
	"reset_counts":        flowFlag(ResetCounts),
	"no_packet_counts":    flowFlag(NoPktCounts),
	"no_byte_counts":      flowFlag(NoBytCounts),
	"no_readonly_table":   {ofAll, nil, true},
	"allow_hidden_fields": {ofAll, nil, true},
	"table":               {ofAll, func(p *parser, m *FlowMod, t text) { m.Flow.Table = p.table(t) }, false},
	"priority":            {ofSets | ofDeleteStrict, func(p *parser, m *FlowMod, t text) { m.Flow.Priority = uint16(p.uint(t, 16)) }, false},
	"idle_timeout":        {ofSets, func(p *parser, m *FlowMod, t text) { m.Flow.IdleTimeout = uint16(p.uint(t, 16)) }, false},
	"hard_timeout":        {ofSets, func(p *parser, m *FlowMod, t text) { m.Flow.HardTimeout = uint16(p.uint(t, 16)) }, false},
	"importance":          {ofAdd, func(p *parser, _ *FlowMod, t text) { p.uint(t, 16) }, false}, // OpenFlow 1.4 sends it
	"out_port":            {ofChoice, func(p *parser, m *FlowMod, t text) { m.OutPort = swapAny(p.port(t)) }, false},
	"out_group":           {ofChoice, func(p *parser, m *FlowMod, t text) { m.OutGroup = swapAny(p.outGroup(t)) }, false},
	"cookie":              {ofAll, (*parser).cookie, false},
	"duration":            {takenBy: ofAll},
	"n_packets":           {takenBy: ofAll},
	"n_bytes":             {takenBy: ofAll},
	"idle_age":            {takenBy: ofAll},
	"hard_age":            {takenBy: ofAll},
}

// flowMod reads a whole flow.
func (p *parser) flowMod(cmd FlowCommand, t text) FlowMod {
	m := FlowMod{Command: cmd, Flow: Flow{Table: AllTables, Priority: 0x8000}} // AllTables: it is not said
	if int(cmd) >= len(takenBy) {
		p.bad(t, "there is no command %d for flows", cmd)
		return m
	}
	match, actions := t, text{}
	if takenBy[cmd]&ofSets != 0 {
		match, actions = p.splitAt(t, "action", ": actions=drop does nothing")
	}
	for kv, ok := p.next(&match); ok && p.err == nil; kv, ok = p.next(&match) {
		p.flowKey(&m, kv)
	}
	if p.err == nil {
		m.Flow.Match = p.match.typed().sent()
	}
	if p.err == nil && takenBy[cmd]&ofSets != 0 {
		p.flowActions(&m.Flow, actions)
	}
	if p.never.s != "" {
		code := OFPBAC_MATCH_INCONSISTENT // that of the actions with it
		if m.deletes() {
			code = 0
		}
		p.refuse(p.never, code, "%s cannot be matched", p.never.s)
	}
	if m.Flow.Table == AllTables && takenBy[cmd]&ofSets != 0 {
		m.Flow.Table = 0
	}
	return m
}

// typed makes the EtherType that m asks for, if it asks for one, that of the packet type: as
// Open vSwitch does when it has read all of the match.
func (m Match) typed() Match {
	packet, ok := m.value(PacketType)
	if i, found := m.find(EthType); ok && found && packet>>16 == etherTypeNamespace {
		m[i].Value = Uint(packet & 0xffff)
	}
	return m
}

// flowKey reads one field of a flow before its actions.
func (p *parser) flowKey(m *FlowMod, kv pair) {
	key, known := flowKeys[kv.key.s]
	known = known && key.takenBy&takenBy[m.Command] != 0
	switch {
	case known && key.bare, known && kv.value.s != "":
		if key.read != nil {
			key.read(p, m, kv.value)
		}
	case p.condition(kv):
	case known:
		p.bad(kv.value, "%s has no value", kv.key.s)
	case flowKeys[kv.key.s].takenBy != 0:
		p.bad(kv.key, "%s cannot be said here: another command takes it", kv.key.s)
	default:
		p.bad(kv.key, "there is no field %q", kv.key.s)
	}
}

// outGroup reads the group of deletes: a number, "any" or "all".
func (p *parser) outGroup(t text) uint32 {
	switch strings.ToLower(t.s) {
	case "any":
		return AnyGroup
	case "all":
		return AllGroups
	}
	return uint32(p.decimal(t, 0xffffffff))
}

// cookie reads "0x5" or "0x5/-1".
func (p *parser) cookie(m *FlowMod, t text) {
	slash := strings.IndexByte(t.s, '/')
	switch sets := takenBy[m.Command]&ofSets != 0; {
	case slash >= 0 && m.Command == FlowAdd:
		p.bad(t.from(slash), "a flow that is added has a cookie without a mask")
	case slash >= 0:
		m.Flow.Cookie = p.uint(t.to(slash), 64)
		m.CookieMask = p.uint(t.from(slash+1), 64)
		m.Flow.Cookie &= m.CookieMask
	case !sets:
		p.bad(t, "to choose flows by their cookie, say its mask: cookie=%s/-1", t.s)
	case m.Command == FlowAdd:
		m.Flow.Cookie = p.uint(t, 64)
	default: // OpenFlow 1.3 has no way to say which cookie a modified flow gets
		p.uint(t, 64)
	}
}

// flowActions reads the actions and instructions of f, whose match is read, and refuses
// those that do not go with it.
func (p *parser) flowActions(f *Flow, t text) {
	p.match, p.checks = f.Match, true
	f.Actions = p.instructions(t)
	if p.err != nil {
		return
	}
	packet := packetOfText(f.Match)
	packet.table = f.Table
	first := len(f.Actions) // that is inconsistent; what a later one is refused for counts more
	for i, a := range f.Actions {
		if code := packet.checkOne(a); code != 0 {
			p.refuse(p.places[i], code, "%v does not go with the match or the table of the flow", a)
		} else if packet.inconsistent {
			first = min(first, i)
		}
	}
	if first < len(f.Actions) {
		p.refuse(p.places[first], p.oldFormat(f), "%v does not go with the match of the flow", f.Actions[first])
	}
	if p.err == nil {
		packetOfText(f.Match).resolve(f.Actions)
		f.Actions = settled(f.Actions)
	}
}

// packetOfText is packetOf as ovs-ofctl has it. For it, a packet of the type of an EtherType
// also has that EtherType should it become Ethernet; a switch forgets that.
func packetOfText(m Match) *packet {
	p := packetOf(m)
	if p.packetType>>16 == etherTypeNamespace {
		p.ether = uint16(p.packetType)
	}
	return p
}

// settled returns actions as they are read from what a switch would say of them: what was
// written as mod_dl_src comes back as set_field, and has to be equal to it. What a switch
// refuses, though ovs-ofctl sends it, stays as it is.
func settled(actions []Action) []Action {
	b, err := appendInstructions(nil, actions)
	if err != nil {
		return actions
	}
	again, err := DecodeInstructions(b)
	if err != nil {
		return actions
	}
	return again
}

// oldFormat returns the error for a flow of which only OpenFlow 1.0 takes the match with the
// actions: ovs-ofctl names one if there is something else in it that 1.0 does not know.
func (p *parser) oldFormat(f *Flow) ErrorCode {
	if p.never.s != "" || f.Flags&(ResetCounts|NoPktCounts|NoBytCounts) != 0 || newerThan10(f.Actions, false) {
		return OFPBAC_MATCH_INCONSISTENT
	}
	return 0
}

// newerThan10 reports whether ovs-ofctl finds something in actions that OpenFlow 1.0 does not
// know, or has found it before them. It forgets that at a clone.
func newerThan10(actions []Action, before bool) bool {
	for _, a := range actions {
		switch a := a.(type) {
		case PushVLAN, Meter, Encap:
			before = true
		case Clone:
			before = newerThan10(a.Actions, false)
		case WriteActions:
			before = newerThan10(a.Actions, before)
		}
	}
	return before
}
