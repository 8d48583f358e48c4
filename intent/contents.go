package intent

import (
	"strings"

	"weir/internal/words"
)

// Contents counts what is in a model: "1 bridge, 2 tenants, ...".
func (m *Model) Contents() string {
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
		words.Count(len(m.Bridges()), "bridge", "bridges"), words.Count(len(m.Tenants()), "tenant", "tenants"),
		words.Count(networks, "network", "networks"), words.Count(endpoints, "endpoint", "endpoints"),
		words.Count(policies, "policy", "policies"), words.Count(rules, "rule", "rules"),
	}
	if groups > 0 {
		parts = append(parts, words.Count(groups, "group", "groups"))
	}
	parts = append(parts, m.outside()...)
	return strings.Join(parts, ", ")
}

// outside counts what a model says of the outside, and is empty if that is nothing.
func (m *Model) outside() (parts []string) {
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
			parts = append(parts, words.Count(c.n, c.one, c.many))
		}
	}
	return parts
}
