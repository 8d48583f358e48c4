package pipeline

import (
	"slices"
	"strings"

	"weir/intent"
	"weir/ofproto"
)

// A logging is a way in which rules report what they decide: a copy of the packet goes to
// the controller, which no packet waits for, and which a meter of the tenant's lets through
// so many times in a second.
type logging struct {
	log  intent.Log
	flag Flag
	name intent.ID
	rate uint32
}

// The ways. To sample is to have few reports in a second, however many packets there are.
var loggings = []logging{
	{intent.LogNew, LogNew, "/log/new", 100},
	{intent.LogSampled, LogSampled, "/log/sampled", 5},
}

// reportLen is how much of a packet is reported: its headers.
const reportLen = 128

// Report returns the actions with which a rule has reported what it decides.
func Report(l intent.Log) []ofproto.Action {
	for _, w := range loggings {
		if w.log == l {
			return []ofproto.Action{w.flag.Set()}
		}
	}
	return nil
}

// loggingsOf returns in which ways t reports something.
func loggingsOf(t *intent.Tenant) (some []logging) {
	for _, w := range loggings {
		reported := func(r *intent.Rule) bool { return r.Log == w.log }
		if slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool { return slices.ContainsFunc(p.Rules, reported) }) {
			some = append(some, w)
		}
	}
	return some
}

// report sends a copy of what a rule of t has decided, once that is the last word: where a
// connection is about to be remembered, or if the tenant may have only so many, has been or
// not; where one is denied; and where an untracked packet goes out. Then the packet comes back
// to the same table, without its flags. A stateless rule that one end has found by the
// addresses only, where the packet is tracked after all, has decided nothing yet. A connection that is judged again has been reported.
//
// If the switch refuses this, there is no report, and nothing else is different.
func report(b *Builder, t *TenantSite) {
	if t.Mode == intent.Off {
		return
	}
	for i, w := range loggingsOf(t.Tenant) {
		id := t.ID() + w.name
		number, ok := b.Meter(id, w.rate)
		if !ok {
			continue
		}
		copied := ofproto.Controller{MaxLen: reportLen, Reason: uint8(ofproto.ReasonAction), Meter: number}
		at := func(table ofproto.Table, priority uint16, conds []ofproto.Cond, first ...ofproto.Action) {
			forget := ofproto.Load{Dst: regFlags.Range(uint16(LogNew), uint16(LogSampled)), Value: 0}
			b.Flow(id, table, priority-uint16(i), ofproto.MatchOn(append(conds, InZone(t.Zone))...),
				append(first, forget, ofproto.Resubmit{Port: ofproto.PortInPort16, Table: table})...)
		}
		fresh := w.flag.isWithout(JudgeAgain)
		one := uint64(MarkCommitted) // one-way traffic is new for ever, and has it from the second packet on
		at(PolMiss, 310, []ofproto.Cond{fresh, ofproto.Masked(ofproto.CTMark, 0, one)}, copied)
		if t.Limits.Connections > 0 {
			at(Commit, 210, []ofproto.Cond{fresh, ofproto.Masked(ofproto.CTMark, one, one)})
			at(CommitCheck, 210, []ofproto.Cond{fresh}, copied)
		} else {
			at(Commit, 210, []ofproto.Cond{fresh, ofproto.Masked(ofproto.CTMark, 0, one)}, copied)
		}
		if w.flag == LogSampled {
			at(PolSkip, 210, []ofproto.Cond{ofproto.Masked(regFlags, 1<<w.flag|1<<Untracked, 1<<w.flag|1<<Untracked)}, copied)
			at(CtIn, 210, []ofproto.Cond{w.flag.Is()})
		}
	}
}

// A Reporter is whose report a packet is.
type Reporter struct {
	Tenant string
	Log    intent.Log
}

// ReportedBy says whose report a packet is that has come to the controller, and whether it
// is one: by the cookie of the flow that has sent it.
func ReportedBy(n Numbers, p ofproto.PacketIn) (r Reporter, ok bool) {
	tag, owned := TagOf(p.Cookie)
	id, known := n.Origin(tag)
	if !owned || !known {
		return r, false
	}
	for _, w := range loggings {
		if tenant, is := strings.CutSuffix(string(id), string(w.name)); is {
			return Reporter{tenant, w.log}, true
		}
	}
	return r, false
}

// reports reports whether f sends a copy to the controller, and decides nothing.
func reports(f ofproto.Flow) bool {
	if len(f.Actions) == 0 {
		return false
	}
	c, ok := f.Actions[0].(ofproto.Controller)
	return ok && c.Meter != 0
}
