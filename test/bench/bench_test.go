package main

import (
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/intent"
)

// TestMain runs this program as a part of the traffic, as main does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "traffic-") {
		exit(role(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestWeirTakesWhatIsWrittenForIt(t *testing.T) {
	for name, p := range map[string]policy{
		"tenants":       tenantPolicy(3, 4, 9),
		"a group":       groupPolicy(7, 3, 2),
		"traffic":       trafficPolicy(),
		"without rules": tenantPolicy(2, 2, 2).withoutRules(),
		"floating IPs":  natPolicy(2, 15),
		"without NAT":   natPolicy(2, 15).withoutNAT(),
		"balanced":      balancePolicy(1001),
		"balanced too":  balanceTrafficPolicy(),
	} {
		t.Run(name, func(t *testing.T) {
			sources := []intent.Source{{Name: "bridge.yaml", Data: []byte(p.bridgeFile("br0"))}}
			rules := 0
			for _, tenant := range p.tenants {
				for name, text := range tenant.files() {
					sources = append(sources, intent.Source{Name: name + ".yaml", Data: []byte(text)})
				}
				rules += len(tenant.rules)
			}
			m, err := intent.Read(sources...)
			if err != nil {
				t.Fatal(err)
			}
			gotEndpoints, gotRules, gotNAT, wantNAT := 0, 0, 0, 0
			for _, tenant := range p.tenants {
				wantNAT += len(tenant.nat.pools) + len(tenant.nat.floating)
			}
			for _, tenant := range m.Tenants() {
				gotEndpoints += len(tenant.Endpoints)
				gotNAT += len(tenant.SNATs) + len(tenant.FloatingIPs)
				for _, p := range tenant.Policies {
					gotRules += len(p.Rules)
				}
			}
			if gotEndpoints != len(p.endpoints()) || gotRules != rules {
				t.Errorf("%d endpoints and %d rules; want %d and %d", gotEndpoints, gotRules, len(p.endpoints()), rules)
			}
			if gotNAT != wantNAT {
				t.Errorf("%d SNATs and floating IPs; want %d", gotNAT, wantNAT)
			}
		})
	}
}

func TestOVNIsGivenTheSameRules(t *testing.T) {
	p := tenantPolicy(1, 1, 4)
	got := strings.Join(acl(p.tenants[0], "acl-add", 1001, p.tenants[0].rules[3].match(), "allow-related"), " ")
	if want := "acl-add t1 to-lport 1001 ip4.src == 20.4.0.0/16 && tcp.dst == 1059 allow-related"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	g := groupPolicy(1, 2, 1).tenants[0]
	got = strings.Join(acl(g, "acl-add", 1001, g.rules[0].match(), "allow-related"), " ")
	if want := "--type=port-group acl-add db to-lport 1001 outport == @db && ip4.src == $peers && tcp.dst == 1000 allow-related"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	got = strings.Join(groupArgs(g), " ")
	if !strings.HasSuffix(got, `db10 -- create address_set name=peers addresses="10.60.2.1","10.60.2.2"`) {
		t.Error(got)
	}
}

func TestOVNTranslatesTheSame(t *testing.T) {
	p := natPolicy(1, 1)
	got := strings.Join(natArgs(p.tenants[0]), " ")
	if want := "-- lr-nat-add r snat 172.16.101.1 10.0.1.0/28 -- "; !strings.HasPrefix(got, want) {
		t.Errorf("%s; want it to begin with %s", got, want)
	}
	if want := "-- lr-nat-add r dnat_and_snat 172.16.1.1 10.0.1.2"; !strings.HasSuffix(got, want) {
		t.Errorf("%s; want it to end with %s", got, want)
	}
	if spare := p.tenants[0].spare(); spare.address != "172.16.1.2" || spare.endpoint.ip != "10.0.1.18" {
		t.Errorf("the spare one is %v", spare)
	}
}

func TestNoStrangerComesTwice(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for port := oneFirst; port <= manyLast; port++ {
		a := netip.AddrFrom4(stranger(port))
		if seen[a] || !a.IsGlobalUnicast() || a.IsPrivate() {
			t.Fatalf("%v is the address of %d: it was seen before, or nobody has it", a, port)
		}
		seen[a] = true
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for name, c := range map[string]struct {
		of   []float64
		q    float64
		want float64
	}{
		"the median of one is that one":              {hundred[:1], .5, 1},
		"the median of three is the second":          {hundred[:3], .5, 2},
		"the 99th percentile of twenty is the worst": {hundred[:20], .99, 20},
		"of a hundred it is the last but one":        {hundred, .99, 99},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantile(c.of, c.q); got != c.want {
				t.Errorf("%v; want %v", got, c.want)
			}
		})
	}
	if !math.IsNaN(quantile(nil, .5)) {
		t.Error("nothing has a median")
	}
}

func TestGoals(t *testing.T) {
	for name, c := range map[string]struct {
		part, what string
		weir, ovn  []float64
		want       string
	}{
		"met beside OVN":             {"a", aRules, []float64{9}, []float64{100}, "at most 0.10 of OVN: met"},
		"missed beside OVN":          {"a", aRules, []float64{11}, []float64{100}, "at most 0.10 of OVN: MISSED"},
		"OVN was not there":          {"a", aRules, []float64{11}, nil, "at most 0.10 of OVN: not measured"},
		"the median counts":          {"c", cMods, []float64{9, 3, 4}, nil, "at most 4: met"},
		"more is better":             {"d", dParallel, []float64{13}, []float64{10}, "at least 1.30 of OVN: met"},
		"more is better, and it was": {"d", dParallel, []float64{12}, []float64{10}, "at least 1.30 of OVN: MISSED"},
		"no goal":                    {"d", dStream, []float64{12}, []float64{10}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &row{c.part, c.what, map[string][]float64{"Weir": c.weir, "OVN": c.ovn}}
			if got := w.verdict(); got != c.want {
				t.Errorf("%q; want %q", got, c.want)
			}
		})
	}
}

// need skips what needs an Open vSwitch and a daemon, and returns where the daemon is.
func need(t *testing.T) string {
	t.Helper()
	if os.Getenv("WEIR_INTEGRATION") == "" {
		t.Skip("an Open vSwitch and a daemon for each peer: run it with make integration")
	}
	if os.Getenv("WEIR_BIN") == "" {
		t.Fatal("WEIR_BIN does not say where the daemon is")
	}
	return os.Getenv("WEIR_BIN")
}

// TestTranslatedTrafficComesBackOnce runs part h for a moment.
func TestTranslatedTrafficComesBackOnce(t *testing.T) {
	o := options{weir: need(t), parts: "h", rounds: 1, long: 300 * time.Millisecond, ovn: missingOVN() == ""}
	r := &report{}
	if err := o.measure(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		for _, what := range []string{hNew, hEstablished, hEntries} {
			if got := r.last("h", path+": "+what, "Weir"); got != 1 {
				t.Errorf("%s: %v %s; want 1", path, got, what)
			}
		}
		if got := r.last("h", path+": "+hConnections, "Weir"); !(got > 0) {
			t.Errorf("%s: %v connections a second", path, got)
		}
	}
	if failed := r.last("h", dFailed, "Weir"); failed != 0 {
		t.Errorf("%v connections failed: %v", failed, r.notes)
	}
}

// TestBalancedTrafficIsMeasured runs part k for a moment. The datapath is not to ask about each connection through a
// group, wherever it comes from.
func TestBalancedTrafficIsMeasured(t *testing.T) {
	o := options{weir: need(t), parts: "k", rounds: 1, long: 300 * time.Millisecond, inspect: t.TempDir(), ovn: missingOVN() == ""}
	r := &report{}
	if err := o.measure(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(slices.Clone(balancedPaths), byStrangers) {
		for _, what := range []string{hConnections, kAgain, hSearched} {
			if got := r.last("k", path+": "+what, "Weir"); !(got > 0) {
				t.Errorf("%s: %v %s", path, got, what)
			}
		}
		name := strings.NewReplacer(" ", "-", ",", "").Replace("k Weir " + path + ".txt")
		if text, err := os.ReadFile(filepath.Join(o.inspect, name)); err != nil || !strings.Contains(string(text), "ct_state") {
			t.Errorf("%s: flows of the datapath are not written down: %v", path, err)
		}
	}
	for _, path := range []string{byGroup, byGroupOut, byStrangers} {
		if got := r.last("k", path+": "+kUpcalls, "Weir"); !(got < 500) {
			t.Errorf("%s: %v upcalls for 1,000 connections", path, got)
		}
	}
	if failed := r.last("k", dFailed, "Weir"); failed != 0 {
		t.Errorf("%v connections failed: %v", failed, r.notes)
	}
}

// TestASmallRun runs all parts but the traffic, at a size that takes seconds.
func TestASmallRun(t *testing.T) {
	o := options{weir: need(t), parts: "abcfgl", rounds: 2, times: 3, peerTimes: 2, ovn: missingOVN() == "",
		sizes: sizes{tenants: 3, endpoints: 2, rules: 4, groupRules: 5, members: 2, routed: 2, floating: 3, balancers: 2}}
	r := &report{}
	if err := o.measure(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, g := range goals {
		if strings.Contains(o.parts, g.part) && math.IsNaN(r.last(g.part, g.what, "Weir")) {
			t.Errorf("(%s) %s was not measured", g.part, g.what)
		}
	}
	if perRule := r.last("a", aPerRule, "Weir"); perRule != 1 {
		t.Errorf("%v flows for each rule; want 1", perRule)
	}
}
