package reference_test

import (
	"net/netip"
	"slices"
	"testing"

	"weir/intent"
	"weir/internal/reference"
)

// fates has one tenant with what an address can stand for.
const fates = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br-int}
spec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24, address: 203.0.113.2}]}}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: t}
spec: {defaults: {ingress: deny, egress: allow, strictTCP: true}}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: t}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: h1, tenant: t}
spec: {network: lan, bind: {ifaceID: h1}, mac: "02:00:00:00:00:01", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: h2, tenant: t}
spec: {network: lan, bind: {ifaceID: h2}, mac: "02:00:00:00:00:02", ips: [10.1.0.12]}
---
apiVersion: weir/v1
kind: SNAT
metadata: {name: out, tenant: t}
spec: {from: {endpoints: [h1]}, addresses: [203.0.113.10]}
---
apiVersion: weir/v1
kind: LoadBalancer
metadata: {name: shop, tenant: t}
spec: {address: 10.1.0.100, ports: [{protocol: tcp, port: 80}], backends: [{endpoint: h2, weight: 0}]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: p, tenant: t}
spec:
  rules:
  - {name: web, direction: ingress, action: allow, protocol: tcp, ports: [80]}
  - {name: ssh, direction: ingress, action: deny, protocol: tcp, ports: [22]}
  - {name: mail, direction: ingress, action: reject, protocol: tcp, ports: [25]}
`

// TestFates names what becomes of frames: the one cause of what can only be dropped, and who gets what passes.
func TestFates(t *testing.T) {
	m, err := intent.Read(intent.Source{Name: "fates.yaml", Data: []byte(fates)})
	if err != nil {
		t.Fatal(err)
	}
	h1, h2, other := intent.MAC{2, 0, 0, 0, 0, 1}, intent.MAC{2, 0, 0, 0, 0, 2}, intent.MAC{2, 0, 0, 0, 0, 9}
	syn := func(port, src, dst string, to uint16) reference.Frame {
		return reference.Frame{Packet: reference.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Protocol: reference.TCP, SrcPort: 4000, DstPort: to},
			Port: port, By: h1, For: h2, Opens: true, Life: 3}
	}
	routed := func(f reference.Frame) reference.Frame {
		f.Router = true
		return f
	}
	not := func(f reference.Frame, change func(*reference.Frame)) reference.Frame {
		change(&f)
		return f
	}
	for _, c := range []struct {
		name   string
		frame  reference.Frame
		passes bool
		causes []reference.Cause
	}{
		{"an allowed port", syn("h1", "10.1.0.11", "10.1.0.12", 80), true, nil},
		{"a denied port", syn("h1", "10.1.0.11", "10.1.0.12", 22), false, []reference.Cause{reference.ByRule}},
		{"a rejected port", syn("h1", "10.1.0.11", "10.1.0.12", 25), false, []reference.Cause{reference.ByReject}},
		{"a port that no rule names", syn("h1", "10.1.0.11", "10.1.0.12", 23), false, []reference.Cause{reference.ByDefault}},
		{"somebody else's address", syn("h1", "10.1.0.12", "10.1.0.11", 80), false, []reference.Cause{reference.Spoofed}},
		{"somebody else's MAC", not(syn("h1", "10.1.0.11", "10.1.0.12", 80), func(f *reference.Frame) { f.By = other }), false, []reference.Cause{reference.Spoofed}},
		{"a MAC that nobody has", not(syn("h1", "10.1.0.11", "10.1.0.12", 80), func(f *reference.Frame) { f.For = other }), false, []reference.Cause{reference.NobodyOnLink}},
		{"a port of nobody's", syn("h9", "10.1.0.11", "10.1.0.12", 80), false, []reference.Cause{reference.Unbound}},
		{"no SYN", not(syn("h1", "10.1.0.11", "10.1.0.12", 80), func(f *reference.Frame) { f.Opens = false }), true, []reference.Cause{reference.InvalidPacket, reference.NotSYN}},
		{"a load balancer without backends", routed(syn("h1", "10.1.0.11", "10.1.0.100", 80)), false, []reference.Cause{reference.NoBackend}},
		{"a port of no load balancer", routed(syn("h1", "10.1.0.11", "10.1.0.100", 81)), false, []reference.Cause{reference.NotServed}},
		{"out, as nobody", routed(not(syn("h2", "10.1.0.12", "203.0.113.1", 80), func(f *reference.Frame) { f.By = h2 })), false, []reference.Cause{reference.NotTranslated, reference.NoNeighbour}},
		{"out, through an SNAT", routed(syn("h1", "10.1.0.11", "203.0.113.1", 80)), true, []reference.Cause{reference.NoPortLeft, reference.NoNeighbour}},
		{"in, for nobody's address", routed(syn("eth1", "203.0.113.1", "203.0.113.77", 80)), false, []reference.Cause{reference.NotOurs}},
		{"in, from nowhere", routed(syn("eth1", "127.0.0.1", "203.0.113.10", 80)), false, []reference.Cause{reference.Spoofed}},
		{"in, not for the router", syn("eth1", "203.0.113.1", "203.0.113.10", 80), false, []reference.Cause{reference.NotOurs}},
	} {
		w := reference.FateOf(m, c.frame)
		if w.Passes != c.passes || !slices.Equal(w.Causes, c.causes) {
			t.Errorf("%s: passes: %v, causes %q; want %v, %q", c.name, w.Passes, w.Causes, c.passes, c.causes)
		}
	}
}
