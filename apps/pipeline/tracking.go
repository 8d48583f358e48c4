package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

var ipVersions = []ofproto.Cond{ofproto.IsIPv4, ofproto.IsIPv6}

// track asks the connection tracker about every IP packet that is to be tracked.
func track(b *Builder, id intent.ID) {
	b.Flow(id, Stateless, 0, nil, ofproto.GotoTable(StatelessReply))
	b.Flow(id, StatelessReply, 0, nil, ofproto.GotoTable(CtIn))
	b.Flow(id, StatelessIn, 0, nil, ofproto.GotoTable(StatelessInReply))
	b.Flow(id, CtIn, 0, nil, ToDrop(NoState)...) // a zone whose connections nobody answers for
	for _, ip := range ipVersions {
		b.Flow(id, CtLookup, 100, ofproto.MatchOn(ip), ofproto.ConnTrack{ZoneIn: Zone, Table: CtState, NAT: &ofproto.NAT{}})
	}
	b.Flow(id, CtLookup, 0, nil, ToDrop(NotIP)...)
}

// A state is what the tracker says of a packet, and what it has noted of the connection.
type state struct {
	priority   uint16
	ct         ofproto.Cond
	mark, mask uint32 // of ct_mark; no mask: whatever it is
}

// match is the condition of s, and more.
func (s state) match(more ...ofproto.Cond) ofproto.Match {
	conds := append(more, s.ct)
	if s.mask != 0 {
		conds = append(conds, ofproto.Masked(ofproto.CTMark, uint64(s.mark), uint64(s.mask)))
	}
	return ofproto.MatchOn(conds...)
}

// above returns s where it is asked before everybody's.
func (s state) above() state {
	s.priority++
	return s
}

// The states that say nothing of an epoch, and so are the same for all tenants.
var (
	aboutKnown    = state{390, ofproto.CT(ofproto.Rel|ofproto.Trk, ofproto.Est|ofproto.New), 0, MarkBlocked}
	replyKnown    = state{370, ofproto.CT(ofproto.Est|ofproto.Rpl|ofproto.Trk, 0), 0, MarkBlocked}
	replyBlocked  = state{365, ofproto.CT(ofproto.Est|ofproto.Rpl|ofproto.Trk, 0), MarkBlocked, MarkBlocked}
	ofAnotherTime = state{360, ofproto.CT(ofproto.Est|ofproto.Trk, ofproto.Rpl), 0, 0}
	invalid       = state{350, ofproto.CT(ofproto.Inv|ofproto.Trk, 0), 0, 0}
	unknown       = state{300, ofproto.CT(ofproto.New|ofproto.Trk, 0), 0, 0}
	aboutBlocked  = state{10, ofproto.CT(ofproto.Rel|ofproto.Trk, 0), 0, 0} // an ICMP error about a connection that was stopped
)

// The ends of CtState.
var (
	establish = []ofproto.Action{Established.Set(), ofproto.GotoTable(Route)}
	judge     = []ofproto.Action{ofproto.GotoTable(LBVIP)}
)

// known classifies what the tracker said of a packet, once and for all: no later table
// looks at ct_state.
//
// A connection carries the epoch of the policy that admitted it. When the policy is
// narrowed the tenant's epoch moves on, and each connection of an older one is judged
// once more in its original direction. Replies pass meanwhile: they cannot be judged,
// and the original direction is, or the connection is idle.
//
// A state that names the epoch is each tenant's own, in epoch; the others are the same
// for all. Where a tenant wants something else, its own flow stands above them.
func known(b *Builder, id intent.ID) {
	all := func(s state, actions ...ofproto.Action) { b.Flow(id, CtState, s.priority, s.match(), actions...) }
	all(aboutKnown, establish...)
	all(replyKnown, establish...)
	all(replyBlocked, ToDrop(BlockedBefore)...)
	all(ofAnotherTime, append([]ofproto.Action{JudgeAgain.Set()}, judge...)...)
	all(invalid, ToDrop(InvalidState)...)
	all(unknown, judge...)
	b.Flow(id, CtState, 0, nil, ToDrop(NoState)...)
	unratedNew(b, id)
}

// begin gives a packet what the tenant's connections are judged by, and asks the tracker.
func (t *TenantSite) begin() []ofproto.Action {
	actions := []ofproto.Action{ofproto.Set(Epoch, uint64(t.Epoch)), ours.Set()}
	if t.Source != 0 {
		actions = append(actions, ofproto.Set(zoneSource, uint64(t.Source)))
	}
	if t.Limits.Connections > 0 {
		actions = append(actions, Limited.Set())
	}
	return append(actions, ofproto.GotoTable(CtLookup))
}

// state adds what a tenant does with packets in a state.
func (t *TenantSite) state(b *Builder, s state, actions ...ofproto.Action) {
	b.Flow(t.ID(), CtState, s.priority, s.match(InZone(t.Zone)), actions...)
}

// epoch adds the epoch of a tenant, and the states that name it. No other flow of the tenant
// has the table and the priority of one of these, so that they can be put in place of those
// of another epoch.
func epoch(b *Builder, t *TenantSite) {
	b.Flow(t.ID(), CtIn, 100, ofproto.MatchOn(InZone(t.Zone)), t.begin()...)

	now := uint32(t.Epoch)
	t.state(b, state{400, ofproto.CT(ofproto.Est|ofproto.Trk, 0), now, MarkEpoch | MarkBlocked}, establish...)
	if t.follows() { // it has its parent's mark, and is not committed yet
		t.state(b, state{396, ofproto.CT(ofproto.New|ofproto.Rel|ofproto.Trk, 0), now | MarkCommitted, MarkEpoch | MarkBlocked | MarkCommitted}, Related.Set(), ofproto.GotoTable(Route))
		if len(t.Outsides) > 0 {
			announced(b, t, now)
		}
	}
	// One-way traffic stays +new for ever: without this every packet would be judged.
	t.state(b, state{395, ofproto.CT(ofproto.New|ofproto.Trk, ofproto.Rel), now | MarkCommitted, MarkEpoch | MarkBlocked | MarkCommitted}, establish...)
	if len(t.Outsides) > 0 && b.Features.LateNAT { // its target has to be put in by a commit
		s := state{398, ofproto.CT(ofproto.New|ofproto.Trk, ofproto.Rel), now | MarkCommitted, MarkEpoch | MarkBlocked | MarkCommitted}
		b.Flow(t.ID(), CtState, s.priority, s.match(InZone(t.Zone), FromOutside.Is()), judge...)
	}
	if b.Features.LateNAT {
		late(b, t, now)
	}
	t.state(b, state{380, ofproto.CT(ofproto.Est|ofproto.Trk, 0), now | MarkBlocked, MarkEpoch | MarkBlocked}, t.stop(BlockedBefore)...)
}

// otherStates adds what a tenant wants otherwise than others.
func otherStates(b *Builder, t *TenantSite) {
	if t.rated() {
		t.state(b, unknown.above(), t.judged()...)
		rate(b, t)
	}
	if t.InvalidAllow {
		t.state(b, invalid.above(), unchecked(InvalidState)...)
	}
	if t.StrictTCP {
		beginWithSYN(b, t)
	}
	if t.Mode == intent.Audit {
		t.state(b, replyBlocked.above(), t.stop(BlockedBefore)...)
		if !t.InvalidAllow {
			t.state(b, invalid.above(), t.stop(InvalidState)...)
		}
		t.state(b, aboutBlocked, t.stop(BlockedBefore)...)
		audit(b, t)
	}
}

// follows reports whether t has a rule with a gateway, which announces connections.
func (t *TenantSite) follows() bool {
	return slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool {
		return slices.ContainsFunc(p.Rules, func(r *intent.Rule) bool { return r.ALG != "" })
	})
}

// stop returns the actions that end the way of a packet of t. In an audit it is counted,
// with the reason, and goes on.
func (t *TenantSite) stop(r Reason) []ofproto.Action {
	if t.Mode == intent.Audit {
		return unchecked(r)
	}
	return ToDrop(r)
}

// unchecked returns the actions that let a packet go on that is not as it should be. The
// reason stays with it, for it may not be translated.
func unchecked(r Reason) []ofproto.Action {
	return append([]ofproto.Action{ofproto.Set(RegReason.Whole(), uint64(r))}, establish...)
}

// beginWithSYN judges a TCP connection that is new only if it begins with a SYN (RFC 9293,
// 3.5). The tracker would take up one that begins with any other segment as well.
func beginWithSYN(b *Builder, t *TenantSite) {
	otherwise := ToDrop(NotSYN)
	switch {
	case t.InvalidAllow:
		otherwise = unchecked(NotSYN)
	case t.Mode == intent.Audit:
		otherwise = append([]ofproto.Action{ofproto.Set(RegReason.Whole(), uint64(NotSYN)), Audited.Set()}, judge...)
	}
	const syn, begin = 0x002, 0x017 // of FIN, SYN, RST and ACK a beginning has SYN alone
	for _, ip := range ipVersions {
		tcp := []ofproto.Cond{InZone(t.Zone), ofproto.CT(ofproto.New|ofproto.Trk, 0), ip, ofproto.Is(ofproto.IPProto, ProtoTCP)}
		b.Flow(t.ID(), CtState, 310, ofproto.MatchOn(append(tcp, ofproto.Masked(ofproto.TCPFlags, syn, begin))...), t.judged()...)
		b.Flow(t.ID(), CtState, 305, ofproto.MatchOn(tcp...), otherwise...)
	}
}

// audit lets pass what the policy of a tenant denies. It is counted, by reason, and the
// connection is remembered with the rule that would have stopped it.
func audit(b *Builder, t *TenantSite) {
	for _, r := range []Reason{NotItsRole, DeniedByRule, RejectedByRule, DeniedByDefault, RefusedRule} {
		b.Flow(t.ID(), PolMiss, 200, ofproto.MatchOn(InZone(t.Zone), ofproto.Is(RegReason, uint64(r))),
			Audited.Set(), Keep.Clear(), ofproto.GotoTable(Commit))
	}
	if t.Limits.Connections > 0 {
		untranslated := ofproto.Masked(regFlags, 0, 1<<DNAT|1<<SNAT) // what is not remembered is not translated, and is nobody's
		b.Flow(t.ID(), CommitCheck, 50, ofproto.MatchOn(InZone(t.Zone), untranslated), ofproto.Set(RegReason.Whole(), uint64(LimitReached)), ofproto.GotoTable(Out))
	}
}

// untracked lets the packets of a tenant pass that wants no firewall, without a lookup.
// What its own port security has refused does not come here.
func untracked(b *Builder, t *TenantSite) {
	b.Flow(t.ID(), Stateless, 65535, ofproto.MatchOn(InZone(t.Zone)), Untracked.Set(), ofproto.GotoTable(Route))
}

// commit remembers a connection that both ends have admitted, with the rules that
// did, and stops one that is judged again and fails.
func commit(b *Builder, id intent.ID) {
	for _, ip := range ipVersions {
		remember(b, id, 100, 0, ip)
		remember(b, id, 110, algFTP, ip, ofproto.Is(ofproto.IPProto, ProtoTCP), FTP.Is())
		remember(b, id, 110, algTFTP, ip, ofproto.Is(ofproto.IPProto, ProtoUDP), TFTP.Is())
		// The tracker has given it the mark and the label of its parent already.
		b.Flow(id, Commit, 120, ofproto.MatchOn(ip, Related.Is()), commitAction(ofproto.Load{Dst: markCommitted, Value: 1}), ofproto.GotoTable(Out))
		b.Flow(id, PolMiss, 250, ofproto.MatchOn(ip, keptOn),
			commitAction(), ofproto.GotoTable(Out)) // it lives on, in the epoch that it was judged in
		b.Flow(id, PolMiss, 100, ofproto.MatchOn(ip, JudgeAgain.Is()), stopped(), ofproto.GotoTable(Drop))
	}
	b.Flow(id, PolMiss, 0, nil, ofproto.GotoTable(Drop))
	b.Flow(id, Commit, 0, nil, ToDrop(NotIP)...)
	b.Flow(id, CommitCheck, 100, ofproto.MatchOn(ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted), uint64(MarkCommitted))), ofproto.GotoTable(Out))
	b.Flow(id, CommitCheck, 0, nil, ToDrop(LimitReached)...)
	b.Flow(id, EstNat, 0, nil, ofproto.GotoTable(Out))
	b.Flow(id, PolSkip, 200, ofproto.MatchOn(Untracked.Is()), ofproto.GotoTable(Out))
	b.Flow(id, PolSkip, 150, ofproto.MatchOn(Related.Is()), ofproto.GotoTable(Commit))
	b.Flow(id, PolSkip, 100, ofproto.MatchOn(Established.Is()), ofproto.GotoTable(EstNat))
	b.Flow(id, PolSkip, 0, nil, ofproto.GotoTable(PolOut))
}

// remember commits what matches, and puts it out. Over the limit of a zone the userspace
// datapath commits nothing and goes on as if it had; so a packet of a tenant that has a
// limit comes back with what has become of it, at the price of a recirculation for each new
// connection. (The kernel's datapath drops it by itself.)
func remember(b *Builder, id intent.ID, priority uint16, alg uint16, ip ofproto.Cond, conds ...ofproto.Cond) {
	conds = append(conds, ip)
	c := admittedBy(alg)
	c.NAT = b.unique(ip)
	b.Flow(id, Commit, priority, ofproto.MatchOn(conds...), c, ofproto.GotoTable(Out))
	check := c
	check.Table = CommitCheck
	b.Flow(id, Commit, priority+5, ofproto.MatchOn(append(conds, Limited.Is())...), check)
}

// unique is the translation of what is not to be translated, where other connections are: to
// whatever source it has, but for its port if the answers to it were those to another one. That
// is so where the one goes to an address that stands for an endpoint's, and the other to the
// endpoint. Without, one of the two fails. nil: there are none such, or the bridge cannot.
func (b *Builder) unique(ip ofproto.Cond) *ofproto.NAT {
	switch {
	case !b.Features.NullNAT || !b.translates():
		return nil
	case ip == ofproto.IsIPv4:
		return &ofproto.NAT{Src: true, AddrMin: netip.IPv4Unspecified()}
	}
	return &ofproto.NAT{Src: true, AddrMin: netip.IPv6Unspecified()}
}

// The ports by which the tracker's gateways are known.
const (
	algFTP  = 21
	algTFTP = 69
)

// admittedBy remembers a connection with the rules that admitted it, and has a gateway
// read it, if alg is not zero. Only the commit names the gateway: the lookup finds it in
// the entry, where the port is the protocol's own.
func admittedBy(alg uint16) ofproto.ConnTrack {
	a := admitted
	a.ALG = alg
	return a
}

// admitted is what admittedBy has in common: there may be as many flows with it as load balancers have
// backends.
var admitted = func() ofproto.ConnTrack {
	a := commitAction()
	a.Exec = slices.Clip(append(judged[:len(judged):len(judged)], ofproto.Load{Dst: labelLayout, Value: LabelLayout}))
	return a
}()

// judged is what the policy has to say of a connection: that it is ours, in which epoch, and not blocked, what
// becomes of it when its policy is changed, its class, and its rules.
var judged = []ofproto.Action{
	ofproto.Move{Src: regJudged[0], Dst: markJudged[0]},
	ofproto.Move{Src: regJudged[1], Dst: markJudged[1]},
	ofproto.Move{Src: RegRuleOut.Whole(), Dst: labelRuleOut},
	ofproto.Move{Src: RegRuleIn.Whole(), Dst: labelRuleIn},
}

// stopped remembers that a connection that was judged again is denied.
func stopped() ofproto.Action { return commitAction(ofproto.Load{Dst: markBlocked, Value: 1}) }

// commitAction writes the epoch that the packet was judged in, and more. It has no
// NAT: one that changes nothing aborts the userspace datapath of older versions.
func commitAction(exec ...ofproto.Action) ofproto.ConnTrack {
	return ofproto.ConnTrack{
		Commit: true, ZoneIn: Zone, Table: ofproto.NoTable,
		Exec: append([]ofproto.Action{ofproto.Move{Src: Epoch, Dst: markEpoch}}, exec...),
	}
}
