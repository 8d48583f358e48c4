package api

import (
	"io"
	"net/netip"
	"strings"
	"testing"
)

func TestWhichConnectionsAreKilled(t *testing.T) {
	var got []Filter
	d := fake{kill: func(f Filter) (Killed, error) {
		got = append(got, f)
		return Killed{Killed: 3}, nil
	}}
	for name, c := range map[string]struct {
		query  string
		want   *Filter
		refuse string
	}{
		"by everything": {"tenant=blue&protocol=tcp&src=10.0.0.0/8&dst=fd00::1&sport=1&dport=65535",
			&Filter{"blue", "tcp", netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/128"), 1, 65535}, ""},
		"all of a tenant":           {"tenant=blue&all=true", &Filter{Tenant: "blue"}, ""},
		"nobody's":                  {"protocol=tcp", nil, "say whose connections"},
		"none":                      {"tenant=blue", nil, "or all for every one"},
		"some, and all":             {"tenant=blue&protocol=tcp&all=true", nil, "or all for every one"},
		"from no address":           {"tenant=blue&src=10.0.0", nil, `src: \"10.0.0\" is neither`},
		"to a port that is too big": {"tenant=blue&dport=65536", nil, `dport: \"65536\" is no port`},
		"to port zero":              {"tenant=blue&dport=0", nil, "is no port"},
	} {
		t.Run(name, func(t *testing.T) {
			got = nil
			resp := ask(t, d, "DELETE", "/v1/connections?"+c.query, nil)
			body, _ := io.ReadAll(resp.Body)
			switch {
			case c.want == nil && (resp.StatusCode != 400 || len(got) > 0 || !strings.Contains(string(body), c.refuse)):
				t.Errorf("status %d, %s, killed %v; want %q", resp.StatusCode, body, got, c.refuse)
			case c.want != nil && (resp.StatusCode != 200 || len(got) != 1 || got[0] != *c.want || !strings.Contains(string(body), `"killed":3`)):
				t.Errorf("status %d, %s, killed %v; want %v", resp.StatusCode, body, got, c.want)
			}
		})
	}
}

func TestWhatAFilterMeans(t *testing.T) {
	conn := Connection{Tenant: "blue", Protocol: "udp", Orig: Tuple{Src: "10.0.0.1", Dst: "10.0.0.2", Sport: 1, Dport: 53}}
	for name, c := range map[string]struct {
		f    Filter
		want bool
	}{
		"anything":         {Filter{}, true},
		"its tenant":       {Filter{Tenant: "blue"}, true},
		"another tenant":   {Filter{Tenant: "red"}, false},
		"another protocol": {Filter{Protocol: "tcp"}, false},
		"its network":      {Filter{Src: netip.MustParsePrefix("10.0.0.0/24")}, true},
		"another's":        {Filter{Dst: netip.MustParsePrefix("10.0.0.1/32")}, false},
		"its port":         {Filter{Dport: 53}, true},
		"its other port":   {Filter{Sport: 53}, false},
	} {
		if got := c.f.Matches(conn); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
