package apps

import (
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/explain"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestASweepRulesAsTheFlowsDo draws a change, and a connection that the policy before it
// admitted. What the judge of a sweep says of it is what the flows do with its next packet,
// and the reference with a new one; and if its answers could begin a connection of their own
// the judge knows that.
func TestASweepRulesAsTheFlowsDo(t *testing.T) {
	drawn.Cases(t, 100, 1500)
	rulings := map[pipeline.Ruling]int{}
	rapid.Check(t, func(t *rapid.T) {
		a, b, ok := drawChange(t, drawDatapath(t))
		if !ok {
			t.Skip("the change is none that an operator could make")
		}
		for range packetsOfAModel {
			p, ok := drawPacket(t, a.model)
			if !ok || a.isAstray(p) || !isQuestion(p) || a.reference(p, reference.New).commit == "" {
				continue
			}
			q := b.same(p)
			if o := b.reference(q, reference.OldOriginal); !o.tracked || !reference.Reaches(q.Reversed()) {
				continue // its packets pass it by, or have no way back
			}
			ruling := b.ruling(q)
			if reference.Plain(q.From) || reference.Plain(q.To) { // an address does not say who that is
				if ruling != pipeline.Unclear {
					t.Fatalf("%s\n%s: the sweep says %d of an end that nobody knows", b.text, b.frame(q).text(), ruling)
				}
				continue
			}
			rulings[ruling]++
			if want := b.flowsRule(q); ruling != want {
				t.Fatalf("%s\nchanged to\n%s\n%s was admitted; the sweep says %d, the flows %d", a.text, b.text, b.frame(q).text(), ruling, want)
			}
		}
	})
	t.Logf("%d still admitted, %d not, and of %d the answers are", rulings[pipeline.Admitted], rulings[pipeline.Denied], rulings[pipeline.Answers])
}

// ruling is what a sweep says of the connection of p.
func (w *world) ruling(p reference.Packet) pipeline.Ruling {
	f := w.frame(p)
	o := pipeline.CTTuple{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, ICMPType: p.Type, ICMPCode: p.Code}
	c := pipeline.Connection{Protocol: uint8(f.Uint(ofproto.IPProto)), Orig: o, Reply: o}
	c.Reply.Src, c.Reply.Dst, c.Reply.SrcPort, c.Reply.DstPort = o.Dst, o.Src, o.DstPort, o.SrcPort
	return explain.NewJudge(w.program, w.in, w.model.Tenant(p.From.Tenant)).Rule(c)
}

// flowsRule is what the flows do with the next packet of the connection of p, and with an
// answer if the tracker has forgotten it.
func (w *world) flowsRule(p reference.Packet) pipeline.Ruling {
	trace := w.sim.Send(w.frame(p).Packet, w.tracker(p, reference.OldOriginal))
	if len(trace.Commits) == 1 && trace.Commits[0].Mark&pipeline.MarkBlocked == 0 {
		return pipeline.Admitted
	}
	if p.Protocol == reference.ICMP || p.Protocol == reference.ICMPv6 {
		return pipeline.Denied
	}
	if back := w.sim.Send(w.frame(p.Reversed()).Packet, &flowsim.Tracker{}); len(delivered(back)) > 0 {
		return pipeline.Answers
	}
	return pipeline.Denied
}
