package apps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
	"weir/store"
)

// allStates are all that a connection may be in.
var allStates = append(traced[2:], reference.Established, reference.Reply, reference.OneWay, reference.Overflow,
	reference.Blocked, reference.BlockedReply, reference.BlockedRelated, reference.OldBlocked, reference.OldBlockedReply,
	reference.OldKept, reference.OldKeptReply, reference.OldKeptOneWay)

// TestSemanticsOfStates compares package reference with the flows in every state of a
// connection, also in those that a trace cannot be told.
func TestSemanticsOfStates(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range packetsOfAModel {
			if p, ok := drawPacket(t, w.model); ok {
				state := w.drawState(t, allStates)
				w.agree(t, "the flows", w.sim, p, state)
			}
		}
	})
}

// agree fails unless a switch does with p what the reference says.
func (w *world) agree(t *rapid.T, whose string, sim *flowsim.Switch, p reference.Packet, s reference.State) {
	was := w.sim
	w.sim = sim
	defer func() { w.sim = was }()
	if want, got := w.reference(p, s), w.simulated(p, s); got.beside(want) != want {
		t.Fatalf("%s\n%s, %s\nreference: %s\n%s: %s", w.text, w.frame(p).text(), s, want, whose, got)
	}
}

// TestAChangeGivesWhatANewStartGives draws a model and a change of it. The plan that
// turns the one program into the other, applied to its tables, gives tables that do what
// the reference says, and nothing is left to do. Where the change takes something back
// that a connection may have been admitted by, the tenant's connections are judged again.
func TestAChangeGivesWhatANewStartGives(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	narrowed := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b, ok := drawChange(t, drawDatapath(t))
		if !ok {
			t.Skip("the change is none that an operator could make")
		}
		plan := ofproto.Diff(b.program.Tables(), a.program.Tables())
		tables := applied(a.program.Tables(), plan)
		if again := ofproto.Diff(b.program.Tables(), tables); !again.Empty() {
			t.Fatalf("%s\nchanged to\n%s\nthere is something left to do: %+v", a.text, b.text, again)
		}
		again := pipeline.Narrowed(b.program.Tables().Flows, a.program.Tables().Flows, b.in.Numbers, b.model)
		sim := switchOn(b.in.Facts.Features, tables)
		for range packetsOfAModel {
			p, ok := drawPacket(t, b.model)
			if !ok {
				continue
			}
			b.agree(t, "changed flows", sim, p, reference.New)
			if a.admits(p) && !b.lets(p) {
				narrowed++
				if !slices.Contains(again, intent.ID(p.From.Tenant)) {
					t.Fatalf("%s\nchanged to\n%s\n%s was admitted, is not now, and its tenant is not judged again", a.text, b.text, b.frame(p).text())
				}
			}
		}
	})
	t.Logf("in %d pairs the change took something back", narrowed)
}

// admits reports whether a's policy would have the connection of p, a packet of a later
// model, tracked and remembered: admitted, or audited.
func (w *world) admits(p reference.Packet) bool {
	p.From, p.To = w.endpoint(p.From), w.endpoint(p.To)
	if p.From == nil || p.To == nil {
		return false
	}
	v := reference.Judge(w.model, p, reference.New)
	return (v.Result == reference.Admitted || v.Result == reference.Audited) && reference.Reaches(p)
}

// lets reports whether w's policy has nothing against the connection of p. One that goes to
// somebody else now, or is from somebody else, is none of it.
func (w *world) lets(p reference.Packet) bool {
	v := reference.Judge(w.model, p, reference.New)
	return v.Passes() || v.Result == reference.Refused || v.Result == reference.Astray
}

// endpoint returns what is in w's model for an endpoint of another, or nil.
func (w *world) endpoint(e *intent.Endpoint) *intent.Endpoint {
	for _, own := range w.model.Tenant(e.Tenant).Endpoints {
		if own.Name == e.Name {
			return own
		}
	}
	return nil
}

// drawChange draws a model and one that differs from it in a line or two.
func drawChange(t *rapid.T, on pipeline.Features) (a, b *world, ok bool) {
	text := drawModel(t)
	changed := text
	for range rapid.IntRange(1, 2).Draw(t, "changes") {
		changed = drawEdit(t, changed)
	}
	if _, err := intent.Read(intent.Source{Name: "changed.yaml", Data: []byte(changed)}); err != nil {
		return nil, nil, false
	}
	numbers, cache := store.Mem(), new(pipeline.Cache) // the same for both, as in a daemon that stays
	return newWorld(t, text, on, numbers, cache), newWorld(t, changed, on, numbers, cache), true
}

// edits are what an operator may do to a line: each replaces the first of a pair by the
// second, wherever it stands in the line.
var edits = [][2]string{
	{"action: allow", "action: deny"}, {"action: deny", "action: allow"}, {"action: allow", "action: stateless"}, {"action: stateless", "action: deny"},
	{"action: allow", "action: reject"}, {"action: reject", "action: allow"}, {"action: deny", "action: reject"},
	{"ingress: deny", "ingress: allow"}, {"ingress: allow", "ingress: deny"}, {"egress: allow", "egress: deny"}, {"egress: deny", "egress: allow"},
	{"tier: app", "tier: db"}, {"tier: db", "tier: app"}, {"tier: [app]", "tier: [db, app]"}, {"tier: [db, app]", "tier: [db]"},
	{"/25", "/26"}, {"10.0.0.0/24", "10.0.0.0/16"}, {"fd00::/16", "fd00:1::/64"}, {"ports: [80]", "ports: [80-82]"}, {"protocol: tcp", "protocol: udp"},
	{"onRevoke: keep", "onRevoke: enforce"}, {"onRevoke: enforce", "onRevoke: keep"}, {"onRevoke: reset", "onRevoke: keep"}, {", mark: 17", ""}, {"1-1023", "1-80"}, {"endpoints: [e00]", "endpoints: [e01]"}, {"endpoints: [e01]", "endpoints: [e00, e01]"},
	{"endpoints: [e00, e01]", "endpoints: [e01]"}, {"groups: [g1]", "groups: [g0]"}, {"groups: [g0]", "groups: [g2]"}, {"groups: [g1]", "groups: [g1, g0]"},
	{"mode: audit", "mode: enforce"}, {"mode: enforce", "mode: audit"}, {"mode: enforce", "mode: off"}, {"mode: off", "mode: enforce"}, {"mode: audit", "mode: off"},
	{"limits: {connections: 100},", ""}, {"limits: {connections: 100},", "limits: {newPerSecond: 1000000},"}, {", log: new", ""}, {", log: sampled", ""}, {", log: new", ", log: sampled"},
}

// drawEdit changes, removes or moves a line.
func drawEdit(t *rapid.T, text string) string {
	lines := strings.Split(text, "\n")
	i := rapid.SampledFrom(edible(lines)).Draw(t, "line")
	rule := strings.HasPrefix(lines[i], "  - {name")
	switch kind := rapid.IntRange(0, 4).Draw(t, "edit"); {
	case kind == 4 && rule: // a new one in front of it
		lines = slices.Insert(lines, i, fmt.Sprintf("  - {name: new, direction: %s, action: deny, protocol: %s}",
			rapid.SampledFrom([]string{"ingress", "egress"}).Draw(t, "direction"), rapid.SampledFrom([]string{"tcp", "udp", "icmp"}).Draw(t, "protocol")))
	case kind == 0 && rule:
		lines = slices.Delete(lines, i, i+1)
	case kind == 1 && rule && strings.HasPrefix(lines[i-1], "  - {name"):
		lines[i], lines[i-1] = lines[i-1], lines[i]
	default:
		var some [][2]string
		for _, e := range edits {
			if strings.Contains(lines[i], e[0]) {
				some = append(some, e)
			}
		}
		if some != nil {
			e := rapid.SampledFrom(some).Draw(t, "words")
			lines[i] = strings.Replace(lines[i], e[0], e[1], 1)
		}
	}
	return strings.Join(lines, "\n")
}

// edible are the lines that say what may talk to what: rules, selectors, groups, labels,
// defaults.
func edible(lines []string) (at []int) {
	for i, l := range lines {
		group := i > 1 && lines[i-2] == "kind: Group"
		if group || strings.HasPrefix(l, "  - {name") || strings.Contains(l, "appliesTo") || strings.Contains(l, "labels: {tier") || strings.Contains(l, "defaults:") || strings.Contains(l, "onRevoke:") {
			at = append(at, i)
		}
	}
	return at
}

// applied is what a switch has after a plan.
func applied(have ofproto.Tables, p ofproto.Plan) ofproto.Tables {
	gone := map[ofproto.FlowKey]bool{}
	for _, f := range append(slices.Clone(p.DeleteFlows), p.PutFlows...) {
		gone[f.Key()] = true
	}
	groups := map[uint32]bool{}
	for _, g := range append(slices.Clone(p.DeleteGroups), p.PutGroups...) {
		groups[g.ID] = true
	}
	meters := map[uint32]bool{}
	for _, m := range append(slices.Clone(p.DeleteMeters), p.PutMeters...) {
		meters[m.ID] = true
	}
	t := ofproto.Tables{Meters: append(slices.DeleteFunc(slices.Clone(have.Meters), func(m ofproto.MeterConfig) bool { return meters[m.ID] }), p.PutMeters...)}
	t.Flows = append(slices.DeleteFunc(slices.Clone(have.Flows), func(f ofproto.Flow) bool { return gone[f.Key()] }), p.PutFlows...)
	t.Groups = append(slices.DeleteFunc(slices.Clone(have.Groups), func(g ofproto.Group) bool { return groups[g.ID] }), p.PutGroups...)
	return t
}

// TestWhatIsRefusedNeverOpens draws rules, and other intents that have flows, that the switch
// does not take. What is left lets nothing pass that the whole policy denies.
func TestWhatIsRefusedNeverOpens(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.in.Refused = map[intent.ID]bool{}
		for _, id := range policyOf(w.model) {
			w.in.Refused[id] = rapid.Bool().Draw(t, "refused")
		}
		for _, id := range rapid.SliceOfN(rapid.SampledFrom(w.owners()), 0, 3).Draw(t, "refused beside") {
			w.in.Refused[id] = true
		}
		program, err := Compile(w.in)
		if err != nil {
			t.Fatal(err)
		}
		w.sim = switchOn(w.in.Facts.Features, program.Tables())
		for range packetsOfAModel {
			p, ok := drawPacket(t, w.model)
			if !ok {
				continue
			}
			want, got := w.reference(p, reference.New), w.simulated(p, reference.New)
			if want.port == 0 && got.port != 0 || got.odd != "" {
				t.Fatalf("%s\nrefused: %v\n%s\nreference: %s\nflowsim:   %s", w.text, refused(w.in), w.frame(p).text(), want, got)
			}
		}
	})
}

// policyOf returns the ids of the rules and policies of a model.
func policyOf(m *intent.Model) (ids []intent.ID) {
	for _, t := range m.Tenants() {
		for _, p := range t.Policies {
			ids = append(ids, p.ID())
			for _, r := range p.Rules {
				ids = append(ids, r.ID())
			}
		}
	}
	return ids
}

// owners returns the intents that flows serve.
func (w *world) owners() (ids []intent.ID) {
	known := map[intent.ID]bool{}
	for _, f := range w.program.Tables().Flows {
		tag, _ := pipeline.TagOf(f.Cookie)
		if id, ok := w.in.Numbers.Origin(tag); ok && !known[id] {
			known[id], ids = true, append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func refused(in pipeline.Input) (ids []string) {
	for id, is := range in.Refused {
		if is {
			ids = append(ids, fmt.Sprint(id))
		}
	}
	slices.Sort(ids)
	return ids
}
