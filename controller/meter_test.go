package controller

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/oftest"
)

// meterOf is the meter of a tenant, as withMeters makes it.
func meterOf(id intent.ID) ofproto.MeterConfig {
	return ofproto.MeterConfig{ID: pipeline.MeterOf(tags[id]), Flags: ofproto.MeterPacketsPerSecond | ofproto.MeterBurst,
		Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 100, Burst: 100}}}
}

// withMeters has each tenant have a meter, and two flows that use it: one whose instruction
// it is, and one that only has the copy metered that it sends to the controller.
func withMeters(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
	p, err := compile(c, in)
	u := p.Units[0]
	for _, t := range in.Model.Tenants() {
		if in.Refused[t.ID()] {
			continue
		}
		m, cookie, zone := meterOf(t.ID()), pipeline.Cookie(tags[t.ID()]), ofproto.Is(ofproto.Reg5, uint64(in.Numbers.Zone(t.ID())))
		u.Meters = append(u.Meters, m)
		u.Flows = append(u.Flows,
			ofproto.Flow{Table: 26, Priority: 7, Cookie: cookie, Match: ofproto.MatchOn(zone), Actions: []ofproto.Action{ofproto.Meter(m.ID), ofproto.GotoTable(36)}},
			ofproto.Flow{Table: 68, Priority: 7, Cookie: cookie, Match: ofproto.MatchOn(zone), Actions: []ofproto.Action{ofproto.Controller{MaxLen: 128, Reason: 1, Meter: m.ID}}})
	}
	return p, err
}

func (s sw) meters() (ids []uint32) {
	for _, m := range s.Tables().Meters {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// others is a meter of somebody else.
var others = ofproto.MeterConfig{ID: 5, Flags: ofproto.MeterPacketsPerSecond, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 1}}}

func TestMetersComeAndGoWithTheirIntentsAndOthersStay(t *testing.T) {
	virtual(t, func(r *rig) {
		r.Controller.config.Compile = withMeters
		s := r.newSwitch()
		r.must(s.Do(ofproto.MeterMod{Meter: others}))
		cut := r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a", "b"))
		if got, want := s.meters(), []uint32{5, meterOf("a").ID, meterOf("b").ID}; !slices.Equal(got, want) {
			t.Fatalf("meters %d, want %d", got, want)
		}
		cut() // a daemon that is killed knows nothing of what it did before
		r.must(s.Do(ofproto.MeterMod{Meter: ofproto.MeterConfig{ID: pipeline.MeterOf(99), Flags: others.Flags, Bands: others.Bands}}))
		r.connect("br0", s)
		st := r.settled(model(t, br0, "refuse", "b"))
		if got, want := s.meters(), []uint32{5, meterOf("b").ID}; !slices.Equal(got, want) || !st.Programmed("br0") {
			t.Errorf("meters %d, want %d; %+v", got, want, st.Bridges["br0"])
		}
	})
}

func TestARefusedBundleLeavesNoMeter(t *testing.T) {
	for name, before := range map[string][]string{"on an empty bridge": nil, "on a bridge that is programmed": {"b"}} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.Controller.config.Compile = withMeters
				s := r.newSwitch()
				s.refuse(pipeline.Cookie(tags["a"]))
				r.connect("br0", s)
				if before != nil {
					r.settled(model(t, br0, "refuse", before...))
				}
				st := r.settled(model(t, br0, "refuse", "a", "b"))
				if got, want := s.meters(), []uint32{meterOf("b").ID}; !slices.Equal(got, want) || st.Bridges["br0"].Refused["a"] == nil {
					t.Errorf("meters %d, want %d; %+v", got, want, st.Bridges["br0"])
				}
			})
		})
	}
}

func TestASwitchWithoutMetersIsAskedOnce(t *testing.T) {
	virtual(t, func(r *rig) {
		r.Controller.config.Compile = withMeters
		s := r.newSwitch()
		s.React(func(m oftest.Request) oftest.Reaction {
			if _, ok := m.Message.(ofproto.MeterMod); ok {
				return oftest.Refuse(ofproto.OFPMMFC_INVALID_METER)
			}
			return oftest.Reaction{}
		})
		r.connect("br0", s)
		st := r.settled(model(t, br0, "refuse", "a", "b"))
		if b := st.Bridges["br0"]; b.Refused["a"] == nil || b.Refused["b"] == nil || b.Err != nil || b.Flows != 1 {
			t.Errorf("%+v", b)
		}
		// The first refusal is not believed before the bridge has been read.
		if asked := len(oftest.Received[ofproto.MeterMod](s.Switch)); asked > 2 {
			t.Errorf("%d meters were tried", asked)
		}
	})
}

// meterDeleted is what has to be told when the meter of a has been deleted.
var meterDeleted = []string{"meter deleted a", "flow deleted a"}

func TestAFlowThatOnlyMetersItsCopyIsPutAgainWithItsMeter(t *testing.T) {
	virtual(t, func(r *rig) {
		r.Controller.config.Compile = withMeters
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		before := s.Tables()
		r.must(s.Do(ofproto.MeterMod{Command: 2, Meter: meterOf("a")}))
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		log := r.Status().Drift["br0"]
		if left := ofproto.Diff(timeless(before), timeless(s.Tables())); !left.Empty() || log.Repairs != 1 || log.Counts[DriftKind{"flow", "deleted"}] != 2 {
			t.Errorf("not repaired, or not once: %+v, %s", left, tell(log))
		}
	})
}

// TestAMeteredCopyIsMeteredAfterARepairOnARealSwitch: Open vSwitch keeps such a flow when its
// meter is deleted, with a number of the datapath that the next meter may have.
func TestAMeteredCopyIsMeteredAfterARepairOnARealSwitch(t *testing.T) {
	r := newReal(t, withMeters)
	s, took := r.changed("a meter is deleted", ofproto.MeterMod{Command: 2, Meter: meterOf("a")})
	told := tell(s.Drift["br0"])
	for _, want := range meterDeleted {
		if !strings.Contains(told, want) {
			t.Errorf("told %s; want %s", told, want)
		}
	}
	t.Logf("repaired in %v", took.Round(time.Millisecond))
}

func TestWhatMetersHaveDroppedIsTold(t *testing.T) {
	virtual(t, func(r *rig) {
		r.Controller.config.Compile = withMeters
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a", "b"))
		time.Sleep(10 * time.Second) // virtual
		synctest.Wait()
		if got, want := r.Status().Bridges["br0"].Metered, []Metered{{Intent: "a"}, {Intent: "b"}}; !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
