package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// Where the destination of a connection is translated, and its source as well, each is in a zone
// of its own, for an entry of the tracker has one translation. The tenant's zone has what its
// policy judges: from the client to the address that stands for the endpoint, and the endpoint's
// answers to the client. The zone of source translations has the rest: from the client to the
// endpoint, and the endpoint's answers to its gateway.
//
// Towards the endpoint a packet goes through SourceNAT after the tenant's zone has had it. What
// the endpoint answers is for its gateway, and is looked up in both zones at once.

// bothEnds adds what every bridge has for connections of which both ends are translated. What
// of them is judged again has its other half already, and must not come to the endpoint
// without, as nothing of it would be known there.
func bothEnds(b *Builder, id intent.ID) {
	b.Flow(id, SourceNAT, 0, nil, ofproto.GotoTable(Out)) // what the endpoint opens of what such a connection has announced
	b.Flow(id, EstNat, 60, ofproto.MatchOn(KnownDouble, ofproto.CT(ofproto.Trk, ofproto.Rpl)), ofproto.GotoTable(SourceNAT))
	// What the endpoint itself has opened, for the connection announced it (active FTP), has its source translated
	// by now, and says that it was opened to whatever that was: whom it is for must not see a gateway.
	b.Flow(id, EstNat, 61, ofproto.MatchOn(KnownDouble, ofproto.CT(ofproto.Trk|ofproto.SNAT, ofproto.Rpl|ofproto.DNAT)), ofproto.GotoTable(Out))
	b.Flow(id, CommitCheck, 10, ofproto.MatchOn(Double.isWithout(Limited)), ToDrop(NotBothEnds)...)
	b.Flow(id, CommitCheck, 110, ofproto.MatchOn(ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted|MarkDouble), uint64(MarkCommitted|MarkDouble))), ofproto.GotoTable(SourceNAT))
	for _, ip := range ipVersions {
		b.Flow(id, LBVIP, 210, ofproto.MatchOn(ip, JudgeAgain.Is(), KnownDouble),
			ofproto.Set(RegReason.Whole(), uint64(NotExpected)), ofproto.GotoTable(PolMiss))
		b.Flow(id, Commit, 160, ofproto.MatchOn(ip, JudgeAgain.Is(), KnownDouble), admittedBy(0), ofproto.GotoTable(SourceNAT))
		later := ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: ofproto.NoTable, Exec: []ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}}}
		b.Flow(id, Commit, 165, ofproto.MatchOn(ip, JudgeAgain.Is(), KnownDouble, ofproto.Is(ofproto.IPFrag, laterFragment)), later, ofproto.GotoTable(SourceNAT))
		kept := MarkCommitted | MarkKeep | MarkDouble
		b.Flow(id, PolMiss, 260, ofproto.MatchOn(ip, ofproto.Masked(ofproto.CTMark, uint64(kept), uint64(kept|MarkAudited|MarkBlocked))),
			commitAction(), ofproto.GotoTable(SourceNAT))
	}
}

// KnownDouble is the condition that a connection which the tracker knows has its source
// translated, too.
var KnownDouble = ofproto.Masked(ofproto.CTMark, uint64(MarkDouble), uint64(MarkDouble))

// KnownBalanced is the condition that a connection which the tracker knows was given to a backend
// by a load balancer.
var KnownBalanced = ofproto.Masked(ofproto.CTMark, uint64(MarkBalanced), uint64(MarkBalanced))

// hasDouble reports whether both ends of connections of a tenant are translated on a bridge.
func hasDouble(t *intent.Tenant, bridge string) bool { return slices.Contains(doubleOn(t), bridge) }

// FromGateway has an endpoint see the connections of which both ends are translated (Double) as
// its gateway's: those to its address a. It is to be called once for each address, and once for
// each gateway with first, or ToGateway for the gateway.
func (b *Builder) FromGateway(t *TenantSite, e EndpointSite, a, gateway netip.Addr, first bool) {
	b.Flow(e.ID(), SourceNAT, 100, ofproto.MatchOn(ofproto.Is(RegOut, uint64(e.Tag)), ofproto.IsAddr(IPDst(a), a)), fromGateway(gateway)...)
	if first {
		b.ToGateway(t, gateway)
	}
}

// StillFromGateway has all hosts of a subnet go on to see such connections as their gateway's: those
// that the tracker knows and that are as known says. Whoever has had them need not be
// somebody to whom any are given. Behind a commit nothing is known of what is judged again, or new: then
// RegTarget has the tag. (The datapath may give a new one to who is gone, by what it knew up to there, and ask
// from there on.)
func (b *Builder) StillFromGateway(id intent.ID, t *TenantSite, tag uint32, known []ofproto.Cond, s intent.Subnet) {
	there := []ofproto.Cond{InZone(t.Zone), ofproto.InPrefix(IPDst(s.Gateway), s.CIDR)}
	b.Flow(id, SourceNAT, 51, ofproto.MatchOn(append(there, ofproto.Is(RegTarget, uint64(tag)))...), fromGateway(s.Gateway)...)
	known = append(slices.Concat(known, there), KnownDouble, ofproto.CT(ofproto.Est|ofproto.Trk, ofproto.Rpl))
	b.Flow(id, SourceNAT, 50, ofproto.MatchOn(known...), fromGateway(s.Gateway)...)
}

// fromGateway translates the source to a gateway.
//
// The commit is also that of what is known already: an entry that has been lost comes again,
// and the endpoint never hears of the client itself. If no port is left the packet leaves with
// the gateway's address all the same, and no answer to it comes.
func fromGateway(gateway netip.Addr) []ofproto.Action {
	return []ofproto.Action{
		ofproto.ConnTrack{
			Commit: true, ZoneIn: zoneSource, Table: ofproto.NoTable, NAT: &ofproto.NAT{Src: true, AddrMin: gateway},
			Exec: []ofproto.Action{ofproto.Load{Dst: markDouble, Value: 1}, ofproto.Load{Dst: markCommitted, Value: 1}},
		},
		ofproto.SetAddr(IPSrc(gateway), gateway), ofproto.GotoTable(Out),
	}
}

// ToGateway looks up what is for a gateway in both zones, whatever is stateless: what is an answer has to be translated. What
// comes from its address would be translated to itself, which ovs-vswitchd does not survive.
func (b *Builder) ToGateway(t *TenantSite, gateway netip.Addr) {
	b.Flow(t.ID(), SourceNAT, 200, ofproto.MatchOn(InZone(t.Zone), ofproto.IsAddr(IPSrc(gateway), gateway)), ToDrop(Spoofed)...)
	b.Flow(t.ID(), Stateless, 65535, ofproto.MatchOn(InZone(t.Zone), ofproto.IsAddr(IPDst(gateway), gateway)), ofproto.GotoTable(CtIn))
	b.Flow(t.ID(), CtLookup, 110, ofproto.MatchOn(InZone(t.Zone), ofproto.IsAddr(IPDst(gateway), gateway)),
		ofproto.ConnTrack{ZoneIn: zoneSource, Table: ofproto.NoTable, NAT: &ofproto.NAT{}},
		ofproto.ConnTrack{ZoneIn: Zone, Table: CtState, NAT: &ofproto.NAT{}})
}
