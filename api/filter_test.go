package api

import (
	"io"
	"net/netip"
	"slices"
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
			&Filter{Tenant: "blue", Protocol: "tcp", Src: netip.MustParsePrefix("10.0.0.0/8"), Dst: netip.MustParsePrefix("fd00::1/128"), Sport: 1, Dport: 65535}, ""},
		"by what translates them":   {"tenant=blue&nat=snat/out", &Filter{Tenant: "blue", NAT: "snat/out"}, ""},
		"by a port outside":         {"tenant=blue&as=203.0.113.10:40000", &Filter{Tenant: "blue", As: netip.MustParseAddrPort("203.0.113.10:40000")}, ""},
		"by an address outside":     {"tenant=blue&as=2001:db8::1", &Filter{Tenant: "blue", As: netip.MustParseAddrPort("[2001:db8::1]:0")}, ""},
		"by no address outside":     {"tenant=blue&as=203.0.113.10:x", nil, `as: \"203.0.113.10:x\" is neither`},
		"all of a tenant":           {"tenant=blue&all=true", &Filter{Tenant: "blue"}, ""},
		"nobody's":                  {"protocol=tcp", nil, "say whose connections"},
		"none":                      {"tenant=blue", nil, "or all for every one"},
		"some, and all":             {"tenant=blue&protocol=tcp&all=true", nil, "or all for every one"},
		"from no address":           {"tenant=blue&src=10.0.0", nil, `src: \"10.0.0\" is neither`},
		"to a port that is too big": {"tenant=blue&dport=65536", nil, `dport: \"65536\" is no port`},
		"with a plan that is none":  {"tenant=blue&all=true&plan=maybe", nil, `plan: \"maybe\" is neither`},
		"with a misspelt filter":    {"tenant=blue&all=true&dprot=80", nil, `there is no parameter \"dprot\"`},
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

func TestAPlanForgetsNothing(t *testing.T) {
	var planned []bool
	d := fake{kill: func(Filter) (Killed, error) { return Killed{Kept: 1}, nil }, planned: &planned}
	for _, query := range []string{"", "&plan=true", "&plan=false"} {
		ask(t, d, "DELETE", "/v1/connections?tenant=blue&all=true"+query, nil)
	}
	if !slices.Equal(planned, []bool{false, true, false}) {
		t.Error(planned)
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

func TestWhoWasKnownOutsideAsWhat(t *testing.T) {
	snat := Connection{NAT: "blue/snat/out", Orig: Tuple{Src: "10.1.0.11", Dst: "198.51.100.1", Sport: 1000, Dport: 80}, Reply: Tuple{Src: "198.51.100.1", Dst: "203.0.113.10", Sport: 80, Dport: 40000}}
	forward := Connection{NAT: "blue/portforward/web", Orig: Tuple{Src: "198.51.100.1", Dst: "203.0.113.10", Sport: 1000, Dport: 8080}, Reply: Tuple{Src: "10.1.0.12", Dst: "198.51.100.1", Sport: 80, Dport: 1000}}
	plain := Connection{Orig: Tuple{Src: "10.1.0.11", Dst: "10.1.0.12", Sport: 1000, Dport: 80}, Reply: Tuple{Src: "10.1.0.12", Dst: "10.1.0.11", Sport: 80, Dport: 1000}}
	for name, c := range map[string]struct {
		f    Filter
		want [3]bool // snat, forward, plain
	}{
		"a source port":              {Filter{As: netip.MustParseAddrPort("203.0.113.10:40000")}, [3]bool{true, false, false}},
		"a forwarded port":           {Filter{As: netip.MustParseAddrPort("203.0.113.10:8080")}, [3]bool{false, true, false}},
		"an address":                 {Filter{As: netip.MustParseAddrPort("203.0.113.10:0")}, [3]bool{true, true, false}},
		"an address inside":          {Filter{As: netip.MustParseAddrPort("10.1.0.12:0")}, [3]bool{}},
		"what translates it":         {Filter{NAT: "blue/snat/out"}, [3]bool{true, false, false}},
		"the same, in short":         {Filter{NAT: "web"}, [3]bool{false, true, false}},
		"a part of a name":           {Filter{NAT: "eb"}, [3]bool{}},
		"who has opened it, and how": {Filter{Src: netip.MustParsePrefix("10.1.0.0/24")}, [3]bool{true, false, true}},
	} {
		if got := [3]bool{c.f.Matches(snat), c.f.Matches(forward), c.f.Matches(plain)}; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	service := Connection{NAT: "blue/loadbalancer/web/tcp/80"}
	for nat, want := range map[string]bool{"loadbalancer/web": true, "web": true, "blue/loadbalancer/web/tcp/80": true, "loadbalancer/web/tcp/80": true, "loadbalancer/we": false, "loadbalancer/web/tcp": false} {
		if got := (Filter{NAT: nat}).Matches(service); got != want {
			t.Errorf("a port of a load balancer by %s: %v", nat, got)
		}
	}
	if snat.SourceTo() != "203.0.113.10:40000" || snat.TargetTo() != "" || forward.TargetTo() != "10.1.0.12:80" || forward.SourceTo() != "" || plain.SourceTo()+plain.TargetTo() != "" {
		t.Error(snat.SourceTo(), snat.TargetTo(), forward.TargetTo(), forward.SourceTo(), plain.SourceTo(), plain.TargetTo())
	}
}
