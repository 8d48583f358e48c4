package daemon

import (
	"net/netip"
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
