package test

import (
	"net"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestConnectionsWithTheSameAnswers has a client ask h1 by its own address, by its floating IP and
// by two forwarded ports, all from one port: the answers to all of them are the same to begin with.
func TestConnectionsWithTheSameAnswers(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(floatingIP("h1-ip", "203.0.113.20", "h1"),
		portForward("one", "address: 203.0.113.30, port: 53, protocol: udp, to: {endpoint: h1}"),
		portForward("two", "address: 203.0.113.30, port: 54, protocol: udp, to: {endpoint: h1, port: 53}"),
		policy("t", "in", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}")))
	if !n.Kernel() {
		t.Skip("the userspace datapath of this version dies of a translation that changes nothing: some of these connections fail there")
	}
	echoUDP(t, h1, "10.1.1.11:53")
	ways := []string{"203.0.113.20:53", "10.1.1.11:53", "203.0.113.30:53", "203.0.113.30:54"}
	for i, c := range []struct {
		from *sandbox.Host
		ways []string
	}{{h2, ways}, {h2, []string{ways[1], ways[0], ways[3], ways[2]}}, {out, []string{ways[0], ways[2], ways[3]}}} {
		for _, address := range c.ways {
			asked, err := c.from.DialFrom(t.Context(), &net.UDPAddr{Port: 4000 + i}, "udp", address)
			if err != nil {
				t.Fatal(err)
			}
			if err := say(asked, "hello", ovstest.Patience); err != nil {
				t.Errorf("%s asks %s from port %d: %v", c.from.Name, address, 4000+i, err)
			}
			asked.Close()
		}
	}
}
