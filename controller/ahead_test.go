package controller

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/oftest"
)

// inUnits is compile with a unit of 3 flows more for tenant b, of which who wants to know is told.
func inUnits() func(*pipeline.Cache, pipeline.Input) (*pipeline.Program, error) {
	unit := &pipeline.Unit{Of: "b"}
	for i := range uint64(3) {
		unit.Flows = append(unit.Flows, ofproto.Flow{Table: 60, Cookie: pipeline.Cookie(tags["b"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 104), ofproto.Is(ofproto.Reg1, i))})
	}
	var last *intent.Model
	return func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
		p, err := compile(c, in)
		if in.Model.Tenant("b") == nil || in.Refused["b"] {
			return p, err
		}
		if c.Ahead != nil && last != in.Model {
			units := c.Ahead(1)
			units <- unit
			close(units)
			synctest.Wait() // they have been sent
		}
		last = in.Model
		p.Units = append(p.Units, unit)
		return p, err
	}
}

// bundles counts the controls of bundles.
func (s sw) bundles(t ofproto.BundleControlType) (n int) {
	for _, m := range oftest.Received[ofproto.BundleControl](s.Switch) {
		if m.Type == t {
			n++
		}
	}
	return n
}

// added counts how often flows of a table were sent in bundles.
func (s sw) added(table ofproto.Table) (n int) {
	for _, m := range oftest.Received[ofproto.BundleAdd](s.Switch) {
		if f, is := m.Message.(ofproto.FlowMod); is && f.Flow.Table == table && f.Command == ofproto.FlowAdd {
			n++
		}
	}
	return n
}

func TestWhatIsNewIsSentAheadAndOnce(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = inUnits()
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a"))
		had, opened := len(s.flows()), s.bundles(ofproto.BundleOpen)
		st := r.settled(edited(t, br0, "a defaults: {egress: deny}", "b")) // an epoch is raised first
		if got := len(s.flows()); got != had+5 || !st.Programmed("br0") {
			t.Errorf("%d flows after %d, %+v", got, had, st.Bridges)
		}
		if n, added := s.bundles(ofproto.BundleOpen)-opened, s.added(60); n != 1 || added != 3 {
			t.Errorf("%d bundles, and %d flows sent of 3", n, added)
		}
	})
}

func TestWhatIsSentAheadOfAHeldModelIsForgotten(t *testing.T) {
	virtual(t, func(r *rig) {
		made := inUnits()
		r.config.Compile = func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
			p, err := made(c, in)
			if t := in.Model.Tenant("a"); t != nil {
				for i := range uint64(100) {
					p.Units[0].Flows = append(p.Units[0].Flows, ofproto.Flow{Table: 58, Cookie: pipeline.Cookie(tags["a"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 103), ofproto.Is(ofproto.Reg1, i))})
				}
			}
			return p, err
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a"))
		before := s.Tables()
		st := r.settled(edited(t, br0, "b"))
		if len(st.Held) != 1 || s.added(60) != 3 || s.bundles(ofproto.BundleDiscard) != 1 {
			t.Fatalf("held %q, %d flows sent ahead, %d bundles discarded", st.Held, s.added(60), s.bundles(ofproto.BundleDiscard))
		}
		if p := ofproto.Diff(before, s.Tables()); !p.Empty() {
			t.Errorf("a model that is held has changed %+v", p)
		}
	})
}

func TestWhatIsSentAheadAndRefusedIsDoneWithout(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = inUnits()
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a"))
		s.refuse(pipeline.Cookie(tags["b"]))
		st := r.settled(edited(t, br0, "a", "b"))
		if b := st.Bridges["br0"]; b.Refused["b"] == nil || b.Err != nil || s.added(60) == 0 {
			t.Errorf("%+v", b)
		}
		if slices.ContainsFunc(s.flows(), func(f ofproto.Flow) bool { return f.Cookie == pipeline.Cookie(tags["b"]) }) {
			t.Errorf("%v", s.flows())
		}
	})
}

func TestWhatIsSentAheadAsASessionEndsHoldsNobodyUp(t *testing.T) {
	for _, at := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("with flow %d", at), func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.config.Compile = inUnits()
				s := r.newSwitch()
				r.connect("br0", s)
				r.settled(edited(t, br0, "a"))
				seen := 0
				s.React(func(q oftest.Request) oftest.Reaction {
					if m, is := q.Message.(ofproto.BundleAdd); is {
						if f, is := m.Message.(ofproto.FlowMod); is && f.Flow.Table == 60 {
							if seen++; seen == at {
								go s.Cut()
							}
						}
					}
					return oftest.Reaction{}
				})
				r.must(r.SetModel(r.ctx, edited(t, br0, "a", "b")))
				time.Sleep(time.Minute) // virtual
				synctest.Wait()
				s.React(nil)
				r.connect("br0", s)
				time.Sleep(time.Minute) // virtual
				if synctest.Wait(); !r.Status().Programmed("br0") || seen < at {
					t.Errorf("%d seen, %+v", seen, r.Status().Bridges)
				}
			})
		})
	}
}
