package intent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestARuleThatIsSaidNeverToMatchNeverDoes draws policies for the tenant of reviewed, and
// tries all of a set of packets on the rules that Review says can never match: by the first
// match, looked for packet by packet, none of them is reached.
func TestARuleThatIsSaidNeverToMatchNeverDoes(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	named := 0
	for range 1000 {
		text := reviewed + drawPolicies(draw)
		src := Source{"f", []byte(text)}
		s, err := Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		m, err := check(s, nil)
		if err != nil {
			continue // a prefix of IPv4 in a rule for ICMPv6, and the like
		}
		reached := reachedRules(m.Tenant("blue"))
		for _, p := range Review(m, src) {
			for id := range reached {
				if m.Position(id) == p.At {
					t.Errorf("%v\nand yet a packet reaches it, in\n%s", p, text[len(reviewed):])
				}
			}
			named++
		}
	}
	if named < 400 {
		t.Errorf("only %d rules were named: the policies are too tame", named)
	}
}

func drawPolicies(draw *rand.Rand) string {
	one := func(of ...string) string { return of[draw.IntN(len(of))] }
	var docs []string
	for i := range 1 + draw.IntN(3) {
		says := "  tier: " + one("admin", "application", "baseline") + "\n  priority: " + one("1", "2") + "\n" +
			one("", "", "  appliesTo: {endpoints: [app-1]}\n", "  appliesTo: {labels: {tier: [web, db]}}\n", "  appliesTo: {groups: [front]}\n", "  appliesTo: {endpoints: [plain]}\n")
		var rules []string
		for range 1 + draw.IntN(4) {
			direction, side := "ingress", "from"
			if draw.IntN(4) == 0 {
				direction, side = "egress", "to"
			}
			rules = append(rules, "direction: "+direction+", action: "+one("allow", "deny", "pass", "reject", "stateless")+
				one("", "", ", protocol: tcp", ", protocol: tcp, ports: [80]", `, protocol: tcp, ports: ["70-90"]`, ", protocol: udp", ", protocol: icmp", ", protocol: icmpv6, types: [128]", ", protocol: icmp, types: [8/0]")+
				drawPeer(one, side))
		}
		docs = append(docs, policy(fmt.Sprint("p", i), says, rules...))
	}
	return strings.Join(docs, "---\n")
}

func drawPeer(one func(...string) string, side string) string {
	peer := one("", "", "endpoints: [app-1]", "endpoints: [plain]", "endpoints: [db-1, web-1]", "labels: {tier: web}", "groups: [inside]", "groups: [front]", "groups: [front, inside]",
		"cidrs: [10.0.0.0/8]", "cidrs: [10.1.0.12/32]", `cidrs: ["fd00:1::/64"]`, `cidrs: ["fe80::/10", "fd00::/8"]`, `cidrs: [10.1.0.0/24, "::/0"]`, `cidrs: ["0.0.0.0/0"]`, "cidrs: [10.2.0.0/16]")
	if peer == "" {
		return ""
	}
	return ", " + side + ": {" + peer + "}"
}

// A first packet of a connection, as one of its ends sees it.
type firstPacket struct {
	direction Direction
	own       *Endpoint
	peer      netip.Addr
	peerIs    *Endpoint // nil: a stranger
	protocol  Protocol
	port      uint16
}

// reachedRules returns the rules that some packet reaches and that match it.
func reachedRules(t *Tenant) map[ID]bool {
	reached := map[ID]bool{}
	for _, p := range packets(t) {
		passed := Tier("")
		for _, r := range rulesOf(t) {
			if r.Policy.Tier == passed || !p.matches(r) {
				continue
			}
			reached[r.ID()] = true
			if r.Action != Pass {
				break
			}
			passed = r.Policy.Tier
		}
	}
	return reached
}

func rulesOf(t *Tenant) (all []*Rule) {
	for _, p := range t.Policies {
		all = append(all, p.Rules...)
	}
	return all
}

// packets returns a packet for each pair of an endpoint and an address, and each service.
func packets(t *Tenant) (all []firstPacket) {
	sends := map[netip.Addr]*Endpoint{}
	for _, text := range []string{"10.2.0.1", "10.9.9.9", "192.0.2.1", "fd00:1::77", "fd00:9::1", "2001:db8::1", "fe80::77"} {
		sends[netip.MustParseAddr(text)] = nil
	}
	for _, e := range t.Endpoints {
		for _, a := range e.IPs {
			sends[a] = e
		}
	}
	sends[netip.MustParseAddr("fe80::ff:fe00:b")] = t.Endpoints[slices.IndexFunc(t.Endpoints, func(e *Endpoint) bool { return e.Name == "web-1" })]
	sends[netip.MustParseAddr("fe80::ff:fe00:d")] = t.Endpoints[slices.IndexFunc(t.Endpoints, func(e *Endpoint) bool { return e.Name == "db-1" })]
	plain := t.Endpoints[slices.IndexFunc(t.Endpoints, func(e *Endpoint) bool { return e.Name == "plain" })]
	for _, own := range t.Endpoints {
		for peer, e := range sends {
			services := []firstPacket{{protocol: TCP, port: 80}, {protocol: TCP, port: 75}, {protocol: TCP, port: 9}, {protocol: UDP, port: 53}, {protocol: ICMP}, {protocol: "89"}}
			if peer.Is6() {
				services[4].protocol = ICMPv6
			}
			for _, p := range services {
				p.own, p.peer = own, peer
				for _, p.direction = range []Direction{Ingress, Egress} {
					for _, p.peerIs = range []*Endpoint{e, plain} {
						if p.peerIs == e || e == nil { // a layer-2 port may send from what is nobody else's
							all = append(all, p)
						}
					}
				}
			}
		}
	}
	return all
}

func (p firstPacket) matches(r *Rule) bool {
	own := len(p.own.IPs) == 0 || slices.ContainsFunc(p.own.IPs, func(a netip.Addr) bool { return a.Is4() == p.peer.Is4() })
	in := func(c netip.Prefix) bool { return c.Contains(p.peer) }
	peer := r.Peer.Empty() || slices.ContainsFunc(r.Peer.CIDRs, in) || p.peerIs != nil && r.Peer.Selects(p.peerIs)
	for _, g := range r.Peer.Groups {
		peer = peer || slices.ContainsFunc(g.Members.CIDRs, in)
	}
	service := r.Protocol == AnyProtocol || r.Protocol == p.protocol
	if len(r.Ports) > 0 {
		service = service && slices.ContainsFunc(r.Ports, func(q PortRange) bool { return q.Lo <= p.port && p.port <= q.Hi })
	}
	return r.Direction == p.direction && own && peer && service && r.Policy.AppliesTo.Selects(p.own)
}
