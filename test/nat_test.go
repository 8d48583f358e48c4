package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// natBridge is a bridge with an outside, behind which out is the next hop.
const natBridge = `---
apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec:
  external:
    network: public
    port: out
    subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}]
    nextHops: [{address: 203.0.113.1, mac: "02:00:00:00:00:09"}]
`

// natModel has h1 and h2, 10.1.1.11 and 10.1.1.12, of tenant t, and more.
func natModel(more ...string) string {
	return natBridge + tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") +
		endpoint("t", "h1", 1, "10.1.1.11") + endpoint("t", "h2", 2, "10.1.1.12") + strings.Join(more, "")
}

func snat(name, spec string) string { return object("SNAT", "name: "+name+", tenant: t", spec) }

func floatingIP(name, address, endpoint string) string {
	return object("FloatingIP", "name: "+name+", tenant: t", "address: "+address+", endpoint: "+endpoint)
}

// behind is a net with h1 and h2 inside and out outside.
func behind(t *testing.T, model string) (n *ovstest.Net, h1, h2, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(model)
	return n, h1, h2, out
}

// tuples returns the connections of tenant t as "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10".
func tuples(n *ovstest.Net) []string { return tuplesOf(n, "t") }

func tuplesOf(n *ovstest.Net, tenant string) (all []string) {
	for _, e := range n.Entries(n.Weir.Zone(tenant)) {
		all = append(all, fmt.Sprintf("%s %v>%v %v>%v", e.Protocol, e.Orig.Src, e.Orig.Dst, e.Reply.Src, e.Reply.Dst))
	}
	return all
}

func wantTuples(t *testing.T, n *ovstest.Net, want ...string) {
	t.Helper()
	got := tuples(n)
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("no connection %q in\n%s", w, strings.Join(got, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d connections, want %d: %s", len(got), len(want), strings.Join(got, ", "))
	}
}

// TestON01SubnetBehindOneAddress has two hosts leave as one address, and nobody come in.
func TestON01SubnetBehindOneAddress(t *testing.T) {
	n, h1, _, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]")))
	serve(t, out, "203.0.113.1:80", "out")
	serve(t, h1, "10.1.1.11:80", "h1")
	gets(t, h1, "203.0.113.1:80", "out")
	pings(t, h1, "203.0.113.1", 2, 2)
	timesOut(t, out, "10.1.1.11:80")
	timesOut(t, out, "203.0.113.10:80")
	wantTuples(t, n, "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10", "icmp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10")
	neighbours, err := out.Exec(t.Context(), "ip", "neigh", "show", "203.0.113.10")
	if err != nil || !strings.Contains(neighbours, "lladdr 02:77:") {
		t.Errorf("who has 203.0.113.10? %q, %v; want the router's MAC address", neighbours, err)
	}
}

// TestWithoutAnSNATNothingLeaves listens outside while nobody says as whom h1 may leave.
func TestWithoutAnSNATNothingLeaves(t *testing.T) {
	n, h1, _, out := behind(t, natModel())
	w := wire(t, out)
	timesOut(t, h1, "203.0.113.1:80")
	for {
		select {
		case f := <-w.Frames():
			if len(f) > 34 && f[12] == 8 && f[13] == 0 {
				t.Errorf("an IP packet has left: %x", f)
			}
			continue
		default:
		}
		break
	}
	wantTuples(t, n)
}

// TestON03PortRangeRunsOut opens more connections than there are ports. The others do not
// leave.
func TestON03PortRangeRunsOut(t *testing.T) {
	n, h1, _, out := behind(t, natModel(snat("few", "addresses: [203.0.113.10], ports: 34567-34568")))
	heard, err := out.ListenPacket("udp", "203.0.113.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { heard.Close() })
	for port := 6000; port < 6004; port++ {
		c, err := h1.DialFrom(t.Context(), &net.UDPAddr{Port: port}, "udp", "203.0.113.1:53")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "from %d", port)
	}
	from := hearsFrom(heard, 2)
	if len(from) != 2 || !from["203.0.113.10:34567"] || !from["203.0.113.10:34568"] {
		t.Errorf("outside hears %v", from)
	}
	if got := len(ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "udp")); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

// hearsFrom returns from where datagrams come: when they have come from so many, it listens for a second more.
func hearsFrom(heard net.PacketConn, least int) map[string]bool {
	buf, from := make([]byte, 100), map[string]bool{}
	for heard.SetReadDeadline(time.Now().Add(ovstest.Patience)); ; {
		_, a, err := heard.ReadFrom(buf)
		if err != nil {
			return from
		}
		if from[a.String()] = true; len(from) == least {
			heard.SetReadDeadline(time.Now().Add(time.Second))
		}
	}
}

// TestON04SameSourcePortFromTwoClients has both hosts use one port.
func TestON04SameSourcePortFromTwoClients(t *testing.T) {
	_, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]")))
	echoUDP(t, out, "203.0.113.1:53")
	for _, h := range []*sandbox.Host{h1, h2} {
		c, err := h.DialFrom(t.Context(), &net.UDPAddr{Port: 4000}, "udp", "203.0.113.1:53")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := say(c, "from "+h.Name, ovstest.Patience); err != nil {
			t.Error(err)
		}
	}
}

// TestON06FloatingIPInBothDirections reaches h1 by its floating IP, and has it leave as that.
func TestON06FloatingIPInBothDirections(t *testing.T) {
	n, h1, _, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}", "{name: ping, direction: ingress, action: allow, protocol: icmp}")))
	serve(t, out, "203.0.113.1:80", "out")
	serve(t, h1, "10.1.1.11:80", "h1")
	serve(t, h1, "10.1.1.11:81", "h1")
	gets(t, out, "203.0.113.20:80", "h1")
	gets(t, h1, "203.0.113.1:80", "out")
	pings(t, out, "203.0.113.20", 2, 2)
	timesOut(t, out, "203.0.113.20:81")
	timesOut(t, out, "10.1.1.11:80")
	wantTuples(t, n, "tcp 203.0.113.1>203.0.113.20 10.1.1.11>203.0.113.1", "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.20",
		"icmp 203.0.113.1>203.0.113.20 10.1.1.11>203.0.113.1")
}

// TestON08ICMPErrorThroughSNAT has h1 hear that a port outside is closed.
func TestON08ICMPErrorThroughSNAT(t *testing.T) {
	_, h1, _, _ := behind(t, natModel(snat("all", "addresses: [203.0.113.10]")))
	refusedUDP(t, h1, "203.0.113.1:9999")
}

// TestRecirculationsOfNAT counts how often a translated packet comes back to the flow tables.
func TestRecirculationsOfNAT(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	echo(t, out, "203.0.113.1:80")
	echo(t, h1, "10.1.1.11:80")
	for _, c := range []struct {
		name    string
		from    *sandbox.Host
		first   string // of its first pass
		address string
	}{{"SNAT", h2, "src=" + mac(2), "203.0.113.1:80"}, {"floating IP, in", out, "dst=203.0.113.20", "203.0.113.20:80"}, {"floating IP, out", h1, "src=" + mac(1), "203.0.113.1:80"}} {
		if _, err := n.Appctl("revalidator/purge"); err != nil {
			t.Fatal(err)
		}
		before := len(n.Entries(n.Weir.Zone("t")))
		talk(t, c.from, c.address)
		got := n.Recirculations(c.first, "eth_type(0x0800)")
		entries := len(n.Entries(n.Weir.Zone("t"))) - before
		t.Logf("%-16s recirculations new / established / entries: %d / %d / %d", c.name, got.New, got.Established, entries)
		if got != (ovstest.Recirculations{New: 1, Established: 1}) || entries != 1 {
			t.Errorf("%s: %+v, %d entries, want 1 / 1 / 1", c.name, got, entries)
		}
	}
}

// TestRevocationOfTranslatedConnections takes back a rule, and then a floating IP, and then an
// SNAT: each ends the connections that it let be, and no others.
func TestRevocationOfTranslatedConnections(t *testing.T) {
	const (
		all      = "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}"
		unlessH2 = "{name: h2-stays, direction: egress, action: deny, to: {cidrs: [203.0.113.1/32]}, protocol: tcp, ports: [81]}"
	)
	model := func(rules []string, more ...string) string {
		more = append(more, policy("t", "in", rules...),
			object("PortForward", "name: web, tenant: t", "address: 203.0.113.30, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}"))
		return strings.Replace(natModel(more...), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}", 1)
	}
	as, one := snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1")
	n, h1, h2, out := behind(t, model([]string{all}, as, one))
	for _, address := range []string{"203.0.113.1:80", "203.0.113.1:81"} {
		echo(t, out, address)
	}
	echo(t, h1, "10.1.1.11:80")
	echo(t, h2, "10.1.1.12:80")
	conns := map[string]net.Conn{
		"h2 to 80": opened(t, h2, "203.0.113.1:80"), "h2 to 81": opened(t, h2, "203.0.113.1:81"),
		"in": opened(t, out, "203.0.113.20:80"), "out": opened(t, h1, "203.0.113.1:80"), "forwarded": opened(t, out, "203.0.113.30:8080"),
	}
	live := func(when string, want ...string) {
		t.Helper()
		for name, c := range conns {
			patience := ovstest.Patience
			lives := slices.Contains(want, name)
			if !lives {
				patience = time.Second
			}
			if err := say(c, "hello", patience); (err == nil) != lives {
				t.Errorf("%s: %s: %v; it should live: %v", when, name, err, lives)
			}
			if !lives {
				delete(conns, name)
			}
		}
	}
	forgets := func(address string) { // what was cut off in its midst begins anew, as somebody else
		t.Helper()
		ovstest.Eventually(t, "no entry with "+address, func() error {
			if got := strings.Join(tuples(n), ", "); strings.Contains(got+",", address+",") {
				return errors.New(got)
			}
			return nil
		})
	}
	live("at first", "h2 to 80", "h2 to 81", "in", "out", "forwarded")
	n.Weir.Apply(model([]string{all, unlessH2}, as, one))
	live("port 81 denied", "h2 to 80", "in", "out", "forwarded")
	n.Weir.Apply(model([]string{all, unlessH2}, as))
	forgets("203.0.113.1>203.0.113.20")
	forgets("10.1.1.11>203.0.113.1")
	live("floating IP gone", "h2 to 80", "forwarded")
	n.Weir.Apply(model([]string{all, unlessH2}))
	forgets("203.0.113.1>203.0.113.10")
	live("SNAT gone", "forwarded")
}

// TestNeighboursAreFound leaves it to Weir to find the next hop, and another host on the link.
// A new daemon remembers them, and who moves to another MAC address is found again.
func TestNeighboursAreFound(t *testing.T) {
	model := strings.Replace(natModel(snat("all", "addresses: [203.0.113.10]")), "    nextHops: [{address: 203.0.113.1, mac: \"02:00:00:00:00:09\"}]\n", "", 1)
	n, h1, _, out := behind(t, model)
	for _, args := range [][]string{{"addr", "add", "203.0.113.77/24", "dev", sandbox.HostDevice}, {"addr", "add", "198.51.100.1/32", "dev", sandbox.HostDevice}} {
		if _, err := out.Exec(t.Context(), "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"203.0.113.1:80", "203.0.113.77:80", "198.51.100.1:80"} {
		serve(t, out, address, address)
		gets(t, h1, address, address)
	}
	flows := flowCount(t, n)
	n.Weir.Kill()
	n.Weir.Start()
	n.Weir.Programmed(1)
	if s, err := n.Weir.Status(); err != nil || s.Bridges[0].FlowModsSent != 0 {
		t.Errorf("%d modifications after a new start, %v; want none", s.Bridges[0].FlowModsSent, err)
	}
	if now := flowCount(t, n); now != flows {
		t.Errorf("%d flows after a new start, %d before", now, flows)
	}
	gets(t, h1, "203.0.113.77:80", "203.0.113.77:80")
	gets(t, h1, "198.51.100.1:80", "198.51.100.1:80")
}

// TestON10IPv6NAT is ON01 and ON06 over IPv6, with a next hop that is found by its link-local
// address.
func TestON10IPv6NAT(t *testing.T) {
	model := strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1) +
		tenant("t", "", "{cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
		endpoint("t", "h1", 1, "\"fd00:1::11\"") + endpoint("t", "h2", 2, "\"fd00:1::12\"") +
		snat("all", "addresses: [\"2001:db8::240\"]") + floatingIP("h1-ip", "\"2001:db8::20\"", "h1") +
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}", "{name: ping, direction: ingress, action: allow, protocol: icmpv6}")
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"fd00:1::11/64"}, "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"fd00:1::12/64"}, "fd00:1::1")
	out := n.Host("out", mac(9), []string{"2001:db8::9/64", "fe80::9/64", "2001:db8:77::1/128"})
	n.Run(model)
	for _, address := range []string{"[2001:db8::9]:80", "[2001:db8:77::1]:80"} {
		serve(t, out, address, address)
		gets(t, h2, address, address)
		gets(t, h1, address, address)
	}
	serve(t, h1, "[fd00:1::11]:80", "h1")
	gets(t, out, "[2001:db8::20]:80", "h1")
	pings(t, h2, "2001:db8:77::1", 2, 2)
	pings(t, out, "2001:db8::20", 2, 2)
	refusedUDP(t, h2, "[2001:db8::9]:9999")
	got := strings.Join(tuples(n), "\n")
	for _, want := range []string{
		"tcp fd00:1::12>2001:db8::9 2001:db8::9>2001:db8::240", "tcp fd00:1::11>2001:db8::9 2001:db8::9>2001:db8::20",
		"tcp 2001:db8::9>2001:db8::20 fd00:1::11>2001:db8::9", "icmpv6 fd00:1::12>2001:db8:77::1 2001:db8:77::1>2001:db8::240",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no connection %q in\n%s", want, got)
		}
	}
}

// TestON07PortForward reaches h1 by a port of an address that h2 leaves as.
func TestON07PortForward(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]"),
		object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h1, port: 80}"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	serve(t, out, "203.0.113.1:80", "out")
	serve(t, h1, "10.1.1.11:80", "h1")
	serve(t, h1, "10.1.1.11:8081", "h1")
	gets(t, out, "203.0.113.10:8080", "h1")
	timesOut(t, out, "203.0.113.10:8081")
	timesOut(t, out, "203.0.113.10:80")
	gets(t, h2, "203.0.113.1:80", "out")
	gets(t, h2, "10.1.1.11:80", "h1")
	wantTuples(t, n, "tcp 203.0.113.1>203.0.113.10 10.1.1.11>203.0.113.1", "tcp 10.1.1.12>203.0.113.1 203.0.113.1>203.0.113.10", "tcp 10.1.1.12>10.1.1.11 10.1.1.11>10.1.1.12")
	gets(t, h2, "203.0.113.10:8080", "h1")
}

// TestAFloatingIPFromItsOwnTenant reaches h1 by its floating IP from h2, by the address of h1 as
// far as policy has to do with it.
func TestAFloatingIPFromItsOwnTenant(t *testing.T) {
	n, h1, h2, _ := behind(t, natModel(floatingIP("h1-ip", "203.0.113.20", "h1"), policy("t", "in",
		"{name: http, direction: ingress, action: allow, from: {endpoints: [h2]}, protocol: tcp, ports: [80]}",
		"{name: out, direction: egress, action: allow, to: {cidrs: [10.1.1.0/24]}}", "{name: no-more, direction: egress, action: deny}")))
	echo(t, h1, "10.1.1.11:80")
	if _, err := n.Appctl("revalidator/purge"); err != nil {
		t.Fatal(err)
	}
	talk(t, h2, "203.0.113.20:80")
	if got := n.Recirculations("src="+mac(2), "eth_type(0x0800)"); got != (ovstest.Recirculations{New: 1, Established: 1}) {
		t.Errorf("recirculations %+v, want 1 / 1", got)
	}
	wantTuples(t, n, "tcp 10.1.1.12>203.0.113.20 10.1.1.11>10.1.1.12")
}

// TestAFloatingIPFromItsOwnEndpoint has h1 reach itself, by a floating IP and by a forwarded
// port. It sees neither as coming from itself.
func TestAFloatingIPFromItsOwnEndpoint(t *testing.T) {
	n, h1, _, _ := behind(t, natModel(floatingIP("h1-ip", "203.0.113.20", "h1"),
		object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h1, port: 80}"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	echo(t, h1, "10.1.1.11:80")
	if _, err := n.Appctl("revalidator/purge"); err != nil {
		t.Fatal(err)
	}
	talk(t, h1, "203.0.113.20:80")
	if got := n.Recirculations("src="+mac(1), "eth_type(0x0800)"); got != (ovstest.Recirculations{New: 1, Established: 1}) {
		t.Errorf("recirculations %+v, want 1 / 1", got)
	}
	talk(t, h1, "203.0.113.10:8080")
	wantTuples(t, n, "tcp 10.1.1.11>203.0.113.20 10.1.1.11>10.1.1.11", "tcp 10.1.1.11>203.0.113.10 10.1.1.11>10.1.1.11")
}

// TestON02AddressPool opens connections until several addresses of the pool are in use, and
// asks for all of them. The kernel's datapath chooses by the addresses of both ends alone.
func TestON02AddressPool(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.240-203.0.113.254]")))
	for port := range 30 {
		echo(t, out, fmt.Sprint("203.0.113.1:", 1000+port))
		talk(t, []*sandbox.Host{h1, h2}[port%2], fmt.Sprint("203.0.113.1:", 1000+port))
	}
	pool, used := netip.MustParsePrefix("203.0.113.240/28"), map[netip.Addr]bool{}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if used[e.Reply.Dst] = true; !pool.Contains(e.Reply.Dst) {
			t.Errorf("%v is not of the pool", e.Reply.Dst)
		}
	}
	if len(used) < 2 {
		t.Errorf("30 connections leave as %v", used)
	}
	for last := 240; last <= 254; last++ {
		address := fmt.Sprint("203.0.113.", last)
		c, err := out.Dial(t.Context(), "udp", address+":9")
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("who has it?")) // nobody answers, but the kernel asks
		c.Close()
		ovstest.Eventually(t, "the router answers for "+address, func() error {
			got, err := out.Exec(t.Context(), "ip", "neigh", "show", address)
			if err == nil && !strings.Contains(got, "lladdr 02:77:") {
				err = errors.New(got)
			}
			return err
		})
	}
}

// TestON05ICMPIsNotPortTranslated pings through an SNAT with one port.
func TestON05ICMPIsNotPortTranslated(t *testing.T) {
	n, h1, _, _ := behind(t, natModel(snat("one", "addresses: [203.0.113.240], ports: 20000")))
	pings(t, h1, "203.0.113.1", 2, 2)
	for _, e := range ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "icmp") {
		if e.Orig.ICMPID != e.Reply.ICMPID || e.Reply.Dst.String() != "203.0.113.240" {
			t.Errorf("%+v", e)
		}
	}
}

// TestON09FragmentsThroughSNAT pings with more than fits into a frame, and listens outside: no
// fragment comes from h1's own address.
func TestON09FragmentsThroughSNAT(t *testing.T) {
	for name, spec := range map[string]string{"one address": "addresses: [203.0.113.240]", "a pool": "addresses: [203.0.113.240-203.0.113.243]"} {
		t.Run(name, func(t *testing.T) {
			_, h1, _, out := behind(t, natModel(snat("all", spec), floatingIP("h2-ip", "203.0.113.20", "h2"),
				policy("t", "in", "{name: ping, direction: ingress, action: allow, protocol: icmp}")))
			w := wire(t, out)
			for from, to := range map[*sandbox.Host]string{h1: "203.0.113.1", out: "203.0.113.20"} {
				if text, err := from.Exec(t.Context(), "ping", "-n", "-c", "2", "-i", "0.2", "-W", "10", "-s", "4500", "-M", "dont", to); err != nil || !strings.Contains(text, " 2 received") {
					t.Errorf("%s pings %s: %v: %s", from.Name, to, err, text)
				}
			}
			if sees(w, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && f[26] == 10 }) {
				t.Error("a packet has left untranslated")
			}
		})
	}
}

// TestFTPThroughNAT downloads through an SNAT and through a floating IP, in both of the ways in
// which the helper reads addresses.
func TestFTPThroughNAT(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}",
			"{name: out, direction: egress, action: allow, protocol: tcp, ports: [21], alg: ftp}", "{name: no-more, direction: egress, action: deny}")))
	serveFTP(t, out, "203.0.113.1")
	serveFTP(t, h1, "10.1.1.11")
	for _, way := range []string{"PASV", "PORT"} {
		for name, c := range map[string]struct {
			from   *sandbox.Host
			server string
		}{"SNAT": {h2, "203.0.113.1"}, "floating IP, in": {out, "203.0.113.20"}, "floating IP, out": {h1, "203.0.113.1"}} {
			t.Run(way+" "+name, func(t *testing.T) {
				if got, err := download(t, c.from, way, c.server); err != nil || got != theFile {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
	if testing.Verbose() {
		t.Log(strings.Join(tuples(n), "\n"))
	}
}

// TestNATOutlivesItsDaemon kills the daemon (kill -9) 20 times, and then ovs-vswitchd, under
// translated connections. Weir changes nothing when it comes back, for it knows its neighbours
// from the flows; and what keeps its port goes on without the tracker's entries.
func TestNATOutlivesItsDaemon(t *testing.T) {
	model := strings.Replace(natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")),
		"    nextHops: [{address: 203.0.113.1, mac: \"02:00:00:00:00:09\"}]\n", "", 1)
	n, h1, h2, out := behind(t, model)
	echo(t, out, "203.0.113.1:80")
	echo(t, h1, "10.1.1.11:80")
	var conns []net.Conn
	for _, c := range []struct {
		from    *sandbox.Host
		address string
	}{{h2, "203.0.113.1:80"}, {h1, "203.0.113.1:80"}, {out, "203.0.113.20:80"}} {
		conns = append(conns, opened(t, c.from, c.address))
	}
	talk := func(when string) {
		t.Helper()
		for _, c := range conns {
			if err := say(c, "hello", ovstest.Patience); err != nil {
				t.Errorf("%s: %v to %v: %v", when, c.LocalAddr(), c.RemoteAddr(), err)
			}
		}
	}
	for range n.Rounds(20) {
		n.Weir.Kill()
		talk("without a daemon")
		n.Weir.Start()
		if s := n.Weir.Programmed(1); s.Bridges[0].FlowModsSent != 0 {
			t.Fatalf("%d modifications after a new start", s.Bridges[0].FlowModsSent)
		}
		talk("with another daemon")
	}
	n.RestartVswitchd()
	n.Weir.Programmed(1)
	talk("with another ovs-vswitchd")
}

// TestNATOfTenantsInEveryMode has what an audit lets pass, and what is counted, leave translated
// too; and nothing leave of a tenant whose connections are not tracked.
func TestNATOfTenantsInEveryMode(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		leaves bool
	}{
		"audited":     {"mode: audit, defaults: {egress: deny}", true},
		"limited":     {"limits: {connections: 1000}, defaults: {invalid: allow}", true},
		"not tracked": {"mode: \"off\"", false},
	} {
		t.Run(name, func(t *testing.T) {
			model := natBridge + tenant("t", c.spec, "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("t", "h1", 1, "10.1.1.11") +
				endpoint("t", "h2", 2, "10.1.1.12")
			if c.leaves { // else it cannot be said
				model += snat("all", "addresses: [203.0.113.10]")
			}
			n, h1, _, out := behind(t, model)
			w := wire(t, out)
			serve(t, out, "203.0.113.1:80", "out")
			if c.leaves {
				gets(t, h1, "203.0.113.1:80", "out")
				wantTuples(t, n, "tcp 10.1.1.11>203.0.113.1 203.0.113.1>203.0.113.10")
			} else {
				timesOut(t, h1, "203.0.113.1:80")
			}
			if sees(w, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && f[26] == 10 }) {
				t.Error("a packet has left untranslated")
			}
		})
	}
}
