package apps

import (
	"fmt"
	"slices"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/store"
)

// TestPacketsAreNotSentBackTooOften prints how often a packet may be sent back in each case.
func TestPacketsAreNotSentBackTooOften(t *testing.T) {
	for _, name := range cases(t) {
		p, _ := compileFile(t, name)
		t.Logf("%-28s %d: %v", name, p.Rounds.N, p.Rounds.By)
		if p.Rounds.N < 1 || p.Rounds.N > pipeline.MaxRounds {
			t.Errorf("%s: %d", name, p.Rounds.N)
		}
	}
}

// TestAWayThatIsTooLongIsRefused adds an app to the pipeline that sends what is new on from
// table to table, each time through the tracker.
func TestAWayThatIsTooLongIsRefused(t *testing.T) {
	const first = 200
	chain := func(n int) pipeline.App {
		return pipeline.App{Bridge: func(*pipeline.Builder) {}, Tenant: func(b *pipeline.Builder, s *pipeline.TenantSite) {
			for i, e := range s.Endpoints {
				if i < n {
					b.Flow(e.ID(), first+ofproto.Table(i), 1, ofproto.MatchOn(ofproto.IsIPv4), ofproto.ConnTrack{ZoneIn: pipeline.Zone, Table: first + ofproto.Table(i) + 1})
				}
			}
			b.Flow(s.ID(), pipeline.LBVIP, 30000, ofproto.MatchOn(ofproto.IsIPv4), ofproto.GotoTable(first))
		}}
	}
	m := sixEndpoints(t)
	for n, want := range map[int]string{4: "", 5: `a packet could be sent back to the flow tables 6 times, and Open vSwitch drops it after 5: do without one of "bridge/br0", "a/endpoint/e0", "a/endpoint/e1", "a/endpoint/e2", "a/endpoint/e3", "a/endpoint/e4"`,
		6: `a packet could be sent back to the flow tables 6 times, and Open vSwitch drops it after 5: do without one of "bridge/br0", "a/endpoint/e0", "a/endpoint/e1", "a/endpoint/e2", "a/endpoint/e3", "a/endpoint/e4"`} {
		in, err := inputOf(m, store.Mem())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pipeline.Build(in, chain(n)); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%d more: %v\nwant %s", n, err, want)
		}
	}
}

func sixEndpoints(t *testing.T) *intent.Model {
	text := "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: a}\n---\n" +
		"apiVersion: weir/v1\nkind: Network\nmetadata: {name: n, tenant: a}\nspec: {subnets: [{cidr: 10.1.0.0/24}]}\n"
	for i := range 6 {
		text += fmt.Sprintf("---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: e%d, tenant: a}\nspec: {network: n, bind: {port: p%d}, mac: \"02:00:00:00:00:1%d\", ips: [10.1.0.1%d]}\n", i, i, i, i)
	}
	m, err := intent.Read(intent.Source{Name: "six", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWhoSendsPacketsBackIsThere takes away the SNAT by which packets were sent back most often. Another one does so as
// often, and is named in its place.
func TestWhoSendsPacketsBackIsThere(t *testing.T) {
	ports := func(name string) string {
		return crossingObject("blue", "SNAT", name, "addresses: [203.0.113.40-203.0.113.42], ports: 1024-65535")
	}
	p := passageOf(t, crossingTenant("blue", "", 1), ports("a"), ports("b"))
	var cache pipeline.Cache
	for _, gone := range []bool{false, true} {
		in, by := p.in, intent.ID("blue/snat/a")
		if gone {
			in, by = passageOf(t, crossingTenant("blue", "", 1), ports("b")).in, "blue/snat/b"
		}
		program, err := Recompile(&cache, in)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(program.Rounds.By, by) {
			t.Errorf("by %v, want %s among them", program.Rounds.By, by)
		}
	}
}

// TestWhatSitesHaveTogetherIsNotRefused has load balancers, limits, and SNATs with ranges and ports in one model.
func TestWhatSitesHaveTogetherIsNotRefused(t *testing.T) {
	balancer := func(name, address, backends, more string) string {
		return crossingObject("blue", "LoadBalancer", name, "address: "+address+", ports: [{port: 80, protocol: tcp}], backends: ["+backends+"]"+more)
	}
	snat := func(spec string) string { return crossingObject("blue", "SNAT", "out", spec) }
	own, far := "{endpoint: h1}, {endpoint: h2}", "{address: 198.51.100.7}"
	pool, ports, limits := "addresses: [203.0.113.40-203.0.113.42]", ", ports: 1024-65535", "limits: {connections: 100, newPerSecond: 50}"
	for name, c := range map[string]struct{ tenant, more string }{
		"inside, and a range":                {"", balancer("in", "10.1.0.100", own, "") + snat(pool)},
		"inside, and ports":                  {"", balancer("in", "10.1.0.100", own, "") + snat(pool+ports)},
		"outside, and ports":                 {"", balancer("out", "203.0.113.50", own, "") + snat(pool+ports)},
		"outside, snat: always, and ports":   {"", balancer("out", "203.0.113.50", own, ", snat: always") + snat(pool+ports)},
		"both, limits, and ports":            {limits, balancer("in", "10.1.0.100", own, "") + balancer("out", "203.0.113.50", own, ", algorithm: consistent") + snat(pool+ports)},
		"a backend outside, and a range":     {"", balancer("in", "10.1.0.100", far, "") + snat(pool)},
		"a backend outside, and ports":       {"", balancer("out", "203.0.113.50", own+", "+far, "") + snat(pool+ports)},
		"a backend outside, and one address": {limits, balancer("out", "203.0.113.50", own+", "+far, "") + snat("addresses: [203.0.113.40]")},
	} {
		in := passageOf(t, crossingTenant("blue", c.tenant, 2), c.more).in
		var cache pipeline.Cache
		switch p, err := Recompile(&cache, in); {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			t.Logf("%-36s %d", name, p.Rounds.N)
		}
	}
}
