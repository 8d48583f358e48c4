package intent

import (
	"net/netip"
	"os"
	"slices"
	"strings"
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
				l.Outward = true
			})},
		{"an address of an endpoint is that endpoint", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{address: 10.1.0.11}]",
			with(func(l *LoadBalancer) { l.Backends = []Backend{webAt} })},
		{"labels select by the first address, and what is named comes first", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{labels: {tier: [web, db]}, weight: 7}, {endpoint: web}]",
			with(func(l *LoadBalancer) {
				l.Backends = []Backend{{Endpoint: db, Network: dmz, IP: addr("10.2.0.11"), Weight: 7, Gateway: addr("10.2.0.1")}, webAt}
			})},
		{"an endpoint that two items select is the first one's", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [{labels: {tier: web}, weight: 7}, {labels: {tier: [app, web]}, weight: 8}]",
			with(func(l *LoadBalancer) {
				b := webAt
				b.Weight = 7
				l.Backends = []Backend{b}
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
		{"the rest", "address: 10.1.0.100, ports: [{port: 80, protocol: tcp}], backends: [], algorithm: sourceIP, drain: {timeout: 60s}, snat: always, whenEmpty: reject, onRemove: reset, load: {type: connections, interval: 2s, strength: 80}",
			with(func(l *LoadBalancer) {
				l.Algorithm, l.Drain, l.SNAT, l.WhenEmpty, l.Stale = SourceIP, Minute, SNATAlways, EmptyReject, StaleReset
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

func TestLoadBalancersThatGoTogether(t *testing.T) {
	for name, objects := range map[string][]string{
		"other ports of one address":              {balancerBy("blue", "l", at100+tcp80), balancerBy("blue", "m", at100+"ports: [{port: 80, protocol: udp}, {port: 443, protocol: tcp}], backends: []")},
		"the same address of two tenants, inside": {balancerBy("blue", "l", at100+tcp80), balancerBy("red", "l", at100+tcp80)},
		"forwarded ports beside it":               {balancerBy("blue", "l", outside40+tcp80), forwardBy("blue", "p", "address: 203.0.113.40, port: 22, protocol: tcp, to: {endpoint: web}")},
		"the router's own address":                {balancerBy("blue", "l", "address: 203.0.113.2, "+tcp80)},
		"an address in a prefix":                  {balancerBy("blue", "l", "address: 198.51.100.0, "+tcp80)},
		"one backend of several":                  {balancerBy("blue", "l", at100+"ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web}]"), balancerBy("blue", "m", outside40+"ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web}]")},
		"another tenant's floating IP behind it":  {balancerBy("blue", "l", at100+"ports: [{port: 80, protocol: tcp}], backends: [{address: 203.0.113.50}]"), floatingBy("red", "f", "address: 203.0.113.50, endpoint: web")},
		"sctp whose backends are asked by tcp":    {balancerBy("blue", "l", at100+"ports: [{port: 80, protocol: sctp}], backends: [{endpoint: web}], health: {type: tcp, port: 81}, load: {type: reported, port: 81}")},
		"a backend's own port of tcp and of udp":  {balancerBy("blue", "l", at100+"ports: [{port: 53, protocol: tcp}, {port: 53, protocol: udp}], backends: [{endpoint: web, port: 5353}]")},
	} {
		m, _ := onEdge(t, objects...)
		if len(m.Tenant("blue").LoadBalancers) == 0 {
			t.Errorf("%s: it is not there", name)
		}
	}
}

const (
	at100     = "address: 10.1.0.100, "
	outside40 = "address: 203.0.113.40, "
	tcp80     = "ports: [{port: 80, protocol: tcp}], backends: []"
)

func TestLoadBalancersThatMeanNothing(t *testing.T) {
	const port = "ports: [{port: 80, protocol: tcp, targetPort: 8080}], "
	const both = port + "backends: [{endpoint: web}, {endpoint: db, ip: 10.2.0.11}]"
	policy := func(rule string) string {
		return "---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: in, tenant: blue}\nspec: {rules: [{name: web, direction: ingress, action: allow, " + rule + "}]}\n"
	}
	allow := policy("protocol: tcp, ports: [8080]")
	for _, c := range []struct {
		name    string
		objects []string
		want    string // path: why | hint
	}{
		{"all is well", []string{allow, balancerBy("blue", "l", at100+both)}, ""},
		{"no backend", []string{allow, balancerBy("blue", "l", at100+tcp80)}, "spec.backends: are none: nobody gets through"},
		{"all weights zero", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{labels: {tier: web}, weight: 0}]")}, "spec.backends: all have weight 0: no new connection gets through"},
		{"one backend", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{endpoint: web}, {endpoint: db, ip: 10.2.0.11, weight: 0}]")},
			`spec.backends: 10.1.0.11 of endpoint "web" gets all connections: there is nobody to share them`},
		{"one backend that is asked", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{endpoint: web}], health: {type: tcp}")},
			`spec.backends: 10.1.0.11 of endpoint "web" gets all connections: there is nobody to take over when it fails`},
		{"the least share", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{endpoint: web, weight: 2}, {endpoint: db, ip: 10.2.0.11, weight: 1022}]")}, ""},
		{"less than the least share", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{endpoint: web, weight: 2}, {endpoint: db, ip: 10.2.0.11, weight: 1023}]")},
			`spec.backends: 10.1.0.11 of endpoint "web" has 2 of 1025, and gets a 256th of all: there is no smaller share | write 0 for no new connections`},
		{"less than the least share of hash", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{endpoint: web, weight: 2}, {endpoint: db, ip: 10.2.0.11, weight: 1023}], algorithm: consistent")}, ""},
		{"labels that nobody has", []string{allow, balancerBy("blue", "l", at100+both+", whenEmpty: reject"), balancerBy("blue", "m", "address: 10.1.0.101, "+port+"backends: [{labels: {tier: wep}}]")},
			`spec.backends: selects nobody: no endpoint has tier=wep | did you mean "web"?`},
		{"labels that nobody of the family has", []string{allow, balancerBy("blue", "l", `address: "fd00:1::100", `+port+"backends: [{labels: {tier: db}}]")},
			"spec.backends: selects nobody: no endpoint with tier=db has an IPv6 address"},
		{"checks that overlap", []string{allow, balancerBy("blue", "l", at100+both+", health: {type: tcp, interval: 500ms}")},
			"spec.health: asks every 500ms, and waits 1s for an answer: several questions will be open at a time"},
		{"many clients with one address", []string{allow, balancerBy("blue", "l", outside40+both+", algorithm: sourceIP"), snatBy("red", "out", "addresses: [203.0.113.60]")},
			"spec.algorithm: all who come by the same address of red/snat/out, at f:75, get to one backend | write hash or consistent if that is too few"},
		{"many clients with one address, of the tenant itself", []string{allow, balancerBy("blue", "l", outside40+both+", algorithm: sourceIP"), snatBy("blue", "out", "addresses: [203.0.113.60]")}, ""},
		{"answers that do not come back", []string{allow, balancerBy("blue", "l", outside40+port+"backends: [{endpoint: web}, {address: 203.0.113.99}], snat: never")},
			"spec.snat: 203.0.113.99 is outside, and is to see the client, whose answers would not come back by this side: clients outside do not get to it | write auto"},
		{"an address that nobody has", []string{allow, balancerBy("blue", "l", at100+port+"backends: [{endpoint: web}, {address: 10.1.0.99}]")},
			`spec.backends: 10.1.0.99 is in network "lan", and is no endpoint's: the router finds endpoints alone, and nobody gets through | make it an endpoint`},
		{"a rule for the wrong port", []string{policy("protocol: tcp, ports: [80]"), balancerBy("blue", "l", at100+both)},
			"spec.ports: nobody gets through to tcp port 80: no rule lets anybody in to the port that it becomes | policies judge the backend's own port: write that there"},
		{"no rule", []string{balancerBy("blue", "l", at100+both)},
			"spec.ports: nobody gets through to tcp port 80: no rule lets anybody in to that of a backend | add a rule that does"},
		{"a rule for those inside, and an address outside", []string{policy("from: {labels: {tier: db}}"), balancerBy("blue", "l", outside40+both)},
			"spec.ports: nobody gets through to tcp port 80: no rule lets anybody in to that of a backend | add a rule that does"},
		{"a rule for those inside, and an address inside", []string{policy("from: {labels: {tier: db}}"), balancerBy("blue", "l", at100+both)}, ""},
		{"a backend outside is asked by nobody's policy", []string{balancerBy("blue", "l", outside40+port+"backends: [{address: 203.0.113.98}, {address: 203.0.113.99}]")}, ""},
		{"a backend outside, and nobody leaves", []string{balancerBy("blue", "l", at100+port+"backends: [{address: 203.0.113.98}, {address: 203.0.113.99}]")},
			"spec.backends: 203.0.113.98 is outside, and nothing says as whom clients leave for there: only those get to it that have a floating IP, or addresses that are known outside | write an SNAT, by which such connections leave"},
		{"a backend that is another tenant's", []string{balancerBy("blue", "l", outside40+port+"backends: [{address: 203.0.113.98}, {address: 203.0.113.50}]"), floatingBy("red", "f", "address: 203.0.113.50, endpoint: web")},
			"spec.backends: 203.0.113.50 is that of red/floatingip/f, on the same bridge: clients of other tenants there do not get to it"},
	} {
		m, src := onEdge(t, c.objects...)
		var got []string
		for _, p := range Review(m, src) {
			if p.Path == "spec" {
				continue // of the SNATs
			}
			text := p.Path + ": " + p.Why
			if p.Hint != "" {
				text += " | " + p.Hint
			}
			got = append(got, text)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), c.want)
		}
	}
}

func TestWhoIsNotJudgedIsNotMissed(t *testing.T) {
	m, src := onEdge(t, balancerBy("blue", "l", at100+"ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web}, {endpoint: db, ip: 10.2.0.11}]"))
	blue := m.Tenant("blue")
	for name, let := range map[string]Tenant{"a tenant that lets all in": {Mode: Enforce, Ingress: Allow}, "a tenant that is only watched": {Mode: Audit, Ingress: Deny}} {
		blue.Mode, blue.Ingress = let.Mode, let.Ingress
		if found := Review(m, src); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestAddressesOfOneBridgeAreFoundByTheBackends has the same outside on two bridges.
func TestAddressesOfOneBridgeAreFoundByTheBackends(t *testing.T) {
	side := "spec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24}]}}\n---\napiVersion: weir/v1\n"
	text := "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n" + side + "kind: Bridge\nmetadata: {name: br1}\n" + side +
		"kind: Tenant\nmetadata: {name: blue}\n" +
		tenantObject("Network", "blue", "lan", "bridges: [br0], subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]") +
		tenantObject("Network", "blue", "far", "bridges: [br1], subnets: [{cidr: 10.3.0.0/24, gateway: 10.3.0.1}]") +
		tenantObject("Endpoint", "blue", "a", `network: far, bind: {port: a}, mac: "02:00:00:00:00:0f", ips: [10.3.0.11]`) +
		balancerBy("blue", "l", outside40+"ports: [{port: 80, protocol: tcp}], backends: [{endpoint: a}]")
	allCompiled(t)
	m, err := Read(Source{"f", []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	if l := m.Tenant("blue").LoadBalancers[0]; l.Bridge != "br1" || l.External != "public" || l.Inside() {
		t.Errorf("it is on %q, in %q", l.Bridge, l.External)
	}
}

func TestTheReferenceOfLoadBalancersIsAModel(t *testing.T) {
	doc, err := os.ReadFile("../docs/loadbalancer.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("there is no model in it")
	}
	allCompiled(t)
	src := Source{"loadbalancer.md", []byte(text)}
	m, err := Read(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Review(m, src) {
		if !strings.Contains(p.Why, "nobody to take over") { // the resolver has one backend
			t.Error(p)
		}
	}
	all := m.Tenant("blue").LoadBalancers
	if len(all) != 3 || len(all[1].Backends) != 3 || len(all[2].Backends) != 2 {
		t.Errorf("%d load balancers: %+v", len(all), all)
	}
}

// TestAnAddressIsInItsSubnetHoweverManyThereAre asks networks with more and more subnets.
func TestAnAddressIsInItsSubnetHoweverManyThereAre(t *testing.T) {
	for _, n := range []int{1, fewSubnets, fewSubnets + 1, 40} {
		c := checker{subnets: map[inNetwork]Subnet{}}
		network := &Network{}
		for i := range n {
			s := Subnet{CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(3 * i), 0, 0}), 15+i%10).Masked()}
			network.Subnets = append(network.Subnets, s)
			c.subnets[inNetwork{network, s.CIDR}], c.lengths[s.CIDR.Bits()] = s, true
		}
		for i := range n {
			for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{10, byte(3 * i), 0, 9}), netip.AddrFrom4([4]byte{10, byte(3*i + 2), 0, 9}), addr("fd00::1")} {
				want := slices.IndexFunc(network.Subnets, func(s Subnet) bool { return s.CIDR.Contains(a) })
				got, ok := c.subnetOf(network, a)
				if ok != (want >= 0) || ok && !got.CIDR.Contains(a) {
					t.Errorf("of %d subnets, %v is in %v, %t", n, a, got.CIDR, ok)
				}
			}
		}
	}
}
