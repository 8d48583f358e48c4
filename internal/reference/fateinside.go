package reference

import (
	"net/netip"
	"slices"

	"weir/intent"
)

// What an endpoint sends: docs/policy.md says what it may send at all.

// Types of ICMPv6 by which hosts find one another (RFC 4861), and say to which groups they belong (RFC 2710, RFC 3810).
const (
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighbourSolicitation = 135
	neighbourAnswer       = 136
	redirect              = 137
)

func reportsGroups(typ uint8) bool { return typ == 131 || typ == 132 || typ == 143 }

// inside says what becomes of what comes by the port of f.From.
func (w *Fate) inside(m *intent.Model, t *intent.Tenant, f Frame) {
	e := f.From
	stations := e.MAC == intent.MAC{}
	if stations {
		w.may(Spoofed, TooMany)
	}
	ownMAC := stations || e.Trusted || f.By == e.MAC
	switch {
	case f.Kind == Neither:
		w.may(NeitherIPNorARP, Spoofed)
	case !ownMAC:
		w.may(Spoofed)
	case f.Kind == ARP:
		w.speaksARP(t, f)
	case f.Protocol == ICMPv6 && (f.Type >= routerSolicitation && f.Type <= redirect || reportsGroups(f.Type)):
		w.discovers(t, f)
	case asksDHCP(f.Packet):
		w.passes()
		w.Freely = true
		w.may(Spoofed, NobodyOnLink)
	case f.Router && Martian(f.Src):
		w.may(Spoofed)
	case !e.Trusted && !MayBe(t, e, f.Src):
		w.may(Spoofed)
		if answersDHCP(f.Packet) && e.DHCPServer {
			w.passes()
			w.Freely = true
		}
	default:
		w.own(m, t, f)
	}
}

// asksDHCP reports whether p is a client's that asks for an address (RFC 2131, 4.1; RFC 8415, 7.2).
func asksDHCP(p Packet) bool {
	return p.Protocol == UDP && (p.SrcPort == 68 && p.DstPort == 67 && p.Src == netip.IPv4Unspecified() || p.SrcPort == 546 && p.DstPort == 547)
}

func answersDHCP(p Packet) bool {
	return p.Protocol == UDP && (p.SrcPort == 67 && p.DstPort == 68 || p.SrcPort == 547 && p.DstPort == 546)
}

// speaksARP is about what says who has an address. A probe says nobody (RFC 5227).
func (w *Fate) speaksARP(t *intent.Tenant, f Frame) {
	if e := f.From; !e.Trusted && (!MayBe(t, e, f.Says) && f.Says != netip.IPv4Unspecified() || e.MAC != intent.MAC{} && f.SaysMAC != e.MAC) {
		w.may(Spoofed)
		return
	}
	w.passes()
	w.may(NobodyOnLink)
	if !t.ImplicitARP && t.Mode == intent.Enforce {
		w.may(Undiscovered)
	}
	if Plain(f.From) {
		w.may(Spoofed)
	}
}

// discovers is about what IPv6 says on a link. Of a host that says who it is without being that one, the target and the options are
// not looked at here.
func (w *Fate) discovers(t *intent.Tenant, f Frame) {
	e := f.From
	own := e.Trusted || MayBe(t, e, f.Src) || f.Src == netip.IPv6Unspecified()
	switch {
	case f.Type == routerAdvertisement, f.Type == redirect:
		if w.may(NotItsRole); e.Router && f.Type == routerAdvertisement {
			w.passes()
			w.may(Undiscovered, NobodyOnLink)
		}
	case f.Type == routerSolicitation:
		w.may(Spoofed)
		if slices.ContainsFunc(t.Endpoints, func(o *intent.Endpoint) bool { return o.Router && o.Network == e.Network }) {
			w.passes()
			w.may(Undiscovered, NobodyOnLink)
		}
	default:
		if w.may(Spoofed); own {
			w.passes()
			w.may(NobodyOnLink)
			if !t.ImplicitARP && t.Mode == intent.Enforce {
				w.may(Undiscovered)
			}
		}
	}
}

// own is about what has an address of its sender.
func (w *Fate) own(m *intent.Model, t *intent.Tenant, f Frame) {
	if answersDHCP(f.Packet) {
		if f.From.DHCPServer {
			w.passes()
			w.Freely = true
		}
		w.may(NotItsRole)
	}
	w.tracked(t, f)
	switch {
	case f.For[0]&1 == 1:
		w.toMany(t, f)
	case f.Router:
		w.toRouter(m, t, f)
	default:
		w.onLink(m, t, f)
	}
}

// toRouter is about what is for the router of t.
func (w *Fate) toRouter(m *intent.Model, t *intent.Tenant, f Frame) {
	w.expires(f, 1)
	if slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
		return slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.Gateway == f.Dst })
	}) { // which answers pings
		w.Passes = true
	}
	if !MayBe(t, f.From, f.Src) { // somebody trusted, who says that it is another
		w.passes()
		w.Freely = true
		w.may(ByDefault, ByRule, ByReject, NotTranslated, NoRoute, NoNeighbour)
	}
	w.stood(m, f)
	w.lost(t, f)
	for _, b := range bridgesOf(m, f.From.Network) {
		w.routed(m, b, f, nil)
	}
	for _, n := range t.Networks {
		if isPublic(m, n, f.Src.Is4()) && slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.CIDR.Contains(f.Src) }) { // it may leave as it is
			w.passes()
			w.Freely = true
		}
	}
	w.published(m, f)
}

// lost is about answers of which nobody knows the question, from where something else stands for their sender.
func (w *Fate) lost(t *intent.Tenant, f Frame) {
	for _, p := range t.PortForwards {
		if p.IP == f.Src && p.ToPorts.Lo <= f.SrcPort && f.SrcPort <= p.ToPorts.Hi {
			w.may(Lost)
		}
	}
	for _, l := range t.LoadBalancers {
		for _, b := range l.Backends {
			if b.IP == f.Src && slices.ContainsFunc(l.Ports, func(p intent.LBPort) bool { return b.Target(p) == f.SrcPort }) {
				w.may(Lost)
			}
		}
	}
}

// onLink is about what is for somebody of the same network.
func (w *Fate) onLink(m *intent.Model, t *intent.Tenant, f Frame) {
	found := false
	for _, to := range t.Endpoints {
		stations := to.MAC == intent.MAC{}
		if to.Network != f.From.Network || to.MAC != f.For && !stations || !MayBe(t, to, f.Dst) && !to.Trusted {
			continue
		}
		found = found || !stations
		f.To = to
		if !MayBe(t, f.From, f.Src) || !MayBe(t, to, f.Dst) { // somebody trusted
			w.passes()
			w.Freely = true
			w.may(ByDefault, ByRule, ByReject)
			continue
		}
		switch v := Judge(m, f.Packet, New); {
		case v.Passes():
			w.arrives(to, sightOf(f.Packet))
		case v.Result == Denied:
			w.denied(v)
		}
	}
	if !found || f.For == f.From.MAC {
		w.may(NobodyOnLink)
	}
}

// toMany is about what is for several of the network: each of their policies is asked, and none of them has the address.
func (w *Fate) toMany(t *intent.Tenant, f Frame) {
	w.passes()
	if out, by := first(t, intent.Egress, f.From, nil, f.Dst, f.Packet); denies(out) {
		w.denied(Verdict{By: by, Told: out == intent.Reject})
	}
	for _, to := range t.Endpoints {
		if to.Network != f.From.Network {
			continue
		}
		if in, by := first(t, intent.Ingress, to, f.From, f.Src, f.Packet); denies(in) {
			w.denied(Verdict{By: by, Told: in == intent.Reject})
		}
	}
	if denies(t.Ingress) {
		w.may(ByDefault)
	}
	w.may(NobodyOnLink)
}
