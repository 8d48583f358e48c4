package main

import (
	"fmt"
	"testing"

	"weir/api"
)

func TestAddressesAreListedByHowFullTheyAre(t *testing.T) {
	as := func(by, address, to string, port uint16) api.Connection {
		return api.Connection{Tenant: "blue", NAT: by, Protocol: "tcp", Orig: api.Tuple{Src: "10.1.0.11", Dst: to, Dport: port},
			Reply: api.Tuple{Src: to, Sport: port, Dst: address}}
	}
	own := api.Connection{Tenant: "blue", Orig: api.Tuple{Src: "10.1.0.11", Dst: "10.1.0.12"}, Reply: api.Tuple{Src: "10.1.0.12", Dst: "10.1.0.11"}}
	all := useOf([]api.Connection{
		as("blue/snat/out", "203.0.113.10", "198.51.100.1", 80), as("blue/snat/out", "203.0.113.10", "198.51.100.1", 443),
		as("blue/snat/out", "203.0.113.11", "198.51.100.1", 443), as("blue/snat/out", "203.0.113.11", "198.51.100.1", 443), own,
		as("blue/floatingip/f", "203.0.113.20", "198.51.100.1", 80),
	}, []api.Tenant{{Name: "blue", SNATs: []api.SNAT{{ID: "blue/snat/out", Ports: 4}}}})
	var got []string
	for _, u := range all {
		got = append(got, fmt.Sprint(u.Address, " ", u.Connections, " ", u.Busiest, " ", portsText(u)))
	}
	want := "[203.0.113.11 2 tcp 198.51.100.1:443 2 of 4 (50%) 203.0.113.10 2 tcp 198.51.100.1:443 1 of 4 (25%) 203.0.113.20 1 tcp 198.51.100.1:80 1]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
