package oftest

import (
	"fmt"
	"math/rand/v2"

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
		return ofproto.Clone{Actions: []ofproto.Action{ofproto.ToGroup(d.group()), ofproto.Output{Port: 1}}}
	case 2:
		return ofproto.SetField{Field: ofproto.Reg2, Value: ofproto.Uint(9)}
	case 3:
		return ofproto.Resubmit{Port: ofproto.PortInPort16, Table: 7}
	case 4:
		return ofproto.Output{Port: ofproto.PortController, MaxLen: 128}
	}
	return ofproto.Output{Port: choose(d, 1, 2, ofproto.PortLocal, ofproto.PortFlood)}
}

// actions returns the actions of a flow. None uses a group twice: Open vSwitch 3.1 aborts
// when that group is deleted.
func (d dice) actions(table ofproto.Table) []ofproto.Action {
	for {
		a := d.anyActions(table)
		if usesOf(a, 0) < 2 && usesOf(a, 1) < 2 && usesOf(a, 2) < 2 && usesOf(a, 3) < 2 {
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
		actions = append(actions, ofproto.GotoTable(table+1))
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
func (d dice) bundled() (all []ofproto.Message) {
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
			add.Message = ofproto.BarrierRequest{}
		case d.in(30):
			add.Flags ^= 1
		case d.in(30):
			add.XID++
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
	return ofproto.RoleRequest{Role: ofproto.Role(choose(d, 0, 1, 1, 1, 2, 2, 3)), Generation: uint64(d.IntN(4))}
}

func (d dice) step() step {
	s := step{who: d.IntN(2)}
	switch d.IntN(12) {
	case 0, 1:
		s.messages = d.bundled()
	case 2, 3:
		s.messages = []ofproto.Message{d.groupMod()}
	case 4:
		s.messages = []ofproto.Message{d.meterMod()}
	case 5:
		s.messages = []ofproto.Message{d.role()}
	default:
		s.messages = []ofproto.Message{d.flowMod()}
	}
	return s
}
