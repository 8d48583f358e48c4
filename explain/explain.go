// Package explain says which intents are behind what a bridge shows: behind a
// connection, by the numbers in its ct_label and ct_mark.
package explain

import (
	"weir/apps/pipeline"
	"weir/intent"
)

// An Admission is what a connection carries of the policy that let it be.
type Admission struct {
	Committed bool      // by Weir; without it nothing else means anything
	Blocked   bool      // stopped by a change of policy
	Audited   bool      // policy denies it, and the tenant is only audited: Ingress, or else Egress, would have stopped it
	Epoch     uint8     // of the policy that judged it last
	Class     uint16    // given by a rule; zero: none
	Egress    intent.ID // the rule, or the default, that let it out; empty: none known
	Ingress   intent.ID // the rule, or the default, that let it in
}

// Connection returns the admission of a connection, from its ct_label, highest byte
// first, and its ct_mark. The layout of both is drawn in package pipeline.
func Connection(label [16]byte, mark uint32, n pipeline.Numbers) Admission {
	a := Admission{
		Committed: mark&pipeline.MarkCommitted != 0,
		Blocked:   mark&pipeline.MarkBlocked != 0,
		Audited:   mark&pipeline.MarkCommitted != 0 && mark&pipeline.MarkAudited != 0,
		Epoch:     uint8(mark & pipeline.MarkEpoch),
		Class:     uint16(mark >> pipeline.MarkClassShift),
	}
	out, in := pipeline.RulesOf(label, mark)
	a.Egress, _ = n.Origin(out)
	a.Ingress, _ = n.Origin(in)
	return a
}
