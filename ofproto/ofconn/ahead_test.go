package ofconn

import (
	"fmt"
	"slices"
	"testing"

	"weir/ofproto"
)

// services are n parts of a plan, each with a group of its own and flows that lead there.
func services(n int) (parts []ofproto.Tables) {
	for i := range n {
		var t ofproto.Tables
		t.Groups = []ofproto.Group{{ID: uint32(100 + i), Type: ofproto.GroupSelect, Buckets: []ofproto.Bucket{{Weight: 16, Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}}
		for j := range 3 {
			t.Flows = append(t.Flows, ofproto.Flow{Table: 4, Priority: uint16(10 + j), Cookie: 9, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg1, uint64(i))), Actions: []ofproto.Action{ofproto.ToGroup(uint32(100 + i))}})
		}
		parts = append(parts, t)
	}
	return parts
}

// whole are the tables of sample and of some parts.
func whole(parts []ofproto.Tables) ofproto.Tables {
	t := ofproto.Tables{Flows: slices.Clone(sample.Flows), Groups: slices.Clone(sample.Groups)}
	for _, p := range parts {
		t.Flows, t.Groups = append(t.Flows, p.Flows...), append(t.Groups, p.Groups...)
	}
	return t
}

func TestWhatIsPreparedIsSentOnceAndInForceWithItsPlan(t *testing.T) {
	_, c := bridge(t)
	was := ofproto.Flow{Table: 9, Priority: 1, Cookie: 9}
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{was}}))
	parts := services(5)
	for _, i := range []int{3, 0, 4} { // in whatever order they are made
		c.Prepare(t.Context(), parts[i])
	}
	must(t, c.Barrier(t.Context()))
	have := tablesOf(t, c)
	if len(have.Flows) != 1 || len(have.Groups) != 0 {
		t.Fatalf("in force before the plan is known: %v", have)
	}
	before, want := c.FlowMods(), whole(parts)
	plan := ofproto.Diff(want, have)
	must(t, c.Apply(t.Context(), plan))
	if again := ofproto.Diff(want, tablesOf(t, c)); !again.Empty() {
		t.Errorf("left to do: %+v", again)
	}
	if sent, more := int(c.FlowMods()-before), sizeOf(plan)-3*4; sent != more {
		t.Errorf("%d changes sent with the plan, want the %d that were not sent ahead", sent, more)
	}
}

func TestWhatIsPreparedAndNotPartOfThePlanIsForgotten(t *testing.T) {
	other := services(3)
	other[1].Flows[1].Actions = []ofproto.Action{ofproto.Output{Port: 1}}
	reordered := services(3)
	slices.Reverse(reordered[2].Flows)
	for name, want := range map[string][]ofproto.Tables{
		"a part is not wanted": services(2), "one of its flows is another": other, "its flows are in another order": reordered, "nothing is wanted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			_, c := bridge(t)
			for _, p := range services(3) {
				c.Prepare(t.Context(), p)
			}
			must(t, c.Apply(t.Context(), ofproto.Diff(whole(want), ofproto.Tables{})))
			if again := ofproto.Diff(whole(want), tablesOf(t, c)); !again.Empty() {
				t.Errorf("left to do: %+v", again)
			}
			if c.ahead != nil || len(c.spans) > 0 {
				t.Errorf("%v, %d spans are kept", c.ahead, len(c.spans))
			}
		})
	}
}

func TestWhatIsAbandonedIsForgotten(t *testing.T) {
	_, c := bridge(t)
	for range 3 {
		for _, p := range services(3) {
			c.Prepare(t.Context(), p)
		}
		c.Abandon()
		must(t, c.Barrier(t.Context()))
		if have := tablesOf(t, c); len(have.Flows)+len(have.Groups)+len(c.spans) > 0 {
			t.Fatalf("there are %v, %d spans", have, len(c.spans))
		}
	}
}

func TestWhatIsPreparedAndRefusedIsNamed(t *testing.T) {
	for name, bad := range refusals {
		for _, ahead := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s ahead %v", name, ahead), func(t *testing.T) {
				_, c := bridge(t)
				parts := services(3)
				with := ofproto.Tables{Groups: bad.PutGroups, Flows: bad.PutFlows}
				for _, f := range bad.PutFlows {
					f.Match = ofproto.MatchOn(ofproto.Is(ofproto.Reg1, 77))
					with.Flows = []ofproto.Flow{f}
				}
				c.Prepare(t.Context(), parts[0])
				if ahead {
					c.Prepare(t.Context(), with)
					must(t, c.Barrier(t.Context()))
				}
				c.Prepare(t.Context(), parts[1])
				r := rejected(t, c.Apply(t.Context(), ofproto.Diff(whole(append(parts, with)), ofproto.Tables{})))
				if !(r.Flow != nil && r.Flow.Priority == 77) && !(r.Group != nil && r.Group.ID == 77) {
					t.Errorf("%v; want number 77 named", r)
				}
				if have := tablesOf(t, c); len(have.Flows)+len(have.Groups) > 0 {
					t.Errorf("there are %v", have)
				}
			})
		}
	}
}
