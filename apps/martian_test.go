package apps

import (
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// martianTenants are two that let everybody in. What is at an address of blue's outside is one kind of thing
// each.
var martianTenants = []string{
	crossingTenant("blue", "", 1),
	crossingObject("blue", "Policy", "in", "rules: [{name: any, direction: ingress, action: allow}]"),
	crossingObject("blue", "LoadBalancer", "shop", "address: 203.0.113.40, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h1}]"),
	crossingObject("blue", "LoadBalancer", "shut", "address: 203.0.113.44, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h1, weight: 0}], whenEmpty: reject"),
	crossingObject("blue", "FloatingIP", "ip", "address: 203.0.113.41, endpoint: h1"),
	crossingObject("blue", "FloatingIP", "ip6", `address: "2001:db8::41", endpoint: h1`),
	crossingObject("blue", "PortForward", "web", "address: 203.0.113.42, port: 80, protocol: tcp, to: {endpoint: h1, port: 80}"),
	crossingObject("blue", "SNAT", "out", `addresses: [203.0.113.43, "2001:db8::43"]`),
	strings.ReplaceAll(strings.ReplaceAll(crossingTenant("red", "", 2), "10.1.0.", "10.2.0."), "fd00:1:", "fd00:2:"),
	crossingObject("red", "Policy", "in", "rules: [{name: any, direction: ingress, action: allow}]"),
	crossingObject("red", "SNAT", "out", "addresses: [203.0.113.48-203.0.113.51], shared: true"),
	crossingObject("red", "FloatingIP", "ip", "address: 203.0.113.53, endpoint: h2"),
}

// withAddress is crossedBridge, where the router has an address of its own.
var withAddress = strings.Replace(crossedBridge, "gateway: 203.0.113.1}", "gateway: 203.0.113.1, address: 203.0.113.2}", 1)

// TestNobodyComesFromWhereNobodyIs has somebody outside send from addresses that no host has, and from those that the
// router has there: nothing of it is let in, remembered or answered, whatever is at the address that he asks.
func TestNobodyComesFromWhereNobodyIs(t *testing.T) {
	p := passageOn(t, withAddress, martianTenants...)
	asked := map[bool][]string{true: {"203.0.113.40", "203.0.113.41", "203.0.113.42", "203.0.113.43", "203.0.113.44", "203.0.113.2"}, false: {"2001:db8::41", "2001:db8::43"}}
	for _, src := range []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "ff02::1", "ff0e::7", "::ffff:198.51.100.7", "::ffff:127.0.0.1",
		"203.0.113.2", "203.0.113.40", "203.0.113.41", "203.0.113.42", "203.0.113.43", "203.0.113.44", "203.0.113.48", "203.0.113.51", "203.0.113.53", "2001:db8::41", "2001:db8::43",
	} {
		for _, dst := range asked[netip.MustParseAddr(src).Is4()] {
			if trace := p.comes(src, dst, 40000); !spoofed(trace) {
				t.Errorf("from %s to %s: leaves by %v, %d connections\n%s", src, dst, delivered(trace), len(trace.Commits), stepsOf(trace))
			}
		}
	}
	for _, c := range []struct{ src, dst, to string }{
		{"1.0.0.0", "203.0.113.41", "blue-h1"}, {"126.255.255.255", "203.0.113.41", "blue-h1"}, {"128.0.0.0", "203.0.113.40", "blue-h1"}, {"223.255.255.255", "203.0.113.42", "blue-h1"},
		{"203.0.113.1", "203.0.113.41", "blue-h1"}, {"203.0.113.52", "203.0.113.41", "blue-h1"}, {"203.0.113.45", "203.0.113.53", "red-h2"},
		{"::2", "2001:db8::41", "blue-h1"}, {"64:ff9b::1", "2001:db8::41", "blue-h1"}, {"2001:db8::42", "2001:db8::41", "blue-h1"}, {"feff::1", "2001:db8::41", "blue-h1"},
	} {
		if trace := p.comes(c.src, c.dst, 40000); !p.comesBy(trace, c.to) {
			t.Errorf("from %s to %s: leaves by %v, not by %s\n%s", c.src, c.dst, delivered(trace), c.to, stepsOf(trace))
		}
	}
}

// spoofed reports whether nothing has come of a packet, and that is counted as it should be.
func spoofed(trace *flowsim.Trace) bool {
	last := trace.Steps[len(trace.Steps)-1]
	return len(trace.Outputs) == 0 && len(trace.Commits) == 0 && pipeline.Reason(last.Regs[11]) == pipeline.Spoofed
}

// TestThoseInsideAreAtAddressesOutside has one tenant come to another, and to itself, by addresses
// outside. What the other sees is one of those that nobody has who comes by the outside's port.
func TestThoseInsideAreAtAddressesOutside(t *testing.T) {
	p := passageOn(t, withAddress, martianTenants...)
	for _, c := range []struct{ host, src, dst, to string }{
		{"red-h1", "10.2.0.11", "203.0.113.41", "blue-h1"}, // by what is shared
		{"red-h2", "10.2.0.12", "203.0.113.40", "blue-h1"}, // by a floating IP
		{"blue-h1", "10.1.0.11", "203.0.113.41", "blue-h1"},
		{"blue-h1", "10.1.0.11", "203.0.113.53", "red-h2"},
		{"blue-h1", "fd00:1::11", "2001:db8::41", "blue-h1"},
	} {
		if trace := p.says(c.host, c.src, c.dst, 1024); !p.comesBy(trace, c.to) {
			t.Errorf("from %s to %s: leaves by %v, not by %s\n%s", c.host, c.dst, delivered(trace), c.to, stepsOf(trace))
		}
	}
	if answer := p.hears(t, p.says("blue-h1", "10.1.0.11", "198.51.100.7", 1025)); !p.comesBy(answer, "blue-h1") {
		t.Errorf("an answer leaves by %v\n%s", delivered(answer), stepsOf(answer))
	}
}

// TestWhoHasNoAddressYetIsHeard has hosts on the link ask from the unspecified address whether anybody has one: that is
// how they find out (RFC 5227, 2.1.1; RFC 4862, 5.4.2). A ping from there is not answered.
func TestWhoHasNoAddressYetIsHeard(t *testing.T) {
	p := passageOn(t, withAddress, martianTenants...)
	router := pipeline.ExternalSite{External: p.in.Model.Bridges()[0].Externals[0]}.RouterMAC()
	frame := func(to [6]byte, conds ...ofproto.Cond) *flowsim.Trace {
		return p.sim.Send(flowsim.Of(append(conds, ofproto.Is(ofproto.InPort, portOn(p.in, "out")),
			ofproto.IsMAC(ofproto.EthSrc, [6]byte{2, 0, 0, 0, 0xff, 7}), ofproto.IsMAC(ofproto.EthDst, to))...), &p.ct)
	}
	probe := frame([6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ofproto.IsARP, ofproto.Is(ofproto.ARPOp, 1),
		ofproto.Is(ofproto.ARPSPA, 0), ofproto.IsAddr(ofproto.ARPTPA, netip.MustParseAddr("203.0.113.41")))
	solicitation := []ofproto.Cond{
		ofproto.IsIPv6, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMPv6), ofproto.Is(ofproto.ICMPv6Type, pipeline.NdNS),
		ofproto.IsAddr(ofproto.IPv6Src, netip.IPv6Unspecified()), ofproto.IsAddr(ofproto.IPv6Dst, netip.MustParseAddr("ff02::1:ff00:41")),
		ofproto.IsAddr(ofproto.NDTarget, netip.MustParseAddr("2001:db8::41")),
	}
	for name, trace := range map[string]*flowsim.Trace{"ARP": probe, "ND": frame([6]byte{0x33, 0x33, 0xff, 0, 0, 0x41}, solicitation...), "ND to the router alone": frame(router, solicitation...)} {
		if !p.comesBy(trace, "out") {
			t.Errorf("%s: who asks for an address of the router's from none hears nothing\n%s", name, stepsOf(trace))
		}
	}
	for src, answered := range map[string]bool{"203.0.113.5": true, "0.0.0.0": false, "127.0.0.1": false, "203.0.113.41": false, "203.0.113.2": false} {
		for _, dst := range []string{"203.0.113.2", "203.0.113.40"} {
			trace := frame(router, ofproto.IsIPv4, ofproto.Is(ofproto.IPProto, pipeline.ProtoICMP), ofproto.Is(ofproto.ICMPv4Type, 8), ofproto.Is(ofproto.IPTTL, 64),
				ofproto.IsAddr(ofproto.IPv4Src, netip.MustParseAddr(src)), ofproto.IsAddr(ofproto.IPv4Dst, netip.MustParseAddr(dst)))
			if p.comesBy(trace, "out") != answered || !answered && !spoofed(trace) {
				t.Errorf("a ping from %s to %s is answered: %v\n%s", src, dst, !answered, stepsOf(trace))
			}
		}
	}
}

// TestAnAddressOfOneOutsideMayComeByAnother has a network that is reached as it is: what it sends may leave by one
// outside, and come back by the other to an address there. Of each outside, the addresses that the router has on it
// do not come by it.
func TestAnAddressOfOneOutsideMayComeByAnother(t *testing.T) {
	bridge := `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec:
  external:
  - {network: public, port: out, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}], prefixes: [198.51.100.0/28]}
  - {network: partner, port: out2, subnets: [{cidr: 192.0.2.0/24, gateway: 192.0.2.1}]}
`
	p := passageOn(t, bridge, crossingTenant("blue", "", 1), crossingObject("blue", "Policy", "in", "rules: [{name: any, direction: ingress, action: allow}]"),
		crossingObject("blue", "FloatingIP", "here", "address: 203.0.113.41, endpoint: h1"), crossingObject("blue", "PortForward", "routed", "address: 198.51.100.3, port: 80, protocol: tcp, to: {endpoint: h1}"),
		crossingObject("blue", "PortForward", "there", "address: 192.0.2.41, port: 80, protocol: tcp, to: {endpoint: h1}"))
	asked := map[string]string{"out": "203.0.113.41", "out2": "192.0.2.41"}
	for src, by := range map[string]string{"203.0.113.2": "out2", "203.0.113.41": "out2", "198.51.100.3": "out2", "198.51.100.4": "out out2", "192.0.2.41": "out"} {
		for i, port := range []string{"out", "out2"} {
			to := pipeline.ExternalSite{External: p.in.Model.Bridges()[0].Externals[i]}.RouterMAC()
			trace := p.sim.Send(segmentOf(portOn(p.in, port), [6]byte{2, 0, 0, 0, 0xff, 1}, to, flowsim.Tuple{
				Protocol: 6, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(asked[port]), SrcPort: 40000, DstPort: 80}), &p.ct)
			if want := strings.Contains(" "+by+" ", " "+port+" "); p.comesBy(trace, "blue-h1") != want || !want && !spoofed(trace) {
				t.Errorf("from %s by %s: comes to %v, want %v\n%s", src, port, delivered(trace), want, stepsOf(trace))
			}
		}
	}
}

// TestWhoMaySendFromAnywhereDoesNotSendFromNowhere has endpoints whose source nobody checks send from addresses that no host
// has: not to the router, and so not to its load balancers.
func TestWhoMaySendFromAnywhereDoesNotSendFromNowhere(t *testing.T) {
	objects := append([]string{
		crossingTenant("green", "defaults: {egress: allow, ingress: allow}", 1), crossingObject("green", "SNAT", "out", `addresses: [203.0.113.60, "2001:db8::60"]`),
		crossingObject("green", "Endpoint", "h2", `network: net, bind: {port: green-h2}, mac: "02:00:00:00:00:12", ips: [10.1.0.12, "fd00:1::12"], trusted: true`),
		crossingObject("green", "Endpoint", "h3", `network: net, bind: {port: green-h3}, mac: "02:00:00:00:00:13"`),
		crossingObject("green", "LoadBalancer", "shut", "address: 10.1.0.40, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h1, weight: 0}], whenEmpty: reject"),
	}, martianTenants...)
	p := passageOn(t, withAddress, objects...)
	for _, host := range []string{"green-h2", "green-h3"} {
		for _, src := range []string{"0.0.0.0", "0.0.0.7", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1", "::ffff:10.1.0.11"} {
			for _, dst := range []string{"198.51.100.7", "203.0.113.41", "10.1.0.40", "2001:db8::41", "2001:db8:7::1"} {
				if netip.MustParseAddr(src).Is4() != netip.MustParseAddr(dst).Is4() {
					continue
				}
				if trace := p.says(host, src, dst, 1024); !spoofed(trace) {
					t.Errorf("%s from %s to %s: leaves by %v\n%s", host, src, dst, delivered(trace), stepsOf(trace))
				}
			}
		}
		if trace := p.says(host, "10.1.0.77", "203.0.113.41", 1024); !p.comesBy(trace, "blue-h1") {
			t.Errorf("%s from an address of its network: leaves by %v\n%s", host, delivered(trace), stepsOf(trace))
		}
	}
}
