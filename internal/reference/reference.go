// Package reference says what the policy of a model does with a packet, in the plainest
// way: rules are read from the top, and the first that matches decides. It was written
// from what intent says, without a look at the compiler, so that the two can be
// compared: what apps compiles and what OVS does with it must agree with this package.
//
// It is to be obviously right, and not fast: it walks all rules for every packet.
//
//	sender ── its own address? ── both ends say stateless? ──► passes, untracked
//	                 │                      │
//	                 ▼ no                   ▼ no, and what is known of the connection?
//	              refused      new, or to be judged again: egress rules of the sender,
//	                           then ingress rules of the receiver; established: passes
package reference

import (
	"net/netip"
	"slices"

	"weir/intent"
)

// A Packet is an IP packet on its way from one endpoint to another.
type Packet struct {
	From             *intent.Endpoint // at whose port it arrives; nil: an outside's
	To               *intent.Endpoint // to whose port it would go; nil: an outside's
	Src, Dst         netip.Addr
	Protocol         uint8  // the IP protocol's number (IANA)
	SrcPort, DstPort uint16 // zero where the protocol has none
	Type, Code       uint8  // of ICMP and ICMPv6
}

// The IP protocols that rules know by name (IANA).
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
	SCTP   = 132
)

// A State is what the connection tracker knows about a packet's connection, in the
// zone of the tenant, beside what the tenant's epoch has made of it.
type State string

// The states. Old ones were admitted under an earlier epoch: something has been taken
// back since.
const (
	New         State = "new"
	Established State = "established"
	Reply       State = "reply"
	OldOriginal State = "old, original direction"
	OldReply    State = "old, reply direction"
	OneWay      State = "one-way" // committed, and nobody has answered yet
	Related     State = "related"
	Invalid     State = "invalid"
	Blocked     State = "blocked" // judged again in this epoch, and denied

	Overflow State = "new, and the tenant has as many connections as it may"

	BlockedReply    State = "blocked, reply direction"
	BlockedRelated  State = "related to what is blocked"
	OldBlocked      State = "blocked under an earlier epoch, original direction" // may be admitted now
	OldBlockedReply State = "blocked under an earlier epoch, reply direction"

	OldKept       State = "old, kept, original direction" // its policy said that it lives on when it is changed
	OldKeptReply  State = "old, kept, reply direction"
	OldKeptOneWay State = "old, kept, one-way"
)

// A Result is what becomes of a packet.
type Result string

// The results.
const (
	Refused   Result = "refused"   // not the sender's own address
	Astray    Result = "astray"    // not the receiver's own address, or of another tenant
	Untracked Result = "untracked" // passes, and the tracker never sees it
	Admitted  Result = "admitted"  // judged, passes, and its connection is remembered
	Known     Result = "known"     // passes, for its connection does
	Audited   Result = "audited"   // denied, and passes all the same: its connection is remembered
	Denied    Result = "denied"
)

// A Verdict is a Result, and who has a say in it.
type Verdict struct {
	Result  Result
	Egress  intent.ID // the rule or default that let it out, if it came to that
	Ingress intent.ID // the rule or default that let it in
	By      intent.ID // who denies it
	Keep    bool      // the connection is to live on when the policy is changed
	Reset   bool      // its ends are to be told if it is stopped then
	Told    bool      // the sender is told that it is denied
}

// Passes reports whether the packet goes on to its receiver.
func (v Verdict) Passes() bool {
	return v.Result == Untracked || v.Result == Admitted || v.Result == Audited || v.Result == Known
}

// Judge says what becomes of a packet in a state of its connection.
func Judge(m *intent.Model, p Packet, s State) Verdict {
	t := m.Tenant(p.From.Tenant)
	switch {
	case !MayBe(t, p.From, p.Src):
		return Verdict{Result: Refused}
	case p.From.Tenant != p.To.Tenant || !MayBe(t, p.To, p.Dst): // somebody else is asked, and this one would get it
		return Verdict{Result: Astray}
	case t.Mode == intent.Off, unwatched(t, p):
		return Verdict{Result: Untracked}
	case t.Mode == intent.Audit:
		return audited(watch(t, p, s))
	}
	return watch(t, p, s)
}

// audited lets everything pass.
func audited(v Verdict) Verdict {
	v.Told = false
	switch {
	case v.Result == Denied && v.By != "":
		v.Result = Audited
	case v.Result == Denied:
		v.Result = Known
	}
	return v
}

// watch says what becomes of a packet that is tracked.
func watch(t *intent.Tenant, p Packet, s State) Verdict {
	switch s {
	case Established, Reply, OldReply, OldKeptReply, OneWay, Related:
		return Verdict{Result: Known}
	case OldKept, OldKeptOneWay:
		return kept(judge(t, p))
	case Blocked, BlockedReply, BlockedRelated, OldBlockedReply:
		return Verdict{Result: Denied}
	case Invalid:
		if t.InvalidAllow {
			return Verdict{Result: Known}
		}
		return Verdict{Result: Denied}
	}
	v := judge(t, p)
	wouldCount := v.Result == Admitted || t.Mode == intent.Audit
	if s == Overflow && t.Limits.Connections > 0 && wouldCount {
		return Verdict{Result: Denied}
	}
	return v
}

// decision is first, where there is a subject: the outside has no policy.
func decision(t *intent.Tenant, d intent.Direction, subject, peer *intent.Endpoint, at netip.Addr, p Packet) (intent.Action, intent.ID) {
	if subject == nil {
		return intent.Allow, ""
	}
	return first(t, d, subject, peer, at, p)
}

// judge asks both ends.
func judge(t *intent.Tenant, p Packet) Verdict {
	out, by := decision(t, intent.Egress, p.From, p.To, p.Dst, p)
	if denies(out) {
		return Verdict{Result: Denied, By: by, Told: out == intent.Reject}
	}
	in, let := decision(t, intent.Ingress, p.To, p.From, p.Src, p)
	if denies(in) {
		return Verdict{Result: Denied, Egress: by, By: let, Told: in == intent.Reject}
	}
	return Verdict{Result: Admitted, Egress: by, Ingress: let, Keep: keeps(t, by, let), Reset: resets(t, by, let)}
}

// kept lets pass what is denied.
func kept(v Verdict) Verdict {
	v.Told = false
	if v.Result == Denied {
		v.Result = Known
	}
	return v
}

// resets reports whether some policy of those who have admitted a connection wants it reset.
func resets(t *intent.Tenant, by ...intent.ID) bool {
	return slices.ContainsFunc(t.Policies, func(p *intent.Policy) bool {
		return p.OnRevoke == intent.RevokeReset && slices.ContainsFunc(p.Rules, func(r *intent.Rule) bool { return slices.Contains(by, r.ID()) })
	})
}

// keeps reports whether some policy of those who have admitted a connection says that it is
// to live on, and none says otherwise. A default does not say.
func keeps(t *intent.Tenant, by ...intent.ID) (keep bool) {
	for _, p := range t.Policies {
		for _, r := range p.Rules {
			switch {
			case !slices.Contains(by, r.ID()):
			case p.OnRevoke != intent.RevokeKeep:
				return false
			default:
				keep = true
			}
		}
	}
	return keep
}

func denies(a intent.Action) bool { return a == intent.Deny || a == intent.Reject }

// unwatched reports whether both ends want a packet not to be tracked. One that is not known
// by its address cannot say so.
func unwatched(t *intent.Tenant, p Packet) bool {
	if Plain(p.From) || Plain(p.To) {
		return false
	}
	back := p.Reversed()
	sender := stateless(t, intent.Egress, p.From, p.To, p.Dst, p) || stateless(t, intent.Ingress, p.From, p.To, p.Dst, back)
	receiver := stateless(t, intent.Ingress, p.To, p.From, p.Src, p) || stateless(t, intent.Egress, p.To, p.From, p.Src, back)
	return sender && receiver
}

func stateless(t *intent.Tenant, d intent.Direction, subject, peer *intent.Endpoint, at netip.Addr, p Packet) bool {
	a, _ := first(t, d, subject, peer, at, p)
	return a == intent.Stateless
}

// Reversed returns the packet that p answers, or that answers p.
func (p Packet) Reversed() Packet {
	p.From, p.To, p.Src, p.Dst, p.SrcPort, p.DstPort = p.To, p.From, p.Dst, p.Src, p.DstPort, p.SrcPort
	switch p.Protocol {
	case ICMP:
		p.Type = exchanged(p.Type, 8, 0)
		p.Type = exchanged(p.Type, 13, 14)
		p.Type = exchanged(p.Type, 15, 16)
		p.Type = exchanged(p.Type, 17, 18)
	case ICMPv6:
		p.Type = exchanged(p.Type, 128, 129)
	}
	return p
}

// exchanged returns the answer to a request, and the request of an answer; a type that is
// neither stays.
func exchanged(typ, request, answer uint8) uint8 {
	switch typ {
	case request:
		return answer
	case answer:
		return request
	}
	return typ
}

// first returns the action of the first rule of a direction that is for subject, whose peer
// is at an address, and matches, or the tenant's default.
func first(t *intent.Tenant, d intent.Direction, subject, peer *intent.Endpoint, at netip.Addr, p Packet) (intent.Action, intent.ID) {
	var left intent.Tier // by a pass rule
	for _, policy := range t.Policies {
		if policy.Tier == left || !policy.AppliesTo.Empty() && !selects(policy.AppliesTo, subject) {
			continue
		}
		for _, r := range policy.Rules {
			if r.Direction != d || !matches(r, peer, at, p) {
				continue
			}
			if r.Action != intent.Pass {
				return r.Action, r.ID()
			}
			left = policy.Tier
			break
		}
	}
	if d == intent.Egress {
		return t.Egress, t.DefaultID(d)
	}
	return t.Ingress, t.DefaultID(d)
}

func matches(r *intent.Rule, peer *intent.Endpoint, at netip.Addr, p Packet) bool {
	return isPeer(r.Peer, peer, at) && isProtocol(r.Protocol, p) && isPort(r.Ports, p.DstPort) && isType(r.Types, p)
}

// isPeer reports whether s selects an endpoint, or the address that it has in a packet.
func isPeer(s intent.Selector, e *intent.Endpoint, at netip.Addr) bool {
	return s.Empty() || inCIDRs(s, at) || selects(s, e)
}

// inCIDRs reports whether an address is in a CIDR of s or of its groups.
func inCIDRs(s intent.Selector, a netip.Addr) bool {
	return slices.ContainsFunc(s.CIDRs, func(c netip.Prefix) bool { return c.Contains(a) }) ||
		slices.ContainsFunc(s.Groups, func(g *intent.Group) bool { return inCIDRs(g.Members, a) })
}

// selects reports whether s, which is not empty, selects an endpoint by name, labels or
// group. It selects nobody outside.
func selects(s intent.Selector, e *intent.Endpoint) bool {
	if e == nil {
		return false
	}
	if slices.Contains(s.Endpoints, e.Name) {
		return true
	}
	for _, g := range s.Groups {
		if selects(g.Members, e) {
			return true
		}
	}
	for key, values := range s.Labels {
		if v, ok := e.Labels[key]; !ok || !slices.Contains(values, v) {
			return false
		}
	}
	return len(s.Labels) > 0
}

// isProtocol reports whether a packet is of a protocol. ICMP is of IPv4 and ICMPv6 of IPv6.
func isProtocol(want intent.Protocol, p Packet) bool {
	number, ok := want.Number()
	switch {
	case want == intent.AnyProtocol:
		return true
	case !ok, want == intent.ICMP && p.Dst.Is6(), want == intent.ICMPv6 && p.Dst.Is4():
		return false
	}
	return p.Protocol == number
}

func isType(types []intent.ICMPType, p Packet) bool {
	return len(types) == 0 || slices.ContainsFunc(types, func(t intent.ICMPType) bool {
		return t.Type == p.Type && (t.AnyCode || t.Code == p.Code)
	})
}

func isPort(ranges []intent.PortRange, port uint16) bool {
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r intent.PortRange) bool { return r.Lo <= port && port <= r.Hi })
}

// Owns reports whether an address is e's own: a declared one, or if it has IPv6 the
// link-local one of its MAC (RFC 4291, appendix A).
func Owns(e *intent.Endpoint, a netip.Addr) bool {
	return slices.Contains(e.IPs, a) || a == LinkLocal(e.MAC) && slices.ContainsFunc(e.IPs, netip.Addr.Is6)
}

// Plain reports whether e has no addresses, so that it is known by its port only.
func Plain(e *intent.Endpoint) bool { return len(e.IPs) == 0 }

// MayBe reports whether an endpoint of t may be at an address: its own, or if it is plain
// any that nobody has.
func MayBe(t *intent.Tenant, e *intent.Endpoint, a netip.Addr) bool {
	return Owns(e, a) || Plain(e) && !declared(t, a)
}

// declared reports whether an address is an endpoint's, a gateway's or a load balancer's inside of t.
func declared(t *intent.Tenant, a netip.Addr) bool {
	return slices.ContainsFunc(t.Endpoints, func(e *intent.Endpoint) bool { return Owns(e, a) }) ||
		slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
			return slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.Gateway == a })
		}) || slices.ContainsFunc(BalancersAt(t, a), (*intent.LoadBalancer).Inside)
}

// LinkLocal returns the link-local address that a host makes of its MAC.
func LinkLocal(m intent.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// Reaches reports whether there is a way from the sender to the receiver: in a network
// there is one, and between two networks of a tenant if the receiver's has a gateway
// for its address, and the address is known.
func Reaches(p Packet) bool {
	if p.From.Network == p.To.Network {
		return true
	}
	return p.From.Tenant == p.To.Tenant && !Plain(p.To) && slices.ContainsFunc(p.To.Network.Subnets, func(s intent.Subnet) bool {
		return s.Gateway.IsValid() && s.CIDR.Contains(p.Dst)
	})
}
