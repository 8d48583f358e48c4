package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/api"
	"weir/conntrack"
	"weir/intent"
)

func TestWhoseAnExpectationIs(t *testing.T) {
	a, b := netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("10.1.1.2")
	ids := map[uint16]intent.ID{4096: "blue", 4097: "red", 4098: "red/zone/source"}
	parent := conntrack.Tuple{Src: a, Dst: b, SrcPort: 1000, DstPort: 21}
	in := func(zone uint16) conntrack.Entry {
		return conntrack.Entry{Zone: zone, Protocol: conntrack.TCP, Orig: parent, Helper: "ftp"}
	}
	e := conntrack.Expectation{Protocol: conntrack.TCP, Tuple: conntrack.Tuple{Dst: b, DstPort: 2000}, Parent: parent, Timeout: 290}
	for name, c := range map[string]struct {
		parents []conntrack.Entry
		tenant  string
		zones   []uint16
	}{
		"the one that has the parent":            {[]conntrack.Entry{in(4096)}, "blue", []uint16{4096}},
		"in a zone of source translations":       {[]conntrack.Entry{in(4098)}, "red", []uint16{4098}},
		"nobody's, where two have such a parent": {[]conntrack.Entry{in(4097), in(4096)}, "", []uint16{4096, 4097}},
	} {
		t.Run(name, func(t *testing.T) {
			want := api.Expectation{Tenant: c.tenant, Zones: c.zones, Protocol: "tcp", Orig: api.Tuple{Dst: "10.1.1.2", Dport: 2000},
				Parent: api.Tuple{Src: "10.1.1.1", Dst: "10.1.1.2", Sport: 1000, Dport: 21}, Helper: "ftp", Expires: 290}
			if len(c.parents) == 1 {
				want.Ref = refOf(c.parents[0])
			}
			if d := cmp.Diff(want, expectationOf(e, c.parents, ids)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

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
