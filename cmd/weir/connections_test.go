package main

import (
	"strings"
	"testing"

	"weir/api"
)

func TestAConnectionSaysWhatBecameOfIt(t *testing.T) {
	for want, c := range map[string]api.Connection{
		"ESTABLISHED":         {State: "ESTABLISHED"},
		"ESTABLISHED AUDITED": {State: "ESTABLISHED", Audited: true},
		"AUDITED":             {Audited: true}, // of UDP, which has no state
		"BLOCKED":             {Blocked: true, Audited: true},

		"ESTABLISHED DRAINING": {State: "ESTABLISHED", Backend: "draining"},
		"FAILED":               {Backend: "failed"},
	} {
		if got := stateText(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestConnectionsSayWhatTheyAreTranslatedTo(t *testing.T) {
	plain := api.Connection{Tenant: "t", Protocol: "tcp", Orig: api.Tuple{Src: "10.1.0.11", Dst: "10.1.0.12", Sport: 1, Dport: 2}, Reply: api.Tuple{Src: "10.1.0.12", Dst: "10.1.0.11", Sport: 2, Dport: 1}}
	snat := api.Connection{Tenant: "t", Protocol: "udp", NAT: "t/snat/out", Orig: api.Tuple{Src: "10.1.0.11", Dst: "198.51.100.1", Sport: 1, Dport: 53}, Reply: api.Tuple{Src: "198.51.100.1", Dst: "203.0.113.10", Sport: 53, Dport: 9}}
	var alone, both strings.Builder
	connectionsTable(&alone, []api.Connection{plain}, false)
	connectionsTable(&both, []api.Connection{plain, snat}, false)
	if strings.Contains(alone.String(), "TRANSLATED") || !strings.Contains(both.String(), "TRANSLATED\tBY") || !strings.Contains(both.String(), "from 203.0.113.10:9\tsnat/out") {
		t.Errorf("%s\n%s", alone.String(), both.String())
	}
}
