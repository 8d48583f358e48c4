package test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// TestPathMTUToBackendsOutside has clients send large segments to backends behind a router outside, whose link
// is too small for them. What the router says comes back by both translations.
func TestPathMTUToBackendsOutside(t *testing.T) {
	const mtu = 1300
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::1/64"})
	n.Host("h2", mac(2), nil)
	n.Host("h5", mac(5), nil)
	far := n.Host("far", mac(8), nil)
	beyond(t, out, far, mtu)
	var all []string
	for i, address := range []string{"10.1.1.64", "203.0.113.64", "fd00:1::64", "2001:db8::64"} {
		all = append(all, balancer(fmt.Sprint("l", i), fmt.Sprintf("address: %q, ports: [{port: 90, protocol: tcp, targetPort: 80}], backends: [{address: %q}]", address, farAddr(i+1, i > 1))))
	}
	n.Run(outwardModel(all...))
	for i, address := range []string{"10.1.1.64", "203.0.113.64", "fd00:1::64", "2001:db8::64"} {
		t.Run(address, func(t *testing.T) {
			if i > 1 && !n.Kernel() {
				t.Skip("the userspace datapath changes what is quoted (" + string(quirk.ICMPv6Quotes) + ")")
			}
			sent, heard := bothEnds(t, h1, netip.Addr{}, net.JoinHostPort(address, "90"), far, netip.AddrPortFrom(farAddr(i+1, i > 1), 80).String())
			if err := transfer(sent, heard); err != nil {
				t.Error(err)
			}
			route, err := h1.Exec(t.Context(), "ip", "route", "get", address)
			if err != nil || !strings.Contains(route, fmt.Sprint("mtu ", mtu)) {
				t.Errorf("h1 has heard of no MTU: %q, %v", route, err)
			}
		})
	}
}

// TestBackendsOutsideThatSayNoOrNothing sends datagrams to a backend outside that has nobody at the port, which
// is told, and to one that never answers, which gets all of them from one port, as does nobody else.
func TestBackendsOutsideThatSayNoOrNothing(t *testing.T) {
	ports := ", ports: [{port: 53, protocol: udp, targetPort: 5353}, {port: 54, protocol: udp, targetPort: 5354}], backends: [{address: %s}, {address: %s}]"
	four, six := fmt.Sprintf(ports, "203.0.113.7", "198.51.100.7"), fmt.Sprintf(ports, `"2001:db8::7"`, `"2001:db8:7::7"`)
	_, h1, _, h5, out := abroad(t, outwardModel(balancer("in", "address: 10.1.1.64"+four), balancer("out", "address: 203.0.113.64"+four),
		balancer("in6", `address: "fd00:1::64"`+six), balancer("out6", `address: "2001:db8::64"`+six)))
	reaches(t, h1, "203.0.113.7", "2001:db8::7")
	heard := make(chan string, 100)
	for _, a := range slices.Concat(backendsAbroad[true], backendsAbroad[false]) {
		c := listenUDP(t, out, net.JoinHostPort(a, "5353"))
		go func() {
			for {
				_, from, err := c.ReadFrom(make([]byte, 100))
				if err != nil {
					return
				}
				heard <- fmt.Sprint(a, " from ", from)
			}
		}()
	}
	for _, w := range []struct {
		from        *sandbox.Host
		address, as string
	}{
		{h1, "10.1.1.64", "203.0.113.10"}, {h1, "203.0.113.64", "203.0.113.64"}, {out, "203.0.113.64", "203.0.113.64"}, {h5, "203.0.113.64", "203.0.113.64"},
		{h1, "fd00:1::64", "2001:db8::10"}, {h1, "2001:db8::64", "2001:db8::64"}, {out, "2001:db8::64", "2001:db8::64"}, {h5, "2001:db8::64", "2001:db8::64"},
	} {
		t.Run(w.from.Name+" "+w.address, func(t *testing.T) {
			refusedUDP(t, w.from, net.JoinHostPort(w.address, "54"))
			c, err := w.from.Dial(t.Context(), "udp", net.JoinHostPort(w.address, "53"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got := map[string]int{}
			for range 5 {
				if _, err := c.Write([]byte("nobody answers")); err != nil {
					t.Fatal(err)
				}
				select {
				case who := <-heard:
					got[who]++
				case <-time.After(ovstest.Patience):
					t.Fatalf("heard: %v", got)
				}
			}
			if len(got) != 1 || !strings.Contains(fmt.Sprint(got), "from "+strings.TrimSuffix(net.JoinHostPort(w.as, ""), ":")+":") {
				t.Errorf("heard: %v, want all from a port of %s", got, w.as)
			}
		})
	}
}
