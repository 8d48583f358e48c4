package test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"weir/api"
	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// TestConnectionsWithTheSameAnswers has a client ask h1 by its own address, by its floating IP and
// by two forwarded ports, all from one port: the answers to all of them are the same to begin with.
// Some versions of the userspace datapath would die of what makes them different: there the first
// of them works, others may not, and status says so.
func TestConnectionsWithTheSameAnswers(t *testing.T) {
	n, h1, h2, out := behind(t, natModel(floatingIP("h1-ip", "203.0.113.20", "h1"),
		portForward("one", "address: 203.0.113.30, port: 53, protocol: udp, to: {endpoint: h1}"),
		portForward("two", "address: 203.0.113.30, port: 54, protocol: udp, to: {endpoint: h1, port: 53}"),
		policy("t", "in", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}")))
	echoUDP(t, h1, "10.1.1.11:53")
	named := namesQuirk(t, n, quirk.IdentityNAT)
	if named != n.Has(quirk.IdentityNAT) {
		t.Errorf("status names the quirk: %v", named)
	}
	ways := []string{"203.0.113.20:53", "10.1.1.11:53", "203.0.113.30:53", "203.0.113.30:54"}
	for i, c := range []struct {
		from *sandbox.Host
		ways []string
	}{{h2, ways}, {h2, []string{ways[1], ways[0], ways[3], ways[2]}}, {out, []string{ways[0], ways[2], ways[3]}}} {
		worked := 0
		for k, address := range c.ways {
			must := k == 0 || !named
			err := asksFrom(t, c.from, 4000+i, address, map[bool]time.Duration{true: ovstest.Patience, false: time.Second}[must])
			if err == nil {
				worked++
			} else if must {
				t.Errorf("%s asks %s from port %d: %v", c.from.Name, address, 4000+i, err)
			}
		}
		t.Logf("%s from port %d: %d of %d work", c.from.Name, 4000+i, worked, len(c.ways))
	}
}

// asksFrom has a host say something from a port, and wants to hear it again.
func asksFrom(t *testing.T, h *sandbox.Host, port int, address string, patience time.Duration) error {
	t.Helper()
	c, err := h.DialFrom(t.Context(), &net.UDPAddr{Port: port}, "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return say(c, fmt.Sprint("hello ", address), patience)
}

// namesQuirk reports whether status says that a quirk is in force.
func namesQuirk(t *testing.T, n *ovstest.Net, id quirk.ID) bool {
	t.Helper()
	s, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(s.Bridges[0].Quirks, func(r api.Reason) bool { return r.ID == string(id) })
}
