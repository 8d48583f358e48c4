package main

import (
	"bytes"
	"encoding/json"
	"errors"
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

// TestAListOneByOneIsTheList compares what is printed as it comes with what is printed at once.
func TestAListOneByOneIsTheList(t *testing.T) {
	all := []api.Connection{{Tenant: "a<b>", Other: map[string]string{"x": "y"}}, {}, {Tenant: "c"}}
	for n := range len(all) + 1 {
		var one, once strings.Builder
		l := newJSONList(&one)
		for _, c := range all[:n] {
			var text bytes.Buffer
			e := json.NewEncoder(&text)
			e.SetEscapeHTML(false) // as the daemon sends them
			if err := errors.Join(e.Encode(c), l.add(bytes.TrimSpace(text.Bytes()))); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(l.end(), listing{value: all[:n]}.print(&once, "json")); err != nil || one.String() != once.String() {
			t.Errorf("%v: %s\n%s", err, one.String(), once.String())
		}
	}
}

func TestWhoTalksMost(t *testing.T) {
	conn := func(src, dst string, dport uint16, nat string) api.Connection {
		return api.Connection{Tenant: "t", NAT: nat, Egress: "t/default/egress", Orig: api.Tuple{Src: src, Dst: dst, Sport: 1, Dport: dport, Bytes: 10}, Reply: api.Tuple{Src: "10.0.0.9", Dst: src, Sport: 80, Dport: 1}, To: "t/endpoint/web"}
	}
	all := map[api.Talker]*api.Talker{}
	for _, c := range []api.Connection{conn("10.0.0.1", "10.0.0.100", 443, "t/loadbalancer/shop/tcp/443"), conn("10.0.0.1", "10.0.0.9", 80, ""), conn("10.0.0.2", "10.0.0.9", 80, "")} {
		for _, k := range talkersOf(c) {
			talks(all, k, c)
		}
	}
	var b strings.Builder
	if err := talkerListing(mostOf(all, 1)).print(&b, "table"); err != nil {
		t.Fatal(err)
	}
	want := `KIND         WHO               ENDPOINT  TENANT  CONNECTIONS  BYTES
source       10.0.0.1          -         t       2            20
destination  10.0.0.9:80       web       t       2            20
rule         t/default/egress  -         t       3            30
backend      10.0.0.9:80       web       t       1            10
`
	if b.String() != want {
		t.Errorf("%s\nwant %s", b.String(), want)
	}
}
