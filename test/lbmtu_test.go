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

	"weir/api"
	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// mtuModel has a client h1 and a backend h2 behind the router, h4 and h5 on a link without a gateway, and load balancers for h2 and h5
// there and outside. What has an address that ends in 50 is not the backend itself, but a host behind it.
var mtuModel = pathMTUModel[:strings.Index(pathMTUModel, "---\napiVersion: weir/v1\nkind: Tenant")] +
	tenant("t", "", `{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}`) +
	object("Network", "name: link, tenant: t", `subnets: [{cidr: 10.3.1.0/24}, {cidr: "fd00:3::/64"}]`) +
	endpoint("t", "h1", 1, `10.1.1.11, "fd00:1::11"`) + endpoint("t", "h2", 2, `10.1.1.12, "fd00:1::12", 10.1.1.50, "fd00:1::50"`) +
	onLink(4, "") + onLink(5, `, 10.3.1.50, "fd00:3::50"`) +
	mtuBalancer("outside", "203.0.113.64", "endpoint: h2, ip: 10.1.1.12", "") + mtuBalancer("outside6", "2001:db8::64", `endpoint: h2, ip: "fd00:1::12"`, "") +
	mtuBalancer("gateway", "203.0.113.65", "endpoint: h2, ip: 10.1.1.12", ", snat: always") + mtuBalancer("gateway6", "2001:db8::65", `endpoint: h2, ip: "fd00:1::12"`, ", snat: always") +
	mtuBalancer("deep-out", "203.0.113.66", "endpoint: h2, ip: 10.1.1.50", "") + mtuBalancer("deep-out6", "2001:db8::66", `endpoint: h2, ip: "fd00:1::50"`, "") +
	mtuBalancer("deep", "10.1.1.66", "endpoint: h2, ip: 10.1.1.50", "") + mtuBalancer("deep6", "fd00:1::66", `endpoint: h2, ip: "fd00:1::50"`, "") +
	mtuBalancer("deep-gateway", "10.1.1.67", "endpoint: h2, ip: 10.1.1.50", ", snat: always") +
	mtuBalancer("link", "10.3.1.66", "endpoint: h5, ip: 10.3.1.50", "") + mtuBalancer("link6", "fd00:3::66", `endpoint: h5, ip: "fd00:3::50"`, "") +
	policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [8080]}")

func onLink(number int, more string) string {
	return object("Endpoint", fmt.Sprintf("name: h%d, tenant: t", number),
		fmt.Sprintf(`network: link, bind: {ifaceID: h%d}, mac: %q, ips: [10.3.1.%d, "fd00:3::%d"%s]`, number, mac(number), 10+number, 10+number, more))
}

func mtuBalancer(name, address, backend, more string) string {
	return balancer(name, fmt.Sprintf("address: %q, ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [{%s}]%s", address, backend, more))
}

// TestPathMTUThroughLoadBalancers has a backend and its client send large segments over a router whose next link is too small for
// them: one beyond the outside, and one that is the backend's own. What it says of that comes to who has sent them, from and about
// the addresses that he knows: the transfer completes, and the route has the smaller MTU.
func TestPathMTUThroughLoadBalancers(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	h4 := n.Host("h4", mac(4), []string{"10.3.1.14/24", "fd00:3::14/64"})
	h5 := n.Host("h5", mac(5), []string{"10.3.1.15/24", "fd00:3::15/64"})
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	far := n.Host("far", mac(8), nil)
	deep, deeper := n.Host("deep", mac(6), nil), n.Host("deeper", mac(7), nil)
	const mtu = 1300 // IPv6 has at least 1,280
	beyond(t, out, far, mtu)
	behindHost(t, h2, deep, mtu, "10.1.1.50", "fd00:1::50")
	behindHost(t, h5, deeper, mtu, "10.3.1.50", "fd00:3::50")
	n.Run(mtuModel)
	for i, c := range []struct {
		name    string
		client  *sandbox.Host
		public  string
		server  *sandbox.Host
		at      string
		answers bool // it is the server that sends much
		sender  *sandbox.Host
		to      string // whom the sender knows; "": the client's own address
		quoted  bool   // the destination that the error quotes has to be put back
	}{
		{"a backend, to a client outside", far, "203.0.113.64", h2, "10.1.1.12", true, h2, "", false},
		{"a backend, to a client outside, IPv6", far, "2001:db8::64", h2, "fd00:1::12", true, h2, "", false},
		{"a backend that sees its gateway", far, "203.0.113.65", h2, "10.1.1.12", true, h2, "10.1.1.1", true},
		{"a backend that sees its gateway, IPv6", far, "2001:db8::65", h2, "fd00:1::12", true, h2, "fd00:1::1", true},
		{"a client outside", out, "203.0.113.66", deep, "10.1.1.50", false, out, "203.0.113.66", true},
		{"a client outside, IPv6", out, "2001:db8::66", deep, "fd00:1::50", false, out, "2001:db8::66", true},
		{"a client inside", h1, "10.1.1.66", deep, "10.1.1.50", false, h1, "10.1.1.66", true},
		{"a client inside, IPv6", h1, "fd00:1::66", deep, "fd00:1::50", false, h1, "fd00:1::66", true},
		{"a client inside, of a backend that sees its gateway", h1, "10.1.1.67", deep, "10.1.1.50", false, h1, "10.1.1.67", true},
		{"a client on a link", h4, "10.3.1.66", deeper, "10.3.1.50", false, h4, "10.3.1.66", true},
		{"a client on a link, IPv6", h4, "fd00:3::66", deeper, "fd00:3::50", false, h4, "fd00:3::66", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			public := ovstest.Addr(c.public)
			var from netip.Addr
			if c.client == far {
				from = farAddr(i+1, public.Is6())
			}
			near, away := bothEnds(t, c.client, from, netip.AddrPortFrom(public, 80).String(), c.server, net.JoinHostPort(c.at, "8080"))
			sent, heard, to := near, away, c.to
			if c.answers {
				sent, heard = away, near
			}
			if to == "" {
				to = from.String()
			}
			if c.quoted && public.Is6() && has(t, n, quirk.ICMPv6Quotes) {
				quotedWrongly(t, wire(t, c.sender), sent)
				return
			}
			if err := transfer(sent, heard); err != nil {
				t.Error(err)
			}
			route, err := c.sender.Exec(t.Context(), "ip", "route", "get", to)
			if err != nil || !strings.Contains(route, fmt.Sprint("mtu ", mtu)) {
				t.Errorf("%s has heard of no MTU to %s: %q, %v", c.sender.Name, to, route, err)
			}
		})
	}
}

// quotedWrongly fails unless who sends much hears that it is too large in errors that quote another source than its own.
func quotedWrongly(t *testing.T, w *sandbox.Wire, sent net.Conn) {
	t.Helper()
	own := netip.MustParseAddrPort(sent.LocalAddr().String()).Addr()
	sent.SetDeadline(time.Now().Add(ovstest.Patience))
	go sent.Write(make([]byte, 300_000)) // it ends with the connection
	ovstest.Eventually(t, "an error that quotes somebody else", func() error {
		if !sees(w, func(f []byte) bool {
			return icmpv6Type(2)(f) && len(f) >= 86 && netip.AddrFrom16([16]byte(f[38:])) == own && netip.AddrFrom16([16]byte(f[70:])) != own
		}) {
			return errors.New("none so far")
		}
		return nil
	})
}

// has reports whether a quirk is in force on a net's bridge, as weir status says.
func has(t *testing.T, n *ovstest.Net, id quirk.ID) bool {
	t.Helper()
	s, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(s.Bridges[0].Quirks, func(q api.Reason) bool { return q.ID == string(id) })
}

// behindHost has a host with addresses that are its router's to the bridge, on a link with an MTU.
func behindHost(t *testing.T, router, host *sandbox.Host, mtu int, addresses ...string) {
	t.Helper()
	if err := router.Link(host, "e1", mtu); err != nil {
		t.Fatal(err)
	}
	run := func(h *sandbox.Host, command string) {
		if text, err := h.Exec(t.Context(), "sh", "-c", command); err != nil {
			t.Fatalf("%s: %v: %s", command, err, text)
		}
	}
	run(router, "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; ip addr add 172.16.0.1/24 dev e1; ip addr add fe80::1/64 dev e1 nodad")
	run(host, "ip addr add 172.16.0.2/24 dev e1")
	for _, a := range addresses {
		run(host, "ip addr add "+a+" dev e1 "+map[bool]string{true: "nodad"}[strings.Contains(a, ":")])
		run(router, "ip route add "+a+" dev e1")
	}
	run(host, "ip route add default via 172.16.0.1; ip -6 route add default via fe80::1 dev e1")
}
