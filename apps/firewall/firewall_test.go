package firewall

import (
	"fmt"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/store"
)

// compile compiles the rules of a policy for all endpoints of a tenant with web, app and db.
func compile(t *testing.T, refused []intent.ID, rules ...string) (*pipeline.Program, pipeline.Numbers, *intent.Tenant) {
	t.Helper()
	in := input(t, rules...)
	in.Refused = map[intent.ID]bool{}
	for _, id := range refused {
		in.Refused[id] = true
	}
	p, err := pipeline.Build(in, App)
	if err != nil {
		t.Fatal(err)
	}
	return p, in.Numbers, in.Model.Tenants()[0]
}

// input is what compile compiles.
func input(t *testing.T, rules ...string) pipeline.Input {
	t.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\nspec: {implicitARP: false}\n" +
		"---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: n, tenant: t}\nspec: {subnets: [{cidr: 10.0.0.0/24}]}\n")
	for i, name := range []string{"web", "app", "db"} {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: %s, tenant: t, labels: {tier: %s}}\nspec: {network: n, bind: {port: p%d}, mac: \"02:00:00:00:00:0%d\", ips: [10.0.0.%d]}\n", name, name, i, i+1, i+1)
	}
	b.WriteString("---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: t}\nspec:\n  rules:\n")
	for i, r := range rules {
		fmt.Fprintf(&b, "  - {name: r%d, direction: ingress, %s}\n", i, r)
	}
	m, err := intent.Read(intent.Source{Name: "test", Data: []byte(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	n, err := store.Mem().Assign(store.Wants(pipeline.WantsOf(m)))
	if err != nil {
		t.Fatal(err)
	}
	in := pipeline.Input{Bridge: "br0", Model: m, Numbers: n}
	for i := range 3 {
		in.Facts.Ports = append(in.Facts.Ports, pipeline.Port{Name: fmt.Sprint("p", i), OFPort: uint32(i + 1)})
	}
	return in
}

// priorities returns the priority of each rule, by its number.
func priorities(p *pipeline.Program, n pipeline.Numbers) map[intent.ID]uint16 {
	all := map[intent.ID]uint16{}
	for _, f := range p.Tables().Flows {
		if f.Table == pipeline.PolIn {
			tag, _ := pipeline.TagOf(f.Cookie)
			id, _ := n.Origin(tag)
			all[id] = f.Priority
		}
	}
	return all
}

// first is the priority of rules that none comes before.
var first = uint16(bands[intent.ApplicationTier].first)

func TestARuleGoesBelowTheEarlierOnesThatItOverlaps(t *testing.T) {
	for name, c := range map[string]struct {
		rules []string
		below []uint16 // how many steps below the first each rule is
	}{
		"other ports do not overlap":     {[]string{"action: allow, protocol: tcp, ports: [80]", "action: deny, protocol: tcp, ports: [81]"}, []uint16{0, 0}},
		"a range overlaps what is in it": {[]string{"action: allow, protocol: tcp, ports: [80]", `action: deny, protocol: tcp, ports: ["70-90"]`}, []uint16{0, 1}},
		"any overlaps all":               {[]string{"action: allow, protocol: tcp", "action: allow, protocol: udp", "action: deny"}, []uint16{0, 0, 1}},
		"other peers do not overlap":     {[]string{"action: allow, from: {labels: {tier: web}}", "action: deny, from: {labels: {tier: app}}"}, []uint16{0, 0}},
		"a CIDR may be anybody's":        {[]string{"action: allow, from: {labels: {tier: web}}", "action: deny, from: {cidrs: [10.0.0.0/8]}"}, []uint16{0, 1}},
		"other CIDRs do not overlap":     {[]string{"action: allow, from: {cidrs: [10.1.0.0/16]}", "action: deny, from: {cidrs: [10.2.0.0/16]}", "action: deny, from: {cidrs: [10.0.0.0/8]}"}, []uint16{0, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p, n, _ := compile(t, nil, c.rules...)
			got := priorities(p, n)
			for i, below := range c.below {
				if id := intent.ID(fmt.Sprintf("t/policy/p/r%d", i)); got[id] != first-below*step {
					t.Errorf("%s has priority %d, want %d", id, got[id], first-below*step)
				}
			}
		})
	}
}

func TestARefusedDenyClosesItsScope(t *testing.T) {
	p, n, tenant := compile(t, []intent.ID{"t/policy/p/r0"}, "action: deny, from: {cidrs: [10.9.0.0/16]}, protocol: tcp, ports: [23]", "action: allow")
	closed := map[uint64]bool{}
	for _, f := range p.Tables().Flows {
		tag, _ := pipeline.TagOf(f.Cookie)
		id, _ := n.Origin(tag)
		if id == "t/policy/p/r0" {
			t.Errorf("what was refused is there: %v", f)
		}
		if f.Table == pipeline.PolIn && id == "t/policy/p" && f.Priority == first && strings.Contains(ofproto.Text(f.Actions), "goto_table:62") {
			for _, c := range f.Match {
				if c.Field == pipeline.RegDstID {
					closed[c.Value.Uint64()] = true
				}
			}
		}
	}
	for _, c := range pipeline.Classes(tenant, pipeline.RegDstID) {
		if !closed[uint64(n.Tag(c.ID))] {
			t.Errorf("%s is open: its deny was refused, and the allow below it stands", c.ID)
		}
	}
}

func TestARefusedAllowIsLeftOut(t *testing.T) {
	p, n, _ := compile(t, []intent.ID{"t/policy/p/r0"}, "action: allow, protocol: tcp", "action: allow, protocol: udp")
	if got := priorities(p, n); got["t/policy/p/r0"] != 0 || got["t/policy/p/r1"] == 0 {
		t.Errorf("%v", got)
	}
}

func TestPortsThatOverlapAreMatchedOnce(t *testing.T) {
	p, n, _ := compile(t, nil, `action: allow, from: {labels: {tier: web}}, protocol: tcp, ports: [1, "1-1023", "1024-2047"]`)
	matches := map[string]bool{}
	for _, f := range p.Tables().Flows {
		tag, _ := pipeline.TagOf(f.Cookie)
		if id, _ := n.Origin(tag); id == "t/policy/p/r0" {
			matches[f.Match.String()] = true
		}
	}
	if got := len(matches); got != 11 { // 1, 2-3, 4-7, ... 1024-2047
		t.Errorf("%d matches, want 11: %v", got, matches)
	}
}

func TestRefusedDeniesOfOneScopeCloseItTogether(t *testing.T) {
	p, n, _ := compile(t, []intent.ID{"t/policy/p/r0", "t/policy/p/r2"},
		"action: deny, protocol: tcp, ports: [23]", "action: allow, protocol: udp", "action: deny, protocol: tcp, ports: [24]")
	got := priorities(p, n)
	if got["t/policy/p/r1"] != first-step {
		t.Errorf("%v: want the closed scope first, and the allow below it", got)
	}
}

// TestATierThatIsFull compiles rules that overlap one another into a tier with few priorities.
// That there are too many is said, and no rule goes where another tier is.
func TestATierThatIsFull(t *testing.T) {
	was := bands[intent.ApplicationTier]
	t.Cleanup(func() { bands[intent.ApplicationTier] = was })
	bands[intent.ApplicationTier] = band{highest: 30003, first: 30001, lowest: 30000}
	rules := []string{"action: allow", "action: deny, protocol: tcp", "action: allow, protocol: tcp, ports: [80]", "action: deny"}
	p, n, _ := compile(t, nil, rules...)
	for i, want := range []uint16{30003, 30002, 30001, 30000} {
		if id := intent.ID(fmt.Sprintf("t/policy/p/r%d", i)); priorities(p, n)[id] != want {
			t.Errorf("%s has priority %d, want %d", id, priorities(p, n)[id], want)
		}
	}
	_, err := pipeline.Build(input(t, append(rules, "action: allow, protocol: tcp, ports: [80, 443]")...), App)
	want := "t/policy/p/r4: too many rules of tier application overlap one another, and there is no priority left for this one: move some policies to another tier, or make one rule of several"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTooManyRulesForARPAreSaid(t *testing.T) {
	was := discovery
	t.Cleanup(func() { discovery = was })
	discovery.lowest = discovery.first - 1
	in := input(t, "action: allow, protocol: arp", "action: deny, protocol: arp", "action: allow, protocol: nd")
	_, err := pipeline.Build(in, App)
	if err == nil || !strings.HasPrefix(err.Error(), "t/policy/p/r2: there are too many rules for ARP and ND") {
		t.Error(err)
	}
}
