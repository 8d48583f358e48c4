package oftest

import (
	"cmp"
	"slices"
	"time"

	"weir/ofproto"
)

// internalTable has the flows of the switch itself: whoever asks for it by its number can
// read them, and nobody can change them.
const internalTable ofproto.Table = 254

// A flow is an entry of a flow table. What a flow-mod changes makes a new one.
type flow struct {
	ofproto.Flow
	packets, bytes uint64
	created        time.Time
	order          uint64 // in which they came
	added, changed uint64 // by which event, as Switch.events counts them; zero: by none yet
}

// A group is an entry of the group table. What a group-mod changes makes a new one.
type group struct {
	ofproto.Group
	created time.Time
	order   uint64
}

// A meter is an entry of the meter table.
type meter struct {
	ofproto.MeterConfig
	created time.Time
}

// tables is all that flow-mods, group-mods and meter-mods change. Its owner is the Switch.
//
// A change that fails in the middle, or a bundle of them, is rolled back; what happened is
// told to monitors only once it stays.
type tables struct {
	flows  map[ofproto.FlowKey]*flow
	groups map[uint32]*group
	meters map[uint32]*meter
	orders uint64 // counts flows and groups, to tell which came first

	// Since the last keep or rollBack.
	undo   []func()
	events []event
	others []forward
}

// A forward is a group-mod, as the others are told of it that want to hear of such.
type forward struct {
	m  ofproto.GroupMod
	by change
}

// An outcome is what others are told of when a change stays.
type outcome struct {
	events   []event
	forwards []forward
}

// An event is what became of a flow.
type event struct {
	kind   eventKind
	flow   *flow
	before []ofproto.Action // of a flow whose actions have changed
	reason ofproto.RemovedReason
	by     *session // whose message did it; nil: the switch itself
	xid    uint32   // of that message
}

type eventKind uint8

const (
	flowAdded eventKind = iota
	flowModified
	flowRemoved
)

func newTables() *tables {
	t := &tables{flows: map[ofproto.FlowKey]*flow{}, groups: map[uint32]*group{}, meters: map[uint32]*meter{}}
	for _, f := range internalFlows() {
		t.putFlow(&flow{Flow: f, created: time.Now()})
	}
	t.keep()
	return t
}

// putFlow puts f where its key says.
func (t *tables) putFlow(f *flow) {
	key := f.Key()
	before, there := t.flows[key]
	if there {
		f.order = before.order
	} else {
		t.orders++
		f.order = t.orders
	}
	t.flows[key] = f
	t.undo = append(t.undo, func() {
		if there {
			t.flows[key] = before
		} else {
			delete(t.flows, key)
		}
	})
}

func (t *tables) removeFlow(f *flow) {
	key := f.Key()
	delete(t.flows, key)
	t.undo = append(t.undo, func() { t.flows[key] = f })
}

func (t *tables) putGroup(g *group) {
	before, there := t.groups[g.ID]
	if there {
		g.order, g.created = before.order, before.created
	} else {
		t.orders++
		g.order = t.orders
	}
	t.groups[g.ID] = g
	t.undo = append(t.undo, func() {
		if there {
			t.groups[g.ID] = before
		} else {
			delete(t.groups, g.ID)
		}
	})
}

func (t *tables) removeGroup(g *group) {
	delete(t.groups, g.ID)
	t.undo = append(t.undo, func() { t.groups[g.ID] = g })
}

// keep makes what was done since the last keep or rollBack stay, and returns what there is to
// tell.
func (t *tables) keep() outcome {
	o := outcome{t.events, t.others}
	t.undo, t.events, t.others = nil, nil, nil
	return o
}

// rollBack takes back what was done since.
func (t *tables) rollBack() {
	for _, f := range slices.Backward(t.undo) {
		f()
	}
	t.undo, t.events, t.others = nil, nil, nil
}

func (t *tables) happened(e event) { t.events = append(t.events, e) }

// sortFlows orders flows as they are reported: by table, the highest priority first, then
// as they came.
func sortFlows(flows []*flow) {
	slices.SortFunc(flows, func(a, b *flow) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.order, b.order))
	})
}

// A selection is what a delete, a modify, a request for statistics or a monitor asks for.
type selection struct {
	table              ofproto.Table // ofproto.AllTables: any
	match              ofproto.Match
	strict             bool // the match and the priority have to be the same
	priority           uint16
	cookie, cookieMask uint64
	outPort, outGroup  uint32 // zero: any; PortAny, AnyGroup: number 0
}

// number returns which port or group v stands for.
func number(v uint32) uint32 {
	if v == ofproto.PortAny {
		return 0
	}
	return v
}

// selected returns the flows that s asks for, in order. Those of the internal table are
// among them if they are asked for by its number, or by their cookie: so Open vSwitch does
// it, which finds flows by their whole cookie in another way.
func (t *tables) selected(s selection) []*flow {
	var found []*flow
	if s.strict && s.table != ofproto.AllTables {
		if f := t.flows[ofproto.Flow{Table: s.table, Priority: s.priority, Match: s.match}.Key()]; f != nil && s.wants(f) {
			found = append(found, f)
		}
		return found
	}
	for _, f := range t.flows {
		if s.wants(f) {
			found = append(found, f)
		}
	}
	sortFlows(found)
	return found
}

func (s *selection) wants(f *flow) bool {
	switch {
	case s.table != ofproto.AllTables && s.table != f.Table:
	case s.table == ofproto.AllTables && f.Table == internalTable && s.cookieMask != ^uint64(0):
	case (f.Cookie^s.cookie)&s.cookieMask != 0:
	case s.strict && (f.Priority != s.priority || !slices.Equal(f.Match, s.match)):
	case !s.strict && !covers(s.match, f.Match):
	case s.outPort != 0 && !outputsTo(f.Actions, number(s.outPort)):
	case s.outGroup != 0 && !usesGroup(f.Actions, number(s.outGroup)):
	default:
		return true
	}
	return false
}

// covers reports whether every packet that m matches is one that wide matches, as far as
// the fields say.
func covers(wide, m ofproto.Match) bool {
	for _, w := range wide {
		i, found := slices.BinarySearchFunc(m, w.Field, byField)
		if !found || !contains(m[i].Mask, w.Mask) || (masked(m[i].Value, w.Mask) != w.Value) {
			return false
		}
	}
	return true
}

// overlap reports whether there may be a packet that both a and b match.
func overlap(a, b ofproto.Match) bool {
	for _, c := range a {
		i, found := slices.BinarySearchFunc(b, c.Field, byField)
		if found && masked(masked(c.Value, b[i].Mask), c.Mask) != masked(masked(b[i].Value, c.Mask), b[i].Mask) {
			return false
		}
	}
	return true
}

func byField(c ofproto.Cond, f ofproto.Field) int { return cmp.Compare(c.Field, f) }

func masked(v, mask ofproto.Bits) ofproto.Bits {
	for i := range v {
		v[i] &= mask[i]
	}
	return v
}

// contains reports whether all bits of b are set in a.
func contains(a, b ofproto.Bits) bool { return masked(a, b) == b }
