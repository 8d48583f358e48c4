package pipeline

import (
	"net/netip"

	"weir/intent"
	"weir/ofproto"
)

// OwnRoute is the priority in Route above which the prefixes of tenants' networks are, each
// as far as it is long, so that they come before all that is outside; OutsideRoute that of the
// prefixes outside.
const (
	OwnRoute     = 150
	OnLink       = 320 // what a load balancer has given to somebody on the link of its sender; no router counts, so that its last hop is not asked
	RouterItself = 350 // pings of the router's own addresses, also with the last hop
	FromRoute    = 149 // leads what has an address of an outside to the routes of that one
	OutsideRoute = 20
)

// comeBack has what one tenant has sent to another by x come in as if it had left. What the
// first has made of it is in the packet; nothing else of it goes with it, its own addresses
// least of all, but whether these were translated in a common zone. What comes from an outside is not sent there, so that nothing goes in circles.
func comeBack(b *Builder, x ExternalSite) {
	actions := []ofproto.Action{ofproto.CTClear{}, ofproto.Load{Dst: regFlags.Range(0, uint16(Twice)-1)}, ofproto.Load{Dst: regFlags.Range(uint16(Twice)+1, 31)}}
	for r := ofproto.Reg1; r <= ofproto.Reg15; r++ {
		actions = append(actions, ofproto.Set(r.Whole(), 0))
	}
	actions = append(actions, ofproto.Set(RegIn.Whole(), uint64(x.Tag)), FromOutside.Set(), CameAcross.Set(),
		ofproto.SetMAC(ofproto.EthSrc, x.RouterMAC()), ofproto.SetMAC(ofproto.EthDst, RouterMAC))
	b.Flow(x.ID(), Out, 110, ofproto.MatchOn(ofproto.Is(RegOut, uint64(x.Tag)), flagsAre(1<<Across, 1<<FromOutside|1<<CameAcross)),
		append(actions, ofproto.Resubmit{Port: ofproto.PortInPort16, Table: ExtIn})...)
}

// EnterTenant returns the actions that make what comes from outside a tenant's.
func (t *TenantSite) EnterTenant() []ofproto.Action {
	return []ofproto.Action{
		ofproto.Set(Zone, uint64(t.Zone)),
		ofproto.SetField{Field: ofproto.Metadata, Value: ofproto.Uint(uint64(t.Zone) << VRF.Offset)},
		ofproto.GotoTable(CtIn),
	}
}

// outside adds what every bridge has, so that nothing comes in or leaves by accident.
//
// An outside has no policy of its own: what comes from there is judged by the end that it is
// for, and what goes there by the end that it is from. What is to leave comes to Commit like
// all else that may pass, from wherever that was said, and is sent back from there to be told
// as whom: so there is no way past.
func outside(b *Builder, id intent.ID) {
	b.Flow(id, ExtIn, 0, nil, ToDrop(NotOurs)...)
	b.Flow(id, LBVIP, 0, nil, ofproto.GotoTable(IDSrc))
	b.Flow(id, SNATSel, 0, nil, ToDrop(NotTranslated)...)
	withdrawn(b, id)
	if b.translates() {
		againOutside(b, id)
		bothEnds(b, id)
		alongErrors(b, id)
	}
	if len(b.Externals) == 0 {
		return
	}
	entering(b, id)
	leaving(b, id)
	keeping(b, id)
	outward(b, id)
	notAsAlias(b, id)
	for _, x := range b.Externals {
		behindPort(b, x)
		comeBack(b, x)
		neverAlias(b, x)
	}
}

// entering is about what has come from outside.
func entering(b *Builder, id intent.ID) {
	b.Flow(id, PolSkip, 40, ofproto.MatchOn(FromOutside.Is()), MayKeep.Set(), ofproto.GotoTable(PolIn))
	b.Flow(id, Route, 12, ofproto.MatchOn(FromOutside.Is()), ToDrop(NotExpected)...)
}

// leaving is about what is bound for the outside: nothing does that has not been translated, or
// of which nobody has said that it may.
func leaving(b *Builder, id intent.ID) {
	b.Flow(id, PolSkip, 220, ofproto.MatchOn(both(Untracked, ToOutside)), ToDrop(NotTranslated)...)
	b.Flow(id, PolSkip, 230, ofproto.MatchOn(both(DNAT, ToOutside)), ToDrop(NotTranslated)...) // whom an address stands for is inside
	b.Flow(id, PolIn, 65000, ofproto.MatchOn(ToOutside.Is()), ofproto.GotoTable(Commit))
	b.Flow(id, Commit, 220, ofproto.MatchOn(ToOutside.isWithout(SNAT)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATSel}) // before anything is reported
	b.Flow(id, Commit, 139, ofproto.MatchOn(both(ToOutside, SNAT)), ToDrop(NotTranslated)...)                                         // as somebody who is not there
	dnated := uint64(MarkDNAT)
	b.Flow(id, EstNat, 100, ofproto.MatchOn(ToOutside.Is(), ofproto.Masked(ofproto.CTMark, dnated, dnated), ofproto.CT(ofproto.New|ofproto.Rel|ofproto.Trk, ofproto.SNAT)),
		ToDrop(NotTranslated)...) // announced, and no port was left
	for _, r := range []Reason{InvalidState, NotSYN} { // the tracker has not translated it
		b.Flow(id, EstNat, 100, ofproto.MatchOn(ToOutside.Is(), ofproto.Is(RegReason, uint64(r))), ToDrop(NotTranslated)...)
	}
	b.Flow(id, CommitCheck, 60, ofproto.MatchOn(both(SNAT, Limited)), ToDrop(LimitReached)...) // also in an audit: it is not translated
	b.Flow(id, CommitCheck, 10, ofproto.MatchOn(SNAT.isWithout(Limited)), ToDrop(NoPortLeft)...)
	b.Flow(id, SNATSel, 58000, ofproto.MatchOn(ofproto.InPrefix(ofproto.IPv6Src, netip.MustParsePrefix("fe80::/10"))), ToDrop(NotTranslated)...) // RFC 4291, 2.5.6
	translateLate(b, id)
}

// keeping has what a policy keeps, and denies, live on in the epoch that it was judged in, with the rules that have admitted
// it, if it may leave as it does.
func keeping(b *Builder, id intent.ID) {
	for _, ip := range ipVersions {
		b.Flow(id, PolMiss, 251, ofproto.MatchOn(ip, keptOn, ToOutside.isWithout(LivesOn)), LivesOn.Set(), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Commit})
		b.Flow(id, Commit, 240, ofproto.MatchOn(ip, LivesOn.isWithout(ToOutside)), commitAction(), ofproto.GotoTable(Out))
	}
}

// keptOn is the condition that a policy has said that a connection is to live on, and nothing has stopped it.
var keptOn = ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted|MarkKeep), uint64(MarkCommitted|MarkKeep|MarkAudited|MarkBlocked))

// withdrawn ends what is judged again and goes to somebody other than it was opened to, if nothing says
// any more that it may. It is also where nothing says so of anybody, for that may be new.
func withdrawn(b *Builder, id intent.ID) {
	for _, ip := range ipVersions {
		for _, r := range []Reason{NotExpected, NotTranslated} { // a policy keeps what it has admitted, not the address
			b.Flow(id, PolMiss, 270, ofproto.MatchOn(ip, keptOn, ofproto.Is(RegReason, uint64(r))), stopped(), ofproto.GotoTable(Drop))
		}
		b.Flow(id, LBVIP, 150, ofproto.MatchOn(ip, JudgeAgain.Is(), ofproto.Masked(ofproto.CTMark, uint64(MarkDNAT), uint64(MarkDNAT))),
			ofproto.Set(RegReason.Whole(), uint64(NotExpected)), ofproto.GotoTable(PolMiss))
		if len(b.Externals) > 0 { // also when no load balancer is left
			b.Flow(id, LBVIP, 151, ofproto.MatchOn(ip, JudgeAgain.Is(), knownOutward), ofproto.Set(RegReason.Whole(), uint64(NotExpected)), ofproto.GotoTable(PolMiss))
		}
	}
}

// againOutside is about known connections from and to the outside that are judged again: what no
// mapping makes so any more ends.
func againOutside(b *Builder, id intent.ID) {
	b.Flow(id, SNATAgain, 0, nil, astray()...)
	known := Remembered()
	for _, ip := range ipVersions {
		b.Flow(id, SNATSel, 59000, ofproto.MatchOn(ip, JudgeAgain.Is()), astray()...)
		if !b.Features.LateNAT {
			b.Flow(id, SNATSel, 59100, ofproto.MatchOn(ip, known, Related.IsNot()), astray()...)
		}
	}
}

// behindPort is about one outside: what comes in by its port, and goes out there.
func behindPort(b *Builder, x ExternalSite) {
	for _, s := range x.Subnets { // nobody inside is there, and to translate an address to itself is the end of some trackers
		b.Flow(x.ID(), SNATSel, 58000, ofproto.MatchOn(ofproto.InPrefix(IPSrc(s.CIDR.Addr()), s.CIDR)), ToDrop(NotTranslated)...)
	}
	if x.Port == 0 {
		return // what is bound for it ends in Out
	}
	b.Flow(x.ID(), PhyIn, 100, ofproto.MatchOn(ofproto.Is(ofproto.InPort, uint64(x.Port))),
		ofproto.CTClear{}, ofproto.Set(RegIn.Whole(), uint64(x.Tag)), FromOutside.Set(), ofproto.GotoTable(ArpNd))
	b.Flow(x.ID(), Out, 100, ofproto.MatchOn(ofproto.Is(RegOut, uint64(x.Tag))), ofproto.Output{Port: x.Port})
}

// translateLate has one-way traffic translated by a commit, where a lookup does not do it: as it has been so far,
// whatever would translate it by now, or not if it is exempt. What has become of it flows see when it has come back, and Out is to:
// what is an alias there is translated once more, and the tenant that it may be for is asked about it.
func translateLate(b *Builder, id intent.ID) {
	if !b.Features.LateNAT {
		return
	}
	for _, nobody := range []netip.Addr{hairpin4, hairpin6} {
		ip, again, kept := IPVersion(nobody.Is4()), asBefore(true, nobody, Out), commitAction()
		kept.Table, kept.NAT = Out, again.NAT
		b.Flow(id, EstNat, 95, ofproto.MatchOn(ip, flagsAre(1<<ToOutside, 1<<OneWay|1<<FromOutside|1<<Outward|1<<Double), unanswered), again)
		b.Flow(id, Commit, 231, ofproto.MatchOn(ip, flagsAre(1<<LivesOn|1<<SNAT, 1<<Outward)), kept)
	}
	b.Flow(id, EstNat, 94, ofproto.MatchOn(ToOutside.Is(), unanswered), ToDrop(NotTranslated)...) // it has come back, so that whom its address stands for was inside
}

// unanswered is the condition that the tracker has seen no answer to the connection of a packet, which is no announced one.
var unanswered = ofproto.CT(ofproto.New|ofproto.Trk, ofproto.Rel)

// asBefore has the kernel's tracker translate a packet of a connection that it knows, and that nobody has answered, which it does in
// a commit alone: at one of its ends, which is source or else destination. To what it says is of no matter, as that is done already,
// but it has to say something, or does nothing.
func asBefore(source bool, nobody netip.Addr, next ofproto.Table) ofproto.ConnTrack {
	return ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: next, NAT: &ofproto.NAT{Src: source, Dst: !source, AddrMin: nobody}}
}

// astray are the actions that stop a known connection that nobody would translate so any more.
func astray() []ofproto.Action {
	return []ofproto.Action{ofproto.Set(RegReason.Whole(), uint64(NotTranslated)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: PolMiss}}
}

// Remembered is the condition that a packet is of a connection, or of one that such a connection
// has announced, that has been committed.
func Remembered() ofproto.Cond {
	return ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted), uint64(MarkCommitted))
}

// Begins is the condition that a packet from outside belongs to nothing that is known, and that
// no endpoint has been chosen for it.
func Begins() ofproto.Cond {
	return ofproto.Masked(regFlags, 1<<FromOutside, 1<<FromOutside|1<<Established|1<<JudgeAgain|1<<DNAT)
}

// AgainFromOutside is the condition that a packet has come from outside, and is judged again.
func AgainFromOutside() ofproto.Cond { return both(FromOutside, JudgeAgain) }

// both is the condition that two flags are raised.
func both(f, g Flag) ofproto.Cond { return ofproto.Masked(regFlags, 1<<f|1<<g, 1<<f|1<<g) }

// alongErrors translates ICMP errors that travel in the direction in which their connections
// were opened, as those do that a router outside sends to an endpoint about its answers. A
// lookup of the kernel's datapath translates those that travel against it, and leaves the others
// to a commit, which changes nothing else. The userspace datapath's translates all, and none
// twice.
func alongErrors(b *Builder, id intent.ID) {
	s := state{391, ofproto.CT(ofproto.Rel|ofproto.Trk, ofproto.Est|ofproto.New|ofproto.Rpl), MarkCommitted, MarkCommitted | MarkBlocked}
	for i, ip := range ipVersions {
		actions := b.comesBack()
		if len(b.Externals) > 0 && b.Balances { // it has come back once, and must not by an SNAT as well (EstNat, 105)
			actions = append(actions, Double.Set())
		}
		b.Flow(id, CtState, s.priority+uint16(i), s.match(ip), append(actions,
			ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: Route, NAT: &ofproto.NAT{}})...)
	}
}

// announced remembers a connection that a known one has announced, which came from outside or was
// opened to an address that stands for an endpoint's. Whom it is for, and as whom, the tracker
// says only then, so that it has to come back to be routed.
func announced(b *Builder, t *TenantSite, epoch uint32) {
	c := commitAction(ofproto.Load{Dst: markCommitted, Value: 1})
	c.Table, c.NAT = Route, &ofproto.NAT{}
	is := ofproto.CT(ofproto.New|ofproto.Rel|ofproto.Trk, 0)
	from := state{397, is, epoch | MarkCommitted, MarkEpoch | MarkBlocked | MarkCommitted}
	to := state{402, is, epoch | MarkCommitted | MarkDNAT, MarkEpoch | MarkBlocked | MarkCommitted | MarkDNAT}
	for i, ip := range ipVersions {
		actions := append(b.comesBack(), c)
		b.Flow(t.ID(), CtState, from.priority+uint16(i), from.match(ip, InZone(t.Zone), FromOutside.Is()), actions...)
		b.Flow(t.ID(), CtState, to.priority+uint16(i), to.match(ip, InZone(t.Zone)), actions...)
	}
}

// comesBack notes of a packet that is known, and comes back translated to be routed, that it does not once more to leave.
func (b *Builder) comesBack() []ofproto.Action {
	if b.Features.LateNAT {
		return []ofproto.Action{Established.Set(), OneWay.Set()}
	}
	return []ofproto.Action{Established.Set()}
}
