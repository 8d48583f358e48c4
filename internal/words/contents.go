package words

import (
	"strings"

	"weir/intent"
)

// Contents counts what is in a model: "1 bridge, 2 tenants, ...".
func Contents(m *intent.Model) string {
	var networks, endpoints, groups, policies, rules int
	for _, t := range m.Tenants() {
		networks += len(t.Networks)
		endpoints += len(t.Endpoints)
		groups += len(t.Groups)
		policies += len(t.Policies)
		for _, p := range t.Policies {
			rules += len(p.Rules)
		}
	}
	parts := []string{
		Count(len(m.Bridges()), "bridge", "bridges"), Count(len(m.Tenants()), "tenant", "tenants"),
		Count(networks, "network", "networks"), Count(endpoints, "endpoint", "endpoints"),
		Count(policies, "policy", "policies"), Count(rules, "rule", "rules"),
	}
	if groups > 0 {
		parts = append(parts, Count(groups, "group", "groups"))
	}
	parts = append(parts, outside(m)...)
	return strings.Join(parts, ", ")
}

// outside counts what a model says of the outside, and is empty if that is nothing.
func outside(m *intent.Model) (parts []string) {
	var outsides, snats, floating, forwards, balancers int
	for _, b := range m.Bridges() {
		outsides += len(b.Externals)
	}
	for _, t := range m.Tenants() {
		snats, floating, forwards = snats+len(t.SNATs), floating+len(t.FloatingIPs), forwards+len(t.PortForwards)
		balancers += len(t.LoadBalancers)
	}
	for _, c := range []struct {
		n         int
		one, many string
	}{{outsides, "outside", "outsides"}, {snats, "SNAT", "SNATs"}, {floating, "floating IP", "floating IPs"}, {forwards, "port forward", "port forwards"}, {balancers, "load balancer", "load balancers"}} {
		if c.n > 0 {
			parts = append(parts, Count(c.n, c.one, c.many))
		}
	}
	return parts
}
