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

// Answer tells the sender of a packet that a rule rejects it.
func Answer(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	q, ok := in.Punted(p)
	if !ok {
		return nil
	}
	return q.Reply(q.Packet.Refuse(q.Link()))
}
