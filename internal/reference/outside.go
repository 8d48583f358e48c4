package reference

import (
	"net/netip"
	"slices"
	"strings"

	"weir/intent"
)

// What is translated is said here as docs/nat.md says it. A packet for the router, from an
// endpoint or from outside:
//
//	from outside ── from where it can be? ── somebody's address? ─┐
//	                                     ▼
//	             a floating IP or a forwarded port? ── the endpoint's address and port
//	             a port of a load balancer? ── that of a backend that has a weight; of none: dropped
//	                                     ▼
//	             whose is that address? ── an endpoint's: policy of both ends, passes
//	                                     ▼ nobody's
//	             outside: policy of the sender, then: as whom? ── leaves

// A Way is what becomes of a packet for the router.
type Way struct {
	Verdict
	To       *intent.Endpoint // to whose port it goes; nil if it goes outside, or nowhere
	Out      *intent.External // by which outside it leaves
	Lost     bool             // it would leave, and nobody knows the MAC address of who is next
	As       intent.ID        // what translates it, or exempts it from that; empty: nothing
	Both     bool             // the endpoint sees it as its gateway's
	Mirrored bool             // its sender gets it, on a link without a gateway, and sees it as the load balancer's
	Link     intent.Subnet    // without a gateway, on which a load balancer has given it to somebody; zero: it is routed
	Leaves   intent.ID        // what it leaves as to a backend outside, beside As, which has chosen that; empty: as itself
	Shared   bool             // it leaves as what tenants share, and is remembered there, too
	Portless bool             // it has no port by which its answers would be this tenant's, and does not leave
	Third    bool             // it is for a third tenant of the bridge, and goes nowhere
	Back     bool             // the endpoint would get what it has sent itself, and gets nothing
	Unserved bool             // it is for a load balancer's address, and nobody there takes it
	Audited  intent.ID        // whom it has been let past, in an audit, to be stopped for something else
	Then     *Way             // in another tenant of the bridge, if it is for an address of that
	Seen     Sight            // as its receiver sees it

	by *intent.LoadBalancer // which has chosen a backend outside
}

// Twice reports whether a connection is remembered in two zones, for both its ends are translated.
func (w Way) Twice() bool { return w.Both || w.Mirrored }

// Hops is by how many routers a packet comes that passes.
func (w Way) Hops() int {
	switch {
	case w.Then != nil:
		return 2
	case w.Link.CIDR.IsValid():
		return 0
	case w.Result == Untracked && w.To == nil: // it is answered
		return 0
	}
	return 1
}

// A Sight is a packet as somebody sees it. Of a source that is one of several, these.
type Sight struct {
	Sources          []intent.AddrRange
	Dst              netip.Addr
	SrcPorts         intent.PortRange
	DstPort          uint16
	SourceTranslated bool
}

// Fits reports whether a packet with some addresses and ports is one as s says.
func (s Sight) Fits(src, dst netip.Addr, srcPort, dstPort uint16) bool {
	return slices.ContainsFunc(s.Sources, func(r intent.AddrRange) bool { return r.Contains(src) }) &&
		s.SrcPorts.Lo <= srcPort && srcPort <= s.SrcPorts.Hi && s.Dst == dst && s.DstPort == dstPort
}

// The addresses from which an endpoint gets what it has sent to itself.
var (
	Mirror4 = netip.MustParseAddr("169.254.254.1")
	Mirror6 = netip.MustParseAddr("fd77:6569:7200::1")
)

// A Router is what stands between endpoints and the outsides of a bridge.
type Router struct {
	Model  *intent.Model
	Bridge *intent.Bridge
	Known  func(*intent.External, netip.Addr) bool // has a host on a link said its MAC address?

	Backend intent.Backend // which is chosen of those that may be, if it is one of them

	across bool // what it is asked about has come from another tenant
}

// Forward says what becomes of a packet that is sent to r in a state of its connection, which
// is one that says nothing of translations: new, invalid, or over the limit. From is nil if it
// has come in by the outside x.
func (r Router) Forward(p Packet, x *intent.External, s State) Way {
	if x != nil && (Martian(p.Src) || r.ourselves(x, p.Src)) { // nobody who asks from there could be answered
		return Way{Verdict: Verdict{Result: Refused}}
	}
	return r.forward(p, x, s)
}

// forward is Forward for what may also have come from another tenant.
func (r Router) forward(p Packet, x *intent.External, s State) Way {
	t := r.tenantOf(p, x)
	switch {
	case x != nil && pings(x, p):
		return Way{Verdict: Verdict{Result: Untracked}, Out: x, Seen: Sight{Sources: []intent.AddrRange{{Lo: p.Dst, Hi: p.Dst}}, Dst: p.Src}}
	case p.From != nil && (!MayBe(t, p.From, p.Src) || Martian(p.Src)):
		return Way{Verdict: Verdict{Result: Refused}}
	case t == nil: // for an address that nobody has
		return Way{Verdict: Verdict{Result: Astray}}
	case x != nil && Inside(t, p.Src): // says that it is from where it cannot be
		return Way{Verdict: Verdict{Result: Denied}}
	}
	w := Way{Seen: sightOf(p)}
	if s != Invalid {
		w = r.aim(t, p)
		if nobody, told := r.balance(t, p, &w); nobody {
			w.Verdict, w.Unserved = Verdict{Result: Denied, Told: told}, true
			return w
		}
	}
	q := p
	q.To, q.Dst, q.DstPort = owner(t, w.Seen.Dst), w.Seen.Dst, w.Seen.DstPort
	if x != nil && w.As == "" && s != Invalid && PublicAt(t, x, p.Dst) != nil {
		w.As = PublicAt(t, x, p.Dst).ID()
	}
	switch {
	case q.To != nil && w.Link.CIDR.IsValid() && (p.From == nil || p.From.Network != q.To.Network || !w.Link.CIDR.Contains(p.Src) && !p.Src.IsLinkLocalUnicast()): // nobody there could answer
		w.Verdict = Verdict{Result: Astray}
		return w
	case q.To != nil && !w.Link.CIDR.IsValid() && !LeadsTo(q.To, q.Dst), q.To == nil && (x != nil && w.by == nil || Inside(t, q.Dst)): // the router does not lead there, or back out
		w.Verdict = Verdict{Result: Astray}
		return w
	case q.To != nil:
		w.To = q.To
		w.Verdict = r.judge(t, q, p, s)
		if w.As != "" && !AsItself(w.As) && w.Result == Known { // what is not remembered is not translated
			w.Verdict = Verdict{Result: Denied}
		}
		w.mirror(t, q)
		return w
	}
	return r.leave(t, q, x, w, s)
}

// pings reports whether p asks the router itself for an echo.
func pings(x *intent.External, p Packet) bool {
	asks := p.Protocol == ICMP && p.Type == 8 || p.Protocol == ICMPv6 && p.Type == 128
	return asks && p.Code == 0 && slices.ContainsFunc(x.Subnets, func(s intent.ExternalSubnet) bool { return s.Address == p.Dst })
}

// judge asks the policies of both ends. What is not aimed at an endpoint's own address is
// tracked, whatever stateless rules say.
func (r Router) judge(t *intent.Tenant, q, p Packet, s State) Verdict {
	switch {
	case t.Mode == intent.Off, q.From != nil && q.To != nil && q.Dst == p.Dst && unwatched(t, q):
		return Verdict{Result: Untracked}
	case t.Mode == intent.Audit:
		return audited(watch(t, q, s))
	}
	return watch(t, q, s)
}

// leave sends a packet outside: one that has come from there by the outside by which it came.
func (r Router) leave(t *intent.Tenant, p Packet, x *intent.External, w Way, s State) Way {
	if w.Out, w.Lost = r.wayOf(p); x != nil {
		w.Out, w.Lost = r.by(x).wayTo(p.Dst)
	}
	there, common := r.whoseIs(w.Out, p), w.Out != nil && CommonAt(r.Model, w.Out, p.Dst) != 0
	if w.Lost = w.Lost && there == nil && !common; there == t && !common { // and nobody is behind it
		w.Out = nil
	}
	if w.Out == nil || w.Lost {
		return w
	}
	switch w.Verdict = watch(t, p, s); t.Mode {
	case intent.Off: // what is not tracked is not translated
		w.Verdict = Verdict{Result: Refused}
	case intent.Audit:
		w.Verdict = audited(w.Verdict)
	}
	if !w.Passes() {
		return w
	}
	as, pool, ports := r.leavesAs(t, p, w)
	how := r.commonTo(pool, w.Out, as)
	w.Portless = as != "" && tracked(w.Verdict.Result) && how == ByThePort && !hasPorts(p.Protocol)
	if as == "" || !tracked(w.Verdict.Result) || w.Portless { // nobody says as whom, or how to tell its answers
		w.Audited, w.Verdict = w.By, Verdict{Result: Denied}
		return w
	}
	if w.by == nil {
		w.As = as
	} else if !AsItself(as) {
		w.Leaves = as
	}
	if p.From == nil && w.Result == Admitted { // whoever has published the address has said that it may
		w.Ingress = w.As
	}
	w.Seen.Sources, w.Seen.SourceTranslated, w.Shared = pool, true, how == Shared
	if ports != (intent.PortRange{}) && hasPorts(p.Protocol) {
		w.Seen.SrcPorts = ports
	}
	switch {
	case (there != nil || common) && r.across:
		w.Third = true
	case there != nil || common:
		w.cross(r, p, s)
	}
	return w
}

// commonTo says how tenants have in common what something that translates has p leave as.
func (r Router) commonTo(pool []intent.AddrRange, x *intent.External, as intent.ID) Common {
	if len(pool) == 0 || !strings.Contains(string(as), "/snat/") || AsItself(as) {
		return 0
	}
	return CommonAt(r.Model, x, pool[0].Lo)
}

// leavesAs returns as what p leaves, which w has found a way for.
func (r Router) leavesAs(t *intent.Tenant, p Packet, w Way) (intent.ID, []intent.AddrRange, intent.PortRange) {
	if l, is := asBalancer(w.by, p, w.Out); is {
		return w.As, []intent.AddrRange{{Lo: l.Address, Hi: l.Address}}, intent.PortRange{}
	}
	if p.From == nil || w.by != nil && p.Src == w.by.Address {
		return "", nil, intent.PortRange{}
	}
	return r.asWhom(t, p, w.Out)
}

// cross has what has left come in again, to another tenant.
func (w *Way) cross(r Router, p Packet, s State) {
	r.across = true
	p.From, p.Src, p.SrcPort = nil, w.Seen.Sources[0].Lo, w.Seen.SrcPorts.Lo
	then := r.forward(p, w.Out, s)
	if !then.Both && then.Leaves == "" {
		then.Seen.Sources = w.Seen.Sources
	}
	then.Seen.SrcPorts = w.Seen.SrcPorts
	w.Then = &then
}

// tracked reports whether the tracker has something to translate with.
func tracked(r Result) bool { return r == Admitted || r == Audited }

func hasPorts(protocol uint8) bool { return protocol == TCP || protocol == UDP || protocol == SCTP }

// asWhom returns what p leaves as: by its own floating IP, by the first SNAT that matches, or, from a public network,
// as it is.
func (r Router) asWhom(t *intent.Tenant, p Packet, x *intent.External) (intent.ID, []intent.AddrRange, intent.PortRange) {
	if p.Src.IsLinkLocalUnicast() || slices.ContainsFunc(r.Bridge.Externals, func(x *intent.External) bool { return onLink(x, p.Src) || Has(t, x, p.Src) }) { // nobody inside is there
		return "", nil, intent.PortRange{}
	}
	for _, f := range t.FloatingIPs {
		if f.IP == p.Src && f.Bridge == x.Bridge && f.External == x.Network {
			return f.ID(), []intent.AddrRange{{Lo: f.Address, Hi: f.Address}}, intent.PortRange{}
		}
	}
	for _, s := range t.SNATs {
		if !translates(s, p) {
			continue
		}
		for _, pool := range s.PoolsOn(x.Bridge, x.Network) {
			switch {
			case pool.Is4() != p.Src.Is4():
			case exempts(t, s, p):
				return s.ID() + "/exempt", []intent.AddrRange{{Lo: p.Src, Hi: p.Src}}, intent.PortRange{}
			default:
				return s.ID(), pool.Ranges, s.Ports
			}
		}
	}
	if n := PublicAt(t, x, p.Src); n != nil {
		return n.ID(), []intent.AddrRange{{Lo: p.Src, Hi: p.Src}}, intent.PortRange{}
	}
	return "", nil, intent.PortRange{}
}

// translates reports whether s is for what p opens.
func translates(s *intent.SNAT, p Packet) bool {
	return (s.Network == nil || s.Network == p.From.Network) && (s.From.Empty() || isPeer(s.From, senderAt(p), p.Src)) &&
		(len(s.To.CIDRs) == 0 || inSome(s.To.CIDRs, p.Dst)) && isProtocol(s.To.Protocol, p) && isPort(s.To.Ports, p.DstPort)
}

// exempts reports whether s lets what p opens leave as it is, if it is for that: from an address
// that answers can come to.
func exempts(t *intent.Tenant, s *intent.SNAT, p Packet) bool {
	return inSome(s.Exempt, p.Dst) && slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
		return (s.Network == nil || s.Network == n) && slices.ContainsFunc(n.Subnets, func(sub intent.Subnet) bool { return sub.Gateway.IsValid() && sub.CIDR.Contains(p.Src) })
	})
}

func inSome(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// senderAt is the sender, if it is known by the address that it has in p.
func senderAt(p Packet) *intent.Endpoint {
	if slices.Contains(p.From.IPs, p.Src) {
		return p.From
	}
	return nil
}

// AsItself reports whether what something lets leave has its own address there: it is exempt, or of a
// public network.
func AsItself(as intent.ID) bool {
	return strings.HasSuffix(string(as), "/exempt") || strings.Contains(string(as), "/network/")
}

// aim says for whom a packet is: what a floating IP or a forwarded port stands for, or whom it
// names.
func (r Router) aim(t *intent.Tenant, p Packet) Way {
	w := Way{Seen: sightOf(p)}
	for _, f := range t.FloatingIPs {
		if f.Address == p.Dst && t.Mode != intent.Off {
			w.As, w.Seen.Dst, w.Both = f.ID(), f.IP, f.SNAT == intent.SNATAlways
		}
	}
	for _, f := range t.PortForwards {
		number, _ := f.Protocol.Number()
		if f.Address == p.Dst && number == p.Protocol && f.Ports.Lo <= p.DstPort && p.DstPort <= f.Ports.Hi && t.Mode != intent.Off {
			w.As, w.Seen.Dst, w.Seen.DstPort = f.ID(), f.IP, f.ToPorts.Lo+(p.DstPort-f.Ports.Lo)
			w.Both = f.SNAT == intent.SNATAlways
		}
	}
	return w
}

// gatewayOf returns the gateway of an address of e.
func gatewayOf(e *intent.Endpoint, a netip.Addr) (r intent.AddrRange) {
	for _, s := range e.Network.Subnets {
		if s.CIDR.Contains(a) {
			r = intent.AddrRange{Lo: s.Gateway, Hi: s.Gateway}
		}
	}
	return r
}

// sightOf is a packet that nothing has translated.
func sightOf(p Packet) Sight {
	return Sight{Sources: []intent.AddrRange{{Lo: p.Src, Hi: p.Src}}, SrcPorts: intent.PortRange{Lo: p.SrcPort, Hi: p.SrcPort}, Dst: p.Dst, DstPort: p.DstPort}
}

// mirror has who has reached itself see somebody else, and who is to see its gateway that.
func (w *Way) mirror(t *intent.Tenant, q Packet) {
	if w.Both {
		w.Seen.Sources = []intent.AddrRange{gatewayOf(q.To, q.Dst)}
		return
	}
	if q.From != q.To {
		return
	}
	if w.Link.CIDR.IsValid() {
		w.Back = !ReachesItself(t, q.Dst)
		w.mirrorOnLink(t, q)
		return
	}
	if w.Back = !ReachesItself(t, q.Dst); w.Back || q.Src != q.Dst {
		return
	}
	from := Mirror4
	if q.Dst.Is6() {
		from = Mirror6
	}
	w.Seen.Sources = []intent.AddrRange{{Lo: from, Hi: from}}
}

// mirrorOnLink has who has reached itself by a load balancer in a subnet without a gateway see that, from
// a port at which nobody is served.
func (w *Way) mirrorOnLink(t *intent.Tenant, q Packet) {
	for _, l := range t.LoadBalancers {
		for _, p := range l.Ports {
			if serviceOf(l, p) == w.As && l.SNAT != intent.SNATNever {
				w.Mirrored = !w.Back
				w.Seen.Sources, w.Seen.SrcPorts = []intent.AddrRange{{Lo: l.Address, Hi: l.Address}}, Spare(t, l.Address)
			}
		}
	}
}

// Spare returns the most ports in a row, from 1024 up, at which no load balancer is and from which nobody
// is asked how it is.
func Spare(t *intent.Tenant, a netip.Addr) (most intent.PortRange) {
	from := uint16(1024)
	for port := from; port <= 61440; port++ {
		taken := port == 61440 || slices.ContainsFunc(BalancersAt(t, a), func(l *intent.LoadBalancer) bool {
			return slices.ContainsFunc(l.Ports, func(p intent.LBPort) bool { return p.Port == port })
		})
		if !taken {
			continue
		}
		if port > from && port-from > most.Hi-most.Lo+1 || most.Lo == 0 && port > from {
			most = intent.PortRange{Lo: from, Hi: port - 1}
		}
		from = port + 1
	}
	return most
}

// tenantOf returns whose a packet is: its sender's, or of those who have its destination
// outside.
func (r Router) tenantOf(p Packet, x *intent.External) *intent.Tenant {
	if p.From != nil {
		return r.Model.Tenant(p.From.Tenant)
	}
	return r.whoseIs(x, p)
}

// whoseIs returns the tenant to which p comes by an outside: who has its destination there, or in a public network; of those
// that have it in common the one that has its port.
func (r Router) whoseIs(x *intent.External, p Packet) *intent.Tenant {
	a := p.Dst
	if x != nil && CommonAt(r.Model, x, a) != 0 {
		return r.whosePort(x, p)
	}
	if t := r.whoHas(x, a); t != nil {
		return t
	}
	for _, t := range r.Model.Tenants() {
		if x != nil && PublicAt(t, x, a) != nil {
			return t
		}
	}
	return nil
}

// PublicAt returns the network of a tenant that has an address, if that is reached by an outside as it is: it has
// a gateway, and lies in a prefix that is routed there.
func PublicAt(t *intent.Tenant, x *intent.External, a netip.Addr) *intent.Network {
	for _, n := range t.Networks {
		for _, s := range n.Subnets {
			within := func(p netip.Prefix) bool { return p.Bits() <= s.CIDR.Bits() && p.Contains(s.CIDR.Addr()) }
			if t.Mode != intent.Off && s.Gateway.IsValid() && s.CIDR.Contains(a) && slices.ContainsFunc(x.Prefixes, within) {
				return n
			}
		}
	}
	return nil
}

// whoHas returns the tenant that has an address outside.
func (r Router) whoHas(x *intent.External, a netip.Addr) *intent.Tenant {
	for _, t := range r.Model.Tenants() {
		if x != nil && Has(t, x, a) {
			return t
		}
	}
	return nil
}

// Has reports whether an address outside is a tenant's.
func Has(t *intent.Tenant, x *intent.External, a netip.Addr) bool {
	for _, s := range t.SNATs {
		for _, p := range s.PoolsOn(x.Bridge, x.Network) {
			if slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(a) }) {
				return true
			}
		}
	}
	return slices.ContainsFunc(t.FloatingIPs, func(f *intent.FloatingIP) bool { return f.Address == a && f.External == x.Network }) ||
		slices.ContainsFunc(t.PortForwards, func(f *intent.PortForward) bool { return f.Address == a && f.External == x.Network }) ||
		slices.ContainsFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.Address == a && l.External == x.Network })
}

// wayTo returns the outside by which an address is reached, by the longest prefix.
func (r Router) wayTo(a netip.Addr) (out *intent.External, lost bool) {
	longest := -1
	for _, x := range r.Bridge.Externals {
		for _, s := range x.Subnets {
			if s.CIDR.Contains(a) && s.CIDR.Bits() > longest {
				out, longest, lost = x, s.CIDR.Bits(), !r.Known(x, a)
			}
		}
		for _, to := range x.Routes {
			if to.To.Contains(a) && to.To.Bits() > longest {
				out, longest, lost = x, to.To.Bits(), !r.Known(x, to.Via)
			}
		}
	}
	return out, lost
}

// wayOf is wayTo for what an endpoint sends: from an address of an outside it leaves by that, or not at all.
func (r Router) wayOf(p Packet) (out *intent.External, lost bool) {
	for _, x := range r.Bridge.Externals {
		if x.Has(p.Src) {
			return r.by(x).wayTo(p.Dst)
		}
	}
	return r.wayTo(p.Dst)
}

// by is a router that has one outside.
func (r Router) by(x *intent.External) Router {
	r.Bridge = &intent.Bridge{Externals: []*intent.External{x}}
	return r
}

// Finds reports whether an address is reached by an outside, whatever is reached by others: an
// answer leaves by that which its source is on.
func (r Router) Finds(x *intent.External, a netip.Addr) bool {
	out, lost := r.by(x).wayTo(a)
	return out == x && !lost
}

// owner returns the endpoint of t that has declared an address.
func owner(t *intent.Tenant, a netip.Addr) *intent.Endpoint {
	for _, e := range t.Endpoints {
		if slices.Contains(e.IPs, a) {
			return e
		}
	}
	return nil
}

// LeadsTo reports whether the router of a tenant leads to an address of e.
func LeadsTo(e *intent.Endpoint, a netip.Addr) bool {
	return slices.ContainsFunc(e.Network.Subnets, func(s intent.Subnet) bool { return s.Gateway.IsValid() && s.CIDR.Contains(a) })
}

// Inside reports whether an address is in a subnet of t.
func Inside(t *intent.Tenant, a netip.Addr) bool {
	return slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
		return slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.CIDR.Contains(a) })
	})
}
