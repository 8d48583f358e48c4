package explain

import (
	"errors"
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// A Verdict is what became of a connection that a rule reports.
type Verdict string

// The verdicts.
const (
	Allowed  Verdict = "allowed"
	Denied   Verdict = "denied"
	Rejected Verdict = "rejected" // and its sender told
	Audited  Verdict = "audited"  // denied, and let pass all the same
)

// An Observation is what a rule with log reports: the verdict on the first packet of a
// connection, or on a packet that is not tracked.
type Observation struct {
	Tenant           string
	Verdict          Verdict
	Why              string // of what is not allowed: the reason in words
	Protocol         uint8
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Type, Code       uint8     // of ICMP and ICMPv6
	From, To         intent.ID // endpoints; empty: not known
	Egress, Ingress  intent.ID // the rules or defaults that were asked; that of the last decides
	Sampled          bool      // there may be many alike that are not reported
}

// Observe reads a report that a flow has sent to the controller. It returns false
// if p is none, or cannot be read.
func Observe(in pipeline.Input, p ofproto.PacketIn) (o Observation, ok bool) {
	from, ok := pipeline.ReportedBy(in.Numbers, p)
	if !ok {
		return o, false
	}
	t := in.Model.Tenant(from.Tenant)
	packet, read := frame.Parse(p.Data)
	if t == nil || !read {
		return o, false
	}
	o = Observation{
		Tenant: from.Tenant, Sampled: from.Log == intent.LogSampled,
		Protocol: packet.Protocol, Src: packet.Src, Dst: packet.Dst, SrcPort: packet.SrcPort, DstPort: packet.DstPort, Type: packet.Type, Code: packet.Code,
	}
	r := registers(p.Match)
	for tag, id := range map[ofproto.Field]*intent.ID{pipeline.RegIn: &o.From, pipeline.RegOut: &o.To, pipeline.RegRuleOut: &o.Egress, pipeline.RegRuleIn: &o.Ingress} {
		*id, _ = in.Numbers.Origin(uint32(r[tag]))
	}
	o.decide(p.Table, pipeline.Reason(r[pipeline.RegReason]), uint32(r[ofproto.CTMark]), t.Mode)
	return o, true
}

// decide says what the table says from which a report comes, with the reason in its
// register.
func (o *Observation) decide(at ofproto.Table, why pipeline.Reason, mark uint32, mode intent.Mode) {
	o.Verdict = Allowed
	switch {
	case at == pipeline.CommitCheck && mark&pipeline.MarkCommitted == 0:
		o.Verdict, why = Denied, pipeline.LimitReached
	case at == pipeline.PolMiss && why == pipeline.RejectedByRule:
		o.Verdict = Rejected
	case at == pipeline.PolMiss:
		o.Verdict = Denied
	default:
		return
	}
	if mode == intent.Audit {
		o.Verdict = Audited
	}
	o.Why = pipeline.Reasons[why]
}

// registers are the values of a packet-in's fields.
func registers(m ofproto.Match) map[ofproto.Field]uint64 {
	r := make(map[ofproto.Field]uint64, len(m))
	for _, c := range m {
		r[c.Field] = c.Value.Uint64()
	}
	return r
}

// Nearest returns the rule that comes nearest to allowing what a rule has reported to be stopped, by
// a model. It returns false of what was allowed, and where no rule would allow it.
func (o Observation) Nearest(m *intent.Model) (near Near, found bool) {
	t := m.Tenant(o.Tenant)
	if t == nil || o.Verdict == Allowed {
		return near, false
	}
	d, by := intent.Ingress, o.Ingress
	if by == "" {
		d, by = intent.Egress, o.Egress
	}
	return Nearest(t, d, Ends{
		From: endpointOf(t, o.From), To: endpointOf(t, o.To), Src: o.Src, Dst: o.Dst, Protocol: o.Protocol, Port: o.DstPort, Type: o.Type, Code: o.Code,
	}, by)
}

// Question is what becomes of such a packet now, if that can be asked: of a sender that is no endpoint
// of the tenant it is not known as what it has come, for a report has the receiver's own address.
func (o Observation) Question() (q Question, err error) {
	if o.From == "" {
		return q, errors.New("who has sent it is no endpoint of the tenant, and the report does not say which address it was for before that was translated")
	}
	c := pipeline.Connection{Protocol: o.Protocol, Orig: pipeline.CTTuple{
		Src: o.Src, Dst: o.Dst, SrcPort: o.SrcPort, DstPort: o.DstPort, ICMPType: o.Type, ICMPCode: o.Code,
	}}
	q = QuestionOf(c, o.Tenant, false)
	q.Established = false
	return q, nil
}

// Same reports whether what was observed is what would become of it now: the same verdict, by the same rules.
func (o Observation) Same(x *Explanation) bool {
	return x.Verdict == o.Verdict && x.Egress == o.Egress && x.Ingress == o.Ingress
}
