package test

import (
	"testing"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestAnEndpointWithoutAddressesIsKnownByItsPort gives a host addresses of which Weir knows
// nothing, one after the other: policy is about it all the same.
func TestAnEndpointWithoutAddressesIsKnownByItsPort(t *testing.T) {
	n, h1, h2 := pair(t)
	n.Run(bridge + tenant("t", "", "{cidr: 10.1.1.0/24}") + endpoint("t", "h1", 1, "10.1.1.1") + endpoint("t", "h2", 2, "") +
		policy("t", "p",
			"{name: web, direction: ingress, action: allow, from: {endpoints: [h2]}, protocol: tcp, ports: [80]}",
			"{name: ssh, direction: ingress, action: allow, from: {cidrs: [10.1.1.1/32]}, protocol: tcp, ports: [22]}"))
	serve(t, h1, "10.1.1.1:80", "web")
	serve(t, h1, "10.1.1.1:22", "ssh")
	serve(t, h2, ":22", "ssh")
	serve(t, h2, ":80", "web")
	for _, address := range []string{"10.1.1.2", "10.1.1.77"} {
		if address != "10.1.1.2" {
			if out, err := h2.Exec(t.Context(), "ip", "address", "replace", address+"/24", "dev", sandbox.HostDevice); err != nil {
				t.Fatal(err, out)
			}
		}
		gets(t, h2, "10.1.1.1:80", "web")
		timesOut(t, h2, "10.1.1.1:22")
		gets(t, h1, address+":22", "ssh")
		if address != "10.1.1.2" { // h2 itself asks from its first address
			timesOut(t, h1, address+":80")
		}
	}
}

// TestStationsBehindAPortAreLearned has two hosts behind one port, on a switch of which Weir
// knows nothing: policy is about them as about the port's endpoint, and each is reached.
func TestStationsBehindAPortAreLearned(t *testing.T) {
	n := ovstest.New(t)
	if err := n.AddBridge("sw"); err != nil {
		t.Fatal(err)
	}
	if out, err := n.Vsctl("add-port", "br0", "uplink", "--", "set", "interface", "uplink", "type=patch", "options:peer=downlink",
		"--", "add-port", "sw", "downlink", "--", "set", "interface", "downlink", "type=patch", "options:peer=uplink"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := n.Ofctl("-O", "OpenFlow13", "add-flow", "sw", "actions=NORMAL"); err != nil {
		t.Fatal(out, err)
	}
	h1 := n.Host("h1", mac(1), []string{"10.1.1.1/24"})
	n.Bridge = "sw"
	stations := []*sandbox.Host{n.Host("h2", mac(2), []string{"10.1.1.2/24"}), n.Host("h3", mac(3), []string{"10.1.1.3/24"})}
	n.Bridge = "br0"
	model := bridge + object("Tenant", "name: t", "") + object("Network", "name: lan, tenant: t", "subnets: [{cidr: 10.1.1.0/24}], unknownStations: learn") +
		endpoint("t", "h1", 1, "10.1.1.1") + object("Endpoint", "name: office, tenant: t", "network: lan, bind: {port: uplink}, mac: any")
	web := "{name: web, direction: ingress, action: allow, from: {endpoints: [office]}, protocol: tcp, ports: [80]}"
	ssh := "{name: ssh, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [22]}"
	w := n.Run(model + policy("t", "p", web, ssh))
	serve(t, h1, ":80", "web")
	serve(t, h1, ":22", "ssh")
	for i, h := range stations {
		address := []string{"10.1.1.2", "10.1.1.3"}[i]
		serve(t, h, ":22", "ssh of "+h.Name)
		serve(t, h, ":80", "web")
		gets(t, h, "10.1.1.1:80", "web")
		timesOut(t, h, "10.1.1.1:22")
		gets(t, h1, address+":22", "ssh of "+h.Name)
		timesOut(t, h1, address+":80")
	}
	learned := func() (all int) {
		for _, f := range n.Flows() {
			if pipeline.IsStation(f.Flow) {
				all++
			}
		}
		return all
	}
	if got := learned(); got != 2 {
		t.Errorf("%d stations are learned, want 2", got)
	}
	status := w.Apply(model + policy("t", "p", ssh))
	timesOut(t, stations[0], "10.1.1.1:80")
	gets(t, h1, "10.1.1.2:22", "ssh of h2")
	if got := learned(); got != 2 {
		t.Errorf("%d stations are known after a change, want 2", got)
	}
	for _, b := range status.Bridges {
		if len(b.Drift.Recent) > 0 {
			t.Errorf("what is learned is taken for drift: %+v", b.Drift)
		}
	}
}
