package reference

import (
	"net/netip"
	"slices"

	"weir/intent"
)

// A Remembered is a connection of a tenant, as the tracker has it in the tenant's own zone.
type Remembered struct {
	Opened     Packet     // by whom, as it was sent; From and To are not asked for
	AnsweredBy netip.Addr // the source of the answers,
	AnswerPort uint16     // and its port
	AnsweredTo netip.Addr // the destination of the answers
}

// Behind says who lets a connection be, and what translates it. It is not known if an end of it is in one of
// the tenant's networks, and no endpoint's that has declared its address.
func Behind(m *intent.Model, t *intent.Tenant, c Remembered) (v Verdict, nat intent.ID, known bool) {
	p := c.Opened
	p.Dst, p.DstPort = c.AnsweredBy, c.AnswerPort
	p.From, p.To = owner(t, p.Src), owner(t, p.Dst)
	if p.From == nil && Inside(t, p.Src) || p.To == nil && Inside(t, p.Dst) || p.From == nil && p.To == nil {
		return v, "", false
	}
	if v = judge(t, p); v.Result == Denied && t.Mode == intent.Audit { // remembered with who would have stopped it
		switch v.Result = Audited; {
		case v.Egress == "":
			v.Egress = v.By
		default:
			v.Ingress = v.By
		}
	}
	return v, c.translatedBy(m, t), true
}

// translatedBy returns what translates c: by the address that was asked for, or else by that which it has left as. Or what
// lets it go between inside and outside as it is.
func (c Remembered) translatedBy(m *intent.Model, t *intent.Tenant) intent.ID {
	p := c.Opened
	if c.AnsweredBy != p.Dst || c.AnswerPort != p.DstPort {
		r := Router{}
		w := r.aim(t, p)
		r.balance(t, p, &w)
		return w.As
	}
	p.From = owner(t, p.Src)
	if c.AnsweredTo == p.Src {
		return asItIs(m, t, p)
	}
	for _, f := range t.FloatingIPs {
		if f.IP == p.Src && f.Address == c.AnsweredTo {
			return f.ID()
		}
	}
	for _, s := range t.SNATs {
		for _, pool := range s.Pools {
			for _, r := range pool.Ranges {
				as := r.Contains(c.AnsweredTo) || s.Shared // whose connections have an alias, and only that if no port is left
				if as && p.From != nil && translates(s, p) {
					return s.ID()
				}
			}
		}
	}
	return ""
}

// asItIs returns what lets p go between inside and outside untranslated.
func asItIs(m *intent.Model, t *intent.Tenant, p Packet) intent.ID {
	to := owner(t, p.Dst)
	for _, e := range []*intent.Endpoint{p.From, to} {
		if e != nil && (p.From == nil || to == nil) && isPublic(m, e.Network, p.Dst.Is4()) {
			return e.Network.ID()
		}
	}
	for _, s := range t.SNATs {
		if to == nil && translates(s, p) {
			if exempts(t, s, p) {
				return s.ID() + "/exempt"
			}
			return ""
		}
	}
	return ""
}

// isPublic reports whether a network has addresses of a version of IP that are its own outside as well.
func isPublic(m *intent.Model, n *intent.Network, four bool) bool {
	for _, b := range m.Bridges() {
		for _, x := range b.Externals {
			if slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool {
				return s.Gateway.IsValid() && s.CIDR.Addr().Is4() == four && x.Routed(s.CIDR)
			}) {
				return true
			}
		}
	}
	return false
}
