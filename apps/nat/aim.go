package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// An aimed address, or a port of it, stands for one of an endpoint.
type aimed struct {
	of       intent.ID
	tag      uint64
	address  netip.Addr
	ip       netip.Addr
	protocol intent.Protocol
	port, to uint16 // zero: all protocols, with whatever port
}

// aim has what is new for an address go to an endpoint. From here on the packet is to all
// tables as if it had been sent there: it is routed and judged so. Before the commit it is what
// it was again, for that has to remember what it makes of it. Open vSwitch writes neither into
// the packet, as nothing has been done with it in between.
func aim(b *pipeline.Builder, t *pipeline.TenantSite, a aimed) {
	to := pipeline.IPDst(a.address)
	asked, original, meant := a.service(a.port), a.original(), a.service(a.to)
	there := []ofproto.Action{pipeline.DNAT.Set(), ofproto.Set(pipeline.RegTarget.Whole(), a.tag), ofproto.SetAddr(to, a.ip)}
	back := []ofproto.Action{ofproto.SetAddr(to, a.address)}
	if a.to != a.port {
		there, back = append(there, a.setPort(a.to)), append(back, a.setPort(a.port))
	}
	b.Flow(a.of, pipeline.LBVIP, 100, ofproto.MatchOn(append(asked, pipeline.InZone(t.Zone), ofproto.IsAddr(to, a.address))...),
		append(there, ofproto.GotoTable(pipeline.IDSrc))...)
	b.Flow(a.of, pipeline.LBVIP, 200, ofproto.MatchOn(append(append(original, meant...), pipeline.InZone(t.Zone), pipeline.JudgeAgain.Is(), ofproto.CT(ofproto.Est|ofproto.Trk, 0),
		ofproto.IsAddr(originalDst(a.address), a.address), ofproto.IsAddr(to, a.ip))...), ofproto.GotoTable(pipeline.IDSrc))
	n := ofproto.NAT{Dst: true, AddrMin: a.ip}
	if a.to != a.port {
		n.PortMin = a.to
	}
	b.Translate(t, pipeline.Translation{
		Of: a.of, Conds: []ofproto.Cond{pipeline.IPVersion(a.address.Is4()), pipeline.DNAT.Is(), ofproto.Is(pipeline.RegTarget, a.tag)},
		First: back, Service: asked[:min(len(asked), 1)], NAT: n, Sure: true,
	})
}

// protocols are those that have ports to forward: their numbers, and the fields of the ports.
var protocols = map[intent.Protocol]struct {
	number uint64
	dst    ofproto.Field
}{intent.TCP: {6, ofproto.TCPDst}, intent.UDP: {17, ofproto.UDPDst}, intent.SCTP: {132, ofproto.SCTPDst}}

// service is the condition that a packet is of a's protocol, for a port.
func (a aimed) service(port uint16) []ofproto.Cond {
	if a.port == 0 {
		return nil
	}
	p := protocols[a.protocol]
	return []ofproto.Cond{ofproto.Is(ofproto.IPProto, p.number), ofproto.Is(p.dst, uint64(port))}
}

// original is the condition that a connection was opened to a's port.
func (a aimed) original() []ofproto.Cond {
	if a.port == 0 {
		return nil
	}
	return []ofproto.Cond{ofproto.Is(ofproto.CTNwProto, protocols[a.protocol].number), ofproto.Is(ofproto.CTTpDst, uint64(a.port))}
}

func (a aimed) setPort(port uint16) ofproto.Action {
	return ofproto.SetField{Field: protocols[a.protocol].dst, Value: ofproto.Uint(uint64(port))}
}

func originalDst(a netip.Addr) ofproto.Field {
	if a.Is4() {
		return ofproto.CTNwDst
	}
	return ofproto.CTIPv6Dst
}
