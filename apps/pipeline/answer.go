package pipeline

import (
	"slices"
	"strings"

	"weir/intent"
	"weir/internal/frame"
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
	for _, ip := range ipVersions {
		b.Flow(id, PolMiss, 110, ofproto.MatchOn(ip, JudgeAgain.Is(), rejected), stopped(), ofproto.GotoTable(Reject))
		b.Flow(id, PolMiss, 115, ofproto.MatchOn(ip, ofproto.Is(ofproto.IPProto, ProtoTCP), JudgeAgain.Is(),
			ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted|MarkReset), uint64(MarkCommitted|MarkReset|MarkBlocked))),
			stopped(), ofproto.Set(RegReason.Whole(), uint64(StoppedAndTold)), ofproto.GotoTable(Reject))
		const reset = 0x004
		b.Flow(id, Reject, 200, ofproto.MatchOn(ip, ofproto.Is(ofproto.IPProto, ProtoTCP), ofproto.Masked(ofproto.TCPFlags, reset, reset)), ofproto.GotoTable(Drop))
	}
	b.Flow(id, PolMiss, 50, ofproto.MatchOn(rejected), ofproto.GotoTable(Reject))
	const groupBit = uint64(1) << 40 // IEEE 802: the lowest bit of the first byte
	b.Flow(id, Reject, 200, ofproto.MatchOn(ofproto.Masked(ofproto.EthDst, groupBit, groupBit)), ofproto.GotoTable(Drop))
	b.Flow(id, Reject, 0, nil, ofproto.GotoTable(Drop))
}

// A Punted is a packet that a flow has sent to the controller.
type Punted struct {
	Packet frame.Packet
	From   *intent.Endpoint // who has sent it
	Port   uint32           // through which it came
	To     uint32           // tag of the endpoint that it was for; zero: not known
	Reason Reason           // why it was dropped
}

// Punted reads a packet that a flow of Weir's has sent to the controller, and the registers
// that have come with it. It returns false if it is not to be read, or its sender not known.
func (in Input) Punted(p ofproto.PacketIn) (q Punted, ok bool) {
	if _, owned := TagOf(p.Cookie); !owned {
		return q, false
	}
	if q.Packet, ok = frame.Parse(p.Data); !ok {
		return q, false
	}
	for _, c := range p.Match {
		switch c.Field {
		case ofproto.InPort:
			q.Port = uint32(c.Value.Uint64())
		case RegIn:
			q.From = in.endpoint(uint32(c.Value.Uint64()))
		case RegOut:
			q.To = uint32(c.Value.Uint64())
		case RegReason:
			q.Reason = Reason(c.Value.Uint64())
		}
	}
	return q, q.Port != 0 && q.From != nil
}

// endpoint returns the endpoint with a tag, or nil. It is asked for each packet, and so looks
// at one tenant only.
func (in Input) endpoint(tag uint32) *intent.Endpoint {
	id, _ := in.Numbers.Origin(tag)
	tenant, name, _ := strings.Cut(string(id), "/endpoint/")
	t := in.Model.Tenant(tenant)
	if t == nil {
		return nil
	}
	i := slices.IndexFunc(t.Endpoints, func(e *intent.Endpoint) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return t.Endpoints[i]
}

// Link returns the Ethernet addresses for an answer. What has been routed no longer says
// whose it was.
func (q Punted) Link() frame.Link {
	if q.Packet.EthSrc == RouterMAC {
		return frame.Link{From: RouterMAC, To: q.From.MAC}
	}
	return frame.Link{From: q.Packet.EthDst, To: q.Packet.EthSrc}
}

// Reply sends an answer straight to the port from which the packet came, past all tables:
// it cannot come back. If there is no answer, there is no reply.
func (q Punted) Reply(answer []byte) []ofproto.PacketOut {
	if answer == nil || q.Link().To == [6]byte{} {
		return nil
	}
	return []ofproto.PacketOut{{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: q.Port}}, Data: answer}}
}

// Forward sends a frame on to whom the packet was for.
func (q Punted) Forward(data []byte) []ofproto.PacketOut {
	if data == nil || q.To == 0 {
		return nil
	}
	return []ofproto.PacketOut{{InPort: ofproto.PortController, Data: data, Actions: []ofproto.Action{
		ofproto.Set(RegOut.Whole(), uint64(q.To)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Out},
	}}}
}
