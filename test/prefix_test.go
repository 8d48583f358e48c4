package test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

const prefixes = `prefixes: [198.51.100.0/28, "2001:db8:100::/48"]`

// prefixModel has an outside with what is said, a public network with p1, and h1 in a private one,
// of tenant t, and r1 of tenant red behind an SNAT.
func prefixModel(said string, more ...string) string {
	return object("Bridge", "name: br0", `external: {network: public, port: out, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}, `+
		`{cidr: "2001:db8::/64", gateway: "2001:db8::9", address: "2001:db8::2"}], `+said+`}`) +
		tenant("t", "allowDisruption: true", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("t", "h1", 1, "10.1.1.11") +
		object("Network", "name: pub, tenant: t", `subnets: [{cidr: 198.51.100.0/29, gateway: 198.51.100.1}, {cidr: "2001:db8:100:1::/64", gateway: "2001:db8:100:1::1"}]`) +
		object("Endpoint", "name: p1, tenant: t", `network: pub, bind: {ifaceID: p1}, mac: "`+mac(2)+`", ips: [198.51.100.3, "2001:db8:100:1::3"]`) +
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}", "{name: ping, direction: ingress, action: allow, protocol: icmp}",
			"{name: ping6, direction: ingress, action: allow, protocol: icmpv6}") +
		tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("red", "r1", 3, "10.1.1.11") + red("SNAT", "all", "addresses: [203.0.113.30]") +
		strings.Join(more, "")
}

// inPrefix are mappings with addresses of the prefix.
var inPrefix = []string{floatingIP("h1-ip", "198.51.100.10", "h1"), object("SNAT", "name: all, tenant: t", "network: lan, addresses: [198.51.100.11]")}

// routedTo is a net with what prefixModel has. The router outside sends the prefix to the bridge.
func routedTo(t *testing.T, model string) (n *ovstest.Net, h1, p1, r1, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	p1 = n.Host("p1", mac(2), []string{"198.51.100.3/29", "2001:db8:100:1::3/64"}, "198.51.100.1", "2001:db8:100:1::1")
	r1 = n.Host("r1", mac(3), []string{"10.1.1.11/24"}, "10.1.1.1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64"})
	for prefix, via := range map[string]string{"198.51.100.0/28": "203.0.113.2", "2001:db8:100::/48": "2001:db8::2"} {
		if _, err := out.Exec(t.Context(), "ip", "route", "add", prefix, "via", via); err != nil {
			t.Fatal(err)
		}
	}
	n.Run(model)
	return n, h1, p1, r1, out
}

// TestPublicNetworksAreReachedAsTheyAre has an endpoint with a public address be reached by it, and
// leave with it, as policy says; and mappings with addresses of the same prefix.
func TestPublicNetworksAreReachedAsTheyAre(t *testing.T) {
	n, h1, p1, r1, out := routedTo(t, prefixModel(prefixes, inPrefix...))
	for address, h := range map[string]*sandbox.Host{"203.0.113.1:80": out, "[2001:db8::9]:80": out, "10.1.1.11:80": h1, "198.51.100.3:80": p1, "[2001:db8:100:1::3]:80": p1, "198.51.100.3:81": p1} {
		serve(t, h, address, h.Name)
	}
	reaches(t, out, "198.51.100.3", "2001:db8:100:1::3")
	gets(t, out, "198.51.100.3:80", "p1")
	gets(t, out, "[2001:db8:100:1::3]:80", "p1")
	gets(t, p1, "203.0.113.1:80", "out")
	gets(t, p1, "[2001:db8::9]:80", "out")
	gets(t, out, "198.51.100.10:80", "h1")
	gets(t, r1, "198.51.100.3:80", "p1")
	timesOut(t, out, "198.51.100.3:81")
	refusedUDP(t, p1, "203.0.113.1:9999")
	expires(t, out, "1", "198.51.100.3", "203.0.113.2")
	expires(t, p1, "1", "203.0.113.1", "198.51.100.1")
	got := strings.Join(tuples(n), "\n")
	for _, want := range []string{
		"tcp 203.0.113.1>198.51.100.3 198.51.100.3>203.0.113.1", "tcp 2001:db8::9>2001:db8:100:1::3 2001:db8:100:1::3>2001:db8::9",
		"tcp 198.51.100.3>203.0.113.1 203.0.113.1>198.51.100.3", "tcp 2001:db8:100:1::3>2001:db8::9 2001:db8::9>2001:db8:100:1::3",
		"tcp 203.0.113.1>198.51.100.10 10.1.1.11>203.0.113.1", "tcp 203.0.113.30>198.51.100.3 198.51.100.3>203.0.113.30",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no connection %q in\n%s", want, got)
		}
	}
	n.Weir.Apply(prefixModel(prefixes, inPrefix[1:]...))
	gets(t, h1, "203.0.113.1:80", "out")
	if got := strings.Join(tuples(n), "\n"); !strings.Contains(got, "tcp 10.1.1.11>203.0.113.1 203.0.113.1>198.51.100.11") {
		t.Errorf("h1 does not leave as 198.51.100.11:\n%s", got)
	}
	if _, err := out.Exec(t.Context(), "ip", "route", "add", "198.51.100.4/32", "dev", sandbox.HostDevice); err != nil {
		t.Fatal(err)
	}
	w := wire(t, out)
	if said, _ := out.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "1", "198.51.100.4"); !strings.Contains(said, " 0 received") {
		t.Errorf("out pings who is not there: %s", said)
	}
	if sees(w, func(f []byte) bool { return isARP(f) && f[21] == 2 }) {
		t.Error("an address of the prefix is answered for on the link")
	}
}

// TestAnSNATComesBeforeAPublicAddress has one that translates a public network, too.
func TestAnSNATComesBeforeAPublicAddress(t *testing.T) {
	n, _, p1, _, out := routedTo(t, prefixModel(prefixes, object("SNAT", "name: hidden, tenant: t", "network: pub, to: {protocol: tcp, ports: [80]}, addresses: [203.0.113.40]")))
	serve(t, out, "203.0.113.1:80", "out")
	serve(t, out, "203.0.113.1:81", "out")
	gets(t, p1, "203.0.113.1:80", "out")
	gets(t, p1, "203.0.113.1:81", "out")
	wantTuples(t, n, "tcp 198.51.100.3>203.0.113.1 203.0.113.1>203.0.113.40", "tcp 198.51.100.3>203.0.113.1 203.0.113.1>198.51.100.3")
}

// TestRecirculationsOfPublicNetworks counts how often packets come back, in both directions.
func TestRecirculationsOfPublicNetworks(t *testing.T) {
	n, _, p1, _, out := routedTo(t, prefixModel(prefixes))
	echo(t, out, "203.0.113.1:80")
	echo(t, p1, "198.51.100.3:80")
	reaches(t, out, "198.51.100.3")
	for _, c := range []struct {
		name    string
		from    *sandbox.Host
		first   string
		address string
	}{{"in", out, "dst=198.51.100.", "198.51.100.3:80"}, {"out", p1, "src=" + mac(2), "203.0.113.1:80"}} {
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		before := len(n.Entries(n.Weir.Zone("t")))
		talk(t, c.from, c.address)
		got, entries := n.Recirculations(c.first, "eth_type(0x0800)"), len(n.Entries(n.Weir.Zone("t")))-before
		t.Logf("%-4s recirculations new / established / entries: %d / %d / %d", c.name, got.New, got.Established, entries)
		if got != (ovstest.Recirculations{New: 1, Established: 1}) || entries != 1 {
			t.Errorf("%s: %+v, %d entries, want 1 / 1 / 1", c.name, got, entries)
		}
	}
}

// TestRevocationOfPublicNetworks takes back what is none of their business, then a rule, then the
// prefix: each ends the connections that it let be, and no others.
func TestRevocationOfPublicNetworks(t *testing.T) {
	strict := func(said string, more ...string) string {
		return strings.Replace(prefixModel(said, more...), "allowDisruption: true", "allowDisruption: true, defaults: {egress: deny}", 1)
	}
	egress := func(ports string) string {
		return policy("t", "out", "{name: out, direction: egress, action: allow, protocol: tcp, ports: ["+ports+"]}")
	}
	n, _, p1, _, out := routedTo(t, strict(prefixes, egress("80, 81, 82")))
	echo(t, p1, "198.51.100.3:80")
	echo(t, out, "203.0.113.1:80")
	echo(t, out, "203.0.113.1:81")
	reaches(t, out, "198.51.100.3")
	conns := map[string]net.Conn{}
	for name, c := range map[string]struct {
		from    *sandbox.Host
		address string
	}{"in": {out, "198.51.100.3:80"}, "out to 80": {p1, "203.0.113.1:80"}, "out to 81": {p1, "203.0.113.1:81"}} {
		conns[name] = opened(t, c.from, c.address)
	}
	live := func(when string, ended ...string) {
		t.Helper()
		for _, name := range ended {
			if err := say(conns[name], "hello", time.Second); err == nil {
				t.Errorf("%s: %s lives", when, name)
			}
			delete(conns, name)
		}
		for name, c := range conns {
			if err := say(c, "hello", ovstest.Patience); err != nil {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
	}
	live("at first")
	n.Weir.Apply(strict(prefixes, egress("80, 81")))
	live("port 82 denied")
	n.Weir.Apply(strict(prefixes, egress("80")))
	live("port 81 denied", "out to 81")
	n.Weir.Apply(strict("prefixes: [192.0.2.0/24]", egress("80")))
	live("no prefix any more", "in", "out to 80")
	ovstest.Eventually(t, "no connection is left", func() error {
		if got := ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "tcp"); len(got) > 0 {
			return errors.New(strings.Join(tuples(n), "\n"))
		}
		return nil
	})
}

// TestALoadBalancerInAPublicNetwork has somebody outside ask it: who answers is the address that was asked.
func TestALoadBalancerInAPublicNetwork(t *testing.T) {
	n, h1, p1, _, out := routedTo(t, prefixModel(prefixes, balancer("vip", "address: 198.51.100.4, ports: [{port: 81, protocol: tcp, targetPort: 80}], backends: [{endpoint: p1}]")))
	serve(t, p1, "198.51.100.3:80", "p1")
	gets(t, out, "198.51.100.4:81", "p1")
	gets(t, h1, "198.51.100.4:81", "p1")
	gets(t, out, "198.51.100.3:80", "p1")
	wantTuples(t, n, "tcp 203.0.113.1>198.51.100.4 198.51.100.3>203.0.113.1", "tcp 10.1.1.11>198.51.100.4 198.51.100.3>10.1.1.11", "tcp 203.0.113.1>198.51.100.3 198.51.100.3>203.0.113.1")
}

// TestNobodyOutsideSpeaksForAnEndpoint has an endpoint speak to another one, directly and by a floating IP, and somebody outside send
// what would be of these connections.
func TestNobodyOutsideSpeaksForAnEndpoint(t *testing.T) {
	n, h1, p1, _, out := routedTo(t, prefixModel(prefixes, floatingIP("p1-ip", "203.0.113.20", "p1")))
	echo(t, p1, "198.51.100.3:80")
	router, err := net.ParseMAC(routerMAC(t, out, "203.0.113.2"))
	if err != nil {
		t.Fatal(err)
	}
	outside, inside := wire(t, out), wire(t, p1)
	serial := uint16(7000)
	for _, address := range []string{"198.51.100.3", "203.0.113.20"} {
		c := opened(t, h1, address+":80")
		before := spoofed(n)
		serial++
		from := layers.TCPPort(c.LocalAddr().(*net.TCPAddr).Port)
		if err := outside.Send(tcp(9, 2, from, 80, "A").between("10.1.1.11", address, router).frame(t, serial)); err != nil {
			t.Fatal(err)
		}
		ovstest.Eventually(t, "it is counted as spoofed", func() error {
			if spoofed(n) == before {
				return fmt.Errorf("none is, for %s", address)
			}
			return nil
		})
		if err := say(c, "hello", ovstest.Patience); err != nil {
			t.Errorf("the connection to %s: %v", address, err)
		}
	}
	if sees(inside, func(f []byte) bool { return carries(7001)(f) || carries(7002)(f) }) {
		t.Error("what somebody outside has sent as h1 came to p1")
	}
}
