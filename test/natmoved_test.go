package test

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// each is how many connections there are of each kind.
const each = 5

// lively are connections by kind.
type lively map[string][]net.Conn

// open opens connections from a host to an address.
func (l lively) open(t *testing.T, kind string, h *sandbox.Host, address string) {
	t.Helper()
	for range each {
		c, err := h.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		t.Cleanup(func() { c.Close() })
		l[kind] = append(l[kind], c)
	}
}

// count has all speak at once, and counts those that are answered by kind. Those of which it is
// known that they should not be are given a second.
func (l lively) count(ended []string) map[string]int {
	var mu sync.Mutex
	var all sync.WaitGroup
	live := map[string]int{}
	for kind, conns := range l {
		patience := ovstest.Patience
		if slices.Contains(ended, kind) {
			patience = time.Second
		}
		for _, c := range conns {
			all.Go(func() {
				if say(c, "hello", patience) == nil {
					mu.Lock()
					defer mu.Unlock()
					live[kind]++
				}
			})
		}
	}
	all.Wait()
	return live
}

// changedBase is what stays in TestMappingsThatAreChangedEndTheirOwnConnections.
var changedBase = tenant("t", "allowDisruption: true", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") +
	endpoint("t", "h1", 1, "10.1.1.11") + endpoint("t", "h2", 2, "10.1.1.12") + endpoint("t", "h3", 3, "10.1.1.13") +
	tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("red", "r1", 4, "10.1.1.14") + red("FloatingIP", "r1-ip", "address: 203.0.113.40, endpoint: r1") +
	policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80-82]}") +
	policy("red", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")

// changedMappings is what changes.
func changedMappings() map[string]string {
	return map[string]string{
		"floating IP": floatingIP("h1-ip", "203.0.113.20", "h1"),
		"SNAT":        snat("all", "addresses: [203.0.113.10]"),
		"pool":        snat("pool", "priority: 200, from: {endpoints: [h3]}, addresses: [203.0.113.12]"),
		"forward, 2":  object("PortForward", "name: web-2, tenant: t", "address: 203.0.113.31, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}"),
		"forward":     object("PortForward", "name: web, tenant: t", "address: 203.0.113.30, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}"),
	}
}

// changedWays are from whom to what its connections go.
var changedWays = map[string][2]string{
	"floating IP, in": {"out", "203.0.113.20:80"}, "floating IP, out": {"h1", "203.0.113.1:80"}, "floating IP, its tenant": {"h2", "203.0.113.20:80"},
	"floating IP, another tenant": {"r1", "203.0.113.20:80"}, "floating IP, to another tenant": {"h1", "203.0.113.40:80"},
	"SNAT": {"h2", "203.0.113.1:80"}, "SNAT, to another tenant": {"h2", "203.0.113.40:80"}, "pool": {"h3", "203.0.113.1:80"},
	"forward": {"out", "203.0.113.30:8080"}, "forward, 2": {"out", "203.0.113.31:8080"}, "directly": {"h2", "10.1.1.11:80"}, "red's": {"out", "203.0.113.40:80"},
}

// A change is of one mapping, and ends all connections of some kinds.
type change struct {
	name, mapping, is string
	ends              []string
}

func changes(mappings map[string]string) []change {
	return []change{
		{"nothing yet", "", "", nil},
		{"a floating IP for who leaves by an SNAT", "more", floatingIP("h2-ip", "203.0.113.21", "h2"), nil},
		{"and none again", "more", "", nil},
		{"a forward from another port", "forward", strings.Replace(mappings["forward"], "8080", "8081", 1), []string{"forward"}},
		{"a forward to another port", "forward, 2", strings.Replace(mappings["forward, 2"], "port: 80}", "port: 81}", 1), []string{"forward, 2"}},
		{"another pool", "pool", strings.Replace(mappings["pool"], "203.0.113.12", "203.0.113.13", 1), []string{"pool"}},
		{"a floating IP for another endpoint", "floating IP", floatingIP("h1-ip", "203.0.113.20", "h3"),
			[]string{"floating IP, in", "floating IP, out", "floating IP, its tenant", "floating IP, another tenant", "floating IP, to another tenant"}},
		{"no SNAT", "SNAT", "", []string{"SNAT", "SNAT, to another tenant"}},
	}
}

// TestMappingsThatAreChangedEndTheirOwnConnections moves, changes, adds and removes what
// translates, under connections of all kinds: those of the mapping end, and no other.
func TestMappingsThatAreChangedEndTheirOwnConnections(t *testing.T) {
	n := ovstest.New(t)
	hosts := map[string]*sandbox.Host{"out": n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")}
	for i, name := range []string{"h1", "h2", "h3", "r1"} {
		hosts[name] = n.Host(name, mac(i+1), []string{fmt.Sprintf("10.1.1.%d/24", 11+i)}, "10.1.1.1")
	}
	mappings := changedMappings()
	model := func() string { return natBridge + changedBase + strings.Join(slices.Sorted(maps.Values(mappings)), "") }
	n.Run(model())
	echo(t, hosts["out"], "203.0.113.1:80")
	echo(t, hosts["r1"], "10.1.1.14:80")
	for i, name := range []string{"h1", "h2", "h3"} {
		echo(t, hosts[name], fmt.Sprintf("10.1.1.%d:80", 11+i))
	}
	conns := lively{}
	for kind, way := range changedWays {
		conns.open(t, kind, hosts[way[0]], way[1])
	}
	for _, step := range changes(mappings) {
		if mappings[step.mapping] = step.is; step.mapping != "" {
			n.Weir.Apply(model())
		}
		got := conns.count(step.ends)
		for kind := range conns {
			want := each
			if slices.Contains(step.ends, kind) {
				want = 0
			}
			if got[kind] != want {
				t.Errorf("%s: %d of %d live: %s; want %d", step.name, got[kind], each, kind, want)
			}
			if want == 0 {
				delete(conns, kind)
			}
		}
		t.Logf("%-40s %d kinds of %d connections live", step.name, len(got), each)
	}
}

// movedStormModel has addresses of two tenants that stay as they are, and h3 and r2 for others.
var movedStormModel = natModel(snat("all", "addresses: [203.0.113.10]"), floatingIP("h1-ip", "203.0.113.20", "h1"),
	object("PortForward", "name: web, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 80}"),
	endpoint("t", "h3", 3, "10.1.1.13"), endpoint("t", "h4", 5, "10.1.1.14"),
	tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}"), endpoint("red", "r1", 4, "10.1.1.11"), endpoint("red", "r2", 6, "10.1.1.12"),
	red("FloatingIP", "r1-ip", "address: 203.0.113.40, endpoint: r1"),
	policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}"),
	policy("red", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}"))

// movedMappings are what is added to it in turn.
var movedMappings = []string{
	floatingIP("a", "203.0.113.50", "h3"),
	floatingIP("a", "203.0.113.50", "h4"),
	floatingIP("a", "203.0.113.50", "h4") + floatingIP("b", "203.0.113.51", "h3"),
	floatingIP("b", "203.0.113.50", "h3"),
	red("FloatingIP", "a", "address: 203.0.113.50, endpoint: r2"),
	object("PortForward", "name: a, tenant: t", "address: 203.0.113.10, port: 8081, protocol: tcp, to: {endpoint: h3, port: 80}"),
	object("PortForward", "name: a, tenant: t", "address: 203.0.113.10, port: 8081, protocol: tcp, to: {endpoint: h4, port: 81}"),
	snat("b", "priority: 200, from: {endpoints: [h3]}, addresses: [203.0.113.60-203.0.113.63]"),
	snat("b", "priority: 200, from: {endpoints: [h4]}, addresses: [203.0.113.62-203.0.113.65]"),
	"",
}

// TestStormWhileMappingsMove is the storm on addresses that stay, while others are added, moved
// from one endpoint and from one tenant to another, and removed.
func TestStormWhileMappingsMove(t *testing.T) {
	n := ovstest.New(t)
	hosts := map[string]*sandbox.Host{"out": n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")}
	for i, h := range []struct{ name, ip string }{{"h1", "10.1.1.11"}, {"h2", "10.1.1.12"}, {"h3", "10.1.1.13"}, {"r1", "10.1.1.11"}, {"h4", "10.1.1.14"}, {"r2", "10.1.1.12"}} {
		hosts[h.name] = n.Host(h.name, mac(i+1), []string{h.ip + "/24"}, "10.1.1.1")
	}
	n.Run(movedStormModel)
	h1, h2, r1, out := hosts["h1"], hosts["h2"], hosts["r1"], hosts["out"]
	s := newStorm(t, []stormPath{
		{name: "SNAT", from: h2, address: "203.0.113.1:80", to: out},
		{name: "floating IP out", from: h1, address: "203.0.113.1:80", to: out},
		{name: "floating IP in", from: out, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		{name: "floating IP, tenant", from: h2, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		{name: "forwarded port", from: out, address: "203.0.113.10:8080", to: h2, at: "10.1.1.12:80"},
		{name: "another tenant's", from: h2, address: "203.0.113.40:80", to: r1, at: "10.1.1.11:80"},
		{name: "floating IPs across", from: r1, address: "203.0.113.20:80", to: h1, at: "10.1.1.11:80"},
		{name: "directly", from: hosts["h3"], address: "10.1.1.11:80", to: h1},
	}...)
	s.blow(t, n, 0, func(edit int) { n.Weir.Apply(movedStormModel + movedMappings[edit%len(movedMappings)]) })
}
