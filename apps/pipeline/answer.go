package pipeline

import (
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// answerRate is how many packets of a tenant are answered by the controller in a second.
// It is a rate for each tenant, so that one who floods takes no other's answers.
const answerRate = 50

// answerLen is how much of a packet is sent to be answered: as much as the longest answer,
// of 1,280 bytes, may quote.
const answerLen = 14 + 1280

// AnswersID names what is answered of what a tenant's endpoints send. If the switch refuses
// it, nothing is: what would be answered is dropped without a word.
func AnswersID(t *intent.Tenant) intent.ID { return t.ID() + "/answers" }

// answered reports whether there may be something to answer: a rule that rejects, or a
// router that lets packets expire.
func answered(t *intent.Tenant) bool {
	gateway := func(s intent.Subnet) bool { return s.Gateway.IsValid() }
	return rejects(t) || resets(t) || slices.ContainsFunc(t.Networks, func(n *intent.Network) bool { return slices.ContainsFunc(n.Subnets, gateway) })
}

func rejects(t *intent.Tenant) bool {
	reject := func(r *intent.Rule) bool { return r.Action == intent.Reject }
	return slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool { return slices.ContainsFunc(p.Rules, reject) })
}

// resets reports whether a policy has its connections reset when it is changed.
func resets(t *intent.Tenant) bool {
	return slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool { return p.OnRevoke == intent.RevokeReset })
}

// Resets reports whether those whose connections are to be reset can be told. The policy that
// says so may be gone, so they are wherever something is answered at all.
func Resets(t *intent.Tenant) bool { return t.Mode == intent.Enforce && answered(t) }

// Answer adds a flow of a tenant that drops packets for a reason, and sends them to the
// controller to be answered, in so far as the tenant's meter lets them.
func (b *Builder) Answer(t *TenantSite, table ofproto.Table, priority uint16, m ofproto.Match, r Reason) {
	id := AnswersID(t.Tenant)
	number, ok := b.Meter(id, answerRate)
	if !ok {
		return
	}
	b.Flow(id, table, priority, m,
		ofproto.Meter(number),
		ofproto.Set(RegReason.Whole(), uint64(r)),
		ofproto.Output{Port: ofproto.PortController, MaxLen: answerLen},
		ofproto.GotoTable(Drop))
}

// refuse sends on what a rule rejects. What it sends is a word to one sender: what many
// are sent is dropped without, and so is what resets a connection, so that nobody's share
// is spent on them.
func refuse(b *Builder, id intent.ID) {
	rejected := ofproto.Is(RegReason, uint64(RejectedByRule))
	tell := ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Reject} // what the tracker says is gone behind a commit
	for _, ip := range ipVersions {
		b.Flow(id, PolMiss, 110, ofproto.MatchOn(ip, JudgeAgain.Is(), rejected), tell, stopped())
		b.Flow(id, PolMiss, 115, ofproto.MatchOn(ip, ofproto.Is(ofproto.IPProto, ProtoTCP), JudgeAgain.Is(),
			ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted|MarkReset), uint64(MarkCommitted|MarkReset|MarkBlocked))),
			ofproto.Set(RegReason.Whole(), uint64(StoppedAndTold)), tell, stopped())
		const reset = 0x004
		b.Flow(id, Reject, 200, ofproto.MatchOn(ip, ofproto.Is(ofproto.IPProto, ProtoTCP), ofproto.Masked(ofproto.TCPFlags, reset, reset)), ofproto.GotoTable(Drop))
	}
	b.Flow(id, PolMiss, 50, ofproto.MatchOn(rejected), ofproto.GotoTable(Reject))
	const groupBit = uint64(1) << 40 // IEEE 802: the lowest bit of the first byte
	b.Flow(id, Reject, 200, ofproto.MatchOn(ofproto.Masked(ofproto.EthDst, groupBit, groupBit)), ofproto.GotoTable(Drop))
	b.Flow(id, Reject, 0, nil, ofproto.GotoTable(Drop))
}
