package test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// blocksModel has h1 of tenant t and h2 of tenant u, both 10.1.1.11, leave as 203.0.113.10 and
// 2001:db8::10, each with ports of its own, and more.
func blocksModel(more ...string) string {
	lan := "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}"
	all := strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1)
	for i, tn := range []string{"t", "u"} {
		all += tenant(tn, "", lan) + endpoint(tn, fmt.Sprint("h", i+1), i+1, "10.1.1.11, \"fd00:1::11\"") +
			object("SNAT", "name: all, tenant: "+tn, fmt.Sprintf("addresses: [203.0.113.10, \"2001:db8::10\"], ports: %d-%d", 20000+i*1000, 20999+i*1000)) +
			policy(tn, "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")
	}
	return all + strings.Join(more, "")
}

// neighbours is a net with h1 and h2, which have the same addresses, and out outside.
func neighbours(t *testing.T, model string) (n *ovstest.Net, h1, h2, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64", "fe80::9/64"}, "203.0.113.2")
	n.Run(model)
	return n, h1, h2, out
}

// whoAsks answers each connection with the address that it comes from.
func whoAsks(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	accept(t, h, address, func(c net.Conn) { fmt.Fprint(c, c.RemoteAddr()) })
}

// comesAs fetches who is asking, and says so.
func comesAs(t *testing.T, h *sandbox.Host, address string) netip.AddrPort {
	t.Helper()
	got, err := fetch(h, address, ovstest.Patience)
	who, bad := netip.ParseAddrPort(got)
	if err != nil || bad != nil {
		t.Fatalf("%s fetches %s: %q, %v", h.Name, address, got, err)
	}
	return who
}

// TestTenantsWithBlocksOfPorts has two tenants with the same addresses inside leave as one
// outside. Each has its own ports, gets its own answers, and forwards ports beside its block.
func TestTenantsWithBlocksOfPorts(t *testing.T) {
	n, h1, h2, out := neighbours(t, blocksModel(
		object("PortForward", "name: web, tenant: u", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}")))
	whoAsks(t, out, "203.0.113.1:80")
	whoAsks(t, out, "[2001:db8::9]:80")
	echoUDP(t, out, "203.0.113.1:53")
	serve(t, h2, "10.1.1.11:80", "h2")
	w := wire(t, out)
	for i, h := range []*sandbox.Host{h1, h2} {
		lo := uint16(20000 + i*1000)
		for address, as := range map[string]string{"203.0.113.1:80": "203.0.113.10", "[2001:db8::9]:80": "2001:db8::10"} {
			if who := comesAs(t, h, address); who.Addr().String() != as || who.Port() < lo || who.Port() > lo+999 {
				t.Errorf("%s comes as %v, want a port of %d-%d", h.Name, who, lo, lo+999)
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
		pings(t, h, "203.0.113.1", 1, 0) // an answer would be nobody's
	}
	gets(t, out, "203.0.113.10:8080", "h2")
	timesOut(t, out, "203.0.113.10:20000")
	timesOut(t, out, "203.0.113.10:80")
	if sees(w, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && (f[26] == 10 || f[23] == 1) }) {
		t.Error("something has left untranslated, or without a port")
	}
	for _, tenant := range []string{"t", "u"} {
		if got := len(ovstest.Protocol(n.Entries(n.Weir.Zone(tenant)), "udp")); got != 1 {
			t.Errorf("%d connections of UDP in the zone of %s, want 1", got, tenant)
		}
	}
}

// TestABlockOfPortsBesideALoadBalancer has a tenant with a block of ports come to backends outside by load balancers: as its
// block, like all else.
func TestABlockOfPortsBesideALoadBalancer(t *testing.T) {
	n, h1, h2, out := neighbours(t, blocksModel(balancer("far", "address: 10.1.1.64, ports: [{port: 81, protocol: tcp, targetPort: 80}], backends: [{address: 203.0.113.1}]"),
		balancer("far-6", `address: "fd00:1::64", ports: [{port: 81, protocol: tcp, targetPort: 80}], backends: [{address: "2001:db8::9"}]`)))
	whoAsks(t, out, "203.0.113.1:80")
	whoAsks(t, out, "[2001:db8::9]:80")
	echo(t, out, "203.0.113.1:7")
	for address, as := range map[string]string{"10.1.1.64:81": "203.0.113.10", "[fd00:1::64]:81": "2001:db8::10", "203.0.113.1:80": "203.0.113.10"} {
		if who := comesAs(t, h1, address); who.Addr().String() != as || who.Port() < 20000 || who.Port() > 20999 {
			t.Errorf("h1 comes to %s as %v, want a port of 20000-20999", address, who)
		}
	}
	if who := comesAs(t, h2, "203.0.113.1:80"); who.Port() < 21000 || who.Port() > 21999 {
		t.Errorf("h2 comes as %v, want a port of 21000-21999", who)
	}
	n.Weir.Apply(strings.Replace(blocksModel(balancer("far", "address: 10.1.1.64, ports: [{port: 7, protocol: tcp}], backends: [{address: 203.0.113.1}]")), "spec:\n  external:", "spec:\n  allowDisruption: true\n  external:", 1))
	c := opened(t, h1, "10.1.1.64:7")
	for _, line := range []string{"one", "two", "three"} {
		if err := say(c, line, ovstest.Patience); err != nil {
			t.Error(err)
		}
	}
}

// TestABlockThatAnotherTenantJoins has a second tenant come to an address, and go, under a live
// connection of the first.
func TestABlockThatAnotherTenantJoins(t *testing.T) {
	both := strings.Replace(blocksModel(), "spec:\n  external:", "spec:\n  allowDisruption: true\n  external:", 1)
	alone := both[:strings.Index(both, "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: u}")]
	n, h1, h2, out := neighbours(t, alone)
	echo(t, out, "203.0.113.1:80")
	c, err := h1.Dial(t.Context(), "tcp", "203.0.113.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pings(t, h1, "203.0.113.1", 1, 1)
	for range 3 {
		n.Weir.Apply(both)
		talk(t, h2, "203.0.113.1:80")
		if err := say(c, "both", ovstest.Patience); err != nil {
			t.Fatal(err)
		}
		n.Weir.Apply(alone)
		if err := say(c, "alone", ovstest.Patience); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNobodyLeavesAsWhomOthersAreTranslatedTo has a trusted port send from the address of an SNAT:
// to translate that to itself would kill some versions of ovs-vswitchd.
func TestNobodyLeavesAsWhomOthersAreTranslatedTo(t *testing.T) {
	model := natModel(snat("all", "addresses: [203.0.113.10]"))
	n, h1, _, out := behind(t, strings.Replace(model, "ips: [10.1.1.11]", "ips: [10.1.1.11], trusted: true", 1))
	w := wire(t, out)
	for _, own := range []string{"203.0.113.10", "240.0.0.1"} {
		if _, err := h1.Exec(t.Context(), "ip", "addr", "add", own+"/32", "dev", sandbox.HostDevice); err != nil {
			t.Fatal(err)
		}
		c, err := h1.DialFrom(t.Context(), &net.UDPAddr{IP: net.ParseIP(own), Port: 4000}, "udp", "203.0.113.1:53")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprint(c, "as ", own)
	}
	ovstest.Eventually(t, "both are dropped", func() error {
		translated := n.Packets(func(f ofproto.Flow) bool { return f.Table == pipeline.SNATSel && f.Priority == 58000 })
		if translated != 1 || spoofed(n) == 0 { // an alias is no host's address, either
			return fmt.Errorf("%d and %d are", translated, spoofed(n))
		}
		return nil
	})
	if sees(w, saying("as ")) {
		t.Error("a packet has left")
	}
}
