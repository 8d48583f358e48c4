package intent

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatATenantSays(t *testing.T) {
	m, err := read(t, nil, `kind: Tenant
metadata: {name: red}
spec:
  mode: audit
  defaults: {ingress: allow, egress: deny, invalid: allow, strictTCP: true}
  limits: {connections: 50000, newPerSecond: 2000}
  timeouts: {tcpEstablished: 2h, udpStream: 3m, icmpFirst: 1m30s, udpFirst: 1d}
  allowDisruption: true`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Tenant{
		Name: "red", Mode: Audit, Ingress: Allow, Egress: Deny, InvalidAllow: true, StrictTCP: true, ImplicitARP: true, AllowDisruption: true,
		Limits:   Limits{Connections: 50000, NewPerSecond: 2000},
		Timeouts: map[Timeout]uint32{"tcp_established": 7200, "udp_multiple": 180, "icmp_first": 90, "udp_first": 86400},
	}
	if d := cmp.Diff(want, m.Tenant("red")); d != "" {
		t.Error(d)
	}
}

func TestATenantThatSaysNothing(t *testing.T) {
	m, err := read(t, nil, "kind: Tenant\nmetadata: {name: red}")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&Tenant{Name: "red", Mode: Enforce, Ingress: Deny, Egress: Allow, ImplicitARP: true}, m.Tenant("red")); d != "" {
		t.Error(d)
	}
}

func TestWhatAnEndpointSays(t *testing.T) {
	m, err := read(t, nil, `kind: Network
metadata: {name: wan, tenant: blue}
spec: {bridges: [br0], unknownStations: learn}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: uplink, tenant: blue}
spec: {network: wan, bind: {port: eth1}, mac: any, trusted: true, roles: [router, dhcpServer], limits: {newPerSecond: 100}}`)
	if err != nil {
		t.Fatal(err)
	}
	e := m.Tenant("blue").Endpoints[1]
	if e.Name != "uplink" || e.MAC != (MAC{}) || !e.Trusted || !e.Router || !e.DHCPServer || e.NewPerSecond != 100 || len(e.IPs) != 0 || !e.Network.Learn {
		t.Errorf("%+v", e)
	}
}

func TestPoliciesAreInTheOrderInWhichTheyAreAsked(t *testing.T) {
	policy := func(name, says string) string {
		return "kind: Policy\nmetadata: {name: " + name + ", tenant: blue}\nspec: {" + says + "rules: []}"
	}
	m, err := read(t, nil, strings.Join([]string{
		policy("e", "tier: baseline, "), policy("d", ""), policy("c", "priority: 99, "), policy("b", "priority: 101, "),
		policy("a", ""), policy("z", "tier: admin, priority: 0, onRevoke: reset, "),
	}, "\n---\napiVersion: weir/v1\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range m.Tenant("blue").Policies {
		got = append(got, p.Name)
	}
	if d := cmp.Diff([]string{"z", "b", "a", "d", "c", "e"}, got); d != "" {
		t.Error(d)
	}
	if z := m.Tenant("blue").Policies[0]; z.Tier != AdminTier || z.OnRevoke != RevokeReset {
		t.Errorf("%+v", z)
	}
}

func TestWhatARuleIsAbout(t *testing.T) {
	any := func(types ...uint8) (all []ICMPType) {
		for _, t := range types {
			all = append(all, ICMPType{Type: t, AnyCode: true})
		}
		return all
	}
	for says, want := range map[string]Service{
		"":                          {Protocol: AnyProtocol},
		"protocol: 6, ports: [80]":  {Protocol: TCP, Ports: []PortRange{{80, 80}}},
		`protocol: "17"`:            {Protocol: UDP},
		"protocol: 132, ports: [5]": {Protocol: SCTP, Ports: []PortRange{{5, 5}}},
		"protocol: 47":              {Protocol: GRE},
		"protocol: dccp":            {Protocol: DCCP},
		"protocol: 89":              {Protocol: "89"},
		`protocol: tcp, ports: ["90-100", 80, "81-85", "95-99", 80]`:                        {Protocol: TCP, Ports: []PortRange{{80, 85}, {90, 100}}},
		`protocol: tcp, ports: [65535, "1-65535"]`:                                          {Protocol: TCP, Ports: []PortRange{{1, 65535}}},
		"protocol: icmp, types: [8, echo-reply]":                                            {Protocol: ICMP, Types: any(0, 8)},
		"types: [echo-request], protocol: icmpv6":                                           {Protocol: ICMPv6, Types: any(128)},
		"protocol: icmp, types: [destination-unreachable/fragmentation-needed, 3/1]":        {Protocol: ICMP, Types: []ICMPType{{Type: 3, Code: 1}, {Type: 3, Code: 4}}},
		"protocol: icmp, types: [3/port-unreachable, destination-unreachable, 3/3, \"42\"]": {Protocol: ICMP, Types: any(3, 42)},
		"protocol: icmpv6, types: [packet-too-big/0]":                                       {Protocol: ICMPv6, Types: []ICMPType{{Type: 2}}},
	} {
		t.Run(says, func(t *testing.T) {
			m, err := read(t, nil, ruleOf(strings.TrimSuffix("action: allow, "+says, ", ")))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, m.Tenant("blue").Policies[0].Rules[0].Service); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestProtocolsHaveTheirNumbers(t *testing.T) {
	for p, want := range map[Protocol]int{AnyProtocol: -1, ARP: -1, ND: -1, TCP: 6, UDP: 17, SCTP: 132, DCCP: 33, GRE: 47, ICMP: 1, ICMPv6: 58, "89": 89, "256": -1, "": -1} {
		n, ok := p.Number()
		if got := int(n); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q has number %d, %v; want %d", p, got, ok, want)
		}
	}
}

func TestAGroupIsSharedByRules(t *testing.T) {
	m, err := read(t, nil, `kind: Group
metadata: {name: admins, tenant: blue}
spec: {cidrs: [10.9.0.0/16], endpoints: [a], labels: {tier: [web, app]}}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: p, tenant: blue}
spec:
  rules:
  - {name: r1, direction: ingress, action: allow, from: {groups: [admins]}}
  - {name: r2, direction: egress, action: allow, to: {groups: [admins], cidrs: [10.8.0.0/16]}}`)
	if err != nil {
		t.Fatal(err)
	}
	blue := m.Tenant("blue")
	g, rules := blue.Groups[0], blue.Policies[0].Rules
	if g.ID() != "blue/group/admins" || len(g.Members.CIDRs) != 1 || len(g.Members.Labels["tier"]) != 2 || m.Position(g.ID()).Line == 0 {
		t.Errorf("%+v", g)
	}
	if rules[0].Peer.Groups[0] != g || rules[1].Peer.Groups[0] != g || rules[0].Peer.Empty() {
		t.Error("the rules do not share the group")
	}
	if !rules[0].Peer.Selects(blue.Endpoints[0]) {
		t.Error("a is in the group, and not selected by it")
	}
	if got := fmt.Sprint(rules[1].Peer.Prefixes()); got != "[10.8.0.0/16 10.9.0.0/16]" {
		t.Errorf("r2 matches the addresses %s", got)
	}
}

func TestPrefixesAreThoseThatLieInNoOther(t *testing.T) {
	s := Selector{Groups: []*Group{{}, {}}}
	for _, text := range []string{"10.1.2.0/24", "10.0.0.0/8", "::/0"} {
		s.CIDRs = append(s.CIDRs, netip.MustParsePrefix(text))
	}
	for _, text := range []string{"10.0.0.0/8", "10.0.0.0/9", "192.0.2.0/24", "fd00::/8"} {
		s.Groups[1].Members.CIDRs = append(s.Groups[1].Members.CIDRs, netip.MustParsePrefix(text))
	}
	if got := fmt.Sprint(s.Prefixes()); got != "[10.0.0.0/8 192.0.2.0/24 ::/0]" {
		t.Error(got)
	}
}

func TestTheReferenceIsAModel(t *testing.T) {
	doc, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("there is no model in it")
	}
	src := Source{"policy.md", []byte(text)}
	s, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := check(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range Review(m, src) {
		t.Errorf("a reference that needs a warning: %v", w)
	}
	for _, name := range slices.Sorted(maps.Keys(timeouts)) {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("the timeout %s is not named", name)
		}
	}
}
