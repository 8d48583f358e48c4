package intent

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// readExternals reads one outside, or a list of them.
func (b *bridgeSpec) readExternals(r *reader, n ast.Node, path string) {
	before := len(r.problems)
	add := func(n ast.Node, path string) { b.externals = append(b.externals, r.external(n, path)) }
	if _, many := n.(*ast.SequenceNode); many {
		r.some(n, path, add)
	} else {
		add(n, path)
	}
	b.flawed = len(r.problems) > before
}

func (r *reader) external(n ast.Node, path string) (x externalSpec) {
	x.place = place{r.at(n), path}
	r.mapping(n, path, map[string]field{
		"network": {func(n ast.Node, p string) { x.network = r.name(n, p) }, true},
		"port":    {func(n ast.Node, p string) { x.port = r.device(n, p) }, true},
		"mac":     {func(n ast.Node, p string) { x.mac = r.mac(n, p) }, false},
		"subnets": {func(n ast.Node, p string) {
			r.atLeastOne(n, p, func(n ast.Node, p string) { x.subnets = append(x.subnets, r.externalSubnet(n, p)) })
		}, true},
		"prefixes": {func(n ast.Node, p string) { x.prefixes = r.cidrs(n, p) }, false},
		"routes": {func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) { x.routes = append(x.routes, r.route(n, p)) })
		}, false},
		"nextHops": {func(n ast.Node, p string) {
			r.some(n, p, func(n ast.Node, p string) { x.nextHops = append(x.nextHops, r.nextHop(n, p)) })
		}, false},
	})
	return x
}

func (r *reader) externalSubnet(n ast.Node, path string) (s externalSubnetSpec) {
	r.mapping(n, path, map[string]field{
		"cidr":    {func(n ast.Node, p string) { s.cidr = r.cidr(n, p) }, true},
		"gateway": {func(n ast.Node, p string) { s.gateway = r.addr(n, p) }, false},
		"address": {func(n ast.Node, p string) { s.address = r.addr(n, p) }, false},
	})
	return s
}

func (r *reader) route(n ast.Node, path string) (x routeSpec) {
	r.mapping(n, path, map[string]field{
		"to":  {func(n ast.Node, p string) { x.to = r.cidr(n, p) }, true},
		"via": {func(n ast.Node, p string) { x.via = r.addr(n, p) }, true},
	})
	return x
}

func (r *reader) nextHop(n ast.Node, path string) (x nextHopSpec) {
	r.mapping(n, path, map[string]field{
		"address": {func(n ast.Node, p string) { x.address = r.addr(n, p) }, true},
		"mac":     {func(n ast.Node, p string) { x.mac = r.mac(n, p) }, true},
	})
	return x
}

func (s *snatSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"network": {func(n ast.Node, p string) { s.network = r.name(n, p) }, false},
		"from":    {func(n ast.Node, p string) { s.from = r.selector(n, p, true) }, false},
		"to":      {func(n ast.Node, p string) { s.to = r.destination(n, p) }, false},
		"exempt":  {func(n ast.Node, p string) { s.exemptAt, s.exempt = place{r.at(n), p}, r.onlyCIDRs(n, p) }, false},
		"addresses": {func(n ast.Node, p string) {
			s.addressesAt, s.addresses = place{r.at(n), p}, r.addrRanges(n, p)
		}, true},
		"ports": {func(n ast.Node, p string) {
			s.ports = r.preserveOrPorts(n, p)
		}, false},
		"selection": {func(n ast.Node, p string) { s.selection = r.choice(n, p, "hash", "random", "persistent") }, false},
		"priority":  {func(n ast.Node, p string) { s.priority = r.number(n, p, 0, 65535) }, false},
		"shared":    {func(n ast.Node, p string) { s.shared = r.flag(n, p) }, false},
	}
}

func (r *reader) destination(n ast.Node, path string) (d destinationSpec) {
	d.place = place{r.at(n), path}
	r.mapping(n, path, map[string]field{
		"cidrs":    {func(n ast.Node, p string) { d.cidrs = r.cidrs(n, p) }, false},
		"protocol": {func(n ast.Node, p string) { d.protocol = r.protocol(n, p) }, false},
		"ports": {func(n ast.Node, p string) {
			d.portsAt = place{r.at(n), p}
			r.some(n, p, func(n ast.Node, p string) {
				if v := r.portRange(n, p); v.set {
					d.ports = append(d.ports, v)
				}
			})
		}, false},
	})
	r.nothing(n, path)
	return d
}

// onlyCIDRs reads {cidrs: [...]}: a mapping, so that there can be more one day.
func (r *reader) onlyCIDRs(n ast.Node, path string) (all []value[netip.Prefix]) {
	r.mapping(n, path, map[string]field{
		"cidrs": {func(n ast.Node, p string) { all = r.cidrs(n, p) }, true},
	})
	return all
}

// atLeastOne reads a list that is there for what is in it.
func (r *reader) atLeastOne(n ast.Node, path string, item func(n ast.Node, path string)) {
	if list, ok := n.(*ast.SequenceNode); ok && len(list.Values) == 0 {
		r.bad(n, path, "name one or more", "is an empty list")
	}
	r.list(n, path, item)
}

// preserveOrPorts reads preserve, which is the zero range, or a range of ports.
func (r *reader) preserveOrPorts(n ast.Node, path string) (v value[PortRange]) {
	if s, ok := n.(*ast.StringNode); ok && strings.Trim(s.Value, "0123456789- ") != "" {
		if s.Value != "preserve" {
			r.bad(n, path, meant(s.Value, slices.Values([]string{"preserve"})), "%q is neither preserve nor a range of ports, as in 1024-65535", s.Value)
		}
		return v
	}
	return r.portRange(n, path)
}

// cidrs reads a list of prefixes with at least one, none of them twice.
func (r *reader) cidrs(n ast.Node, path string) (all []value[netip.Prefix]) {
	given := map[netip.Prefix]bool{}
	r.atLeastOne(n, path, func(n ast.Node, p string) {
		v := r.cidr(n, p)
		switch {
		case !v.set:
		case given[v.v]:
			r.bad(n, p, "", "%v is given twice", v.v)
		default:
			given[v.v] = true
			all = append(all, v)
		}
	})
	return all
}

// addrRanges reads a list of addresses and ranges of them.
func (r *reader) addrRanges(n ast.Node, path string) (all []value[AddrRange]) {
	if list, ok := n.(*ast.SequenceNode); ok && len(list.Values) > maxRanges {
		r.bad(n, path, "write neighbours as one, as in 203.0.113.10-203.0.113.20", "has %d items, and at most %d are read", len(list.Values), maxRanges)
		return nil
	}
	r.atLeastOne(n, path, func(n ast.Node, p string) {
		if v := r.addrRange(n, p); v.set {
			all = append(all, v)
		}
	})
	return all
}

// maxRanges bounds the addresses and ranges of one SNAT: as many as a group has buckets.
const maxRanges = 256

// maxPool bounds the addresses of one range: nobody has more, and somebody mistypes.
const maxPool = 1 << 16

// addrRange reads 203.0.113.10 or 203.0.113.10-203.0.113.20.
func (r *reader) addrRange(n ast.Node, path string) (v value[AddrRange]) {
	s := r.text(n, path)
	if !s.set {
		return v
	}
	first, last, both := strings.Cut(s.v, "-")
	if !both {
		if p, err := netip.ParsePrefix(s.v); err == nil && !p.IsSingleIP() {
			r.bad(n, path, "write "+rangeOf(p).String(), "%q is a prefix, and a pool is addresses", s.v)
			return v
		}
		a := r.addr(n, path)
		return value[AddrRange]{AddrRange{a.v, a.v}, a.at, a.path, a.set}
	}
	lo, hi := hostAddr(strings.TrimSpace(first)), hostAddr(strings.TrimSpace(last))
	switch {
	case !lo.IsValid() || !hi.IsValid() || lo.BitLen() != hi.BitLen():
		r.bad(n, path, "", "%q is no range of addresses, as in 203.0.113.10-203.0.113.20", s.v)
	case hi.Less(lo):
		r.bad(n, path, "write "+AddrRange{hi, lo}.String(), "%s: the range ends before it begins", s.v)
	case !within(lo, hi, maxPool):
		r.bad(n, path, "", "%s has more than %d addresses", s.v, maxPool)
	default:
		return located(r, n, path, AddrRange{lo, hi})
	}
	return v
}

// hostAddr returns the address that s is, or none if no host can have it.
func hostAddr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return netip.Addr{}
	}
	return a
}

// within reports whether there are at most n addresses from lo to hi; n is a power of two
// of at most 2^16.
func within(lo, hi netip.Addr, n int) bool {
	a, b := lo.AsSlice(), hi.AsSlice()
	far, last := 0, len(a)-4
	for i := range last {
		if a[i] != b[i] {
			return false // a pool across such a boundary is refused as too large
		}
	}
	for i := last; i < len(a); i++ {
		far = far<<8 + int(b[i]) - int(a[i])
	}
	return far < n
}

func (f *floatingSpec) fields(r *reader) map[string]field {
	fields := f.target.fields(r)
	fields["address"] = field{func(n ast.Node, p string) { f.address = r.addr(n, p) }, true}
	fields["snat"] = f.target.snatField(r)
	return fields
}

func (t *targetSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"endpoint": {func(n ast.Node, p string) { t.endpoint = r.name(n, p) }, true},
		"ip":       {func(n ast.Node, p string) { t.ip = r.addr(n, p) }, false},
	}
}

func (t *targetSpec) snatField(r *reader) field {
	return field{func(n ast.Node, p string) {
		t.snat = r.choice(n, p, string(SNATAuto), string(SNATAlways), string(SNATNever))
	}, false}
}

func (f *forwardSpec) fields(r *reader) map[string]field {
	return map[string]field{
		"address":  {func(n ast.Node, p string) { f.address = r.addr(n, p) }, true},
		"port":     {func(n ast.Node, p string) { f.ports = r.portRange(n, p) }, true},
		"protocol": {func(n ast.Node, p string) { f.protocol = r.choice(n, p, "tcp", "udp", "sctp") }, true},
		"snat":     f.target.snatField(r),
		"to": {func(n ast.Node, p string) {
			fields := f.target.fields(r)
			fields["port"] = field{func(n ast.Node, p string) { f.toPorts = r.portRange(n, p) }, false}
			r.mapping(n, p, fields)
		}, true},
	}
}
