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
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n" +
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
	in := pipeline.Input{Bridge: "br0", Model: m, Numbers: n, Refused: map[intent.ID]bool{}}
	for i := range 3 {
		in.Facts.Ports = append(in.Facts.Ports, pipeline.Port{Name: fmt.Sprint("p", i), OFPort: uint32(i + 1)})
	}
	for _, id := range refused {
		in.Refused[id] = true
	}
	p, err := pipeline.Build(in, App)
	if err != nil {
		t.Fatal(err)
	}
	return p, n, m.Tenants()[0]
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

func TestARuleGoesBelowTheEarlierOnesThatItOverlaps(t *testing.T) {
	for name, c := range map[string]struct {
		rules []string
		below []uint16 // how far below the top each rule is
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
				if id := intent.ID(fmt.Sprintf("t/policy/p/r%d", i)); got[id] != topPriority-below {
					t.Errorf("%s has priority %d, want %d", id, got[id], topPriority-below)
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
		if f.Table == pipeline.PolIn && id == "t/policy/p" && f.Priority == topPriority && strings.Contains(ofproto.Text(f.Actions), "goto_table:62") {
			for _, c := range f.Match {
				if c.Field == pipeline.RegDstID {
					closed[c.Value.Uint64()] = true
				}
			}
		}
	}
	for _, c := range pipeline.Classes(tenant) {
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
	if got := len(matches); got != 2+11+1 { // two classes; 1, 2-3, 4-7, ... 1024-2047; both
		t.Errorf("%d matches, want 14: %v", got, matches)
	}
}

func TestRefusedDeniesOfOneScopeCloseItTogether(t *testing.T) {
	p, n, _ := compile(t, []intent.ID{"t/policy/p/r0", "t/policy/p/r2"},
		"action: deny, protocol: tcp, ports: [23]", "action: allow, protocol: udp", "action: deny, protocol: tcp, ports: [24]")
	got := priorities(p, n)
	if got["t/policy/p/r1"] != topPriority-1 {
		t.Errorf("%v: want the closed scope first, and the allow below it", got)
	}
}
