package ofconn

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/ofproto"
)

// tablesOf returns what a bridge has.
func tablesOf(t *testing.T, c *Conn) ofproto.Tables {
	t.Helper()
	have, err := c.Tables(t.Context())
	must(t, err)
	return have
}

// rejected returns the flow or group that an error is about.
func rejected(t *testing.T, err error) *ofproto.Rejected {
	t.Helper()
	var r *ofproto.Rejected
	var e *ofproto.Error
	if !errors.As(err, &r) || !errors.As(err, &e) {
		t.Fatalf("%v; want something rejected by the switch", err)
	}
	return r
}

func TestABundleTakesFlowsAndGroupsMixed(t *testing.T) {
	_, c := bridge(t)
	must(t, c.Apply(t.Context(), sample.plan()))
	group := ofproto.Group{ID: 9, Type: ofproto.GroupSelect, Buckets: []ofproto.Bucket{{Weight: 1, Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}
	next := ofproto.Tables{
		Groups: []ofproto.Group{group},
		Flows:  []ofproto.Flow{sample.Flows[0], {Table: 4, Priority: 6, Cookie: 9, Actions: []ofproto.Action{ofproto.ToGroup(9)}}},
	}
	plan := ofproto.Diff(next, tablesOf(t, c))
	if len(plan.PutGroups) == 0 || len(plan.PutFlows) == 0 || len(plan.DeleteFlows) == 0 || len(plan.DeleteGroups) == 0 {
		t.Fatalf("not mixed: %+v", plan)
	}
	must(t, c.Apply(t.Context(), plan))
	if again := ofproto.Diff(next, tablesOf(t, c)); !again.Empty() {
		t.Errorf("left to do: %+v", again)
	}
}

// refusals are what a switch refuses: when it reads it, when it looks at it, or when the
// bundle is committed.
var refusals = map[string]ofproto.Plan{
	"a flow that goes backwards":                {PutFlows: []ofproto.Flow{{Table: 4, Priority: 77, Actions: []ofproto.Action{ofproto.GotoTable(2)}}}},
	"a flow to a group that is missing":         {PutFlows: []ofproto.Flow{{Table: 4, Priority: 77, Actions: []ofproto.Action{ofproto.ToGroup(99)}}}},
	"a flow without what its action needs":      {PutFlows: []ofproto.Flow{{Table: 4, Priority: 77, Actions: []ofproto.Action{ofproto.ConnTrack{Table: ofproto.NoTable}}}}},
	"a group of a type that there is not":       {PutGroups: []ofproto.Group{{ID: 77, Type: 9}}},
	"a group with two buckets where one may be": {PutGroups: []ofproto.Group{{ID: 77, Type: ofproto.GroupIndirect, Buckets: make([]ofproto.Bucket, 2)}}},
}

func TestWhatIsRefusedIsNamed(t *testing.T) {
	_, c := bridge(t)
	for name, bad := range refusals {
		for way, apply := range map[string]struct {
			do   func(ofproto.Plan) error
			left int
		}{
			"in a bundle": {func(p ofproto.Plan) error { return c.Apply(t.Context(), p) }, 0},
			"in batches":  {func(p ofproto.Plan) error { return c.ApplyInBatches(t.Context(), p) }, 1},
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				plan := bad
				plan.PutFlows = append([]ofproto.Flow{{Priority: 1}}, plan.PutFlows...)
				err := apply.do(plan)
				r := rejected(t, err)
				if !(r.Flow != nil && r.Flow.Priority == 77) && !(r.Group != nil && r.Group.ID == 77) {
					t.Errorf("%v; want number 77 named", err)
				}
				if errors.Is(err, ErrPartlyDone) != (apply.left > 0) || errors.Is(err, ErrUnknownOutcome) {
					t.Errorf("%v; %d flows have been put", err, apply.left)
				}
				if have := tablesOf(t, c); len(have.Flows) != apply.left || len(have.Groups) != 0 {
					t.Errorf("there are %v", have)
				}
				must(t, c.Do(t.Context(), everything))
			})
		}
	}
}

func TestAFlowThatIsRefusedAloneIsNamed(t *testing.T) {
	_, c := bridge(t)
	for name, bad := range refusals {
		if len(bad.PutFlows) != 1 || len(bad.PutGroups) > 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			err := c.Apply(t.Context(), bad)
			if r := rejected(t, err); r.Flow == nil || r.Flow.Priority != 77 || errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("%v; want flow 77 named", err)
			}
			if have := tablesOf(t, c); len(have.Flows) != 0 {
				t.Errorf("there are %v", have)
			}
		})
	}
}

// everything deletes all flows.
var everything = ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 255}}

func TestAMeterIsPutChangedAndRefused(t *testing.T) {
	_, c := bridge(t)
	meter := func(rate uint32) ofproto.MeterConfig {
		return ofproto.MeterConfig{ID: 5, Flags: ofproto.MeterPacketsPerSecond, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: rate}}}
	}
	for _, rate := range []uint32{100, 200} {
		must(t, c.Apply(t.Context(), ofproto.Plan{PutMeters: []ofproto.MeterConfig{meter(rate)}}))
		if have := tablesOf(t, c); len(have.Meters) != 1 || have.Meters[0].Bands[0].Rate != rate {
			t.Errorf("%+v; want a rate of %d", have.Meters, rate)
		} else if p := ofproto.Diff(ofproto.Tables{Meters: []ofproto.MeterConfig{meter(rate)}}, have); !p.Empty() {
			t.Errorf("%+v is not what was put", have.Meters)
		}
	}
	must(t, c.Apply(t.Context(), ofproto.Plan{DeleteMeters: []ofproto.MeterConfig{meter(0)}}))
	bad := meter(1)
	bad.Bands[0].Type = 7
	if r := rejected(t, c.Apply(t.Context(), ofproto.Plan{PutMeters: []ofproto.MeterConfig{bad}})); r.Meter == nil || r.Meter.ID != 5 {
		t.Errorf("%v; want the meter named", r)
	}
}

// watched applies a plan, and counts what of it was sent in a bundle.
func watched(t *testing.T, c *Conn, p ofproto.Plan) (bundled int, err error) {
	t.Helper()
	before := c.bundles.Load()
	err = c.Apply(t.Context(), p)
	return int(c.bundles.Load() - before), err
}

// wide returns a plan with n flows, of which one of ten is in the first table.
func wide(n int) ofproto.Plan {
	flows := make([]ofproto.Flow, n)
	for i := range flows {
		flows[i] = ofproto.Flow{Priority: uint16(i), Cookie: uint64(i), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg1, uint64(i)))}
		if i%10 != 0 {
			flows[i].Table = 7
		}
	}
	return ofproto.Plan{PutFlows: flows}
}

func TestHowAPlanIsSent(t *testing.T) {
	_, c := bridge(t)
	small, big := wide(100), wide(large)
	for _, step := range []struct {
		name    string
		plan    ofproto.Plan
		bundled int
	}{
		{"a small one is one bundle", small, 100},
		{"a large one for a bridge that is in use is one bundle", big, large},
		{"so is one that deletes", ofproto.Plan{DeleteFlows: big.PutFlows}, large},
		{"a large one for an empty bridge bundles the first table alone", big, large / 10},
	} {
		bundled, err := watched(t, c, step.plan)
		if err != nil || bundled != step.bundled {
			t.Errorf("%s: %d flows were in a bundle, %v; want %d", step.name, bundled, err, step.bundled)
		}
	}
	if again := ofproto.Diff(ofproto.Tables{Flows: big.PutFlows}, tablesOf(t, c)); !again.Empty() {
		t.Errorf("%d flows are not as they should be", len(again.PutFlows)+len(again.DeleteFlows))
	}
}

func TestALargePlanThatIsRefusedLeavesAnEmptyBridgeEmpty(t *testing.T) {
	_, c := bridge(t)
	group := ofproto.Group{ID: 5, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}
	for name, table := range map[string]ofproto.Table{"in the first table": 0, "in another": 7} {
		t.Run(name, func(t *testing.T) {
			p := wide(large)
			p.PutGroups = []ofproto.Group{group}
			p.PutFlows[large-200] = ofproto.Flow{Table: table, Priority: 77, Cookie: 77, Actions: []ofproto.Action{ofproto.ToGroup(99)}}
			err := c.Apply(t.Context(), p)
			if r := rejected(t, err); r.Flow == nil || r.Flow.Cookie != 77 {
				t.Errorf("%v; want flow 77 named", err)
			}
			if errors.Is(err, ErrPartlyDone) || errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("%v; want nothing done", err)
			}
			if have := tablesOf(t, c); len(have.Flows)+len(have.Groups) != 0 {
				t.Errorf("left: %d flows, %d groups", len(have.Flows), len(have.Groups))
			}
		})
	}
}

func TestBatchesStopAtWhatIsRefused(t *testing.T) {
	_, c := bridge(t)
	p := wide(20000)
	p.PutFlows[10] = ofproto.Flow{Table: 4, Priority: 77, Actions: []ofproto.Action{ofproto.GotoTable(2)}}
	err := c.ApplyInBatches(t.Context(), p)
	if rejected(t, err); !errors.Is(err, ErrPartlyDone) {
		t.Error(err)
	}
	if n := len(tablesOf(t, c).Flows); n == 0 || n > (inFlight+2)*batchSize {
		t.Errorf("%d flows have been put", n)
	}
}

func TestAMessageThatIsTooLongIsNamedAndNotSent(t *testing.T) {
	_, c := bridge(t)
	p := wide(3)
	p.PutFlows[1].Cookie = 77
	for range 5000 {
		p.PutFlows[1].Actions = append(p.PutFlows[1].Actions, ofproto.Output{Port: 1})
	}
	for way, apply := range map[string]func(ofproto.Plan) error{
		"in a bundle": func(p ofproto.Plan) error { return c.Apply(t.Context(), p) },
		"in batches":  func(p ofproto.Plan) error { return c.ApplyInBatches(t.Context(), p) },
	} {
		err := apply(p)
		var r *ofproto.Rejected
		if !errors.As(err, &r) || r.Flow.Cookie != 77 || !errors.Is(err, ofproto.ErrTooLong) {
			t.Errorf("%s: %.200v", way, err)
		}
	}
	must(t, c.Barrier(t.Context()))
}

func Test100000FlowsAreInstalledAndReadBackEqual(t *testing.T) {
	_, c := bridge(t)
	want := firewall(100000)
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: want}))
	have := tablesOf(t, c).Flows
	if again := ofproto.Diff(ofproto.Tables{Flows: want}, ofproto.Tables{Flows: have}); len(have) != len(want) || !again.Empty() {
		t.Errorf("%d flows, %d to put and %d to delete", len(have), len(again.PutFlows), len(again.DeleteFlows))
	}
}

func TestTablesAreReadAsOvsOfctlReadsThem(t *testing.T) {
	box, c := bridge(t)
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: firewall(500)}))
	text := must2(t)(box.Ofctl("-O", "OpenFlow13", "dump-flows", "--no-stats", "br"))
	want := strings.Split(strings.TrimSpace(text), "\n")
	var have []string
	for _, f := range tablesOf(t, c).Flows {
		have = append(have, f.String())
	}
	for _, lines := range [][]string{want, have} {
		for i := range lines {
			lines[i] = strings.TrimSpace(lines[i])
		}
		slices.Sort(lines)
	}
	if !slices.Equal(want, have) {
		t.Errorf("%d lines; want %d, of which the first is %q and ours %q", len(have), len(want), want[0], have[0])
	}
}

func TestALargePlanForABridgeWithGroupsIsOneBundle(t *testing.T) {
	_, c := bridge(t)
	must(t, c.Apply(t.Context(), ofproto.Plan{PutGroups: sample.Groups}))
	if bundled, err := watched(t, c, wide(large)); err != nil || bundled != large {
		t.Errorf("%d flows were in a bundle, %v", bundled, err)
	}
}

func TestASessionServesManyAtATime(t *testing.T) {
	_, c := bridge(t)
	var tasks sync.WaitGroup
	for i := range 16 {
		tasks.Go(func() {
			f := ofproto.Flow{Table: ofproto.Table(10 + i), Cookie: uint64(i)}
			for _, err := range []error{
				c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{f}}),
				c.ApplyInBatches(t.Context(), ofproto.Plan{DeleteFlows: []ofproto.Flow{f}}),
				c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{f}}),
				c.Barrier(t.Context()),
				c.FlushZone(t.Context(), uint16(i)),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			if r := new(ofproto.Rejected); !errors.As(c.Apply(t.Context(), refusals["a flow that goes backwards"]), &r) {
				t.Error("what is refused was not said to be")
			}
			if _, err := c.Tables(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
	if n := len(tablesOf(t, c).Flows); n != 16 {
		t.Errorf("there are %d flows", n)
	}
}

func TestThousandsOfRefusalsAreTaken(t *testing.T) {
	_, c := bridge(t)
	all := make([]ofproto.Message, 20000)
	for i := range all {
		all[i] = ofproto.FlowMod{Flow: ofproto.Flow{Table: 4, Cookie: uint64(i), Actions: []ofproto.Action{ofproto.GotoTable(2)}}}
	}
	if err := c.Do(t.Context(), all...); !errors.Is(err, ofproto.OFPBIC_BAD_TABLE_ID) {
		t.Error(err)
	}
}

func TestASwitchThatDiesMeanwhileLeavesTheOutcomeUnknownAtMost(t *testing.T) {
	for _, way := range []string{"in a bundle", "in batches"} {
		t.Run(way, func(t *testing.T) {
			box, c := bridge(t)
			apply := map[string]func(context.Context, ofproto.Plan) error{"in a bundle": c.ApplyAtomically, "in batches": c.ApplyInBatches}[way]
			done := make(chan error, 1)
			before := c.FlowMods()
			go func() { done <- apply(t.Context(), ofproto.Plan{PutFlows: firewall(100000)}) }()
			for c.FlowMods() < before+10000 { // it is on its way
				runtime.Gosched()
			}
			must(t, box.KillVswitchd(syscall.SIGKILL))
			if err := <-done; !errors.Is(err, ErrClosed) || errors.Is(err, ErrUnknownOutcome) != (way == "in batches") {
				t.Error(err)
			}
		})
	}
}
