package apps

import (
	"fmt"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/ofproto"
	"weir/store"
)

// ruleOn returns a rule that allows a port.
func ruleOn(port int) string {
	return fmt.Sprintf("  - {name: p%d, direction: ingress, action: allow, protocol: tcp, ports: [%d]}\n", port, port)
}

const denyRest = "  - {name: rest, direction: ingress, action: deny, protocol: tcp}\n"

// TestARuleThatIsPutSomewhereCostsItsOwnFlows puts rules among a thousand that they overlap.
func TestARuleThatIsPutSomewhereCostsItsOwnFlows(t *testing.T) {
	var many strings.Builder
	for port := range 1000 {
		many.WriteString(ruleOn(1000 + port))
	}
	const one = "  - {name: one, direction: ingress, action: deny, protocol: tcp, ports: [\"1-3000\"]}\n"
	thousand := many.String()
	cost := func(rule string) int { // alone
		p, _ := compileModel(t, change{peers: "e1", rules: rule}.model(t))
		return len(flowsOf(p, pipeline.PolIn)) - 2 // without the defaults
	}
	for name, c := range map[string]struct {
		from, to string
		mods     int // flows that are put or deleted
	}{
		"in front of all":        {thousand, one + thousand, cost(one)},
		"behind all":             {thousand, thousand + denyRest, cost(denyRest)},
		"between":                {thousand + denyRest, thousand + one + denyRest, cost(one)},
		"the last comes first":   {thousand + one, one + thousand, 2 * cost(one)},
		"the first comes last":   {one + thousand, thousand + one, 2 * cost(one)},
		"two change places":      {one + denyRest + thousand, denyRest + one + thousand, 2 * min(cost(one), cost(denyRest))},
		"the first goes":         {one + thousand, thousand, cost(one)},
		"one of them comes last": {ruleOn(5) + thousand + denyRest, thousand + denyRest + ruleOn(5), 2 * cost(ruleOn(5))},
	} {
		t.Run(name, func(t *testing.T) {
			before, after, in := changed(t, change{peers: "e1", rules: c.from}.model(t), change{peers: "e1", rules: c.to}.model(t))
			plan := after.After(before)
			if mods := len(plan.PutFlows) + len(plan.DeleteFlows); mods != c.mods {
				t.Errorf("%d flow-mods, want %d", mods, c.mods)
			}
			var started pipeline.Cache
			started.Remember(after.Tables().Flows)
			again, err := Recompile(&started, in)
			if err != nil {
				t.Fatal(err)
			}
			if plan := ofproto.Diff(again.Tables(), after.Tables()); !plan.Empty() {
				t.Errorf("a new daemon would send %d flow-mods", len(plan.PutFlows)+len(plan.DeleteFlows))
			}
		})
	}
}

// TestThereIsRoomInFront puts a hundred rules in front of others, one after the other.
func TestThereIsRoomInFront(t *testing.T) {
	rules, numbers, worst := ruleOn(80)+denyRest, store.Mem(), 0
	var cache pipeline.Cache
	var before *pipeline.Program
	for i := range 100 {
		in, err := inputOf(change{peers: "e1", rules: rules}.model(t), numbers)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Recompile(&cache, in)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil {
			plan := p.After(before)
			worst = max(worst, len(plan.PutFlows)+len(plan.DeleteFlows))
		}
		before = p
		rules = fmt.Sprintf("  - {name: n%d, direction: ingress, action: deny, protocol: tcp, from: {cidrs: [10.%d.0.0/16]}}\n", i, i) + rules
	}
	if worst != 1 {
		t.Errorf("a rule for which there is one flow cost %d", worst)
	}
}

// flowsOf returns the flows of a program in a table.
func flowsOf(p *pipeline.Program, table ofproto.Table) (some []ofproto.Flow) {
	for _, f := range p.Tables().Flows {
		if f.Table == table {
			some = append(some, f)
		}
	}
	return some
}
