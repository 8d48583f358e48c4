package nat

import (
	"net/netip"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// An aimed address, or ports of it, stands for one of an endpoint.
type aimed struct {
	of        intent.ID
	tag       uint64
	address   netip.Addr
	ip        netip.Addr
	protocol  intent.Protocol  // empty: all, with whatever port
	ports, to intent.PortRange // as many there as here, each to its own
	portless  bool             // the tracker does not know the ports
	gateway   netip.Addr       // from which all comes to the endpoint; none: from who has sent it
}

// aim has what is new for an address go to an endpoint. From here on the packet is to all
// tables as if it had been sent there: it is routed and judged so. Before the commit it is what
// it was again, for that has to remember what it makes of it. Open vSwitch writes neither into
// the packet, as nothing has been done with it in between.
func aim(b *pipeline.Builder, t *pipeline.TenantSite, a aimed) {
	switch {
	case a.protocol == "":
		choose(b, t, a, way{original: []ofproto.Cond{pipeline.SamePort}}) // one that another translation has sent to another port is none of its own
		remember(b, t, a, way{})
	case a.ports == a.to:
		for _, w := range a.kept() {
			choose(b, t, a, w)
		}
		remember(b, t, a, way{service: a.is()})
	case a.ports.Lo == a.ports.Hi:
		w := a.moved(0)
		choose(b, t, a, w)
		w.service = a.is() // the target says which port
		remember(b, t, a, w)
	default:
		for i := range int(a.ports.Hi-a.ports.Lo) + 1 {
			choose(b, t, a, a.moved(uint16(i)))
			remember(b, t, a, a.moved(uint16(i)))
		}
	}
}

// A way is that of some ports.
type way struct {
	asked    []ofproto.Cond // what is sent to the address
	original []ofproto.Cond // what the tracker says of a connection that was
	meant    []ofproto.Cond // what such a connection is to the endpoint, where original does not say it
	service  []ofproto.Cond // what is to be remembered
	port, to uint16         // if they are not the same: the one port, and the endpoint's
}

// protocols are those that have ports to forward: their numbers, and the fields of the ports.
var protocols = map[intent.Protocol]struct {
	number uint64
	dst    ofproto.Field
}{intent.TCP: {6, ofproto.TCPDst}, intent.UDP: {17, ofproto.UDPDst}, intent.SCTP: {132, ofproto.SCTPDst}}

// kept are the ways of ports that stay the same, one for each mask that they need. That a
// connection's has is said by its label, for fields cannot be compared with each other.
func (a aimed) kept() (all []way) {
	original := ofproto.CoverPorts(ofproto.CTTpDst, a.ports.Lo, a.ports.Hi)
	for i, c := range ofproto.CoverPorts(protocols[a.protocol].dst, a.ports.Lo, a.ports.Hi) {
		w := way{asked: append(a.is(), c), original: append(a.was(), original[i], pipeline.SamePort)}
		if a.portless {
			w.original, w.meant = a.was(), w.asked
		}
		all = append(all, w)
	}
	return all
}

// moved is the way of one port that is another one there: the one after i others.
func (a aimed) moved(i uint16) way {
	p, dst := protocols[a.protocol], way{port: a.ports.Lo + i, to: a.to.Lo + i}
	dst.asked = append(a.is(), ofproto.Is(p.dst, uint64(dst.port)))
	dst.original = append(a.was(), ofproto.Is(ofproto.CTTpDst, uint64(dst.port)))
	dst.meant = append(a.is(), ofproto.Is(p.dst, uint64(dst.to)))
	dst.service = dst.meant
	return dst
}

// is is the condition that a packet is of a's protocol, and was that its connection is.
func (a aimed) is() []ofproto.Cond {
	return []ofproto.Cond{ofproto.Is(ofproto.IPProto, protocols[a.protocol].number)}
}

func (a aimed) was() []ofproto.Cond {
	return []ofproto.Cond{ofproto.Is(ofproto.CTNwProto, protocols[a.protocol].number)}
}

func (a aimed) setPort(port uint16) ofproto.Action {
	return ofproto.SetField{Field: protocols[a.protocol].dst, Value: ofproto.Uint(uint64(port))}
}

// choose gives what is new, and for a, the endpoint as its target. What is judged again has to
// have been a's.
func choose(b *pipeline.Builder, t *pipeline.TenantSite, a aimed, w way) {
	to := pipeline.IPDst(a.address)
	there := []ofproto.Action{pipeline.DNAT.Set(), ofproto.Set(pipeline.RegTarget.Whole(), a.tag), ofproto.SetAddr(to, a.ip)}
	if w.to != 0 {
		there = append(there, a.setPort(w.to))
	}
	if a.gateway.IsValid() {
		there = append(there, pipeline.Double.Set())
	}
	b.Flow(a.of, pipeline.LBVIP, 100, ofproto.MatchOn(append(w.asked, pipeline.InZone(t.Zone), ofproto.IsAddr(to, a.address))...),
		append(there, ofproto.GotoTable(pipeline.IDSrc))...)
	still := slices.Concat(w.original, w.meant, []ofproto.Cond{pipeline.InZone(t.Zone), pipeline.JudgeAgain.Is(), ofproto.CT(ofproto.Est|ofproto.Trk, 0),
		ofproto.IsAddr(originalDst(a.address), a.address), ofproto.IsAddr(to, a.ip)})
	b.Flow(a.of, pipeline.LBVIP, 200, ofproto.MatchOn(still...), ofproto.GotoTable(pipeline.IDSrc))
	if a.gateway.IsValid() {
		b.Flow(a.of, pipeline.LBVIP, 220, ofproto.MatchOn(append(still, pipeline.KnownDouble)...), ofproto.GotoTable(pipeline.IDSrc))
	}
}

// remember has a connection that a has chosen the target of be translated.
func remember(b *pipeline.Builder, t *pipeline.TenantSite, a aimed, w way) {
	var port []ofproto.Action
	if w.to != 0 {
		port = append(port, a.setPort(w.port))
	}
	b.Translate(t, pipeline.Translation{
		Of: a.of, Conds: []ofproto.Cond{pipeline.IPVersion(a.address.Is4()), pipeline.DNAT.Is(), ofproto.Is(pipeline.RegTarget, a.tag)},
		First: []ofproto.Action{ofproto.SetAddr(pipeline.IPDst(a.address), a.address)}, Port: port, Service: w.service, Fragments: a.oneWay(),
		NAT: ofproto.NAT{Dst: true, AddrMin: a.ip, PortMin: w.to}, Sure: true, Double: a.gateway.IsValid(),
	})
}

func originalDst(a netip.Addr) ofproto.Field {
	if a.Is4() {
		return ofproto.CTNwDst
	}
	return ofproto.CTIPv6Dst
}
