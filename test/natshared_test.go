package test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// sharedModel has h1 of tenant t and h2 of tenant u, both 10.1.1.11, share 203.0.113.10 and
// 2001:db8::10, and more.
func sharedModel(more ...string) string {
	return sharedBy("addresses: [203.0.113.10, \"2001:db8::10\"]", more...)
}

func sharedBy(spec string, more ...string) string {
	lan := "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}"
	all := strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1)
	for i, tn := range []string{"t", "u"} {
		all += tenant(tn, "", lan) + endpoint(tn, fmt.Sprint("h", i+1), i+1, "10.1.1.11, \"fd00:1::11\"") +
			object("SNAT", "name: all, tenant: "+tn, spec+", shared: true") +
			policy(tn, "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")
	}
	return all + strings.Join(more, "")
}

// commonZone returns the zone in which the connections of an address are translated that tenants
// share.
func commonZone(n *ovstest.Net, address string) uint16 {
	n.T.Helper()
	for _, f := range n.Flows() {
		ct, is := f.Actions[0].(ofproto.ConnTrack)
		if is && f.Table == pipeline.ExtIn && slices.ContainsFunc(f.Match, func(c ofproto.Cond) bool {
			return c == ofproto.IsAddr(pipeline.IPDst(ovstest.Addr(address)), ovstest.Addr(address))
		}) {
			return ct.Zone
		}
	}
	n.T.Fatalf("nobody shares %s", address)
	return 0
}

// TestTenantsThatShareAnAddress has two tenants with the same addresses inside, and the same
// ports, leave as one outside: TCP, UDP, ping and ICMP errors come back to whom they are for.
func TestTenantsThatShareAnAddress(t *testing.T) {
	n, h1, h2, out := neighbours(t, sharedModel())
	whoAsks(t, out, "203.0.113.1:80")
	whoAsks(t, out, "[2001:db8::9]:80")
	echoUDP(t, out, "203.0.113.1:53")
	serve(t, h1, "10.1.1.11:80", "h1")
	w := wire(t, out)
	for _, h := range []*sandbox.Host{h1, h2} {
		for address, as := range map[string]string{"203.0.113.1:80": "203.0.113.10", "[2001:db8::9]:80": "2001:db8::10"} {
			if who := comesAs(t, h, address); who.Addr().String() != as {
				t.Errorf("%s comes as %v, want %s", h.Name, who, as)
			}
		}
		c, err := h.DialFrom(t.Context(), &net.UDPAddr{Port: 4000}, "udp", "203.0.113.1:53")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := say(c, "from "+h.Name, ovstest.Patience); err != nil {
			t.Error(err)
		}
		pings(t, h, "203.0.113.1", 2, 2)
		pings(t, h, "2001:db8::9", 2, 2)
		refusedUDP(t, h, "203.0.113.1:9999")
		refusedUDP(t, h, "[2001:db8::9]:9999")
	}
	timesOut(t, out, "203.0.113.10:80")
	if sees(w, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && (f[26] == 10 || f[26] == 240) }) {
		t.Error("something has left untranslated")
	}
	for _, e := range n.Entries(n.Weir.Zone("u")) {
		if a := e.Reply.Dst.String(); !strings.HasPrefix(a, "240.") && !strings.HasPrefix(a, "fd77:6569:7200:1:") {
			t.Errorf("%+v is not translated to an alias", e)
		}
	}
	if got := len(ovstest.Protocol(n.Entries(commonZone(n, "203.0.113.10")), "udp")); got != 4 {
		t.Errorf("%d connections of UDP in the common zone, want 4", got)
	}
}

// TestRecirculationsOfSharedAddresses counts how often a packet comes back to the flow tables
// that is translated in two zones.
func TestRecirculationsOfSharedAddresses(t *testing.T) {
	n, h1, _, out := neighbours(t, sharedModel())
	echo(t, out, "203.0.113.1:80")
	if _, err := n.Appctl("revalidator/purge"); err != nil {
		t.Fatal(err)
	}
	talk(t, h1, "203.0.113.1:80")
	got, entries := n.Recirculations("src="+mac(1), "eth_type(0x0800)"), len(n.Entries(n.Weir.Zone("t")))+len(n.Entries(commonZone(n, "203.0.113.10")))
	t.Logf("recirculations new / established / entries: %d / %d / %d", got.New, got.Established, entries)
	if got != (ovstest.Recirculations{New: 2, Established: 2}) || entries != 2 {
		t.Errorf("%+v, %d entries, want 2 / 2 / 2", got, entries)
	}
}

// TestASharedAddressRunsOut opens more connections than there are ports. The others do not
// leave, and are counted.
func TestASharedAddressRunsOut(t *testing.T) {
	n, h1, h2, out := neighbours(t, sharedBy("addresses: [203.0.113.10], ports: 34567-34569"))
	heard := listenUDP(t, out, "203.0.113.1:53")
	w := wire(t, out)
	for port := 6000; port < 6003; port++ {
		for _, h := range []*sandbox.Host{h1, h2} {
			c, err := h.DialFrom(t.Context(), &net.UDPAddr{Port: port}, "udp", "203.0.113.1:53")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			fmt.Fprintf(c, "from %s:%d", h.Name, port)
		}
	}
	from := hearsFrom(heard, 3)
	if len(from) != 3 || !from["203.0.113.10:34567"] || !from["203.0.113.10:34568"] || !from["203.0.113.10:34569"] {
		t.Errorf("outside hears %v", from)
	}
	if sees(w, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && f[26] != 203 }) {
		t.Error("something has left untranslated")
	}
	if !n.Kernel() { // which drops it itself
		dropped := n.Packets(func(f ofproto.Flow) bool { return f.Table == pipeline.SharedOut && f.Priority == 11 })
		if dropped != 3 {
			t.Errorf("%d packets are counted as without a port, want 3", dropped)
		}
		ovstest.Eventually(t, "status says whose they were", func() error {
			status, err := n.Weir.Status()
			if err != nil {
				return err
			}
			told := uint64(0)
			for _, s := range status.Bridges[0].NoPort {
				told += s.Dropped
			}
			if told != 3 {
				return fmt.Errorf("%+v", status.Bridges[0].NoPort)
			}
			return nil
		})
	}
}

// TestForwardsOfASharedAddress forwards a port of an address that tenants share, beside the ports
// that its SNATs may use.
func TestForwardsOfASharedAddress(t *testing.T) {
	_, h1, h2, out := neighbours(t, sharedBy("addresses: [203.0.113.10], ports: 32768-65535",
		object("PortForward", "name: web, tenant: u", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}"),
		object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8081, protocol: tcp, to: {endpoint: h1, port: 80}")))
	serve(t, h1, "10.1.1.11:80", "h1")
	serve(t, h2, "10.1.1.11:80", "h2")
	whoAsks(t, out, "203.0.113.1:80")
	for range 3 {
		gets(t, out, "203.0.113.10:8080", "h2")
		gets(t, out, "203.0.113.10:8081", "h1")
		for _, h := range []*sandbox.Host{h1, h2} {
			if who := comesAs(t, h, "203.0.113.1:80"); who.Port() < 32768 {
				t.Errorf("%s comes as %v", h.Name, who)
			}
		}
	}
}

// TestRevocationBehindASharedAddress takes back a rule of one tenant, and then a tenant: each
// ends its own connections in both zones, and no others.
func TestRevocationBehindASharedAddress(t *testing.T) {
	both := strings.ReplaceAll(strings.Replace(sharedModel(), "spec:\n  external:", "spec:\n  allowDisruption: true\n  external:", 1), "name: t}\nspec: {}", "name: t}\nspec: {allowDisruption: true}")
	second := strings.Index(both, "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: u}")
	n, h1, h2, out := neighbours(t, both)
	echo(t, out, "203.0.113.1:80")
	echo(t, out, "203.0.113.1:81")
	h1to80, h1to81, h2to81 := opened(t, h1, "203.0.113.1:80"), opened(t, h1, "203.0.113.1:81"), opened(t, h2, "203.0.113.1:81")
	entries := func(want int) {
		t.Helper()
		ovstest.Eventually(t, "connections in the common zone", func() error {
			if got := ovstest.Protocol(n.Entries(commonZone(n, "203.0.113.10")), "tcp"); len(got) != want {
				return fmt.Errorf("%d: %v", len(got), got)
			}
			return nil
		})
	}
	entries(3)
	for _, c := range n.Weir.Connections("t") {
		if c.SourceTo() != c.Reply.To() || c.Reply.Dst != "203.0.113.10" || !strings.HasPrefix(c.Alias, "240.") {
			t.Errorf("weir connections says that %+v", c)
		}
	}
	deny := policy("t", "out", "{name: no-81, direction: egress, action: deny, to: {cidrs: [203.0.113.1/32]}, protocol: tcp, ports: [81]}")
	n.Weir.Apply(both + deny)
	entries(2)
	if err := say(h1to81, "hello", time.Second); err == nil {
		t.Error("what is denied lives")
	}
	for _, c := range []net.Conn{h1to80, h2to81} {
		if err := say(c, "hello", ovstest.Patience); err != nil {
			t.Error(err)
		}
	}
	n.Weir.Apply(both[:second] + deny)
	entries(1)
	if err := say(h2to81, "hello", time.Second); err == nil {
		t.Error("a connection of a tenant that is gone lives")
	}
	n.Weir.Apply(both + deny)
	talk(t, h2, "203.0.113.1:81")
	if err := say(h1to80, "hello", ovstest.Patience); err != nil {
		t.Error(err)
	}
}

// TestFTPBehindASharedAddress downloads passively: what the helper of the tenant's zone has heard
// of leaves like all else.
func TestFTPBehindASharedAddress(t *testing.T) {
	rules := policy("t", "ftp", "{name: out, direction: egress, action: allow, protocol: tcp, ports: [21], alg: ftp}", "{name: no-more, direction: egress, action: deny}")
	_, h1, _, out := neighbours(t, sharedModel(rules))
	serveFTP(t, out, "203.0.113.1")
	if got, err := download(t, h1, "PASV", "203.0.113.1"); err != nil || got != theFile {
		t.Errorf("%q, %v", got, err)
	}
}

// TestPoolsThatAreShared has tenants share addresses that do not touch, by host and by chance.
func TestPoolsThatAreShared(t *testing.T) {
	for _, selection := range []string{"hash", "persistent", "random"} {
		for _, limits := range []string{"", "limits: {connections: 1000}"} {
			t.Run(selection+", "+limits, func(t *testing.T) {
				model := sharedBy("addresses: [203.0.113.20-203.0.113.21, 203.0.113.30, 203.0.113.40-203.0.113.43], ports: 20000-29999, selection: " + selection)
				_, h1, h2, out := neighbours(t, strings.ReplaceAll(model, "name: t}\nspec: {}", "name: t}\nspec: {"+limits+"}"))
				for port := 8000; port < 8008; port++ {
					whoAsks(t, out, fmt.Sprint("203.0.113.1:", port))
				}
				for _, h := range []*sandbox.Host{h1, h2} {
					seen := map[netip.Addr]bool{}
					for port := 8000; port < 8008; port++ {
						who := comesAs(t, h, fmt.Sprint("203.0.113.1:", port))
						if seen[who.Addr()] = true; who.Port() < 20000 || who.Port() > 29999 {
							t.Errorf("%s comes as %v", h.Name, who)
						}
					}
					if selection == "persistent" && len(seen) != 1 {
						t.Errorf("%s comes as %v", h.Name, seen)
					}
					pings(t, h, "203.0.113.1", 2, 2)
				}
			})
		}
	}
}

// TestPathMTUBehindASharedAddress has a router beyond the outside tell that packets are too large:
// that it is about a connection of t both zones know.
func TestPathMTUBehindASharedAddress(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	far := n.Host("far", mac(8), nil)
	const mtu = 1300
	beyond(t, out, far, mtu)
	model := sharedBy("addresses: [203.0.113.10, \"2001:db8::10\"], ports: 20000-65535")
	n.Run(strings.Replace(model, "gateway: \"fe80::9\"", "gateway: \"2001:db8::1\"", 1))
	for i, h := range []*sandbox.Host{h1, h2, h1, h2} {
		peer := farAddr(i+1, i >= 2)
		server := netip.AddrPortFrom(peer, 80).String()
		sent, heard := bothEnds(t, h, netip.Addr{}, server, far, server)
		if err := transfer(sent, heard); err != nil {
			t.Error(err)
		}
		if route, err := h.Exec(t.Context(), "ip", "route", "get", peer.String()); err != nil || !strings.Contains(route, fmt.Sprint("mtu ", mtu)) {
			t.Errorf("%s has heard of no MTU: %q, %v", h.Name, route, err)
		}
	}
}
