package test

import (
	"context"
	"fmt"
	"strings"
	"sync"
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

// TestStormThroughNAT has 16 clients connect, exchange a line and reset on each path of NAT in
// turn, with ports that come again and again, while policy is replaced and connections are
// listed. None fails, and ovs-vswitchd is the same process afterwards.
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
	paths := []stormPath{
		{"SNAT", h2, out, "203.0.113.1:80", false},
		{"SNAT, pool", h3, out, "203.0.113.1:80", false},
		{"SNAT of a port", h2, out, "203.0.113.1:81", false},
		{"SNAT, persistent", h2, out, "203.0.113.1:82", false},
		{"SNAT, persistent, IPv6", h2, out, "[2001:db8::9]:82", false},
		{"SNAT, random", h3, out, "203.0.113.1:83", false},
		{"exempt", h3, out, "198.51.100.1:80", false},
		{"SNAT, IPv6", h2, out, "[2001:db8::9]:80", false},
		{"floating IP out", h1, out, "203.0.113.1:80", false},
		{"floating IP in", out, h1, "203.0.113.20:80", false},
		{"floating IP in, IPv6", out, h1, "[2001:db8::20]:80", false},
		{"floating IP, tenant", h3, h1, "203.0.113.20:80", false},
		{"floating IP, itself", h1, h1, "203.0.113.20:80", false},
		{"floating IP in, other outside", isp, h2, "192.0.2.20:80", false},
		{"public network in", isp, p1, "198.51.101.3:80", false},
		{"public network out", p1, isp, "192.0.2.1:80", false},
		{"forwarded port", out, h2, "203.0.113.10:8080", false},
		{"both ends", out, h3, "203.0.113.10:8081", false},
		{"both ends, tenant", h2, h3, "203.0.113.10:8081", false},
		{"both ends, itself", h3, h3, "203.0.113.10:8081", false},
		{"forwarded range", out, h2, "203.0.113.10:8005", false},
		{"forwarded range, moved", out, h2, "203.0.113.10:9006", false},
		{"another tenant's, SNAT", h2, r1, "203.0.113.40:80", false},
		{"another tenant's, pool", h3, r1, "203.0.113.40:80", false},
		{"floating IPs, both ways", r1, h1, "203.0.113.20:80", false},
	}
	partners(t, out, "198.51.100.1/32")
	for _, address := range []string{"203.0.113.1:80", "203.0.113.1:81", "203.0.113.1:82", "[2001:db8::9]:82", "203.0.113.1:83", "198.51.100.1:80", "[2001:db8::9]:80"} {
		echo(t, out, address)
	}
	echo(t, h1, "10.1.1.11:80")
	echo(t, h3, "10.1.1.13:80")
	echo(t, h1, "[fd00:1::11]:80")
	for _, port := range []string{"80", "8005", "8006"} {
		echo(t, h2, "10.1.1.12:"+port)
	}
	echo(t, r1, "10.1.1.11:80")
	echo(t, p1, "198.51.101.3:80")
	echo(t, isp, "192.0.2.1:80")
	s := storm{tally: make([]outcomes, len(paths))}
	ctx, stop := context.WithTimeout(t.Context(), stormTime(t))
	defer stop()
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() { s.client(ctx, t, paths, i) })
	}
	ovstest.Eventually(t, "every path is known", s.begun)
	begin := s.asked(t, n)
	calm, over := context.WithTimeout(ctx, stormTime(t)/2)
	defer over()
	<-calm.Done()
	before, edits := s.asked(t, n), 0
	for ; ctx.Err() == nil; edits++ {
		n.Weir.Apply(natStormModel + []string{unrest[1], ""}[edits%2])
		n.Weir.Connections("t")
	}
	clients.Wait()
	s.judge(t, paths)
	t.Logf("upcalls per 1,000 connections: %.1f in the calm before policy was replaced %d times", before.perThousand(begin), edits)
	if before.often(begin, 0) {
		t.Error("ovs-vswitchd is asked too often")
	}
	if t.Failed() {
		t.Log(fmt.Sprint(len(tuples(n)), " entries"))
	}
}
