package intent

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// edge is a bridge with two outsides, and the tenants blue and red who have the same
// addresses on it.
var edge = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec:
  external:
  - network: public
    port: eth1
    mac: "02:00:00:00:ff:01"
    subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}, {cidr: "2001:db8::/64", gateway: "fe80::1"}]
    prefixes: [198.51.100.0/28]
    routes: [{to: 10.9.0.0/16, via: 203.0.113.9}, {to: 10.9.9.0/24, via: 203.0.113.1}]
    nextHops: [{address: 203.0.113.9, mac: "02:00:00:00:ff:09"}]
  - {network: isp, port: eth2, subnets: [{cidr: 192.0.2.0/24}], routes: [{to: 10.8.0.0/16, via: 192.0.2.1}]}
---
` + edgeTenant

var edgeTenant = strings.Join([]string{tenantOnEdge("blue", "a"), tenantOnEdge("red", "b")}, "---\n")

func tenantOnEdge(name, port string) string {
	return fmt.Sprintf(`apiVersion: weir/v1
kind: Tenant
metadata: {name: %[1]s}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: %[1]s}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}]}
---
apiVersion: weir/v1
kind: Network
metadata: {name: dmz, tenant: %[1]s}
spec: {subnets: [{cidr: 10.2.0.0/24, gateway: 10.2.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web, tenant: %[1]s, labels: {tier: web}}
spec: {network: lan, bind: {port: %[2]s1}, mac: "02:00:00:00:00:0b", ips: [10.1.0.11, "fd00:1::11"]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: db, tenant: %[1]s, labels: {tier: db}}
spec: {network: dmz, bind: {port: %[2]s2}, mac: "02:00:00:00:00:0c", ips: [10.2.0.11, 10.2.0.12]}
`, name, port)
}

func tenantObject(kind, tenant, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: weir/v1\nkind: %s\nmetadata: {name: %s, tenant: %s}\nspec: {%s}\n", kind, name, tenant, spec)
}

func snatBy(tenant, name, spec string) string { return tenantObject("SNAT", tenant, name, spec) }

func floatingBy(tenant, name, spec string) string {
	return tenantObject("FloatingIP", tenant, name, spec)
}

func forwardBy(tenant, name, spec string) string {
	return tenantObject("PortForward", tenant, name, spec)
}

// onEdge reads edge with more objects.
func onEdge(t *testing.T, objects ...string) (*Model, Source) {
	t.Helper()
	src := Source{"f", []byte(edge + strings.Join(objects, ""))}
	s, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := check(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, src
}

var plainAddrs = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.IgnoreFields(SNAT{}, "Network")}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestAPublicNetworkThatIsNotReachedIsNoted(t *testing.T) {
	for spec, c := range map[string]struct{ tenant, why string }{
		"{cidr: 198.51.100.0/29, gateway: 198.51.100.1}": {"{}", ""},
		"{cidr: 198.51.100.0/29}":                        {"{}", "198.51.100.0/29 is routed here from outside, and is not reached from there"},
		"{cidr: 198.51.100.8/29, gateway: 198.51.100.9}": {"{mode: off}", `198.51.100.8/29 is routed here from outside, and is not reached from there: tenant "t" has mode off`},
		"{cidr: 10.1.0.0/29}":                            {"{mode: off}", ""},
	} {
		m, err := Read(Source{"f", []byte("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n" +
			"spec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24}], prefixes: [198.51.100.0/28]}}\n---\n" +
			"apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\nspec: " + c.tenant + "\n---\n" +
			"apiVersion: weir/v1\nkind: Network\nmetadata: {name: n, tenant: t}\nspec: {subnets: [" + spec + "]}\n")})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range Review(m) {
			if strings.Contains(p.Why, "routed here") {
				got += p.Why
			}
		}
		if got != c.why {
			t.Errorf("%s of a tenant with %s: %q, want %q", spec, c.tenant, got, c.why)
		}
	}
}

// TestEachOutsideMayLeadToEverything has two outsides with gateways, in the order in which they are
// written.
func TestEachOutsideMayLeadToEverything(t *testing.T) {
	const by = "{network: %s, port: %s, subnets: [{cidr: %s.0/24, gateway: %s.1}]}"
	one, two := fmt.Sprintf(by, "public", "eth1", "203.0.113", "203.0.113"), fmt.Sprintf(by, "isp", "eth2", "192.0.2", "192.0.2")
	for _, order := range [][]string{{one, two}, {two, one}} {
		m, err := Read(Source{"f", []byte("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\nspec: {external: [" + strings.Join(order, ", ") + "]}\n")})
		if err != nil {
			t.Fatal(err)
		}
		all := m.Bridges()[0].Externals
		if len(all) != 2 || !strings.Contains(order[0], all[0].Network) || len(all[0].Routes) != 1 || len(all[1].Routes) != 1 {
			t.Errorf("%+v", all)
		}
	}
}

func TestWhatTheOutsideOfABridgeSays(t *testing.T) {
	m, _ := onEdge(t)
	net := netip.MustParsePrefix
	want := []*External{
		{
			Bridge: "br0", Network: "public", Port: "eth1", MAC: MAC{2, 0, 0, 0, 0xff, 1},
			Subnets: []ExternalSubnet{
				{net("203.0.113.0/24"), addr("203.0.113.1"), addr("203.0.113.2")},
				{CIDR: net("2001:db8::/64"), Gateway: addr("fe80::1")},
			},
			Prefixes: []netip.Prefix{net("198.51.100.0/28")},
			Routes: []Route{
				{net("10.9.9.0/24"), addr("203.0.113.1")}, {net("10.9.0.0/16"), addr("203.0.113.9")},
				{net("0.0.0.0/0"), addr("203.0.113.1")}, {net("::/0"), addr("fe80::1")},
			},
			NextHops: []NextHop{{Address: addr("203.0.113.1")}, {addr("203.0.113.9"), MAC{2, 0, 0, 0, 0xff, 9}}, {Address: addr("fe80::1")}},
		},
		{
			Bridge: "br0", Network: "isp", Port: "eth2",
			Subnets:  []ExternalSubnet{{CIDR: net("192.0.2.0/24")}},
			Routes:   []Route{{net("10.8.0.0/16"), addr("192.0.2.1")}},
			NextHops: []NextHop{{Address: addr("192.0.2.1")}},
		},
	}
	b := m.Bridges()[0]
	if d := cmp.Diff(want, b.Externals, plainAddrs); d != "" {
		t.Error(d)
	}
	if b.External("public") != b.Externals[0] || b.External("lan") != nil {
		t.Error("an outside is not found by its name")
	}
	if m.Position("bridge/br0/external/isp").Line != 13 {
		t.Errorf("isp is at %+v", m.Position("bridge/br0/external/isp"))
	}
	for a, want := range map[string]string{"203.0.113.77": "on the link", "198.51.100.3": "routed", "198.51.100.16": "", "fe80::1": ""} {
		x, got := b.Externals[0], ""
		if _, ok := x.OnLink(addr(a)); ok {
			got = "on the link"
		} else if x.Has(addr(a)) {
			got = "routed"
		}
		if got != want {
			t.Errorf("%s is %q, want %q", a, got, want)
		}
	}
}

func TestWhatAnSNATSays(t *testing.T) {
	m, _ := onEdge(t, snatBy("blue", "z", `network: lan, from: {labels: {tier: web}}, to: {cidrs: [10.9.0.0/16], protocol: tcp, ports: [25, 26]},
  exempt: {cidrs: [10.9.9.0/24]}, addresses: [203.0.113.12, "2001:db8::10", 203.0.113.10-203.0.113.11, 192.0.2.10, 203.0.113.14],
  ports: 1024-65535, selection: persistent, priority: 7, shared: true`),
		snatBy("blue", "b", "addresses: [203.0.113.99]"), snatBy("blue", "a", "addresses: [203.0.113.99], ports: preserve"))
	snats := m.Tenant("blue").SNATs
	var names []string
	for _, s := range snats {
		names = append(names, s.Name)
	}
	if d := cmp.Diff([]string{"a", "b", "z"}, names); d != "" {
		t.Fatal(d)
	}
	one := func(a string) AddrRange { return AddrRange{addr(a), addr(a)} }
	net := netip.MustParsePrefix
	want := &SNAT{
		Tenant: "blue", Name: "z", Priority: 7, From: Selector{Labels: map[string][]string{"tier": {"web"}}},
		To:     Destination{[]netip.Prefix{net("10.9.0.0/16")}, Service{Protocol: TCP, Ports: []PortRange{{25, 26}}}},
		Exempt: []netip.Prefix{net("10.9.9.0/24")},
		Pools: []Pool{
			{"br0", "isp", []AddrRange{one("192.0.2.10")}},
			{"br0", "public", []AddrRange{{addr("203.0.113.10"), addr("203.0.113.12")}, one("203.0.113.14")}},
			{"br0", "public", []AddrRange{one("2001:db8::10")}},
		},
		Ports: PortRange{1024, 65535}, Selection: SelectPersistent, Shared: true,
	}
	if d := cmp.Diff(want, snats[2], plainAddrs); d != "" {
		t.Error(d)
	}
	if snats[2].Network.Name != "lan" || snats[0].Network != nil || snats[2].Preserves() || !snats[0].Preserves() || snats[0].Priority != DefaultPriority || snats[0].Selection != SelectHash {
		t.Errorf("%+v %+v", snats[2], snats[0])
	}
	if got := len(snats[2].PoolsOn("br0", "public")); got != 2 {
		t.Errorf("%d pools on public", got)
	}
}

func TestWhomAnSNATSelects(t *testing.T) {
	for says, want := range map[string]string{
		"":                                "db web",
		"network: lan, ":                  "web",
		"from: {endpoints: [db]}, ":       "db",
		"from: {cidrs: [10.1.0.0/16]}, ":  "web",
		"from: {cidrs: [10.2.0.12/32]}, ": "db",
		"network: dmz, from: {labels: {tier: web}}, ": "",
	} {
		m, _ := onEdge(t, snatBy("blue", "s", says+"addresses: [203.0.113.10]"))
		var got []string
		for _, e := range m.Tenant("blue").Endpoints {
			if m.Tenant("blue").SNATs[0].Selects(e) {
				got = append(got, e.Name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q selects %v, want %q", says, got, want)
		}
	}
}

func TestWhatStandsForAnEndpoint(t *testing.T) {
	m, _ := onEdge(t, floatingBy("blue", "f", "address: 203.0.113.20, endpoint: web, snat: always"), floatingBy("blue", "g", `address: "2001:db8::20", endpoint: web`),
		floatingBy("blue", "h", "address: 198.51.100.0, endpoint: db, ip: 10.2.0.12, snat: never"),
		forwardBy("blue", "p", "address: 203.0.113.2, port: 2222, protocol: tcp, to: {endpoint: web, port: 22}"),
		forwardBy("blue", "q", "address: 203.0.113.2, port: 8000-8010, protocol: udp, snat: always, to: {endpoint: db, ip: 10.2.0.11}"),
		forwardBy("blue", "r", "address: 192.0.2.2, port: 8000-8010, protocol: sctp, to: {endpoint: web, port: 9000-9010}"))
	blue := m.Tenant("blue")
	db, web := blue.Endpoints[0], blue.Endpoints[1]
	if d := cmp.Diff([]*FloatingIP{
		{"blue", "f", addr("203.0.113.20"), "br0", "public", web, addr("10.1.0.11"), SNATAlways, addr("10.1.0.1")},
		{"blue", "g", addr("2001:db8::20"), "br0", "public", web, addr("fd00:1::11"), SNATAuto, addr("fd00:1::1")},
		{"blue", "h", addr("198.51.100.0"), "br0", "public", db, addr("10.2.0.12"), SNATNever, addr("10.2.0.1")},
	}, blue.FloatingIPs, plainAddrs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]*PortForward{
		{"blue", "p", TCP, addr("203.0.113.2"), "br0", "public", PortRange{2222, 2222}, web, addr("10.1.0.11"), PortRange{22, 22}, SNATAuto, addr("10.1.0.1")},
		{"blue", "q", UDP, addr("203.0.113.2"), "br0", "public", PortRange{8000, 8010}, db, addr("10.2.0.11"), PortRange{8000, 8010}, SNATAlways, addr("10.2.0.1")},
		{"blue", "r", SCTP, addr("192.0.2.2"), "br0", "isp", PortRange{8000, 8010}, web, addr("10.1.0.11"), PortRange{9000, 9010}, SNATAuto, addr("10.1.0.1")},
	}, blue.PortForwards, plainAddrs); d != "" {
		t.Error(d)
	}
	for _, id := range []ID{"blue/floatingip/f", "blue/portforward/r"} {
		if m.Position(id).Line == 0 {
			t.Errorf("%s is nowhere", id)
		}
	}
}

func TestWhatGoesTogether(t *testing.T) {
	for name, objects := range map[string][]string{
		"two tenants share an address":                        {snatBy("blue", "s", "addresses: [203.0.113.10], shared: true"), snatBy("red", "s", "addresses: [203.0.113.10], shared: true")},
		"two tenants share a pool, and write it differently":  {snatBy("blue", "s", "addresses: [203.0.113.10-203.0.113.11], shared: true"), snatBy("red", "s", "addresses: [203.0.113.11, 203.0.113.10], shared: true")},
		"two tenants have ports of their own of an address":   {snatBy("blue", "s", "addresses: [203.0.113.10], ports: 1024-2047"), snatBy("red", "s", "addresses: [203.0.113.10], ports: 2048-4095")},
		"two SNATs of a tenant have the same pool":            {snatBy("blue", "s", "network: lan, addresses: [203.0.113.10]"), snatBy("blue", "t", "network: dmz, addresses: [203.0.113.10], ports: 1024-2047")},
		"a port of an SNAT's address is forwarded":            {snatBy("blue", "s", "addresses: [203.0.113.10]"), forwardBy("blue", "p", "address: 203.0.113.10, port: 22, protocol: tcp, to: {endpoint: web}")},
		"a port that a shared SNAT leaves out":                {snatBy("blue", "s", "addresses: [203.0.113.10], shared: true, ports: 32768-65535"), snatBy("red", "s", "addresses: [203.0.113.10], shared: true, ports: 1024-65535"), forwardBy("red", "p", "address: 203.0.113.10, port: 22, protocol: tcp, to: {endpoint: web}")},
		"two tenants behind an address forward ports of it":   {snatBy("blue", "s", "addresses: [203.0.113.10], shared: true, ports: 32768-65535"), snatBy("red", "s", "addresses: [203.0.113.10], shared: true, ports: 32768-65535"), forwardBy("red", "p", "address: 203.0.113.10, port: 22, protocol: tcp, to: {endpoint: web}"), forwardBy("blue", "p", "address: 203.0.113.10, port: 23, protocol: tcp, to: {endpoint: web}")},
		"a load balancer has the address of an SNAT":          {snatBy("blue", "s", "addresses: [203.0.113.10-203.0.113.12]"), balancerBy("blue", "l", "address: 203.0.113.11, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web}]")},
		"... and so has a forward of another port":            {snatBy("blue", "s", "addresses: [203.0.113.10], ports: 1024-2047"), forwardBy("blue", "p", "address: 203.0.113.10, port: 22, protocol: tcp, to: {endpoint: web}"), balancerBy("blue", "l", "address: 203.0.113.10, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: web}]")},
		"one in the ports of its own tenant":                  {snatBy("blue", "s", "addresses: [203.0.113.10], ports: 1024-2047"), forwardBy("blue", "p", "address: 203.0.113.10, port: 2000, protocol: tcp, to: {endpoint: web}")},
		"one port of two protocols":                           {forwardBy("blue", "p", "address: 203.0.113.10, port: 53, protocol: tcp, to: {endpoint: web}"), forwardBy("blue", "q", "address: 203.0.113.10, port: 53, protocol: udp, to: {endpoint: web}")},
		"an endpoint has a floating IP on each outside":       {floatingBy("blue", "f", "address: 203.0.113.10, endpoint: web"), floatingBy("blue", "g", "address: 192.0.2.10, endpoint: web")},
		"both addresses of an endpoint have one":              {floatingBy("blue", "f", "address: 203.0.113.10, endpoint: db, ip: 10.2.0.11"), floatingBy("blue", "g", "address: 203.0.113.11, endpoint: db, ip: 10.2.0.12")},
		"the router's own address is translated to":           {snatBy("blue", "s", "addresses: [203.0.113.2]")},
		"a tenant's public network lies in a prefix":          {tenantObject("Network", "blue", "pub", "subnets: [{cidr: 198.51.100.0/29, gateway: 198.51.100.1}]"), floatingBy("blue", "f", "address: 198.51.100.8, endpoint: web")},
		"exempt of one tenant only, though both have 10.1/24": {snatBy("blue", "s", "addresses: [203.0.113.10], exempt: {cidrs: [10.9.0.0/16]}"), snatBy("red", "s", "addresses: [203.0.113.11]")},
		"exempt of both, on different outsides":               {snatBy("blue", "s", "addresses: [203.0.113.10], exempt: {cidrs: [10.9.0.0/16]}"), snatBy("red", "s", "addresses: [192.0.2.10], exempt: {cidrs: [10.8.0.0/16]}")},
		"exempt of both, of different networks":               {snatBy("blue", "s", "network: lan, addresses: [203.0.113.10], exempt: {cidrs: [10.9.0.0/16]}"), snatBy("red", "s", "network: dmz, addresses: [203.0.113.11], exempt: {cidrs: [10.9.0.0/16]}")},
	} {
		t.Run(name, func(t *testing.T) { onEdge(t, objects...) })
	}
}

func TestTranslationsThatMeanNothing(t *testing.T) {
	const s = "addresses: [203.0.113.10]"
	line := strings.Count(edge, "\n") + 4 // of the name of the first object
	first := fmt.Sprintf("spec: can never match: blue/snat/a, at f:%d, comes first and matches all of it", line)
	for name, c := range map[string]struct {
		objects []string
		want    []string
	}{
		"nothing wrong":                                {[]string{snatBy("blue", "a", s)}, nil},
		"one below an equal one":                       {[]string{snatBy("blue", "a", s), snatBy("blue", "b", s)}, []string{first}},
		"one below a wider one":                        {[]string{snatBy("blue", "a", s), snatBy("blue", "b", s+", network: lan, to: {cidrs: [10.9.0.0/16]}")}, []string{first}},
		"one below a narrower one":                     {[]string{snatBy("blue", "a", s+", to: {protocol: tcp}"), snatBy("blue", "b", s)}, nil},
		"one below another protocol":                   {[]string{snatBy("blue", "a", s+", to: {protocol: tcp}"), snatBy("blue", "b", s+", to: {protocol: udp}")}, nil},
		"one above a wider one":                        {[]string{snatBy("blue", "a", s), snatBy("blue", "b", s+", network: lan, priority: 200")}, nil},
		"one for another outside":                      {[]string{snatBy("blue", "a", s), snatBy("blue", "b", "addresses: [192.0.2.10]")}, nil},
		"one for another version of IP":                {[]string{snatBy("blue", "a", s), snatBy("blue", "b", `addresses: ["2001:db8::10"]`)}, nil},
		"one of another tenant":                        {[]string{snatBy("blue", "a", s), snatBy("red", "a", "addresses: [203.0.113.11]")}, nil},
		"labels that nobody has":                       {[]string{snatBy("blue", "a", s+", from: {labels: {tier: wep}}")}, []string{`spec.from: selects nobody: no endpoint has tier=wep; did you mean "web"?`}},
		"addresses that nobody has":                    {[]string{snatBy("blue", "a", s+", from: {cidrs: [10.7.0.0/16]}")}, []string{"spec.from: selects nobody: no endpoint has such an address, of the version of IP that it translates"}},
		"somebody without an address of that version":  {[]string{snatBy("blue", "a", `addresses: ["2001:db8::10"], from: {endpoints: [db]}`)}, []string{"spec.from: selects nobody: no endpoint has such an address, of the version of IP that it translates"}},
		"all have floating IPs":                        {[]string{snatBy("blue", "a", s+", network: lan"), floatingBy("blue", "f", "address: 203.0.113.20, endpoint: web")}, []string{"spec: can never match: all that it selects have floating IPs, which come first"}},
		"all have floating IPs of the other version":   {[]string{snatBy("blue", "a", s+", network: lan"), floatingBy("blue", "f", `address: "2001:db8::20", endpoint: web`)}, nil},
		"all have floating IPs on the other outside":   {[]string{snatBy("blue", "a", s+", network: lan"), floatingBy("blue", "f", "address: 192.0.2.20, endpoint: web")}, nil},
		"somebody has one":                             {[]string{snatBy("blue", "a", s), floatingBy("blue", "f", "address: 203.0.113.20, endpoint: web")}, nil},
		"somebody has one, who is named":               {[]string{snatBy("blue", "a", s+", from: {endpoints: [web, db]}"), floatingBy("blue", "f", "address: 203.0.113.20, endpoint: web")}, []string{"spec.from.endpoints: web: a floating IP comes first"}},
		"exempt is not in to":                          {[]string{snatBy("blue", "a", s+", to: {cidrs: [10.9.0.0/16]}, exempt: {cidrs: [10.8.0.0/16]}")}, []string{"spec.exempt: 10.8.0.0/16 is not in to, and so is not translated without being exempt"}},
		"exempt is all of to":                          {[]string{snatBy("blue", "a", s+", to: {cidrs: [10.9.0.0/16]}, exempt: {cidrs: [10.0.0.0/8]}")}, []string{"spec.exempt: leaves nothing of to that would be translated"}},
		"random among one":                             {[]string{snatBy("blue", "a", s+", selection: random")}, []string{"spec.selection: means nothing: there is one address, and ports are kept"}},
		"random among ports":                           {[]string{snatBy("blue", "a", s+", selection: random, ports: 1024-65535")}, nil},
		"another bridge, where the tenant has nothing": {[]string{"---\napiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br1}\nspec: {external: {network: far, port: eth9, subnets: [{cidr: 192.0.2.0/24}]}}\n", snatBy("blue", "a", s)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			text := edge
			if strings.Contains(name, "another bridge") {
				text = strings.ReplaceAll(edge, "spec: {subnets", "spec: {bridges: [br0], subnets")
			}
			src := Source{"f", []byte(text + strings.Join(c.objects, ""))}
			spec, err := Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			m, err := check(spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range Review(m, src) {
				why := p.Path + ": " + p.Why
				if p.Hint != "" {
					why += "; " + p.Hint
				}
				got = append(got, why)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestABridgeOnWhichAnSNATHasNoAddress(t *testing.T) {
	src := Source{"f", []byte(strings.ReplaceAll(edge, "spec: {subnets", "spec: {bridges: [br0, br1], subnets") +
		"---\napiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br1}\nspec: {external: {network: far, port: eth9, subnets: [{cidr: 100.64.0.0/24}]}}\n" +
		snatBy("blue", "a", "addresses: [203.0.113.10]"))}
	allCompiled(t)
	m, err := Read(src)
	if err != nil {
		t.Fatal(err)
	}
	ps := Review(m, src)
	if len(ps) != 1 || ps[0].Why != "have none outside of bridge br1: it translates nobody there" {
		t.Errorf("%v", ps)
	}
}

func TestRangesOfAddresses(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.1.0.0/24": "10.1.0.0-10.1.0.255", "10.1.0.7/32": "10.1.0.7", "0.0.0.0/0": "0.0.0.0-255.255.255.255",
		"10.1.0.128/25": "10.1.0.128-10.1.0.255", "fd00::/126": "fd00::-fd00::3",
	} {
		if got := rangeOf(netip.MustParsePrefix(prefix)).String(); got != want {
			t.Errorf("%s is %s, want %s", prefix, got, want)
		}
	}
	r := AddrRange{addr("10.0.0.5"), addr("10.0.0.9")}
	for a, want := range map[string]bool{"10.0.0.4": false, "10.0.0.5": true, "10.0.0.9": true, "10.0.0.10": false, "::10": false, "ffff::": false} {
		if r.Contains(addr(a)) != want {
			t.Errorf("%v contains %s: %v", r, a, !want)
		}
	}
}

func TestTheReferenceOfNATIsAModel(t *testing.T) {
	doc, err := os.ReadFile("../docs/nat.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("there is no model in it")
	}
	allCompiled(t)
	src := Source{"nat.md", []byte(text)}
	m, err := Read(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range Review(m, src) {
		t.Errorf("a reference that needs a warning: %v", w)
	}
}

// floatingIPs is 100 tenants with 10 floating IPs and an SNAT each, in a file for each.
func natFiles() (all []Source) {
	all = append(all, Source{"bridge", []byte("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\nspec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.0.0/16, gateway: 203.0.0.1}]}}\n")})
	for i := range 100 {
		var b strings.Builder
		fmt.Fprintf(&b, "apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t%d}\n", i)
		b.WriteString(tenantObject("Network", fmt.Sprint("t", i), "lan", "subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]"))
		for j := range 10 {
			b.WriteString(tenantObject("Endpoint", fmt.Sprint("t", i), fmt.Sprint("e", j), fmt.Sprintf(`network: lan, bind: {port: p%d-%d}, mac: "02:00:00:00:%02x:%02x", ips: [10.1.0.%d]`, i, j, i, j, j+10)))
			b.WriteString(floatingBy(fmt.Sprint("t", i), fmt.Sprint("f", j), fmt.Sprintf("address: 203.0.%d.%d, endpoint: e%d", i+1, j, j)))
		}
		b.WriteString(snatBy(fmt.Sprint("t", i), "out", fmt.Sprintf("addresses: [203.0.%d.100-203.0.%d.109]", i+1, i+1)))
		all = append(all, Source{fmt.Sprint("t", i), []byte(b.String())})
	}
	return all
}

func BenchmarkReadOneMoreFloatingIPOf1000(b *testing.B) {
	allCompiled(b)
	sources := natFiles()
	var r Reader
	if _, err := r.Read(sources...); err != nil {
		b.Fatal(err)
	}
	one := sources[50].Data
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		more := floatingBy("t49", "more", fmt.Sprintf("address: 203.0.200.%d, endpoint: spare", 1+i%200))
		spare := tenantObject("Endpoint", "t49", "spare", `network: lan, bind: {port: spare}, mac: "02:00:00:01:00:00", ips: [10.1.0.99]`)
		sources[50].Data = append(one[:len(one):len(one)], spare+more...)
		if _, err := r.Read(sources...); err != nil {
			b.Fatal(err)
		}
	}
}

func TestForwardsByWhichNobodyGetsThrough(t *testing.T) {
	const f = "address: 203.0.113.10, port: 2222, protocol: tcp, to: {endpoint: web, port: 22}"
	const nobody = `nobody outside gets through: no rule lets anybody from there in to tcp port 22 of endpoint "web"`
	in := func(rule string) string {
		return tenantObject("Policy", "blue", "p", "rules: [{name: r, direction: ingress, "+rule+"}]")
	}
	for name, c := range map[string]struct{ policy, want string }{
		"no policy":                       {"", "spec: " + nobody + "; add a rule that does"},
		"a rule for the endpoint's port":  {in("action: allow, protocol: tcp, ports: [22]"), ""},
		"a rule for everything":           {in("action: allow"), ""},
		"a rule for some from outside":    {in("action: allow, from: {cidrs: [198.51.100.0/24]}, protocol: tcp, ports: [1-100]"), ""},
		"a rule for the port outside":     {in("action: allow, protocol: tcp, ports: [2222]"), "spec.to.port: " + nobody + "; policies judge the endpoint's own port: write 22 there, not 2222"},
		"a rule for another protocol":     {in("action: allow, protocol: udp, ports: [22]"), "spec: " + nobody + "; add a rule that does"},
		"a rule for those inside":         {in("action: allow, from: {endpoints: [db]}"), "spec: " + nobody + "; add a rule that does"},
		"a rule for another endpoint":     {tenantObject("Policy", "blue", "p", "appliesTo: {endpoints: [db]}, rules: [{name: r, direction: ingress, action: allow}]"), "spec: " + nobody + "; add a rule that does"},
		"a rule of another version of IP": {in(`action: allow, from: {cidrs: ["2001:db8::/32"]}`), "spec: " + nobody + "; add a rule that does"},
		"a rule that denies":              {in("action: deny, protocol: tcp, ports: [22]"), "spec: " + nobody + "; add a rule that does"},
	} {
		t.Run(name, func(t *testing.T) {
			src := Source{"f", []byte(edge + forwardBy("blue", "p", f) + c.policy)}
			m, err := Read(src)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, p := range Review(m, src) {
				if strings.Contains(p.Why, "gets through") {
					got += p.Path + ": " + p.Why + "; " + p.Hint
				}
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
