package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A policy is the work that all peers are given, in nobody's words.
type policy struct {
	tenants []tenant
	outside bool // there is one
}

// A tenant has one network. What no rule allows in is denied, what its endpoints send is
// allowed.
type tenant struct {
	name      string
	subnet    string
	endpoints []endpoint
	rules     []rule
	subjects  string // group to which the rules apply; empty: all endpoints
	number    int    // of those behind an outside
	gateway   string // empty: it has none
	nat       nat
	balancers []balancer
}

// An endpoint has the name of its port and is in some groups.
type endpoint struct {
	name, mac, ip string
	groups        []string
}

// A rule allows one port in, of TCP if it does not say otherwise, from a CIDR or from a group.
type rule struct {
	name     string
	cidr     string
	group    string // instead of cidr
	port     int
	protocol string
}

// tenantPolicy is n tenants with so many endpoints and rules each. Three of four rules have
// a CIDR of their own, one has one that all tenants share.
func tenantPolicy(n, endpoints, rules int) policy {
	p := policy{tenants: make([]tenant, n)}
	for i := range p.tenants {
		number := i + 1
		t := tenant{name: fmt.Sprintf("t%d", number), subnet: fmt.Sprintf("10.0.%d.0/24", number)}
		for e := 1; e <= endpoints; e++ {
			t.endpoints = append(t.endpoints, endpoint{
				name: fmt.Sprintf("t%dp%d", number, e),
				mac:  fmt.Sprintf("02:00:00:00:%02x:%02x", number, e),
				ip:   fmt.Sprintf("10.0.%d.%d", number, 9+e),
			})
		}
		for r := 1; r <= rules; r++ {
			t.rules = append(t.rules, rule{name: fmt.Sprintf("r%d", r), cidr: peerOf(number, r), port: 1000 + (number*7+r*13)%5000})
		}
		p.tenants[i] = t
	}
	return p
}

func peerOf(tenant, rule int) string {
	switch rule % 4 {
	case 0:
		return fmt.Sprintf("20.%d.0.0/16", rule)
	case 1:
		return fmt.Sprintf("172.%d.%d.0/24", tenant, rule)
	case 2:
		return fmt.Sprintf("192.%d.%d.16/28", tenant, rule)
	}
	return fmt.Sprintf("198.%d.%d.7/32", tenant, rule)
}

// groupPolicy is one tenant whose rules all have the same group as their peer: members
// endpoints are in it from the start, spare ones are not yet.
func groupPolicy(rules, members, spare int) policy {
	const subjects = 10
	t := tenant{name: "g", subnet: "10.60.0.0/16", subjects: "db"}
	add := func(prefix string, third, n int, groups ...string) {
		for i := 1; i <= n; i++ {
			t.endpoints = append(t.endpoints, endpoint{
				name: fmt.Sprintf("%s%d", prefix, i), mac: fmt.Sprintf("02:00:00:01:%02x:%02x", third, i),
				ip: fmt.Sprintf("10.60.%d.%d", third, i), groups: groups,
			})
		}
	}
	add("db", 1, subjects, "db")
	add("peer", 2, members, "peers")
	add("spare", 3, spare)
	for r := range rules {
		t.rules = append(t.rules, rule{name: fmt.Sprintf("r%d", r), group: "peers", port: 1000 + r})
	}
	return policy{tenants: []tenant{t}}
}

// trafficPolicy is two hosts that may reach two ports of each other.
func trafficPolicy() policy {
	t := tenant{name: "t1", subnet: "10.0.1.0/24"}
	for i, name := range []string{"h1", "h2"} {
		t.endpoints = append(t.endpoints, endpoint{name: name, mac: fmt.Sprintf("02:00:00:00:01:%02x", i+1), ip: fmt.Sprintf("10.0.1.%d", 11+i)})
	}
	for i, port := range []int{connectPort, streamPort} {
		t.rules = append(t.rules, rule{name: fmt.Sprintf("r%d", i), cidr: t.subnet, port: port})
	}
	return policy{tenants: []tenant{t}}
}

// withoutRules is the same endpoints, before anything is allowed.
func (p policy) withoutRules() policy {
	p.tenants = slices.Clone(p.tenants)
	for i := range p.tenants {
		p.tenants[i].rules = nil
	}
	return p
}

func (p policy) endpoints() (all []endpoint) {
	for _, t := range p.tenants {
		all = append(all, t.endpoints...)
	}
	return all
}

// files is what Weir is given of a tenant: a file with what it has, one with what may talk.
func (t tenant) files() map[string]string {
	files := map[string]string{t.name: t.has(), t.name + "-rules": t.allows()}
	if t.gateway != "" {
		files[t.name+"-nat"] = t.translates()
	}
	maps.Copy(files, t.balancerFiles())
	return files
}

func object(kind, name, more, spec string) string {
	return fmt.Sprintf("---\napiVersion: weir/v1\nkind: %s\nmetadata: {name: %s%s}\nspec:\n%s", kind, name, more, spec)
}

func (t tenant) of() string { return ", tenant: " + t.name }

func (t tenant) has() string {
	var b strings.Builder
	b.WriteString(object("Tenant", t.name, "", "  defaults: {ingress: deny, egress: allow}\n  allowDisruption: true\n"))
	b.WriteString(object("Network", "lan", t.of(), fmt.Sprintf("  subnets: [{cidr: %s%s}]\n", t.subnet, t.router())))
	for _, e := range t.endpoints {
		b.WriteString(object("Endpoint", e.name, t.of()+labels(e.groups),
			fmt.Sprintf("  network: lan\n  bind: {ifaceID: %s}\n  mac: %q\n  ips: [%s]\n", e.name, e.mac, e.ip)))
	}
	return b.String()
}

// router says what the tenant's network has as its gateway.
func (t tenant) router() string {
	if t.gateway == "" {
		return ""
	}
	return ", gateway: " + t.gateway
}

func (t tenant) allows() string {
	if len(t.rules) == 0 {
		return "# nothing yet\n"
	}
	var rules, groups strings.Builder
	for _, name := range t.groups() {
		groups.WriteString(object("Group", name, t.of(), fmt.Sprintf("  labels: {%s: member}\n", name)))
	}
	if t.subjects != "" {
		fmt.Fprintf(&rules, "  appliesTo: {labels: {%s: member}}\n", t.subjects)
	}
	rules.WriteString("  rules:\n")
	for _, r := range t.rules {
		fmt.Fprintf(&rules, "  - {name: %s, direction: ingress, action: allow, from: {%s}, protocol: %s, ports: [%d]}\n", r.name, r.from(), r.proto(), r.port)
	}
	return groups.String() + object("Policy", "in", t.of(), rules.String())
}

// groups are the groups that t's rules name.
func (t tenant) groups() (names []string) {
	for _, r := range t.rules {
		if r.group != "" && !slices.Contains(names, r.group) {
			names = append(names, r.group)
		}
	}
	return names
}

func (r rule) proto() string { return cmp.Or(r.protocol, "tcp") }

func (r rule) from() string {
	if r.group != "" {
		return fmt.Sprintf("groups: [%s]", r.group)
	}
	return fmt.Sprintf("cidrs: [%s]", r.cidr)
}

func labels(groups []string) string {
	if len(groups) == 0 {
		return ""
	}
	return ", labels: {" + strings.Join(groups, ": member, ") + ": member}"
}
