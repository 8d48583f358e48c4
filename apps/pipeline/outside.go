package pipeline

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// OwnRoute is the priority in Route above which the prefixes of tenants' networks are, each
// as far as it is long, so that they come before all that is outside; OutsideRoute that of the
// prefixes outside.
const (
	OwnRoute     = 150
	RouterItself = 350 // pings of the router's own addresses, also with the last hop
	FromRoute    = 149 // leads what has an address of an outside to the routes of that one
	OutsideRoute = 20
)

// An ExternalSite is an outside of a bridge whose port is there.
type ExternalSite struct {
	*intent.External
	Tag  uint32
	Port uint32 // OpenFlow port
}

// RouterMAC returns the router's Ethernet address on that side. One that is not declared is
// made from the names of the bridge and the network: locally administered, and another on each
// bridge, for several may be on the same link.
func (x ExternalSite) RouterMAC() [6]byte {
	if x.MAC != (intent.MAC{}) {
		return x.MAC
	}
	h := fnv.New32a()
	h.Write([]byte(x.ID()))
	sum := h.Sum32()
	return [6]byte{0x02, 'w', byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// NextHopID names a next hop of an outside.
func NextHopID(x *intent.External, hop netip.Addr) intent.ID {
	return x.ID() + intent.ID("/nexthop/"+hop.String())
}

// externalIDs are those of a bridge's intents that have to do with what is outside.
func externalIDs(b *intent.Bridge) (ids []intent.ID) {
	for _, x := range b.Externals {
		ids = append(ids, x.ID())
		for _, h := range x.NextHops {
			ids = append(ids, NextHopID(x, h.Address))
		}
	}
	return ids
}

// translationIDs are those of a tenant's intents that translate.
func translationIDs(t *intent.Tenant) (ids []intent.ID) {
	for _, s := range t.SNATs {
		if ids = append(ids, s.ID()); len(s.Exempt) > 0 {
			ids = append(ids, ExemptID(s))
		}
	}
	for _, f := range t.FloatingIPs {
		ids = append(ids, f.ID())
	}
	for _, f := range t.PortForwards {
		ids = append(ids, f.ID())
	}
	return ids
}

// ExemptID names what an SNAT lets leave untranslated.
func ExemptID(s *intent.SNAT) intent.ID { return s.ID() + "/exempt" }

// externals returns the outsides of a bridge, and those whose port is not there.
func (in Input) externals(b *intent.Bridge, ports map[binding]uint32) (all []ExternalSite, absent []Pending) {
	for _, x := range b.Externals {
		at := binding{false, x.Port}
		if port, ok := ports[at]; ok {
			all = append(all, ExternalSite{x, in.Numbers.Tag(x.ID()), port})
		} else {
			absent = append(absent, Pending{x.ID(), at.absent(in.Bridge)})
		}
	}
	return all, absent
}

// Outside returns the outside of the bridge by a name, if its port is there.
func (b *Builder) Outside(network string) (x ExternalSite, ok bool) {
	i := slices.IndexFunc(b.Externals, func(x ExternalSite) bool { return x.Network == network })
	if i < 0 {
		return x, false
	}
	return b.Externals[i], true
}

// ToOutsideOf returns the actions that send a packet out by x.
func (x ExternalSite) ToOutsideOf(mac [6]byte) []ofproto.Action {
	return []ofproto.Action{
		ofproto.SetMAC(ofproto.EthDst, mac),
		ofproto.Set(RegOut.Whole(), uint64(x.Tag)), ToOutside.Set(), ofproto.GotoTable(PolSkip),
	}
}

// ToTenants returns the actions that send a packet to x, and from there to the tenant that has
// its destination.
func (x ExternalSite) ToTenants() []ofproto.Action {
	return []ofproto.Action{ofproto.Set(RegOut.Whole(), uint64(x.Tag)), ToOutside.Set(), Across.Set(), ofproto.GotoTable(PolSkip)}
}

// comeBack has what one tenant has sent to another by x come in as if it had left. What the
// first has made of it is in the packet; nothing else of it goes with it, its own addresses
// least of all, but whether these were translated in a common zone. What comes from an outside is not sent there, so that nothing goes in circles.
func comeBack(b *Builder, x ExternalSite) {
	actions := []ofproto.Action{ofproto.CTClear{}, ofproto.Load{Dst: regFlags.Range(0, uint16(Twice)-1)}, ofproto.Load{Dst: regFlags.Range(uint16(Twice)+1, 31)}}
	for r := ofproto.Reg1; r <= ofproto.Reg15; r++ {
		actions = append(actions, ofproto.Set(r.Whole(), 0))
	}
	b.Flow(x.ID(), Out, 110, ofproto.MatchOn(ofproto.Is(RegOut, uint64(x.Tag)), Across.isWithout(FromOutside)), append(actions,
		ofproto.Set(RegIn.Whole(), uint64(x.Tag)), FromOutside.Set(), ofproto.SetMAC(ofproto.EthSrc, x.RouterMAC()),
		ofproto.SetMAC(ofproto.EthDst, RouterMAC), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: ExtIn})...)
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
	if len(b.Externals) == 0 {
		return
	}
	b.Flow(id, SNATAgain, 0, nil, astray()...)
	bothEnds(b, id)
	alongErrors(b, id)
	b.Flow(id, PolSkip, 220, ofproto.MatchOn(both(Untracked, ToOutside)), ToDrop(NotTranslated)...)
	b.Flow(id, PolSkip, 40, ofproto.MatchOn(FromOutside.Is()), MayKeep.Set(), ofproto.GotoTable(PolIn))
	b.Flow(id, PolIn, 65000, ofproto.MatchOn(ToOutside.Is()), ofproto.GotoTable(Commit))
	b.Flow(id, Commit, 220, ofproto.MatchOn(ToOutside.isWithout(SNAT)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATSel}) // before anything is reported
	translateLate(b, id)
	b.Flow(id, Commit, 139, ofproto.MatchOn(both(ToOutside, SNAT)), ToDrop(NotTranslated)...) // as somebody who is not there
	b.Flow(id, Route, 12, ofproto.MatchOn(FromOutside.Is()), ToDrop(NotExpected)...)
	dnated := uint64(MarkDNAT)
	b.Flow(id, EstNat, 100, ofproto.MatchOn(ToOutside.Is(), ofproto.Masked(ofproto.CTMark, dnated, dnated), ofproto.CT(ofproto.New|ofproto.Rel|ofproto.Trk, ofproto.SNAT)),
		ToDrop(NotTranslated)...) // announced, and no port was left
	for _, r := range []Reason{InvalidState, NotSYN} { // the tracker has not translated it
		b.Flow(id, EstNat, 100, ofproto.MatchOn(ToOutside.Is(), ofproto.Is(RegReason, uint64(r))), ToDrop(NotTranslated)...)
	}
	b.Flow(id, CommitCheck, 60, ofproto.MatchOn(both(SNAT, Limited)), ToDrop(LimitReached)...) // also in an audit: it is not translated
	b.Flow(id, CommitCheck, 10, ofproto.MatchOn(SNAT.isWithout(Limited)), ToDrop(NoPortLeft)...)
	b.Flow(id, SNATSel, 58000, ofproto.MatchOn(ofproto.InPrefix(ofproto.IPv6Src, netip.MustParsePrefix("fe80::/10"))), ToDrop(NotTranslated)...) // RFC 4291, 2.5.6
	notAsAlias(b, id)
	dnated, known := uint64(MarkDNAT), Remembered()
	kept := ofproto.Masked(ofproto.CTMark, uint64(MarkCommitted|MarkKeep), uint64(MarkCommitted|MarkKeep|MarkAudited|MarkBlocked))
	for _, ip := range ipVersions {
		for _, r := range []Reason{NotExpected, NotTranslated} { // a policy keeps what it has admitted, not the address
			b.Flow(id, PolMiss, 270, ofproto.MatchOn(ip, kept, ofproto.Is(RegReason, uint64(r))), stopped(), ofproto.GotoTable(Drop))
		}
		b.Flow(id, LBVIP, 150, ofproto.MatchOn(ip, JudgeAgain.Is(), ofproto.Masked(ofproto.CTMark, dnated, dnated)),
			ofproto.Set(RegReason.Whole(), uint64(NotExpected)), ofproto.GotoTable(PolMiss))
		b.Flow(id, SNATSel, 59000, ofproto.MatchOn(ip, JudgeAgain.Is()), astray()...)
		if !b.Features.LateNAT {
			b.Flow(id, SNATSel, 59100, ofproto.MatchOn(ip, known, Related.IsNot()), astray()...)
		}
	}
	for _, x := range b.Externals {
		for _, s := range x.Subnets { // nobody inside is there, and to translate an address to itself is the end of some trackers
			b.Flow(x.ID(), SNATSel, 58000, ofproto.MatchOn(ofproto.InPrefix(IPSrc(s.CIDR.Addr()), s.CIDR)), ToDrop(NotTranslated)...)
		}
		b.Flow(x.ID(), PhyIn, 100, ofproto.MatchOn(ofproto.Is(ofproto.InPort, uint64(x.Port))),
			ofproto.CTClear{}, ofproto.Set(RegIn.Whole(), uint64(x.Tag)), FromOutside.Set(), ofproto.GotoTable(ArpNd))
		b.Flow(x.ID(), Out, 100, ofproto.MatchOn(ofproto.Is(RegOut, uint64(x.Tag))), ofproto.Output{Port: x.Port})
		comeBack(b, x)
		neverAlias(b, x)
	}
}

// translateLate has one-way traffic translated by a commit that writes nothing else, where a lookup
// does not do it.
func translateLate(b *Builder, id intent.ID) {
	if !b.Features.LateNAT {
		return
	}
	b.Flow(id, EstNat, 95, ofproto.MatchOn(ToOutside.Is(), ofproto.CT(ofproto.New|ofproto.Trk, ofproto.Rel)), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATSel})
	b.Flow(id, Commit, 230, ofproto.MatchOn(Established.Is()), ofproto.Resubmit{Port: ofproto.PortInPort16, Table: SNATLate})
	b.Flow(id, SNATLate, 10, ofproto.MatchOn(both(ToOutside, SNAT)), ToDrop(NotTranslated)...)
	b.Flow(id, SNATLate, 0, nil, ofproto.GotoTable(Out)) // it is exempt
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

// A Translation is how connections are remembered that are translated.
type Translation struct {
	Of    intent.ID
	Conds []ofproto.Cond   // which
	First []ofproto.Action // before it is remembered
	Port  []ofproto.Action // and then, if it has ports
	NAT   ofproto.NAT      // zero: it keeps its address
	// Service is the protocol, if First or NAT has to do with ports of it.
	Service []ofproto.Cond
	// Fragments is that later fragments come, although Service has to do with ports.
	Fragments bool
	// ICMP is the translation of ICMP, if it is another one.
	ICMP *ofproto.NAT
	// Then are further translations of what is translated, and of ICMP, in other zones. They see to
	// it that what is translated in one of them only does not leave.
	Then, ThenICMP []ofproto.Action
	// Sure is that the new address is known however it ends: there is one, and the port is as
	// it was. If no port is left the packet leaves with that address all the same, and no
	// answer comes; else it comes back to be looked at.
	Sure bool
	// Double is that the source is translated, too: of those of Conds that have the flag Double.
	// FromGateway says to what.
	Double bool
}

// Translate adds the flows of Commit that remember a connection of t as translated.
//
// Where the tracker finds no port it remembers nothing, and the userspace datapath goes on
// with the packet as it was. It must not leave so.
func (b *Builder) Translate(t *TenantSite, x Translation) {
	if x.Double {
		x.Conds, x.Sure = append(slices.Clip(x.Conds), Double.Is()), false
	}
	then := x.Then
	whole := slices.Concat(x.First, x.Port)
	add := func(priority uint16, first []ofproto.Action, c ofproto.ConnTrack, more ...ofproto.Cond) {
		if x.Double {
			c.Exec = append(slices.Clip(c.Exec), ofproto.Load{Dst: markDouble, Value: 1})
		}
		if c.NAT == nil && x.NAT != (ofproto.NAT{}) {
			c.NAT = &x.NAT
		}
		actions := []ofproto.Action{c, ofproto.GotoTable(Out)}
		switch {
		case t.Limits.Connections == 0 && then != nil:
			actions = append([]ofproto.Action{c}, then...)
		case t.Limits.Connections > 0 || !x.Sure:
			c.Table = CommitCheck
			actions = []ofproto.Action{c}
		case x.NAT.Src:
			actions = slices.Insert(actions, 1, ofproto.SetAddr(IPSrc(x.NAT.AddrMin), x.NAT.AddrMin))
		}
		b.Flow(x.Of, Commit, priority, ofproto.MatchOn(slices.Concat(x.Conds, more)...), append(slices.Clip(first), actions...)...)
	}
	c := admittedBy(0)
	ruled, object := len(c.Exec), RegSNAT
	if x.NAT.Dst {
		c.Exec = append(c.Exec, ofproto.Load{Dst: markDNAT, Value: 1})
		object = RegTarget
	}
	c.Exec = append(c.Exec, ofproto.Move{Src: object.Whole(), Dst: labelObject})
	if x.NAT.Dst && x.NAT.PortMin != 0 {
		c.Exec = append(c.Exec, ofproto.Load{Dst: labelPort, Value: uint64(x.NAT.PortMin)})
	}
	add(150, whole, c, x.Service...)
	if x.NAT.Src && b.Features.LateNAT {
		b.Flow(x.Of, SNATLate, 100, ofproto.MatchOn(slices.Concat(x.Conds, x.Service)...),
			ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: ofproto.NoTable, NAT: &x.NAT}, ofproto.GotoTable(Out))
	}
	if x.ICMP != nil {
		same := c
		same.NAT = x.ICMP
		then = x.ThenICMP
		add(151, whole, same, IsICMP(x.NAT.AddrMin.Is4()))
		then = x.Then
	}
	if x.NAT.Src { // a later fragment has no port
		add(155, x.First, laterOf(c.Exec[ruled:]), append(slices.Clip(x.Service), IsLaterFragment)...)
	} else if len(x.Service) == 0 || x.Fragments { // and in IPv6 does not say the protocol
		add(155, x.First, laterOf(c.Exec[ruled:]), IsLaterFragment)
	}
	if !t.follows() {
		return
	}
	for alg, what := range map[uint16][2]ofproto.Cond{
		algFTP: {ofproto.Is(ofproto.IPProto, ProtoTCP), FTP.Is()}, algTFTP: {ofproto.Is(ofproto.IPProto, ProtoUDP), TFTP.Is()},
	} {
		if len(x.Service) > 0 && !slices.Contains(x.Service, what[0]) {
			continue
		}
		read := c
		read.ALG = alg
		add(152, whole, read, append(slices.Clip(x.Service), what[0], what[1])...)
	}
	add(153, whole, commitAction(ofproto.Load{Dst: markCommitted, Value: 1}), append(slices.Clip(x.Service), Related.Is())...)
}

// laterOf remembers a connection of which the last fragment of a packet knows no rule: what is
// translated, and how, and not in which epoch.
func laterOf(exec []ofproto.Action) ofproto.ConnTrack {
	c := commitAction()
	c.Exec = append([]ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}, ofproto.Load{Dst: labelLayout, Value: LabelLayout}}, exec...)
	return c
}

// alongErrors translates ICMP errors that travel in the direction in which their connections
// were opened, as those do that a router outside sends to an endpoint about its answers. A
// lookup of the kernel's datapath translates those that travel against it, and leaves the others
// to a commit, which changes nothing else. The userspace datapath's translates all, and none
// twice.
func alongErrors(b *Builder, id intent.ID) {
	s := state{391, ofproto.CT(ofproto.Rel|ofproto.Trk, ofproto.Est|ofproto.New|ofproto.Rpl), MarkCommitted, MarkCommitted | MarkBlocked}
	for i, ip := range ipVersions {
		b.Flow(id, CtState, s.priority+uint16(i), s.match(ip), Established.Set(),
			ofproto.ConnTrack{Commit: true, ZoneIn: Zone, Table: Route, NAT: &ofproto.NAT{}})
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
		b.Flow(t.ID(), CtState, from.priority+uint16(i), from.match(ip, InZone(t.Zone), FromOutside.Is()), Established.Set(), c)
		b.Flow(t.ID(), CtState, to.priority+uint16(i), to.match(ip, InZone(t.Zone)), Established.Set(), c)
	}
}
