package test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// martianModel lets everybody in: to a floating IP, a forwarded port, a load balancer, and one that rejects. h2 may
// send from any address.
var martianModel = strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"2001:db8::9\", address: \"2001:db8::2\"}, ", 1) +
	tenant("t", "defaults: {ingress: allow}", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
	endpoint("t", "h1", 1, "10.1.1.11, \"fd00:1::11\"") + strings.Replace(endpoint("t", "h2", 2, "10.1.1.12, \"fd00:1::12\""), "ips:", "trusted: true, ips:", 1) +
	floatingIP("four", "203.0.113.20", "h1") + floatingIP("six", "\"2001:db8::20\"", "h1") + snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"]") +
	portForward("range", "address: 203.0.113.10, port: 6000-6010, protocol: udp, to: {endpoint: h1}") +
	balancer("shop", "address: 203.0.113.40, ports: [{port: 6000, protocol: udp}], backends: [{endpoint: h1}]") +
	balancer("shut", "address: 203.0.113.41, ports: [{port: 6000, protocol: udp}], backends: [{endpoint: h1, weight: 0}], whenEmpty: reject")

// martianNet is a net with what martianModel has.
func martianNet(t *testing.T) (n *ovstest.Net, h1, h2, out *sandbox.Host) {
	t.Helper()
	n = ovstest.New(t)
	h1 = n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 = n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	out = n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64"}, "203.0.113.2", "2001:db8::2")
	n.Run(martianModel)
	return n, h1, h2, out
}

// Who cannot be outside: no host has the first ones, and the router the last.
var (
	martians4 = []string{"0.0.0.0", "0.0.0.7", "127.0.0.1", "224.0.0.5", "239.1.1.1", "240.0.0.1", "255.255.255.255", "203.0.113.2", "203.0.113.10", "203.0.113.20", "203.0.113.40"}
	martians6 = []string{"::", "::1", "ff02::5", "::ffff:198.51.100.7", "2001:db8::2", "2001:db8::10", "2001:db8::20"}
)

// martians are datagrams to each of some addresses from each of those who cannot be there.
func martians(from int, router net.HardwareAddr, to ...string) (all []packet) {
	for _, dst := range to {
		sources, ask := martians4, udp(from, 0, 5000, 6000)
		if strings.Contains(dst, ":") {
			sources, ask = martians6, ask.over6()
		}
		for _, src := range sources {
			all = append(all, ask.between(src, dst, router))
		}
	}
	return all
}

// spoofed is how many packets have been dropped for their source.
func spoofed(n *ovstest.Net) uint64 {
	return n.Packets(func(f ofproto.Flow) bool {
		return f.Table == pipeline.Drop && strings.Contains(f.Match.String(), fmt.Sprintf("reg11=%#x", uint32(pipeline.Spoofed)))
	})
}

// TestNothingComesFromWhereNobodyIs sends from addresses that nobody outside can have, to all kinds of what is reached there,
// and from those that nobody has from inside. Nothing comes to anybody, and nothing is said back.
func TestNothingComesFromWhereNobodyIs(t *testing.T) {
	n, h1, h2, out := martianNet(t)
	outside, inside, trusted := wire(t, out), wire(t, h1), wire(t, h2)
	router, err := net.ParseMAC(routerMAC(t, out, "203.0.113.2"))
	if err != nil {
		t.Fatal(err)
	}
	before, serial := spoofed(n), uint16(7000)
	send := func(w *sandbox.Wire, all ...packet) {
		for _, p := range all {
			serial++
			if err := w.Send(p.frame(t, serial)); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := martians(9, router, "203.0.113.20", "203.0.113.10", "203.0.113.40", "203.0.113.41", "203.0.113.2", "2001:db8::20", "2001:db8::2")
	send(outside, all...)
	for _, src := range []string{"127.0.0.1", "203.0.113.20"} {
		all = append(all, icmp(9, 0, 8, 0, []byte("ping")).between(src, "203.0.113.2", router))
		send(outside, all[len(all)-1])
	}
	fromInside := 0
	for _, src := range martians4[:7] {
		send(trusted, udp(2, 0, 5000, 6000).between(src, "203.0.113.20", net.HardwareAddr(pipeline.RouterMAC[:])))
		fromInside++
	}
	ovstest.Eventually(t, "all are counted as spoofed", func() error {
		if got, want := spoofed(n)-before, uint64(len(all)+fromInside); got != want {
			return fmt.Errorf("%d of %d are", got, want)
		}
		return nil
	})
	serial++
	honest := serial
	if err := outside.Send(udp(9, 0, 5000, 6000).between("203.0.113.1", "203.0.113.20", router).frame(t, honest)); err != nil {
		t.Fatal(err)
	}
	ovstest.Eventually(t, "who is there comes in", func() error {
		for {
			select {
			case f := <-inside.Frames():
				for s := uint16(7001); s < honest; s++ {
					if carries(s)(f) {
						t.Errorf("packet %d came to h1: %x", s, f)
					}
				}
				if carries(honest)(f) {
					return nil
				}
			default:
				return fmt.Errorf("it has not")
			}
		}
	})
	if sees(outside, func(f []byte) bool { return len(f) > 34 && f[12] == 8 && f[13] == 0 && f[23] == 1 && f[34] != 3 }) {
		t.Error("a ping was answered")
	}
	if udp := ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "udp"); len(udp) != 1 {
		t.Errorf("%d connections of UDP are known, want that of who is there: %v", len(udp), udp)
	}
}

// TestAStormBesideMartians has connections go on from outside, inside and by addresses outside, while martians come, and an
// address comes and goes.
func TestAStormBesideMartians(t *testing.T) {
	n, h1, h2, out := martianNet(t)
	router, err := net.ParseMAC(routerMAC(t, out, "203.0.113.2"))
	if err != nil {
		t.Fatal(err)
	}
	w := wire(t, out)
	s := newStorm(t,
		stormPath{name: "floating IP in", from: out, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		stormPath{name: "floating IP in, IPv6", from: out, address: "[2001:db8::20]:80", to: h1, at: "[fd00:1::11]:80"},
		stormPath{name: "SNAT", from: h2, address: "203.0.113.1:80", to: out},
		stormPath{name: "floating IP, tenant", from: h2, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		stormPath{name: "floating IP, itself", from: h1, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
	)
	calm, _ := s.blow(t, n, stormTime(t)/2, func(edit int) {
		for i, p := range martians(9, router, "203.0.113.20", "2001:db8::20") {
			if err := w.Send(p.frame(t, uint16(i))); err != nil {
				t.Error(err)
			}
		}
		n.Weir.Apply(martianModel + []string{portForward("more", "address: 203.0.113.21, port: 7000, protocol: udp, to: {endpoint: h2}"), ""}[edit%2])
	})
	if calm.often() {
		t.Error("ovs-vswitchd is asked too often")
	}
}
