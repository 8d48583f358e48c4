package pipeline

import (
	"net/netip"
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// A Probe is a backend of a load balancer on a bridge that is asked how it is. It is asked from its
// gateway's address, or the load balancer's where there is none, by packets that are put out of its
// port, past all tables: what a tenant denies is not the router's business.
type Probe struct {
	Balancer *intent.LoadBalancer
	Backend  intent.Backend
	Tag      uint32 // of the tenant's ProbesID
	Port     uint32 // of the backend, in OpenFlow
}

// ProbesID names what backends of a tenant answer to those who ask how they are. If the switch
// refuses it no answer comes, and what is asked fails.
func ProbesID(t *intent.Tenant) intent.ID { return t.ID() + "/probes" }

// probed reports whether somebody asks the backends of a load balancer something.
func probed(l *intent.LoadBalancer) bool {
	return l.Health != nil || l.Load != nil && l.Load.Type == intent.LoadReported
}

// Probeable reports whether a backend of l can be asked: it is an endpoint of a tenant with a
// firewall, and there is an address on its link to ask from.
func Probeable(t *intent.Tenant, l *intent.LoadBalancer, b intent.Backend) bool {
	return t.Mode != intent.Off && b.Endpoint != nil && l.Asker(b).IsValid()
}

// Probes returns the backends on the bridge that somebody asks something, in the order of the
// tenants and their load balancers.
func (in Input) Probes() (all []Probe) {
	var ports map[binding]uint32
	for _, t := range in.Model.Tenants() {
		for _, l := range t.LoadBalancers {
			if !probed(l) || !slices.Contains(BridgesOf(l), in.Bridge) {
				continue
			}
			if ports == nil {
				ports = byBinding(in.Facts.Ports)
			}
			for _, b := range l.Backends {
				if port, here := in.reaches(t, l, b, ports); here {
					all = append(all, Probe{l, b, in.Numbers.Tag(ProbesID(t)), port})
				}
			}
		}
	}
	return all
}

// reaches returns the port of a backend that can be asked on the bridge.
func (in Input) reaches(t *intent.Tenant, l *intent.LoadBalancer, b intent.Backend, ports map[binding]uint32) (port uint32, is bool) {
	if !Probeable(t, l, b) || !on(b.Endpoint.Network, in.Bridge) || in.Refused[b.Endpoint.ID()] {
		return 0, false
	}
	port, is = ports[bindingOf(b.Endpoint)]
	return port, is
}

// probesIDs is ProbesID, if t has something that is asked.
func probesIDs(t *intent.Tenant) []intent.ID {
	if slices.ContainsFunc(t.LoadBalancers, probed) {
		return []intent.ID{ProbesID(t)}
	}
	return nil
}

// How many packets of answers of a tenant go to the controller in a second: so many for each
// question, which is more than any needs, and so many for those that come late.
const (
	perProbe   = 10
	someProbes = 100
	mostProbes = 10000
)

// An Asked is whom the backends of a tenant answer on a bridge, and how often.
type Asked struct {
	Gateways []netip.Addr // and what stands for them; in order
	Rate     uint32       // packets in a second
}

// same reports whether two are of the same, or both of nobody.
func (a *Asked) same(b *Asked) bool {
	return a == b || a != nil && b != nil && a.Rate == b.Rate && slices.Equal(a.Gateways, b.Gateways)
}

// askedOn returns whom backends of load balancers answer.
func askedOn(t *intent.Tenant, all []*BalancerSite) (a Asked) {
	perSecond := 0.0
	for _, l := range all {
		if !probed(l.LoadBalancer) {
			continue
		}
		for _, b := range l.Backends {
			if Probeable(t, l.LoadBalancer, b) {
				a.Gateways = append(a.Gateways, l.Asker(b))
				perSecond += questions(l.LoadBalancer)
			}
		}
	}
	slices.SortFunc(a.Gateways, netip.Addr.Compare)
	a.Gateways = slices.Compact(a.Gateways)
	a.Rate = uint32(min(someProbes+perProbe*perSecond, mostProbes))
	return a
}

// questions is how many questions a backend is asked in a second.
func questions(l *intent.LoadBalancer) (n float64) {
	each := func(interval intent.Duration) float64 {
		return float64(intent.Second) / float64(max(interval, intent.Millisecond))
	}
	if l.Health != nil {
		n += 2 * each(l.Health.Interval) // UDP asks twice, and all do so sooner when there is no answer
	}
	if l.Load != nil && l.Load.Type == intent.LoadReported {
		n += each(l.Load.Interval)
	}
	return n
}

// Answered sends what backends of a tenant answer to the controller. It is looked at behind the
// lookup: what has an answer's addresses, and belongs to a connection that is translated to
// the gateway's address, has another destination by then. No connection is the gateway's own, nor to
// one of these ports of a load balancer's address from which backends are asked.
func (b *Builder) Answered(t *TenantSite, a Asked, first, mask uint16) {
	id := ProbesID(t.Tenant)
	number, ok := b.Meter(id, a.Rate)
	if !ok {
		return
	}
	for _, own := range a.Gateways {
		here := []ofproto.Cond{IPVersion(own.Is4()), InZone(t.Zone), ofproto.IsMAC(ofproto.EthDst, RouterMAC), ofproto.IsAddr(IPDst(own), own), ofproto.Is(ofproto.IPFrag, 0)}
		for _, answer := range answersTo(own.Is4(), first, mask) {
			b.Flow(id, CtState, answers, ofproto.MatchOn(append(answer, here...)...),
				ofproto.Meter(number), ofproto.Output{Port: ofproto.PortController, MaxLen: 0xffff})
		}
	}
}

// answers is the priority of answers in CtState: above all states.
const answers = 420

// answersTo returns the conditions that a packet is of TCP or UDP and for one of the ports, an
// answer to a ping, or says that a port is unreachable.
func answersTo(four bool, first, mask uint16) (all [][]ofproto.Cond) {
	for _, p := range []struct {
		protocol uint64
		dst      ofproto.Field
	}{{ProtoTCP, ofproto.TCPDst}, {ProtoUDP, ofproto.UDPDst}} {
		all = append(all, []ofproto.Cond{ofproto.Is(ofproto.IPProto, p.protocol), ofproto.Masked(p.dst, uint64(first), uint64(mask))})
	}
	if four {
		icmp := ofproto.Is(ofproto.IPProto, ProtoICMP)
		return append(all, []ofproto.Cond{icmp, ofproto.Is(ofproto.ICMPv4Type, 0)},
			[]ofproto.Cond{icmp, ofproto.Is(ofproto.ICMPv4Type, 3), ofproto.Is(ofproto.ICMPv4Code, 3)})
	}
	icmp := ofproto.Is(ofproto.IPProto, ProtoICMPv6)
	return append(all, []ofproto.Cond{icmp, ofproto.Is(ofproto.ICMPv6Type, 129)},
		[]ofproto.Cond{icmp, ofproto.Is(ofproto.ICMPv6Type, 1), ofproto.Is(ofproto.ICMPv6Code, 4)})
}
