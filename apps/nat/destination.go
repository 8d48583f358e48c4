package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// destinations returns conditions of which what goes to d, in a version of IP, meets one.
func destinations(d intent.Destination, four bool) (all [][]ofproto.Cond) {
	for _, to := range places(d.CIDRs, four) {
		for _, what := range services(d.Service, four) {
			all = append(all, append(to[:len(to):len(to)], what...))
		}
	}
	return all
}

// places returns conditions of which one is met by what goes to some of the prefixes, or
// anywhere if there are none.
func places(to []netip.Prefix, four bool) (all [][]ofproto.Cond) {
	if len(to) == 0 {
		return [][]ofproto.Cond{nil}
	}
	for _, p := range to {
		if p.Addr().Is4() == four {
			all = append(all, []ofproto.Cond{ofproto.InPrefix(pipeline.IPDst(p.Addr()), p)})
		}
	}
	return all
}

// services returns conditions of which what is of s meets one: none, where the version of IP
// does not have it.
func services(s intent.Service, four bool) (all [][]ofproto.Cond) {
	n, numbered := s.Protocol.Number()
	switch {
	case s.Protocol == intent.ICMP && !four, s.Protocol == intent.ICMPv6 && four:
		return nil
	case !numbered:
		return [][]ofproto.Cond{nil}
	}
	is := ofproto.Is(ofproto.IPProto, uint64(n))
	if len(s.Ports) == 0 {
		return [][]ofproto.Cond{{is}}
	}
	for _, ports := range s.Ports {
		for _, c := range ofproto.CoverPorts(protocols[s.Protocol].dst, ports.Lo, ports.Hi) {
			all = append(all, []ofproto.Cond{is, c})
		}
	}
	return all
}

// pieces returns conditions of which a fragment meets one that goes to d, for all that it
// says itself: it may have no ports, where they are what is asked for.
//
// The tracker remembers a connection by the last fragment of its first packet. That must not
// leave as somebody else than what comes after it.
func pieces(d intent.Destination, four bool) (all [][]ofproto.Cond) {
	if len(d.Ports) == 0 {
		return nil
	}
	d.Ports = nil
	for _, c := range destinations(d, four) {
		all = append(all, append(c, pipeline.IsLaterFragment))
	}
	return all
}
