package ofproto

import (
	"slices"
)

// GroupType is OFPGT_*.
type GroupType uint8

// The types of OpenFlow 1.3, A.3.4.2.
const (
	GroupAll          GroupType = iota // OFPGT_ALL: every bucket
	GroupSelect                        // OFPGT_SELECT: one bucket, by hash and weight
	GroupIndirect                      // OFPGT_INDIRECT: the one bucket
	GroupFastFailover                  // OFPGT_FF: the first live bucket
)

// A Group is one entry of the group table.
type Group struct {
	ID      uint32
	Type    GroupType
	Buckets []Bucket
}

// A Bucket is one list of actions of a Group.
type Bucket struct {
	Weight     uint16 // of a select group; elsewhere zero
	WatchPort  uint32 // zero: none (OFPP_ANY on the wire); PortAny: 0 on the wire
	WatchGroup uint32 // zero: none (OFPG_ANY on the wire); PortAny: group 0
	Actions    []Action
}

var groupTypeNames = []string{"all", "select", "indirect", "ff"}

// String returns t as ovs-ofctl prints it.
func (t GroupType) String() string {
	if int(t) < len(groupTypeNames) {
		return groupTypeNames[t]
	}
	return "unknown"
}

// String returns g as ovs-ofctl dump-groups prints it, which is also what add-group
// takes.
func (g Group) String() string {
	p := printer{}
	p.group(&g, true)
	return string(p.out)
}

// Equal reports whether g and h would be the same entry in a switch.
func (g Group) Equal(h Group) bool {
	return g.ID == h.ID && g.Type == h.Type && slices.EqualFunc(g.Buckets, h.Buckets, func(a, b Bucket) bool {
		return a.Weight == b.Weight && a.WatchPort == b.WatchPort && a.WatchGroup == b.WatchGroup && equalActions(a.Actions, b.Actions)
	})
}

// GroupMod changes the group table (A.3.4.2).
type GroupMod struct {
	Command GroupCommand
	Group   Group
}

// GroupCommand is OFPGC_*.
type GroupCommand uint16

// The commands of a GroupMod. GroupAddOrMod is Open vSwitch's; the commands about buckets
// are of OpenFlow 1.5, and mean nothing in 1.3.
const (
	GroupAdd          GroupCommand = 0
	GroupModify       GroupCommand = 1
	GroupDelete       GroupCommand = 2
	GroupInsertBucket GroupCommand = 3
	GroupRemoveBucket GroupCommand = 5
	GroupAddOrMod     GroupCommand = 0x8000
)

// Numbers of groups with a meaning of their own (OFPG_ALL, OFPG_ANY).
const (
	AllGroups uint32 = 0xfffffffc
	AnyGroup  uint32 = 0xffffffff
)

func (GroupMod) messageType() uint8 { return typeGroupMod }

func (m GroupMod) appendBody(b []byte) ([]byte, error) {
	b = append(be.AppendUint16(b, uint16(m.Command)), byte(m.Group.Type), 0)
	b = be.AppendUint32(b, m.Group.ID)
	if m.Command == GroupDelete {
		return b, nil
	}
	return appendBuckets(b, m.Group.Buckets)
}

func appendBuckets(b []byte, buckets []Bucket) ([]byte, error) {
	var err error
	for _, k := range buckets {
		start := len(b)
		b = be.AppendUint16(append(b, 0, 0), k.Weight)
		b = be.AppendUint32(be.AppendUint32(b, swapAny(k.WatchPort)), swapAny(k.WatchGroup))
		b = append(b, 0, 0, 0, 0)
		if b, err = appendActions(b, k.Actions); err != nil {
			return b, err
		}
		if err = setLen(b, start, 0); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (d *decoder) groupMod() (m GroupMod) {
	m.Command, m.Group.Type = GroupCommand(d.u16()), GroupType(d.u8())
	d.skip(1)
	m.Group.ID = d.u32()
	m.Group.Buckets = d.buckets(len(d.b))
	d.checkGroupMod(&m)
	return m
}

// checkGroupMod refuses what Open vSwitch 3.1 refuses.
func (d *decoder) checkGroupMod(m *GroupMod) {
	g := &m.Group
	switch {
	case m.Command == GroupDelete && len(g.Buckets) > 0,
		m.Command != GroupDelete && g.Type == GroupIndirect && len(g.Buckets) != 1:
		d.refuse(OFPGMFC_INVALID_GROUP)
	case g.Type > GroupFastFailover:
		d.refuse(OFPGMFC_BAD_TYPE)
	case m.Command == GroupRemoveBucket && len(g.Buckets) > 0:
		d.refuse(OFPGMFC_BAD_BUCKET)
	case m.Command > GroupInsertBucket && m.Command != GroupRemoveBucket && m.Command != GroupAddOrMod:
		d.refuse(OFPGMFC_BAD_COMMAND)
	}
	for i := range g.Buckets {
		if code := g.checkBucket(&g.Buckets[i], m.Command); code != 0 {
			d.refuse(code)
		}
	}
}

// checkBucket returns why Open vSwitch 3.1 refuses a bucket of g, or zero.
func (g *Group) checkBucket(k *Bucket, c GroupCommand) ErrorCode {
	watches := k.WatchPort != 0 || k.WatchGroup != 0
	switch {
	case k.Weight != 0 && g.Type != GroupSelect && c != GroupInsertBucket:
		return OFPGMFC_INVALID_GROUP
	case watches && (g.Type == GroupAll || g.Type == GroupIndirect):
		return OFPGMFC_WATCH_UNSUPPORTED
	case !watches && g.Type == GroupFastFailover:
		return OFPGMFC_INVALID_GROUP
	}
	return 0
}

// bucketLen is the length of a bucket without its actions.
const bucketLen = 16

// buckets reads n bytes of buckets.
func (d *decoder) buckets(n int) (buckets []Bucket) {
	s := d.sub(n, "bucket", OFPGMFC_BAD_BUCKET)
	buckets = room(buckets, countEntries(s.b, bucketLen))
	for s.more() {
		if size := int(s.peek16()); size < bucketLen || size > len(s.b) {
			s.fail(OFPGMFC_BAD_BUCKET)
			break
		}
		body := s.sub(int(s.peek16()), "bucket", OFPGMFC_BAD_BUCKET)
		if k := body.bucket(); body.err == nil {
			buckets = append(buckets, k)
		}
		s.done(&body)
	}
	d.done(&s)
	return buckets
}

func (d *decoder) bucket() (k Bucket) {
	d.skip(2)
	k.Weight = d.u16()
	port := d.u32()
	k.WatchPort, k.WatchGroup = swapAny(port), swapAny(d.u32())
	d.skip(4)
	if len(d.b) > 0 {
		k.Actions = d.actions(len(d.b))
	}
	if !isPort(port) {
		d.refuse(OFPGMFC_BAD_WATCH)
	}
	return k
}

func init() {
	onMessage(openflowMessage, typeGroupMod, messageForm{name: "GROUP_MOD", print: (*printer).groupMod, least: 8, unit: 8,
		read: func(d *decoder, _ head) Message { return d.groupMod() }})
}
