package pipeline

import (
	"slices"

	"weir/intent"
	"weir/ofproto"
)

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
	// Balanced is that a load balancer has chosen the destination.
	Balanced bool
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
	as := translating{x, b, t}
	c, whole := b.admits(x), slices.Concat(x.First, x.Port)
	as.commit(150, whole, c, x.Then, x.Service...)
	if x.ICMP != nil {
		same := c
		same.NAT = x.ICMP
		as.commit(151, whole, same, x.ThenICMP, IsICMP(x.NAT.AddrMin.Is4()))
	}
	as.outward()
	as.fragments()
	if t.follows() {
		as.announced(whole, c)
	}
}

// A noting is what is remembered of a connection that is admitted and translated.
type noting struct {
	dst, balanced bool
	port          uint16
	exec          []ofproto.Action
}

// admits remembers a connection with the rules that admitted it, and how it is translated. What is
// remembered is the same actions for one translation after the other, of which load balancers
// have thousands.
func (b *Builder) admits(x Translation) ofproto.ConnTrack {
	n := noting{dst: x.NAT.Dst, balanced: x.Balanced, port: x.NAT.PortMin}
	if was := b.noting; was.exec != nil && was.dst == n.dst && was.balanced == n.balanced && was.port == n.port {
		n = was
	} else {
		n.exec = slices.Clip(slices.Concat(x.judged(), x.noted()))
	}
	b.noting = n
	c := admittedBy(0)
	c.Exec = n.exec
	return c
}

// judged is what the policy has to say of a connection that is translated. Of one to which something is
// chosen nothing has been remembered that is to stay: all of its mark is written at once.
func (x Translation) judged() []ofproto.Action {
	if !x.NAT.Dst {
		return admitted.Exec
	}
	return append([]ofproto.Action{ofproto.Move{Src: regMark.Whole(), Dst: ofproto.CTMark.Whole()}}, judged[2:]...)
}

// noted is what an entry of the tracker says of the translation.
func (x Translation) noted() []ofproto.Action {
	if !x.NAT.Dst {
		return []ofproto.Action{ofproto.Move{Src: RegSNAT.Whole(), Dst: labelObject}}
	}
	marks := uint64(MarkDNAT)
	if x.Balanced {
		marks |= uint64(MarkBalanced)
	}
	return []ofproto.Action{
		ofproto.Load{Dst: markTranslated, Value: marks >> markTranslated.Offset}, ofproto.Move{Src: RegTarget.Whole(), Dst: labelObject},
		ofproto.Load{Dst: labelHow, Value: LabelLayout<<24 | uint64(x.NAT.PortMin)},
	}
}

// A translating adds the flows of a Translation.
type translating struct {
	Translation
	b *Builder
	t *TenantSite
}

// commit adds a flow that does first, remembers the connection as c says, and then goes on, or
// comes back to see what has become of it.
func (as translating) commit(priority uint16, first []ofproto.Action, c ofproto.ConnTrack, then []ofproto.Action, more ...ofproto.Cond) {
	if as.Double {
		c.Exec = append(slices.Clip(c.Exec), ofproto.Load{Dst: markDouble, Value: 1})
	}
	if c.NAT == nil && as.NAT != (ofproto.NAT{}) {
		nat := as.NAT // so that not all of as outlives this
		c.NAT = &nat
	}
	limited := as.t.Limits.Connections > 0
	switch {
	case !limited && then != nil:
	case limited || !as.Sure:
		c.Table, then = CommitCheck, nil
	case as.NAT.Src:
		then = []ofproto.Action{ofproto.SetAddr(IPSrc(as.NAT.AddrMin), as.NAT.AddrMin), ofproto.GotoTable(Out)}
	default:
		then = []ofproto.Action{ofproto.GotoTable(Out)}
	}
	as.b.Flow(as.Of, Commit, priority, ofproto.MatchOn(slices.Concat(as.Conds, more)...), slices.Concat(first, []ofproto.Action{c}, then)...)
}

// fragments adds what becomes of later ones. They have no port, and in IPv6 do not say the
// protocol.
func (as translating) fragments() {
	switch {
	case as.NAT.Src:
		as.commit(155, as.First, laterOf(as.noted()), as.Then, append(slices.Clip(as.Service), IsLaterFragment)...)
	case len(as.Service) == 0 || as.Fragments:
		as.commit(155, as.First, laterOf(as.noted()), as.Then, IsLaterFragment)
	}
}

// announced adds what becomes of connections that others announce, and of those that do.
func (as translating) announced(whole []ofproto.Action, c ofproto.ConnTrack) {
	for alg, what := range map[uint16][2]ofproto.Cond{
		algFTP: {ofproto.Is(ofproto.IPProto, ProtoTCP), FTP.Is()}, algTFTP: {ofproto.Is(ofproto.IPProto, ProtoUDP), TFTP.Is()},
	} {
		if len(as.Service) > 0 && !slices.Contains(as.Service, what[0]) {
			continue
		}
		read := c
		read.ALG = alg
		as.commit(152, whole, read, as.Then, append(slices.Clip(as.Service), what[0], what[1])...)
	}
	as.commit(153, whole, commitAction(ofproto.Load{Dst: markCommitted, Value: 1}), as.Then, append(slices.Clip(as.Service), Related.Is())...)
}

// laterOf remembers a connection of which the last fragment of a packet knows no rule: what is
// translated, and how, and not in which epoch.
func laterOf(exec []ofproto.Action) ofproto.ConnTrack {
	c := commitAction()
	c.Exec = append([]ofproto.Action{ofproto.Load{Dst: markCommitted, Value: 1}, ofproto.Load{Dst: labelLayout, Value: LabelLayout}}, exec...)
	return c
}
