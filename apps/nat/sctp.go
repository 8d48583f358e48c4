package nat

import (
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A tracker that does not know the ports of SCTP has one connection for each pair of hosts,
// whatever the ports. What is forwarded is then all of SCTP between the two, and can be one
// thing only.

// portless returns why a forward of SCTP cannot be where the tracker does not know its ports;
// empty: it can.
func portless(t *pipeline.TenantSite, f *intent.PortForward) string {
	const because = "the datapath's connection tracker does not know the ports of SCTP, so that "
	other := func(o *intent.PortForward) bool { return sameSCTP(f, o) && o.IP != f.IP }
	switch {
	case f.Ports != f.ToPorts:
		return because + "none can be forwarded to another one: give the endpoint the port that is forwarded"
	case slices.ContainsFunc(t.PortForwards, other):
		return because + "those of an address cannot go to several endpoints: take an address for each"
	case leavesAs(t, f):
		return because + "what an SNAT sends from the same address could not be told from it: take another address"
	}
	return ""
}

// sameSCTP reports whether g forwards SCTP of the same address as f.
func sameSCTP(f, g *intent.PortForward) bool {
	return g.Protocol == intent.SCTP && g.Address == f.Address && g.External == f.External && g.Bridge == f.Bridge
}

// leavesAs reports whether an SNAT of t has the address of a forward.
func leavesAs(t *pipeline.TenantSite, f *intent.PortForward) bool {
	has := func(p intent.Pool) bool {
		return p.Bridge == f.Bridge && p.External == f.External && slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(f.Address) })
	}
	return slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool { return slices.ContainsFunc(s.Pools, has) })
}

// onlyPorts keeps what comes by SCTP for other ports of an address away from the tracker, which
// would take it for a connection to those that are forwarded. The first forward of an address
// brings what is the same for all.
func onlyPorts(b *pipeline.Builder, t *pipeline.TenantSite, x pipeline.ExternalSite, a aimed, first bool) {
	here := []ofproto.Cond{cameBy(x), ofproto.IsAddr(pipeline.IPDst(a.address), a.address)}
	whole := owned(a.address.BitLen())
	for _, w := range a.kept() {
		b.Flow(a.of, pipeline.ExtIn, whole+2, ofproto.MatchOn(append(w.asked, here...)...), t.EnterTenant()...)
	}
	if first {
		b.Flow(t.ID(), pipeline.ExtIn, whole+3, ofproto.MatchOn(append(append(a.is(), pipeline.IsLaterFragment), here...)...), t.EnterTenant()...)
		drop := append([]ofproto.Action{ofproto.Set(pipeline.Zone, uint64(t.Zone))}, pipeline.ToDrop(pipeline.NotExpected)...) // whose it is, so that it takes nothing back from others
		b.Flow(t.ID(), pipeline.ExtIn, whole+1, ofproto.MatchOn(append(a.is(), here...)...), drop...)
	}
}
