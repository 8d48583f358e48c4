package fabric

import (
	"net/netip"
	"slices"
	"strings"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// answerND turns a solicitation for an address of the router's into the advertisement, in two tables:
// the ND fields of the answer can be set only once the type is the answer's.
//
// The kernel's datapath cannot set those fields. There the solicitation goes to the
// controller, metered, and Answer answers it.
func answerND(b *pipeline.Builder, id intent.ID, n *pipeline.NetworkSite, own netip.Addr) {
	solicitation := ofproto.MatchOn(pipeline.InNet(n.Number),
		ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, pipeline.NdNS),
		ofproto.Is(ofproto.ICMPv6Code, 0), ofproto.IsAddr(ofproto.NDTarget, own))
	if !b.Features.NDExtension {
		b.Flow(id, pipeline.ArpNd, 100, solicitation, b.Punt()...)
		return
	}
	b.Flow(id, pipeline.ArpNd, 100, solicitation,
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, pipeline.RouterMAC),
		ofproto.Move{Src: ofproto.IPv6Src.Whole(), Dst: ofproto.IPv6Dst.Whole()},
		ofproto.SetAddr(ofproto.IPv6Src, own),
		ofproto.SetField{Field: ofproto.ICMPv6Type, Value: ofproto.Uint(pipeline.NdNA)},
		ofproto.GotoTable(pipeline.NdAnswer))
}

// ndAnswer completes the answers.
func ndAnswer(b *pipeline.Builder, id intent.ID) {
	if !b.Features.NDExtension {
		return
	}
	b.Flow(id, pipeline.NdAnswer, 100, ofproto.MatchOn(
		ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, pipeline.NdNA), ofproto.Is(ofproto.ICMPv6Code, 0)),
		ofproto.SetField{Field: ofproto.NDReserved, Value: ofproto.Uint(uint64(frame.AnswerFlags))},
		ofproto.SetField{Field: ofproto.NDOptionsType, Value: ofproto.Uint(2)}, // target link-layer address
		ofproto.SetMAC(ofproto.NDTLL, pipeline.RouterMAC),
		ofproto.Output{Port: ofproto.PortInPort})
}

// Answer answers a neighbour solicitation for an address of the router's that a flow has sent to the
// controller. Everything else gets no answer.
func Answer(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
	port, ok := inPort(p.Match)
	asked, is := frame.Solicited(p.Data)
	if !ok || !is || !isRouters(in, p.Cookie, asked.Target) {
		return nil
	}
	return []ofproto.PacketOut{{
		InPort:  ofproto.PortController,
		Actions: []ofproto.Action{ofproto.Output{Port: port}},
		Data:    asked.Answer(pipeline.RouterMAC),
	}}
}

func inPort(m ofproto.Match) (uint32, bool) {
	for _, c := range m {
		if c.Field == ofproto.InPort {
			return uint32(c.Value.Uint64()), true
		}
	}
	return 0, false
}

// isRouters reports whether a is what the router answers for by a flow with a cookie: a gateway of
// a network, or the address of a load balancer.
func isRouters(in pipeline.Input, cookie uint64, a netip.Addr) bool {
	tag, owned := pipeline.TagOf(cookie)
	id, known := in.Numbers.Origin(tag)
	if !owned || !known {
		return false
	}
	tenant, _, _ := strings.Cut(string(id), "/")
	t := in.Model.Tenant(tenant)
	if t == nil {
		return false
	}
	return slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
		return n.ID() == id && slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.Gateway == a })
	}) || slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.ID() == id && l.Inside() && l.Address == a })
}
