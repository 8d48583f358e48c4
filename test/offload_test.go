package test

import (
	"slices"
	"testing"

	"weir/api"
)

// TestWhatKeepsFlowsOffTheHardware asks which intents have flows that TC flower has no word for.
func TestWhatKeepsFlowsOffTheHardware(t *testing.T) {
	n, client, _ := balanced(t, balancedModel(balancer("web", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}]"),
		policy("t", "more", "{name: told, direction: ingress, action: allow, protocol: tcp, ports: [81], log: new}",
			"{name: files, direction: ingress, action: allow, protocol: tcp, ports: [21], alg: ftp}")))
	served(t, client, "10.1.1.64:80", 20)
	by := map[string][]string{}
	last := ^uint64(0)
	for _, f := range tool[[]api.Flow](t, n.Weir, "flows", "--offload") {
		if f.Packets > last {
			t.Errorf("%s has %d packets, behind one with %d", f.Intent, f.Packets, last)
		}
		last = f.Packets
		by[f.Intent] = append(by[f.Intent], f.Obstacles...)
	}
	for intent, want := range map[string]string{"t/loadbalancer/web": "a hash of the datapath chooses", "t/policy/more/told": "the packet is handed to the daemon",
		"t/policy/more/files": "a helper reads the connection (alg)"} {
		if !slices.Contains(by[intent], want) {
			t.Errorf("%s: %q, want %q among them", intent, by[intent], want)
		}
	}
	if why, is := by["t/policy/web/web"]; is {
		t.Errorf("a rule that only allows is in the way: %q", why)
	}
}
