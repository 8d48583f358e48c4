package test

import (
	"fmt"
	"testing"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// balancerStormModel has load balancers of all algorithms, inside and outside, of which the weights are
// as they are given.
func balancerStormModel(w2, w3, w4 int) string {
	ends := func(address, more string) string {
		return fmt.Sprintf("address: %s, ports: [{port: 80, protocol: tcp, targetPort: 8090}, {port: 8090, protocol: tcp}], backends: [{endpoint: h2, weight: %d}, {endpoint: h3, weight: %d}, {endpoint: h4, weight: %d}]%s", address, w2, w3, w4, more)
	}
	lan := `{cidr: 10.1.1.0/24, gateway: 10.1.1.1}, {cidr: "fd00:1::/64", gateway: "fd00:1::1"}`
	all := natBridge + tenant("t", "", lan)
	for i := 1; i <= 4; i++ {
		all += endpoint("t", fmt.Sprint("h", i), i, fmt.Sprintf(`10.1.1.%d, "fd00:1::%d"`, 10+i, 10+i))
	}
	return all + snat("all", "addresses: [203.0.113.10]") +
		balancer("hash", ends("10.1.1.64", "")) + balancer("consistent", ends("10.1.1.65", ", algorithm: consistent")) +
		balancer("source", ends("10.1.1.66", ", algorithm: sourceIP")) + balancer("gateway", ends("10.1.1.67", ", snat: always")) +
		balancer("hash6", ends(`"fd00:1::64"`, "")) + balancer("outside", ends("203.0.113.64", "")) +
		balancer("one", "address: 10.1.1.68, ports: [{port: 80, protocol: tcp, targetPort: 8090}], backends: [{endpoint: h2}]") +
		tenant("u", "", lan) + endpoint("u", "h5", 5, "10.1.1.11") + object("SNAT", "name: all, tenant: u", "addresses: [203.0.113.50-203.0.113.51]") +
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")
}

// TestStormThroughLoadBalancers is the storm on each way through a load balancer, while weights change,
// backends drain and come back, and policy is replaced.
func TestStormThroughLoadBalancers(t *testing.T) {
	n := ovstest.New(t)
	var h []*sandbox.Host
	for i := 1; i <= 4; i++ {
		h = append(h, n.Host(fmt.Sprint("h", i), mac(i), []string{fmt.Sprintf("10.1.1.%d/24", 10+i), fmt.Sprintf("fd00:1::%d/64", 10+i)}, "10.1.1.1", "fd00:1::1"))
	}
	other := n.Host("h5", mac(5), []string{"10.1.1.11/24"}, "10.1.1.1")
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(balancerStormModel(100, 100, 100))
	for i, b := range h[1:] {
		echo(t, b, fmt.Sprintf("10.1.1.%d:8090", 12+i))
		echo(t, b, fmt.Sprintf("[fd00:1::%d]:8090", 12+i))
	}
	_, changes := newStorm(t, []stormPath{
		{name: "hash", from: h[0], address: "10.1.1.64:80"},
		{name: "hash, the same port", from: h[0], address: "10.1.1.64:8090"},
		{name: "hash, IPv6", from: h[0], address: "[fd00:1::64]:80"},
		{name: "consistent", from: h[0], address: "10.1.1.65:80"},
		{name: "by source", from: h[0], address: "10.1.1.66:80"},
		{name: "snat: always", from: h[0], address: "10.1.1.67:80"},
		{name: "one backend", from: h[0], address: "10.1.1.68:80"},
		{name: "a backend itself", from: h[1], address: "10.1.1.64:80"},
		{name: "the one backend itself", from: h[1], address: "10.1.1.68:80"},
		{name: "a backend itself, snat: always", from: h[2], address: "10.1.1.67:80"},
		{name: "from outside", from: out, address: "203.0.113.64:80"},
		{name: "outside, from the tenant", from: h[0], address: "203.0.113.64:80"},
		{name: "outside, from another tenant", from: other, address: "203.0.113.64:80"},
	}...).blow(t, n, stormTime(t)/4, func(edit int) {
		w := [][3]int{{1, 100, 3}, {100, 0, 100}, {0, 1, 100}, {100, 100, 100}, {65535, 1, 7}}[edit%5]
		n.Weir.Apply(balancerStormModel(w[0], w[1], w[2]) + []string{"", unrest[1]}[edit/2%2])
	})
	t.Logf("%d changes", changes.edits)
}
