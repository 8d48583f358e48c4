package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// A Program is all that should be in a bridge.
type Program struct {
	Flows   []ofproto.Flow        // by table, then from the highest priority down
	Groups  []ofproto.Group       // by id
	Meters  []ofproto.MeterConfig // by id
	Pending []Pending             // by id
}

// Tables returns p as ofproto.Diff takes it.
func (p *Program) Tables() ofproto.Tables {
	return ofproto.Tables{Flows: p.Flows, Groups: p.Groups, Meters: p.Meters}
}

// A Pending is an intent that cannot be served yet, and why.
type Pending struct {
	ID  intent.ID
	Why string
}

// A Builder is what an app writes its flows into. Its methods are the only way to
// add a flow, and they stamp the flow with the number of the intent that it serves.
type Builder struct {
	Site
	Numbers Numbers
	refused map[intent.ID]bool
	flows   []ofproto.Flow
	groups  []ofproto.Group
	meters  []ofproto.MeterConfig
	punts   bool // PuntMeter is among the meters
}

// Flow adds a flow in the service of id. What serves an intent that the switch has
// refused is left out.
func (b *Builder) Flow(id intent.ID, t ofproto.Table, priority uint16, m ofproto.Match, actions ...ofproto.Action) {
	if b.refused[id] {
		return
	}
	b.flows = append(b.flows, ofproto.Flow{
		Table: t, Priority: priority, Cookie: Cookie(b.Numbers.Tag(id)), Match: m, Actions: actions,
	})
}

// Group adds the group of id, with the number that Numbers gives it.
func (b *Builder) Group(id intent.ID, t ofproto.GroupType, buckets []ofproto.Bucket) {
	if b.refused[id] {
		return
	}
	b.groups = append(b.groups, ofproto.Group{ID: b.Numbers.Group(id), Type: t, Buckets: buckets})
}

// Refused reports whether the switch has refused what serves id.
func (b *Builder) Refused(id intent.ID) bool { return b.refused[id] }

// Build compiles in: the skeleton, and then what each app adds. A bridge that the
// model does not have gets an empty program. The error names two intents that want
// different things of the same flow, which is a contradiction in our own code.
func Build(in Input, apps ...func(*Builder)) (*Program, error) {
	site, pending := in.site()
	if site == nil {
		return &Program{}, nil
	}
	b := &Builder{Site: *site, Numbers: in.Numbers, refused: in.Refused}
	skeleton(b)
	for _, app := range apps {
		app(b)
	}
	slices.SortFunc(pending, func(x, y Pending) int { return cmp.Compare(x.ID, y.ID) })
	p := &Program{Flows: b.flows, Groups: b.groups, Meters: b.meters, Pending: pending}
	return p, p.sort(in.Numbers)
}

// sort puts p in canonical order.
func (p *Program) sort(n Numbers) error {
	type keyed struct {
		key  string
		flow ofproto.Flow
	}
	flows := make([]keyed, len(p.Flows))
	for i, f := range p.Flows {
		flows[i] = keyed{f.Match.Key(), f}
	}
	slices.SortFunc(flows, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.flow.Table, b.flow.Table), -cmp.Compare(a.flow.Priority, b.flow.Priority), strings.Compare(a.key, b.key))
	})
	for i, f := range flows {
		p.Flows[i] = f.flow
		if i == 0 {
			continue
		}
		before := flows[i-1]
		if before.key == f.key && before.flow.Table == f.flow.Table && before.flow.Priority == f.flow.Priority {
			return fmt.Errorf("%q and %q both define the flow %v", origin(n, before.flow), origin(n, f.flow), f.flow)
		}
	}
	slices.SortFunc(p.Groups, func(a, b ofproto.Group) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(p.Meters, func(a, b ofproto.MeterConfig) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func origin(n Numbers, f ofproto.Flow) intent.ID {
	tag, _ := TagOf(f.Cookie)
	id, _ := n.Origin(tag)
	return id
}

// Text returns p as a file for ovs-ofctl bundle (in which there are no meters: they have to
// be there before), with a comment that names the table
// and the intent above each run of flows that serve it.
func (p *Program) Text(n Numbers) string {
	var s strings.Builder
	for _, g := range p.Groups {
		fmt.Fprintf(&s, "group add_or_mod %v\n", g)
	}
	var table ofproto.Table
	var last intent.ID
	for i, f := range p.Flows {
		if o := origin(n, f); i == 0 || o != last || f.Table != table {
			fmt.Fprintf(&s, "# %s: %s\n", TableNames[f.Table], o)
			last, table = o, f.Table
		}
		fmt.Fprintf(&s, "flow add %v\n", f)
	}
	return s.String()
}
