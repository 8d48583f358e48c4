package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
	"weir/ofproto"
)

// bridge adds the outsides of a bridge: what comes in by them, and what is reached there.
func bridge(b *pipeline.Builder) {
	if isShared(b) {
		b.Shared(b.Bridge.ID())
	}
	for _, x := range b.Externals {
		enter(b, x)
		martians(b, x)
		host(b, x)
		for _, s := range x.Subnets {
			if s.Address.IsValid() {
				own := netip.PrefixFrom(s.Address, s.Address.BitLen())
				answerFor(b, x.ID(), x, own)
				ourselves(b, x, x.ID(), own)
			}
		}
		if local := pipeline.LinkLocal(x.RouterMAC()); hasIPv6(x) { // by which it asks others
			own := netip.PrefixFrom(local, local.BitLen())
			answerFor(b, x.ID(), x, own)
			ourselves(b, x, x.ID(), own)
			advertisement(b, x)
		}
		stranger(b, x)
		common(b, x)
	}
	routes(b)
	if len(b.Externals) > 0 {
		notReachable(b, b.Bridge.ID())
	}
}

// enter lets IP in that is for the router, and asks whose it is. What is said on the link
// besides is for nobody here.
func enter(b *pipeline.Builder, x pipeline.ExternalSite) {
	flow := func(priority uint16, actions []ofproto.Action, conds ...ofproto.Cond) {
		b.Flow(x.ID(), pipeline.ArpNd, priority, ofproto.MatchOn(append(conds, cameBy(x))...), actions...)
	}
	for _, what := range discoveries() {
		flow(martian+1, pipeline.ToDrop(pipeline.UnansweredArp), what...)
	}
	ours := ofproto.IsMAC(ofproto.EthDst, x.RouterMAC())
	flow(95, b.Punt(), ofproto.Is(ofproto.ARPOp, arpReply), ours)
	flow(95, b.Punt(), append(icmpv6(ndNA), ours)...)
	for _, ip := range []bool{true, false} {
		flow(91, []ofproto.Action{ofproto.SetMAC(ofproto.EthDst, pipeline.RouterMAC), ofproto.GotoTable(pipeline.ExtIn)}, pipeline.IPVersion(ip), ours)
	}
	flow(90, pipeline.ToDrop(pipeline.NotOurs))
}

// discoveries are the conditions on what speaks of neighbours and routers.
func discoveries() [][]ofproto.Cond {
	all := [][]ofproto.Cond{{ofproto.IsARP}}
	for typ := uint64(133); typ <= 137; typ++ { // RFC 4861, 4
		all = append(all, icmpv6(typ))
	}
	return all
}

func icmpv6(typ uint64) []ofproto.Cond {
	return []ofproto.Cond{ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, typ)}
}

// answerFor tells who asks on the link for an address of p that it is the router's.
func answerFor(b *pipeline.Builder, id intent.ID, x pipeline.ExternalSite, p netip.Prefix) {
	if p.Addr().Is6() {
		advertise(b, id, x, p)
		return
	}
	const asked = pipeline.RegTarget // nothing is in it yet
	b.Flow(id, pipeline.ArpNd, 100, ofproto.MatchOn(cameBy(x), ofproto.Is(ofproto.ARPOp, 1), ofproto.InPrefix(ofproto.ARPTPA, p)),
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, x.RouterMAC()),
		ofproto.SetField{Field: ofproto.ARPOp, Value: ofproto.Uint(2)},
		ofproto.Move{Src: ofproto.ARPSHA.Whole(), Dst: ofproto.ARPTHA.Whole()},
		ofproto.SetMAC(ofproto.ARPSHA, x.RouterMAC()),
		ofproto.Move{Src: ofproto.ARPTPA.Whole(), Dst: asked.Whole()},
		ofproto.Move{Src: ofproto.ARPSPA.Whole(), Dst: ofproto.ARPTPA.Whole()},
		ofproto.Move{Src: asked.Whole(), Dst: ofproto.ARPSPA.Whole()},
		ofproto.Output{Port: ofproto.PortInPort})
}

// advertise does the same by neighbour discovery. Where the datapath cannot set the fields of
// the answer, Answer makes it.
func advertise(b *pipeline.Builder, id intent.ID, x pipeline.ExternalSite, p netip.Prefix) {
	asked := ofproto.MatchOn(append(icmpv6(ndNS), cameBy(x), ofproto.Is(ofproto.ICMPv6Code, 0), ofproto.InPrefix(ofproto.NDTarget, p))...)
	if !b.Features.NDExtension {
		b.Flow(id, pipeline.ArpNd, 100, asked, b.Punt()...)
		return
	}
	b.Flow(id, pipeline.ArpNd, 100, asked,
		ofproto.Move{Src: ofproto.EthSrc.Whole(), Dst: ofproto.EthDst.Whole()},
		ofproto.SetMAC(ofproto.EthSrc, x.RouterMAC()),
		ofproto.Move{Src: ofproto.IPv6Src.Whole(), Dst: ofproto.IPv6Dst.Whole()},
		ofproto.Move{Src: ofproto.NDTarget.Whole(), Dst: ofproto.IPv6Src.Whole()},
		ofproto.SetField{Field: ofproto.ICMPv6Type, Value: ofproto.Uint(ndNA)},
		ofproto.GotoTable(pipeline.NdAnswer))
}

// advertisement completes the answers of advertise, with the flags of a router that is asked
// and overrides what was known (RFC 4861, 4.4).
func advertisement(b *pipeline.Builder, x pipeline.ExternalSite) {
	if !b.Features.NDExtension {
		return
	}
	b.Flow(x.ID(), pipeline.NdAnswer, 110, ofproto.MatchOn(append(icmpv6(ndNA), cameBy(x), ofproto.Is(ofproto.ICMPv6Code, 0))...),
		ofproto.SetField{Field: ofproto.NDReserved, Value: ofproto.Uint(uint64(frame.AnswerFlags))},
		ofproto.SetField{Field: ofproto.NDOptionsType, Value: ofproto.Uint(targetMAC)},
		ofproto.SetMAC(ofproto.NDTLL, x.RouterMAC()),
		ofproto.Output{Port: ofproto.PortInPort})
}

// hasIPv6 reports whether there is IPv6 on the link of x.
func hasIPv6(x pipeline.ExternalSite) bool {
	return slices.ContainsFunc(x.Subnets, func(s intent.ExternalSubnet) bool { return s.CIDR.Addr().Is6() })
}

// cameBy is the condition that a packet has come in by x.
func cameBy(x pipeline.ExternalSite) ofproto.Cond { return ofproto.Is(pipeline.RegIn, uint64(x.Tag)) }

// leavesBy is the condition that a packet is to leave by x.
func leavesBy(x pipeline.ExternalSite) ofproto.Cond {
	return ofproto.Is(pipeline.RegOut, uint64(x.Tag))
}
