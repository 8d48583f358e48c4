package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// manyHosts is a net in which h1 has 16 addresses of each version of IP, 10.1.1.16 to 10.1.1.31 and
// fd00:1::10 to fd00:1::1f, as 16 hosts have, and out is outside.
func manyHosts(t *testing.T, objects ...string) (n *ovstest.Net, h1, out *sandbox.Host) {
	t.Helper()
	var with, ips []string
	for i := 16; i < 32; i++ {
		with = append(with, fmt.Sprintf("10.1.1.%d/24", i), fmt.Sprintf("fd00:1::%x/64", i))
		ips = append(ips, fmt.Sprintf("10.1.1.%d", i), fmt.Sprintf("\"fd00:1::%x\"", i))
	}
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), with, "10.1.1.1", "fd00:1::1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64", "fe80::9/64"})
	n.Run(strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1) +
		tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
		endpoint("t", "h1", 1, strings.Join(ips, ", ")) + strings.Join(objects, ""))
	return n, h1, out
}

// leaveAs has each address of h1 open connections, and returns as whom each has left.
func leaveAs(t *testing.T, n *ovstest.Net, h1, out *sandbox.Host, each int) map[netip.Addr]map[netip.Addr]int {
	t.Helper()
	for _, address := range []string{"203.0.113.1:80", "[2001:db8::9]:80"} {
		echo(t, out, address)
		for i := 16; i < 32; i++ {
			from := net.IPv4(10, 1, 1, byte(i))
			if strings.HasPrefix(address, "[") {
				from = net.ParseIP(fmt.Sprintf("fd00:1::%x", i))
			}
			for range each {
				c, err := h1.DialFrom(t.Context(), &net.TCPAddr{IP: from}, "tcp", address)
				if err != nil {
					t.Fatalf("%v: %v", from, err)
				}
				t.Cleanup(func() { c.Close() })
				if err := say(c, "hello", ovstest.Patience); err != nil {
					t.Fatalf("%v: %v", from, err)
				}
			}
		}
	}
	left := map[netip.Addr]map[netip.Addr]int{}
	for _, e := range ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "tcp") {
		if left[e.Orig.Src] == nil {
			left[e.Orig.Src] = map[netip.Addr]int{}
		}
		left[e.Orig.Src][e.Reply.Dst]++
	}
	if len(left) != 32 {
		t.Errorf("%d senders have connections, want 32", len(left))
	}
	return left
}

// used returns the addresses as which somebody has left, and complains of those that are not of the pool.
func used(t *testing.T, left map[netip.Addr]map[netip.Addr]int, pool ...string) map[netip.Addr]int {
	t.Helper()
	all := map[netip.Addr]int{}
	for from, as := range left {
		for a, n := range as {
			if all[a] += n; !strings.Contains(" "+strings.Join(pool, " ")+" ", " "+a.String()+" ") {
				t.Errorf("%v leaves as %v", from, a)
			}
		}
	}
	return all
}

// TestAHostKeepsItsAddressOfAPool has 16 hosts leave as a pool that is persistent, over and over,
// also from a new daemon and with pings, and looks as whom each has left.
func TestAHostKeepsItsAddressOfAPool(t *testing.T) {
	n, h1, out := manyHosts(t, snat("same", "addresses: [203.0.113.60-203.0.113.62, 203.0.113.70, \"2001:db8::60-2001:db8::63\"], selection: persistent"))
	leaveAs(t, n, h1, out, 2)
	n.Weir.Kill()
	n.Weir.Start()
	n.Weir.Programmed(1)
	left := leaveAsAgain(t, n, h1)
	for from, as := range left {
		if len(as) != 1 {
			t.Errorf("%v leaves as %v", from, as)
		}
	}
	all := used(t, left, "203.0.113.60", "203.0.113.61", "203.0.113.62", "203.0.113.70", "2001:db8::60", "2001:db8::61", "2001:db8::62", "2001:db8::63")
	if len(all) < 5 {
		t.Errorf("32 hosts leave as %v", all)
	}
	t.Log(all)
}

// leaveAsAgain pings from each IPv4 address of h1, and returns as whom each has left by all protocols.
func leaveAsAgain(t *testing.T, n *ovstest.Net, h1 *sandbox.Host) map[netip.Addr]map[netip.Addr]int {
	t.Helper()
	for i := 16; i < 32; i++ {
		if text, err := h1.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "10", "-I", fmt.Sprint("10.1.1.", i), "203.0.113.1"); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	left := map[netip.Addr]map[netip.Addr]int{}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if left[e.Orig.Src] == nil {
			left[e.Orig.Src] = map[netip.Addr]int{}
		}
		left[e.Orig.Src][e.Reply.Dst]++
	}
	return left
}

// TestAPoolOfRangesThatDoNotTouch has 16 hosts leave as ranges of different sizes, with ports.
func TestAPoolOfRangesThatDoNotTouch(t *testing.T) {
	n, h1, out := manyHosts(t, snat("split", "addresses: [203.0.113.60-203.0.113.62, 203.0.113.70, \"2001:db8::60\", \"2001:db8::70\"], ports: 20000-30000"))
	all := used(t, leaveAs(t, n, h1, out, 3), "203.0.113.60", "203.0.113.61", "203.0.113.62", "203.0.113.70", "2001:db8::60", "2001:db8::70")
	if len(all) < 4 || all[netip.MustParseAddr("2001:db8::60")]+all[netip.MustParseAddr("2001:db8::70")] != 48 {
		t.Errorf("32 hosts leave as %v", all)
	}
	for _, e := range ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "tcp") {
		if e.Reply.DstPort < 20000 || e.Reply.DstPort > 30000 {
			t.Errorf("%v leaves from port %d", e.Orig.Src, e.Reply.DstPort)
		}
	}
	t.Log(all)
}

// TestPortsByChance opens connections from neighbouring ports through an SNAT that draws: they do not
// leave from neighbouring ones.
func TestPortsByChance(t *testing.T) {
	n, h1, _, out := behind(t, natModel(snat("chance", "addresses: [203.0.113.60-203.0.113.61], ports: 20000-60000, selection: random")))
	echoUDP(t, out, "203.0.113.1:53")
	for port := 4000; port < 4010; port++ {
		c, err := h1.DialFrom(t.Context(), &net.UDPAddr{Port: port}, "udp", "203.0.113.1:53")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := say(c, "hello", ovstest.Patience); err != nil {
			t.Error(err)
		}
	}
	near, last := 0, 0
	for _, e := range ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "udp") {
		port := int(e.Reply.DstPort)
		if port < 20000 || port > 60000 {
			t.Errorf("port %d", port)
		}
		if d := port - last; last > 0 && d > -20 && d < 20 {
			near++
		}
		last = port
	}
	if near > 2 {
		t.Errorf("%d of 10 connections leave from a port beside another's", near)
	}
}

// TestAnExhaustedSNATIsSeen opens more connections than an SNAT has ports, of each protocol in each
// version of IP, and listens outside: none leaves with the sender's own address. Status and the log say
// whose SNAT it is, the log once.
func TestAnExhaustedSNATIsSeen(t *testing.T) {
	n, h1, out := manyHosts(t, snat("few", "addresses: [203.0.113.60, \"2001:db8::60\"], ports: 34567-34570"))
	w := wire(t, out)
	for _, end := range []struct{ from, to string }{{"10.1.1.%d", "203.0.113.1:80"}, {"[fd00:1::%x]", "[2001:db8::9]:80"}} {
		echo(t, out, end.to)
		echoUDP(t, out, end.to)
		for _, network := range []string{"tcp", "udp"} {
			var open int
			for i := 16; i < 24; i++ {
				patience := ovstest.Patience
				if i >= 20 {
					patience = time.Second
				}
				open += opens(t, h1, network, fmt.Sprintf(end.from, i)+":4000", end.to, patience)
			}
			if open != 4 {
				t.Errorf("%d %s connections to %s through 4 ports", open, network, end.to)
			}
		}
	}
	for i := 16; i < 20; i++ { // with one identifier: the userspace datapath translates the first alone
		for from, to := range map[string]string{"10.1.1.%d": "203.0.113.1", "fd00:1::%x": "2001:db8::9"} {
			h1.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "1", "-e", "77", "-I", fmt.Sprintf(from, i), to)
		}
	}
	ovstest.Eventually(t, "status says that no port is left", func() error {
		s, err := n.Weir.Status()
		if err == nil && (len(s.Bridges[0].NoPort) != 1 || s.Bridges[0].NoPort[0].ID != "t/snat/few" || s.Bridges[0].NoPort[0].Dropped < 8) {
			err = fmt.Errorf("%+v", s.Bridges[0].NoPort)
		}
		return err
	})
	if text, err := n.Weir.Tool("connections", "--by-address"); err != nil || strings.Count(text, "4 of 4 (100%)") != 2 {
		t.Errorf("%v: %s", err, text)
	}
	if told := strings.Count(n.Weir.Log(), "no port is left"); told != 1 {
		t.Errorf("the log says so %d times", told)
	}
	if sees(w, hasInnerSource) {
		t.Error("a packet has left untranslated")
	}
}

// hasInnerSource reports whether a frame is IP from 10.0.0.0/8 or fd00::/8.
func hasInnerSource(f []byte) bool {
	return len(f) > 34 && f[12] == 0x08 && f[13] == 0x00 && f[26] == 10 || len(f) > 54 && f[12] == 0x86 && f[13] == 0xdd && f[22] == 0xfd
}

// opens opens a connection from an address and port, talks, and returns how many there are of it.
func opens(t *testing.T, h *sandbox.Host, network, from, to string, patience time.Duration) int {
	t.Helper()
	at := netip.MustParseAddrPort(from)
	var local net.Addr = &net.TCPAddr{IP: at.Addr().AsSlice(), Port: int(at.Port())}
	if network == "udp" {
		local = &net.UDPAddr{IP: at.Addr().AsSlice(), Port: int(at.Port())}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := h.DialFrom(ctx, local, network, to)
	if err != nil {
		return 0
	}
	t.Cleanup(func() { c.Close() })
	if say(c, "hello", patience) != nil {
		return 0
	}
	return 1
}

// TestWhatIsOverALimitInAnAuditDoesNotLeave opens more connections than an audited tenant may have. All
// pass inside; what would leave untranslated does not. The kernel's datapath would drop what is over a
// limit itself, so that it gets none of an audit.
func TestWhatIsOverALimitInAnAuditDoesNotLeave(t *testing.T) {
	n, h1, h2, out := behind(t, natBridge+tenant("t", "mode: audit, limits: {connections: 2}", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}")+
		endpoint("t", "h1", 1, "10.1.1.11")+endpoint("t", "h2", 2, "10.1.1.12")+snat("all", "addresses: [203.0.113.10-203.0.113.11]"))
	w := wire(t, out)
	echoUDP(t, out, "203.0.113.1:53")
	most := 6
	if !n.Kernel() {
		most = 2
		inForce(t, n)
	}
	var open int
	for port := 4000; port < 4006; port++ {
		open += opens(t, h1, "udp", fmt.Sprint("10.1.1.11:", port), "203.0.113.1:53", time.Second)
	}
	if open > most || n.Kernel() && open < most {
		t.Errorf("%d connections are open, want %d", open, most)
	}
	if sees(w, hasInnerSource) {
		t.Error("a packet has left untranslated")
	}
	echoUDP(t, h2, "10.1.1.12:53")
	if opens(t, h1, "udp", "10.1.1.11:5000", "10.1.1.12:53", ovstest.Patience) != 1 {
		t.Error("inside, nothing passes over the limit of an audit")
	}
}

// inForce waits until the first tenant has a limit of connections.
func inForce(t *testing.T, n *ovstest.Net) {
	t.Helper()
	ovstest.Eventually(t, "the limit is in force", func() error {
		s, err := n.Weir.Status()
		if err == nil && s.Tenants[0].Limit == nil {
			err = errors.New("it is not")
		}
		return err
	})
}
