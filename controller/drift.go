package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A Drift is something that somebody else has changed of what Weir answers for.
type Drift struct {
	At     time.Time // when it was noticed
	What   string    // "flow", "group", "meter", "limit", "timeouts", "failMode", "controller" or "protocols"
	Change string    // "changed", "cookie" (nothing but its cookie was changed), "deleted" or "added"
	Intent intent.ID // that it belongs to; empty: to none
	Was    string    // what it should be, as text; empty: it should not be there
	Is     string    // what it was found to be; empty: it was not there
	More   int       // how many others like it, which are not told one by one, this one stands for
	After  time.Duration
	Err    error // why it is not repaired; nil: it is, After it was noticed

	subject string         // the same for the same thing, whatever has become of it
	made    []ofproto.Flow // the flow that somebody else has made of it, if it may let packets pass
}

// A DriftLog is what somebody else has changed of one bridge since the daemon began.
type DriftLog struct {
	Recent  []Drift             // the newest, which comes last
	Counts  map[DriftKind]int64 // of all
	Repairs uint64              // times that something was repaired: any number of things at once
}

// A DriftKind is what is counted together.
type DriftKind struct{ What, Change string }

// Bounds of what is remembered, so that a storm costs no more than this.
const (
	recentDrift = 100  // of a bridge
	toldDrift   = 10   // of what is found at one time
	textDrift   = 2000 // bytes of the text of one: a group may have 64 KiB
)

// add returns the log with some more, and leaves l as it is.
func (l DriftLog) add(found []Drift) DriftLog {
	counts := make(map[DriftKind]int64, len(l.Counts)+1)
	for k, n := range l.Counts {
		counts[k] = n
	}
	repaired := uint64(0)
	for _, d := range found {
		counts[DriftKind{d.What, d.Change}] += int64(1 + d.More)
		if d.Err == nil {
			repaired = 1
		}
	}
	recent := slices.Concat(l.Recent, found)
	recent = recent[max(0, len(recent)-recentDrift):]
	return DriftLog{Recent: slices.Clip(recent), Counts: counts, Repairs: l.Repairs + repaired}
}

// condense tells the first few of each kind one by one, and of the others how many there
// are.
func condense(found []Drift) (told []Drift) {
	kinds := map[DriftKind]int{}
	last := map[DriftKind]int{} // where in told
	for _, d := range found {
		k := DriftKind{d.What, d.Change}
		if kinds[k]++; kinds[k] > toldDrift {
			told[last[k]].More++
			continue
		}
		last[k] = len(told)
		d.Was, d.Is = short(d.Was), short(d.Is)
		told = append(told, d)
	}
	return told
}

// short returns a text, or the beginning of a long one.
func short(text string) string {
	if len(text) <= textDrift {
		return text
	}
	return text[:textDrift] + "..."
}

// drifted compares what a bridge has with what it was given: plan is the way back.
func drifted(plan ofproto.Plan, have ofproto.Tables, in pipeline.Input, now time.Time) []Drift {
	found := flowDrift(plan, have.Flows, in.Numbers)
	found = append(found, groupDrift(plan, have.Groups, in)...)
	found = append(found, meterDrift(plan, have.Meters, in.Numbers)...)
	for i := range found {
		found[i].At = now
	}
	return found
}

func flowDrift(plan ofproto.Plan, have []ofproto.Flow, n pipeline.Numbers) (found []Drift) {
	is := make(map[ofproto.FlowKey]*ofproto.Flow, len(plan.PutFlows))
	for _, f := range plan.PutFlows {
		is[f.Key()] = nil
	}
	for i := range have {
		if len(is) == 0 {
			break
		}
		if _, asked := is[have[i].Key()]; asked {
			is[have[i].Key()] = &have[i]
		}
	}
	for _, f := range plan.PutFlows {
		d := Drift{What: "flow", Change: "deleted", Was: f.String(), subject: subjectOf(f)}
		tag, _ := pipeline.TagOf(f.Cookie)
		d.Intent, _ = n.Origin(tag)
		if now := is[f.Key()]; now != nil {
			d.Change, d.Is = changeOf(f, *now), now.String()
			if d.Change == "changed" {
				d.made = []ofproto.Flow{*now}
			}
		}
		found = append(found, d)
	}
	for _, f := range plan.DeleteFlows {
		found = append(found, Drift{What: "flow", Change: "added", Is: f.String(), subject: subjectOf(f), made: []ofproto.Flow{f}})
	}
	return found
}

// subjectOf names the place of a flow, whatever stands there.
func subjectOf(f ofproto.Flow) string {
	return ofproto.Flow{Table: f.Table, Priority: f.Priority, Match: f.Match, RawMatch: f.RawMatch}.String()
}

func changeOf(was, is ofproto.Flow) string {
	is.Cookie = was.Cookie
	if is.Equal(was) {
		return "cookie"
	}
	return "changed"
}

func groupDrift(plan ofproto.Plan, have []ofproto.Group, in pipeline.Input) (found []Drift) {
	var ids map[uint32]intent.ID
	if len(plan.PutGroups) > 0 {
		ids = groupIntents(in)
	}
	for _, g := range plan.PutGroups {
		d := Drift{What: "group", Change: "deleted", Intent: ids[g.ID], Was: g.String(), subject: groupName(g.ID)}
		if i := slices.IndexFunc(have, func(h ofproto.Group) bool { return h.ID == g.ID }); i >= 0 {
			d.Change, d.Is = "changed", have[i].String()
		}
		found = append(found, d)
	}
	for _, g := range plan.DeleteGroups {
		found = append(found, Drift{What: "group", Change: "added", Is: g.String(), subject: groupName(g.ID)})
	}
	return found
}

func meterDrift(plan ofproto.Plan, have []ofproto.MeterConfig, n pipeline.Numbers) (found []Drift) {
	for _, m := range plan.PutMeters {
		d := Drift{What: "meter", Change: "deleted", Was: meterText(m), subject: meterName(m.ID)}
		tag, _ := pipeline.MeterTag(m.ID)
		d.Intent, _ = n.Origin(tag)
		if i := slices.IndexFunc(have, func(n ofproto.MeterConfig) bool { return n.ID == m.ID }); i >= 0 {
			d.Change, d.Is = "changed", meterText(have[i])
		}
		found = append(found, d)
	}
	for _, m := range plan.DeleteMeters {
		found = append(found, Drift{What: "meter", Change: "added", Is: meterText(m), subject: meterName(m.ID)})
	}
	return found
}

// meterText is a meter in one line.
func meterText(m ofproto.MeterConfig) string { return strings.ReplaceAll(m.String(), "\n", " ") }

func groupName(id uint32) string { return fmt.Sprintf("group %d", id) }
func meterName(id uint32) string { return fmt.Sprintf("meter %d", id) }
