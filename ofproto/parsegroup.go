package ofproto

import (
	"slices"
	"strings"
)

// MaxGroup is the largest number that a group may have (OFPG_MAX).
const MaxGroup uint32 = 0xffffff00

// ParseGroup reads a group in the syntax that ovs-ofctl add-group takes, and in which
// dump-groups prints groups: "group_id=1,type=select,bucket=weight:2,actions=output:1".
// It returns a *SyntaxError.
//
// What OpenFlow 1.3 has no way to send (selection_method and its arguments, bucket_id) is
// read, checked and forgotten as ovs-ofctl does; but a group without buckets for which one
// of them is said is refused.
func ParseGroup(s string) (Group, error) {
	m, err := ParseGroupMod(GroupAdd, s)
	return m.Group, err
}

// ParseGroupMod reads the text that ovs-ofctl add-group, mod-group or del-groups takes, and
// returns the message that it sends. To delete, an empty text says all groups.
func ParseGroupMod(cmd GroupCommand, s string) (GroupMod, error) {
	p := parser{whole: s}
	m := p.groupMod(cmd, text{s, 0})
	if p.err != nil {
		return GroupMod{}, p.err
	}
	return m, nil
}

// A groupText is what is known of a group while its text is read.
type groupText struct {
	GroupMod
	typed    bool   // its type was said
	method   string // how a bucket is selected
	param    text   // of the method, if it is not zero
	fields   text   // that the method looks at, if there are any
	newer    text   // what only OpenFlow 1.5 sends
	numbered bool   // its number was said
}

// groupKeys are the keys before the buckets of a group, with the part of its text that they
// write. All but group_id are for commands that put a group.
var groupKeys = map[string]func(p *parser, g *groupText, value text){
	"group_id":               (*parser).groupID,
	"type":                   (*parser).groupType,
	"selection_method":       (*parser).selectionMethod,
	"selection_method_param": (*parser).selectionParam,
	"fields":                 (*parser).selectionFields,
	"command_bucket_id": func(p *parser, _ *groupText, value text) {
		p.bad(value, "command_bucket_id is for commands that OpenFlow 1.3 does not have")
	},
}

func (p *parser) groupMod(cmd GroupCommand, t text) GroupMod {
	g := groupText{GroupMod: GroupMod{Command: cmd}}
	puts := cmd == GroupAdd || cmd == GroupModify || cmd == GroupAddOrMod
	if !puts && cmd != GroupDelete {
		p.bad(t, "there is no command %d for groups in OpenFlow 1.3", cmd)
	}
	if cmd == GroupDelete && t.s == "" {
		g.Group.ID = AllGroups
		return g.GroupMod
	}
	head, buckets, found := splitBucket(t)
	if found && !puts {
		p.bad(buckets, "buckets are not needed to delete a group")
	}
	for kv, ok := p.next(&head); ok && p.err == nil; kv, ok = p.next(&head) {
		read, known := groupKeys[kv.key.s]
		switch {
		case !known:
			p.bad(kv.key, "there is no %q in a group", kv.key.s)
		case !puts && kv.key.s != "group_id":
			p.bad(kv.key, "%s is not needed to delete a group", kv.key.s)
		default:
			read(p, &g, kv.value)
		}
	}
	p.checkGroup(&g, t, puts)
	for found && p.err == nil {
		var bucket text
		bucket, buckets, found = splitBucket(buckets)
		p.groupBucket(&g, bucket)
	}
	if g.newer != (text{}) {
		p.bad(g.newer, "only OpenFlow 1.5 can send this")
	}
	return g.GroupMod
}

// splitBucket returns what stands before the next "bucket=", and what behind.
func splitBucket(t text) (before, behind text, found bool) {
	const begin = "bucket="
	n := strings.Index(t.s, begin)
	if n < 0 {
		return t, t.from(len(t.s)), false
	}
	return t.to(n), t.from(n + len(begin)), true
}

// checkGroup checks what stands before the buckets as a whole.
func (p *parser) checkGroup(g *groupText, t text, puts bool) {
	switch {
	case !g.numbered:
		p.bad(t, "group_id=... is missing")
	case puts && !g.typed:
		p.bad(t, "type=... is missing: all, select, indirect or ff")
	case g.method != "hash" && g.fields.s != "":
		p.bad(g.fields, "fields are for selection_method=hash only")
	case g.method == "" && g.param.s != "":
		p.bad(g.param, "selection_method_param needs a selection_method")
	}
}

func (p *parser) groupID(g *groupText, t text) {
	g.Group.ID, g.numbered = AllGroups, true
	if t.s == "all" {
		return
	}
	if g.Group.ID = uint32(p.uint(t, 32)); g.Group.ID > MaxGroup && g.Group.ID != AllGroups {
		p.bad(t, "group_id %d is more than %d, the largest", g.Group.ID, MaxGroup)
	}
}

func (p *parser) groupType(g *groupText, t text) {
	n := slices.Index(groupTypeNames, t.s)
	if t.s == "fast_failover" {
		n = int(GroupFastFailover)
	}
	if n < 0 {
		p.bad(t, "a group of type %q is not known: want all, select, indirect or ff", t.s)
		return
	}
	g.Group.Type, g.typed = GroupType(n), true
}

func (p *parser) selectionMethod(g *groupText, t text) {
	if len(t.s) >= 16 {
		p.bad(t, "a selection method has at most 15 letters")
	}
	g.method, g.newer = t.s, t
}

func (p *parser) selectionParam(g *groupText, t text) {
	if g.param = (text{}); p.uint(t, 64) != 0 {
		g.param = t
	}
	g.newer = t
}

// selectionFields reads the fields that a hash looks at; a value is the mask of the bits.
func (p *parser) selectionFields(g *groupText, t text) {
	var seen [numFields]bool
	g.newer = t
	for kv, ok := p.next(&t); ok && p.err == nil; kv, ok = p.next(&t) {
		f, known := byName[kv.key.s]
		switch {
		case !known || strings.Contains(kv.key.s, "XM_"):
			p.bad(kv.key, "there is no field %q", kv.key.s)
		case seen[f]:
			p.bad(kv.key, "%s is said twice", kv.key.s)
		case kv.value.s != "":
			p.selectionMask(f, kv.value)
		}
		seen[f] = true
		g.fields = kv.key
	}
}

func (p *parser) selectionMask(f Field, t text) {
	mask, all := p.value(f, t)
	switch {
	case p.err != nil:
	case all != ones(info[f].bytes):
		p.bad(t, "the value is the mask of %v, and has no mask", f)
	case mask == Bits{} && !f.isTunMetadata():
		p.bad(t, "a mask of zero leaves nothing of %v", f)
	case mask != all && info[f].access&maskable == 0:
		p.bad(t, "%v has no mask", f)
	}
}

// A bucketText is what is known of a bucket while its text is read.
type bucketText struct {
	Bucket
	watches bool   // a port or a group
	actions []text // in pieces: other keys may stand among them
}

// groupBucket reads one bucket.
func (p *parser) groupBucket(g *groupText, t text) {
	k := bucketText{}
	if g.Group.Type == GroupSelect {
		k.Weight = 1
	}
	g.newer = text{} // as ovs-ofctl does: it looks only at what the last bucket needs
	rest := t
	for kv, ok := p.next(&rest); ok && p.err == nil; kv, ok = p.next(&rest) {
		p.bucketKey(&k, kv)
	}
	switch {
	case k.actions == nil:
		p.bad(t, "the bucket has no actions: actions=drop does nothing")
	case g.Group.Type == GroupFastFailover && !k.watches:
		p.bad(t, "the bucket of a fast failover group needs watch_port or watch_group")
	case g.Group.Type != GroupSelect && k.Weight != 0:
		p.bad(t, "only the buckets of select groups have a weight")
	case g.Group.Type == GroupIndirect && len(g.Group.Buckets) > 0:
		p.bad(t, "an indirect group has one bucket")
	}
	if p.err == nil {
		k.Actions = p.pieces(k.actions)
	}
	for i, a := range k.Actions {
		if m, ok := a.(Meter); ok { // an action in OpenFlow 1.5; ovs-ofctl sends the instruction of 1.3
			b, _ := m.appendTo(nil)
			g.newer, k.Actions[i] = t, Raw(b)
		}
	}
	g.Group.Buckets = append(g.Group.Buckets, k.Bucket)
}

// bucketKey reads one key of a bucket. What is none is an action.
func (p *parser) bucketKey(k *bucketText, kv pair) {
	switch strings.ToLower(kv.key.s) {
	case "weight":
		k.Weight = uint16(p.uint(kv.value, 16))
	case "watch_port":
		k.WatchPort = swapAny(p.watchPort(kv.value))
		k.watches = k.watches || k.WatchPort != 0
	case "watch_group":
		k.WatchGroup = swapAny(p.watchGroup(kv.value))
		k.watches = true
	case "bucket_id":
		if id := p.uint(kv.value, 32); id > uint64(MaxGroup) {
			p.bad(kv.value, "bucket_id %d is more than %d, the largest", id, MaxGroup)
		}
	case "action", "actions":
		k.actions = append(k.actions, kv.value)
	default: // either way of writing it has the same length
		k.actions = append(k.actions, text{kv.key.s + "(" + kv.value.s + ")", kv.key.at})
	}
}

// pieces reads a list of actions that stands in pieces.
func (p *parser) pieces(pieces []text) []Action {
	var joined strings.Builder
	for i, t := range pieces {
		if i > 0 {
			joined.WriteByte(',')
		}
		joined.WriteString(t.s)
	}
	inner := parser{whole: joined.String()}
	actions := inner.actions(text{inner.whole, 0})
	if inner.err == nil {
		return settled(actions)
	}
	at := inner.err.Offset
	for len(pieces) > 1 && at > len(pieces[0].s) {
		at -= len(pieces[0].s) + 1
		pieces = pieces[1:]
	}
	p.refuse(text{"", pieces[0].at + min(at, len(pieces[0].s))}, inner.err.Code, "%s", inner.err.Reason)
	return nil
}

func (p *parser) watchPort(t text) uint32 {
	port := p.port(t)
	if port >= portOffset+0xff00 && port != PortAny && port != PortController {
		p.bad(t, "port %s cannot be watched", t.s)
	}
	return port
}

func (p *parser) watchGroup(t text) uint32 {
	group := uint32(p.uint(t, 32))
	if group > MaxGroup {
		p.bad(t, "group %s cannot be watched: %d is the largest", t.s, MaxGroup)
	}
	return group
}
