package controller

import (
	"fmt"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// foreignFlows returns what the model says of the flows that somebody else put on the
// bridge.
func foreignFlows(in pipeline.Input) intent.ForeignFlows {
	for _, b := range in.Model.Bridges() {
		if b.Name == in.Bridge {
			return b.ForeignFlows
		}
	}
	return intent.ForeignKeep // not our bridge: nothing on it is ours to remove
}

// divide splits what a bridge has into what Weir answers for and the flows of others.
// A foreign flow in the place of one of the program's counts as ours: it is replaced.
// Where foreign flows are refused they are an error that names the first.
func divide(have ofproto.Tables, want *pipeline.Program, mode intent.ForeignFlows) (ours ofproto.Tables, theirs []ofproto.Flow, err error) {
	flows, _ := want.Size()
	wanted := make(map[ofproto.FlowKey]bool, flows)
	for _, f := range want.Tables().Flows {
		if f.Cookie != 0 {
			wanted[f.Key()] = true
		}
	}
	for _, f := range have.Flows {
		_, owned := pipeline.TagOf(f.Cookie)
		if owned || mode == intent.ForeignRemove || wanted[f.Key()] {
			ours.Flows = append(ours.Flows, f)
		} else {
			theirs = append(theirs, f)
		}
	}
	if mode == intent.ForeignRefuse && len(theirs) > 0 {
		return ours, theirs, fmt.Errorf("the bridge has %d flows of somebody else, among them %v: remove them, or say foreignFlows: keep or remove", len(theirs), theirs[0])
	}
	for _, m := range have.Meters { // others may have meters of their own
		if _, owned := pipeline.MeterTag(m.ID); owned {
			ours.Meters = append(ours.Meters, m)
		}
	}
	ours.Groups = have.Groups
	if mode == intent.ForeignKeep { // a group says not whose it is
		ours.Groups = nil
		for _, g := range have.Groups {
			if wantsGroup(want, g.ID) {
				ours.Groups = append(ours.Groups, g)
			}
		}
	}
	return ours, theirs, nil
}

func wantsGroup(p *pipeline.Program, id uint32) bool {
	for _, u := range p.Units {
		for _, g := range u.Groups {
			if g.ID == id {
				return true
			}
		}
	}
	return false
}
