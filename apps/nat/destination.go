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
	switch {
	case len(s.Ports) == 0 && four:
		return [][]ofproto.Cond{{is}}
	case len(s.Ports) == 0:
		return [][]ofproto.Cond{{is}, piece(n, four, ofproto.New)}
	}
	for _, ports := range s.Ports {
		for _, c := range ofproto.CoverPorts(protocols[s.Protocol].dst, ports.Lo, ports.Hi) {
			all = append(all, []ofproto.Cond{is, c})
		}
	}
	return all
}

// pieces returns conditions of which a fragment meets one that goes to d, for all that it
// says itself: it has no ports, where they are what is asked for.
//
// The tracker remembers a connection by the last fragment of its first packet. That must not
// leave as somebody else than what comes after it.
func pieces(d intent.Destination, four bool) [][]ofproto.Cond {
	if len(d.Ports) == 0 {
		return nil
	}
	return piecesIn(d, four, ofproto.New)
}

// piecesIn is pieces, whether ports are asked for or not, of what the tracker calls so.
func piecesIn(d intent.Destination, four bool, state ofproto.CTStateBits) (all [][]ofproto.Cond) {
	n, _ := d.Protocol.Number()
	for _, to := range places(d.CIDRs, four) {
		all = append(all, append(to[:len(to):len(to)], piece(n, four, state)...))
	}
	return all
}

// piece is the condition that a packet is a later fragment of a protocol. In IPv6 such a one does
// not say that itself. The tracker does, if it is asked about what it knows, or calls new.
func piece(protocol uint8, four bool, state ofproto.CTStateBits) []ofproto.Cond {
	if four {
		return []ofproto.Cond{pipeline.IsLaterFragment, ofproto.Is(ofproto.IPProto, uint64(protocol))}
	}
	return []ofproto.Cond{pipeline.IsLaterFragment, ofproto.CT(state|ofproto.Trk, 0), ofproto.Is(ofproto.CTNwProto, uint64(protocol))}
}

// stillTo returns conditions of which what goes to d meets one when it is judged again. Where ports
// are asked for, later fragments go on to wait for the first, which is looked at.
func stillTo(d intent.Destination, four bool) [][]ofproto.Cond {
	all := append(destinations(d, four), pieces(d, four)...)
	if _, numbered := d.Protocol.Number(); numbered && !four && d.Protocol != intent.ICMP {
		all = append(all, piecesIn(d, four, ofproto.Est)...)
	}
	return all
}
