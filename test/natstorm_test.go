package test

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// natStormModel has SNATs and floating IPs in both versions of IP, a forwarded port, and another
// outside.
var natStormModel = strings.Replace(strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1), "    network:", "  - network:", 1) +
	"  - {network: isp, port: isp, subnets: [{cidr: 192.0.2.0/24, gateway: 192.0.2.1, address: 192.0.2.2}], prefixes: [198.51.101.0/28], nextHops: [{address: 192.0.2.1, mac: \"02:00:00:00:00:08\"}]}\n" +
	tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}") +
	endpoint("t", "h1", 1, "10.1.1.11, \"fd00:1::11\"") + endpoint("t", "h2", 2, "10.1.1.12, \"fd00:1::12\"") + endpoint("t", "h3", 3, "10.1.1.13") +
	snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"]") +
	snat("pool", "priority: 200, from: {endpoints: [h3]}, addresses: [203.0.113.32-203.0.113.39], ports: 1024-65535, exempt: {cidrs: [198.51.100.0/24]}") +
	snat("same", "priority: 300, to: {protocol: tcp, ports: [82]}, addresses: [203.0.113.82-203.0.113.84, 203.0.113.86, \"2001:db8::82-2001:db8::83\"], selection: persistent") +
	snat("chance", "priority: 300, to: {protocol: tcp, ports: [83]}, addresses: [203.0.113.90-203.0.113.91, 203.0.113.93], ports: 1024-65535, selection: random") +
	snat("port-81", "priority: 300, to: {protocol: tcp, ports: [81]}, addresses: [203.0.113.81]") +
	floatingIP("h1-ip", "203.0.113.20", "h1") + floatingIP("h1-ip6", "\"2001:db8::20\"", "h1") +
	object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}") +
	portForward("double", "address: 203.0.113.10, port: 8081, protocol: tcp, snat: always, to: {endpoint: h3, port: 80}") +
	portForward("range", "address: 203.0.113.10, port: 8000-8010, protocol: tcp, to: {endpoint: h2}") +
	portForward("moved", "address: 203.0.113.10, port: 9000-9010, protocol: tcp, to: {endpoint: h2, port: 8000-8010}") +
	object("Network", "name: pub, tenant: t", "subnets: [{cidr: 198.51.101.0/29, gateway: 198.51.101.1}]") +
	object("Endpoint", "name: p1, tenant: t", `network: pub, bind: {ifaceID: p1}, mac: "`+mac(5)+`", ips: [198.51.101.3]`) +
	floatingIP("h2-isp", "192.0.2.20", "h2") +
	policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80, 8000-8010]}") +
	tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("red", "r1", 4, "10.1.1.11") +
	red("FloatingIP", "r1-ip", "address: 203.0.113.40, endpoint: r1") +
	policy("red", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")

// TestStormThroughNAT is the storm on each path of NAT, while policy is replaced and connections are
// listed.
func TestStormThroughNAT(t *testing.T) {
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	h2 := n.Host("h2", mac(2), []string{"10.1.1.12/24", "fd00:1::12/64"}, "10.1.1.1", "fd00:1::1")
	h3 := n.Host("h3", mac(3), []string{"10.1.1.13/24"}, "10.1.1.1")
	r1 := n.Host("r1", mac(4), []string{"10.1.1.11/24"}, "10.1.1.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64", "fe80::9/64"}, "203.0.113.2")
	isp := n.Host("isp", mac(8), []string{"192.0.2.1/24", "172.16.0.5/32"})
	p1 := n.Host("p1", mac(5), []string{"198.51.101.3/29"}, "198.51.101.1")
	n.Run(natStormModel)
	for _, route := range [][]string{{"192.0.2.20/32", "dev", sandbox.HostDevice, "src", "172.16.0.5"}, {"198.51.101.0/28", "via", "192.0.2.2", "src", "172.16.0.5"}} {
		if _, err := isp.Exec(t.Context(), "ip", append([]string{"route", "add"}, route...)...); err != nil {
			t.Fatal(err)
		}
	}
	partners(t, out, "198.51.100.1/32")
	s := newStorm(t, []stormPath{
		{name: "SNAT", from: h2, address: "203.0.113.1:80", to: out},
		{name: "SNAT, pool", from: h3, address: "203.0.113.1:80", to: out},
		{name: "SNAT of a port", from: h2, address: "203.0.113.1:81", to: out},
		{name: "SNAT, persistent", from: h2, address: "203.0.113.1:82", to: out},
		{name: "SNAT, persistent, IPv6", from: h2, address: "[2001:db8::9]:82", to: out},
		{name: "SNAT, random", from: h3, address: "203.0.113.1:83", to: out},
		{name: "exempt", from: h3, address: "198.51.100.1:80", to: out},
		{name: "SNAT, IPv6", from: h2, address: "[2001:db8::9]:80", to: out},
		{name: "floating IP out", from: h1, address: "203.0.113.1:80", to: out},
		{name: "floating IP in", from: out, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		{name: "floating IP in, IPv6", from: out, address: "[2001:db8::20]:80", to: h1, at: "[fd00:1::11]:80"},
		{name: "floating IP, tenant", from: h3, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		{name: "floating IP, itself", from: h1, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		{name: "floating IP in, other outside", from: isp, address: "192.0.2.20:80", to: h2, at: "10.1.1.12:80"},
		{name: "public network in", from: isp, address: "198.51.101.3:80", to: p1},
		{name: "public network out", from: p1, address: "192.0.2.1:80", to: isp},
		{name: "forwarded port", from: out, address: "203.0.113.10:8080", to: h2, at: "10.1.1.12:80"},
		{name: "both ends", from: out, address: "203.0.113.10:8081", to: h3, at: "10.1.1.13:80"},
		{name: "both ends, tenant", from: h2, address: "203.0.113.10:8081", to: h3, at: "10.1.1.13:80"},
		{name: "both ends, itself", from: h3, address: "203.0.113.10:8081", to: h3, at: "10.1.1.13:80"},
		{name: "forwarded range", from: out, address: "203.0.113.10:8005", to: h2, at: "10.1.1.12:8005"},
		{name: "forwarded range, moved", from: out, address: "203.0.113.10:9006", to: h2, at: "10.1.1.12:8006"},
		{name: "another tenant's, SNAT", from: h2, address: "203.0.113.40:80", to: r1, at: "10.1.1.11:80"},
		{name: "another tenant's, pool", from: h3, address: "203.0.113.40:80", to: r1, at: "10.1.1.11:80"},
		{name: "floating IPs, both ways", from: r1, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
	}...)
	calm, _ := s.blow(t, n, stormTime(t)/2, func(edit int) {
		n.Weir.Apply(natStormModel + []string{unrest[1], ""}[edit%2])
		n.Weir.Connections("t")
	})
	if calm.often() {
		t.Error("ovs-vswitchd is asked too often")
	}
	if t.Failed() {
		t.Log(fmt.Sprint(len(tuples(n)), " entries"))
	}
}
