package explain

import (
	"net/netip"
	"slices"
	"strings"

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
	inside   []netip.Prefix          // where the tenant's endpoints are
	networks []uint32                // whose each of these is
	public   map[uint32]bool         // tags of those that may be reached from outside as they are

	published map[netip.Addr]bool // addresses of load balancers as which what goes to backends outside leaves
	numbers   pipeline.Numbers
}

// NewJudge returns the judge of a tenant. in is what p was compiled from.
func NewJudge(p *pipeline.Program, in pipeline.Input, t *intent.Tenant) *Judge {
	j := &Judge{zone: in.Numbers.Zone(t.ID()), picks: !t.StrictTCP}
	tables := ofproto.Tables{Flows: []ofproto.Flow{{Table: pipeline.Route, Actions: []ofproto.Action{ofproto.GotoTable(pipeline.PolSkip)}}}}
	for i, u := range p.Units {
		if i > 0 && u.Of != t.ID() {
			continue
		}
		if i > 0 && j.src == nil { // the units of its load balancers give none
			j.src, j.dst = pipeline.Identities(u.Flows, pipeline.RegSrcID), pipeline.Identities(u.Flows, pipeline.RegDstID)
		}
		for _, f := range u.Flows {
			zone, one := pipeline.ZoneOf(f)
			if !decides[f.Table] && !asksAsWhom(f) || one && zone != j.zone {
				continue
			}
			j.rules = j.rules || one && f.Table == pipeline.PolOut
			tables.Flows = append(tables.Flows, f)
		}
	}
	j.sim = flowsim.New(tables)
	j.look(t, in.Numbers)
	return j
}

// decides are the tables in which policy is. The way between them, from routing on, is left
// out: where a packet goes does not say whether it may.
var decides = map[ofproto.Table]bool{
	pipeline.IDSrc: true, pipeline.IDDst: true, pipeline.PolSkip: true, pipeline.PeerDst: true, pipeline.PolOut: true,
	pipeline.PeerSrc: true, pipeline.PolIn: true, pipeline.PolMiss: true, pipeline.LBVIP: true, pipeline.SNATSel: true,
	pipeline.SNATAgain: true,
}

// asksAsWhom reports whether f has what is to leave for the outside be told as whom.
func asksAsWhom(f ofproto.Flow) bool {
	if f.Table != pipeline.Commit || len(f.Actions) != 1 {
		return false
	}
	again, ok := f.Actions[0].(ofproto.Resubmit)
	return ok && again.Table == pipeline.SNATSel
}

// look notes which addresses say whose they are, where not all do.
func (j *Judge) look(t *intent.Tenant, numbers pipeline.Numbers) {
	j.public, j.published, j.numbers = map[uint32]bool{}, map[netip.Addr]bool{}, numbers
	for _, l := range t.LoadBalancers {
		if !l.Inside() && l.SNAT != intent.SNATNever && l.Outward {
			j.published[l.Address] = true
		}
	}
	for _, n := range t.Networks {
		j.public[numbers.Tag(n.ID())] = true
		j.opaque = j.opaque || n.Learn
		for _, s := range n.Subnets {
			j.inside, j.networks = append(j.inside, s.CIDR), append(j.networks, numbers.Group(n.ID()))
		}
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
	now := sent{Connection: c, CTTuple: c.Orig}
	now.Dst, now.DstPort, now.Src = c.Reply.Src, c.Reply.SrcPort, c.Reply.Dst
	if now.from, now.to = j.ends(c); c.Second() && j.published[c.Reply.Dst] && j.byBalancer(c) { // it ends with its first half
		return pipeline.Unclear
	}
	if c.Outward() && now.from && !j.published[c.Orig.Dst] { // nobody says any more as whom it leaves
		return pipeline.Unmapped
	}
	who := c.Orig.Src
	if c.Protocol == protoSCTP && c.Orig.SrcPort == 0 && c.Orig.DstPort == 0 { // the datapath knows no more
		return pipeline.Unclear
	}
	now.again = true
	if c.Second() { // policy is its first half's to ask, with which it ends
		if j.homeless(now) {
			return pipeline.Unmapped
		}
		return pipeline.Unclear
	}
	if !j.rules || who.Is4() != now.Dst.Is4() || !j.knows(who) || !j.knows(now.Dst) {
		return pipeline.Unclear
	}
	switch ruling, astray := j.send(now); {
	case ruling != pipeline.Denied:
		return ruling
	case astray, c.Kept() && now.to && j.homeless(now):
		return pipeline.Unmapped
	case (!c.Exempt() || j.public[c.Object]) && !c.Double() && j.begins(c.Protocol) && j.admits(now.answered()):
		return pipeline.Answers
	}
	return pipeline.Denied
}

// byBalancer reports whether a connection has left as the address of a load balancer, which may be gone while
// others have the address.
func (j *Judge) byBalancer(c pipeline.Connection) bool {
	id, _ := j.numbers.Origin(c.Object)
	return strings.Contains(string(id), "/loadbalancer/")
}

// A sent packet is one of a connection as policy sees it.
type sent struct {
	pipeline.CTTuple
	pipeline.Connection
	from, to bool // comes from outside, is bound for there
	again    bool // is judged again
}

// answered returns an answer to s that would be the beginning of a connection.
func (s sent) answered() sent {
	s.Src, s.Dst, s.SrcPort, s.DstPort = s.Dst, s.Orig.Src, s.DstPort, s.SrcPort
	s.from, s.to, s.again = s.to, s.from, false
	return s
}

// ends returns which ends of a connection are outside. Only what is translated, or exempt from
// that, or of a network that is reached as it is, has one there.
func (j *Judge) ends(c pipeline.Connection) (from, to bool) {
	outside := func(a netip.Addr) bool {
		return !slices.ContainsFunc(j.inside, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return (c.Reply.Src != c.Orig.Dst || c.Exempt()) && outside(c.Orig.Src), (c.Reply.Dst != c.Orig.Src || c.Exempt() || c.Outward()) && outside(c.Reply.Src)
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

// admits reports whether a packet may pass, or it is not clear that it may not.
func (j *Judge) admits(s sent) bool {
	ruling, _ := j.send(s)
	return ruling != pipeline.Denied
}

// send sends a packet through the flows, as one that no policy keeps. It goes astray if nobody has the address any more as
// which its connection is known outside: then its answers cannot be those of another one.
func (j *Judge) send(s sent) (ruling pipeline.Ruling, astray bool) {
	trace := j.sim.SendTo(pipeline.LBVIP, j.packet(s), nil)
	if len(trace.Odd) > 0 {
		return pipeline.Unclear, false
	}
	switch end := trace.Steps[len(trace.Steps)-1].Table; {
	case end >= pipeline.Commit && end <= pipeline.Out:
		return pipeline.Admitted, false
	case end > pipeline.Out:
		return pipeline.Denied, unmapped(trace.Steps)
	}
	return pipeline.Unclear, false
}

// packet returns s as the flows see it, with what the tracker says of it.
func (j *Judge) packet(s sent) flowsim.Packet {
	p := packetOf(s.Protocol, s.CTTuple)
	p.SetUint(ofproto.Reg5, uint64(j.zone))
	p.SetUint(ofproto.Metadata, j.metadata(s.Orig.Src))
	p.SetUint(pipeline.RegSrcID, uint64(j.src[s.Src]))
	p.SetUint(pipeline.RegDstID, uint64(j.dst[s.Dst]))
	flags := flag(pipeline.FromOutside, s.from) | flag(pipeline.ToOutside, s.to)
	mark := s.Mark &^ pipeline.MarkKeep
	if s.Second() { // policy and SNATs see what any connection is to them
		mark &^= pipeline.MarkDouble
	}
	if s.again {
		p.SetUint(pipeline.RegSrcID, uint64(j.src[s.Orig.Src]))
		flags |= flag(pipeline.JudgeAgain, true)
		p.Know(flowsim.Tuple{Protocol: s.Protocol, Src: s.Orig.Src, Dst: s.Orig.Dst, SrcPort: s.Orig.SrcPort, DstPort: s.Orig.DstPort}, mark)
		p.Set(ofproto.CTLabel, s.Label())
	}
	out := s.Outward() && !s.AsItself
	if out {
		flags |= flag(pipeline.Outward, true) | flag(pipeline.Double, s.from)
	}
	if !s.again || out { // as whom it leaves is of no matter, or is asked of its other half
		flags |= flag(pipeline.SNAT, s.to)
	}
	p.SetUint(ofproto.Reg0, flags)
	return p
}

// homeless reports whether nothing lets s, which goes outside, leave as it does, whatever policy says.
func (j *Judge) homeless(s sent) bool {
	p := j.packet(s)
	return unmapped(j.sim.SendTo(pipeline.Commit, p, nil).Steps)
}

// metadata is that of packets of a host inside. One that has an address of none of the networks
// is in the first, which is right where there is one.
func (j *Judge) metadata(from netip.Addr) uint64 {
	i := max(0, slices.IndexFunc(j.inside, func(p netip.Prefix) bool { return p.Contains(from) }))
	if i >= len(j.networks) {
		return 0
	}
	return uint64(j.networks[i]) | uint64(j.zone)<<pipeline.VRF.Offset
}

// unmapped reports whether a packet was stopped where addresses are looked up.
func unmapped(steps []flowsim.Step) bool {
	for i := 1; i < len(steps); i++ {
		at := steps[i-1].Table
		if steps[i].Table == pipeline.PolMiss && (at == pipeline.LBVIP || at == pipeline.SNATSel || at == pipeline.SNATAgain) {
			return true
		}
	}
	return false
}

func flag(f pipeline.Flag, is bool) uint64 {
	if is {
		return 1 << f
	}
	return 0
}

const protoSCTP = 132

// ports are the fields of the ports of protocols that have them.
var ports = map[uint8][2]ofproto.Field{
	6: {ofproto.TCPSrc, ofproto.TCPDst}, 17: {ofproto.UDPSrc, ofproto.UDPDst}, protoSCTP: {ofproto.SCTPSrc, ofproto.SCTPDst},
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
