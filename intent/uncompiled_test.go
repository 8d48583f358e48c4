package intent

import (
	"errors"
	"strings"
	"testing"
)

// said is how each feature is asked for: the object that does, in a model with the bridge
// br0, the tenant blue, its network lan and its endpoint a; and the path of what is refused.
var said = map[feature]struct{ object, path string }{
	bridgeDisruption: {"kind: Bridge\nmetadata: {name: br1}\nspec: {allowDisruption: true}", "spec.allowDisruption"},
	modeAudit:        {"kind: Tenant\nmetadata: {name: red}\nspec: {mode: audit}", "spec.mode"},
	modeOff:          {"kind: Tenant\nmetadata: {name: red}\nspec: {mode: off}", "spec.mode"},
	strictTCP:        {"kind: Tenant\nmetadata: {name: red}\nspec: {defaults: {strictTCP: true}}", "spec.defaults.strictTCP"},
	connectionLimit:  {"kind: Tenant\nmetadata: {name: red}\nspec: {limits: {connections: 50000}}", "spec.limits.connections"},
	tenantRate:       {"kind: Tenant\nmetadata: {name: red}\nspec: {limits: {newPerSecond: 2000}}", "spec.limits.newPerSecond"},
	tenantTimeouts:   {"kind: Tenant\nmetadata: {name: red}\nspec: {timeouts: {udpStream: 3m}}", "spec.timeouts.udpStream"},
	tenantDisruption: {"kind: Tenant\nmetadata: {name: red}\nspec: {allowDisruption: true}", "spec.allowDisruption"},
	learnStations:    {"kind: Network\nmetadata: {name: wan, tenant: blue}\nspec: {bridges: [br0], unknownStations: learn}", "spec.unknownStations"},
	trustedPort:      {endpointB("ips: [10.1.0.12], trusted: true"), "spec.trusted"},
	dhcpServer:       {endpointB("ips: [10.1.0.12], roles: [dhcpServer]"), "spec.roles[0]"},
	routerRole:       {endpointB("ips: [10.1.0.12], roles: [router]"), "spec.roles[0]"},
	endpointRate:     {endpointB("ips: [10.1.0.12], limits: {newPerSecond: 100}"), "spec.limits.newPerSecond"},
	withoutAddresses: {endpointB("ips: []"), "metadata.name"},
	groups:           {"kind: Group\nmetadata: {name: g, tenant: blue}\nspec: {endpoints: [a]}", "metadata.name"},
	revokeKeep:       {"kind: Policy\nmetadata: {name: p, tenant: blue}\nspec: {onRevoke: keep, rules: []}", "spec.onRevoke"},
	revokeReset:      {"kind: Policy\nmetadata: {name: p, tenant: blue}\nspec: {onRevoke: reset, rules: []}", "spec.onRevoke"},
	actionReject:     {ruleOf("action: reject"), "spec.rules[0].action"},
	actionPass:       {ruleOf("action: pass"), "spec.rules[0].action"},
	protocolSCTP:     {ruleOf("action: allow, protocol: 132, ports: [36412]"), "spec.rules[0].protocol"},
	protocolOther:    {ruleOf("action: allow, protocol: 89"), "spec.rules[0].protocol"},
	icmpTypes:        {ruleOf("action: allow, protocol: icmp, types: [echo-request]"), "spec.rules[0].types"},
	algs:             {ruleOf("action: allow, protocol: tcp, ports: [21], alg: ftp"), "spec.rules[0].alg"},
	logNew:           {ruleOf("action: allow, log: new"), "spec.rules[0].log"},
	logSampled:       {ruleOf("action: deny, log: sampled"), "spec.rules[0].log"},

	externalSide:     {bridge1("external: " + public), "spec.external"},
	externalSeveral:  {bridge1("external: [" + public + ", {network: isp, port: eth2, subnets: [{cidr: 198.51.100.0/24}]}]"), "spec.external[1]"},
	externalIPv6:     {bridge1(`external: {network: public, port: eth1, subnets: [{cidr: "2001:db8::/64", gateway: "fe80::1"}]}`), "spec.external.subnets[0].cidr"},
	externalAddress:  {bridge1("external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24, address: 203.0.113.2}]}"), "spec.external.subnets[0].address"},
	externalMAC:      {bridge1(`external: {network: public, port: eth1, mac: "02:00:00:00:ff:01", subnets: [{cidr: 203.0.113.0/24}]}`), "spec.external.mac"},
	externalRoutes:   {bridge1("external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24}], routes: [{to: 10.9.0.0/16, via: 203.0.113.9}]}"), "spec.external.routes[0].to"},
	externalPrefixes: {bridge1("external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24}], prefixes: [198.51.100.0/28]}"), "spec.external.prefixes[0]"},
	nextHopMAC:       {bridge1(`external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}], nextHops: [{address: 203.0.113.1, mac: "02:00:00:00:ff:02"}]}`), "spec.external.nextHops[0].address"},

	snats:          {beside(snatOf("addresses: [203.0.113.10]")), "metadata.name"},
	snatPool:       {beside(snatOf("addresses: [203.0.113.10-203.0.113.11]")), "spec.addresses"},
	snatSplit:      {beside(snatOf("addresses: [203.0.113.10, 203.0.113.12]")), "spec.addresses"},
	snatFrom:       {beside(snatOf("addresses: [203.0.113.10], from: {endpoints: [w]}")), "spec.from"},
	snatPorts:      {beside(snatOf("addresses: [203.0.113.10], ports: 1024-65535")), "spec.ports"},
	snatRandom:     {beside(snatOf("addresses: [203.0.113.10], selection: random")), "spec.selection"},
	snatPersistent: {beside(snatOf("addresses: [203.0.113.10], selection: persistent")), "spec.selection"},
	snatTo:         {beside(snatOf("addresses: [203.0.113.10], to: {protocol: tcp}")), "spec.to"},
	snatExempt:     {beside(snatOf("addresses: [203.0.113.10], exempt: {cidrs: [10.9.0.0/16]}")), "spec.exempt"},
	snatShared:     {beside(snatOf("addresses: [203.0.113.10], shared: true")), "spec.shared"},

	floatingIPs:  {beside("kind: FloatingIP\nmetadata: {name: f, tenant: blue}\nspec: {address: 203.0.113.20, endpoint: w}"), "metadata.name"},
	portForwards: {beside(forwardOf("port: 2222, protocol: tcp, to: {endpoint: w, port: 22}")), "metadata.name"},
	forwardRange: {beside(forwardOf("port: 8000-8010, protocol: tcp, to: {endpoint: w}")), "spec.port"},
	forwardSCTP:  {beside(forwardOf("port: 36412, protocol: sctp, to: {endpoint: w}")), "spec.protocol"},
	snatAlways:   {beside(forwardOf("port: 80, protocol: tcp, snat: always, to: {endpoint: w}")), "spec.snat"},

	balancers:           {beside(balancerOf(onePort, "backends: []")), "metadata.name"},
	balancerOutside:     {beside(balancerOn("203.0.113.40", onePort, "backends: []")), "spec.address"},
	balancerBridged:     {"kind: Network\nmetadata: {name: bridged, tenant: blue}\nspec: {bridges: [br0], subnets: [{cidr: 10.8.0.0/24}]}\n---\napiVersion: weir/v1\n" + balancerOn("10.8.0.40", onePort, "backends: []"), "spec.address"},
	balancerIPv6:        {network6 + balancerOn(`"fd00:6::40"`, onePort, "backends: []"), "spec.address"},
	balancerPorts:       {beside(balancerOf("ports: [{port: 80, protocol: tcp}, {port: 443, protocol: tcp}]", "backends: []")), "spec.ports"},
	balancerUDP:         {beside(balancerOf("ports: [{port: 53, protocol: udp}]", "backends: []")), "spec.ports[0].protocol"},
	balancerSCTP:        {beside(balancerOf("ports: [{port: 36412, protocol: sctp}]", "backends: []")), "spec.ports[0].protocol"},
	balancerConsistent:  {beside(balancerOf(onePort, "backends: [], algorithm: consistent")), "spec.algorithm"},
	balancerSourceIP:    {beside(balancerOf(onePort, "backends: [], algorithm: sourceIP")), "spec.algorithm"},
	balancerDrain:       {beside(balancerOf(onePort, "backends: [], drain: {timeout: 60s}")), "spec.drain.timeout"},
	balancerSNATAlways:  {beside(balancerOf(onePort, "backends: [], snat: always")), "spec.snat"},
	balancerSNATNever:   {beside(balancerOf(onePort, "backends: [], snat: never")), "spec.snat"},
	balancerReject:      {beside(balancerOf(onePort, "backends: [], whenEmpty: reject")), "spec.whenEmpty"},
	balancerRemoveKeep:  {beside(balancerOf(onePort, "backends: [], onRemove: keep")), "spec.onRemove"},
	balancerRemoveReset: {beside(balancerOf(onePort, "backends: [], onRemove: reset")), "spec.onRemove"},
	backendLabels:       {beside(balancerOf(onePort, "backends: [{labels: {tier: none}}]")), "spec.backends[0].labels"},
	backendStranger:     {beside(balancerOf(onePort, "backends: [{endpoint: w}, {address: 10.2.0.99}]")), "spec.backends[1].address"},
	backendOutside:      {beside(balancerOf(onePort, "backends: [{address: 198.51.100.9}]")), "spec.backends[0].address"},
	backendWeight:       {beside(balancerOf(onePort, "backends: [{endpoint: w, weight: 0}]")), "spec.backends[0].weight"},
	backendPort:         {beside(balancerOf(onePort, "backends: [{endpoint: w, port: 8080}]")), "spec.backends[0].port"},
	healthTCP:           {beside(balancerOf(onePort, "backends: [], health: {type: tcp}")), "spec.health.type"},
	healthHTTP:          {beside(balancerOf(onePort, "backends: [], health: {type: http}")), "spec.health.type"},
	healthUDP:           {beside(balancerOf(onePort, "backends: [], health: {type: udp, port: 53}")), "spec.health.type"},
	healthICMP:          {beside(balancerOf(onePort, "backends: [], health: {type: icmp}")), "spec.health.type"},
	slowStart:           {beside(balancerOf(onePort, "backends: [], health: {type: icmp, slowStart: 30s}")), "spec.health.slowStart"},
	loadConnections:     {beside(balancerOf(onePort, "backends: [], load: {type: connections}")), "spec.load.type"},
	loadReported:        {beside(balancerOf(onePort, "backends: [], load: {type: reported}")), "spec.load.type"},
}

const onePort = "ports: [{port: 80, protocol: tcp}]"

// network6 is a network of IPv6 before another object.
const network6 = "kind: Network\nmetadata: {name: six, tenant: blue}\nspec: {bridges: [br0], subnets: [{cidr: \"fd00:6::/64\"}]}\n---\napiVersion: weir/v1\n"

// balancerOf returns a load balancer in the network dmz.
func balancerOf(spec ...string) string { return balancerOn("10.2.0.40", spec...) }

func balancerOn(address string, spec ...string) string {
	return "kind: LoadBalancer\nmetadata: {name: l, tenant: blue}\nspec: {address: " + address + ", " + strings.Join(spec, ", ") + "}"
}

func endpointB(more string) string {
	return "kind: Endpoint\nmetadata: {name: b, tenant: blue}\nspec: {network: lan, bind: {port: b}, mac: \"02:00:00:00:00:0c\", " + more + "}"
}

const public = "{network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}]}"

func bridge1(spec string) string {
	return "kind: Bridge\nmetadata: {name: br1}\nspec: {" + spec + "}"
}

// beside returns an object after the bridge br1, which has an outside, a network dmz on it,
// and the endpoint w there.
func beside(object string) string {
	return strings.Join([]string{
		bridge1("external: " + public),
		"kind: Network\nmetadata: {name: dmz, tenant: blue}\nspec: {bridges: [br1], subnets: [{cidr: 10.2.0.0/24, gateway: 10.2.0.1}]}",
		"kind: Endpoint\nmetadata: {name: w, tenant: blue}\nspec: {network: dmz, bind: {port: w}, mac: \"02:00:00:00:00:0e\", ips: [10.2.0.11]}",
		object,
	}, "\n---\napiVersion: weir/v1\n")
}

func snatOf(spec string) string {
	return "kind: SNAT\nmetadata: {name: s, tenant: blue}\nspec: {network: dmz, " + spec + "}"
}

func forwardOf(spec string) string {
	return "kind: PortForward\nmetadata: {name: p, tenant: blue}\nspec: {address: 203.0.113.21, " + spec + "}"
}

func ruleOf(more string) string {
	return "kind: Policy\nmetadata: {name: p, tenant: blue}\nspec:\n  rules:\n  - {name: r, direction: ingress, " + more + "}"
}

const small = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: blue}
spec: {bridges: [br0], subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: a, tenant: blue, labels: {tier: web}}
spec: {network: lan, bind: {port: a}, mac: "02:00:00:00:00:0b", ips: [10.1.0.11]}
---
apiVersion: weir/v1
`

// read reads a small model with one more object, or more.
func read(t *testing.T, uncompiled map[feature]bool, object string) (*Model, error) {
	t.Helper()
	s, err := Parse(Source{"f", []byte(small + object)})
	if err != nil {
		t.Fatal(err)
	}
	return check(s, uncompiled)
}

func TestWhatIsNotCompiledIsRefusedAtItsPlace(t *testing.T) {
	for f := range uncompiled {
		if _, ok := said[f]; !ok {
			t.Errorf("%q is in the table, and nothing asks for it", f)
		}
	}
	for f, c := range said {
		t.Run(string(f), func(t *testing.T) {
			_, err := read(t, map[feature]bool{f: true}, c.object)
			var all Problems
			if !errors.As(err, &all) || len(all) != 1 {
				t.Fatalf("%v", err)
			}
			p := all[0]
			if p.Path != c.path || !strings.HasPrefix(p.Why, string(f)+" is not compiled yet") || p.At.Line < 20 || p.Excerpt == "" {
				t.Errorf("%v; want %s: %s is not compiled yet", err, c.path, f)
			}
			if _, err := read(t, nil, c.object); err != nil {
				t.Errorf("compiled, and yet refused: %v", err)
			}
		})
	}
}

func TestOnlyWhatIsRightIsSaidNotToBeCompiled(t *testing.T) {
	_, err := read(t, map[feature]bool{algs: true}, ruleOf("action: allow, protocol: udp, alg: ftp"))
	if err == nil || strings.Contains(err.Error(), "not compiled") {
		t.Errorf("%v", err)
	}
}
