package api

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A Filter says which connections are meant, by who opened them. What is zero is any.
type Filter struct {
	Tenant       string
	Protocol     string // as in Connection
	Src, Dst     netip.Prefix
	Sport, Dport uint16
	NAT          string         // what translates it: as in Connection, or without what comes before the name
	As           netip.AddrPort // as what it is known outside; port 0: any
	Ref          string         // that one
	Where        *Selector      // nil: any
}

// Matches reports whether c is meant.
func (f Filter) Matches(c Connection) bool {
	return (f.Tenant == "" || f.Tenant == c.Tenant) && (f.Protocol == "" || f.Protocol == c.Protocol) &&
		within(f.Src, c.Orig.Src) && within(f.Dst, c.Orig.Dst) &&
		(f.Sport == 0 || f.Sport == c.Orig.Sport) && (f.Dport == 0 || f.Dport == c.Orig.Dport) &&
		(f.NAT == "" || f.translates(c.NAT)) && (!f.As.IsValid() || c.knownAs(f.As)) &&
		(f.Ref == "" || f.Ref == c.Ref) && f.Where.Matches(c)
}

func within(p netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	return !p.IsValid() || err == nil && p.Contains(a)
}

// Any reports whether f means all connections, but for whose they are.
func (f Filter) Any() bool { return f == Filter{Tenant: f.Tenant} }

// ParseFilter reads a filter out of the parameters of a request: tenant, protocol, src, dst
// (an address or a prefix), sport, dport, nat, as (an address, or one with a port) and select (a
// Selector). What is empty is not said.
func ParseFilter(q url.Values) (Filter, error) {
	f := Filter{Tenant: q.Get("tenant"), Protocol: q.Get("protocol"), NAT: q.Get("nat")}
	if err := f.parseAs(q.Get("as")); err != nil {
		return Filter{}, err
	}
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
	if s := q.Get("select"); s != "" {
		var err error
		if f.Where, err = ParseSelector(s); err != nil {
			return Filter{}, err
		}
	}
	return f, nil
}

// readFilter reads a filter, and checks the endpoints that it names.
func readFilter(d Daemon, q url.Values) (Filter, error) {
	f, err := ParseFilter(q)
	if err == nil && f.Where != nil {
		err = f.Where.Known(d.Endpoints(f.Tenant))
	}
	return f, err
}

// parseAs reads 203.0.113.10 or 203.0.113.10:40000.
func (f *Filter) parseAs(s string) (err error) {
	if s == "" {
		return nil
	}
	if a, single := netip.ParseAddr(strings.Trim(s, "[]")); single == nil {
		f.As = netip.AddrPortFrom(a, 0)
	} else if f.As, err = netip.ParseAddrPort(s); err != nil {
		return badRequest("as: %q is neither an address nor one with a port, as in 203.0.113.10:40000", s)
	}
	return nil
}

// translates reports whether f asks for what an intent translates: that itself, or, of a port of a
// load balancer, all of it.
func (f Filter) translates(nat string) bool {
	before, rest, balancer := strings.Cut(nat, "/loadbalancer/")
	name, _, port := strings.Cut(rest, "/")
	return f.NAT == nat || strings.HasSuffix(nat, "/"+f.NAT) || balancer && port && f.translates(before+"/loadbalancer/"+name)
}
