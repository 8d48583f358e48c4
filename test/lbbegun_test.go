package test

import (
	"fmt"
	"testing"

	"weir/ofproto"
	"weir/test/ovstest"
)

// TestConnectionsBegunAreCounted opens connections through load balancers of each kind, of which one backend gets
// three times as many as another: each is counted once, with its backend, however it was chosen and also after weights
// have changed, when the buckets of a group count from zero.
func TestConnectionsBegunAreCounted(t *testing.T) {
	model := func(weight int) string {
		backends := fmt.Sprintf("backends: [{endpoint: h2, weight: %d}, {endpoint: h3}]", weight)
		return balancedModel(
			balancer("hash", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp}, {port: 81, protocol: tcp, targetPort: 8080}], "+backends),
			balancer("consistent", "address: 10.1.1.65, algorithm: consistent, snat: always, ports: [{port: 80, protocol: tcp}], "+backends),
			balancer("six", `address: "fd00:1::64", ports: [{port: 80, protocol: tcp}], `+backends),
			balancer("one", "address: 10.1.1.66, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h4}]"))
	}
	n, h1, _ := balanced(t, model(300))
	want := map[string]map[string]int{}
	open := func(requests int, fast bool) { // how fast they come is known if they have been counted before
		for name, addresses := range map[string][]string{"hash": {"10.1.1.64:80", "10.1.1.64:81"}, "consistent": {"10.1.1.65:80"}, "six": {"[fd00:1::64]:80"}, "one": {"10.1.1.66:80"}} {
			if want[name] == nil {
				want[name] = map[string]int{}
			}
			for _, address := range addresses {
				for host, k := range served(t, h1, address, requests) {
					want[name][host] += k
				}
			}
		}
		for name, by := range want {
			begun(t, n, name, by, fast)
		}
	}
	open(40, false)
	if by := want["hash"]; by["h2"] <= by["h3"] { // of 80, 60 and 20: five standard deviations
		t.Errorf("chosen are %v", by)
	}
	if sum := inBuckets(t, n); sum == 0 {
		t.Error("the buckets of groups have counted nothing")
	}
	n.Weir.Apply(model(50))
	if sum := inBuckets(t, n); sum != 0 {
		t.Errorf("the buckets of groups go on from %d", sum)
	}
	open(20, true)
	n.Weir.Kill()
	n.Weir.Start()
	n.Weir.Programmed(1)
	open(10, false)
	m, err := n.Weir.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	if got := m[fmt.Sprintf(`weir_lb_connections_begun_total{backend="10.2.1.12",bridge=%q,lb="hash",tenant="t"}`, n.Bridge)]; int(got) != want["hash"]["h2"] {
		t.Errorf("metrics say %v, want %d", got, want["hash"]["h2"])
	}
}

// begun waits until weir balancers says how many connections were begun with each host.
func begun(t *testing.T, n *ovstest.Net, name string, want map[string]int, fast bool) {
	t.Helper()
	ovstest.Eventually(t, fmt.Sprintf("of %s, %v connections were begun", name, want), func() error {
		if _, err := n.Appctl("revalidator/wait"); err != nil { // counters are brought up now and then
			return err
		}
		for _, b := range n.Weir.Balancers("t") {
			if b.ID != "t/loadbalancer/"+name {
				continue
			}
			rate := 0.0
			for _, x := range b.Backends {
				host := x.Endpoint[len("t/endpoint/"):]
				if rate += x.PerSecond; int(x.Begun) != want[host] {
					return fmt.Errorf("%+v", b.Backends)
				}
			}
			if fast && rate == 0 {
				return fmt.Errorf("none in a second: %+v", b.Backends)
			}
			return nil
		}
		return fmt.Errorf("there is no %s", name)
	})
}

// inBuckets returns how many packets have come to the buckets of the groups that choose.
func inBuckets(t *testing.T, n *ovstest.Net) (sum uint64) {
	t.Helper()
	if _, err := n.Appctl("revalidator/wait"); err != nil {
		t.Fatal(err)
	}
	c := n.Session()
	groups, _, err := c.GroupsAndMeters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stats, err := c.GroupStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chooses := map[uint32]bool{}
	for _, g := range groups {
		chooses[g.ID] = g.Type == ofproto.GroupSelect
	}
	for _, s := range stats {
		for _, b := range s.Buckets {
			if chooses[s.Group] {
				sum += b.Packets
			}
		}
	}
	return sum
}
