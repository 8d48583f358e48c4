package ofproto

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/drawn"
)

func flowOn(port uint64, to uint32) Flow {
	return Flow{Table: 1, Priority: 10, Match: MatchOn(Is(InPort, port)), Actions: []Action{Output{Port: to}}}
}

func TestDiff(t *testing.T) {
	raw := func(m string) Flow { return Flow{RawMatch: m} }
	meter := func(id, rate uint32) MeterConfig {
		return MeterConfig{ID: id, Flags: MeterKilobits, Bands: []MeterBand{{Type: MeterDrop, Rate: rate}}}
	}
	group := func(id uint32, to uint32) Group {
		return Group{ID: id, Buckets: []Bucket{{Actions: []Action{Output{Port: to}}}}}
	}
	for name, c := range map[string]struct {
		want, have Tables
		plan       Plan
	}{
		"equal tables need nothing": {
			Tables{[]Flow{flowOn(1, 2)}, []Group{group(1, 2)}, []MeterConfig{meter(1, 2)}},
			Tables{[]Flow{flowOn(1, 2)}, []Group{group(1, 2)}, []MeterConfig{meter(1, 2)}},
			Plan{},
		},
		"puts are in the order of want, deletions in the order of have": {
			Tables{Flows: []Flow{flowOn(3, 1), flowOn(1, 9), flowOn(2, 1)}},
			Tables{Flows: []Flow{flowOn(6, 1), flowOn(1, 1), flowOn(5, 1)}},
			Plan{PutFlows: []Flow{flowOn(3, 1), flowOn(1, 9), flowOn(2, 1)}, DeleteFlows: []Flow{flowOn(6, 1), flowOn(5, 1)}},
		},
		"another cookie is another flow with the same key": {
			Tables{Flows: []Flow{{Cookie: 1}}}, Tables{Flows: []Flow{{Cookie: 2}}},
			Plan{PutFlows: []Flow{{Cookie: 1}}},
		},
		"of two flows with one key the last counts": {
			Tables{Flows: []Flow{flowOn(1, 1), flowOn(2, 2), flowOn(1, 3)}}, Tables{Flows: []Flow{flowOn(1, 3), flowOn(2, 2)}},
			Plan{},
		},
		"of two flows with one key only the last is put": {
			Tables{Flows: []Flow{flowOn(1, 1), flowOn(1, 3)}}, Tables{Flows: []Flow{flowOn(1, 1)}},
			Plan{PutFlows: []Flow{flowOn(1, 3)}},
		},
		"a switch reports a burst of zero as the rate": {
			Tables{Meters: []MeterConfig{{ID: 1, Bands: []MeterBand{{Type: MeterDrop, Rate: 5}}}}},
			Tables{Meters: []MeterConfig{{ID: 1, Bands: []MeterBand{{Type: MeterDrop, Rate: 5, Burst: 5}}}}},
			Plan{},
		},
		"what is not known is compared byte for byte": {
			Tables{Flows: []Flow{raw("a"), raw("b")}}, Tables{Flows: []Flow{raw("b"), raw("c")}},
			Plan{PutFlows: []Flow{raw("a")}, DeleteFlows: []Flow{raw("c")}},
		},
		"meters and groups are put before flows and deleted after": {
			Tables{[]Flow{flowOn(1, 1)}, []Group{group(1, 1), group(2, 5)}, []MeterConfig{meter(1, 100), meter(2, 5)}},
			Tables{[]Flow{flowOn(2, 1)}, []Group{group(3, 1), group(2, 5)}, []MeterConfig{meter(2, 6), meter(3, 1)}},
			Plan{
				[]MeterConfig{meter(1, 100), meter(2, 5)}, []Group{group(1, 1)}, []Flow{flowOn(1, 1)},
				[]Flow{flowOn(2, 1)}, []Group{group(3, 1)}, []MeterConfig{meter(3, 1)},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Diff(c.want, c.have); !reflect.DeepEqual(got, c.plan) {
				t.Errorf("got %v\nwant %v", got, c.plan)
			}
		})
	}
}

// apply does to flows what a switch does with the plan.
func apply(p Plan, flows []Flow) map[FlowKey]Flow {
	there := map[FlowKey]Flow{}
	for _, f := range flows {
		there[f.Key()] = f
	}
	for _, f := range p.PutFlows {
		there[f.Key()] = f
	}
	for _, f := range p.DeleteFlows {
		delete(there, f.Key())
	}
	return there
}

func TestAPlanMakesWantOfHaveAndASecondOneIsEmpty(t *testing.T) {
	flow := rapid.Custom(func(t *rapid.T) Flow {
		f := flowOn(rapid.Uint64Range(0, 4).Draw(t, "port"), rapid.Uint32Range(1, 2).Draw(t, "to"))
		f.Priority = rapid.Uint16Range(0, 2).Draw(t, "priority")
		f.Match = MatchOn(append(f.Match, Masked(Reg0, rapid.Uint64Range(0, 2).Draw(t, "reg"), rapid.Uint64Range(0, 3).Draw(t, "mask")))...)
		return f
	})
	drawn.Cases(t, 100, 1000)
	rapid.Check(t, func(t *rapid.T) {
		want, have := rapid.SliceOf(flow).Draw(t, "want"), rapid.SliceOf(flow).Draw(t, "have")
		p := Diff(Tables{Flows: want}, Tables{Flows: have})
		got := apply(p, have)
		if !reflect.DeepEqual(got, apply(Plan{}, want)) {
			t.Fatalf("the plan makes %v", got)
		}
		var flows []Flow
		for _, f := range got {
			flows = append(flows, f)
		}
		if again := Diff(Tables{Flows: want}, Tables{Flows: flows}); !again.Empty() {
			t.Fatalf("not settled: %v", again)
		}
		if slices.ContainsFunc(p.DeleteFlows, func(f Flow) bool { _, there := got[f.Key()]; return there }) {
			t.Fatal("a flow is put and deleted")
		}
	})
}
