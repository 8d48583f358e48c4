package apps

import (
	"fmt"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/store"
)

// groupModel is a tenant with a policy for db, of as many rules as there are ports, which
// name the group "peers". Members are the endpoints of the group, by their number.
func groupModel(tb testing.TB, rules int, members ...int) *intent.Model {
	tb.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n" +
		"---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: lan, tenant: t}\nspec: {subnets: [{cidr: 10.1.0.0/24}]}\n")
	for i := range 6 {
		labels := ""
		if i == 0 {
			labels = ", labels: {tier: db}"
		}
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: e%d, tenant: t%s}\nspec: {network: lan, bind: {port: p%d}, mac: \"02:00:00:00:00:%02x\", ips: [10.1.0.%d]}\n", i, labels, i, i, i+10)
	}
	var names []string
	for _, m := range members {
		names = append(names, fmt.Sprint("e", m))
	}
	fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Group\nmetadata: {name: peers, tenant: t}\nspec: {endpoints: [%s]}\n", strings.Join(names, ", "))
	b.WriteString("---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: t}\nspec:\n  appliesTo: {labels: {tier: db}}\n  rules:\n")
	for i := range rules {
		fmt.Fprintf(&b, "  - {name: r%d, direction: ingress, action: allow, from: {groups: [peers]}, protocol: tcp, ports: [%d]}\n", i, 1000+i)
	}
	m, err := intent.Read(intent.Source{Name: "groups", Data: []byte(b.String())})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// changed compiles two models one after the other, as a daemon does.
func changed(tb testing.TB, from, to *intent.Model) (before, after *pipeline.Program, in pipeline.Input) {
	tb.Helper()
	numbers, cache := store.Mem(), new(pipeline.Cache)
	for _, m := range []*intent.Model{from, to} {
		var err error
		if in, err = inputOf(m, numbers); err != nil {
			tb.Fatal(err)
		}
		before = after
		if after, err = Recompile(cache, in); err != nil {
			tb.Fatal(err)
		}
	}
	return before, after, in
}

// TestAMemberCostsItsOwnFlows lets members come and go in a group that a thousand rules
// name.
func TestAMemberCostsItsOwnFlows(t *testing.T) {
	for name, c := range map[string]struct {
		from, to []int
		mods     int // flows that are put or deleted
	}{
		"one joins":                    {[]int{1, 2}, []int{1, 2, 3}, 2},
		"one leaves":                   {[]int{1, 2, 3}, []int{1, 2}, 2},
		"one comes and another goes":   {[]int{1, 2}, []int{1, 3}, 4},
		"the first is replaced":        {[]int{1, 2}, []int{3, 2}, 4},
		"as it was, in another order":  {[]int{1, 2}, []int{2, 1}, 0},
		"a subject joins, a new class": {[]int{1, 2}, []int{1, 2, 0}, 2 + 3*1000}, // its own flows, and for each rule the new class as a subject with itself, and with the other
	} {
		t.Run(name, func(t *testing.T) {
			before, after, _ := changed(t, groupModel(t, 1000, c.from...), groupModel(t, 1000, c.to...))
			plan := ofproto.Diff(after.Tables(), before.Tables())
			if mods := len(plan.PutFlows) + len(plan.DeleteFlows); mods != c.mods {
				t.Errorf("%d flow-mods, want %d", mods, c.mods)
			}
		})
	}
}

// BenchmarkAMemberJoins is what a change of a group costs that a thousand rules name: to
// compile, to compare, and to see that nothing is taken back.
func BenchmarkAMemberJoins(b *testing.B) {
	numbers, cache := store.Mem(), new(pipeline.Cache)
	models := []*intent.Model{groupModel(b, 1000, 1, 2), groupModel(b, 1000, 1, 2, 3)}
	var before *pipeline.Program
	turn := func(m *intent.Model) {
		in, err := inputOf(m, numbers)
		if err != nil {
			b.Fatal(err)
		}
		after, err := Recompile(cache, in)
		if err != nil {
			b.Fatal(err)
		}
		if before != nil {
			after.After(before)
			pipeline.Narrowed(after.Beside(before), before.Beside(after).Tables(), in.Numbers, m)
		}
		before = after
	}
	turn(models[1])
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		turn(models[i%2])
	}
}
