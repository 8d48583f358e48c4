package main

import (
	"strings"
	"testing"

	"weir/api"
)

func TestExpectationsInAllFormats(t *testing.T) {
	all := []api.Expected{
		{Datapath: "netdev", Expectations: []api.Expectation{}, Error: "nobody says"},
		{Datapath: "system", Expectations: []api.Expectation{
			{Tenant: "blue", Zones: []uint16{4096}, Protocol: "tcp", Orig: api.Tuple{Src: "10.1.1.1", Dst: "10.1.1.2", Dport: 2000},
				Parent: api.Tuple{Src: "10.1.1.1", Dst: "10.1.1.2", Sport: 1000, Dport: 21}, Ref: "f44f032819", Helper: "ftp", Expires: 290},
			{Zones: []uint16{4096, 4097}, Protocol: "tcp", Orig: api.Tuple{Dst: "fd00:1::2", Dport: 2000}, Parent: api.Tuple{Src: "fd00:1::1", Dst: "fd00:1::2", Sport: 1000, Dport: 21}},
		}},
	}
	for format, want := range map[string][]string{
		"table": {"DATAPATH  TENANT", "system    blue    tcp       10.1.1.1:*  10.1.1.2:2000     ftp     290s     10.1.1.1:1000 -> 10.1.1.2:21", "*:*", "netdev: nobody says"},
		"wide":  {"ZONE          ID", "4096 or 4097", "f44f032819"},
		"json":  {`"zones": [`, `"helper": "ftp"`, `"error": "nobody says"`},
		"yaml":  {"helper: ftp", "expires: 290"},
		"name":  {"system/4096/tcp/10.1.1.1:*-10.1.1.2:2000\n", "system/4096 or 4097/tcp/*:*-[fd00:1::2]:2000\n"},
	} {
		var b strings.Builder
		if err := expectedListing(all).print(&b, format); err != nil {
			t.Error(err)
		}
		for _, part := range want {
			if !strings.Contains(b.String(), part) {
				t.Errorf("-o %s has no %q:\n%s", format, part, b.String())
			}
		}
	}
	if err := unknown(all); err != nil {
		t.Errorf("one tracker says something: %v", err)
	}
	if err := unknown(all[:1]); err == nil || err.Error() != "netdev: nobody says" {
		t.Errorf("nobody says anything: %v", err)
	}
}
