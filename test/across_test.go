package test

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// red returns an object of tenant red.
func red(kind, name, spec string) string { return object(kind, "name: "+name+", tenant: red", spec) }

// twoTenants has h1 and h2 of tenant t, and r1 and r2 of tenant red, in networks with the same
// addresses. h2 and r2 leave by an SNAT, h1 and r1 have floating IPs, r2 a forwarded port.
func twoTenants(more ...string) string {
	return natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}"), endpoint("red", "r1", 3, "10.1.1.11"), endpoint("red", "r2", 4, "10.1.1.12"),
		red("SNAT", "all", "addresses: [203.0.113.30]"), red("FloatingIP", "r1-ip", "address: 203.0.113.40, endpoint: r1"),
		red("PortForward", "web", "address: 203.0.113.30, port: 8080, protocol: tcp, to: {endpoint: r2, port: 80}")) + strings.Join(more, "")
}

// sideBySide is a net with two tenants inside and out outside.
func sideBySide(t *testing.T, model string) (n *ovstest.Net, h1, h2, r1, r2, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	r1 = n.Host("r1", mac(3), []string{"10.1.1.11/24"}, "10.1.1.1")
	r2 = n.Host("r2", mac(4), []string{"10.1.1.12/24"}, "10.1.1.1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(model)
	return n, h1, h2, r1, r2, out
}

// fromInside is a policy of red that admits who comes from where t's addresses outside are.
var fromInside = policy("red", "in", "{name: http, direction: ingress, action: allow, from: {cidrs: [203.0.113.10/32, 203.0.113.20/32]}, protocol: tcp, ports: [80]}",
	"{name: ping, direction: ingress, action: allow, from: {cidrs: [203.0.113.0/24]}, protocol: icmp}",
	"{name: dns, direction: ingress, action: allow, from: {cidrs: [203.0.113.0/24]}, protocol: udp, ports: [53, 9999]}")

// ipv4 is the condition that a frame is of IPv4, from or to somebody in a prefix.
func ipv4(p string) func([]byte) bool {
	in := netip.MustParsePrefix(p)
	return func(f []byte) bool {
		return len(f) >= 34 && bytes.Equal(f[12:14], []byte{8, 0}) && (in.Contains(netip.AddrFrom4([4]byte(f[26:30]))) || in.Contains(netip.AddrFrom4([4]byte(f[30:34]))))
	}
}

// TestAddressesOfAnotherTenant reaches red's floating IP and forwarded port from t, as who leaves
// by an SNAT and as who has a floating IP. Nothing leaves the bridge, and red sees nobody's own
// address.
func TestAddressesOfAnotherTenant(t *testing.T) {
	n, h1, h2, r1, r2, out := sideBySide(t, twoTenants(fromInside))
	left := wire(t, out)
	echo(t, r1, "10.1.1.11:80")
	echo(t, r2, "10.1.1.12:80")
	serve(t, r1, "10.1.1.11:81", "r1")
	arrived := map[*sandbox.Host]*sandbox.Wire{r1: wire(t, r1), r2: wire(t, r2)}
	for _, from := range []*sandbox.Host{h1, h2} {
		talk(t, from, "203.0.113.40:80")
		talk(t, from, "203.0.113.30:8080")
		pings(t, from, "203.0.113.40", 2, 2)
		refusedUDP(t, from, "203.0.113.40:9999")
		timesOut(t, from, "203.0.113.40:81")
		timesOut(t, from, "203.0.113.30:80")
		timesOut(t, from, "203.0.113.10:80") // its own tenant's
		if got, err := from.Exec(t.Context(), "ping", "-c", "1", "-W", "10", "203.0.113.40"); err != nil || !strings.Contains(got, "ttl=62") {
			t.Errorf("%s pings past two routers: %v: %s", from.Name, err, got)
		}
		if got, _ := from.Exec(t.Context(), "ping", "-c", "1", "-t", "2", "-W", "10", "203.0.113.40"); !strings.Contains(got, "From 203.0.113.2 ") {
			t.Errorf("%s pings as far as the second router: %s", from.Name, got)
		}
	}
	for h, w := range arrived {
		own := "10.1.1.12/32" // of whom h is not: both tenants have it
		if h == r2 {
			own = "10.1.1.11/32"
		}
		if sees(w, ipv4(own)) {
			t.Errorf("%s sees %s", h.Name, own)
		}
	}
	if sees(left, ipv4("0.0.0.0/0")) {
		t.Error("a packet has left the bridge")
	}
	for zone, want := range map[string][]string{
		"t": {"tcp 10.1.1.11>203.0.113.40 203.0.113.40>203.0.113.20", "tcp 10.1.1.12>203.0.113.30 203.0.113.30>203.0.113.10", "icmp 10.1.1.12>203.0.113.40 203.0.113.40>203.0.113.10"},
		"red": {"tcp 203.0.113.20>203.0.113.40 10.1.1.11>203.0.113.20", "tcp 203.0.113.10>203.0.113.30 10.1.1.12>203.0.113.10",
			"icmp 203.0.113.10>203.0.113.40 10.1.1.11>203.0.113.10", "udp 203.0.113.20>203.0.113.40 10.1.1.11>203.0.113.20"},
	} {
		got := strings.Join(tuplesOf(n, zone), "\n")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("no connection %q of %s in\n%s", w, zone, got)
			}
		}
		if strings.Contains(got, ">203.0.113.10 ") {
			t.Errorf("a connection of %s to an address that nobody is behind in\n%s", zone, got)
		}
	}
}

// TestRecirculationsAcrossTenants counts how often packets from one tenant to the other come back
// to the flow tables, and what the tracker remembers of them.
func TestRecirculationsAcrossTenants(t *testing.T) {
	model := twoTenants(strings.Replace(fromInside, "203.0.113.10/32", "203.0.113.10/31", 1))
	n, h1, h2, r1, r2, _ := sideBySide(t, model)
	echo(t, r1, "10.1.1.11:80")
	echo(t, r2, "10.1.1.12:80")
	for i, c := range []struct {
		name    string
		from    *sandbox.Host
		mac     string
		address string
		want    ovstest.Recirculations
	}{
		{"SNAT, floating IP", h2, mac(2), "203.0.113.40:80", ovstest.Recirculations{New: 2, Established: 2}},
		{"floating IPs", h1, mac(1), "203.0.113.40:80", ovstest.Recirculations{New: 2, Established: 2}},
		{"SNAT, forwarded port", h2, mac(2), "203.0.113.30:8080", ovstest.Recirculations{New: 2, Established: 2}},
		{"SNAT, pool, floating IP", h2, mac(2), "203.0.113.40:80", ovstest.Recirculations{New: 3, Established: 2}},
	} {
		if i == 3 {
			n.Weir.Apply(strings.Replace(model, "addresses: [203.0.113.10]", "addresses: [203.0.113.10-203.0.113.11], ports: 1024-65535", 1))
		}
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		count := func() int { return len(tuplesOf(n, "t")) + len(tuplesOf(n, "red")) }
		before := count()
		talk(t, c.from, c.address)
		got := n.Recirculations("src="+c.mac, "eth_type(0x0800)")
		entries := count() - before
		t.Logf("%-23s recirculations new / established / entries: %d / %d / %d", c.name, got.New, got.Established, entries)
		if got != c.want || entries != 2 {
			t.Errorf("%s: %+v, %d entries, want %+v, 2", c.name, got, entries, c.want)
		}
	}
}

// TestWhoMayReachAnotherTenant has each of both tenants' policies and translations be missing in
// turn: then nobody gets through.
func TestWhoMayReachAnotherTenant(t *testing.T) {
	deny := policy("t", "out", "{name: not-there, direction: egress, action: deny, to: {cidrs: [203.0.113.40/32]}}")
	as := snat("all", "addresses: [203.0.113.10]")
	n, _, h2, r1, _, _ := sideBySide(t, twoTenants(fromInside))
	echo(t, r1, "10.1.1.11:80")
	c := opened(t, h2, "203.0.113.40:80")
	for _, step := range []struct {
		name, model string
		passes      bool
	}{
		{"all there", twoTenants(fromInside), true},
		{"t's policy denies it", twoTenants(fromInside, deny), false},
		{"all there again", twoTenants(fromInside), true},
		{"red's policy does not admit it", twoTenants(), false},
		{"and again", twoTenants(fromInside), true},
		{"nothing says as whom it leaves", strings.Replace(twoTenants(fromInside), as, "", 1), false},
	} {
		n.Weir.Apply(strings.ReplaceAll(step.model, "}\nspec: {}", "}\nspec: {allowDisruption: true}"))
		if step.passes {
			talk(t, h2, "203.0.113.40:80")
			continue
		}
		timesOut(t, h2, "203.0.113.40:80")
		if err := say(c, "hello", time.Second); err == nil && step.name == "t's policy denies it" {
			t.Errorf("%s: what was open goes on", step.name)
		}
	}
}

// TestAcrossTenantsOverIPv6 is TestAddressesOfAnotherTenant over IPv6.
func TestAcrossTenantsOverIPv6(t *testing.T) {
	model := strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1) +
		tenant("t", "", "{cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") + endpoint("t", "h1", 1, "\"fd00:1::11\"") + endpoint("t", "h2", 2, "\"fd00:1::12\"") +
		snat("all", "addresses: [\"2001:db8::240\"]") + floatingIP("h1-ip", "\"2001:db8::20\"", "h1") +
		tenant("red", "", "{cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") + endpoint("red", "r1", 3, "\"fd00:1::11\"") +
		red("FloatingIP", "r1-ip", "address: \"2001:db8::40\", endpoint: r1") +
		red("PortForward", "web", "address: \"2001:db8::41\", port: 8080, protocol: tcp, to: {endpoint: r1, port: 80}") +
		policy("red", "in", "{name: http, direction: ingress, action: allow, from: {cidrs: [\"2001:db8::/64\"]}, protocol: tcp, ports: [80]}",
			"{name: ping, direction: ingress, action: allow, protocol: icmpv6}", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [9999]}")
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"fd00:1::11/64"}, "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"fd00:1::12/64"}, "fd00:1::1")
	r1 := n.Host("r1", mac(3), []string{"fd00:1::11/64"}, "fd00:1::1")
	n.Host("out", mac(9), []string{"2001:db8::9/64", "fe80::9/64"})
	n.Run(model)
	echo(t, r1, "[fd00:1::11]:80")
	for _, h := range []*sandbox.Host{h1, h2} {
		talk(t, h, "[2001:db8::40]:80")
		talk(t, h, "[2001:db8::41]:8080")
		pings(t, h, "2001:db8::40", 2, 2)
		refusedUDP(t, h, "[2001:db8::40]:9999")
	}
	got := strings.Join(tuplesOf(n, "red"), "\n")
	for _, want := range []string{"tcp 2001:db8::20>2001:db8::40 fd00:1::11>2001:db8::20", "tcp 2001:db8::240>2001:db8::41 fd00:1::11>2001:db8::240"} {
		if !strings.Contains(got, want) {
			t.Errorf("no connection %q in\n%s", want, got)
		}
	}
}

// TestFTPAcrossTenants downloads from red's server, whose data connections both tenants' trackers
// have to be told of.
func TestFTPAcrossTenants(t *testing.T) {
	ftp := func(tenant string) string {
		return policy(tenant, "ftp", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}",
			"{name: out, direction: egress, action: allow, protocol: tcp, ports: [21], alg: ftp}", "{name: no-more, direction: egress, action: deny}")
	}
	_, h1, h2, r1, _, _ := sideBySide(t, twoTenants(ftp("t"), ftp("red")))
	serveFTP(t, r1, "10.1.1.11")
	for _, way := range []string{"PASV", "PORT"} {
		for name, from := range map[string]*sandbox.Host{"SNAT": h2, "floating IP": h1} {
			t.Run(way+" "+name, func(t *testing.T) {
				if got, err := download(t, from, way, "203.0.113.40"); err != nil || got != theFile {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

// TestRejectsOfWhatIsTranslated has h1's floating IP and forwarded port say no, to a host of its
// own tenant, to one of another and to one outside. Each hears it from the address that it has
// asked.
func TestRejectsOfWhatIsTranslated(t *testing.T) {
	const no = "{name: tcp, direction: ingress, action: reject, protocol: tcp, ports: [80]}, {name: udp, direction: ingress, action: reject, protocol: udp}, {name: icmp, direction: ingress, action: reject, protocol: icmp}"
	n, _, h2, r1, r2, out := sideBySide(t, twoTenants(policy("t", "no", no),
		object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h1, port: 80}"),
		object("PortForward", "name: dns, tenant: t", "address: 203.0.113.10, port: 5353, protocol: udp, to: {endpoint: h1, port: 53}")))
	for _, h := range []*sandbox.Host{h2, r1, r2, out} {
		t.Run(h.Name, func(t *testing.T) {
			refusedTCP(t, h, "203.0.113.20:80")
			refusedTCP(t, h, "203.0.113.10:8080")
			refusedUDP(t, h, "203.0.113.20:53")
			refusedUDP(t, h, "203.0.113.10:5353")
			prohibitedPing(t, h, "203.0.113.20")
		})
	}
	wantTuples(t, n)
}

// TestResetsOfWhatIsTranslated takes back what lets h2 talk to a host outside and to red's
// floating IP, and says that both ends are to be told: they are, under the addresses that they
// know each other by.
func TestResetsOfWhatIsTranslated(t *testing.T) {
	told := func(rules string) string {
		return object("Policy", "name: out, tenant: t", "onRevoke: reset, rules: ["+rules+"]")
	}
	const may = "{name: may, direction: egress, action: allow, protocol: tcp, ports: [80]}, {name: rest, direction: egress, action: deny}"
	model := func(rules string) string {
		return strings.ReplaceAll(twoTenants(fromInside, told(rules)), "}\nspec: {}", "}\nspec: {allowDisruption: true}")
	}
	n, _, h2, r1, _, out := sideBySide(t, model(may))
	var conns []net.Conn
	servers := make(ended, 2)
	servers.echo(t, out, "203.0.113.1:80")
	servers.echo(t, r1, "10.1.1.11:80")
	for _, address := range []string{"203.0.113.1:80", "203.0.113.40:80"} {
		conns = append(conns, opened(t, h2, address))
	}
	n.Weir.Apply(model("{name: rest, direction: egress, action: deny}"))
	for _, c := range conns {
		isReset(t, c)
		servers.isReset(t)
	}
}

// TestWhatIsExemptReachesAnotherTenant has t be exempt from its SNAT where red's addresses are. Red
// sees its own addresses there, and answers them; it cannot begin anything itself.
func TestWhatIsExemptReachesAnotherTenant(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	r1 := n.Host("r1", mac(3), []string{"10.2.2.11/24"}, "10.2.2.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(natModel(snat("all", "addresses: [203.0.113.10], exempt: {cidrs: [203.0.113.0/24]}"),
		policy("t", "in", "{name: all, direction: ingress, action: allow}"),
		tenant("red", "", "{cidr: 10.2.2.0/24, gateway: 10.2.2.1}"), endpoint("red", "r1", 3, "10.2.2.11"), red("FloatingIP", "r1-ip", "address: 203.0.113.40, endpoint: r1"),
		policy("red", "in", "{name: http, direction: ingress, action: allow, from: {cidrs: [10.1.1.0/24]}, protocol: tcp, ports: [80]}")))
	left := wire(t, out)
	echo(t, r1, "10.2.2.11:80")
	echo(t, h1, "10.1.1.11:80")
	talk(t, h1, "203.0.113.40:80")
	if got := strings.Join(tuplesOf(n, "red"), "\n"); !strings.Contains(got, "tcp 10.1.1.11>203.0.113.40 10.2.2.11>10.1.1.11") {
		t.Errorf("red's connections: %s", got)
	}
	timesOut(t, r1, "10.1.1.11:80")
	if sees(left, ipv4("0.0.0.0/0")) {
		t.Error("a packet has left the bridge")
	}
}

// TestAPortThatAnotherTenantHasOfTheSameAddress reaches red's forwarded port of an address as which
// t leaves, too.
func TestAPortThatAnotherTenantHasOfTheSameAddress(t *testing.T) {
	n := ovstest.New(t)
	n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	r1 := n.Host("r1", mac(3), []string{"10.1.1.11/24"}, "10.1.1.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(natModel(snat("all", "addresses: [203.0.113.10], ports: 1024-19999"),
		tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}"), endpoint("red", "r1", 3, "10.1.1.11"),
		red("SNAT", "all", "addresses: [203.0.113.10], ports: 20000-39999"),
		red("PortForward", "web", "address: 203.0.113.10, port: 40000, protocol: tcp, to: {endpoint: r1, port: 80}"),
		policy("red", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	left := wire(t, out)
	echo(t, r1, "10.1.1.11:80")
	talk(t, h2, "203.0.113.10:40000")
	talk(t, r1, "203.0.113.10:40000")
	timesOut(t, h2, "203.0.113.10:30000")
	if sees(left, ipv4("0.0.0.0/0")) {
		t.Error("a packet has left the bridge")
	}
}

// TestPublicNetworksAndOtherTenants reaches red's public network from t, and a floating IP of t
// from there.
func TestPublicNetworksAndOtherTenants(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	r1 := n.Host("r1", mac(3), []string{"198.51.100.4/28"}, "198.51.100.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(strings.Replace(natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, from: {cidrs: [198.51.100.0/28]}, protocol: tcp, ports: [80]}"),
		tenant("red", "", "{cidr: 198.51.100.0/28, gateway: 198.51.100.1}"), endpoint("red", "r1", 3, "198.51.100.4"),
		policy("red", "in", "{name: http, direction: ingress, action: allow, from: {cidrs: [203.0.113.0/24]}, protocol: tcp, ports: [80]}")),
		"    subnets:", "    prefixes: [198.51.100.0/28]\n    subnets:", 1))
	left := wire(t, out)
	echo(t, r1, "198.51.100.4:80")
	echo(t, h1, "10.1.1.11:80")
	talk(t, h1, "198.51.100.4:80")
	talk(t, h2, "198.51.100.4:80")
	talk(t, r1, "203.0.113.20:80")
	timesOut(t, r1, "10.1.1.11:80")
	if got := strings.Join(tuplesOf(n, "red"), "\n"); !strings.Contains(got, "tcp 203.0.113.10>198.51.100.4 198.51.100.4>203.0.113.10") {
		t.Errorf("red's connections: %s", got)
	}
	if sees(left, func(f []byte) bool { return ipv4("0.0.0.0/0")(f) && !ipv4("10.1.1.0/24")(f) }) {
		t.Error("a packet has left the bridge")
	}
}

// TestAnotherTenantThatSeesItsGateway counts recirculations of what reaches a floating IP of t, of
// which the endpoint sees its gateway, from a pool of red's.
func TestAnotherTenantThatSeesItsGateway(t *testing.T) {
	always := object("FloatingIP", "name: h1-ip, tenant: t", "address: 203.0.113.20, endpoint: h1, snat: always")
	model := strings.NewReplacer(floatingIP("h1-ip", "203.0.113.20", "h1"), always, "addresses: [203.0.113.30]", "addresses: [203.0.113.30-203.0.113.31]").Replace(
		twoTenants(policy("t", "in", "{name: http, direction: ingress, action: allow, from: {cidrs: [203.0.113.0/24]}, protocol: tcp, ports: [80]}")))
	n, h1, _, _, r2, _ := sideBySide(t, model)
	echo(t, h1, "10.1.1.11:80")
	talk(t, r2, "203.0.113.20:80")
	got := n.Recirculations("src="+mac(4), "eth_type(0x0800)")
	t.Logf("recirculations new / established: %d / %d", got.New, got.Established)
	if got.New > 5 || got.Established > 2 {
		t.Errorf("%+v", got)
	}
}

// TestARejectOfWhatIsOpenAndTranslated has a rule reject what h2 has opened to outside and to red.
// It hears so from those to whom it has opened it.
func TestARejectOfWhatIsOpenAndTranslated(t *testing.T) {
	model := func(rules ...string) string {
		return strings.ReplaceAll(twoTenants(append(rules, fromInside)...), "}\nspec: {}", "}\nspec: {allowDisruption: true}")
	}
	n, _, h2, r1, _, out := sideBySide(t, model())
	echo(t, out, "203.0.113.1:80")
	echo(t, r1, "10.1.1.11:80")
	var conns []net.Conn
	for _, address := range []string{"203.0.113.1:80", "203.0.113.40:80"} {
		conns = append(conns, opened(t, h2, address))
	}
	n.Weir.Apply(model(policy("t", "out", "{name: no, direction: egress, action: reject, protocol: tcp}")))
	for _, c := range conns {
		isReset(t, c)
	}
}
