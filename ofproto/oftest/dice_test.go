package oftest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"weir/ofproto"
)

// A step is what one controller sends at a time.
type step struct {
	who      int
	messages []ofproto.Message
}

func (s step) String() string { return fmt.Sprintf("controller %d: %+v", s.who, s.messages) }

// dice make steps. Its universe is small, so that things meet.
type dice struct{ *rand.Rand }

func choose[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

func (d dice) in(n int) bool { return d.IntN(n) == 0 }

var texts = []ofproto.Match{
	nil,
	ofproto.MatchOn(ofproto.IsIPv4),
	ofproto.MatchOn(ofproto.IsIPv6),
	ofproto.MatchOn(ofproto.IsARP),
	ofproto.MatchOn(ofproto.Is(ofproto.InPort, 1)),
	ofproto.MatchOn(ofproto.Is(ofproto.InPort, 1), ofproto.IsIPv4),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6)),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPDst, 80)),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 6), ofproto.Masked(ofproto.TCPDst, 0x50, 0xfff0)),
	ofproto.MatchOn(ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, 6), ofproto.Is(ofproto.TCPDst, 80)),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, 17), ofproto.Is(ofproto.UDPDst, 80)),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Masked(ofproto.IPv4Src, 0x0a000000, 0xff000000)),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Masked(ofproto.IPv4Src, 0x0a010000, 0xffff0000)),
	ofproto.MatchOn(ofproto.IsIPv4, ofproto.Masked(ofproto.IPv4Dst, 1, 1)),
	ofproto.MatchOn(ofproto.Is(ofproto.Reg1, 3)),
	ofproto.MatchOn(ofproto.Masked(ofproto.Reg1, 3, 3)),
	ofproto.MatchOn(ofproto.Masked(ofproto.Reg1, 1, 3)),
	ofproto.MatchOn(ofproto.CT(ofproto.New|ofproto.Trk, 0)),
	ofproto.MatchOn(ofproto.CT(ofproto.Trk, ofproto.New)),
	ofproto.MatchOn(ofproto.Is(ofproto.Metadata, 1<<40)),
	ofproto.MatchOn(ofproto.Is(ofproto.RecircID, 0)),
}

func (d dice) match() ofproto.Match { return choose(d, texts...) }

func (d dice) group() uint32 { return choose[uint32](d, 0, 1, 2, 2, 3) }

func (d dice) meter() uint32 { return choose[uint32](d, 1, 2, 2, 3) }

// action is one that may stand anywhere in a list of actions.
func (d dice) action() ofproto.Action {
	switch d.IntN(7) {
	case 0:
		return ofproto.ToGroup(d.group())
	case 1:
		return choose[ofproto.Action](d,
			ofproto.Clone{Actions: []ofproto.Action{ofproto.ToGroup(d.group()), ofproto.Output{Port: 1}}},
			ofproto.ConnTrack{Commit: true, Table: ofproto.NoTable, Zone: 5, Exec: []ofproto.Action{ofproto.SetField{Field: ofproto.CTLabel, Value: ofproto.Uint(7)}}},
			ofproto.ConnTrack{Table: choose[ofproto.Table](d, 3, 254)}, ofproto.PopVLAN{}, ofproto.DecTTL{}, ofproto.SetField{Field: ofproto.IPv6Dst, Value: ofproto.Uint(7)},
			ofproto.SetQueue(3), ofproto.Note("\x01\x02\x03\x04\x05\x06"), ofproto.Exit{}, ofproto.CTClear{})
	case 2:
		// of 8 bytes: what stands behind a shorter value when Open vSwitch 3.1 compares actions is
		// left to chance, and so is whether a modification that changes nothing is told of
		return ofproto.SetField{Field: ofproto.Metadata, Value: ofproto.Uint(9)}
	case 3:
		return ofproto.Resubmit{Port: ofproto.PortInPort16, Table: 7}
	case 4:
		return ofproto.Output{Port: ofproto.PortController, MaxLen: 128}
	}
	return ofproto.Output{Port: choose(d, 1, 2, ofproto.PortLocal, ofproto.PortFlood)}
}

// actions returns the actions of a flow, which uses no group twice.
func (d dice) actions(table ofproto.Table) []ofproto.Action {
	for {
		a := d.anyActions(table)
		if !usesTwice(ofproto.FlowMod{Flow: ofproto.Flow{Actions: a}}) {
			return a
		}
	}
}

func (d dice) anyActions(table ofproto.Table) (actions []ofproto.Action) {
	if d.in(5) {
		actions = append(actions, ofproto.Meter(d.meter()))
	}
	for range d.IntN(3) {
		actions = append(actions, d.action())
	}
	if d.in(5) {
		actions = append(actions, ofproto.WriteActions{Actions: []ofproto.Action{ofproto.ToGroup(d.group())}})
	}
	if d.in(4) {
		actions = append(actions, ofproto.GotoTable(choose(d, table+1, table+1, 3, 254)))
	}
	return actions
}

func (d dice) flowMod() ofproto.FlowMod {
	m := ofproto.FlowMod{
		Command: choose(d, ofproto.FlowAdd, ofproto.FlowAdd, ofproto.FlowAdd, ofproto.FlowModify, ofproto.FlowModifyStrict, ofproto.FlowDelete, ofproto.FlowDeleteStrict),
		Flow: ofproto.Flow{
			Table: choose[ofproto.Table](d, 0, 0, 0, 1, 1, 253), Priority: choose[uint16](d, 0, 5, 5, 5, 65535),
			Cookie: choose[uint64](d, 0, 1, 2, 0x11, ^uint64(0)), Match: d.match(),
			Flags: ofproto.FlowFlags(choose(d, 0, 0, 1, 2, 2, 4, 8, 16, 31)),
		},
	}
	if d.in(15) {
		m.Flow.Table = choose(d, internalTable, ofproto.AllTables)
	}
	if d.in(3) {
		m.Flow.IdleTimeout, m.Flow.HardTimeout = choose[uint16](d, 0, 1000), choose[uint16](d, 0, 2000)
	}
	if m.Command == ofproto.FlowAdd || d.in(2) {
		m.CookieMask = choose[uint64](d, 0, 0, 1, 0xf0, ^uint64(0))
	}
	if !deletes(m.Command) {
		m.Flow.Actions = d.actions(m.Flow.Table)
		return m
	}
	if d.in(3) {
		m.Flow.Table = ofproto.AllTables
	}
	if d.in(4) {
		m.OutPort = choose(d, 1, 2, ofproto.PortLocal, ofproto.PortController)
	}
	if d.in(4) {
		m.OutGroup = choose[uint32](d, ofproto.AnyGroup, 1, 2)
	}
	return m
}

func (d dice) groupMod() ofproto.GroupMod {
	m := ofproto.GroupMod{
		Command: choose(d, ofproto.GroupAdd, ofproto.GroupAdd, ofproto.GroupAdd, ofproto.GroupModify, ofproto.GroupAddOrMod, ofproto.GroupDelete, ofproto.GroupInsertBucket, ofproto.GroupRemoveBucket),
		Group:   ofproto.Group{ID: d.group(), Type: choose(d, ofproto.GroupAll, ofproto.GroupSelect, ofproto.GroupIndirect, ofproto.GroupFastFailover)},
	}
	if d.in(10) {
		m.Group.ID = choose[uint32](d, maxGroup, maxGroup+1, ofproto.AllGroups, ofproto.AnyGroup)
	}
	if m.Command == ofproto.GroupDelete || m.Command == ofproto.GroupRemoveBucket {
		return m
	}
	for range choose(d, 0, 1, 1, 1, 2, 3) {
		k := ofproto.Bucket{Actions: []ofproto.Action{d.action()}}
		if m.Group.Type == ofproto.GroupSelect {
			k.Weight = choose[uint16](d, 1, 100)
		}
		if m.Group.Type == ofproto.GroupFastFailover {
			k.WatchPort = 1
		}
		m.Group.Buckets = append(m.Group.Buckets, k)
	}
	return m
}

func (d dice) meterMod() ofproto.MeterMod {
	m := ofproto.MeterMod{
		Command: choose(d, ofproto.MeterAdd, ofproto.MeterAdd, ofproto.MeterModify, ofproto.MeterDelete),
		Meter:   ofproto.MeterConfig{ID: d.meter(), Flags: choose[uint16](d, 1, 1, 2, 5, 13, 0, 3, 17)},
	}
	if d.in(8) {
		m.Meter.ID = choose(d, 0, maxMeter, maxMeter+1, ofproto.AllMeters, ofproto.MeterController, ofproto.MeterSlowpath)
	}
	for range choose(d, 0, 1, 1, 1, 2, 9) {
		m.Meter.Bands = append(m.Meter.Bands, ofproto.MeterBand{Type: ofproto.MeterDrop, Rate: choose[uint32](d, 1, 1000, 1000, 0), Burst: choose[uint32](d, 0, 500)})
	}
	if d.in(10) && len(m.Meter.Bands) > 0 {
		m.Meter.Bands[0].Type = ofproto.MeterDSCPRemark
	}
	return m
}

// bundled is a bundle as it should be, or nearly so. The xids in it are added to those of the
// messages that it is sent in.
func (d dice) bundled(ports []ofproto.PortDesc) (all []ofproto.Message) {
	id, flags := choose[uint32](d, 1, 2), ofproto.BundleFlags(choose(d, 0, 1, 2, 3))
	control := func(t ofproto.BundleControlType) {
		if !d.in(20) {
			all = append(all, ofproto.BundleControl{ID: id, Type: t, Flags: flags})
		}
		if d.in(20) {
			all = append(all, ofproto.BundleControl{ID: id, Type: ofproto.BundleControlType(d.IntN(8)), Flags: ofproto.BundleFlags(choose(d, 0, 3))})
		}
	}
	control(ofproto.BundleOpen)
	added := false
	for range d.IntN(6) {
		add := ofproto.BundleAdd{ID: id, Flags: flags, Message: d.bundledFlowMod(&added)}
		switch {
		case d.in(4):
			add.Message = d.bundledGroupMod()
		case d.in(30):
			add.Message = d.meterMod()
		case d.in(30):
			add.Message = choose[ofproto.Message](d, ofproto.BarrierRequest{}, d.portMod(ports), d.packetOut())
		case d.in(30):
			add.Flags ^= 1
		case d.in(30):
			add.XID++
		case d.in(8):
			add.Message = d.damagedMember(add.Message)
		}
		all = append(all, add)
	}
	if d.in(2) {
		control(ofproto.BundleClose)
	}
	control(choose(d, ofproto.BundleCommit, ofproto.BundleCommit, ofproto.BundleCommit, ofproto.BundleDiscard))
	return all
}

// bundledFlowMod is a flow-mod for a bundle that has added flows or not. In a bundle, Open
// vSwitch 3.1 does not always see the flows that the bundle itself has added when it looks for
// more than one flow: a table with a new mask is made known only at the end.
func (d dice) bundledFlowMod(added *bool) ofproto.FlowMod {
	for {
		m := d.flowMod()
		loose := m.Command == ofproto.FlowModify || m.Command == ofproto.FlowDelete
		if *added && (loose || m.Flow.Flags&ofproto.CheckOverlap != 0) {
			continue
		}
		*added = *added || m.Command == ofproto.FlowAdd
		return m
	}
}

// bundledGroupMod deletes no group: Open vSwitch 3.1 aborts if a bundle fails that has
// deleted a group together with its flows.
func (d dice) bundledGroupMod() ofproto.GroupMod {
	for {
		if m := d.groupMod(); m.Command != ofproto.GroupDelete {
			return m
		}
	}
}

func (d dice) role() ofproto.Message {
	if d.in(6) {
		return ofproto.NXRoleRequest{Role: choose(d, ofproto.RoleEqual, ofproto.RoleEqual, ofproto.RolePrimary, ofproto.RoleSecondary)}
	}
	return ofproto.RoleRequest{Role: ofproto.Role(choose(d, 0, 1, 1, 1, 2, 2, 3)), Generation: uint64(d.IntN(4))}
}

func (d dice) monitor() ofproto.Message {
	if d.in(6) {
		return ofproto.FlowMonitorCancel{ID: choose[uint32](d, 1, 2)}
	}
	var m ofproto.FlowMonitorRequest
	for range choose(d, 1, 1, 1, 2, 0) {
		m.Monitors = append(m.Monitors, ofproto.FlowMonitor{
			ID: choose[uint32](d, 1, 2, 3), Flags: ofproto.MonitorFlags(d.IntN(64)),
			OutPort: choose[uint32](d, 0, 0, 0, 1, ofproto.PortController), Table: choose(d, ofproto.AllTables, ofproto.AllTables, 0, 1, internalTable),
			Match: choose(d, nil, nil, d.match()),
		})
	}
	return m
}

func (d dice) query() ofproto.Message {
	q := ofproto.FlowQuery{
		Table: choose(d, ofproto.AllTables, ofproto.AllTables, 0, 1, internalTable), Match: choose(d, nil, d.match()),
		OutPort: choose[uint32](d, 0, 0, 1, ofproto.PortController), OutGroup: choose[uint32](d, 0, 0, 1, ofproto.AnyGroup),
		Cookie: choose[uint64](d, 0, 1, 2), CookieMask: choose[uint64](d, 0, 0, 3, ^uint64(0)),
	}
	switch d.IntN(9) {
	case 0, 1:
		return q.Aggregate()
	case 2:
		return ofproto.TableStatsRequest()
	case 3:
		return ofproto.GroupStatsRequest(choose[uint32](d, 1, 2, ofproto.AllGroups))
	case 4:
		return ofproto.MeterStatsRequest(choose(d, 1, 2, ofproto.AllMeters))
	case 5:
		return choose(d, ofproto.DescRequest(), ofproto.PortStatsRequest(ofproto.PortAny), ofproto.PortStatsRequest(1), ofproto.GroupFeaturesRequest(), ofproto.MeterFeaturesRequest(), ofproto.TableFeaturesRequest(), ofproto.QueueStatsRequest(7, ofproto.AllQueues), ofproto.QueueStatsRequest(ofproto.PortAny, 1))
	}
	return q.Stats()
}

func (d dice) reasons() ofproto.AsyncReasons {
	return ofproto.AsyncReasons{PacketIn: d.Uint32(), PortStatus: d.Uint32(), FlowRemoved: d.Uint32() | 1<<ofproto.RemovedByDelete}
}

// damaged is a message with some bits turned over, some bytes cut off or put in twice, if
// it is about tables.
func (d dice) damaged(m ofproto.Message) ofproto.Message {
	head := ofproto.HeaderLen
	switch q := m.(type) {
	case ofproto.FlowMod, ofproto.GroupMod, ofproto.MeterMod:
	case ofproto.MultipartRequest:
		head = 16
		if q.Type != ofproto.MultipartFlow && q.Type != ofproto.MultipartAggregate {
			return m
		}
	default:
		return m
	}
	b := encode(0, m)
	for {
		u := ofproto.Unknown{Type: b[1], Body: slices.Concat(b[ofproto.HeaderLen:head], d.damage(slices.Clone(b[head:])))}
		if _, m, _ := ofproto.Decode(encode(0, u)); !elsewhere(u.Body) && !usesTwice(m) {
			return u
		}
	}
}

// damagedMember is a message of a bundle that is damaged, but still does what it did.
func (d dice) damagedMember(m ofproto.Message) ofproto.Message {
	f, ok := m.(ofproto.FlowMod)
	if !ok {
		return m
	}
	for {
		u := d.damaged(m)
		_, now, _ := ofproto.Decode(encode(0, u))
		if g, ok := now.(ofproto.FlowMod); ok && g.Command == f.Command && g.Flow.Flags&ofproto.CheckOverlap == f.Flow.Flags&ofproto.CheckOverlap {
			return u
		}
	}
}

// usesTwice reports whether m has a flow that uses a group twice: Open vSwitch 3.1 aborts
// when that group is deleted.
func usesTwice(m ofproto.Message) bool {
	f, ok := m.(ofproto.FlowMod)
	if !ok {
		return false
	}
	for a := range flat(f.Flow.Actions) {
		if g, ok := a.(ofproto.ToGroup); ok && usesOf(f.Flow.Actions, uint32(g)) > 1 {
			return true
		}
	}
	return false
}

// elsewhere reports whether b may have something in it of which a switch says else than
// ovs-ofctl: fields for options of tunnels, which have to be mapped, and the actions for
// tests that the dummy datapath allows.
func elsewhere(b []byte) bool {
	for i := range len(b) {
		rest := b[i:]
		if len(rest) > 2 && rest[0] == 0 && rest[1] == 1 && rest[2]>>1 >= 40 && rest[2]>>1 < 40+tlvFields ||
			len(rest) > 5 && binary.BigEndian.Uint32(rest) == 0x2320 && rest[4] == 0 && rest[5] >= 250 {
			return true
		}
	}
	return false
}

func (d dice) damage(b []byte) []byte {
	for range choose(d, 1, 1, 2) {
		if len(b) == 0 {
			break
		}
		i := d.IntN(len(b))
		switch d.IntN(6) {
		case 0:
			b = b[:i]
		case 1:
			b = slices.Concat(b[:i&^7], b[min(i&^7+8, len(b)):])
		case 2:
			b = slices.Concat(b[:i&^7], b[i&^7:min(i&^7+8, len(b))], b[i&^7:])
		case 3:
			b[i] = byte(choose(d, 0, 0xff, 8, 16))
		default:
			b[i] ^= 1 << d.IntN(8)
		}
	}
	return b
}

// tlv is about the table of tunnel options. No flow uses one: Open vSwitch 3.1 was seen
// to abort in such a game.
func (d dice) tlv() ofproto.Message {
	m := ofproto.TLVTableMod{Command: ofproto.TLVCommand(d.IntN(3))}
	for range choose(d, 1, 1, 2) {
		m.Maps = append(m.Maps, ofproto.TLVMap{Class: 0xffff, Type: uint8(d.IntN(4)), Len: choose[uint8](d, 4, 4, 8, 124), Index: choose[uint16](d, 0, 0, 1, 2, 63)})
	}
	return choose[ofproto.Message](d, m, m, ofproto.TLVTableRequest{}, ofproto.TableMod{Table: choose(d, 0, internalTable, ofproto.AllTables)})
}

// setting says what a session wants to hear of.
func (d dice) setting() ofproto.Message {
	a := ofproto.AsyncConfig{Primary: d.reasons(), Secondary: d.reasons()}
	return choose[ofproto.Message](d, ofproto.SetConfig{Flags: ofproto.ConfigFlags(d.IntN(4)), MissSendLen: choose[uint16](d, 0, 128, 128)},
		ofproto.SetAsync{AsyncConfig: a}, ofproto.NXSetAsync{AsyncConfig: a},
		ofproto.NXSetAsync2{Masks: []ofproto.AsyncMask{{Type: uint16(d.IntN(13)), Mask: d.Uint32() & choose[uint32](d, 3, 7, 0x3f)}}})
}

// session is something about the session itself.
func (d dice) session() ofproto.Message {
	return choose[ofproto.Message](d, ofproto.GetAsyncRequest{}, ofproto.GetConfigRequest{}, ofproto.EchoRequest{Data: []byte("hello")},
		ofproto.SetControllerID{ID: 7}, ofproto.SetPacketInFormat{Format: ofproto.PacketInFormat(d.IntN(4))},
		ofproto.CTFlushZone{Zone: 5}, ofproto.EchoReply{}, ofproto.FeaturesReply{}, ofproto.Hello{}, ofproto.BarrierReply{})
}

func (d dice) portMod(ports []ofproto.PortDesc) ofproto.PortMod {
	p := ports[d.IntN(len(ports))]
	m := ofproto.PortMod{Port: p.Number, HWAddr: p.HWAddr, Config: ofproto.PortConfig(d.Uint32()) &^ ofproto.PortDown, Mask: choose(d, ofproto.PortNoFwd, ofproto.PortNoFwd|ofproto.PortNoPacketIn, 0)}
	if d.in(10) {
		m.HWAddr[0]++
	}
	if d.in(10) {
		m.Port = 17
	}
	return m
}

func (d dice) packetOut() ofproto.PacketOut {
	m := ofproto.PacketOut{InPort: choose(d, ofproto.PortController, ofproto.PortAny, 1, ofproto.PortLocal), Data: make([]byte, 60)}
	m.Actions = choose(d, nil, []ofproto.Action{ofproto.Output{Port: 2}}, []ofproto.Action{ofproto.ToGroup(9)})
	m.BufferID = choose[uint32](d, 0, 0, 0, 5)
	return m
}

// steps are the steps of a game. Flows that have gone are told of too late to say who wanted
// to hear of them then: so this is settled before the first is added, and no role changes.
func (d dice) steps(ports []ofproto.PortDesc) (all []step) {
	other := d.session
	switch d.IntN(4) {
	case 0, 1:
		other = d.role
	case 2:
		other = d.tlv
	default:
		for i := range 4 {
			all = append(all, step{i % 2, []ofproto.Message{d.setting()}})
		}
	}
	for range 30 {
		all = append(all, d.step(ports, other))
	}
	return all
}

func (d dice) step(ports []ofproto.PortDesc, other func() ofproto.Message) step {
	s := step{who: d.IntN(2)}
	var m ofproto.Message
	switch d.IntN(16) {
	case 0, 1:
		s.messages = d.bundled(ports)
		return s
	case 2, 3:
		m = d.groupMod()
	case 4:
		m = d.meterMod()
	case 5:
		m = d.monitor()
	case 6:
		m = d.query()
	case 7:
		m = choose[ofproto.Message](d, d.portMod(ports), d.packetOut())
	case 8, 9:
		m = other()
	default:
		m = d.flowMod()
	}
	if d.in(8) {
		m = d.damaged(m)
	}
	s.messages = []ofproto.Message{m}
	return s
}
