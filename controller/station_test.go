package controller

import (
	"slices"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// learned is a flow as a switch makes it from what a station behind the port of a's says.
func learned() ofproto.Flow {
	return ofproto.Flow{
		Table: pipeline.Stations, Priority: 100, IdleTimeout: 300, Cookie: pipeline.Cookie(tags["a"]),
		Match:   ofproto.MatchOn(pipeline.InNet(1), ofproto.IsMAC(ofproto.EthDst, [6]byte{2, 0, 0, 0, 0, 9})),
		Actions: []ofproto.Action{ofproto.Set(pipeline.RegOut.Whole(), uint64(tags["a"]))},
	}
}

func TestWhatASwitchLearnsIsNoDriftAndStays(t *testing.T) {
	virtual(t, func(r *rig) {
		s := kept(r, "remove")
		plans := s.plans()
		r.must(s.Do(ofproto.FlowMod{Flow: learned()}))
		if log := r.after(4 * time.Minute); log.Repairs != 0 || s.plans() != plans {
			t.Errorf("%s; %d plans", tell(log), s.plans()-plans)
		}
		r.settled(model(t, br0, "remove", "a deny", "b"))
		if !slices.ContainsFunc(s.flows(), func(f ofproto.Flow) bool { return f.Table == pipeline.Stations }) {
			t.Error("it is gone after a change of the model")
		}
	})
}

// TestWhatOnlyLooksLearnedIsRemoved changes what is learned in a word.
func TestWhatOnlyLooksLearnedIsRemoved(t *testing.T) {
	for name, change := range map[string]func(*ofproto.Flow){
		"it puts the packet out itself":       func(f *ofproto.Flow) { f.Actions = []ofproto.Action{ofproto.Output{Port: 7}} },
		"it does more":                        func(f *ofproto.Flow) { f.Actions = append(f.Actions, ofproto.Output{Port: 7}) },
		"it leads to another endpoint":        func(f *ofproto.Flow) { f.Actions = []ofproto.Action{ofproto.Set(pipeline.RegOut.Whole(), 77)} },
		"it never ends":                       func(f *ofproto.Flow) { f.IdleTimeout = 0 },
		"it is in front of what is learned":   func(f *ofproto.Flow) { f.Priority = 101 },
		"it is for every MAC address":         func(f *ofproto.Flow) { f.Match = f.Match[:1] },
		"it is somebody else's by its cookie": func(f *ofproto.Flow) { f.Cookie = 7 },
		"it is in another table":              func(f *ofproto.Flow) { f.Table = pipeline.L2 },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				s := kept(r, "remove")
				f := learned()
				change(&f)
				r.must(s.Do(ofproto.FlowMod{Flow: f}))
				log := r.after(time.Second)
				if log.Repairs != 1 || slices.ContainsFunc(s.flows(), f.Equal) {
					t.Errorf("%d repairs, %s", log.Repairs, tell(log))
				}
			})
		})
	}
}
