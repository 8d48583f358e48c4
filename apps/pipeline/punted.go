package pipeline

import (
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// A Punted is a packet that a flow has sent to the controller.
type Punted struct {
	Packet  frame.Packet     // as its receiver is to see it
	Sent    frame.Packet     // as its sender has sent it: what is translated, and was when it came to the flow, is not
	From    *intent.Endpoint // who has sent it; nil: somebody outside
	Outside ExternalSite     // by which it came, if it came from there
	Port    uint32           // through which it came
	To      uint32           // tag of the endpoint that it was for; zero: not known
	Reason  Reason           // why it was dropped

	routed bool
	across bool   // for another tenant's address outside
	source uint16 // the zone of its source translation, if both ends of its connection are translated
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
	var by, zones uint32
	var double bool
	for _, c := range p.Match {
		switch c.Field {
		case ofproto.InPort:
			q.Port = uint32(c.Value.Uint64())
		case RegIn:
			by = uint32(c.Value.Uint64())
		case RegOut:
			q.To = uint32(c.Value.Uint64())
		case regFlags:
			q.across = c.Value.Uint64()>>Across&1 == 1
		case RegReason:
			q.Reason = Reason(c.Value.Uint64())
		case zoneSource.Field:
			zones = uint32(c.Value.Uint64())
		case ofproto.CTMark:
			double = uint32(c.Value.Uint64())&MarkDouble != 0
		}
	}
	if double {
		q.source = uint16(zones >> zoneSource.Offset)
	}
	q.From = in.endpoint(by)
	q.routed = q.Packet.EthSrc == RouterMAC
	for _, x := range in.Outsides() {
		q.routed = q.routed || q.Packet.EthSrc == x.RouterMAC()
		if x.Tag == by {
			q.Outside = x
		}
	}
	q.Sent, ok = sent(q.Packet, p.Match)
	return q, ok && q.Port != 0 && (q.From != nil || q.Outside.External != nil)
}

// sent returns a packet as its sender has sent it, if that is known: the tracker remembers how
// a connection was opened, and has told that in what came with the packet.
func sent(p frame.Packet, with ofproto.Match) (_ frame.Packet, known bool) {
	o := origin5{src: p.Src, dst: p.Dst, srcPort: p.SrcPort, dstPort: p.DstPort}
	for _, c := range with {
		o.read(c)
	}
	switch {
	case o.state&(ofproto.New|ofproto.Est) == 0:
		return p, true
	case o.state&(ofproto.Rpl|ofproto.Rel) != 0 || o.protocol != uint64(p.Protocol): // what is known is of the other direction
		return p, o.state&(ofproto.SNAT|ofproto.DNAT) == 0
	}
	return p.Between(o.src, o.dst, o.srcPort, o.dstPort), true
}

// An origin5 is the 5-tuple with which a connection was opened, and what the tracker says of
// a packet of it.
type origin5 struct {
	state            ofproto.CTStateBits
	protocol         uint64
	src, dst         netip.Addr
	srcPort, dstPort uint16
}

func (o *origin5) read(c ofproto.Cond) {
	switch c.Field {
	case ofproto.CTState:
		o.state = ofproto.CTStateBits(c.Value.Uint64())
	case ofproto.CTNwProto:
		o.protocol = c.Value.Uint64()
	case ofproto.CTNwSrc:
		o.src = netip.AddrFrom4([4]byte(c.Value[12:]))
	case ofproto.CTNwDst:
		o.dst = netip.AddrFrom4([4]byte(c.Value[12:]))
	case ofproto.CTIPv6Src:
		o.src = netip.AddrFrom16(c.Value)
	case ofproto.CTIPv6Dst:
		o.dst = netip.AddrFrom16(c.Value)
	case ofproto.CTTpSrc:
		o.srcPort = uint16(c.Value.Uint64())
	case ofproto.CTTpDst:
		o.dstPort = uint16(c.Value.Uint64())
	}
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
	switch {
	case !q.routed:
		return frame.Link{From: q.Packet.EthDst, To: q.Packet.EthSrc}
	case q.From != nil:
		return frame.Link{From: RouterMAC, To: q.From.MAC}
	}
	return frame.Link{From: RouterMAC, To: RouterMAC} // for the router to send on
}

// Reply sends an answer straight to the port from which the packet came, past all tables:
// it cannot come back. What is for somebody outside whose MAC address is not in the packet any
// more is routed there, as what is established is. If there is no answer, there is no reply.
func (q Punted) Reply(answer []byte) []ofproto.PacketOut {
	switch to := q.Link().To; {
	case answer == nil || to == [6]byte{}:
		return nil
	case to == RouterMAC:
		return []ofproto.PacketOut{{InPort: ofproto.PortController, Data: answer, Actions: []ofproto.Action{
			Established.Set(), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Route},
		}}}
	}
	return []ofproto.PacketOut{{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: q.Port}}, Data: answer}}
}

// Forward sends a frame on to whom the packet was for.
func (q Punted) Forward(data []byte) []ofproto.PacketOut {
	if data == nil || q.To == 0 {
		return nil
	}
	to := []ofproto.Action{ofproto.Set(RegOut.Whole(), uint64(q.To)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Out}}
	if q.source != 0 { // it knows its gateway only
		to[1] = ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SourceNAT}
		to = append([]ofproto.Action{ofproto.Set(zoneSource, uint64(q.source))}, to...)
	}
	if q.across {
		to = append([]ofproto.Action{Across.Set()}, to...)
	}
	return []ofproto.PacketOut{{InPort: ofproto.PortController, Data: data, Actions: to}}
}
