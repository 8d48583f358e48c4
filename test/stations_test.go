package test

import (
	"testing"

	"weir/internal/sandbox"
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
