package daemon

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/api"
	"weir/drain"
	"weir/intent"
)

func TestABalancerSaysWhatItsBackendsHave(t *testing.T) {
	ip := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	l := &intent.LoadBalancer{
		Tenant: "t", Name: "shop", Address: ip("10.1.0.100"), Algorithm: intent.Hash,
		Ports: []intent.LBPort{{Protocol: intent.TCP, Port: 80, Target: 8080}, {Protocol: intent.UDP, Port: 53, Target: 53}},
		Backends: []intent.Backend{
			{Endpoint: &intent.Endpoint{Tenant: "t", Name: "web-1"}, IP: ip("10.1.0.11"), Weight: 100},
			{IP: ip("10.1.0.12"), Port: 81, Weight: 100}, {IP: ip("10.1.0.13"), Weight: 0}, {IP: ip("10.1.0.14"), Weight: 100},
		},
	}
	deadline := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	have := map[drain.Key]drain.Backend{}
	put := func(protocol uint8, port uint16, at string, n int, until time.Time) {
		k := drain.Key{Service: l.ID(), Protocol: protocol, Port: port, Backend: netip.MustParseAddrPort(at)}
		have[k] = drain.Backend{Key: k, Connections: n, Deadline: until}
	}
	put(6, 80, "10.1.0.11:8080", 3, time.Time{})
	put(17, 53, "10.1.0.11:53", 2, time.Time{})
	put(6, 80, "10.1.0.12:81", 1, time.Time{})
	put(6, 80, "10.1.0.13:8080", 4, deadline)
	put(6, 80, "10.1.0.19:8080", 7, deadline)
	put(6, 80, "10.1.0.11:8081", 5, deadline)
	got := balancerOf(l, have, map[netip.AddrPort]uint16{netip.AddrPortFrom(ip("10.1.0.14"), 0): 0, netip.AddrPortFrom(ip("10.1.0.11"), 0): 50},
		map[string]string{"t/loadbalancer/shop 10.1.0.14": "down", "t/loadbalancer/shop 10.1.0.12:81": "up"})
	want := api.Balancer{ID: "t/loadbalancer/shop", Tenant: "t", Address: "10.1.0.100", Ports: []string{"tcp/80", "udp/53"}, Algorithm: "hash", Backends: []api.Backend{
		{Endpoint: "t/endpoint/web-1", Address: "10.1.0.11", Weight: 100, InForce: 50, State: "serving", Connections: 5},
		{Address: "10.1.0.12:81", Weight: 100, InForce: 100, Health: "up", State: "serving", Connections: 1},
		{Address: "10.1.0.13", State: "draining", Connections: 4, Deadline: &deadline},
		{Address: "10.1.0.14", Weight: 100, Health: "down", State: "failed"},
		{Address: "10.1.0.11:8081", State: "removed", Connections: 5, Deadline: &deadline},
		{Address: "10.1.0.19:8080", State: "removed", Connections: 7, Deadline: &deadline},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
