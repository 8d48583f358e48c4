package explain

import (
	"fmt"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// QuestionOf is the question what becomes of the next packet that the side sends which has opened a connection of
// a tenant. outside says that this side is no endpoint of the tenant.
func QuestionOf(c pipeline.Connection, tenant string, outside bool) Question {
	q := Question{
		Protocol: c.Protocol, Tenant: tenant, From: End{Outside: outside, Addr: c.Orig.Src, Port: c.Orig.SrcPort}, To: End{Addr: c.Orig.Dst, Port: c.Orig.DstPort},
		Established: true,
	}
	if c.Protocol == pipeline.ProtoICMP || c.Protocol == pipeline.ProtoICMPv6 {
		q.Typed, q.Type, q.Code = true, c.Orig.ICMPType, c.Orig.ICMPCode
	}
	q.Text = c.String()
	return q
}

// A Known is what the tracker knows of a connection, and its ct_label, the highest byte first.
type Known struct {
	pipeline.Connection
	Label [16]byte
}

// ExplainKnown says what becomes of the next packet of a connection that there is, which s is; and what would become of
// the connection if it were opened now.
func (c Scene) ExplainKnown(b *Bridge, s Sent, known Known) (next, anew *Explanation, err error) {
	s.packet.ICMPID = known.Orig.ICMPID
	first := s
	first.Question.Established = false
	if s.Protocol == pipeline.ProtoTCP {
		first.packet.SetUint(ofproto.TCPFlags, synFlag)
	}
	if anew, err = c.Explain(b, first); err != nil {
		return nil, nil, err
	}
	ct := &flowsim.Tracker{}
	orig, _ := flowsim.TupleOf(&s.packet)
	reply := flowsim.Tuple{Protocol: orig.Protocol, Src: known.Reply.Src, Dst: known.Reply.Dst, SrcPort: known.Reply.SrcPort, DstPort: known.Reply.DstPort}
	if orig.Protocol == pipeline.ProtoICMP || orig.Protocol == pipeline.ProtoICMPv6 {
		reply.SrcPort, reply.DstPort = orig.DstPort, orig.SrcPort
	}
	ct.Put(flowsim.Connection{Zone: known.Zone, Orig: orig, Reply: reply, Replied: !known.Opening, Mark: known.Mark, Label: ofproto.Bits(known.Label)})
	w, err := b.follow(s.packet, ct, 0)
	if err != nil {
		return nil, nil, err
	}
	next = &Explanation{Sent: s}
	a := Connection(known.Label, known.Mark, c.Numbers)
	next.Egress, next.Ingress = a.Egress, a.Ingress
	c.judge(next, w)
	if known.Protocol != pipeline.ProtoTCP {
		next.Assumed = append(next.Assumed, "it has been answered")
	}
	for _, l := range w.asked[min(1, len(w.asked)):] {
		if l.zone != known.Zone {
			next.Assumed = append(next.Assumed, fmt.Sprintf("what zone %d knows of it is not looked at: there it is taken to be new", l.zone))
			break
		}
	}
	return next, anew, nil
}

// Same reports whether a connection would be admitted now as it has been: it gets through, by the same
// rules.
func (x *Explanation) Same(a Admission) bool {
	return (x.Verdict == Allowed || x.Verdict == Audited && a.Audited) && x.Egress == a.Egress && x.Ingress == a.Ingress
}
