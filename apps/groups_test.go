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
		"one joins":                   {[]int{1, 2}, []int{1, 2, 3}, 1},
		"one leaves":                  {[]int{1, 2, 3}, []int{1, 2}, 1},
		"one comes and another goes":  {[]int{1, 2}, []int{1, 3}, 2},
		"the first is replaced":       {[]int{1, 2}, []int{3, 2}, 2},
		"as it was, in another order": {[]int{1, 2}, []int{2, 1}, 0},
		"a subject joins":             {[]int{1, 2}, []int{1, 2, 0}, 1}, // whom a rule is for is told apart at the other end
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
			pipeline.Narrowed(after.Beside(before).Tables().Flows, before.Beside(after).Tables().Flows, in.Numbers, m)
		}
		before = after
	}
	turn(models[1])
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		turn(models[i%2])
	}
}

// sharedModel is a tenant with rules that all name a group of CIDRs.
func sharedModel(tb testing.TB, rules, cidrs int) *intent.Model {
	var text []string
	for i := range cidrs {
		text = append(text, fmt.Sprintf("172.16.%d.0/24", i))
	}
	var b strings.Builder
	for i := range rules {
		fmt.Fprintf(&b, "  - {name: r%d, direction: ingress, action: allow, from: {groups: [peers]}, protocol: tcp, ports: [%d]}\n", i, 1000+i)
	}
	return change{peers: "e1], cidrs: [" + strings.Join(text, ", "), rules: b.String()}.model(tb)
}

// TestCIDRsThatRulesShareAreLookedUpOnce counts flows, and flow-mods when a CIDR comes.
func TestCIDRsThatRulesShareAreLookedUpOnce(t *testing.T) {
	const subjects = 1 // class: nothing tells those apart to whom something is opened
	for _, c := range []struct{ rules, cidrs, flows, oneMore int }{
		{100, 50, 100*subjects*(1+1) + 50 + 1, 1}, // from e1 and from the range; the prefixes, and what is in none
		{100, 1, 100*subjects*(1+1) + 1 + 1, 1},
		{5, 1, 5 * subjects * (1 + 1), 2*5*subjects + 2 + 1 + 1}, // too few; with two they are worth a range, and what is let out goes by way of it
		{1, 50, subjects * (1 + 50), 1},                          // one rule
	} {
		t.Run(fmt.Sprintf("%d rules, %d CIDRs", c.rules, c.cidrs), func(t *testing.T) {
			before, after, in := changed(t, sharedModel(t, c.rules, c.cidrs), sharedModel(t, c.rules, c.cidrs+1))
			plan := after.After(before)
			flows := len(flowsOf(before, pipeline.PeerSrc)) + len(flowsOf(before, pipeline.PolIn)) - 2 // without the defaults
			mods := len(plan.PutFlows) + len(plan.DeleteFlows)
			if flows != c.flows || mods != c.oneMore {
				t.Errorf("%d flows, want %d; %d flow-mods for one CIDR more, want %d", flows, c.flows, mods, c.oneMore)
			}
			if again := pipeline.Narrowed(after.Tables().Flows, before.Tables().Flows, in.Numbers, in.Model); mods == 1 && len(again) > 0 {
				t.Error("a CIDR that comes to a group which only allows takes nothing back")
			}
		})
	}
}
