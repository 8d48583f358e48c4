package reference

import (
	"slices"

	"weir/intent"
)

// outside says what becomes of what comes by the outside x of a bridge.
func (w *Fate) outside(m *intent.Model, b *intent.Bridge, x *intent.External, f Frame) {
	switch {
	case f.Kind == ARP, f.Kind == 0 && f.Protocol == ICMPv6 && f.Type >= routerSolicitation && f.Type <= redirect:
		w.passes() // the router answers, or learns
		w.may(Undiscovered)
	case f.Kind == Neither, !f.Router:
		w.may(NotOurs)
	default:
		w.enters(m, b, x, f)
	}
}

// enters is about what is for the router.
func (w *Fate) enters(m *intent.Model, b *intent.Bridge, x *intent.External, f Frame) {
	r := Router{Model: m, Bridge: b}
	if Martian(f.Src) || r.ourselves(x, f.Src) {
		w.may(Spoofed)
		return
	}
	w.expires(f, 1)
	tenants := w.whose(m, x, f)
	if tenants == 0 && !pings(x, f.Packet) && !w.published(m, f) {
		w.may(NotOurs)
		return
	}
	w.stood(m, f)
	w.routed(m, b, f, x)
	for _, t := range m.Tenants() {
		if Inside(t, f.Src) {
			w.may(Spoofed)
		}
	}
}

// whose counts the tenants that have the address that f is for. Of several, ports say which it is.
func (w *Fate) whose(m *intent.Model, x *intent.External, f Frame) (tenants int) {
	for _, t := range m.Tenants() {
		if !Has(t, x, f.Dst) {
			continue
		}
		tenants++
		w.tracked(t, f)
		if tenants > 1 || slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool { return s.Shared }) {
			w.passes()
			w.may(NobodysPort, NotExpected)
			w.behind(t, f)
		}
	}
	return tenants
}

// behind is about what an address that several have stands for in one of these tenants.
func (w *Fate) behind(t *intent.Tenant, f Frame) {
	r, q := Router{}, f.Packet
	v := r.aim(t, q)
	if nobody, _ := r.balance(t, q, &v); nobody || v.As == "" {
		return
	}
	q.To, q.Dst, q.DstPort = owner(t, v.Seen.Dst), v.Seen.Dst, v.Seen.DstPort
	if q.To == nil {
		w.Freely = true
		return
	}
	if v.Verdict = r.judge(t, q, f.Packet, New); v.Result == Denied {
		w.denied(v.Verdict)
		return
	}
	v.mirror(t, q)
	w.arrives(q.To, v.Seen)
}

// published is about what is for an address that is an endpoint's own, outside as well: in a public network, or since something
// lets it leave as it is. It reports whether anybody has such an address.
func (w *Fate) published(m *intent.Model, f Frame) (any bool) {
	for _, t := range m.Tenants() {
		exempt := slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool { return len(s.Exempt) > 0 })
		for _, n := range t.Networks {
			public := isPublic(m, n, f.Dst.Is4())
			if !public && !exempt || !slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.CIDR.Contains(f.Dst) }) {
				continue
			}
			any = true
			w.tracked(t, f)
			w.may(NotExpected, NoNeighbour)
			v, _, known := Behind(m, t, Remembered{Opened: f.Packet, AnsweredBy: f.Dst, AnswerPort: f.DstPort, AnsweredTo: f.Src})
			switch {
			case !public || !known:
			case v.Result == Denied:
				w.denied(v)
			default: // from an endpoint it comes as that which it leaves as
				w.passes()
				w.Freely = true
			}
		}
	}
	return any
}
