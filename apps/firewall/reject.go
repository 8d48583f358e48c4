package firewall

import (
	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// reject has answered what the rules of a tenant reject.
func reject(b *pipeline.Builder, t *pipeline.TenantSite, rules []rule) {
	for _, r := range rules {
		if r.Action == intent.Reject && t.Mode == intent.Enforce {
			b.Answer(t, pipeline.Reject, 100, ofproto.MatchOn(pipeline.InZone(t.Zone)), pipeline.RejectedByRule)
			return
		}
	}
}

// reset has both ends told of connections that are reset.
func reset(b *pipeline.Builder, t *pipeline.TenantSite) {
	if pipeline.Resets(t.Tenant) {
		b.Answer(t, pipeline.Reject, 110, ofproto.MatchOn(pipeline.InZone(t.Zone), ofproto.Is(pipeline.RegReason, uint64(pipeline.StoppedAndTold))), pipeline.StoppedAndTold)
	}
}

// Answer tells the sender of a packet that a rule rejects it; and if its connection is reset,
// its receiver as well.
func Answer(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	q, ok := in.Punted(p)
	if !ok {
		return nil
	}
	answers := q.Reply(q.Sent.Refuse(q.Link()))
	if q.Reason == pipeline.StoppedAndTold {
		answers = append(answers, q.Forward(q.Packet.Abort())...)
	}
	return answers
}
