// Package lb compiles load balancers: which backend gets a connection that is opened to the
// address of one, and how that is remembered.
//
// The datapath chooses, once for each connection, by a group or by a table of slots; nobody is
// asked. What is chosen is written into the packet at once, and what it was sent to is put back
// where the connection is committed, which translates it. So routing and policy see the backend's own
// address and port, and what they deny leaves no trace.
package lb

import (
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// App is load balancing.
var App = pipeline.App{Balancer: balancer}

// Priorities in LBVIP beside that of what is new and for a port.
const (
	notServed = 50 // for an address, and for no port of it
)

// balancer adds a load balancer.
func balancer(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite) {
	for _, p := range l.Ports {
		s := serviceOf(b, t, l, p)
		if why := s.portless(); why != "" {
			b.LeaveOut(l.ID(), why)
			continue
		}
		s.choose()
		s.stay()
		s.remember()
		s.still()
	}
	if l.Answers {
		others(b, t, l)
	}
	answers(b, t, l)
	for _, m := range l.Mirrors {
		b.Mirror(t, l, m, tagsOf(b, l))
	}
	for _, e := range l.Itself {
		b.Hairpin(l.ID(), e.EndpointSite, e.Backend.IP, e.First)
	}
	if l.TurnsBack {
		b.TurnBack(t, l.Address.Is4())
	}
	for _, e := range l.Doubles {
		b.FromGateway(t, e.EndpointSite, e.Backend.IP, e.Backend.Gateway, false)
	}
	for _, gateway := range l.Gateways {
		b.ToGateway(t, gateway)
	}
}

// tagsOf returns those of a load balancer's ports.
func tagsOf(b *pipeline.Builder, l *pipeline.BalancerSite) (tags []uint32) {
	for _, p := range l.Ports {
		tags = append(tags, b.Numbers.Tag(pipeline.ServiceID(l.LoadBalancer, p)))
	}
	return tags
}

// others drops what is for an address, and for no port of a load balancer's. Fragments are for none: later
// ones say no port, and so not which backend has the first of them; no first one may come to wait for
// them, either. DROP counts them by themselves. (The kernel's datapath hands on whole packets.)
func others(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite) {
	here := []ofproto.Cond{pipeline.InZone(t.Zone), ofproto.IsAddr(pipeline.IPDst(l.Address), l.Address)}
	b.Flow(l.ID(), pipeline.LBVIP, notServed, ofproto.MatchOn(here...), pipeline.ToDrop(pipeline.NotServed)...)
	if t.Untracks() { // what is translated is tracked
		b.Flow(l.ID(), pipeline.Stateless, 65535, ofproto.MatchOn(here...), ofproto.GotoTable(pipeline.CtIn))
	}
}

// A service is a port of a load balancer.
type service struct {
	b        *pipeline.Builder
	t        *pipeline.TenantSite
	l        *pipeline.BalancerSite
	port     intent.LBPort
	id       intent.ID
	tag      uint32
	protocol protocol
}

// A protocol has ports: its number, and the field of the destination's.
type protocol struct {
	number uint64
	dst    ofproto.Field
}

var protocols = map[intent.Protocol]protocol{
	intent.TCP: {6, ofproto.TCPDst}, intent.UDP: {17, ofproto.UDPDst}, intent.SCTP: {132, ofproto.SCTPDst},
}

func serviceOf(b *pipeline.Builder, t *pipeline.TenantSite, l *pipeline.BalancerSite, p intent.LBPort) service {
	id := pipeline.ServiceID(l.LoadBalancer, p)
	return service{b: b, t: t, l: l, port: p, id: id, tag: b.Numbers.Tag(id), protocol: protocols[p.Protocol]}
}

// portless returns why a port of SCTP cannot be where the tracker does not know such ports, and has one
// connection for all of them between two hosts; empty: it can.
func (s service) portless() string {
	const because = "the datapath's connection tracker does not know the ports of SCTP, so that "
	moved := func(b intent.Backend) bool { return b.Target(s.port) != s.port.Port }
	switch {
	case s.port.Protocol != intent.SCTP || s.b.Features.SCTPPorts:
		return ""
	case slices.ContainsFunc(s.l.Backends, moved):
		return because + "a backend cannot have another one: give it the load balancer's port"
	case s.l.SCTPTaken:
		return because + "those of an address cannot be several load balancers', forwards' or SNATs': take an address for each"
	}
	return ""
}

// is is the condition that a packet is of s's protocol, and for a port.
func (s service) is(port uint16) []ofproto.Cond {
	return []ofproto.Cond{ofproto.Is(ofproto.IPProto, s.protocol.number), ofproto.Is(s.protocol.dst, uint64(port))}
}

func (s service) setPort(port uint16) ofproto.Action {
	return ofproto.SetField{Field: s.protocol.dst, Value: ofproto.Uint(uint64(port))}
}

// to writes a backend into a packet, which goes on as if it had been sent there.
func (s service) to(to intent.Backend, next ofproto.Action) []ofproto.Action {
	actions := []ofproto.Action{ofproto.SetAddr(pipeline.IPDst(to.IP), to.IP)}
	if port := to.Target(s.port); port != s.port.Port {
		actions = append(actions, s.setPort(port))
	}
	if to.Outside() {
		actions = append(actions, pipeline.Outward.Set())
		if s.l.SNAT == intent.SNATAlways { // it never sees the client
			actions = append(actions, pipeline.Double.Clear())
		}
	}
	return append(actions, next)
}

// choose sends what is new to a backend.
func (s service) choose() {
	asked := append(s.is(s.port.Port), pipeline.InZone(s.t.Zone), ofproto.IsAddr(pipeline.IPDst(s.l.Address), s.l.Address), pipeline.IsWhole)
	new := func(actions ...ofproto.Action) {
		s.b.Flow(s.l.ID(), pipeline.LBVIP, pipeline.Balancing, ofproto.MatchOn(asked...), actions...)
	}
	if !s.bySlots() {
		s.group()
	}
	if !s.usable() {
		s.nobody(asked)
		return
	}
	marks := []ofproto.Action{pipeline.DNAT.Set(), ofproto.Set(pipeline.RegTarget.Whole(), uint64(s.tag))}
	if s.l.SNAT == intent.SNATAlways {
		marks = append(marks, pipeline.Double.Set())
	}
	switch {
	case len(s.l.Backends) == 1:
		new(append(marks, s.to(s.l.Backends[0], ofproto.GotoTable(pipeline.IDSrc))...)...)
	case s.bySlots():
		new(append(marks, s.slot(), ofproto.GotoTable(pipeline.LBSlot))...)
		s.slots()
	default:
		new(append(marks, ofproto.ToGroup(s.b.Numbers.Group(s.id)))...)
	}
}

// usable reports whether some backend takes connections.
func (s service) usable() bool {
	for i := range s.l.Backends {
		if s.l.Weight(i) > 0 {
			return true
		}
	}
	return false
}

// rejects reports whether who asks is told when nobody serves.
func (s service) rejects() bool {
	return s.l.WhenEmpty == intent.EmptyReject && s.t.Mode == intent.Enforce
}

// nobody is what becomes of what is asked for while no backend takes connections.
func (s service) nobody(asked []ofproto.Cond) {
	if s.rejects() {
		s.b.Answer(s.t, pipeline.LBVIP, pipeline.Balancing, ofproto.MatchOn(asked...), pipeline.NoBackend)
		return
	}
	s.b.Flow(s.l.ID(), pipeline.LBVIP, pipeline.Balancing, ofproto.MatchOn(asked...), pipeline.ToDrop(pipeline.NoBackend)...)
}

// stay lets what is judged again go on if it was opened to s. With which backend is not asked: if
// that is to end it is ended by itself, so that a change of backends has nobody judged again.
func (s service) stay() {
	still := append(s.known(), pipeline.InZone(s.t.Zone), pipeline.JudgeAgain.Is(), ofproto.CT(ofproto.Est|ofproto.Trk, 0))
	s.b.Flow(s.l.ID(), pipeline.LBVIP, 200, ofproto.MatchOn(still...), ofproto.Set(pipeline.RegTarget.Whole(), uint64(s.tag)), ofproto.GotoTable(pipeline.IDSrc))
	if s.l.SNAT == intent.SNATAlways {
		s.b.Flow(s.l.ID(), pipeline.LBVIP, 220, ofproto.MatchOn(append(still, pipeline.KnownDouble)...), ofproto.Set(pipeline.RegTarget.Whole(), uint64(s.tag)), ofproto.GotoTable(pipeline.IDSrc))
	}
}

// known are the conditions that a connection is known to have been opened to s.
func (s service) known() []ofproto.Cond {
	original := ofproto.CTNwDst
	if s.l.Address.Is6() {
		original = ofproto.CTIPv6Dst
	}
	return []ofproto.Cond{pipeline.IPVersion(s.l.Address.Is4()), ofproto.IsAddr(original, s.l.Address), pipeline.ObjectIs(s.tag)}
}

// still has those who are no longer backends, and may have connections for a while, see their
// gateway in them as before.
func (s service) still() {
	if s.l.SNAT != intent.SNATAlways {
		return
	}
	for _, n := range s.t.Networks {
		for _, subnet := range n.GatewaysOf(s.l.Address.Is4()) {
			s.b.StillFromGateway(s.l.ID(), s.t, s.tag, s.known(), subnet)
		}
	}
}

// remember has connections translated to the backend that was chosen, which the packet says by now:
// to each that is listed, also if it gets no new ones.
func (s service) remember() {
	type place struct {
		ip   intent.Backend
		port uint16
	}
	var done []place
	for _, to := range s.l.Backends {
		at := place{intent.Backend{IP: to.IP}, to.Target(s.port)}
		if slices.Contains(done, at) {
			continue
		}
		done = append(done, at)
		x := pipeline.Translation{
			Of: s.l.ID(), Conds: []ofproto.Cond{
				pipeline.IPVersion(to.IP.Is4()), pipeline.DNAT.Is(), ofproto.Is(pipeline.RegTarget, uint64(s.tag)), ofproto.IsAddr(pipeline.IPDst(to.IP), to.IP),
			},
			First: []ofproto.Action{ofproto.SetAddr(pipeline.IPDst(s.l.Address), s.l.Address)}, Service: s.is(at.port),
			NAT: ofproto.NAT{Dst: true, AddrMin: to.IP}, Sure: true, Balanced: true, Double: s.l.SNAT == intent.SNATAlways,
		}
		set := []ofproto.Action{ofproto.SetAddr(pipeline.IPDst(to.IP), to.IP)}
		if at.port != s.port.Port {
			x.Port, x.NAT.PortMin = []ofproto.Action{s.setPort(s.port.Port)}, at.port
			set = append(set, s.setPort(at.port))
		}
		if to.Outside() {
			s.b.ToBackendOutside(s.t, s.l, x, set)
			continue
		}
		s.b.Translate(s.t, x)
	}
}
