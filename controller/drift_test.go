package controller

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
	"weir/ofproto/oftest"
)

// withGroup has the program have a group and a meter as well, that its flows use.
func withGroup(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
	p, err := compile(c, in)
	u := p.Units[0]
	u.Groups = []ofproto.Group{{ID: 1, Type: ofproto.GroupAll, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}}
	u.Meters = []ofproto.MeterConfig{{ID: pipeline.PuntMeter, Flags: ofproto.MeterPacketsPerSecond | ofproto.MeterBurst, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 200, Burst: 200}}}}
	u.Flows = append(u.Flows, ofproto.Flow{Table: 80, Cookie: pipeline.Cookie(1), Actions: []ofproto.Action{ofproto.Meter(pipeline.PuntMeter), ofproto.ToGroup(1)}})
	return p, err
}

// kept is a bridge that is programmed, and told of what others do.
func kept(r *rig, mode string) sw {
	r.Controller.config.Compile = withGroup
	s := r.newSwitch()
	r.connect("br0", s)
	r.settled(model(r.T, br0, mode, "a"))
	return s
}

// after lets time pass, and returns what has drifted.
func (r *rig) after(d time.Duration) DriftLog {
	time.Sleep(d) // virtual
	synctest.Wait()
	return r.Status().Drift["br0"]
}

// timeless leaves out the flows that say an epoch.
func timeless(t ofproto.Tables) ofproto.Tables {
	t.Flows = slices.DeleteFunc(slices.Clone(t.Flows), func(f ofproto.Flow) bool { return f.Table == 24 })
	return t
}

// tell writes what has drifted in one line.
func tell(l DriftLog) string {
	var all []string
	for _, d := range l.Recent {
		all = append(all, fmt.Sprintf("%s %s %s: %q -> %q", d.What, d.Change, d.Intent, d.Was, d.Is))
	}
	return strings.Join(all, "; ")
}

// A foreignChange is what another controller does, and how it has to be told.
type foreignChange struct {
	change ofproto.Message
	want   string
}

// foreignChanges are one of each kind, to what withGroup makes.
func foreignChanges() map[string]foreignChange {
	policy := ofproto.Flow{Table: 56, Priority: 1, Cookie: pipeline.Cookie(tags["a"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 103))}
	changed, cookie, allow := policy, policy, policy
	changed.Actions = []ofproto.Action{ofproto.Output{Port: ofproto.PortNormal}}
	cookie.Cookie = 42
	allow.Priority, allow.Cookie, allow.Actions = 9, 0, changed.Actions
	was := fmt.Sprintf("flow %%s a: %q -> ", policy)
	return map[string]foreignChange{
		"a flow is changed":  {ofproto.FlowMod{Command: ofproto.FlowModifyStrict, Flow: changed}, fmt.Sprintf(was, "changed") + fmt.Sprintf("%q", changed)},
		"a flow is replaced": {ofproto.FlowMod{Flow: cookie}, fmt.Sprintf(was, "cookie") + fmt.Sprintf("%q", cookie)},
		"a flow is deleted":  {ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: policy}, fmt.Sprintf(was, "deleted") + `""`},
		"an allow is added":  {ofproto.FlowMod{Flow: allow}, fmt.Sprintf(`flow added : "" -> %q`, allow)},
		"a group is changed": {ofproto.GroupMod{Command: ofproto.GroupModify, Group: ofproto.Group{ID: 1, Type: ofproto.GroupAll}}, `group changed : "group_id=1,type=all,bucket=actions=output:1" -> "group_id=1,type=all"`},
		"a group is added":   {ofproto.GroupMod{Group: ofproto.Group{ID: 5, Type: ofproto.GroupAll}}, `group added : "" -> "group_id=5,type=all"`},
		"a meter is changed": {ofproto.MeterMod{Command: 1, Meter: ofproto.MeterConfig{ID: pipeline.PuntMeter, Flags: ofproto.MeterPacketsPerSecond, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 9}}}}, `meter changed : "meter=60001 pktps burst bands= type=drop rate=200 burst_size=200" -> "meter=60001 pktps bands= type=drop rate=9"`},
		"a group is deleted": {ofproto.GroupMod{Command: ofproto.GroupDelete, Group: ofproto.Group{ID: 1}}, `group deleted`},
		"a meter is deleted": {ofproto.MeterMod{Command: 2, Meter: ofproto.MeterConfig{ID: pipeline.PuntMeter}}, `meter deleted`},
		"del-flows":          {ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: ofproto.AllTables}}, `flow deleted`},
	}
}

func TestEachForeignChangeIsRepairedAndTold(t *testing.T) {
	for name, c := range foreignChanges() {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				s := kept(r, "refuse")
				before, plans := s.Tables(), s.plans()
				r.must(s.Do(c.change))
				log := r.after(100 * time.Millisecond)
				if left := ofproto.Diff(timeless(before), timeless(s.Tables())); !left.Empty() {
					t.Errorf("not repaired: %+v", left)
				}
				if got := tell(log); !strings.Contains(got, c.want) {
					t.Errorf("told %s; want %s", got, c.want)
				}
				for _, d := range log.Recent {
					if d.After < 0 || d.After > time.Second || d.Err != nil {
						t.Errorf("%+v", d)
					}
				}
				if log.Repairs != 1 || s.plans() > plans+1 {
					t.Errorf("%d repairs, %d plans", log.Repairs, s.plans()-plans)
				}
				if again := r.after(time.Minute); again.Repairs != 1 {
					t.Errorf("repaired again: %s", tell(again))
				}
			})
		})
	}
}

func TestOurOwnChangesAreNoDrift(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "refuse")
		for i := range 20 {
			tenants := []string{"a"}
			if i%2 == 0 {
				tenants = []string{"a deny", "b"}
			}
			r.settled(model(t, br0, "refuse", tenants...))
		}
		plans := s.plans()
		if log := r.after(5 * time.Minute); log.Repairs != 0 || s.plans() != plans {
			t.Errorf("%d repairs, %s; %d plans", log.Repairs, tell(log), s.plans()-plans)
		}
	})
}

func TestWhatIsKeptIsNoDrift(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "keep")
		foreign := ofproto.Flow{Table: 3, Priority: 9, Cookie: 42}
		r.must(s.Do(ofproto.FlowMod{Flow: foreign}))
		r.must(s.Do(ofproto.GroupMod{Group: ofproto.Group{ID: 5}}))
		if log := r.after(time.Second); log.Repairs != 0 || r.Status().Bridges["br0"].Foreign != 1 || !slices.ContainsFunc(s.flows(), foreign.Equal) {
			t.Errorf("%s, %+v", tell(log), r.Status().Bridges["br0"])
		}
		r.settled(model(t, br0, "refuse", "a")) // it is told, not removed: it was here before
		if b := r.Status().Bridges["br0"]; b.Err == nil || !slices.ContainsFunc(s.flows(), foreign.Equal) {
			t.Errorf("%+v", b)
		}
	})
}

func TestAnAllowThatCameWhileTheSessionWasCutIsRemoved(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "refuse")
		s.Cut()
		synctest.Wait()
		allow := ofproto.Flow{Table: 56, Priority: 9, Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortNormal}}}
		r.must(s.Do(ofproto.FlowMod{Flow: allow}))
		r.connect("br0", s)
		if r.after(time.Second); !r.Status().Programmed("br0") || slices.ContainsFunc(s.flows(), allow.Equal) {
			t.Errorf("%+v, %v", r.Status().Bridges["br0"], s.flows())
		}
	})
}

func TestABridgeIsTakenAsSoonAsItHasNothingOfOthers(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		foreign := ofproto.Flow{Table: 3, Priority: 9, Cookie: 42}
		r.must(s.Do(ofproto.FlowMod{Flow: foreign}))
		r.connect("br0", s)
		if st := r.settled(model(t, br0, "refuse", "a")); st.Bridges["br0"].Err == nil {
			t.Fatal("it was taken as it is")
		}
		r.after(10 * time.Minute)
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: foreign}))
		if r.after(100 * time.Millisecond); !r.Status().Programmed("br0") {
			t.Errorf("%+v", r.Status().Bridges["br0"])
		}
	})
}

func TestAStormIsRepairedInFewPlans(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "refuse")
		plans := s.plans()
		for i := range 5000 {
			r.must(s.Do(ofproto.FlowMod{Flow: ofproto.Flow{Table: 7, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg1, uint64(i)))}}))
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // virtual
			}
		}
		log := r.after(time.Second)
		if n := s.plans() - plans; n > 20 || len(s.flows()) != 4 {
			t.Errorf("%d plans, %d flows", n, len(s.flows()))
		}
		if n := log.Counts[DriftKind{"flow", "added"}]; n != 5000 || len(log.Recent) > recentDrift {
			t.Errorf("%d counted, %d told", n, len(log.Recent))
		}
	})
}

func TestAFightBacksOffAndIsSaidAndOthersAreServed(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "refuse")
		allow := ofproto.Flow{Table: 56, Priority: 9}
		var peace atomic.Bool
		add := ofproto.FlowMod{Flow: allow}
		s.React(func(q oftest.Request) oftest.Reaction { // somebody who adds it again 5 ms after it is gone
			if m, ok := q.Message.(ofproto.FlowMod); ok && m.Command == ofproto.FlowDeleteStrict && !peace.Load() && m.Flow.Key() == allow.Key() {
				time.AfterFunc(5*time.Millisecond, func() { s.Do(add) })
			}
			return oftest.Reaction{}
		})
		r.must(s.Do(add))
		log := r.after(time.Minute)
		if log.Repairs < 8 || log.Repairs > 30 || len(r.Status().Bridges["br0"].Contested) != 1 {
			t.Errorf("%d repairs in a minute, contested %v", log.Repairs, r.Status().Bridges["br0"].Contested)
		}
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 24}}))
		if r.after(100 * time.Millisecond); !slices.ContainsFunc(s.flows(), func(f ofproto.Flow) bool { return f.Table == 24 }) {
			t.Error("what nobody fights over has to wait")
		}
		peace.Store(true)
		r.after(2 * time.Minute)
		if b := r.Status().Bridges["br0"]; len(b.Contested) != 0 || slices.ContainsFunc(s.flows(), allow.Equal) {
			t.Errorf("contested %v, %v", b.Contested, s.flows())
		}
	})
}

func TestWhatIsRefusedForAGroupThatSomebodyDeletedIsTriedOnceMore(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "refuse")
		deleted := false
		s.React(func(q oftest.Request) oftest.Reaction {
			m, ok := q.Message.(ofproto.FlowMod)
			if ok && q.Commit && !deleted && m.Flow.Cookie == pipeline.Cookie(tags["b"]) {
				deleted = true
				r.must(s.Do(ofproto.GroupMod{Command: ofproto.GroupDelete, Group: ofproto.Group{ID: 1}}))
				return oftest.Refuse(ofproto.OFPBAC_BAD_OUT_GROUP)
			}
			return oftest.Reaction{}
		})
		if st := r.settled(model(t, br0, "refuse", "a", "b")); !deleted || !st.Programmed("br0") || len(s.Tables().Groups) != 1 {
			t.Errorf("%v, %+v", deleted, st.Bridges["br0"])
		}
	})
}

func TestASwitchThatTellsNothingIsRead(t *testing.T) {
	virtual(t, func(r *rig) {
		r.Controller.config.Compile = withGroup
		s := r.newSwitch()
		s.React(func(q oftest.Request) oftest.Reaction {
			if _, ok := q.Message.(ofproto.FlowMonitorRequest); ok {
				return oftest.Refuse(ofproto.OFPBRC_EPERM)
			}
			return oftest.Reaction{}
		})
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: ofproto.AllTables}}))
		if log := r.after(time.Second); log.Repairs != 1 || len(s.flows()) != 4 {
			t.Errorf("%s, %v", tell(log), s.flows())
		}
	})
}

func TestWhatCannotBeRepairedIsToldWithTheReason(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "refuse")
		s.refuse(pipeline.Cookie(1))
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 80}}))
		log := r.after(time.Second)
		if len(log.Recent) != 1 || log.Recent[0].Err == nil || log.Repairs != 0 || r.Status().Bridges["br0"].Err == nil {
			t.Errorf("%s, %+v", tell(log), r.Status().Bridges["br0"])
		}
	})
}

func TestDriftOfAPolicyThatWasWidenedRaisesTheEpoch(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a deny"))
		wide := ofproto.Flow{Table: 56, Priority: 1, Cookie: pipeline.Cookie(tags["a"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 103))}
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 56}}))
		r.must(s.Do(ofproto.FlowMod{Flow: wide}))
		log := r.after(time.Second)
		if e := r.Status().Tenants[0].Epoch; e != 2 || log.Repairs != 1 {
			t.Errorf("epoch %d, %s", e, tell(log))
		}
	})
}

func TestWhatAForeignFlowHasLetInIsJudgedAgain(t *testing.T) {
	normal := []ofproto.Action{ofproto.Output{Port: ofproto.PortNormal}}
	for name, c := range map[string]struct {
		flow ofproto.Flow
		want []uint8 // epochs of a and b
	}{
		"of one zone":     {ofproto.Flow{Table: 60, Priority: 9, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 103)), Actions: normal}, []uint8{2, 1}},
		"of any zone":     {ofproto.Flow{Table: 62, Priority: 9, Actions: normal}, []uint8{2, 2}},
		"of many zones":   {ofproto.Flow{Table: 62, Priority: 9, Match: ofproto.MatchOn(ofproto.Masked(ofproto.Reg5, 1, 1)), Actions: normal}, []uint8{2, 2}},
		"in ours' place":  {ofproto.Flow{Table: 24, Priority: 1, Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 104)), Actions: normal}, []uint8{1, 2}},
		"that only drops": {ofproto.Flow{Table: 60, Priority: 9}, []uint8{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				s := r.newSwitch()
				r.connect("br0", s)
				r.settled(model(t, br0, "refuse", "a", "b"))
				r.must(s.Do(ofproto.FlowMod{Flow: c.flow}))
				r.after(time.Second)
				var epochs []uint8
				for _, tenant := range r.Status().Tenants {
					epochs = append(epochs, tenant.Epoch)
				}
				if !slices.Equal(epochs, c.want) || !r.Status().Programmed("br0") || len(s.flows()) != 5 {
					t.Errorf("epochs %v, %v", epochs, s.flows())
				}
			})
		})
	}
}

func TestManyAlikeAreToldAsFew(t *testing.T) {
	var found []Drift
	for i := range 25 {
		found = append(found, Drift{What: "flow", Change: "deleted", Was: fmt.Sprint(i)})
	}
	found = append(found, Drift{What: "group", Change: "added", Is: strings.Repeat("bucket=", 9000)})
	told := condense(found)
	if len(told) != toldDrift+1 || told[toldDrift-1].More != 15 || len(told[toldDrift].Is) != textDrift+3 {
		t.Errorf("%+v", told)
	}
	l := DriftLog{}.add(told)
	if l.Counts[DriftKind{"flow", "deleted"}] != 25 || l.Repairs != 1 {
		t.Errorf("%+v", l)
	}
}
