package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/intent"
)

const blue = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
---
apiVersion: weir/v1
kind: Network
metadata: {name: front, tenant: blue}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web-1, tenant: blue, labels: {tier: web}}
spec: {network: front, bind: {port: p1}, mac: "02:00:00:00:00:11", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: web, tenant: blue}
spec:
  appliesTo: {labels: {tier: web}}
  rules:
  - {name: http, direction: ingress, action: allow, from: {labels: {tier: app}}, protocol: tcp, ports: [80, "8000-8010"]}
`

func model(t *testing.T, text string) *intent.Model {
	t.Helper()
	m, err := intent.Read(intent.Source{Name: "m.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestObjectsNameWhatIsDifferent(t *testing.T) {
	edit := func(old, new string) string {
		if !strings.Contains(blue, old) {
			t.Fatalf("%q is not in the model", old)
		}
		return strings.Replace(blue, old, new, 1)
	}
	for _, c := range []struct {
		name  string
		after string
		want  []Change
	}{
		{"nothing, though it is written differently", "# a comment\n" + edit("[80, ", "[ 80, "), nil},
		{"a rule's ports", edit("80, ", "443, "), []Change{
			{Verb: "~", Kind: "Policy", ID: "blue/policy/web", Fields: []Field{{"rules[0].ports", "[80 8000-8010]", "[443 8000-8010]"}}}}},
		{"whom a rule lets in", edit("from: {labels: {tier: app}}", "from: {labels: {tier: [app, web]}}"), []Change{
			{Verb: "~", Kind: "Policy", ID: "blue/policy/web", Fields: []Field{{"rules[0].from.labels.tier", "[app]", "[app web]"}}}}},
		{"an endpoint's address", edit("ips: [10.1.0.11]", "ips: [10.1.0.12]"), []Change{
			{Verb: "~", Kind: "Endpoint", ID: "blue/endpoint/web-1", Fields: []Field{{"ips", "[10.1.0.11]", "[10.1.0.12]"}}}}},
		{"an endpoint that is called otherwise", edit("name: web-1", "name: web-2"), []Change{
			{Verb: "-", Kind: "Endpoint", ID: "blue/endpoint/web-1"}, {Verb: "+", Kind: "Endpoint", ID: "blue/endpoint/web-2"}}},
		{"a tenant's default", edit("{name: blue}\n", "{name: blue}\nspec: {defaults: {egress: deny}}\n"), []Change{
			{Verb: "~", Kind: "Tenant", ID: "blue", Fields: []Field{{"defaults.egress", "allow", "deny"}}}}},
		{"when a policy is asked", edit("spec:\n  appliesTo", "spec:\n  tier: admin\n  priority: 7\n  appliesTo"), []Change{
			{Verb: "~", Kind: "Policy", ID: "blue/policy/web", Fields: []Field{{"priority", "100", "7"}, {"tier", "application", "admin"}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Objects(model(t, blue), model(t, c.after))
			for i, g := range got {
				if (g.Verb == Removed) != (g.At == "") {
					t.Errorf("%s is at %q", g.ID, g.At)
				}
				got[i].At = ""
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

const outside = `---
apiVersion: weir/v1
kind: SNAT
metadata: {name: out, tenant: blue}
spec: {addresses: [203.0.113.10]}
---
apiVersion: weir/v1
kind: FloatingIP
metadata: {name: web-ip, tenant: blue}
spec: {address: 203.0.113.20, endpoint: web-1}
---
apiVersion: weir/v1
kind: PortForward
metadata: {name: shell, tenant: blue}
spec: {address: 203.0.113.10, port: 2222, protocol: tcp, to: {endpoint: web-1, port: 22}}
`

func TestObjectsOfTheOutsideNameWhatIsDifferent(t *testing.T) {
	const bridge = "metadata: {name: br0}\n"
	all := strings.Replace(blue, bridge, bridge+"spec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24, gateway: 203.0.113.1}]}}\n", 1) + outside
	for _, c := range []struct {
		name, old, new string
		want           []Change
	}{
		{"as whom a network leaves", "[203.0.113.10]", "[203.0.113.10-203.0.113.11], ports: 1024-2047", []Change{{Verb: "~", Kind: "SNAT", ID: "blue/snat/out",
			Fields: []Field{{"addresses", "[203.0.113.10]", "[203.0.113.10-203.0.113.11]"}, {"ports", "preserve", "1024-2047"}}}}},
		{"a floating IP's address", "203.0.113.20", "203.0.113.21", []Change{{Verb: "~", Kind: "FloatingIP", ID: "blue/floatingip/web-ip",
			Fields: []Field{{"address", "203.0.113.20", "203.0.113.21"}}}}},
		{"forwarded ports", "port: 2222, protocol: tcp, to: {endpoint: web-1, port: 22}", "port: 8000-8010, protocol: udp, to: {endpoint: web-1}", []Change{{Verb: "~", Kind: "PortForward", ID: "blue/portforward/shell",
			Fields: []Field{{"port", "2222", "8000-8010"}, {"protocol", "tcp", "udp"}, {"to.port", "22", "8000-8010"}}}}},
		{"the next hop", "gateway: 203.0.113.1}", "gateway: 203.0.113.2, address: 203.0.113.9}", []Change{{Verb: "~", Kind: "Bridge", ID: "bridge/br0", Fields: []Field{
			{"external.public.routes.0.0.0.0/0.via", "203.0.113.1", "203.0.113.2"},
			{"external.public.subnets[0].address", "", "203.0.113.9"}, {"external.public.subnets[0].gateway", "203.0.113.1", "203.0.113.2"}}}}},
		{"a mapping that goes", outside[strings.Index(outside, "---\napiVersion: weir/v1\nkind: PortForward"):], "", []Change{{Verb: "-", Kind: "PortForward", ID: "blue/portforward/shell"}}},
	} {
		after := strings.Replace(all, c.old, c.new, 1)
		if after == all {
			t.Fatalf("%q is not in the model", c.old)
		}
		got := Objects(model(t, all), model(t, after))
		for i := range got {
			got[i].At = ""
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestAnObjectSaysWhereItIs(t *testing.T) {
	got := Objects(model(t, strings.SplitAfter(blue, "---\n")[0]), model(t, blue))
	for _, c := range got {
		if c.ID == "blue/policy/web" && !strings.HasPrefix(c.At, "m.yaml:21:") {
			t.Errorf("%s is at %q", c.ID, c.At)
		}
	}
	if len(got) != 4 {
		t.Errorf("four objects are new: %+v", got)
	}
}
