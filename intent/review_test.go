package intent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reviewed is a tenant with a dual-stack web, an IPv4 app, an IPv6 db, a layer-2 port,
// and groups of them.
const reviewed = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
spec: {implicitARP: false}
---
apiVersion: weir/v1
kind: Network
metadata: {name: lan, tenant: blue}
spec: {subnets: [{cidr: 10.1.0.0/24}, {cidr: "fd00:1::/64"}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web-1, tenant: blue, labels: {tier: web}}
spec: {network: lan, bind: {port: a}, mac: "02:00:00:00:00:0b", ips: [10.1.0.11, "fd00:1::11"]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: app-1, tenant: blue, labels: {tier: app}}
spec: {network: lan, bind: {port: b}, mac: "02:00:00:00:00:0c", ips: [10.1.0.12]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: db-1, tenant: blue, labels: {tier: db}}
spec: {network: lan, bind: {port: c}, mac: "02:00:00:00:00:0d", ips: ["fd00:1::13"]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: plain, tenant: blue}
spec: {network: lan, bind: {port: d}, mac: "02:00:00:00:00:0e"}
---
apiVersion: weir/v1
kind: Group
metadata: {name: inside, tenant: blue}
spec: {cidrs: [10.0.0.0/8], endpoints: [db-1]}
---
apiVersion: weir/v1
kind: Group
metadata: {name: front, tenant: blue}
spec: {labels: {tier: web}}
---
`

// reviewOf returns the paths and sentences that Review has for policies.
func reviewOf(t *testing.T, policies string) []string {
	t.Helper()
	src := Source{"f", []byte(reviewed + policies)}
	s, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := check(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range Review(m, src) {
		if p.Excerpt == "" || p.At.Column == 0 {
			t.Errorf("%v has no place", p)
		}
		got = append(got, strings.TrimSuffix(p.Path+": "+p.Why+"; "+p.Hint, "; "))
	}
	return got
}

// policy is one with rules that are named r0, r1, ...
func policy(name, says string, rules ...string) string {
	s := "apiVersion: weir/v1\nkind: Policy\nmetadata: {name: " + name + ", tenant: blue}\nspec:\n" + says + "  rules:\n"
	for i, r := range rules {
		s += "  - {name: r" + string(rune('0'+i)) + ", " + r + "}\n"
	}
	return s
}

func TestRulesThatCanNeverMatch(t *testing.T) {
	const in, out = "direction: ingress, action: allow", "direction: egress, action: allow"
	first := func(path, id, action, line string) []string {
		return []string{path + ": can never match: blue/policy/" + id + " (" + action + "), at f:" + line + ", comes first and matches all of it"}
	}
	again := func(path, id, line string) []string {
		return []string{path + ": says the same as blue/policy/" + id + ", at f:" + line}
	}
	for name, c := range map[string]struct {
		policies []string
		want     []string
	}{
		"a rule below one for everything":                      {[]string{policy("p", "", "direction: ingress, action: deny", in+", protocol: tcp, ports: [80]")}, first("spec.rules[1]", "p/r0", "deny", "50")},
		"a rule of the other direction":                        {[]string{policy("p", "", in, out)}, nil},
		"the same rule twice":                                  {[]string{policy("p", "", in+", protocol: udp", in+", protocol: 17")}, again("spec.rules[1]", "p/r0", "50")},
		"the same match with another mark":                     {[]string{policy("p", "", in+", mark: 1", in+", mark: 2")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"ports inside a range":                                 {[]string{policy("p", "", in+`, protocol: tcp, ports: ["80-90"]`, in+`, protocol: tcp, ports: [85, "87-88"]`)}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"ports half inside a range":                            {[]string{policy("p", "", in+`, protocol: tcp, ports: ["80-90"]`, in+`, protocol: tcp, ports: ["85-95"]`)}, nil},
		"all ports below some":                                 {[]string{policy("p", "", in+`, protocol: tcp, ports: ["1-65535"]`, in+`, protocol: tcp`)}, nil},
		"another protocol":                                     {[]string{policy("p", "", in+", protocol: tcp", in+", protocol: udp", in)}, nil},
		"an ICMP code below its type":                          {[]string{policy("p", "", in+", protocol: icmp, types: [8]", in+", protocol: icmp, types: [8/0]")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"an ICMP type below one of its codes":                  {[]string{policy("p", "", in+", protocol: icmp, types: [8/0]", in+", protocol: icmp, types: [8]")}, nil},
		"a prefix inside another":                              {[]string{policy("p", "", in+", from: {cidrs: [10.0.0.0/8]}", in+", from: {cidrs: [10.2.0.0/16, 10.3.0.0/16]}")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"a prefix around another":                              {[]string{policy("p", "", in+", from: {cidrs: [10.2.0.0/16]}", in+", from: {cidrs: [10.0.0.0/8]}")}, nil},
		"an endpoint in a prefix":                              {[]string{policy("p", "", in+", from: {cidrs: [10.0.0.0/8]}", in+", from: {endpoints: [app-1]}")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"an endpoint with IPv6 in a prefix of IPv4":            {[]string{policy("p", "", in+", from: {cidrs: [10.0.0.0/8]}", in+", from: {endpoints: [web-1]}")}, nil},
		"but not for ICMP, which is IPv4's":                    {[]string{policy("p", "", in+", from: {cidrs: [10.0.0.0/8]}, protocol: icmp", in+", from: {endpoints: [web-1]}, protocol: icmp")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"an endpoint has a link-local address, too":            {[]string{policy("p", "", in+`, from: {cidrs: ["fd00::/8"]}`, in+", from: {endpoints: [db-1]}")}, nil},
		"which may be covered":                                 {[]string{policy("p", "", in+`, from: {cidrs: ["fd00::/8", "fe80::/10"]}`, in+", from: {endpoints: [db-1]}")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"the address of an endpoint":                           {[]string{policy("p", "", in+", from: {endpoints: [app-1]}", in+", from: {cidrs: [10.1.0.12/32]}")}, again("spec.rules[1]", "p/r0", "50")},
		"a layer-2 port may have any address":                  {[]string{policy("p", "", in+`, from: {cidrs: ["10.0.0.0/8", "fd00::/8", "fe80::/10"]}`, in+", from: {endpoints: [plain]}")}, nil},
		"anybody below all addresses of both":                  {[]string{policy("p", "", in+`, from: {cidrs: ["0.0.0.0/0", "::/0"]}`, in)}, again("spec.rules[1]", "p/r0", "50")},
		"anybody below all addresses of one":                   {[]string{policy("p", "", in+`, from: {cidrs: ["0.0.0.0/0"]}`, in)}, nil},
		"anybody, if the endpoints have but that one":          {[]string{policy("p", "  appliesTo: {endpoints: [app-1]}\n", in+`, from: {cidrs: ["0.0.0.0/0"]}`, in)}, again("spec.rules[1]", "p/r0", "51")},
		"a group in a prefix":                                  {[]string{policy("p", "", in+`, from: {groups: [inside]}`, in+", from: {cidrs: [10.9.0.0/16], endpoints: [db-1]}")}, first("spec.rules[1]", "p/r0", "allow", "50")},
		"a group of the same endpoints":                        {[]string{policy("p", "", in+`, from: {labels: {tier: web}}`, in+", from: {groups: [front]}")}, again("spec.rules[1]", "p/r0", "50")},
		"another policy for fewer endpoints":                   {[]string{policy("p", "", in), policy("q", "  appliesTo: {labels: {tier: db}}\n", in)}, first("spec.rules[0]", "p/r0", "allow", "50")},
		"another policy for more endpoints":                    {[]string{policy("p", "  appliesTo: {labels: {tier: db}}\n", in), policy("q", "", in)}, nil},
		"a policy of a later tier, though it is written first": {[]string{policy("p", "  tier: baseline\n", in), policy("q", "", in)}, again("spec.rules[0]", "q/r0", "58")},
		"below a pass, in the same tier":                       {[]string{policy("p", "", "direction: ingress, action: pass", in)}, first("spec.rules[1]", "p/r0", "pass", "50")},
		"below a pass, in the next tier":                       {[]string{policy("p", "  tier: admin\n", "direction: ingress, action: pass"), policy("q", "", in)}, nil},
		"below a rule that a pass may have jumped over":        {[]string{policy("p", "  tier: admin\n", "direction: ingress, action: pass, protocol: tcp", in), policy("q", "", in)}, nil},
		"what is shadowed by two is named with the first":      {[]string{policy("p", "", in, in+", protocol: tcp", in+", protocol: tcp, ports: [5]")}, append(first("spec.rules[1]", "p/r0", "allow", "50"), first("spec.rules[2]", "p/r0", "allow", "50")...)},
		"a rule for ARP below one for any protocol":            {[]string{policy("p", "", in, in+", protocol: arp")}, nil},
		"ICMP errors open no connection":                       {[]string{policy("p", "", in+", protocol: icmp, types: [time-exceeded, 3/4]")}, []string{"spec.rules[0].types: can never match: such messages open no connection, and only new ones are judged by rules; leave the rule out: errors and answers pass with the connection that they are about"}},
		"but pass without one":                                 {[]string{policy("p", "", "direction: ingress, action: stateless, protocol: icmp, types: [time-exceeded]")}, nil},
		"ICMP for hosts of IPv6":                               {[]string{policy("p", "  appliesTo: {endpoints: [db-1]}\n", in+", protocol: icmp")}, []string{"spec.rules[0]: can never match: its endpoints, its peers and its protocol have no IP version in common"}},
		"peers of the other version":                           {[]string{policy("p", "  appliesTo: {endpoints: [db-1]}\n", in+", from: {cidrs: [10.0.0.0/8]}")}, []string{"spec.rules[0]: can never match: its endpoints, its peers and its protocol have no IP version in common"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, reviewOf(t, strings.Join(c.policies, "---\n"))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSelectionsThatAreEmpty(t *testing.T) {
	const rule = "direction: ingress, action: allow"
	for name, c := range map[string]struct {
		objects string
		want    []string
	}{
		"a misspelt value":       {policy("p", "  appliesTo: {labels: {tier: wep}}\n", rule), []string{`spec.appliesTo: selects nobody: no endpoint has tier=wep; did you mean "web"?`}},
		"a misspelt key":         {policy("p", "", rule+", from: {labels: {teir: web}}"), []string{`spec.rules[0].from: selects nobody: no endpoint has teir=web; did you mean "tier"?`}},
		"labels nobody has both": {policy("p", "", rule+", from: {labels: {tier: [web, app], zone: a}}"), []string{`spec.rules[0].from: selects nobody: no endpoint has tier=web|app, zone=a`}},
		"a group without members": {"apiVersion: weir/v1\nkind: Group\nmetadata: {name: g, tenant: blue}\nspec: {labels: {tier: backup}}\n---\n" + policy("p", "", rule+", from: {groups: [g]}"),
			[]string{`spec: selects nobody: no endpoint has tier=backup`, `spec.rules[0].from: selects nobody: group "g" has no members`}},
		"one of two selects somebody":     {policy("p", "", rule+", from: {labels: {tier: backup}, cidrs: [10.9.0.0/16]}"), nil},
		"a policy without rules":          {"apiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: blue}\nspec: {rules: []}\n", []string{"spec.rules: is empty: the policy says nothing"}},
		"a tenant that has nobody so far": {"apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: red}\n---\n" + strings.ReplaceAll(policy("p", "", rule+", protocol: icmp"), "blue", "red"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, reviewOf(t, c.objects)); d != "" {
				t.Error(d)
			}
		})
	}
}

func BenchmarkReview10000Rules(b *testing.B) {
	src := Source{"large", large()}
	m, err := Read(src)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Review(m, src)
	}
}

func BenchmarkReview10000RulesOfOneTenant(b *testing.B) {
	var s strings.Builder
	s.WriteString(reviewed + policy("p", ""))
	for i := range 10000 {
		fmt.Fprintf(&s, "  - {name: r%d, direction: ingress, action: allow, protocol: tcp, ports: [%d], from: {cidrs: [10.%d.0.0/16]}}\n", i, 1+i/10, i%10)
	}
	spec, err := Parse(Source{"large", []byte(s.String())})
	if err != nil {
		b.Fatal(err)
	}
	m, err := check(spec, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got := Review(m); len(got) > 0 {
			b.Fatal(got)
		}
	}
}
