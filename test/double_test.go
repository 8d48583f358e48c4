package test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// double has h1 be reached by addresses that come to it from its gateway.
var double = []string{
	object("FloatingIP", "name: h1-ip, tenant: t", "address: 203.0.113.20, endpoint: h1, snat: always"),
	object("PortForward", "name: web, tenant: t", "address: 203.0.113.30, port: 8080, protocol: tcp, snat: always, to: {endpoint: h1, port: 80}"),
}

var httpAndPing = policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}",
	"{name: echo, direction: ingress, action: allow, protocol: udp, ports: [7, 9]}", "{name: ping, direction: ingress, action: allow, protocol: icmp}")

// withoutRoute is behind, but h1 has no route beyond its own network, nor to anybody in it but
// its gateway.
func withoutRoute(t *testing.T, model string) (n *ovstest.Net, h1, h2, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24"})
	for _, args := range [][]string{{"route", "add", "10.1.1.1/32", "dev", sandbox.HostDevice}, {"route", "add", "10.1.1.11/32", "dev", "lo"}, {"route", "del", "10.1.1.0/24"}} {
		if _, err := h1.Exec(t.Context(), "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(model)
	return n, h1, h2, out
}

// halves returns the connections of t in both zones, each after its zone.
func halves(n *ovstest.Net) (all []string) {
	for i, zone := range []uint16{n.Weir.Zone("t"), sourceZone(n)} {
		for _, e := range n.Entries(zone) {
			all = append(all, fmt.Sprintf("%s %s %v>%v %v>%v", []string{"own", "source"}[i], e.Protocol, e.Orig.Src, e.Orig.Dst, e.Reply.Src, e.Reply.Dst))
		}
	}
	return all
}

func sourceZone(n *ovstest.Net) uint16 {
	s, err := n.Weir.Status()
	if err != nil || len(s.Tenants) == 0 || s.Tenants[0].SourceZone == 0 {
		n.T.Fatalf("no zone of source translations: %+v, %v", s.Tenants, err)
	}
	return s.Tenants[0].SourceZone
}

// bothHalves are those of a connection that a client has opened to an address of h1's.
func bothHalves(protocol, client, address, h1, gateway string) []string {
	return []string{
		fmt.Sprintf("own %s %s>%s %s>%s", protocol, client, address, h1, client),
		fmt.Sprintf("source %s %s>%s %s>%s", protocol, client, h1, h1, gateway),
	}
}

func wantHalves(t *testing.T, n *ovstest.Net, want ...string) {
	t.Helper()
	got := halves(n)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("no connection %q in\n%s", w, strings.Join(got, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// TestON11DNATAndSNATOfTheSameConnection has h2, and who is outside, reach h1 by an address that
// stands for it, and h1 see its gateway.
func TestON11DNATAndSNATOfTheSameConnection(t *testing.T) {
	n, h1, h2, out := withoutRoute(t, natModel(append(double, httpAndPing)...))
	peer := make(chan string, 8)
	accept(t, h1, "10.1.1.11:80", func(c net.Conn) {
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		peer <- host
		fmt.Fprintln(c, "hello")
	})
	for _, c := range []struct {
		from    *sandbox.Host
		address string
	}{{h2, "203.0.113.20:80"}, {out, "203.0.113.20:80"}, {out, "203.0.113.30:8080"}, {h2, "203.0.113.30:8080"}} {
		if got, err := fetch(c.from, c.address, ovstest.Patience); err != nil || got != "hello\n" {
			t.Fatalf("%s from %s: %q, %v", c.address, c.from.Name, got, err)
		}
		if seen := <-peer; seen != "10.1.1.1" {
			t.Errorf("%s from %s: h1 sees %s, want its gateway", c.address, c.from.Name, seen)
		}
	}
	pings(t, h2, "203.0.113.20", 2, 2)
	pings(t, out, "203.0.113.20", 2, 2)
	timesOut(t, out, "203.0.113.20:81")
	var want []string
	for _, c := range [][3]string{
		{"tcp", "10.1.1.12", "203.0.113.20"},
		{"tcp", "203.0.113.1", "203.0.113.20"},
		{"tcp", "203.0.113.1", "203.0.113.30"},
		{"tcp", "10.1.1.12", "203.0.113.30"},
		{"icmp", "10.1.1.12", "203.0.113.20"},
		{"icmp", "203.0.113.1", "203.0.113.20"},
	} {
		want = append(want, bothHalves(c[0], c[1], c[2], "10.1.1.11", "10.1.1.1")...)
	}
	wantHalves(t, n, want...)
}

// TestRecirculationsOfBothEnds counts how often a packet of which both ends are translated comes
// back to the flow tables.
func TestRecirculationsOfBothEnds(t *testing.T) {
	n, h1, h2, out := withoutRoute(t, natModel(append(double, httpAndPing)...))
	echo(t, h1, "10.1.1.11:80")
	for _, c := range []struct {
		name    string
		from    *sandbox.Host
		first   string
		address string
	}{{"from outside", out, "dst=203.0.113.20", "203.0.113.20:80"}, {"from its own tenant", h2, "src=" + mac(2), "203.0.113.20:80"},
		{"itself", h1, "src=" + mac(1), "203.0.113.20:80"}, {"forwarded", out, "dst=203.0.113.30", "203.0.113.30:8080"}} {
		if c.from == h1 {
			if _, err := h1.Exec(t.Context(), "ip", "route", "add", "203.0.113.20/32", "via", "10.1.1.1"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		before := len(halves(n))
		talk(t, c.from, c.address)
		got, answers := n.Recirculations(c.first, "eth_type(0x0800)"), n.Recirculations("src="+mac(1), "eth_type(0x0800)")
		entries := len(halves(n)) - before
		t.Logf("%-20s recirculations new / established / answers / entries: %d / %d / %d / %d", c.name, got.New, got.Established, answers.Established, entries)
		if got != (ovstest.Recirculations{New: 2, Established: 1}) || answers.Established != 1 || entries != 2 {
			t.Errorf("%s: %+v, answers %+v, %d entries, want 2 / 1 / 1 / 2", c.name, got, answers, entries)
		}
	}
}

// TestBothHalvesEndTogether takes back a rule, and then what has the source translated.
func TestBothHalvesEndTogether(t *testing.T) {
	const may, mayNot = "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80, 81]}", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}"
	model := func(rule string, more ...string) string {
		return strings.Replace(natModel(append(more, policy("t", "in", rule))...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	n, h1, h2, out := withoutRoute(t, model(may, double...))
	echo(t, h1, "10.1.1.11:80")
	echo(t, h1, "10.1.1.11:81")
	stays, outside, forwarded := opened(t, h2, "203.0.113.20:80"), opened(t, out, "203.0.113.20:80"), opened(t, out, "203.0.113.30:8080")
	opened(t, h2, "203.0.113.20:81")
	opened(t, out, "203.0.113.20:81")
	left := func(n *ovstest.Net, when string, entries int) {
		t.Helper()
		ovstest.Eventually(t, fmt.Sprintf("%s, %d entries are left", when, entries), func() error {
			if got := halves(n); len(got) != entries {
				return errors.New(strings.Join(got, "\n"))
			}
			return nil
		})
	}
	left(n, "at first", 10)
	hears := wire(t, h1)
	n.Weir.Apply(model(mayNot, double...))
	left(n, "port 81 denied", 6)
	for _, c := range []net.Conn{stays, outside, forwarded} { // judged again, and h1 still sees its gateway
		for range 3 {
			if err := say(c, "hello again", ovstest.Patience); err != nil {
				t.Errorf("%v: %v", c.RemoteAddr(), err)
			}
		}
	}
	clients := []func([]byte) bool{ipv4("203.0.113.0/24"), ipv4("10.1.1.12/32")}
	if sees(hears, func(f []byte) bool { return clients[0](f) || clients[1](f) }) {
		t.Error("h1 has heard of a client itself")
	}
	ovstest.Eventually(t, "killed, both halves are gone", func() error { // an acknowledgement on its way takes it up again
		if _, err := n.Weir.Tool("connections", "kill", "-t", "t", "--src", "10.1.1.12"); err != nil {
			return err
		}
		if got := halves(n); len(got) != 4 {
			return errors.New(strings.Join(got, "\n"))
		}
		return nil
	})
	n.Weir.Apply(model(mayNot, floatingIP("h1-ip", "203.0.113.20", "h1"), double[1]))
	ovstest.Eventually(t, "no more from its gateway", func() error { // what h2 and out say in the midst begins anew, as itself
		if got := n.Entries(sourceZone(n)); len(got) != 1 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if err := say(forwarded, "hello again", ovstest.Patience); err != nil {
		t.Errorf("the other mapping: %v", err)
	}
	zone := sourceZone(n)
	n.Weir.Apply(model(mayNot))
	ovstest.Eventually(t, "the zone is empty", func() error {
		if left := n.Entries(zone); len(left) > 0 {
			return fmt.Errorf("%+v", left)
		}
		return nil
	})
}

// TestBothEndsOverIPv6 is ON11 over IPv6.
func TestBothEndsOverIPv6(t *testing.T) {
	model := strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1) +
		tenant("t", "", "{cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
		endpoint("t", "h1", 1, "\"fd00:1::11\"") + endpoint("t", "h2", 2, "\"fd00:1::12\"") +
		object("FloatingIP", "name: h1-ip, tenant: t", "address: \"2001:db8::20\", endpoint: h1, snat: always") +
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}", "{name: ping, direction: ingress, action: allow, protocol: icmpv6}")
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"fd00:1::11/64"})
	h2 := n.Host("h2", mac(2), []string{"fd00:1::12/64"}, "fd00:1::1")
	out := n.Host("out", mac(9), []string{"2001:db8::9/64", "fe80::9/64"})
	n.Run(model)
	serve(t, h1, "[fd00:1::11]:80", "h1")
	for _, h := range []*sandbox.Host{out, h2} {
		gets(t, h, "[2001:db8::20]:80", "h1")
		pings(t, h, "2001:db8::20", 2, 2)
	}
	var want []string
	for _, c := range [][3]string{
		{"tcp", "2001:db8::9", "2001:db8::20"},
		{"tcp", "fd00:1::12", "2001:db8::20"},
		{"icmpv6", "2001:db8::9", "2001:db8::20"},
		{"icmpv6", "fd00:1::12", "2001:db8::20"},
	} {
		want = append(want, bothHalves(c[0], c[1], c[2], "fd00:1::11", "fd00:1::1")...)
	}
	wantHalves(t, n, want...)
}

// TestICMPErrorsAndFragmentsOfBothEnds has h1 say that a port is closed, and pings it with more than fits into a frame.
func TestICMPErrorsAndFragmentsOfBothEnds(t *testing.T) {
	_, _, h2, out := withoutRoute(t, natModel(append(double, httpAndPing)...))
	for _, h := range []*sandbox.Host{out, h2} {
		refusedUDP(t, h, "203.0.113.20:7")
		if text, err := h.Exec(t.Context(), "ping", "-n", "-c", "2", "-i", "0.2", "-W", "10", "-s", "4500", "-M", "dont", "203.0.113.20"); err != nil || !strings.Contains(text, " 2 received") {
			t.Errorf("%s: %v: %s", h.Name, err, text)
		}
	}
}

// TestAThirdRouterSaysHowLargePacketsMayBe has h1 hear it of what it has been asked through an
// address that stands for it.
func TestAThirdRouterSaysHowLargePacketsMayBe(t *testing.T) {
	for name, c := range map[string]struct{ snat, peer string }{"floating IP": {"auto", "203.0.113.1"}, "both ends": {"always", "10.1.1.1"}} {
		t.Run(name, func(t *testing.T) {
			_, h1, _, out := behind(t, natModel(httpAndPing, object("FloatingIP", "name: h1-ip, tenant: t", "address: 203.0.113.20, endpoint: h1, snat: "+c.snat)))
			echoUDP(t, h1, "10.1.1.11:9")
			asked, err := out.Dial(t.Context(), "udp", "203.0.113.20:9")
			if err != nil {
				t.Fatal(err)
			}
			defer asked.Close()
			if err := say(asked, "hello", ovstest.Patience); err != nil {
				t.Fatal(err)
			}
			port := asked.LocalAddr().(*net.UDPAddr).Port
			if err := wire(t, out).Send(tooLarge(t, out, "203.0.113.20", 9, "203.0.113.1", port, 1000)); err != nil {
				t.Fatal(err)
			}
			ovstest.Eventually(t, "h1 knows how large a packet may be", func() error {
				text, err := h1.Exec(t.Context(), "ip", "route", "get", c.peer)
				if err == nil && !strings.Contains(text, "mtu 1000") {
					err = errors.New(text)
				}
				return err
			})
		})
	}
}

// tooLarge returns what a third router says on the link of h of a datagram between two
// addresses: that it cannot pass on more than mtu bytes at a time.
func tooLarge(t *testing.T, h *sandbox.Host, from string, sport int, to string, dport, mtu int) []byte {
	t.Helper()
	inner := &layers.IPv4{Version: 4, TTL: 60, Protocol: layers.IPProtocolUDP, Flags: layers.IPv4DontFragment, SrcIP: address(from, 0, false), DstIP: address(to, 0, false)}
	datagram := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	datagram.SetNetworkLayerForChecksum(inner)
	quoted := serialize(t, inner, datagram, gopacket.Payload("hello"))
	neighbours, err := h.Exec(t.Context(), "ip", "neigh", "show", from)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(neighbours, "lladdr ")
	router, err := net.ParseMAC(strings.Fields(rest + " ")[0])
	if err != nil {
		t.Fatal(err)
	}
	p := icmp(9, 0, 3, 4, quoted).between("198.51.100.7", from, router)
	p.rest[0].(*layers.ICMPv4).Seq = uint16(mtu)
	return p.frame(t, 1)
}

// TestBothEndsOfTenantsThatAreAuditedAndLimited does it in an audit, and in a tenant that may have
// two connections, each of which counts once.
func TestBothEndsOfTenantsThatAreAuditedAndLimited(t *testing.T) {
	for name, spec := range map[string]string{"audit": "mode: audit", "limit": "limits: {connections: 2}"} {
		t.Run(name, func(t *testing.T) {
			model := strings.Replace(natModel(append(double, httpAndPing)...), "name: t}\nspec: {}", "name: t}\nspec: {"+spec+"}", 1)
			n, h1, h2, out := withoutRoute(t, model)
			echo(t, h1, "10.1.1.11:80")
			for _, h := range []*sandbox.Host{out, h2} {
				opened(t, h, "203.0.113.20:80")
			}
			if name == "limit" {
				timesOut(t, out, "203.0.113.20:80")
				if got := halves(n); len(got) != 4 {
					t.Errorf("%d entries, want 4:\n%s", len(got), strings.Join(got, "\n"))
				}
			}
		})
	}
}

// TestFTPOfBothEnds downloads from h1, which sees its gateway. For PORT it needs a route to the
// client: it is told the client's address.
func TestFTPOfBothEnds(t *testing.T) {
	for way, net := range map[string]func(*testing.T, string) (n *ovstest.Net, h1, h2, out *sandbox.Host){"PASV": withoutRoute, "PORT": behind} {
		n, h1, h2, out := net(t, natModel(double[0], policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}")))
		serveFTP(t, h1, "10.1.1.11")
		for _, h := range []*sandbox.Host{h2, out} {
			if got, err := download(t, h, way, "203.0.113.20"); err != nil || got != theFile {
				t.Errorf("%s, %s: %q, %v\n%s", h.Name, way, got, err, strings.Join(halves(n), "\n"))
			}
		}
	}
}

// TestBothEndsFromAnotherTenant has t reach red's r1, which sees its gateway.
func TestBothEndsFromAnotherTenant(t *testing.T) {
	model := strings.Replace(twoTenants(fromInside), "address: 203.0.113.40, endpoint: r1", "address: 203.0.113.40, endpoint: r1, snat: always", 1)
	n, h1, h2, r1, _, _ := sideBySide(t, model)
	seen := make(chan string, 8)
	accept(t, r1, "10.1.1.11:80", func(c net.Conn) {
		seen <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		fmt.Fprintln(c, "hello")
	})
	for _, h := range []*sandbox.Host{h1, h2} {
		gets(t, h, "203.0.113.40:80", "hello\n")
		if got := <-seen; got != "10.1.1.1" {
			t.Errorf("%s: r1 sees %s, want its gateway", h.Name, got)
		}
		pings(t, h, "203.0.113.40", 2, 2)
	}
	got := n.Recirculations("src="+mac(2), "eth_type(0x0800)")
	t.Logf("from an SNAT of another tenant: recirculations new / established: %d / %d", got.New, got.Established)
	if got.New > 3 || got.Established > 2 {
		t.Errorf("%+v, want at most 3 / 2", got)
	}
}

// TestAResetTellsWhoSeesItsGateway takes back what has let a client in. Both are told, each under
// the address that it knows.
func TestAResetTellsWhoSeesItsGateway(t *testing.T) {
	calm := strings.Replace(natModel(double...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	resets := object("Policy", "name: resets, tenant: t", "onRevoke: reset, rules: [{name: r, direction: ingress, action: allow, protocol: tcp, ports: [80]}]")
	n, h1, h2, out := withoutRoute(t, calm+resets)
	server := make(ended, 2)
	server.echo(t, h1, "10.1.1.11:80")
	var open []net.Conn
	for _, h := range []*sandbox.Host{out, h2} {
		open = append(open, opened(t, h, "203.0.113.20:80"))
	}
	n.Weir.Apply(calm)
	for _, c := range open {
		isReset(t, c)
		server.isReset(t)
	}
}

// TestBothEndsOutliveTheSwitch kills ovs-vswitchd under a connection of which both ends are
// translated. It begins anew in both zones when its client speaks.
func TestBothEndsOutliveTheSwitch(t *testing.T) {
	n, h1, h2, out := withoutRoute(t, natModel(append(double, httpAndPing)...))
	echo(t, h1, "10.1.1.11:80")
	var open []net.Conn
	for _, h := range []*sandbox.Host{out, h2} {
		open = append(open, opened(t, h, "203.0.113.20:80"))
	}
	n.Weir.Kill()
	n.Weir.Start()
	if s := n.Weir.Programmed(1); s.Bridges[0].FlowModsSent != 0 {
		t.Errorf("%d modifications after a new start", s.Bridges[0].FlowModsSent)
	}
	n.RestartVswitchd()
	n.Weir.Programmed(1)
	for _, c := range open {
		if err := say(c, "hello", ovstest.Patience); err != nil {
			t.Errorf("%v: %v", c.LocalAddr(), err)
		}
	}
}

// TestAStatelessBackendAnswersItsGateway has a backend that sees its gateway, and lets in everybody without the tracker.
func TestAStatelessBackendAnswersItsGateway(t *testing.T) {
	_, h1, hosts := balanced(t, balancedModel(balancer("web", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}], snat: always"),
		object("Policy", "name: open, tenant: t", "appliesTo: {endpoints: [h2]}, rules: [{name: all, direction: ingress, action: stateless}]")))
	echo(t, hosts[0], "10.2.1.12:8090")
	talk(t, h1, "10.1.1.64:80")
}
