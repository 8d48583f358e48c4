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

// twoBridgesModel has two bridges on one link outside, h1 behind one and h2 behind the other.
func twoBridgesModel(more ...string) string {
	var b strings.Builder
	for i, name := range []string{"br0", "br1"} {
		b.WriteString(object("Bridge", "name: "+name, fmt.Sprintf(`external: {network: public, port: up%d, mac: "02:00:00:00:ff:0%d", `+
			`subnets: [{cidr: 203.0.113.0/24, address: 203.0.113.%d}, {cidr: "2001:db8::/64", address: "2001:db8::%d"}]}`, i, i, i+2, i+2)))
	}
	b.WriteString(object("Tenant", "name: t", "allowDisruption: true"))
	for i, name := range []string{"br0", "br1"} {
		b.WriteString(object("Network", fmt.Sprintf("name: lan%d, tenant: t", i), fmt.Sprintf("bridges: [%s], subnets: [{cidr: 10.1.%d.0/24, gateway: 10.1.%d.1}, {cidr: \"fd00:%d::/64\", gateway: \"fd00:%d::1\"}]", name, i, i, i, i)))
		b.WriteString(object("Endpoint", fmt.Sprintf("name: h%d, tenant: t", i), fmt.Sprintf("network: lan%d, bind: {ifaceID: h%d}, mac: %q, ips: [10.1.%d.11, \"fd00:%d::11\"]", i, i, mac(i+1), i, i)))
	}
	b.WriteString(policy("t", "in", "{name: ping, direction: ingress, action: allow, protocol: icmp}", "{name: ping6, direction: ingress, action: allow, protocol: icmpv6}"))
	return b.String() + strings.Join(more, "")
}

// onOneLink is a net with what twoBridgesModel has, and out, a host on the link.
func onOneLink(t *testing.T, model string) (n *ovstest.Net, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	add := func(name, bridge, mac string, ips []string, gateways ...string) *sandbox.Host {
		h, err := n.AddHost(sandbox.HostConfig{Name: name, Bridge: bridge, Port: name, IfaceID: name, MAC: mac, IPs: ips, Gateways: gateways})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	vsctl := func(args ...string) {
		if _, err := n.Vsctl(args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(n.AddBridge("br1"), n.AddBridge("link")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Ofctl("add-flow", "link", "actions=normal"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		up, down := fmt.Sprint("up", i), fmt.Sprint("down", i)
		vsctl("add-port", fmt.Sprint("br", i), up, "--", "set", "interface", up, "type=patch", "options:peer="+down,
			"--", "add-port", "link", down, "--", "set", "interface", down, "type=patch", "options:peer="+up)
		add(fmt.Sprint("h", i), fmt.Sprint("br", i), mac(i+1), []string{fmt.Sprintf("10.1.%d.11/24", i), fmt.Sprintf("fd00:%d::11/64", i)}, fmt.Sprintf("10.1.%d.1", i), fmt.Sprintf("fd00:%d::1", i))
	}
	out = add("out", "link", mac(9), []string{"203.0.113.9/24", "2001:db8::9/64"})
	n.Run(model)
	return n, out
}

// knows waits until a host has a MAC address for a neighbour.
func knows(t *testing.T, h *sandbox.Host, address, mac string) {
	t.Helper()
	ovstest.Eventually(t, fmt.Sprintf("%s knows that %s is at %s", h.Name, address, mac), func() error {
		got, err := h.Exec(t.Context(), "ip", "neigh", "show", address)
		if err == nil && !strings.Contains(got, "lladdr "+mac) {
			err = errors.New(got)
		}
		return err
	})
}

// reaches pings until there is an answer, for the first one is lost where the router asks who a
// neighbour is.
func reaches(t *testing.T, h *sandbox.Host, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		ovstest.Eventually(t, h.Name+" pings "+a, func() error {
			got, err := h.Ping(t.Context(), ovstest.Addr(a), 1, time.Second)
			if err == nil && got == 0 {
				err = errors.New("no answer")
			}
			return err
		})
	}
}

// TestANewAddressIsKnownOutsideUnasked has a floating IP appear that a host outside has known at
// another MAC address, and move to another bridge. It learns so without asking.
func TestANewAddressIsKnownOutsideUnasked(t *testing.T) {
	fips := func(endpoint string) string {
		return floatingIP("four", "203.0.113.20", endpoint) + floatingIP("six", "\"2001:db8::20\"", endpoint)
	}
	n, out := onOneLink(t, twoBridgesModel())
	for _, address := range []string{"203.0.113.20", "2001:db8::20"} {
		if _, err := out.Exec(t.Context(), "ip", "neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", sandbox.HostDevice, "nud", "stale"); err != nil {
			t.Fatal(err)
		}
	}
	n.Weir.Apply(twoBridgesModel(fips("h0")))
	knows(t, out, "203.0.113.20", "02:00:00:00:ff:00")
	knows(t, out, "2001:db8::20", "02:00:00:00:ff:00")
	reaches(t, out, "203.0.113.20", "2001:db8::20")
	n.Weir.Apply(twoBridgesModel(fips("h1")))
	knows(t, out, "203.0.113.20", "02:00:00:00:ff:01")
	knows(t, out, "2001:db8::20", "02:00:00:00:ff:01")
	reaches(t, out, "203.0.113.20", "2001:db8::20")
}

// announcements counts the ARP announcements in frames, by address, until each of some has been
// announced three times.
func announcements(t *testing.T, w *sandbox.Wire, of ...string) map[string]int {
	t.Helper()
	heard, late := map[string]int{}, time.After(ovstest.Patience)
	for slices.ContainsFunc(of, func(a string) bool { return heard[a] < 3 }) {
		select {
		case f := <-w.Frames():
			if isARP(f) && len(f) >= 42 && string(f[28:32]) == string(f[38:42]) {
				heard[netip.AddrFrom4([4]byte(f[28:32])).String()]++
			}
		case <-late:
			t.Fatalf("heard %v, want %v three times each", heard, of)
		}
	}
	return heard
}

// TestNothingIsAnnouncedAgain listens outside. An address, the router's own as well, is announced three times; a daemon that
// is started anew says nothing of those that were there; on another port all are said again.
func TestNothingIsAnnouncedAgain(t *testing.T) {
	one, two := floatingIP("h1-ip", "203.0.113.20", "h1"), floatingIP("h2-ip", "203.0.113.21", "h2")
	n := ovstest.New(t)
	n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
	n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"})
	w := wire(t, out)
	n.Run(natModel(one))
	announcements(t, w, "203.0.113.20", "203.0.113.2")
	n.Weir.Kill()
	n.Weir.Start()
	if s := n.Weir.Programmed(1); s.Bridges[0].FlowModsSent != 0 {
		t.Errorf("%d modifications after a new start", s.Bridges[0].FlowModsSent)
	}
	n.Weir.Apply(natModel(one, two))
	if heard := announcements(t, w, "203.0.113.21"); len(heard) != 1 {
		t.Errorf("heard %v, want only what is new", heard)
	}
	if err := n.Unplug(out); err != nil {
		t.Fatal(err)
	}
	out.OFPort = 77
	if err := n.Plug(out); err != nil {
		t.Fatal(err)
	}
	n.Weir.Programmed(1)
	announcements(t, w, "203.0.113.20", "203.0.113.21", "203.0.113.2")
}

// TestConnectionsOutliveTheUplink takes the port of the outside away, and puts it back. What was
// translated goes on as it was, and the daemon says what it waits for.
func TestConnectionsOutliveTheUplink(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
		policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	echo(t, out, "203.0.113.1:80")
	echo(t, h1, "10.1.1.11:80")
	var open []net.Conn
	for _, c := range []struct {
		from *sandbox.Host
		to   string
	}{{h2, "203.0.113.1:80"}, {h1, "203.0.113.1:80"}, {out, "203.0.113.20:80"}} {
		conn, err := c.from.Dial(t.Context(), "tcp", c.to)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		open = append(open, conn)
	}
	before, epoch := tuples(n), epochOf(t, n)
	if err := n.Unplug(out); err != nil {
		t.Fatal(err)
	}
	ovstest.Eventually(t, "the uplink is waited for", func() error { return waitsFor(n, 1) })
	if err := n.Plug(out); err != nil {
		t.Fatal(err)
	}
	ovstest.Eventually(t, "the uplink is there", func() error { return waitsFor(n, 0) })
	for i, c := range open {
		if err := say(c, "still here", ovstest.Patience); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if now := tuples(n); len(now) != len(before) {
		t.Errorf("connections %q, and before %q", now, before)
	}
	if now := epochOf(t, n); now != epoch {
		t.Errorf("epoch %d, and before %d: connections were judged again", now, epoch)
	}
}

func epochOf(t *testing.T, n *ovstest.Net) uint8 {
	t.Helper()
	s, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s.Tenants[0].Epoch
}

// waitsFor fails unless the bridge waits for so many things.
func waitsFor(n *ovstest.Net, many int) error {
	s, err := n.Weir.Status()
	if err == nil && (len(s.Bridges) != 1 || len(s.Bridges[0].Pending) != many) {
		err = fmt.Errorf("%+v", s.Bridges)
	}
	return err
}
