package firewall

import (
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// servicesOverlap reports whether some packet may be for both a and b.
func servicesOverlap(a, b *intent.Service) bool {
	if a.Protocol == intent.AnyProtocol || b.Protocol == intent.AnyProtocol {
		return true
	}
	return a.Protocol == b.Protocol && portsOverlap(a.Ports, b.Ports) && typesOverlap(a.Types, b.Types)
}

// portsOverlap asks the ranges of two services, which are in order and apart.
func portsOverlap(a, b []intent.PortRange) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for len(a) > 0 && len(b) > 0 {
		if a[0].Lo <= b[0].Hi && b[0].Lo <= a[0].Hi {
			return true
		}
		if a[0].Hi < b[0].Hi {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return false
}

func typesOverlap(a, b []intent.ICMPType) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(x intent.ICMPType) bool {
		return slices.ContainsFunc(b, func(y intent.ICMPType) bool {
			return x.Type == y.Type && (x.AnyCode || y.AnyCode || x.Code == y.Code)
		})
	})
}

// services returns the conditions on protocol and ports or types: one for each type, and
// for each mask that the ports need. The masks of a range are as few as prefixes can be,
// so that the classifier's port tries stay of use.
func (r rule) services(way towards) [][]ofproto.Cond {
	number, ok := r.Protocol.Number()
	if !ok {
		return [][]ofproto.Cond{nil}
	}
	is := ofproto.Is(ofproto.IPProto, uint64(number))
	switch {
	case len(r.Ports) > 0:
		return portConds(is, portField(r.Protocol, way), r.Ports)
	case len(r.Types) > 0:
		return typeConds(is, r.Service, way)
	}
	return [][]ofproto.Cond{{is}}
}

func portConds(is ofproto.Cond, field ofproto.Field, ports []intent.PortRange) (all [][]ofproto.Cond) {
	for _, p := range ports {
		for _, c := range ofproto.CoverPorts(field, p.Lo, p.Hi) {
			all = append(all, []ofproto.Cond{is, c})
		}
	}
	return all
}

// portFields are the fields of the destination's and of the source's port.
var portFields = map[intent.Protocol][2]ofproto.Field{
	intent.TCP:  {ofproto.TCPDst, ofproto.TCPSrc},
	intent.UDP:  {ofproto.UDPDst, ofproto.UDPSrc},
	intent.SCTP: {ofproto.SCTPDst, ofproto.SCTPSrc},
}

func portField(p intent.Protocol, way towards) ofproto.Field {
	if way == backward {
		return portFields[p][1]
	}
	return portFields[p][0]
}

func typeConds(is ofproto.Cond, s intent.Service, way towards) (all [][]ofproto.Cond) {
	typ, code := ofproto.ICMPv4Type, ofproto.ICMPv4Code
	if s.Protocol == intent.ICMPv6 {
		typ, code = ofproto.ICMPv6Type, ofproto.ICMPv6Code
	}
	for _, t := range s.Types {
		number := t.Type
		if way == backward {
			number = answering(s.Protocol, number)
		}
		conds := []ofproto.Cond{is, ofproto.Is(typ, uint64(number))}
		if !t.AnyCode {
			conds = append(conds, ofproto.Is(code, uint64(t.Code)))
		}
		all = append(all, conds)
	}
	return all
}

// answering returns the type of message that answers one of a type, which is what it is
// an answer to as well (IANA, ICMP and ICMPv6 parameters). What asks for no answer, an
// error, is answered by its like.
func answering(p intent.Protocol, t uint8) uint8 {
	pairs := [][2]uint8{{8, 0}, {13, 14}, {15, 16}, {17, 18}}
	if p == intent.ICMPv6 {
		pairs = [][2]uint8{{128, 129}}
	}
	for _, q := range pairs {
		switch t {
		case q[0]:
			return q[1]
		case q[1]:
			return q[0]
		}
	}
	return t
}
