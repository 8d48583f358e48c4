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

// TestStormBehindASharedAddress has 16 clients of three tenants behind one address connect,
// exchange a line and reset, with ports that come again, while policy is replaced, a fourth tenant
// comes to the address and leaves it, and the daemon is killed. None fails, and ovs-vswitchd is
// the same process afterwards.
func TestStormBehindASharedAddress(t *testing.T) {
	n := ovstest.New(t)
	var hosts []*sandbox.Host
	for i, tn := range []string{"t", "u", "v", "w"} {
		hosts = append(hosts, n.Host("h"+tn, mac(i+1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1"))
	}
	out := n.Host("out", mac(9), []string{"203.0.113.1/24", "2001:db8::9/64", "fe80::9/64"}, "203.0.113.2")
	n.Run(sharedStormModel("t", "u", "v"))
	for _, address := range []string{"203.0.113.1:80", "203.0.113.1:81", "203.0.113.1:82", "[2001:db8::9]:80"} {
		echo(t, out, address)
	}
	var paths []stormPath
	for i, h := range hosts[:3] {
		echo(t, h, "10.1.1.11:80")
		paths = append(paths, stormPath{h.Name + " shared", h, out, "203.0.113.1:80", false}, stormPath{h.Name + " shared, IPv6", h, out, "[2001:db8::9]:80", false},
			stormPath{h.Name + " block", h, out, "203.0.113.1:81", false}, stormPath{h.Name + " shared, persistent", h, out, "203.0.113.1:82", false},
			stormPath{h.Name + " forwarded", out, h, fmt.Sprint("203.0.113.10:", 8080+i), false})
	}
	s := storm{tally: make([]outcomes, len(paths))}
	ctx, stop := context.WithTimeout(t.Context(), stormTime(t))
	defer stop()
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() { s.client(ctx, t, paths, i) })
	}
	ovstest.Eventually(t, "every path is known", s.begun)
	s.asked(t, n)
	edits := 0
	for ; ctx.Err() == nil; edits++ {
		n.Weir.Apply(sharedStormModel([]string{"t", "u", "v", "w"}[:3+edits%2]...) + []string{"", "", unrest[1]}[edits%3])
		n.Weir.Connections("t")
		if edits%5 == 4 {
			n.Weir.Kill()
			n.Weir.Start()
			n.Weir.Programmed(1)
		}
	}
	clients.Wait()
	s.judge(t, paths)
	t.Logf("policy and tenants were replaced %d times", edits)
}
