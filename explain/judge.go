package explain

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// A Judge judges the connections of one tenant as the flows of a program would: it sends
// them through those of the flows that decide. It never changes.
type Judge struct {
	sim      *flowsim.Switch
	zone     uint16
	rules    bool                    // the program judges the tenant's connections at all
	picks    bool                    // a TCP connection may begin in its midst
	opaque   bool                    // the tenant has stations of which no address is known
	known    map[netip.Addr]struct{} // addresses of endpoints, if opaque
	src, dst map[netip.Addr]uint32   // identities that the ports and the neighbours say
}

// NewJudge returns the judge of a tenant. in is what p was compiled from.
func NewJudge(p *pipeline.Program, in pipeline.Input, t *intent.Tenant) *Judge {
	j := &Judge{zone: in.Numbers.Zone(t.ID()), picks: !t.StrictTCP}
	tables := ofproto.Tables{Flows: []ofproto.Flow{{Table: pipeline.Route, Actions: []ofproto.Action{ofproto.GotoTable(pipeline.PolSkip)}}}}
	for i, u := range p.Units {
		if i > 0 && u.Of != t.ID() {
			continue
		}
		if i > 0 {
			j.src, j.dst = pipeline.Identities(u.Flows, pipeline.RegSrcID), pipeline.Identities(u.Flows, pipeline.RegDstID)
		}
		for _, f := range u.Flows {
			zone, one := pipeline.ZoneOf(f)
			if !decides[f.Table] || one && zone != j.zone {
				continue
			}
			j.rules = j.rules || one && f.Table == pipeline.PolOut
			tables.Flows = append(tables.Flows, f)
		}
	}
	j.sim = flowsim.New(tables)
	j.look(t)
	return j
}

// decides are the tables in which policy is. The way between them, from routing on, is left
// out: where a packet goes does not say whether it may.
var decides = map[ofproto.Table]bool{
	pipeline.IDSrc: true, pipeline.IDDst: true, pipeline.PolSkip: true, pipeline.PeerDst: true, pipeline.PolOut: true,
	pipeline.PeerSrc: true, pipeline.PolIn: true, pipeline.PolMiss: true,
}

// look notes which addresses say whose they are, where not all do.
func (j *Judge) look(t *intent.Tenant) {
	for _, n := range t.Networks {
		j.opaque = j.opaque || n.Learn
	}
	for _, e := range t.Endpoints {
		j.opaque = j.opaque || len(e.IPs) == 0
	}
	if !j.opaque {
		return
	}
	j.known = map[netip.Addr]struct{}{}
	for _, e := range t.Endpoints {
		for _, ip := range pipeline.AddressesOf(e) {
			j.known[ip] = struct{}{}
		}
	}
}

// Rule says what the flows would make of a connection, were it judged again now.
func (j *Judge) Rule(c pipeline.Connection) pipeline.Ruling {
	// The tracker has translated the packet by the time that it is judged.
	now := c.Orig
	now.Dst, now.DstPort = c.Reply.Src, c.Reply.SrcPort
	if !j.rules || now.Src.Is4() != now.Dst.Is4() || !j.knows(now.Src) || !j.knows(now.Dst) {
		return pipeline.Unclear
	}
	switch ruling := j.send(c.Protocol, now, true); {
	case ruling != pipeline.Denied:
		return ruling
	case j.begins(c.Protocol) && j.send(c.Protocol, pipeline.CTTuple{Src: now.Dst, Dst: now.Src, SrcPort: now.DstPort, DstPort: now.SrcPort}, false) != pipeline.Denied:
		return pipeline.Answers
	}
	return pipeline.Denied
}

// begins reports whether an answer to a connection that the tracker does not know would be
// taken for the beginning of one.
func (j *Judge) begins(protocol uint8) bool {
	switch protocol {
	case pipeline.ProtoICMP, pipeline.ProtoICMPv6:
		return false
	case pipeline.ProtoTCP:
		return j.picks
	}
	return true
}

func (j *Judge) knows(a netip.Addr) bool {
	_, known := j.known[a]
	return known || !j.opaque
}

// send sends a packet through the flows.
func (j *Judge) send(protocol uint8, t pipeline.CTTuple, again bool) pipeline.Ruling {
	p := packetOf(protocol, t)
	p.SetUint(ofproto.Reg5, uint64(j.zone))
	p.SetUint(pipeline.RegSrcID, uint64(j.src[t.Src]))
	p.SetUint(pipeline.RegDstID, uint64(j.dst[t.Dst]))
	if again {
		p.SetUint(ofproto.Reg0, 1<<pipeline.JudgeAgain)
	}
	trace := j.sim.SendTo(pipeline.IDSrc, p, nil)
	if len(trace.Odd) > 0 {
		return pipeline.Unclear
	}
	switch end := trace.Steps[len(trace.Steps)-1].Table; {
	case end >= pipeline.Commit && end <= pipeline.Out:
		return pipeline.Admitted
	case end > pipeline.Out:
		return pipeline.Denied
	}
	return pipeline.Unclear
}

// ports are the fields of the ports of protocols that have them.
var ports = map[uint8][2]ofproto.Field{
	6: {ofproto.TCPSrc, ofproto.TCPDst}, 17: {ofproto.UDPSrc, ofproto.UDPDst}, 132: {ofproto.SCTPSrc, ofproto.SCTPDst},
}

// packetOf returns a packet of one direction of a connection.
func packetOf(protocol uint8, t pipeline.CTTuple) flowsim.Packet {
	src, dst := ofproto.IPv4Src, ofproto.IPv4Dst
	if t.Src.Is6() {
		src, dst = ofproto.IPv6Src, ofproto.IPv6Dst
	}
	p := flowsim.Of(ofproto.IsAddr(src, t.Src), ofproto.IsAddr(dst, t.Dst), ofproto.Is(ofproto.IPProto, uint64(protocol)))
	if f, ok := ports[protocol]; ok {
		p.SetUint(f[0], uint64(t.SrcPort))
		p.SetUint(f[1], uint64(t.DstPort))
	}
	switch protocol {
	case pipeline.ProtoICMP:
		p.SetUint(ofproto.ICMPv4Type, uint64(t.ICMPType))
		p.SetUint(ofproto.ICMPv4Code, uint64(t.ICMPCode))
	case pipeline.ProtoICMPv6:
		p.SetUint(ofproto.ICMPv6Type, uint64(t.ICMPType))
		p.SetUint(ofproto.ICMPv6Code, uint64(t.ICMPCode))
	}
	return p
}
