package intent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func balancerBy(tenant, name, spec string) string {
	return tenantObject("LoadBalancer", tenant, name, spec)
}

// plainBackends compares load balancers by the names of what they are made of.
var plainBackends = cmp.Options{
	plainAddrs, cmpopts.IgnoreFields(LoadBalancer{}, "Selects"),
	cmp.Transformer("name", func(n *Network) string {
		if n == nil {
			return ""
		}
		return n.Name
	}),
	cmp.Transformer("name", func(e *Endpoint) string {
		if e == nil {
			return ""
		}
		return e.Name
	}),
}

func TestWhatALoadBalancerSays(t *testing.T) {
	web, db := &Endpoint{Name: "web"}, &Endpoint{Name: "db"}
	lan, dmz := &Network{Name: "lan"}, &Network{Name: "dmz"}
	tcp80 := []LBPort{{TCP, 80, 80}}
	plain := LoadBalancer{Tenant: "blue", Name: "l", Algorithm: Hash, SNAT: SNATAuto, WhenEmpty: EmptyDrop, Stale: StaleFlush}
	with := func(change func(l *LoadBalancer)) LoadBalancer {
		l := plain
		l.Address, l.Network, l.Ports = addr("10.1.0.100"), lan, tcp80
		change(&l)
		return l
	}
	webAt := Backend{Endpoint: web, Network: lan, IP: addr("10.1.0.11"), Weight: 100, Gateway: addr("10.1.0.1")}
	for _, c := range []struct {
		name, spec string
		want       LoadBalancer
	}{
		{"one in a network, with what is left out", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web}]",
			with(func(l *LoadBalancer) { l.Backends = []Backend{webAt} })},
		{"one outside, in another order, with ports, weights and targets of its own",
			`address: 203.0.113.40, ports: [{port: "443", protocol: tcp, targetPort: 8443}, {port: 443, protocol: udp, targetPort: 8443}],
  backends: [{address: 198.51.100.200, weight: 0}, {address: 10.1.0.77}, {endpoint: web, weight: 65535, port: 9443}, {endpoint: db, ip: 10.2.0.12, weight: 300}]`,
			with(func(l *LoadBalancer) {
				l.Address, l.Network, l.Bridge, l.External = addr("203.0.113.40"), nil, "br0", "public"
				l.Ports = []LBPort{{TCP, 443, 8443}, {UDP, 443, 8443}}
				own := webAt
				own.Weight, own.Port = 65535, 9443
				l.Backends = []Backend{
					{Endpoint: db, Network: dmz, IP: addr("10.2.0.12"), Weight: 300, Gateway: addr("10.2.0.1")}, own,
					{Network: lan, IP: addr("10.1.0.77"), Weight: 100, Gateway: addr("10.1.0.1")},
					{IP: addr("198.51.100.200")},
				}
			})},
		{"an address of an endpoint is that endpoint", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{address: 10.1.0.11}]",
			with(func(l *LoadBalancer) { l.Backends = []Backend{webAt} })},
		{"labels select by the first address, and what is named comes first", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{labels: {tier: [web, db]}, weight: 7}, {endpoint: web}]",
			with(func(l *LoadBalancer) {
				l.Backends = []Backend{{Endpoint: db, Network: dmz, IP: addr("10.2.0.11"), Weight: 7, Gateway: addr("10.2.0.1")}, webAt}
			})},
		{"labels that nobody of the family has", `address: "fd00:1::100", ports: [{port: 80, protocol: tcp}], backends: [{labels: {tier: db}}]`,
			with(func(l *LoadBalancer) { l.Address = addr("fd00:1::100") })},
		{"health over HTTP", `address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [], health: {type: http, port: 8080, path: /up, host: shop.example, expect: [204, "200-203"], interval: 500ms, timeout: 1s500ms, rise: 1, fall: 5, slowStart: 1m}`,
			with(func(l *LoadBalancer) {
				l.Health = &Health{Type: CheckHTTP, Port: 8080, Path: "/up", Host: "shop.example", Expect: []StatusRange{{200, 204}}, Interval: 500 * Millisecond, Timeout: 1500 * Millisecond, Rise: 1, Fall: 5, SlowStart: Minute}
			})},
		{"health with what is left out", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [], health: {type: http}, load: {type: reported}",
			with(func(l *LoadBalancer) {
				l.Health = &Health{Type: CheckHTTP, Path: "/", Expect: []StatusRange{{200, 399}}, Interval: 2 * Second, Timeout: Second, Rise: 2, Fall: 3}
				l.Load = &Load{Type: LoadReported, Path: "/load", Interval: 5 * Second, Strength: 50}
			})},
		{"the rest", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [], algorithm: sourceIP, affinity: {timeout: 10m}, drain: {timeout: 60s}, snat: always, whenEmpty: reject, onRemove: reset, load: {type: connections, interval: 2s, strength: 80}",
			with(func(l *LoadBalancer) {
				l.Algorithm, l.Affinity, l.Drain, l.SNAT, l.WhenEmpty, l.Stale = SourceIP, 10*Minute, Minute, SNATAlways, EmptyReject, StaleReset
				l.Load = &Load{Type: LoadConnections, Interval: 2 * Second, Strength: 80}
			})},
		{"load that changes nothing", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [], load: {type: none}", with(func(*LoadBalancer) {})},
	} {
		m, _ := onEdge(t, balancerBy("blue", "l", c.spec))
		if d := cmp.Diff(c.want, *m.Tenant("blue").LoadBalancers[0], plainBackends); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestWhichPortIsAsked(t *testing.T) {
	own, usual := Backend{Port: 9}, Backend{}
	for _, c := range []struct {
		name      string
		l         LoadBalancer
		b         Backend
		check, at uint16
	}{
		{"nobody is asked", LoadBalancer{Ports: []LBPort{{TCP, 80, 8080}}}, usual, 0, 0},
		{"the target of the first port of the protocol", LoadBalancer{Ports: []LBPort{{UDP, 53, 54}, {TCP, 80, 8080}, {TCP, 443, 8443}}, Health: &Health{Type: CheckHTTP}, Load: &Load{Type: LoadReported}}, usual, 8080, 8080},
		{"a backend's own", LoadBalancer{Ports: []LBPort{{UDP, 53, 54}}, Health: &Health{Type: CheckUDP}, Load: &Load{Type: LoadConnections}}, own, 9, 0},
		{"the one that is said", LoadBalancer{Ports: []LBPort{{TCP, 80, 8080}}, Health: &Health{Type: CheckTCP, Port: 7}, Load: &Load{Type: LoadReported, Port: 6}}, own, 7, 6},
		{"a ping has none", LoadBalancer{Ports: []LBPort{{TCP, 80, 8080}}, Health: &Health{Type: CheckICMP}}, own, 0, 0},
	} {
		if check, at := c.l.CheckPort(c.b), c.l.LoadPort(c.b); check != c.check || at != c.at {
			t.Errorf("%s: %d and %d, want %d and %d", c.name, check, at, c.check, c.at)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]Duration{
		"500ms": 500 * Millisecond, "2s": 2 * Second, "1m30s": 90 * Second, "1s500ms": 1500 * Millisecond, "5d": 5 * Day,
		"": -1, "ms": -1, "1": -1, "1.5s": -1, "500ms1s": -1, "1s2s": -1, "-1s": -1, "99999999999999999999ms": -1,
	} {
		if d, ok := durationOf(text); ok != (want >= 0) || ok && d != want {
			t.Errorf("%q: %v, %v; want %v", text, d, ok, want)
		}
	}
	for d, want := range map[Duration]string{0: "0s", 1500 * Millisecond: "1500ms", 90 * Second: "90s", Hour: "1h", 2 * Day: "2d"} {
		if d.String() != want {
			t.Errorf("%d: %v, want %s", int64(d), d, want)
		}
	}
}
