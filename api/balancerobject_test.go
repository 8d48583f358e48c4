package api

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/intent"
)

func TestAllThatALoadBalancerSaysIsSeenToDiffer(t *testing.T) {
	least := intent.LoadBalancer{Address: netip.MustParseAddr("10.1.0.100"), Algorithm: intent.Hash, SNAT: intent.SNATAuto, WhenEmpty: intent.EmptyDrop, Stale: intent.StaleFlush}
	most := least
	most.Ports = []intent.LBPort{{Protocol: intent.TCP, Port: 443, Target: 8443}, {Protocol: intent.UDP, Port: 443, Target: 443}}
	most.Backends = []intent.Backend{
		{Endpoint: &intent.Endpoint{Name: "web"}, IP: netip.MustParseAddr("10.1.0.11"), Weight: 100, Port: 9443},
		{IP: netip.MustParseAddr("203.0.113.9"), Weight: 0},
	}
	most.Selects = []intent.Selector{{Labels: map[string][]string{"tier": {"web"}}}}
	most.Drain = 1500 * intent.Millisecond
	most.Health = &intent.Health{Type: intent.CheckHTTP, Port: 81, Path: "/up", Host: "shop", Expect: []intent.StatusRange{{Lo: 200, Hi: 299}}, Interval: intent.Second, Timeout: intent.Second, Rise: 2, Fall: 3, SlowStart: intent.Minute}
	most.Load = &intent.Load{Type: intent.LoadReported, Port: 82, Path: "/load", Interval: intent.Second, Strength: 50}
	fields := func(l intent.LoadBalancer) map[string]string {
		o := object{"LoadBalancer", map[string]string{}}
		balancerFields(o, &l)
		return o.fields
	}
	always := map[string]string{"address": "10.1.0.100", "algorithm": "hash", "snat": "auto", "whenEmpty": "drop", "onRemove": "flush"}
	if d := cmp.Diff(always, fields(least)); d != "" {
		t.Error(d)
	}
	want := map[string]string{
		"ports.tcp/443.targetPort": "8443", "ports.udp/443.targetPort": "443",
		"backends.10.1.0.11.endpoint": "web", "backends.10.1.0.11.weight": "100", "backends.10.1.0.11.port": "9443", "backends.203.0.113.9.weight": "0",
		"selects[0].labels.tier": "[web]", "drain.timeout": "1500ms",
		"health.type": "http", "health.port": "81", "health.path": "/up", "health.host": "shop", "health.expect": "[200-299]",
		"health.interval": "1s", "health.timeout": "1s", "health.rise": "2", "health.fall": "3", "health.slowStart": "1m",
		"load.type": "reported", "load.port": "82", "load.path": "/load", "load.interval": "1s", "load.strength": "50",
	}
	for path, v := range always {
		want[path] = v
	}
	if d := cmp.Diff(want, fields(most)); d != "" {
		t.Error(d)
	}
}
