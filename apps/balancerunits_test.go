package apps

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/store"
)

// drawBalancers draws load balancers of the tenant blue, some of which have an address and
// backends in common.
func drawBalancers(t *rapid.T) string {
	var s strings.Builder
	for i := range rapid.IntRange(0, 3).Draw(t, "load balancers") {
		one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
		fmt.Fprintf(&s, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: l%d, tenant: blue}\n"+
			"spec: {address: 10.0.0.20%s, ports: [{port: %d, protocol: %s, targetPort: 80}], algorithm: %s, snat: %s, whenEmpty: reject, backends: [%s]}\n",
			i, one("address", "0", "0", "1"), 80+i, one("protocol of a service", "tcp", "udp"), one("algorithm", "hash", "consistent", "sourceIP"), one("snat", "auto", "always", "never"),
			one("backends", "{endpoint: e00}", "{endpoint: e00}, {endpoint: e01, weight: 7}", "{labels: {tier: app}}, {address: 10.0.0.99}", "{endpoint: e01, weight: 0}, {endpoint: e00}"))
	}
	return s.String()
}

// drawEditOfBalancer changes something of a load balancer, or deletes it.
func drawEditOfBalancer(t *rapid.T, text string) string {
	docs := strings.Split(text, "---\n")
	var at []int
	for i, d := range docs {
		if strings.Contains(d, "kind: LoadBalancer") {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return text
	}
	i := rapid.SampledFrom(at).Draw(t, "object")
	edit := rapid.SampledFrom([][2]string{{"", ""}, {"weight: 7", "weight: 8"}, {"{endpoint: e00}", "{endpoint: e00, weight: 1}"}, {"address: 10.0.0.200", "address: 10.0.0.201"}, {"snat: always", "snat: auto"}, {"hash", "consistent"}}).Draw(t, "edit of a load balancer")
	if edit[0] == "" {
		return strings.Join(slices.Delete(docs, i, i+1), "---\n")
	}
	docs[i] = strings.Replace(docs[i], edit[0], edit[1], 1)
	return strings.Join(docs, "---\n")
}

// balancersOf returns the load balancers of m that have backends.
func balancersOf(m *intent.Model) (all []*intent.LoadBalancer) {
	for _, t := range m.Tenants() {
		for _, l := range t.LoadBalancers {
			if len(l.Backends) > 0 {
				all = append(all, l)
			}
		}
	}
	return all
}

func TestBackendsThatGoHaveNobodyJudgedAgainWhereThereIsAnOutside(t *testing.T) {
	before, _ := compileFile(t, "testdata/balancing.yaml")
	after, in := compileText(t, "testdata/balancing.yaml", "backends: [{labels: {tier: dns}}]", "backends: [{endpoint: dns-2}]")
	if again := pipeline.Narrowed(after.Tables().Flows, before.Tables().Flows, in.Numbers, in.Model); len(again) > 0 {
		t.Error(again)
	}
}

// compileText compiles a model with some words in place of others.
func compileText(t testing.TB, name, from, to string) (*pipeline.Program, pipeline.Input) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := intent.Read(intent.Source{Name: name, Data: []byte(strings.ReplaceAll(string(data), from, to))})
	if err != nil {
		t.Fatal(err)
	}
	return compileModel(t, m)
}

// TestAChangeOfALoadBalancerIsItsOwn changes testdata/balancers.yaml step by step, and looks at
// what is sent, which units are compiled, and who is judged again.
func TestAChangeOfALoadBalancerIsItsOwn(t *testing.T) {
	data, err := os.ReadFile("testdata/balancers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var reader intent.Reader
	var cache pipeline.Cache
	numbers := store.Mem()
	weights := map[intent.ID]map[netip.AddrPort]uint16{}
	compile := func(text string) (*pipeline.Program, pipeline.Input) {
		t.Helper()
		m, err := reader.Read(intent.Source{Name: "balancers.yaml", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		in, err := inputOf(m, numbers)
		if err != nil {
			t.Fatal(err)
		}
		in.Facts.Weights = maps.Clone(weights)
		p, err := Recompile(&cache, in)
		if err != nil {
			t.Fatal(err)
		}
		return p, in
	}
	text := string(data)
	before, _ := compile(text)
	for _, c := range []struct {
		what, from, to string
		weigh          func()
		want           string
	}{
		{what: "a weight", from: "weight: 300", to: "weight: 200", want: "groups 2, flows +0 -0, again []"},
		{what: "a backend drains", from: "weight: 200", to: "weight: 0", want: "groups 2, flows +0 -0, again []"},
		{what: "a backend goes", from: ", {address: 10.2.0.99, weight: 0}", to: "", want: "groups 0, flows +0 -2, again []"},
		{what: "a backend comes", from: "{endpoint: web-1, port: 2200}", to: "{endpoint: web-1, port: 2200}, {endpoint: web-3}", want: "groups 1, flows +3 -0, again []"},
		{what: "a backend is not well", weigh: func() {
			weights["blue/loadbalancer/other-ports"] = map[netip.AddrPort]uint16{netip.MustParseAddrPort("10.2.0.21:2200"): 0}
		}, want: "groups 1, flows +0 -0, again []"},
		{what: "no backend is well", weigh: func() {
			weights["blue/loadbalancer/web6"] = map[netip.AddrPort]uint16{netip.MustParseAddrPort("[fd00:2::21]:0"): 0, netip.MustParseAddrPort("[fd00:2::22]:0"): 0}
		}, want: "groups 1, flows +1 -0, again []"},
		{what: "one comes", from: "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: empty", to: "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: new, tenant: blue}\nspec: {address: 10.1.0.103, ports: [{port: 1, protocol: tcp}], backends: []}\n---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: empty", want: "groups 1, flows +5 -0, again []"},
		{what: "one goes", from: "kind: LoadBalancer\nmetadata: {name: one, tenant: blue}\nspec: {address: 10.1.0.101, ports: [{port: 22", to: "kind: LoadBalancer\nmetadata: {name: one, tenant: blue}\nspec: {address: 10.1.0.101, ports: [{port: 23", want: "groups 1 -1, flows +3 -3, again [blue]"},
	} {
		if !strings.Contains(text, c.from) {
			t.Fatalf("%s: no %q", c.what, c.from)
		}
		if text = strings.Replace(text, c.from, c.to, 1); c.weigh != nil {
			c.weigh()
		}
		now, in := compile(text)
		plan := now.After(before)
		want, have := now.Unlike(before)
		again := pipeline.Narrowed(want.Flows, have.Flows, in.Numbers, in.Model)
		got := fmt.Sprintf("groups %d, flows +%d -%d, again %v", len(plan.PutGroups), len(plan.PutFlows), len(plan.DeleteFlows), again)
		if n := len(plan.DeleteGroups); n > 0 {
			got = strings.Replace(got, ",", fmt.Sprintf(" -%d,", n), 1)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s\n%v", c.what, got, c.want, plan)
		}
		if units := len(now.Beside(before).Units); units > 4 {
			t.Errorf("%s: %d units are others", c.what, units)
		}
		if left := ofproto.Diff(now.Tables(), applied(before.Tables(), plan)); !left.Empty() {
			t.Errorf("%s: the plan leaves %v", c.what, left)
		}
		before = now
	}
}

// TestWhatTheSwitchRefusesOfALoadBalancerIsAllOfIt refuses a group: nothing is left that would lead there.
// Another one brings what the refused one did.
func TestWhatTheSwitchRefusesOfALoadBalancerIsAllOfIt(t *testing.T) {
	for _, id := range []intent.ID{"blue/loadbalancer/one", "blue/loadbalancer/one/tcp/22"} {
		_, in := compileFile(t, "testdata/balancers.yaml")
		in.Refused = map[intent.ID]bool{id: true}
		p, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		answers := 0
		for _, f := range p.Tables().Flows {
			if f.Cookie == pipeline.Cookie(in.Numbers.Tag("blue/loadbalancer/one")) {
				t.Errorf("%s is refused, and there is %v", id, f)
			}
			if f.Table == pipeline.ArpNd && slices.Contains(f.Match, ofproto.IsAddr(ofproto.ARPTPA, netip.MustParseAddr("10.1.0.101"))) {
				answers++
			}
		}
		if answers != 1 {
			t.Errorf("%s is refused, and %d answer for the address that it has with another one", id, answers)
		}
	}
}

// TestLoadBalancersAreShallowWhereAddressesAreShared adds some to testdata/shared.yaml, on both
// datapaths: a packet is sent back no more often than without.
func TestLoadBalancersAreShallowWhereAddressesAreShared(t *testing.T) {
	data, err := os.ReadFile("testdata/shared.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more := `
---
apiVersion: weir/v1
kind: LoadBalancer
metadata: {name: in, tenant: blue}
spec: {address: 10.1.0.200, ports: [{port: 80, protocol: tcp}], backends: [{address: 10.1.0.50}, {address: 10.1.0.51}], snat: always}
`
	m, err := intent.Read(intent.Source{Name: "shared.yaml", Data: append(data, more...)})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inputOf(m, store.Mem())
	if err != nil {
		t.Fatal(err)
	}
	for _, features := range []pipeline.Features{{NDExtension: true}, onKernel} {
		in.Facts.Features = features
		p, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range p.Tables().Groups {
			if g.Type == ofproto.GroupSelect {
				t.Errorf("a group chooses: %v", g)
			}
		}
		if p.Rounds.N > pipeline.MaxRounds {
			t.Error(p.Rounds)
		}
	}
}

// TestUnitsOfLoadBalancersThatAreNewAreToldAhead compiles 150 load balancers, then 200 of which one is another.
func TestUnitsOfLoadBalancersThatAreNewAreToldAhead(t *testing.T) {
	var reader intent.Reader
	var cache pipeline.Cache
	numbers := store.Mem()
	for _, c := range []struct{ many, port, told int }{{50, 1, 0}, {150, 1, 100}, {150, 2, 0}, {300, 2, 150}, {300, 3, 0}} {
		text := twoBackends(c.many, c.port)
		m, err := reader.Read(intent.Source{Name: "f", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		in, err := inputOf(m, numbers)
		if err != nil {
			t.Fatal(err)
		}
		var units chan *pipeline.Unit
		cache.Ahead = func(most int) chan<- *pipeline.Unit {
			units = make(chan *pipeline.Unit, most)
			return units
		}
		p, err := Recompile(&cache, in)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		if units != nil {
			for u := range units {
				told++
				if i := slices.Index(p.Units, u); i < 0 || !usesItsOwnGroups(u) {
					t.Errorf("unit %d of the program, %+v", i, u)
				}
			}
		}
		if told != c.told {
			t.Errorf("%d load balancers, the first at port %d: %d told ahead, want %d", c.many, c.port, told, c.told)
		}
	}
}

// twoBackends is a model of load balancers with two backends each, of which the first is at a port.
func twoBackends(many, port int) string {
	var s strings.Builder
	s.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: blue}\n---\n" +
		"apiVersion: weir/v1\nkind: Network\nmetadata: {name: n, tenant: blue}\nspec: {subnets: [{cidr: 10.0.0.0/8, gateway: 10.0.0.1}]}\n")
	for i := range many {
		fmt.Fprintf(&s, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: l%d, tenant: blue}\nspec: {address: 10.255.%d.%d, ports: [{port: %d, protocol: tcp}], backends: [{address: 10.1.0.1}, {address: 10.1.0.2}]}\n",
			i, i/250, i%250+1, port)
		port = 1
	}
	return s.String()
}

func usesItsOwnGroups(u *pipeline.Unit) bool {
	for _, f := range u.Flows {
		for _, a := range f.Actions {
			g, is := a.(ofproto.ToGroup)
			if is && !slices.ContainsFunc(u.Groups, func(h ofproto.Group) bool { return h.ID == uint32(g) }) {
				return false
			}
		}
	}
	return true
}
