package apps

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"weir/intent"
	"weir/internal/reference"
)

// drawModel draws a model as an operator would write it: a few tenants, whose networks,
// addresses, labels and ports are few, so that rules meet, and lie at one another's
// boundaries.
func drawModel(t *rapid.T) string {
	if rapid.IntRange(0, 2).Draw(t, "outside") > 0 {
		return drawModelWith(t, "")
	}
	return drawModelWith(t, drawOutside(t))
}

// drawModelWith draws a model with an outside, and what is translated there.
func drawModelWith(t *rapid.T, outside string) string {
	var s strings.Builder
	s.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br}\n" + outside)
	crowds := []int{1, 1, 1, 2}
	if outside != "" { // what tenants have in common is there
		crowds = crowds[1:]
	}
	names := []string{"blue", "red"}[:rapid.SampledFrom(crowds).Draw(t, "tenants")]
	endpoints := map[string][]string{}
	for i, name := range names {
		d := &dice{T: t, s: &s, tenant: name}
		if len(names) > 1 && strings.Contains(outside, "prefixes:") { // what is public is one tenant's
			d.nets = []int{i}
		}
		d.model()
		endpoints[name] = d.endpoints
	}
	if outside == "" {
		return addBalancers(t, s.String(), names, endpoints)
	}
	return drawTranslations(t, s.String(), names, endpoints)
}

// dice draws the objects of one tenant.
type dice struct {
	*rapid.T
	s         *strings.Builder
	tenant    string
	nets      []int // the numbers of its networks, if that is not left to chance
	endpoints []string
	groups    []string // of endpoints only
	mixed     []string // groups that may have CIDRs as well
}

func (d *dice) one(label string, of ...string) string { return rapid.SampledFrom(of).Draw(d.T, label) }

func (d *dice) some(label string, low, high int, of ...string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), low, min(high, len(of)), rapid.ID[string]).Draw(d.T, label)
}

func (d *dice) object(kind, name, labels, spec string) {
	fmt.Fprintf(d.s, "---\napiVersion: weir/v1\nkind: %s\nmetadata: {name: %s", kind, name)
	if kind != "Tenant" {
		fmt.Fprintf(d.s, ", tenant: %s", d.tenant)
	}
	if labels != "" {
		fmt.Fprintf(d.s, ", labels: {%s}", labels)
	}
	fmt.Fprintf(d.s, "}\nspec:%s\n", spec)
}

func (d *dice) model() {
	d.object("Tenant", d.tenant, "", fmt.Sprintf(" {%s mode: %s, defaults: {ingress: %s, egress: %s, invalid: %s}}", d.one("limits", "", "", "limits: {connections: 100},", "limits: {newPerSecond: 1000000},"),
		d.one("mode", "enforce", "enforce", "enforce", "audit", "off"), d.one("ingress", "deny", "allow"), d.one("egress", "allow", "deny"), d.one("invalid", "drop", "allow")))
	if d.nets == nil {
		d.nets = []int{0, 1}[:rapid.IntRange(1, 2).Draw(d.T, "networks")]
	}
	for _, n := range d.nets {
		d.network(n)
	}
	for g := range rapid.IntRange(0, 3).Draw(d.T, "groups") {
		d.group(g)
	}
	for p := range rapid.IntRange(0, 4).Draw(d.T, "policies") {
		d.policy(p)
	}
}

// hosts are the last bytes of addresses: at the boundaries of the prefixes of cidrs.
var hosts = []int{127, 128, 2, 254, 191}

func (d *dice) network(n int) {
	gateway := func(a string) string {
		if rapid.SampledFrom([]bool{true, true, true, false}).Draw(d.T, "gateway") {
			return fmt.Sprintf(", gateway: %q", a)
		}
		return ""
	}
	unknown := d.one("unknown stations", "drop", "learn")
	d.object("Network", fmt.Sprint("net", n), "", fmt.Sprintf(" {subnets: [{cidr: 10.0.%d.0/24%s}, {cidr: \"fd00:%d::/64\"%s}], unknownStations: %s}",
		n, gateway(fmt.Sprintf("10.0.%d.1", n)), n, gateway(fmt.Sprintf("fd00:%d::1", n)), unknown))
	for e := range rapid.IntRange(2-n, 3).Draw(d.T, "endpoints") {
		name, host := fmt.Sprintf("e%d%d", n, e), hosts[e]
		v4, v6 := fmt.Sprintf("10.0.%d.%d", n, host), fmt.Sprintf("\"fd00:%d::%x\"", n, host)
		ips := v4 + ", " + v6
		if n > 0 || e > 1 { // there are two that speak to one another
			ips = d.one("ips", ips, v4, v6, "")
		}
		labels := ""
		if tier := d.one("tier", "app", "db", ""); tier != "" {
			labels = "tier: " + tier
		}
		mac := fmt.Sprintf("02:00:00:00:%02x:%02x", n, e+1)
		if unknown == "learn" && ips == "" && e == 2 { // one in a network: a packet to nobody known goes to all
			mac = d.one("mac", mac, "any")
		}
		d.object("Endpoint", name, labels, fmt.Sprintf(" {network: net%d, bind: {port: %s-%s}, mac: %q, ips: [%s]%s}", n, d.tenant, name, mac, ips, d.one("rate", "", "", ", limits: {newPerSecond: 1000000}")))
		d.endpoints = append(d.endpoints, name)
	}
}

// group draws a group, which nobody need be in.
func (d *dice) group(g int) {
	name, cidrs := fmt.Sprint("g", g), g > 0
	members := d.selector("members", cidrs, nil)
	if members == "" {
		members = "{labels: {tier: [web]}}"
	}
	d.object("Group", name, "", " "+members)
	d.mixed = append(d.mixed, name)
	if !cidrs {
		d.groups = append(d.groups, name)
	}
}

func (d *dice) policy(p int) {
	spec := fmt.Sprintf("\n  tier: %s\n  priority: %s\n  onRevoke: %s\n", d.one("tier", "application", "admin", "baseline"), d.one("priority", "1", "100", "2"), d.one("on revoke", "enforce", "enforce", "keep", "reset"))
	if s := d.selector("applies to", false, d.groups); s != "" {
		spec += "  appliesTo: " + s + "\n"
	}
	spec += "  rules:\n"
	for r := range rapid.IntRange(1, 4).Draw(d.T, "rules") {
		spec += d.rule(r)
	}
	d.object("Policy", fmt.Sprint("p", p), "", spec)
}

func (d *dice) rule(r int) string {
	direction, peer := d.one("direction", "ingress", "egress"), "from"
	if direction == "egress" {
		peer = "to"
	}
	action := d.one("action", "allow", "allow", "deny", "stateless", "pass", "reject")
	s := fmt.Sprintf("  - {name: r%d, direction: %s, action: %s", r, direction, action)
	protocol := d.one("protocol", "tcp", "udp", "any", "icmp", "icmpv6", "sctp", "gre", "dccp", "89")
	if protocol != "any" {
		s += ", protocol: " + protocol
	}
	if types := icmpTypes[protocol]; types != nil && rapid.Bool().Draw(d.T, "types") {
		s += ", types: [" + strings.Join(d.some("type", 1, 3, types...), ", ") + "]"
	}
	if (protocol == "tcp" || protocol == "udp" || protocol == "sctp") && rapid.Bool().Draw(d.T, "ports") {
		s += ", ports: [" + strings.Join(d.some("port", 1, 3, portRanges...), ", ") + "]"
	}
	if of := d.selector("peer", protocol != "icmp" && protocol != "icmpv6", d.mixed); of != "" {
		s += fmt.Sprintf(", %s: %s", peer, of)
	}
	if action == "stateless" && rapid.Bool().Draw(d.T, "report") {
		s += ", log: sampled"
	} else if action != "pass" && action != "stateless" {
		s += d.one("log", "", "", "", ", log: new", ", log: sampled")
	}
	if action == "allow" && rapid.Bool().Draw(d.T, "mark") {
		s += ", mark: " + d.one("class", "17", "18")
	}
	return s + "}\n"
}

// icmpTypes are the types of rules, by protocol.
var icmpTypes = map[string][]string{
	"icmp":   {"echo-request", "echo-reply", "destination-unreachable/port-unreachable", "3/4", "8/1", "13"},
	"icmpv6": {"echo-request", "129/0", "packet-too-big", "1/4"},
}

// The ports and prefixes of rules. What they do not have in common are the boundaries
// at which packets are drawn.
var (
	portRanges = []string{"80", "443", "1", "65535", "80-81", "1-1023", "1024-65535", "1000-2000", "1-65535", "79-443"}
	prefixes   = []string{
		"10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25", "10.0.1.0/24", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.127/32", "10.0.1.128/32", "10.0.0.0/16", "192.0.2.0/24", "203.0.113.0/24",
		"fd00:0::/64", "fd00:1::/64", "::/0", "fd00::/16", "fd00::7f/128", "fd00:1::80/128", "fe80::/10", "fd00::80/121", "2001:db8::/32",
	}
)

// selector draws a selector, or nothing.
func (d *dice) selector(label string, cidrs bool, groups []string) string {
	kinds := []string{"", "labels", "endpoints", "labels+endpoints"}
	if cidrs {
		kinds = append(kinds, "cidrs", "cidrs+labels", "cidrs+endpoints")
	}
	if len(groups) > 0 {
		kinds = append(kinds, "groups", "groups+labels", "groups")
	}
	if cidrs && len(groups) > 0 {
		kinds = append(kinds, "groups+cidrs")
	}
	var parts []string
	for _, k := range strings.Split(d.one(label, kinds...), "+") {
		switch k {
		case "labels":
			parts = append(parts, "labels: {tier: ["+strings.Join(d.some("tiers", 1, 2, "app", "db", "web"), ", ")+"]}")
		case "endpoints":
			parts = append(parts, "endpoints: ["+strings.Join(d.some("names", 1, 2, d.endpoints...), ", ")+"]")
		case "groups":
			parts = append(parts, "groups: ["+strings.Join(d.some("groups", 1, 2, groups...), ", ")+"]")
		case "cidrs":
			parts = append(parts, fmt.Sprintf("cidrs: [%s]", strings.Join(quoted(canonical(d.some("prefixes", 1, 3, prefixes...))), ", ")))
		}
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// canonical writes prefixes in their canonical form, each once.
func canonical(prefixes []string) (all []string) {
	for _, p := range prefixes {
		if s := netip.MustParsePrefix(p).Masked().String(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func quoted(s []string) (q []string) {
	for _, v := range s {
		q = append(q, fmt.Sprintf("%q", v))
	}
	return q
}

// drawPacket draws a packet from one endpoint to another, at the boundaries of the
// rules. It returns false if the model has no two that speak to one another.
func drawPacket(t *rapid.T, m *intent.Model) (reference.Packet, bool) {
	tenant := rapid.SampledFrom(m.Tenants()).Draw(t, "tenant")
	if len(tenant.Endpoints) < 2 {
		return reference.Packet{}, false
	}
	ends := rapid.Permutation(tenant.Endpoints).Draw(t, "ends")
	p := reference.Packet{From: ends[0], To: ends[1]}
	pairs := addressPairs(tenant, p.From, p.To)
	if len(pairs) == 0 {
		return p, false
	}
	pair := rapid.SampledFrom(pairs).Draw(t, "addresses")
	p.Src, p.Dst = pair[0], pair[1]
	if p.Src == p.Dst { // and with equal ports a packet is its own answer, so that no state is one
		return p, false
	}
	if len(m.Bridges()[0].Externals) > 0 && reference.Plain(p.To) && p.From.Network != p.To.Network { // it may leave
		return p, false
	}
	drawService(t, &p)
	return p, !pingsRouter(m, p)
}

// pingsRouter reports whether a packet is a ping of an address of the routers', which answer it
// before anybody is asked.
func pingsRouter(m *intent.Model, p reference.Packet) bool {
	if p.Code != 0 || !(p.Protocol == reference.ICMP && p.Type == 8 || p.Protocol == reference.ICMPv6 && p.Type == 128) {
		return false
	}
	inside := slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool {
		return slices.ContainsFunc(t.Networks, func(n *intent.Network) bool {
			return slices.ContainsFunc(n.Subnets, func(s intent.Subnet) bool { return s.Gateway == p.Dst })
		})
	})
	balanced := slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool { return len(reference.BalancersAt(t, p.Dst)) > 0 })
	return inside || balanced || slices.ContainsFunc(m.Bridges()[0].Externals, func(x *intent.External) bool {
		return slices.ContainsFunc(x.Subnets, func(s intent.ExternalSubnet) bool { return s.Address == p.Dst })
	})
}

// drawService draws the protocol of a packet, and what that has beside addresses.
func drawService(t *rapid.T, p *reference.Packet) {
	v6 := p.Src.Is6()
	p.Protocol = rapid.SampledFrom([]uint8{reference.TCP, reference.UDP, reference.ICMP, reference.ICMPv6, reference.SCTP, 47, 33, 89}).Draw(t, "protocol")
	switch {
	case p.Protocol == reference.TCP || p.Protocol == reference.UDP || p.Protocol == reference.SCTP:
		p.SrcPort = rapid.SampledFrom(edges).Draw(t, "source port")
		p.DstPort = rapid.SampledFrom(edges).Draw(t, "destination port")
	case p.Protocol == reference.ICMP && !v6:
		p.Type = rapid.SampledFrom([]uint8{8, 0, 3, 13, 14}).Draw(t, "type")
		p.Code = rapid.SampledFrom([]uint8{0, 1, 3, 4}).Draw(t, "code")
	case p.Protocol == reference.ICMPv6 && v6:
		p.Type = rapid.SampledFrom([]uint8{128, 129, 1, 2}).Draw(t, "type")
		p.Code = rapid.SampledFrom([]uint8{0, 4}).Draw(t, "code")
	}
}

// edges are the ports at which the ranges of rules begin and end, and those beside.
var edges = []uint16{80, 81, 79, 82, 443, 442, 444, 1, 2, 1023, 1024, 999, 1000, 2000, 2001, 65534, 65535}

// addressPairs returns the addresses with which a may send to b: of one family, and
// link-local ones inside a network only. A few are somebody else's.
func addressPairs(t *intent.Tenant, a, b *intent.Endpoint) (pairs [][2]netip.Addr) {
	for _, src := range ownAddresses(a) {
		for _, dst := range ownAddresses(b) {
			local := src.IsLinkLocalUnicast() || dst.IsLinkLocalUnicast()
			if reference.MayBe(t, b, dst) && src.Is4() == dst.Is4() && (!local || a.Network == b.Network) {
				pairs = append(pairs, [2]netip.Addr{src, dst})
			}
		}
	}
	for _, dst := range strangers(t, b) {
		for _, src := range ownAddresses(a) {
			if a.Network == b.Network && src.Is4() == dst.Is4() {
				pairs = append(pairs, [2]netip.Addr{src, dst})
			}
		}
	}
	for _, dst := range ownAddresses(b) {
		if stolen := netip.MustParseAddr("10.0.0.99"); dst.Is4() && reference.MayBe(t, b, dst) {
			pairs = append(pairs, [2]netip.Addr{stolen, dst})
		}
	}
	return pairs
}

// strangers are addresses that are not b's: another endpoint's, or nobody's.
func strangers(t *intent.Tenant, b *intent.Endpoint) []netip.Addr {
	all := []string{"10.0.0.127", "10.0.0.128", "fd00::7f", "fd00::80", "192.0.2.7"}
	var not []netip.Addr
	for _, s := range all {
		if a := netip.MustParseAddr(s); !reference.MayBe(t, b, a) {
			not = append(not, a)
		}
	}
	return not
}

// ownAddresses are those from which e may send; if it has none, at the boundaries of the
// prefixes of rules, and beside them some that others may have.
func ownAddresses(e *intent.Endpoint) []netip.Addr {
	if reference.Plain(e) {
		n := e.Network.Name[len(e.Network.Name)-1:]
		own := []netip.Addr{reference.LinkLocal(e.MAC)}
		for _, s := range []string{"10.0." + n + ".77", "10.0." + n + ".127", "10.0." + n + ".1", "192.0.2.9", "fd00:" + n + "::77", "fd00:" + n + "::7f", "fd00:" + n + "::1"} {
			own = append(own, netip.MustParseAddr(s))
		}
		return own
	}
	return append(slices.Clone(e.IPs), reference.LinkLocal(e.MAC))
}
