package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// A backend of a load balancer may be outside. What goes there has both ends translated: it is for the
// backend, and from an address whose answers come back. That is two entries of the tracker, and
// both are in the tenant's zone, for there all ports of the tenant's addresses are given away:
//
//	first    client > 203.0.113.40:443        answers  198.51.100.7:8443 > client             balanced, and not MarkDNAT; judged, counted, drained
//	second   client > 198.51.100.7:8443       answers  198.51.100.7:8443 > 203.0.113.40:port  double, and not MarkDNAT
//
// The lookup finds the first one of what the client sends, and the second one of what the backend
// does. The other one has its turn behind it, in the same pass. A tracker that is asked twice in one
// zone takes the packet for one of the entry that it has found before; so it is asked in
// another zone in between, or told to forget.
//
// The source is a load balancer's own address, if that is outside; else it is chosen in SNATSel as that
// of all that leaves. A client may be outside as well: such a packet is crossing (Outward and Double).

// Marks of the two entries, and the bits by which they are known.
const (
	markOutward = MarkCommitted | MarkBalanced
	markSecond  = MarkCommitted | MarkDouble
	halfBits    = MarkCommitted | MarkBalanced | MarkDouble | MarkDNAT
)

var (
	knownOutward = ofproto.Masked(ofproto.CTMark, uint64(markOutward), uint64(halfBits))
	knownSecond  = ofproto.Masked(ofproto.CTMark, uint64(markSecond), uint64(halfBits))
)

// Outward reports whether c goes to a backend of a load balancer that is outside, as its client
// knows it.
func (c Connection) Outward() bool { return c.Mark&halfBits == markOutward }

// Second reports whether c is such a connection as its backend knows it.
func (c Connection) Second() bool { return c.Mark&halfBits == markSecond }

// second returns the other half of a connection to a backend outside.
func (c Connection) second() Connection {
	c.Orig, c.Mark = c.Reply.answered(), markSecond
	return c
}

// elsewhere asks the tracker in a zone in which nothing is found: so the next zone that it is asked
// in is another one.
var elsewhere = ofproto.ConnTrack{ZoneIn: zoneSource, Table: ofproto.NoTable}

// flagsAre is the condition that some flags are raised, and others are not.
func flagsAre(raised, lowered uint64) ofproto.Cond {
	return ofproto.Masked(regFlags, raised, raised|lowered)
}

// Priorities in SNATSel of what leaves as the address of a load balancer: of what has that already, of what is new,
// and of what crosses without.
const (
	leavesAsOwn    = 58501
	leavesAs       = 58500
	leavesAsNobody = 58499
)

const (
	outwardNew = 1<<DNAT | 1<<Outward | 1<<ToOutside
	crossing   = 1<<Outward | 1<<Double
)

// outward adds what every bridge with an outside and load balancers has, so that what goes to a backend
// outside leaves with both ends translated, or not at all.
func outward(b *Builder, id intent.ID) {
	if len(b.Externals) == 0 || !b.Balances {
		return
	}
	cross(b, id)
	b.Flow(id, PolSkip, 232, ofproto.MatchOn(flagsAre(outwardNew|crossing, 0)), published...)
	b.Flow(id, PolSkip, 231, ofproto.MatchOn(flagsAre(outwardNew, 1<<Double)), ofproto.GotoTable(PolOut))
	b.Flow(id, PolSkip, 60, ofproto.MatchOn(flagsAre(crossing|1<<ToOutside, 0)), published...)
	for _, ip := range ipVersions {
		b.Flow(id, LBVIP, 211, ofproto.MatchOn(ip, JudgeAgain.Is(), knownSecond), ToDrop(NotExpected)...) // whoever sends that is not the client
		b.Flow(id, EstNat, 110, ofproto.MatchOn(ip, knownSecond, ofproto.CT(ofproto.Trk|ofproto.Rpl, 0)),
			ofproto.CTClear{}, ofproto.ConnTrack{ZoneIn: Zone, Table: ofproto.NoTable, NAT: &ofproto.NAT{}}, ofproto.GotoTable(Out))
	}
	secondHalf(b, id)
}

// published are the actions that let what crosses pass. No endpoint has to do with it, so that no policy
// is asked: whoever has published the address has said that it may.
var published = []ofproto.Action{ofproto.Move{Src: RegTarget.Whole(), Dst: RegRuleIn.Whole()}, ofproto.GotoTable(Commit)}

// cross has the router lead what has come from outside back there, if it is of a load balancer's
// connection: by the outside by which it came, where there are several. What has come from another tenant of the bridge goes to no third one, and what crosses has
// nothing to do with addresses that tenants share (Twice): else nothing would bound how often a packet comes
// back.
func cross(b *Builder, id intent.ID) {
	over := []ofproto.Action{FromOutside.Clear(), Outward.Set(), Double.Set(), Twice.Set()}
	lead := func(id intent.ID, over []ofproto.Action, conds ...ofproto.Cond) {
		b.Flow(id, Route, 148, ofproto.MatchOn(append(conds, flagsAre(1<<FromOutside|1<<Outward, 0))...), over...)
		b.Flow(id, Route, 147, ofproto.MatchOn(append(conds, FromOutside.isWithout(DNAT), knownOutward)...), over...)
		b.Flow(id, Route, 146, ofproto.MatchOn(append(conds, FromOutside.isWithout(DNAT), knownSecond)...), over...)
	}
	if len(b.Externals) == 1 {
		lead(id, append(over, ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Route}))
	}
	for _, x := range b.Externals {
		if len(b.Externals) > 1 { // it has come by the one that its load balancer is on
			lead(x.ID(), append(over[:len(over):len(over)], ofproto.Set(RegNextHop.Whole(), uint64(x.Tag)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: RouteFrom}),
				ofproto.Is(RegIn, uint64(x.Tag)))
		}
		out := ofproto.Is(RegOut, uint64(x.Tag))
		b.Flow(x.ID(), Out, 112, ofproto.MatchOn(out, both(Across, CameAcross)), ToDrop(NotExpected)...)
		if x.Port != 0 {
			b.Flow(x.ID(), Out, 101, ofproto.MatchOn(out, ofproto.Is(ofproto.InPort, uint64(x.Port))), ofproto.Output{Port: ofproto.PortInPort})
		}
	}
}

// secondHalf has the source of what goes to a backend outside translated, once its destination
// is: of what is new, of what is judged again, and of what is known.
func secondHalf(b *Builder, id intent.ID) {
	const again, toOut = 1 << JudgeAgain, 1 << ToOutside
	b.Flow(id, SNATSel, leavesAsNobody, ofproto.MatchOn(flagsAre(crossing, 0)), ToDrop(NotTranslated)...)
	b.Flow(id, Commit, 229, ofproto.MatchOn(flagsAre(1<<Outward|1<<SNAT, 1<<DNAT|1<<FromOutside)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATLate})
	b.Flow(id, Commit, 219, ofproto.MatchOn(flagsAre(1<<Outward, 1<<DNAT|1<<SNAT)), ToDrop(NotTranslated)...)
	b.Flow(id, SNATLate, 20, ofproto.MatchOn(Outward.Is()), ToDrop(NotTranslated)...)
	b.Flow(id, CommitCheck, 112, ofproto.MatchOn(flagsAre(1<<Outward, 1<<DNAT), knownSecond), ofproto.GotoTable(Out))
	b.Flow(id, CommitCheck, 113, ofproto.MatchOn(flagsAre(1<<Outward|1<<DNAT, 1<<FromOutside), knownOutward), afterFirst(true)...)
	b.Flow(id, Commit, 169, ofproto.MatchOn(flagsAre(1<<Outward|1<<DNAT|1<<SNAT, 0)), ToDrop(NotTranslated)...) // to nobody that is listed
	b.Flow(id, EstNat, 104, ofproto.MatchOn(ToOutside.Is(), knownOutward), ToDrop(NotTranslated)...)            // it crosses, by an address that has no backend outside any more
	itself := []ofproto.Cond{knownOutward, leftAsItself}
	b.Flow(id, EstNat, 109, ofproto.MatchOn(append(itself, flagsAre(toOut, 1<<FromOutside|1<<Double))...), ofproto.GotoTable(Out))
	b.Flow(id, Commit, 227, ofproto.MatchOn(append(itself, flagsAre(again|toOut, 1<<SNAT|1<<FromOutside|1<<Double))...), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATSel}) // is it still?
	b.Flow(id, EstNat, 105, ofproto.MatchOn(flagsAre(toOut, 1<<FromOutside|1<<Double), knownOutward),
		Outward.Set(), ofproto.CTClear{}, ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATSel})
	for _, ip := range ipVersions {
		b.Flow(id, CommitCheck, 114, ofproto.MatchOn(ip, flagsAre(1<<Outward, 1<<DNAT), knownSecond, ObjectIs(0)), // it has been lost, and is there again
			ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: ofproto.NoTable, Exec: []ofproto.Action{ofproto.Move{Src: RegSNAT.Whole(), Dst: labelObject}}}, ofproto.GotoTable(Out))
		for _, f := range restamps() {
			b.Flow(id, Commit, 221+f.above, ofproto.MatchOn(append(f.conds, ip, flagsAre(again|toOut, 1<<DNAT|1<<SNAT|1<<FromOutside|1<<Double), knownOutward)...),
				f.commit, elsewhere, JudgeAgain.Clear(), Established.Set(), Outward.Set(), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATSel})
		}
	}
}

// A restamp gives the first entry of a connection that has been judged again what it is remembered
// with by now.
type restamp struct {
	above  uint16
	conds  []ofproto.Cond
	commit ofproto.ConnTrack
}

// restamps are those of whole packets, of later fragments, which know no rule, and of what lives on though it is denied.
func restamps() []restamp {
	later := ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: ofproto.NoTable, Exec: []ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}}}
	return []restamp{{0, nil, admittedBy(0)}, {1, []ofproto.Cond{IsLaterFragment}, later}, {2, []ofproto.Cond{LivesOn.Is()}, commitAction()}}
}

// afterFirst are the actions that go on to the second half behind the commit of the first.
// checked is that the packet has come back in between.
func afterFirst(checked bool) []ofproto.Action {
	apart := ofproto.Action(elsewhere)
	if checked {
		apart = ofproto.CTClear{}
	}
	return []ofproto.Action{apart, DNAT.Clear(), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Commit}}
}

var notedOutward = []ofproto.Action{ofproto.Load{Dst: markBalanced, Value: 1}, ofproto.Move{Src: RegTarget.Whole(), Dst: labelObject}, ofproto.Move{Src: AsItself.bit(), Dst: labelItself}}

// ToBackendOutside adds the flow of Commit that remembers connections to a backend of l that is outside: x says
// which, as to Translate. set writes the backend into a packet.
func (b *Builder) ToBackendOutside(t *TenantSite, l *BalancerSite, x Translation, set []ofproto.Action) {
	c := admittedBy(0)
	nat := x.NAT
	c.NAT = &nat
	c.Exec = append(c.Exec, notedOutward...)
	if l.SNAT == intent.SNATNever && !l.Inside() {
		c.Exec = append(c.Exec, ofproto.Load{Dst: labelNever, Value: 1})
	}
	if nat.PortMin != 0 {
		c.Exec = append(c.Exec, ofproto.Load{Dst: labelPort, Value: uint64(nat.PortMin)})
	}
	actions := append(append(append([]ofproto.Action{}, x.First...), x.Port...), c)
	if t.Limits.Connections > 0 { // it comes back to see whether it is remembered
		c.Table = CommitCheck
		actions[len(actions)-1] = c
	} else {
		actions = append(append(actions, set...), afterFirst(false)...)
	}
	conds := append(append([]ofproto.Cond{Outward.Is()}, x.Conds...), x.Service...)
	b.Flow(x.Of, Commit, 170, ofproto.MatchOn(conds...), actions...)
}

// AsTheyAre returns the actions of SNATSel that let something leave with its sender's address. of says by whose leave.
func (t *TenantSite) AsTheyAre(of ofproto.Action) []ofproto.Action {
	if t.Balances {
		return []ofproto.Action{SNAT.Set(), of, AsItself.Set(), ofproto.GotoTable(Commit)}
	}
	return []ofproto.Action{SNAT.Set(), of, ofproto.GotoTable(Commit)}
}

// LeaveFrom has what is new, and for a backend outside of l, leave by x from the address that l has there.
func (b *Builder) LeaveFrom(t *TenantSite, x ExternalSite, l *BalancerSite) {
	to := IPSrc(l.Address)
	for _, p := range l.Ports {
		leaves := []ofproto.Cond{InZone(t.Zone), IPVersion(l.Address.Is4()), ofproto.Is(RegOut, uint64(x.Tag)), flagsAre(1<<Outward|1<<DNAT, 0), ofproto.Is(RegTarget, uint64(b.Numbers.Tag(ServiceID(l.LoadBalancer, p))))}
		b.Flow(l.ID(), SNATSel, leavesAs, ofproto.MatchOn(leaves...), SNAT.Set(), ofproto.Set(RegSNAT.Whole(), uint64(b.Numbers.Tag(l.LeavesAs))), ofproto.GotoTable(Commit))
		b.Flow(l.ID(), SNATSel, leavesAsOwn, ofproto.MatchOn(append(leaves, ofproto.IsAddr(to, l.Address))...), ToDrop(Spoofed)...)
	}
}

// LeaveAs has known connections by the load balancers of t at an address outside leave from that to
// their backends outside. id is whoever brings it, one for each address.
func (b *Builder) LeaveAs(t *TenantSite, id intent.ID, own netip.Addr) {
	tag := uint64(b.Numbers.Tag(id))
	original := ofproto.CTNwDst
	if own.Is6() {
		original = ofproto.CTIPv6Dst
	}
	here := []ofproto.Cond{InZone(t.Zone), IPVersion(own.Is4()), ofproto.CT(ofproto.Trk, ofproto.Inv), ofproto.IsAddr(original, own)}
	as := []ofproto.Action{SNAT.Set(), ofproto.Set(RegSNAT.Whole(), tag)}
	on := ofproto.Resubmit{Port: ofproto.PortInPort16, Table: Commit}
	here = append(here, knownOutward, leftAsBalancer)
	by := ofproto.Move{Src: labelObject, Dst: RegTarget.Whole()}
	b.Flow(id, EstNat, 108, ofproto.MatchOn(append(here, ToOutside.Is())...), append(as, by, Outward.Set(), ofproto.CTClear{}, on)...)
	for _, f := range restamps() {
		b.Flow(id, Commit, 224+f.above, ofproto.MatchOn(append(append(f.conds, here...), flagsAre(1<<JudgeAgain|1<<ToOutside, 1<<SNAT))...),
			append(append([]ofproto.Action{}, as...), f.commit, elsewhere, JudgeAgain.Clear(), Outward.Set(), on)...)
	}
	translating{Translation{Of: id, Conds: []ofproto.Cond{IPVersion(own.Is4()), SNAT.Is(), ofproto.Is(RegSNAT, tag), flagsAre(1<<Outward, 0)}, NAT: ofproto.NAT{Src: true, AddrMin: own}, Sure: true}, b, t}.second(110, RegTarget)
}

// outward translates the source of what goes to a backend outside. What is known goes this way, too:
// an entry that has been lost comes again, and one that there is stays as it is, whatever would translate a new
// connection. What leaves with its own address has one entry only, which answers come back to.
//
// What crosses leaves as the load balancer's address, and never as anybody else.
func (as translating) outward() {
	if !as.t.Balances || as.NAT.Dst || len(as.t.Outsides) == 0 {
		return
	}
	conds := as.Conds[:len(as.Conds):len(as.Conds)]
	as.Conds = append(conds, flagsAre(1<<Outward, 1<<Double))
	known := append(conds, flagsAre(1<<Outward|1<<Established, 1<<DNAT|1<<Double|1<<CameAcross|1<<OneWay))
	if as.NAT == (ofproto.NAT{}) {
		as.b.Flow(as.Of, SNATLate, 110, ofproto.MatchOn(as.Conds...), ofproto.GotoTable(Out))
		as.b.Flow(as.Of, SNATLate, 111, ofproto.MatchOn(known...), ofproto.ConnTrack{ZoneIn: Zone, Table: Out, NAT: &ofproto.NAT{}}) // it may have left as an alias, which Out is to see
		return
	}
	as.second(110, RegSNAT)
	if !as.Sure || as.Then != nil || as.t.leavesOtherwise(as.Translation) { // it may have left as something else
		as.Conds, as.Sure, as.Then = known, false, nil
		as.second(111, nobody)
	}
}

// nobody is who has made a second entry that may have been there before.
const nobody = ofproto.Field(0)

// leavesOtherwise reports whether what x is for may have left as something else that t still has, when
// x was not there.
func (t *TenantSite) leavesOtherwise(x Translation) bool {
	if len(t.Outsides) > 1 {
		return true
	}
	return slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool {
		return slices.ContainsFunc(s.Pools, func(p intent.Pool) bool {
			return p.Is4() == x.NAT.AddrMin.Is4() && slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Lo != x.NAT.AddrMin || r.Hi != r.Lo })
		})
	})
}

// second adds the flow that makes the second entry. It is remembered with what a register says has made it, or
// CommitCheck sees to that if nobody has.
func (as translating) second(priority uint16, of ofproto.Field) {
	nat := as.NAT
	c := ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: ofproto.NoTable, NAT: &nat, Exec: []ofproto.Action{
		ofproto.Load{Dst: markDouble, Value: 1}, ofproto.Load{Dst: markCommitted, Value: 1},
	}}
	if of != nobody {
		c.Exec = append(c.Exec, ofproto.Move{Src: of.Whole(), Dst: labelObject})
	}
	c.Exec = append(c.Exec, ofproto.Load{Dst: labelLayout, Value: LabelLayout})
	then := as.Then
	switch {
	case then != nil:
	case as.Sure:
		then = []ofproto.Action{ofproto.SetAddr(IPSrc(as.NAT.AddrMin), as.NAT.AddrMin), ofproto.GotoTable(Out)}
	default:
		c.Table = CommitCheck
	}
	as.b.Flow(as.Of, SNATLate, priority, ofproto.MatchOn(slices.Concat(as.Conds, as.Service)...), append([]ofproto.Action{c}, then...)...)
}
