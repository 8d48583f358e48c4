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
