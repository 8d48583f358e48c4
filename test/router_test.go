package test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// routerModel has an outside in both versions of IP on which the router has addresses, h1 with
// floating IPs, h2 behind an SNAT, and rules that reject.
var routerModel = strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"2001:db8::9\", address: \"2001:db8::2\"}, ", 1) +
	tenant("t", "defaults: {ingress: allow}", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
	endpoint("t", "h1", 1, "10.1.1.11, \"fd00:1::11\"") + endpoint("t", "h2", 2, "10.1.1.12, \"fd00:1::12\"") +
	snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"]") + floatingIP("four", "203.0.113.20", "h1") + floatingIP("six", "\"2001:db8::20\"", "h1") +
	object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8081, protocol: tcp, to: {endpoint: h2, port: 81}") +
	policy("t", "p", "{name: tcp, direction: ingress, action: reject, protocol: tcp, ports: [81]}", "{name: udp, direction: ingress, action: reject, protocol: udp, ports: [90]}",
		"{name: out, direction: egress, action: reject, protocol: tcp, ports: [82]}")

// routerNet is a net with what routerModel has.
func routerNet(t *testing.T) (n *ovstest.Net, h1, h2, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64"}, "203.0.113.2", "2001:db8::2")
	n.Run(routerModel)
	reaches(t, h1, "203.0.113.1", "2001:db8::9") // the router knows its next hops
	return n, h1, h2, out
}

// TestTheRouterAnswersPingsFromOutside pings it in both versions of IP, also while no daemon runs.
func TestTheRouterAnswersPingsFromOutside(t *testing.T) {
	n, _, _, out := routerNet(t)
	all := func() {
		t.Helper()
		pings(t, out, "203.0.113.2", 2, 2)
		pings(t, out, "2001:db8::2", 2, 2)
	}
	all()
	n.Weir.Kill()
	all()
	n.Weir.Start()
	n.Weir.Programmed(1)
	timesOut(t, out, "203.0.113.2:80")
	if entries := n.Entries(n.Weir.Zone("t")); len(ovstest.Protocol(entries, "tcp")) > 0 {
		t.Errorf("entries: %+v", entries)
	}
}

// expires pings with so many hops, and wants to hear from a router that these were not enough.
func expires(t *testing.T, h *sandbox.Host, hops, to, router string) {
	t.Helper()
	said, _ := h.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "10", "-t", hops, to) // it fails, and says why
	if !strings.Contains(said, "From "+router+" icmp_seq=1 Time") {
		t.Errorf("%s pings %s with %s hops: %s; want to hear from %s", h.Name, to, hops, said, router)
	}
}

// TestTracesShowTheRouter has packets come to their end at the router, from outside and from
// inside, also on connections that are translated already. Who has sent one has to know its own
// packet in what it hears.
func TestTracesShowTheRouter(t *testing.T) {
	_, h1, h2, out := routerNet(t)
	expires(t, out, "1", "203.0.113.20", "203.0.113.2")
	expires(t, out, "1", "2001:db8::20", "2001:db8::2")
	pings(t, out, "203.0.113.20", 1, 1)
	for _, h := range []*sandbox.Host{h1, h2} {
		expires(t, h, "1", "203.0.113.1", "10.1.1.1")
		expires(t, h, "1", "2001:db8::9", "fd00:1::1")
	}
	for _, args := range [][]string{{"sysctl", "-qw", "net.ipv4.ip_forward=1"}, {"ip", "route", "add", "198.51.100.0/24", "via", "203.0.113.99"}} {
		if _, err := out.Exec(t.Context(), args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*sandbox.Host{h1, h2} {
		expires(t, h, "1", "198.51.100.1", "10.1.1.1")
		expires(t, h, "2", "198.51.100.1", "203.0.113.1")
	}
	echoUDP(t, out, "203.0.113.1:53")
	echoUDP(t, out, "[2001:db8::9]:53")
	echoUDP(t, h1, "10.1.1.11:53")
	echoUDP(t, h1, "[fd00:1::11]:53")
	for _, h := range []*sandbox.Host{h1, h2} {
		expiresInMidst(t, h, "203.0.113.1:53")
		expiresInMidst(t, h, "[2001:db8::9]:53")
	}
	expiresInMidst(t, out, "203.0.113.20:53")
	expiresInMidst(t, out, "[2001:db8::20]:53")
}

// expiresInMidst has a packet of a connection that is there come to its end at the router. The
// socket hears of it only if the router has quoted what the socket has sent.
func expiresInMidst(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c, err := h.Dial(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if err := say(c, "hello", ovstest.Patience); err != nil {
			t.Fatalf("%s to %s: %v", h.Name, address, err)
		}
	}
	livesOneHop(t, c, address)
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	c.Write([]byte("for the router"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("%s to %s with one hop: %v; want no route to host", h.Name, address, err)
	}
}

// TestRejectsAreHeardOutside has rules reject what comes from outside and what is to leave. Who
// has sent it hears of it from the address that it has asked.
func TestRejectsAreHeardOutside(t *testing.T) {
	n, h1, h2, out := routerNet(t)
	for _, address := range []string{"203.0.113.20:81", "[2001:db8::20]:81", "203.0.113.10:8081"} {
		refusedTCP(t, out, address)
	}
	refusedUDP(t, out, "203.0.113.20:90")
	refusedUDP(t, out, "[2001:db8::20]:90")
	for _, h := range []*sandbox.Host{h1, h2} {
		refusedTCP(t, h, "203.0.113.1:82")
		refusedTCP(t, h, "[2001:db8::9]:82")
	}
	refusedTCP(t, h2, "203.0.113.20:81")
	if entries := ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "tcp"); len(entries) > 0 {
		t.Errorf("entries: %+v", entries)
	}
}

// TestAnswersFindTheirWayAcrossTenants has a rule of red's reject what h1 of another tenant sends
// there, and a packet of h1's come to its end at red's router.
func TestAnswersFindTheirWayAcrossTenants(t *testing.T) {
	_, h1, h2, _, _, _ := sideBySide(t, twoTenants(red("Policy", "rejects", "rules: [{name: tcp, direction: ingress, action: reject, protocol: tcp, ports: [81]}]")))
	for _, h := range []*sandbox.Host{h1, h2} {
		refusedTCP(t, h, "203.0.113.40:81")
		expires(t, h, "1", "203.0.113.40", "10.1.1.1")
		expires(t, h, "2", "203.0.113.40", "203.0.113.2")
	}
}

// TestGatewaysAnswerPings has endpoints ping their gateways, and the router's addresses outside.
// Nothing leaves for it, and nothing is tracked.
func TestGatewaysAnswerPings(t *testing.T) {
	n, h1, h2, out := routerNet(t)
	n.Weir.Apply(routerModel + policy("t", "strict", "{name: none, direction: egress, action: deny, protocol: icmp}", "{name: none6, direction: egress, action: deny, protocol: icmpv6}"))
	before := len(n.Entries(n.Weir.Zone("t")))
	w := wire(t, out)
	for _, h := range []*sandbox.Host{h1, h2} {
		for _, address := range []string{"10.1.1.1", "fd00:1::1", "203.0.113.2", "2001:db8::2"} {
			pings(t, h, address, 2, 2)
		}
	}
	if after := len(n.Entries(n.Weir.Zone("t"))); after > before {
		t.Errorf("%d connections before, %d after", before, after)
	}
	if sees(w, isUnicastIP) {
		t.Error("a ping of the router has left")
	}
}

// livesOneHop has what c sends expire at the first router, and the errors about that come to c. It goes to an address.
func livesOneHop(t *testing.T, c net.Conn, address string) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		level, ttl, errs := syscall.IPPROTO_IP, syscall.IP_TTL, syscall.IP_RECVERR
		if strings.HasPrefix(address, "[") {
			level, ttl, errs = syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, syscall.IPV6_RECVERR
		}
		err = errors.Join(syscall.SetsockoptInt(int(fd), level, ttl, 1), syscall.SetsockoptInt(int(fd), level, errs, 1))
	})
	if err != nil {
		t.Fatal(err)
	}
}
