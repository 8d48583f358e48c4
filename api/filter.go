package api

import (
	"net/netip"
	"net/url"
	"strconv"
)

// A Filter says which connections are meant, by who opened them. What is zero is any.
type Filter struct {
	Tenant       string
	Protocol     string // as in Connection
	Src, Dst     netip.Prefix
	Sport, Dport uint16
}

// Matches reports whether c is meant.
func (f Filter) Matches(c Connection) bool {
	return (f.Tenant == "" || f.Tenant == c.Tenant) && (f.Protocol == "" || f.Protocol == c.Protocol) &&
		within(f.Src, c.Orig.Src) && within(f.Dst, c.Orig.Dst) &&
		(f.Sport == 0 || f.Sport == c.Orig.Sport) && (f.Dport == 0 || f.Dport == c.Orig.Dport)
}

func within(p netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	return !p.IsValid() || err == nil && p.Contains(a)
}

// Any reports whether f means all connections, but for whose they are.
func (f Filter) Any() bool { return f == Filter{Tenant: f.Tenant} }

// ParseFilter reads a filter out of the parameters of a request: tenant, protocol, src, dst
// (an address or a prefix), sport and dport. What is empty is not said.
func ParseFilter(q url.Values) (Filter, error) {
	f := Filter{Tenant: q.Get("tenant"), Protocol: q.Get("protocol")}
	for name, to := range map[string]*netip.Prefix{"src": &f.Src, "dst": &f.Dst} {
		s := q.Get(name)
		if s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if a, single := netip.ParseAddr(s); single == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return Filter{}, badRequest("%s: %q is neither an address nor a prefix", name, s)
		}
		*to = p
	}
	for name, to := range map[string]*uint16{"sport": &f.Sport, "dport": &f.Dport} {
		s := q.Get(name)
		if s == "" {
			continue
		}
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return Filter{}, badRequest("%s: %q is no port", name, s)
		}
		*to = uint16(n)
	}
	return f, nil
}
