package nat

import (
	"slices"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// A datagram in fragments says in the first alone for which port it is. What the userspace
// datapath's tracker has put together it takes apart again, and so later fragments come to
// LBVIP too. (The kernel's hands on the whole datagram.) In IPv6 they do not even say the protocol:
// that is what the tracker says.

// fragments has the later fragments of what is new, and for one address and protocol, go where
// the first goes, if that can be one way only: the same endpoint for all ports, and the same
// translation. Else they are dropped. The last to come decides what the connection is remembered
// with, and knows no port; so no first one for another port may come to wait with it, either. What is known, and judged again,
// has come for no forward: it is for the outside, or for nobody.
func fragments(b *pipeline.Builder, t *pipeline.TenantSite, all []aimed) {
	a := all[0]
	for i, o := range all {
		same := func(gateway bool) func(aimed) bool {
			return func(p aimed) bool { return p.ip == o.ip && (!gateway || p.gateway.IsValid()) }
		}
		follow(b, t, o, !slices.ContainsFunc(all[:i], same(false)), o.gateway.IsValid() && !slices.ContainsFunc(all[:i], same(true)))
	}
	to := pipeline.IPDst(a.address)
	here := []ofproto.Cond{pipeline.InZone(t.Zone), ofproto.IsAddr(to, a.address)}
	later := ofproto.MatchOn(append(append(a.was(), ofproto.CT(ofproto.New|ofproto.Trk, 0), pipeline.IsLaterFragment), here...)...)
	b.Flow(t.ID(), pipeline.LBVIP, 91, later, pipeline.ToDrop(pipeline.WhoseFragment)...)
	b.Flow(t.ID(), pipeline.LBVIP, 90, ofproto.MatchOn(append(append(a.is(), pipeline.IsFragment, pipeline.JudgeAgain.IsNot()), here...)...), pipeline.ToDrop(pipeline.NotExpected)...)
	if a.oneWay() && !a.gateway.IsValid() && !slices.ContainsFunc(all[1:], func(o aimed) bool { return o.gateway.IsValid() || a.ip != o.ip || a.ports != a.to || o.ports != o.to }) {
		b.Flow(a.of, pipeline.LBVIP, 100, later, pipeline.DNAT.Set(), ofproto.Set(pipeline.RegTarget.Whole(), a.tag), ofproto.SetAddr(to, a.ip), ofproto.GotoTable(pipeline.IDSrc))
	}
}

// follow lets the later fragments of what is judged again wait for the first, which is looked at.
func follow(b *pipeline.Builder, t *pipeline.TenantSite, a aimed, plain, double bool) {
	still := append(a.was(), pipeline.IsLaterFragment, pipeline.InZone(t.Zone), pipeline.JudgeAgain.Is(), ofproto.CT(ofproto.Est|ofproto.Trk, 0),
		ofproto.IsAddr(originalDst(a.address), a.address), ofproto.IsAddr(pipeline.IPDst(a.address), a.ip))
	if plain {
		b.Flow(t.ID(), pipeline.LBVIP, 205, ofproto.MatchOn(still...), ofproto.GotoTable(pipeline.IDSrc))
	}
	if double {
		b.Flow(t.ID(), pipeline.LBVIP, 225, ofproto.MatchOn(append(still, pipeline.KnownDouble)...), ofproto.GotoTable(pipeline.IDSrc))
	}
}

// oneWay reports whether all of a is translated alike.
func (a aimed) oneWay() bool { return a.ports == a.to || a.ports.Lo == a.ports.Hi }
