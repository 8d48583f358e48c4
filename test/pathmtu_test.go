package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// pathMTUModel has h1 and h2 behind every kind of translation, in both versions of IP.
var pathMTUModel = strings.NewReplacer("    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"2001:db8::1\"}, ",
	"nextHops: [", "nextHops: [{address: \"2001:db8::1\", mac: \"02:00:00:00:00:09\"}, ").Replace(natBridge) +
	tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
	endpoint("t", "h1", 1, "10.1.1.11, \"fd00:1::11\"") + endpoint("t", "h2", 2, "10.1.1.12, \"fd00:1::12\"") +
	snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"]") +
	snat("some", "priority: 200, from: {cidrs: [10.1.1.12/32]}, addresses: [203.0.113.32-203.0.113.35], ports: 2000-60000") +
	floatingIP("h1-ip", "203.0.113.20", "h1") + floatingIP("h1-ip6", "\"2001:db8::20\"", "h1") +
	portForward("web", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}") +
	portForward("web6", "address: \"2001:db8::10\", port: 8000-8080, protocol: tcp, to: {endpoint: h2}") +
	policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80, 8080]}")

// TestPathMTU has hosts send large segments over a router outside, which is neither end and
// whose next link is too small for them. What it says of that comes to who has sent them, by
// every kind of translation: the transfer completes, and the route has the smaller MTU.
func TestPathMTU(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	far := n.Host("far", mac(8), nil)
	const mtu = 1300 // IPv6 has at least 1,280
	beyond(t, out, far, mtu)
	n.Run(pathMTUModel)
	for i, c := range []struct {
		name   string
		inner  *sandbox.Host // who sends much
		opener *sandbox.Host
		server string // without its address if that is far's
	}{
		{"SNAT, pool and ports", h2, h2, ":80"}, {"SNAT, IPv6", h2, h2, "6:80"},
		{"floating IP, out", h1, h1, ":80"}, {"floating IP, out, IPv6", h1, h1, "6:80"},
		{"floating IP, in", h1, far, "203.0.113.20:80"}, {"floating IP, in, IPv6", h1, far, "[2001:db8::20]:80"},
		{"forwarded port", h2, far, "203.0.113.10:8080"}, {"forwarded port of a range, IPv6", h2, far, "[2001:db8::10]:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer := farAddr(i+1, strings.Contains(c.name, "IPv6")) // another one each time: a known MTU is remembered
			var sent, heard net.Conn
			if c.opener == far {
				inside := map[*sandbox.Host]string{h1: "10.1.1.11:80", h2: "10.1.1.12:80"}[c.inner]
				if peer.Is6() {
					inside = map[*sandbox.Host]string{h1: "[fd00:1::11]:80", h2: "[fd00:1::12]:8080"}[c.inner]
				}
				heard, sent = bothEnds(t, far, peer, c.server, c.inner, inside)
			} else {
				server := netip.AddrPortFrom(peer, 80).String()
				sent, heard = bothEnds(t, c.inner, netip.Addr{}, server, far, server)
			}
			if err := transfer(sent, heard); err != nil {
				t.Error(err)
			}
			route, err := c.inner.Exec(t.Context(), "ip", "route", "get", peer.String())
			if err != nil || !strings.Contains(route, fmt.Sprint("mtu ", mtu)) {
				t.Errorf("%s has heard of no MTU: %q, %v", c.inner.Name, route, err)
			}
		})
	}
}

// farAddr is one of the addresses of the host beyond the router outside.
func farAddr(i int, six bool) netip.Addr {
	if six {
		return ovstest.Addr(fmt.Sprint("2001:db8:77::", i))
	}
	return ovstest.Addr(fmt.Sprint("198.51.100.", i))
}

// beyond makes out a router, behind which is far on a link with an MTU.
func beyond(t *testing.T, out, far *sandbox.Host, mtu int) {
	t.Helper()
	if err := out.Link(far, "e1", mtu); err != nil {
		t.Fatal(err)
	}
	run := func(h *sandbox.Host, command string) {
		if text, err := h.Exec(t.Context(), "sh", "-c", command); err != nil {
			t.Fatalf("%s: %v: %s", command, err, text)
		}
	}
	run(out, "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	run(out, "ip addr add 198.51.100.254/24 dev e1; ip addr add 2001:db8:77::fe/64 dev e1 nodad")
	for i := range 20 {
		run(far, fmt.Sprintf("ip addr add %v/24 dev e1; ip addr add %v/64 dev e1 nodad", farAddr(i+1, false), farAddr(i+1, true)))
	}
	run(far, "ip route add default via 198.51.100.254; ip -6 route add default via 2001:db8:77::fe")
}

// bothEnds returns both ends of a connection, from an address of the opener's if it is given.
func bothEnds(t *testing.T, opener *sandbox.Host, from netip.Addr, to string, server *sandbox.Host, address string) (near, away net.Conn) {
	t.Helper()
	l, err := server.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var local net.Addr
	if from.IsValid() {
		local = &net.TCPAddr{IP: from.AsSlice()}
	}
	if near, err = opener.DialFrom(t.Context(), local, "tcp", to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if away, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { away.Close() })
	return near, away
}

// transfer sends more than a window from one end of a connection to the other.
func transfer(from, to net.Conn) error {
	const much = 300_000
	deadline := time.Now().Add(ovstest.Patience)
	from.SetDeadline(deadline)
	to.SetDeadline(deadline)
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(make([]byte, much))
		sent <- err
	}()
	got, err := io.CopyN(io.Discard, to, much)
	if err != nil {
		from.Close()
		return errors.Join(fmt.Errorf("%d of %d bytes came", got, much), err, <-sent)
	}
	return <-sent
}

// TestErrorsAboutAnswers has a host answer with an ICMP error to what answers it: that leaves as
// the host itself does, with what it quotes, and nothing leaves with the host's own address.
func TestErrorsAboutAnswers(t *testing.T) {
	for name, c := range map[string]struct{ from, to string }{
		"IPv4":           {"10.1.1.11:4000", "203.0.113.1:53"},
		"IPv4, pool":     {"10.1.1.12:4000", "203.0.113.1:53"},
		"IPv6, one SNAT": {"[fd00:1::12]:4000", "[2001:db8::1]:53"},
	} {
		t.Run(name, func(t *testing.T) {
			n := ovstest.New(t)
			h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
			h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
			out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
			n.Run(pathMTUModel)
			h := h2
			if c.from == "10.1.1.11:4000" {
				h = h1
			}
			heard, err := out.ListenPacket("udp", c.to)
			if err != nil {
				t.Fatal(err)
			}
			defer heard.Close()
			asks, err := h.DialFrom(t.Context(), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(c.from)), "udp", c.to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := asks.Write([]byte("asked")); err != nil {
				t.Fatal(err)
			}
			heard.SetDeadline(time.Now().Add(ovstest.Patience))
			_, from, err := heard.ReadFrom(make([]byte, 100))
			if err != nil {
				t.Fatal(err)
			}
			asks.Close() // nobody is there for the answers
			w := wire(t, out)
			if _, err := heard.WriteTo([]byte("answer"), from); err != nil {
				t.Fatal(err)
			}
			as := netip.MustParseAddrPort(from.String()).Addr()
			ovstest.Eventually(t, "an error from "+as.String(), func() error {
				for {
					select {
					case f := <-w.Frames():
						src, quoted, ok := icmpError(f)
						if own := netip.MustParseAddrPort(c.from).Addr(); src == own {
							t.Fatalf("a packet has left untranslated: %x", f)
						}
						if ok && src == as && quoted == as {
							return nil
						}
					default:
						return errors.New("none so far")
					}
				}
			})
		})
	}
}

// icmpError returns the source of an IP packet; and, of one that says that a port is unreachable,
// the destination of the packet that it quotes.
func icmpError(f []byte) (src, quoted netip.Addr, ok bool) {
	switch {
	case len(f) > 34 && f[12] == 8 && f[13] == 0:
		src = netip.AddrFrom4([4]byte(f[26:]))
		if ok = len(f) >= 62 && f[23] == 1 && f[34] == 3; ok {
			quoted = netip.AddrFrom4([4]byte(f[58:]))
		}
	case len(f) > 54 && f[12] == 0x86 && f[13] == 0xdd:
		src = netip.AddrFrom16([16]byte(f[22:]))
		if ok = len(f) >= 102 && f[20] == 58 && f[54] == 1; ok {
			quoted = netip.AddrFrom16([16]byte(f[86:]))
		}
	}
	return src, quoted, ok
}
