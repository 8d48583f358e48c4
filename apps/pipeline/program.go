package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// A Program is all that should be in a bridge. No two of its units have a flow, or a group,
// of the same key.
type Program struct {
	Units  []*Unit // the bridge's, that of its links if it has an outside, then the tenants', by name, and those of their floating IPs and of their load balancers
	Rounds Rounds
}

// Tables returns p as ofproto.Diff takes it, in the order of its units.
func (p *Program) Tables() (t ofproto.Tables) {
	flows, groups := p.Size()
	t.Flows, t.Groups = make([]ofproto.Flow, 0, flows), make([]ofproto.Group, 0, groups)
	for _, u := range p.Units {
		t.Flows = append(t.Flows, u.Flows...)
		t.Groups = append(t.Groups, u.Groups...)
	}
	t.Meters = p.Meters()
	return t
}

// Beside returns p without those of its units that q has as well. The bridge's unit
// is always in it, for a tenant's mean nothing without; and if that is another one, all are. Of
// a tenant of which only such parts are others, its epoch is in it, too: what is taken back is
// taken back from that.
func (p *Program) Beside(q *Program) *Program {
	if len(p.Units) == 0 || len(q.Units) == 0 || p.Units[0] != q.Units[0] {
		return p
	}
	own := p.exceptThoseOf(q)
	if stay := tenantsOf(own, q.exceptThoseOf(p)); len(stay) > 0 {
		for _, u := range p.Units {
			if u.epoch != nil && stay[u.Of] {
				own = append(own, &Unit{Of: u.Of, Flows: u.epoch})
			}
		}
	}
	return &Program{Units: own}
}

// exceptThoseOf returns the units of p, without those of its units but the first that q has as well. Of thousands
// that are mostly the same, in the same order, only those between the first and the last that are not are looked at.
func (p *Program) exceptThoseOf(q *Program) []*Unit {
	some, others := p.Units[1:], q.Units[1:]
	for len(some) > 0 && len(others) > 0 && some[0] == others[0] {
		some, others = some[1:], others[1:]
	}
	for len(some) > 0 && len(others) > 0 && some[len(some)-1] == others[len(others)-1] {
		some, others = some[:len(some)-1], others[:len(others)-1]
	}
	both := make(map[*Unit]bool, len(others))
	for _, u := range others {
		both[u] = true
	}
	own := p.Units[:1:1]
	for _, u := range some {
		if !both[u] {
			own = append(own, u)
		}
	}
	return own
}

// tenantsOf returns whose units are among some, of which the tenant's own unit is not.
func tenantsOf(some ...[]*Unit) map[intent.ID]bool {
	of := map[intent.ID]bool{}
	for _, units := range some {
		for _, u := range units[1:] {
			of[u.Of] = true
		}
	}
	for _, units := range some {
		for _, u := range units {
			if u.epoch != nil {
				delete(of, u.Of)
			}
		}
	}
	return of
}

// Unlike returns the tables of the units that one of p and q has and the other has not, with all
// meters, for units share them.
func (p *Program) Unlike(q *Program) (want, have ofproto.Tables) {
	want, have = p.Beside(q).Tables(), q.Beside(p).Tables()
	want.Meters, have.Meters = p.Meters(), q.Meters()
	return want, have
}

// After returns the plan for a bridge that has exactly q: that of the units in which the two
// differ.
func (p *Program) After(q *Program) ofproto.Plan { return ofproto.Diff(p.Unlike(q)) }

// Size returns how many flows and groups there are.
func (p *Program) Size() (flows, groups int) {
	for _, u := range p.Units {
		flows, groups = flows+len(u.Flows), groups+len(u.Groups)
	}
	return flows, groups
}

// Meters returns the meters, by number. Units may have some in common.
func (p *Program) Meters() (all []ofproto.MeterConfig) {
	for _, u := range p.Units {
		all = append(all, u.Meters...)
	}
	slices.SortFunc(all, func(a, b ofproto.MeterConfig) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(all, func(a, b ofproto.MeterConfig) bool { return a.ID == b.ID })
}

// Pending returns what waits for something, by id.
func (p *Program) Pending() (all []Pending) {
	for _, u := range p.Units {
		all = append(all, u.Pending...)
	}
	slices.SortFunc(all, func(a, b Pending) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// A Pending is an intent that cannot be served yet, and why.
type Pending struct {
	ID  intent.ID
	Why string
}

// A Builder is what an app writes the flows of one unit into. Its methods are the only way
// to add a flow, and they stamp the flow with the number of the intent that it serves.
type Builder struct {
	Bridge     *intent.Bridge
	Externals  []ExternalSite // those whose port is there
	Neighbours []Neighbour    // of the bridge, in the unit of its links
	Commons    []Common       // of the bridge, in its own unit
	Balances   bool           // some tenant has a load balancer; in the bridge's unit
	Features   Features
	Numbers    Numbers
	refused    []intent.ID // in order
	unit       *Unit
	before     map[ranked]int
	noting     noting // of the last translation
	err        error  // the first
}

// ranked is where an intent has its flows.
type ranked struct {
	table ofproto.Table
	tag   uint32
}

func newBuilder(in Input, bridge *intent.Bridge, of intent.ID, refused []intent.ID) *Builder {
	return &Builder{Bridge: bridge, Features: in.Facts.Features, Numbers: in.Numbers, refused: refused, unit: &Unit{Of: of}}
}

// Flow adds a flow in the service of id. What serves an intent that the switch has
// refused is left out.
func (b *Builder) Flow(id intent.ID, t ofproto.Table, priority uint16, m ofproto.Match, actions ...ofproto.Action) {
	if b.Refused(id) {
		return
	}
	b.unit.Flows = append(b.unit.Flows, ofproto.Flow{
		Table: t, Priority: priority, Cookie: Cookie(b.Numbers.Tag(id)), Match: m, Actions: actions,
	})
}

// LeaveOut notes that an intent is not served, and why.
func (b *Builder) LeaveOut(id intent.ID, why string) {
	b.unit.Pending = append(b.unit.Pending, Pending{id, why})
}

// Group adds the group of id, with the number that Numbers gives it.
func (b *Builder) Group(id intent.ID, t ofproto.GroupType, buckets []ofproto.Bucket) {
	if b.Refused(id) {
		return
	}
	b.unit.Groups = append(b.unit.Groups, ofproto.Group{ID: b.Numbers.Group(id), Type: t, Buckets: buckets})
}

// Before returns the priority that the flows of an intent had in a table, when the unit was
// compiled before or read from the bridge, or zero. It is a hint: what is compiled may not
// need it to be right.
func (b *Builder) Before(t ofproto.Table, id intent.ID) int {
	if b.before == nil {
		return 0
	}
	return b.before[ranked{t, b.Numbers.Tag(id)}]
}

// Fail notes that a unit cannot be compiled, and why.
func (b *Builder) Fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// priorities returns the priority that each intent has in each table of policy: the highest
// of its flows, which all have the same.
func priorities(flows []ofproto.Flow) map[ranked]int {
	all := map[ranked]int{}
	for _, f := range flows {
		if tag, owned := TagOf(f.Cookie); owned && (f.Table == PolOut || f.Table == PolIn) {
			at := ranked{f.Table, tag}
			all[at] = max(all[at], int(f.Priority))
		}
	}
	return all
}

// Refused reports whether the switch has refused what serves id.
func (b *Builder) Refused(id intent.ID) bool {
	_, is := slices.BinarySearch(b.refused, id)
	return is
}

func origin(n Numbers, f ofproto.Flow) intent.ID {
	tag, _ := TagOf(f.Cookie)
	id, _ := n.Origin(tag)
	return id
}

// Text returns p as a file for ovs-ofctl bundle, by table and then from the highest priority
// down, with a comment that names the table and the intent above each run of flows that serve
// it. There are no meters in a bundle: they have to be there before, and are in comments as
// ovs-ofctl add-meter takes them.
func (p *Program) Text(n Numbers) string {
	var s strings.Builder
	t := p.Tables()
	for _, m := range t.Meters {
		fmt.Fprintf(&s, "# add-meter %s\n", strings.Join(strings.Fields(m.String()), " "))
	}
	slices.SortFunc(t.Groups, func(a, b ofproto.Group) int { return cmp.Compare(a.ID, b.ID) })
	for _, g := range t.Groups {
		fmt.Fprintf(&s, "group add_or_mod %v\n", g)
	}
	var table ofproto.Table
	var last intent.ID
	for i, k := range inCanonicalOrder(t.Flows) {
		f := *k.flow
		if o := origin(n, f); i == 0 || o != last || f.Table != table {
			fmt.Fprintf(&s, "# %s: %s\n", TableNames[f.Table], o)
			last, table = o, f.Table
		}
		fmt.Fprintf(&s, "flow add %v\n", f)
	}
	return s.String()
}
