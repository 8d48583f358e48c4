package intent

import (
	"net/netip"
	"slices"
	"strings"
)

// A source is an address that an SNAT may translate, and the outside that it is for.
type source struct {
	ip       netip.Addr
	external string
}

// nat notes what of a tenant's translations is probably not meant.
func (v *review) nat(t *Tenant) {
	floats := map[source]*FloatingIP{}
	for _, f := range t.FloatingIPs {
		floats[source{f.IP, f.External}] = f
	}
	sources := map[*SNAT]map[source]bool{}
	for i, s := range t.SNATs {
		sources[s] = s.sources(t)
		v.choice(s)
		v.elsewhere(t, s)
		switch first := shadowOf(s, t.SNATs[:i], sources); {
		case selectionOf(t, s.From).nobody():
			v.note(s.ID(), "spec.from", hintFor(t, s.From), "selects nobody: %s", absent(s.From))
		case len(sources[s]) == 0 && len(t.Endpoints) > 0:
			v.note(s.ID(), "spec.from", "", "selects nobody: no endpoint has such an address, of the version of IP that it translates")
		case len(t.Endpoints) == 0:
		case hidden(sources[s], floats):
			v.note(s.ID(), "spec", "", "can never match: all that it selects have floating IPs, which come first")
		case first != nil:
			v.note(s.ID(), "spec", "", "can never match: %s, at %s, comes first and matches all of it", first.ID(), v.place(first.ID()))
		default:
			v.exempt(s)
			v.named(t, s, floats)
		}
	}
}

// unreachable notes public networks of a tenant that tracks nothing, or that no router leads to.
func (v *review) unreachable(t *Tenant) {
	for _, n := range t.Networks {
		for _, s := range n.Subnets {
			switch {
			case !v.public(n, s):
			case t.Mode == Off:
				v.note(n.ID(), "spec.subnets", "mode: audit lets everything pass as well, and tracks it", "%v is routed here from outside, and is not reached from there: tenant %q has mode off", s.CIDR, t.Name)
			case !s.Gateway.IsValid():
				v.note(n.ID(), "spec.subnets", "give it a gateway", "%v is routed here from outside, and is not reached from there", s.CIDR)
			}
		}
	}
}

// public reports whether a subnet is in a prefix of an outside.
func (v *review) public(n *Network, s Subnet) bool {
	return slices.ContainsFunc(v.model.bridges, func(b *Bridge) bool {
		return slices.Contains(n.Bridges, b.Name) && slices.ContainsFunc(b.Externals, func(x *External) bool { return x.Routed(s.CIDR) })
	})
}

// sources returns what s may translate, of what is known.
func (s *SNAT) sources(t *Tenant) map[source]bool {
	all, prefixes := map[source]bool{}, s.From.Prefixes()
	for _, e := range t.Endpoints {
		if s.Network != nil && e.Network != s.Network {
			continue
		}
		selected := s.From.Selects(e)
		for _, ip := range e.IPs {
			if !selected && !inSome(prefixes, ip) {
				continue
			}
			for _, p := range s.Pools {
				if p.Is4() == ip.Is4() && slices.Contains(e.Network.Bridges, p.Bridge) {
					all[source{ip, p.External}] = true
				}
			}
		}
	}
	return all
}

// hidden reports whether floating IPs come before all sources.
func hidden(sources map[source]bool, floats map[source]*FloatingIP) bool {
	for s := range sources {
		if floats[s] == nil {
			return false
		}
	}
	return true
}

// shadowOf returns the first of earlier SNATs that matches all that s does.
func shadowOf(s *SNAT, earlier []*SNAT, sources map[*SNAT]map[source]bool) *SNAT {
	for _, e := range earlier {
		if e.To.contains(s.To) && !slices.ContainsFunc(s.Pools, func(p Pool) bool { return !e.hasLike(p) }) && containsAll(sources[e], sources[s]) {
			return e
		}
	}
	return nil
}

func containsAll(a, b map[source]bool) bool {
	for s := range b {
		if !a[s] {
			return false
		}
	}
	return true
}

// contains reports whether all that goes to e goes to d.
func (d Destination) contains(e Destination) bool {
	if !d.Service.contains(e.Service) || len(d.CIDRs) > 0 && len(e.CIDRs) == 0 {
		return false
	}
	return len(d.CIDRs) == 0 || !slices.ContainsFunc(e.CIDRs, func(p netip.Prefix) bool { return !covered(d.CIDRs, p) })
}

// covered reports whether one of some prefixes contains p.
func covered(by []netip.Prefix, p netip.Prefix) bool {
	return slices.ContainsFunc(by, func(c netip.Prefix) bool { return c.Bits() <= p.Bits() && c.Overlaps(p) })
}

// hasLike reports whether s has addresses where p is, of its family.
func (s *SNAT) hasLike(p Pool) bool {
	return slices.ContainsFunc(s.Pools, func(q Pool) bool {
		return q.Bridge == p.Bridge && q.External == p.External && q.Is4() == p.Is4()
	})
}

// choice notes a selection where there is nothing to choose from.
func (v *review) choice(s *SNAT) {
	one := !slices.ContainsFunc(s.Pools, func(p Pool) bool { return len(p.Ranges) > 1 || p.Ranges[0].Lo != p.Ranges[0].Hi })
	if s.Selection != SelectHash && one && s.Preserves() {
		v.note(s.ID(), "spec.selection", "", "means nothing: there is one address, and ports are kept")
	}
}

// elsewhere notes bridges with an outside on which s has no address.
func (v *review) elsewhere(t *Tenant, s *SNAT) {
	networks := t.Networks
	if s.Network != nil {
		networks = []*Network{s.Network}
	}
	var without []string
	for _, name := range bridgesUnder(networks) {
		for _, b := range v.model.bridges {
			if b.Name == name && len(b.Externals) > 0 && !slices.ContainsFunc(s.Pools, func(p Pool) bool { return p.Bridge == name }) {
				without = append(without, name)
			}
		}
	}
	if len(without) > 0 {
		v.note(s.ID(), "spec.addresses", "", "have none outside of %s: it translates nobody there", bridgesText(without))
	}
}

// exempt notes exemptions without effect, and those that leave nothing.
func (v *review) exempt(s *SNAT) {
	for _, p := range s.Exempt {
		if len(s.To.CIDRs) > 0 && !slices.ContainsFunc(s.To.CIDRs, p.Overlaps) {
			v.note(s.ID(), "spec.exempt", "", "%v is not in to, and so is not translated without being exempt", p)
		}
	}
	if len(s.To.CIDRs) > 0 && !slices.ContainsFunc(s.To.CIDRs, func(p netip.Prefix) bool { return !covered(s.Exempt, p) }) {
		v.note(s.ID(), "spec.exempt", "", "leaves nothing of to that would be translated")
	}
}

// named notes endpoints that an SNAT names, and that leave by a floating IP.
func (v *review) named(t *Tenant, s *SNAT, floats map[source]*FloatingIP) {
	var names []string
	for _, f := range floats {
		if slices.Contains(s.From.Endpoints, f.Endpoint.Name) && s.sources(t)[source{f.IP, f.External}] {
			names = append(names, f.Endpoint.Name)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 0 {
		v.note(s.ID(), "spec.from.endpoints", "", "%s: a floating IP comes first", strings.Join(names, ", "))
	}
}
