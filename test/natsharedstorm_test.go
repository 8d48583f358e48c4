package test

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// sharedStormModel has tenants that are all 10.1.1.11 share 203.0.113.10 and 2001:db8::10, where each
// forwards a port, have blocks of 203.0.113.11 for port 81, and a pool by host for port 82.
func sharedStormModel(tenants ...string) string {
	lan := "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: \"fd00:1::/64\", gateway: \"fd00:1::1\"}"
	all := strings.Replace(natBridge, "    subnets: [", "    subnets: [{cidr: \"2001:db8::/64\", gateway: \"fe80::9\"}, ", 1)
	all = strings.Replace(all, "spec:\n  external:", "spec:\n  allowDisruption: true\n  external:", 1)
	for i, tn := range tenants {
		snat := func(name, spec string) string { return object("SNAT", "name: "+name+", tenant: "+tn, spec) }
		all += tenant(tn, "", lan) + endpoint(tn, "h"+tn, i+1, "10.1.1.11, \"fd00:1::11\"") +
			snat("all", "addresses: [203.0.113.10, \"2001:db8::10\"], shared: true, ports: 10000-65535") +
			snat("block", fmt.Sprintf("priority: 200, to: {protocol: tcp, ports: [81]}, addresses: [203.0.113.11], ports: %d-%d", 10000*(i+1), 10000*(i+1)+9999)) +
			snat("pool", "priority: 200, to: {protocol: tcp, ports: [82]}, addresses: [203.0.113.20-203.0.113.23, 203.0.113.30], shared: true, selection: persistent") +
			object("PortForward", "name: web, tenant: "+tn, fmt.Sprintf("address: 203.0.113.10, port: %d, protocol: tcp, to: {endpoint: h%s, port: 80}", 8080+i, tn)) +
			policy(tn, "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")
	}
	return all
}

// TestStormBehindASharedAddress is the storm of three tenants behind one address, while policy is
// replaced, a fourth tenant comes to the address and leaves it, and the daemon is killed.
func TestStormBehindASharedAddress(t *testing.T) {
	n := ovstest.New(t)
	var hosts []*sandbox.Host
	for i, tn := range []string{"t", "u", "v", "w"} {
		hosts = append(hosts, n.Host("h"+tn, mac(i+1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1"))
	}
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64", "fe80::9/64"}, "203.0.113.2")
	n.Run(sharedStormModel("t", "u", "v"))
	var paths []stormPath
	for i, h := range hosts[:3] {
		paths = append(paths, stormPath{name: h.Name + " shared", from: h, address: "203.0.113.1:80", to: out},
			stormPath{name: h.Name + " shared, IPv6", from: h, address: "[2001:db8::9]:80", to: out},
			stormPath{name: h.Name + " block", from: h, address: "203.0.113.1:81", to: out},
			stormPath{name: h.Name + " shared, persistent", from: h, address: "203.0.113.1:82", to: out},
			stormPath{name: h.Name + " forwarded", from: out, address: fmt.Sprint("203.0.113.10:", 8080+i), to: h, at: "10.1.1.11:80"})
	}
	newStorm(t, paths...).blow(t, n, 0, func(edit int) {
		n.Weir.Apply(sharedStormModel([]string{"t", "u", "v", "w"}[:3+edit%2]...) + []string{"", "", unrest[1]}[edit%3])
		n.Weir.Connections("t")
		if edit%5 == 4 {
			n.Weir.Kill()
			n.Weir.Start()
			n.Weir.Programmed(1)
		}
	})
}
