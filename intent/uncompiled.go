package intent

import "slices"

// A feature is something that a model can say.
type feature string

// The features that were not there from the beginning.
const (
	bridgeDisruption feature = "allowDisruption of a bridge"

	modeAudit        feature = "mode audit"
	modeOff          feature = "mode off"
	strictTCP        feature = "strictTCP"
	connectionLimit  feature = "limits.connections"
	tenantRate       feature = "limits.newPerSecond of a tenant"
	tenantTimeouts   feature = "timeouts"
	tenantDisruption feature = "allowDisruption of a tenant"

	learnStations    feature = "unknownStations learn"
	trustedPort      feature = "trusted"
	dhcpServer       feature = "the role dhcpServer"
	routerRole       feature = "the role router"
	endpointRate     feature = "limits.newPerSecond of an endpoint"
	withoutAddresses feature = "an endpoint without addresses"

	groups      feature = "kind Group"
	revokeKeep  feature = "onRevoke keep"
	revokeReset feature = "onRevoke reset"

	actionReject  feature = "action reject"
	actionPass    feature = "action pass"
	protocolSCTP  feature = "protocol sctp"
	protocolOther feature = "a protocol other than tcp, udp, sctp, icmp and icmpv6"
	icmpTypes     feature = "types"
	algs          feature = "alg"
	logNew        feature = "log new"
	logSampled    feature = "log sampled"

	externalSide     feature = "external of a bridge"
	externalSeveral  feature = "more than one external of a bridge"
	externalIPv6     feature = "IPv6 outside"
	externalAddress  feature = "an address of the router outside"
	externalMAC      feature = "mac of an external"
	externalRoutes   feature = "routes of an external"
	externalPrefixes feature = "prefixes of an external"
	nextHopMAC       feature = "nextHops of an external"

	snats          feature = "kind SNAT"
	snatPool       feature = "an SNAT with more than one address"
	snatSplit      feature = "an SNAT with addresses that are not one range"
	snatFrom       feature = "from of an SNAT"
	snatPorts      feature = "ports of an SNAT"
	snatRandom     feature = "selection random"
	snatPersistent feature = "selection persistent"
	snatTo         feature = "to of an SNAT"
	snatExempt     feature = "exempt of an SNAT"
	snatShared     feature = "shared"

	floatingIPs  feature = "kind FloatingIP"
	portForwards feature = "kind PortForward"
	forwardRange feature = "a PortForward of more than one port"
	forwardSCTP  feature = "a PortForward of protocol sctp"
	snatAlways   feature = "snat always"

	balancers           feature = "kind LoadBalancer"
	balancerOutside     feature = "a LoadBalancer outside"
	balancerBridged     feature = "a LoadBalancer in a subnet without a gateway"
	balancerIPv6        feature = "a LoadBalancer of IPv6"
	balancerPorts       feature = "a LoadBalancer of more than one port"
	balancerUDP         feature = "a LoadBalancer of protocol udp"
	balancerSCTP        feature = "a LoadBalancer of protocol sctp"
	balancerConsistent  feature = "algorithm consistent"
	balancerSourceIP    feature = "algorithm sourceIP"
	balancerDrain       feature = "drain"
	balancerSNATAlways  feature = "snat always of a LoadBalancer"
	balancerSNATNever   feature = "snat never of a LoadBalancer"
	balancerReject      feature = "whenEmpty reject"
	balancerRemoveKeep  feature = "onRemove keep"
	balancerRemoveReset feature = "onRemove reset"
	backendLabels       feature = "backends by labels"
	backendStranger     feature = "a backend that is nobody's endpoint"
	backendOutside      feature = "a backend outside"
	backendWeight       feature = "weight of a backend"
	backendPort         feature = "port of a backend"
	healthTCP           feature = "health of type tcp"
	healthHTTP          feature = "health of type http"
	healthUDP           feature = "health of type udp"
	healthICMP          feature = "health of type icmp"
	slowStart           feature = "slowStart"
	loadConnections     feature = "load of type connections"
	loadReported        feature = "load of type reported"
)

// uncompiled is what can be said, and checked, but has no effect on a bridge yet. New
// refuses it: a firewall must not take a rule for granted that nobody enforces. Whoever
// makes a feature work takes its line out, and nothing else has to be changed here.
var uncompiled = map[feature]bool{}

// uses notes, if it is so, that a feature is asked for.
func (c *checker) uses(it bool, f feature, at place) {
	if it && c.uncompiled[f] {
		c.refused = append(c.refused, Problem{at.at, at.path, string(f) + " is not compiled yet, and would have no effect", "", excerpt(c.spec.lines[at.at.File], at.at)})
	}
}

// usedBy notes the features that a rule asks for.
func (c *checker) usedBy(r *Rule, s ruleSpec) {
	c.uses(r.Action == Reject, actionReject, s.action.place())
	c.uses(r.Action == Pass, actionPass, s.action.place())
	c.uses(r.Protocol == SCTP, protocolSCTP, s.protocol.place())
	c.uses(!slices.Contains([]Protocol{AnyProtocol, TCP, UDP, SCTP, ICMP, ICMPv6, ARP, ND}, r.Protocol), protocolOther, s.protocol.place())
	c.uses(len(r.Types) > 0, icmpTypes, s.typesAt)
	c.uses(r.ALG != "", algs, s.alg.place())
	c.uses(r.Log == LogNew, logNew, s.log.place())
	c.uses(r.Log == LogSampled, logSampled, s.log.place())
}

// usedBySNAT notes the features that an SNAT asks for.
func (c *checker) usedBySNAT(x *SNAT, s snatSpec) {
	c.uses(true, snats, s.place)
	c.uses(s.from.set, snatFrom, s.from.place)
	c.uses(s.ports.set, snatPorts, s.ports.place())
	c.uses(x.Selection == SelectRandom, snatRandom, s.selection.place())
	c.uses(x.Selection == SelectPersistent, snatPersistent, s.selection.place())
	c.uses(!x.To.Everything(), snatTo, s.to.place)
	c.uses(len(x.Exempt) > 0, snatExempt, s.exemptAt)
	c.uses(x.Shared, snatShared, s.shared.place())
	for _, p := range x.Pools {
		several := p.Ranges[0].Lo != p.Ranges[0].Hi || len(p.Ranges) > 1
		c.uses(several, snatPool, s.addressesAt)
		c.uses(len(p.Ranges) > 1, snatSplit, s.addressesAt)
	}
}

// usedByForward notes the features that a port forward asks for.
func (c *checker) usedByForward(f *PortForward, s forwardSpec) {
	c.uses(true, portForwards, s.place)
	c.uses(f.SNAT == SNATAlways, snatAlways, s.target.snat.place())
	c.uses(f.Ports.Lo != f.Ports.Hi, forwardRange, s.ports.place())
	c.uses(f.Protocol == SCTP, forwardSCTP, s.protocol.place())
}

// usedByBalancer notes the features that a load balancer asks for.
func (c *checker) usedByBalancer(l *LoadBalancer, s balancerSpec) {
	c.uses(true, balancers, s.place)
	if c.uncompiled[balancers] {
		return // all that it says is of something that is not there
	}
	c.uses(!l.Inside(), balancerOutside, s.address.place())
	if l.Inside() {
		sub, _ := c.subnetOf(l.Network, l.Address)
		c.uses(!sub.Gateway.IsValid(), balancerBridged, s.address.place())
	}
	c.uses(l.Address.Is6(), balancerIPv6, s.address.place())
	c.uses(len(l.Ports) > 1, balancerPorts, s.portsAt)
	for _, p := range s.ports {
		c.uses(p.protocol.v == string(UDP), balancerUDP, p.protocol.place())
		c.uses(p.protocol.v == string(SCTP), balancerSCTP, p.protocol.place())
	}
	c.uses(l.Algorithm == Consistent, balancerConsistent, s.algorithm.place())
	c.uses(l.Algorithm == SourceIP, balancerSourceIP, s.algorithm.place())
	c.uses(s.drain.set, balancerDrain, s.drain.place())
	c.uses(l.SNAT == SNATAlways, balancerSNATAlways, s.snat.place())
	c.uses(l.SNAT == SNATNever, balancerSNATNever, s.snat.place())
	c.uses(l.WhenEmpty == EmptyReject, balancerReject, s.whenEmpty.place())
	c.uses(l.Stale == StaleKeep, balancerRemoveKeep, s.onRemove.place())
	c.uses(l.Stale == StaleReset, balancerRemoveReset, s.onRemove.place())
	c.usedByBackends(l, s)
	c.usedByHealth(l, s)
}

func (c *checker) usedByBackends(l *LoadBalancer, s balancerSpec) {
	for _, b := range s.backends {
		i := slices.IndexFunc(l.Backends, func(d Backend) bool { return b.address.set && d.IP == b.address.v })
		c.uses(len(b.labels) > 0, backendLabels, b.labelsAt)
		c.uses(i >= 0 && l.Backends[i].Endpoint == nil, backendStranger, b.address.place())
		c.uses(i >= 0 && l.Backends[i].Network == nil, backendOutside, b.address.place())
		c.uses(b.weight.set && b.weight.v != DefaultWeight, backendWeight, b.weight.place())
		c.uses(b.port.set, backendPort, b.port.place())
	}
}

func (c *checker) usedByHealth(l *LoadBalancer, s balancerSpec) {
	if h := l.Health; h != nil {
		of := map[CheckType]feature{CheckTCP: healthTCP, CheckHTTP: healthHTTP, CheckUDP: healthUDP, CheckICMP: healthICMP}
		c.uses(true, of[h.Type], s.health.kind.place())
		c.uses(h.SlowStart != 0, slowStart, s.health.slowStart.place())
	}
	if l.Load != nil {
		of := map[LoadType]feature{LoadConnections: loadConnections, LoadReported: loadReported}
		c.uses(true, of[l.Load.Type], s.load.kind.place())
	}
}
