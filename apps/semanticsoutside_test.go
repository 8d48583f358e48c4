package apps

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
	"weir/store"
)

// drawOutside draws what is behind a bridge, or nothing.
func drawOutside(t *rapid.T) string {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	v4 := one("IPv4 outside", "{cidr: 203.0.113.0/24, gateway: 203.0.113.1, address: 203.0.113.2}", "{cidr: 203.0.113.0/24, gateway: 203.0.113.1}", "{cidr: 203.0.113.0/24}", "")
	v6 := one("IPv6 outside", `{cidr: "2001:db8::/64", gateway: "2001:db8::1"}`, `{cidr: "2001:db8::/64", gateway: "fe80::1"}`, "")
	if v4 == "" && v6 == "" {
		return ""
	}
	subnets := slices.DeleteFunc([]string{v4, v6}, func(s string) bool { return s == "" })
	s := "spec:\n  external:\n  - network: public\n    port: out\n    subnets: [" + strings.Join(subnets, ", ") + "]\n"
	if v4 != "" {
		s += one("route", "", "    routes: [{to: 198.51.100.0/24, via: 203.0.113.9}]\n", "    routes: [{to: 10.0.0.0/8, via: 203.0.113.9}]\n")
	}
	var hops []string
	for _, hop := range []string{"203.0.113.1", "203.0.113.9", "2001:db8::1", "fe80::1"} {
		if strings.Contains(s, "gateway: "+hop) || strings.Contains(s, "gateway: \""+hop) || strings.Contains(s, "via: "+hop) && one("declared", "yes", "no") == "yes" {
			hops = append(hops, fmt.Sprintf("{address: %q, mac: \"02:00:00:00:ff:%02x\"}", hop, len(hops)+1))
		}
	}
	if hops != nil {
		s += "    nextHops: [" + strings.Join(hops, ", ") + "]\n"
	}
	if routed := drawPrefixes(t); routed != "" {
		s += "    prefixes: [" + routed + "]\n"
	}
	return s + one("another outside", "", "", `  - network: partner
    port: out2
    subnets: [{cidr: 100.64.0.0/24, gateway: 100.64.0.1}]
    routes: [{to: 172.16.0.0/12, via: 100.64.0.9}]
    nextHops: [{address: 100.64.0.1, mac: "02:00:00:00:ff:11"}, {address: 100.64.0.9, mac: "02:00:00:00:ff:12"}]
`)
}

// drawPrefixes draws what is routed to the bridge by others, or nothing: tenants' networks, and addresses for NAT.
func drawPrefixes(t *rapid.T) string {
	if rapid.Bool().Draw(t, "nothing routed here") {
		return ""
	}
	all := []string{"10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/22", "\"fd00:0::/64\"", "\"fd00:1::/64\"", "192.0.2.0/24", "\"2001:db8:2::/48\""}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 4, rapid.ID[string]).Draw(t, "routed here")
	if slices.Contains(some, all[2]) { // which has the first two
		some = slices.DeleteFunc(some, func(p string) bool { return p == all[0] || p == all[1] })
	}
	return strings.Join(some, ", ")
}

// drawTranslations draws objects of NAT, and adds those that the model so far can have.
func drawTranslations(t *rapid.T, text string, names []string, endpoints map[string][]string) string {
	crowd := rapid.SampledFrom([]string{"", "", "", "shared: true", "shared: true, ports: 32768-40000", "a block"}).Draw(t, "crowd")
	for i, name := range names {
		var s strings.Builder
		d := &dice{T: t, s: &s, tenant: name, endpoints: endpoints[name]}
		where := outsideOf{16 + 64*i, strings.Contains(text, "{cidr: 203."), strings.Contains(text, "{cidr: \"2001:"), strings.Contains(text, "{cidr: 100."),
			strings.Contains(text, "192.0.2.0/24]") || strings.Contains(text, "192.0.2.0/24, "), strings.Contains(text, "2001:db8:2::/48")}
		if crowd != "" && rapid.IntRange(0, 5).Draw(t, "alone") > 0 {
			text = withValid(text, d.behind(where, crowd))
		}
		for n := range rapid.IntRange(4, 12).Draw(t, "translations") {
			s.Reset()
			d.translation(n, where)
			text = withValid(text, s.String())
		}
	}
	return text
}

// withValid is a model with one object more, if it can have that.
func withValid(text, object string) string {
	if _, err := intent.Read(intent.Source{Name: "drawn.yaml", Data: []byte(text + object)}); err != nil {
		return text
	}
	return text + object
}

// An outsideOf says which addresses outside are a tenant's: those from base on.
type outsideOf struct {
	base            int
	v4, v6, partner bool
	far, far6       bool // in a prefix, and on no link
}

// some returns those of addresses, given by their last bytes, or ranges, that there are.
func (o outsideOf) some(hosts ...[2]int) (all []string) {
	add := func(is bool, format string, from, to int) {
		if lo := fmt.Sprintf(format, o.base+from); is && from == to {
			all = append(all, lo)
		} else if is {
			all = append(all, lo+"-"+fmt.Sprintf(format, o.base+to))
		}
	}
	for _, h := range hosts {
		add(o.v4, "203.0.113.%d", h[0], h[1])
		add(o.v6, "2001:db8::%x", h[0], h[1])
		add(o.partner, "100.64.0.%d", h[0], h[1])
		add(o.far, "192.0.2.%d", h[0], h[1])
		add(o.far6, "2001:db8:2::%x", h[0], h[1])
	}
	return all
}

// common are addresses that tenants may have in common.
func (o outsideOf) common() []string {
	o.base = 0
	return o.some([2]int{12, 12}, [2]int{12, 12}, [2]int{13, 14})
}

// block is ports that no other tenant has.
func (o outsideOf) block() string {
	return fmt.Sprintf(", ports: %d-%d", 30000+100*o.base, 30999+100*o.base)
}

// behind has all of a tenant leave as addresses that others may have in common with it, unless something comes first.
func (d *dice) behind(where outsideOf, how string) string {
	all := where.common()
	pool := []string{all[rapid.SampledFrom([]int{0, 2}).Draw(d.T, "one, or two")]}
	if last := all[len(all)-2]; len(all) > 3 {
		pool = append(pool, last) // of another version of IP, or another outside
	}
	how = ", " + how
	if how == ", a block" {
		how = where.block()
	}
	d.object("SNAT", "common", "", " {priority: "+d.one("first", "1", "150")+how+", addresses: ["+strings.Join(quoted(pool), ", ")+"]}")
	return d.s.String()
}

// translation draws an object of NAT.
func (d *dice) translation(n int, where outsideOf) {
	always := d.one("both ends", "", "", "", ", snat: always")
	to := fmt.Sprintf("endpoint: %s%s", d.one("to", d.endpoints...), d.one("which", "", "", "", ", ip: 10.0.0.127"))
	switch d.one("kind", "SNAT", "SNAT", "FloatingIP", "PortForward", "LoadBalancer", "LoadBalancer") {
	case "LoadBalancer":
		d.balancer(n, where)
	case "SNAT":
		spec := " {priority: " + d.one("priority", "1", "100", "200") + d.one("network", "", "", ", network: net0", ", network: net1")
		if from := d.selector("from", true, nil); from != "" && rapid.Bool().Draw(d.T, "from some") {
			spec += ", from: " + from
		}
		var to []string
		if cidrs := d.some("to", 0, 2, "203.0.113.0/24", "198.51.100.0/24", "0.0.0.0/0", "::/0", "2001:db8::/64", "100.64.0.0/24"); len(cidrs) > 0 {
			to = append(to, "cidrs: ["+strings.Join(quoted(cidrs), ", ")+"]")
		}
		if service := d.one("to service", "", "", "protocol: tcp", "protocol: udp, ports: [80]", "protocol: tcp, ports: [79-443]", "protocol: icmp"); service != "" {
			to = append(to, service)
		}
		if to != nil && rapid.Bool().Draw(d.T, "to some") {
			spec += ", to: {" + strings.Join(to, ", ") + "}"
		}
		spec += d.one("exempt", "", ", exempt: {cidrs: [203.0.113.5/32]}", "", ", exempt: {cidrs: [198.51.100.0/24]}", ", exempt: {cidrs: [\"2001:db8::/64\"]}", ", exempt: {cidrs: [0.0.0.0/0]}")
		ports, pool := d.one("ports", "", "", ", ports: 1024-65535", ", ports: 32768-40000", ", ports: 20000"), where.some([2]int{0, 0}, [2]int{0, 3}, [2]int{4, 9})
		switch d.one("in common", "", "", "", "shared", "a block") {
		case "shared":
			ports, pool = d.one("shared ports", ports, ", ports: 32768-40000")+", shared: true", append(pool, where.common()...)
		case "a block":
			ports, pool = where.block(), append(where.common(), pool...)
		}
		spec += ports
		pool = d.some("pool", 1, 2, pool...)
		d.object("SNAT", fmt.Sprint("s", n), "", spec+", addresses: ["+strings.Join(quoted(pool), ", ")+"]}")
	case "FloatingIP":
		d.object("FloatingIP", fmt.Sprint("f", n), "", fmt.Sprintf(" {address: %q, %s%s}", d.one("address", where.some([2]int{20, 20}, [2]int{21, 21}, [2]int{22, 22})...), to, always))
	case "PortForward":
		address := d.one("address", append(append(where.some([2]int{0, 0}, [2]int{1, 1}, [2]int{30, 30}), where.common()...), "203.0.113.2")...)
		protocol, ranges := d.one("protocol", "tcp", "udp", "sctp"), []string{"80 80", "80 443", "443 1024", "1000 80", "1000-1003 1001-1004"}
		if protocol != "tcp" { // what comes from a forwarded port of TCP, and is no SYN, is another story
			ranges = append(ranges, "443-450 443-450", "1000-1024 1000-1024", "79-81 442-444")
		}
		ports := d.one("ports", ranges...)
		port, toPort, _ := strings.Cut(ports, " ")
		d.object("PortForward", fmt.Sprint("w", n), "", fmt.Sprintf(" {address: %q, protocol: %s, port: %s, to: {%s, port: %s}%s}",
			address, protocol, port, to, toPort, always))
	}
}

// onLink are hosts outside that have said their MAC addresses.
var onLink = []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("100.64.0.5")}

// neighboursOf are the facts about the outsides of a model.
func neighboursOf(m *intent.Model) (all []pipeline.Neighbour) {
	for _, x := range m.Bridges()[0].Externals {
		for i, a := range onLink {
			if _, near := x.OnLink(a); near {
				all = append(all, pipeline.Neighbour{External: x.ID(), Address: a, MAC: intent.MAC{2, 0, 0, 0, 0xfe, byte(i + 1)}})
			}
		}
	}
	return all
}

// drawnInput is inputOf, with the neighbours that are known, on a datapath.
func drawnInput(m *intent.Model, on pipeline.Features, n *store.Numbers) (pipeline.Input, error) {
	in, err := inputOf(m, n)
	in.Facts.Neighbours, in.Facts.Features = neighboursOf(m), on
	return in, err
}

// router is what the reference knows of the bridge.
func (w *world) router() reference.Router {
	known := func(x *intent.External, a netip.Addr) bool {
		return slices.ContainsFunc(x.NextHops, func(h intent.NextHop) bool { return h.Address == a && h.MAC != intent.MAC{} }) ||
			slices.ContainsFunc(w.in.Facts.Neighbours, func(n pipeline.Neighbour) bool { return n.External == x.ID() && n.Address == a })
	}
	return reference.Router{Model: w.model, Bridge: w.model.Bridges()[0], Known: known}
}

// A crossing is a packet for the router: from an endpoint, or by an outside.
type crossing struct {
	reference.Packet
	by *intent.External
}

// frame puts c on the wire.
func (w *world) crossing(c crossing) frame {
	from, to, in := [6]byte{2, 0, 0, 0, 0xfd, 1}, pipeline.RouterMAC, intent.ID("")
	if c.by != nil {
		to, in = pipeline.ExternalSite{External: c.by}.RouterMAC(), c.by.ID()
	} else {
		from, in = stationOf(c.From), c.From.ID()
	}
	conds := []ofproto.Cond{
		ofproto.Is(ofproto.InPort, uint64(w.ports[in])), ofproto.IsMAC(ofproto.EthSrc, from), ofproto.IsMAC(ofproto.EthDst, to),
		ofproto.IsAddr(pipeline.IPSrc(c.Src), c.Src), ofproto.IsAddr(pipeline.IPDst(c.Dst), c.Dst),
		ofproto.Is(ofproto.IPProto, uint64(c.Protocol)), ofproto.Is(ofproto.IPTTL, 64),
	}
	f := frame{flowsim.Of(conds...)}
	for field, v := range service(c.Packet) {
		f.SetUint(field, uint64(v))
	}
	if c.Protocol == reference.TCP {
		f.SetUint(ofproto.TCPFlags, 0x002) // SYN
	}
	return f
}

// drawCrossing draws a packet for the router.
func drawCrossing(t *rapid.T, m *intent.Model) (c crossing, ok bool) {
	externals := m.Bridges()[0].Externals
	tenant := rapid.SampledFrom(m.Tenants()).Draw(t, "tenant")
	var sources, mapped []netip.Addr
	senders := slices.Clone(tenant.Endpoints)
	if len(externals) > 0 {
		senders = append([]*intent.Endpoint{nil, nil}, senders...)
	}
	if c.From = rapid.SampledFrom(senders).Draw(t, "sender"); c.From == nil {
		c.by = rapid.SampledFrom(externals).Draw(t, "outside")
		sources = sourcesOutside
	} else {
		sources = slices.Concat(c.From.IPs, c.From.IPs, c.From.IPs, ownAddresses(c.From), addresses("10.0.0.99"))
	}
	mapped = append(publicOf(m, c.From), mappings(m.Tenants(), c.From)...)
	if rapid.IntRange(0, 7).Draw(t, "who cannot be there") == 7 {
		sources = slices.Concat(martians, addresses("203.0.113.2"), mapped)
	}
	if len(mapped) > 0 && rapid.IntRange(0, 7).Draw(t, "whatever family") < 7 {
		has := func(four bool) bool {
			return slices.ContainsFunc(mapped, func(a netip.Addr) bool { return a.Is4() == four })
		}
		sources = slices.DeleteFunc(slices.Clone(sources), func(a netip.Addr) bool { return !has(a.Is4()) })
	}
	if len(sources) == 0 {
		return c, false
	}
	c.Src = rapid.SampledFrom(sources).Draw(t, "source")
	possible := func(a netip.Addr) bool {
		itself := c.From != nil && slices.Contains(ownAddresses(c.From), a)                                                                                                                                               // which nobody sends to a router
		others := c.From != nil && !reference.Inside(m.Tenant(c.From.Tenant), a) && slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool { return reference.Inside(t, a) && (!isPublic(m, t, a) || exempts(t)) }) // which is exempt, or leaves
		return a.Is4() == c.Src.Is4() && a != c.Src && !a.IsLinkLocalUnicast() && !itself && !others
	}
	targets := hostsOutside
	switch kind := rapid.IntRange(0, 9).Draw(t, "target"); {
	case slices.ContainsFunc(mapped, possible) && (kind%2 == 0 || c.From == nil && kind < 9):
		targets = mapped
	case c.From == nil && kind < 8, len(externals) == 0 && kind < 9:
		return c, false
	case kind == 9:
		targets = ownAddresses(rapid.SampledFrom(tenant.Endpoints).Draw(t, "receiver"))
	}
	if targets = slices.DeleteFunc(slices.Clone(targets), func(a netip.Addr) bool { return !possible(a) }); len(targets) == 0 {
		return c, false
	}
	c.Dst = rapid.SampledFrom(targets).Draw(t, "destination")
	drawService(t, &c.Packet)
	if common := portsInCommon(m, c.Dst); len(common) > 0 && rapid.Bool().Draw(t, "a port in common") {
		c.Protocol, c.Type, c.Code = rapid.SampledFrom([]uint8{reference.TCP, reference.UDP}).Draw(t, "service"), 0, 0
		c.SrcPort, c.DstPort = rapid.SampledFrom(edges).Draw(t, "source port"), rapid.SampledFrom(common).Draw(t, "port that is asked")
	}
	if services := askedAt(m, c.Dst); len(services) > 0 && rapid.IntRange(0, 3).Draw(t, "stray service") > 0 {
		s := rapid.SampledFrom(services).Draw(t, "service")
		c.Protocol, c.Type, c.Code = s.protocol, 0, 0
		c.SrcPort = rapid.SampledFrom(edges).Draw(t, "source port")
		c.DstPort = rapid.SampledFrom([]uint16{s.lo, s.hi}).Draw(t, "port that is asked")
	}
	return c, !pingsRouter(m, c.Packet)
}

// exempts reports whether an SNAT of t lets something leave as it is.
func exempts(t *intent.Tenant) bool {
	return slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool { return len(s.Exempt) > 0 })
}

// isPublic reports whether an address is of a public network of t.
func isPublic(m *intent.Model, t *intent.Tenant, a netip.Addr) bool {
	return slices.ContainsFunc(m.Bridges()[0].Externals, func(x *intent.External) bool { return reference.PublicAt(t, x, a) != nil })
}

// publicOf are addresses in public networks, of whomever but a sender's tenant: endpoints', gateways' and nobody's.
func publicOf(m *intent.Model, from *intent.Endpoint) (all []netip.Addr) {
	for _, t := range m.Tenants() {
		if from != nil && from.Tenant == t.Name {
			continue
		}
		own := addresses("10.0.0.200", "10.0.1.200", "fd00::c8", "fd00:1::c8")
		for _, e := range t.Endpoints {
			own = append(own, slices.Repeat(e.IPs, 4)...)
		}
		for _, l := range t.LoadBalancers {
			own = append(own, l.Address)
		}
		all = append(all, slices.DeleteFunc(own, func(a netip.Addr) bool { return !isPublic(m, t, a) })...)
	}
	return all
}

// portsInCommon are the first and the last ports that SNATs have of an address.
func portsInCommon(m *intent.Model, a netip.Addr) (all []uint16) {
	for _, t := range m.Tenants() {
		for _, s := range t.SNATs {
			for _, p := range s.Pools {
				if !s.Preserves() && slices.ContainsFunc(p.Ranges, func(r intent.AddrRange) bool { return r.Contains(a) }) {
					all = append(all, s.Ports.Lo, s.Ports.Hi, s.Ports.Hi+1)
				}
			}
		}
	}
	return all
}

// martians are addresses that nobody has who sends to a router.
var martians = addresses("0.0.0.0", "0.0.0.7", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::5", "::ffff:203.0.113.5")

// Where packets come from and go to outside: hosts on the link that are known and one that is
// not, behind next hops, and what nobody should have.
var (
	sourcesOutside = addresses("203.0.113.5", "203.0.113.5", "100.64.0.5", "172.16.0.7", "198.51.100.7", "10.77.0.1", "2001:db8::5", "2001:db8::5", "2001:db8:77::1", "10.0.0.127", "fd00::7f", "10.0.1.128", "192.0.2.9")
	hostsOutside   = addresses("203.0.113.5", "203.0.113.5", "203.0.113.5", "203.0.113.1", "100.64.0.5", "172.16.0.7", "203.0.113.6", "203.0.113.99", "198.51.100.7", "192.0.2.9", "10.77.0.1", "10.0.1.200", "203.0.113.2",
		"2001:db8::5", "2001:db8::5", "2001:db8::6", "2001:db8:77::1", "2001:db8:77::1", "fd00:1::c8")
)

func addresses(texts ...string) (all []netip.Addr) {
	for _, s := range texts {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// mappings are the addresses that tenants have outside, of a pool the first and the last, and
// those of load balancers that a sender may reach.
func mappings(tenants []*intent.Tenant, from *intent.Endpoint) (all []netip.Addr) {
	for _, t := range tenants {
		for _, s := range t.SNATs {
			for _, p := range s.Pools {
				for _, r := range p.Ranges {
					all = append(all, r.Lo, r.Hi)
				}
			}
		}
		for _, f := range t.FloatingIPs {
			all = append(all, slices.Repeat([]netip.Addr{f.Address}, 8)...)
		}
		for _, f := range t.PortForwards {
			all = append(all, slices.Repeat([]netip.Addr{f.Address}, 8)...)
		}
		for _, l := range t.LoadBalancers {
			if !l.Inside() || from != nil && from.Tenant == t.Name {
				all = append(all, slices.Repeat([]netip.Addr{l.Address}, 8)...)
			}
		}
	}
	slices.Reverse(all) // what comes first is drawn more often
	return all
}
