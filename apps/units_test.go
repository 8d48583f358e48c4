package apps

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/ofproto"
	"weir/store"
)

// A daemon is what changes under a bridge while a Cache is kept: the model's files, its
// ports, its epochs, what was refused.
type daemon struct {
	files   map[string]string
	gone    map[string]string
	reader  intent.Reader
	numbers *store.Numbers
	in      pipeline.Input
}

// split returns the objects of a model in a file for each tenant, and one for the bridge.
func split(text string) map[string]string {
	files := map[string]string{}
	for _, doc := range strings.Split(text, "---\n") {
		name := "bridge"
		for _, t := range []string{"blue", "red"} {
			if strings.Contains(doc, "tenant: "+t) || strings.Contains(doc, "kind: Tenant\nmetadata: {name: "+t) {
				name = t
			}
		}
		files[name] += "---\n" + doc
	}
	return files
}

// read reads the files, and reports whether they are a model.
func (d *daemon) read(t *rapid.T) bool {
	var sources []intent.Source
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		sources = append(sources, intent.Source{Name: name, Data: []byte(d.files[name])})
	}
	m, err := d.reader.Read(sources...)
	if err != nil {
		return false
	}
	in, err := inputOf(m, d.numbers)
	if err != nil {
		t.Fatal(err)
	}
	d.in = in
	return true
}

// change draws something that happens.
func (d *daemon) change(t *rapid.T) {
	switch name := rapid.SampledFrom(d.in.Model.Tenants()).Draw(t, "tenant").Name; rapid.IntRange(0, 7).Draw(t, "event") {
	case 0: // the switch refuses something
		if all := policyOf(d.in.Model); len(all) > 0 {
			d.in.Refused = map[intent.ID]bool{rapid.SampledFrom(all).Draw(t, "refused"): true}
		}
	case 1: // a port goes
		i := rapid.IntRange(0, len(d.in.Facts.Ports)-1).Draw(t, "port")
		d.in.Facts.Ports = slices.Delete(slices.Clone(d.in.Facts.Ports), i, i+1)
	case 2: // an epoch is raised
		s, err := d.numbers.Raise(map[intent.ID]uint8{intent.ID(name): d.in.Numbers.Epoch(intent.ID(name))})
		if err != nil {
			t.Fatal(err)
		}
		d.in.Numbers = s
	case 3: // another datapath
		d.in.Facts.Features.NDExtension = !d.in.Facts.Features.NDExtension
	case 5: // a backend is found not to be well, or something else is other in a load balancer
		if all := balancersOf(d.in.Model); len(all) > 0 {
			l := rapid.SampledFrom(all).Draw(t, "load balancer")
			d.in.Facts.Weights = map[intent.ID]map[netip.AddrPort]uint16{l.ID(): {pipeline.BackendKey(l.Backends[0]): uint16(rapid.IntRange(0, 3).Draw(t, "weight"))}}
			was := d.files[name]
			if d.files[name] = drawEditOfBalancer(t, was); !d.read(t) {
				d.files[name] = was
				d.read(t)
			}
		}
	case 4: // a tenant goes, or comes back
		was, wasGone := maps.Clone(d.files), d.gone
		if maps.Copy(d.files, d.gone); len(d.gone) == 0 {
			d.gone = map[string]string{name: d.files[name]}
			delete(d.files, name)
		} else {
			d.gone = nil
		}
		if !d.read(t) || len(d.in.Model.Tenants()) == 0 {
			d.files, d.gone = was, wasGone
			d.read(t)
		}
	default:
		was := d.files[name]
		if d.files[name] = drawEdit(t, was); !d.read(t) {
			d.files[name] = was
			d.read(t)
		}
	}
}

// TestUnitsAreWhatANewStartGives lets things happen to a bridge whose units are kept. Each
// time the program is the one that is made from nothing, its plan leads there from the one
// before, and the tenants that are judged again are those that all flows name.
func TestUnitsAreWhatANewStartGives(t *testing.T) {
	drawn.Cases(t, 60, 1000)
	var k keeping
	rapid.Check(t, func(t *rapid.T) {
		d := &daemon{files: split(drawModel(t) + drawBalancers(t)), numbers: store.Mem()}
		d.files["bridge"] = "---\napiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br}\n"
		k.follow(t, d, d.change)
	})
	t.Logf("%d of %d units were kept", k.kept, k.all)
}

// TestUnitsOfTranslationsAreWhatANewStartGives does the same on a bridge that has an outside.
func TestUnitsOfTranslationsAreWhatANewStartGives(t *testing.T) {
	drawn.Cases(t, 60, 1000)
	var k keeping
	rapid.Check(t, func(t *rapid.T) {
		outside := rapid.Custom(drawOutside).Filter(func(s string) bool { return s != "" }).Draw(t, "outside")
		d := &daemon{files: split(drawModelWith(t, outside)), numbers: store.Mem()}
		k.follow(t, d, d.changeOfNAT)
	})
	t.Logf("%d of %d units were kept", k.kept, k.all)
}

// A keeping is how many units were kept.
type keeping struct{ kept, all int }

// follow lets things happen, and looks at each program.
func (k *keeping) follow(t *rapid.T, d *daemon, change func(*rapid.T)) {
	if !d.read(t) || len(d.in.Facts.Ports) == 0 {
		t.Skip("no model")
	}
	var cache pipeline.Cache
	before := recompile(t, &cache, d)
	for range rapid.IntRange(1, 6).Draw(t, "events") {
		if change(t); len(d.in.Facts.Ports) == 0 {
			break
		}
		now := recompile(t, &cache, d)
		k.all += len(now.Units)
		k.kept += len(now.Units) - len(now.Beside(before).Units)
		plan := now.After(before)
		if left := ofproto.Diff(now.Tables(), applied(before.Tables(), plan)); len(left.PutFlows)+len(left.DeleteFlows)+len(left.PutGroups)+len(left.DeleteGroups) > 0 {
			t.Fatalf("the plan of the units leaves something to do: %+v", left)
		}
		whole := pipeline.Narrowed(now.Tables().Flows, before.Tables().Flows, d.in.Numbers, d.in.Model)
		part := pipeline.Narrowed(now.Beside(before).Tables().Flows, before.Beside(now).Tables().Flows, d.in.Numbers, d.in.Model)
		if !slices.Equal(whole, part) {
			t.Fatalf("judged again: %v by the units that have changed, %v by all", part, whole)
		}
		if pipeline.Widens(plan, now.Tables().Flows, before.Tables().Flows) && len(whole) > 0 {
			t.Fatalf("judged again: %v, and nothing is taken back", whole)
		}
		before = now
	}
}

// changeOfNAT draws something that happens where there is an outside.
func (d *daemon) changeOfNAT(t *rapid.T) {
	name := rapid.SampledFrom(d.in.Model.Tenants()).Draw(t, "tenant").Name
	switch rapid.IntRange(0, 5).Draw(t, "what happens") {
	case 0:
		d.change(t)
	case 1: // the switch refuses some of what translates
		d.in.Refused = map[intent.ID]bool{}
		for _, id := range translationsOf(d.in.Model) {
			if rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
				d.in.Refused[id] = true
			}
		}
	default:
		was := d.files[name]
		if d.files[name] = drawEditOfNAT(t, was); !d.read(t) {
			d.files[name] = was
			d.read(t)
		}
	}
}

// translationsOf are the intents of m that translate.
func translationsOf(m *intent.Model) (all []intent.ID) {
	for _, t := range m.Tenants() {
		for _, s := range t.SNATs {
			all = append(all, s.ID())
		}
		for _, f := range t.FloatingIPs {
			all = append(all, f.ID())
		}
		for _, f := range t.PortForwards {
			all = append(all, f.ID())
		}
		for _, l := range t.LoadBalancers {
			all = append(all, l.ID())
		}
	}
	return all
}

// recompile compiles what the daemon has. It fails if that is not, but for priorities, what
// is made from nothing, or not what a daemon makes that is started now and reads the bridge,
// or if two units have something in common.
func recompile(t *rapid.T, cache *pipeline.Cache, d *daemon) *pipeline.Program {
	got, err := Recompile(cache, d.in)
	if err != nil && strings.Contains(err.Error(), "a packet could be sent back to the flow tables") {
		t.Skip("the datapath could not do it")
	}
	want, err2 := Compile(d.in)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if !slices.Equal(unordered(got), unordered(want)) {
		t.Fatalf("%v\nkept units give\n%s\nand from nothing\n%s", d.files, got.Text(d.in.Numbers), want.Text(d.in.Numbers))
	}
	var started pipeline.Cache
	started.Remember(got.Tables().Flows)
	again, err := Recompile(&started, d.in)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rounds.N == again.Rounds.N {
		again.Rounds.By = got.Rounds.By // of ways that come back as often any may be named
	}
	if len(d.in.Refused) == 0 && !reflect.DeepEqual(got, again) {
		t.Fatalf("%v\nthe bridge has\n%s\nand a new daemon gives it\n%s", d.files, got.Text(d.in.Numbers), again.Text(d.in.Numbers))
	}
	of := map[string]intent.ID{}
	for _, u := range got.Units {
		for _, f := range u.Flows {
			key := fmt.Sprint(f.Key())
			if other, twice := of[key]; twice {
				t.Fatalf("%v is %s's and %s's", f, other, u.Of)
			}
			of[key] = u.Of
		}
	}
	return got
}

// unordered returns the flows of a program without their priorities.
func unordered(p *pipeline.Program) (all []string) {
	for _, f := range p.Tables().Flows {
		if f.Table == pipeline.PolOut || f.Table == pipeline.PolIn || f.Table >= pipeline.Stateless && f.Table <= pipeline.StatelessInReply {
			f.Priority = 0
		}
		all = append(all, f.String())
	}
	slices.Sort(all)
	return all
}

func TestTwoEndpointsOnOnePortAreAnError(t *testing.T) {
	m, err := intent.Read(intent.Source{Name: "test.yaml", Data: []byte(`
{apiVersion: weir/v1, kind: Bridge, metadata: {name: br}}
---
{apiVersion: weir/v1, kind: Tenant, metadata: {name: blue}}
---
{apiVersion: weir/v1, kind: Network, metadata: {name: n, tenant: blue}, spec: {subnets: [{cidr: 10.0.0.0/24}]}}
---
{apiVersion: weir/v1, kind: Endpoint, metadata: {name: a, tenant: blue}, spec: {network: n, bind: {port: p1}, mac: "02:00:00:00:00:01", ips: [10.0.0.1]}}
---
{apiVersion: weir/v1, kind: Endpoint, metadata: {name: b, tenant: blue}, spec: {network: n, bind: {ifaceID: x}, mac: "02:00:00:00:00:02", ips: [10.0.0.2]}}
`)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := store.Mem().Assign(store.Wants(pipeline.WantsOf(m)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(pipeline.Input{Bridge: "br", Model: m, Numbers: n, Facts: pipeline.Facts{Ports: []pipeline.Port{{Name: "p1", IfaceID: "x", OFPort: 7}}}})
	if err == nil || err.Error() != `"blue/endpoint/a" and "blue/endpoint/b" are bound to the same port, 7` {
		t.Error(err)
	}
}
