package apps

import (
	"net/netip"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/flowsim"
	"weir/ofproto"
)

// TestWhatIsExemptInOneVersionOfIPIsAnswered has two tenants with the same addresses each be
// exempt in one version of IP, and translated in the other.
func TestWhatIsExemptInOneVersionOfIPIsAnswered(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 1), crossingTenant("red", "", 1),
		crossingObject("blue", "SNAT", "all", `addresses: [203.0.113.10, "2001:db8::10"], exempt: {cidrs: [198.51.100.0/24]}`),
		crossingObject("red", "SNAT", "all", `addresses: [203.0.113.20, "2001:db8::20"], exempt: {cidrs: ["2001:db8:77::/48"]}`))
	for _, c := range []struct{ host, src, dst, as string }{
		{"blue-h1", "10.1.0.11", "198.51.100.7", "10.1.0.11"},
		{"blue-h1", "fd00:1::11", "2001:db8:77::7", "2001:db8::10"},
		{"red-h1", "10.1.0.11", "198.51.100.7", "203.0.113.20"},
		{"red-h1", "fd00:1::11", "2001:db8:77::7", "fd00:1::11"},
	} {
		left := p.says(c.host, c.src, c.dst, 40000)
		back := p.hears(t, left)
		if as := left.Outputs[0].Packet.Src(); as != netip.MustParseAddr(c.as) {
			t.Errorf("%s leaves for %s as %v, want %s", c.host, c.dst, as, c.as)
		}
		if !p.comesBy(back, c.host) {
			t.Errorf("an answer to %s of %s comes to %v\n%s", c.host, c.dst, delivered(back), stepsOf(back))
		}
	}
}

// TestOnlyTheNetworkThatIsNamedIsExempt has a port without addresses in another network send from
// an address of that one.
func TestOnlyTheNetworkThatIsNamedIsExempt(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 1),
		crossingObject("blue", "Network", "other", "subnets: [{cidr: 10.2.0.0/24, gateway: 10.2.0.1}]"),
		crossingObject("blue", "Endpoint", "h2", `network: other, bind: {port: blue-h2}, mac: "02:00:00:00:00:12"`),
		crossingObject("blue", "SNAT", "some", "priority: 200, network: net, addresses: [203.0.113.10], exempt: {cidrs: [198.51.100.0/24]}"),
		crossingObject("blue", "SNAT", "all", "addresses: [203.0.113.11]"))
	for _, c := range []struct{ host, src, as string }{
		{"blue-h1", "10.1.0.11", "10.1.0.11"},
		{"blue-h2", "10.1.0.99", "203.0.113.11"},
		{"blue-h2", "10.2.0.99", "203.0.113.11"},
	} {
		left := p.says(c.host, c.src, "198.51.100.7", 40000)
		if !p.comesBy(left, "out") {
			t.Fatalf("%s does not leave as %s\n%s", c.host, c.src, stepsOf(left))
		}
		if as := left.Outputs[0].Packet.Src(); as != netip.MustParseAddr(c.as) {
			t.Errorf("%s, %s, leaves as %v, want %s", c.host, c.src, as, c.as)
		}
	}
}

// TestWhatIsJudgedAgainIsWhatItWas has two SNATs with one pool, and what one of them exempts:
// judged again, a connection is remembered as it was, in one pass, and not translated once more.
func TestWhatIsJudgedAgainIsWhatItWas(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 2),
		crossingObject("blue", "SNAT", "first", "priority: 200, from: {endpoints: [h1]}, addresses: [203.0.113.10-203.0.113.13], exempt: {cidrs: [198.51.100.0/24]}"),
		crossingObject("blue", "SNAT", "second", "addresses: [203.0.113.10-203.0.113.13]"))
	for _, c := range []struct {
		host, src, dst, as string
		by                 intent.ID
	}{
		{"blue-h1", "10.1.0.11", "192.0.2.7", "203.0.113.10", "blue/snat/first"},
		{"blue-h2", "10.1.0.12", "192.0.2.7", "203.0.113.10", "blue/snat/second"},
		{"blue-h1", "10.1.0.11", "198.51.100.7", "10.1.0.11", "blue/snat/first/exempt"},
	} {
		p.hears(t, p.says(c.host, c.src, c.dst, 40001))
		p.judgedAgain(t, "blue")
		again := p.says(c.host, c.src, c.dst, 40001)
		p.hears(t, again)
		if as := again.Outputs[0].Packet.Src(); as != netip.MustParseAddr(c.as) {
			t.Errorf("%s leaves for %s as %v, want %s", c.host, c.dst, as, c.as)
		}
		if len(again.Commits) != 1 || again.Steps[len(again.Steps)-1].Pass != 1 {
			t.Fatalf("%d commits, and %d passes\n%s", len(again.Commits), again.Steps[len(again.Steps)-1].Pass, stepsOf(again))
		}
		made := again.Commits[0]
		if by, _ := p.in.Numbers.Origin(pipeline.ObjectOf(made.Label, made.Mark)); by != c.by {
			t.Errorf("%s has left for %s by %s, which is now %s", c.host, c.dst, c.by, by)
		}
	}
}

// TestWhatAnAuditHasNoRoomForDoesNotCrossTheRouter has a tenant that is only audited have one
// connection more than it may: inside, it passes, and is not remembered. To the outside it would
// leave with its own address, and from there it would come to nobody.
func TestWhatAnAuditHasNoRoomForDoesNotCrossTheRouter(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "mode: audit, limits: {connections: 1}", 2),
		crossingObject("blue", "SNAT", "all", "addresses: [203.0.113.10], exempt: {cidrs: [198.51.100.0/24]}"),
		crossingObject("blue", "FloatingIP", "h2-ip", "address: 203.0.113.20, endpoint: h2"))
	p.ct.Limits = map[uint16]int{p.in.Numbers.Zone("blue"): 1}
	p.hears(t, p.says("blue-h1", "10.1.0.11", "192.0.2.7", 40000))
	inside := flowsim.Tuple{Protocol: 6, Src: netip.MustParseAddr("10.1.0.11"), Dst: netip.MustParseAddr("10.1.0.12"), SrcPort: 40001, DstPort: 80}
	if trace := p.sim.Send(segmentOf(portOn(p.in, "blue-h1"), [6]byte{2, 0, 0, 0, 0, 0x11}, [6]byte{2, 0, 0, 0, 0, 0x12}, inside), &p.ct); !p.comesBy(trace, "blue-h2") {
		t.Errorf("inside, it comes to %v\n%s", delivered(trace), stepsOf(trace))
	}
	for what, c := range map[string]struct{ host, src, dst string }{
		"translated":            {"blue-h1", "10.1.0.11", "192.0.2.7"},
		"exempt":                {"blue-h1", "10.1.0.11", "198.51.100.7"},
		"by a floating IP":      {"blue-h2", "10.1.0.12", "192.0.2.7"},
		"to its own tenant's":   {"blue-h1", "10.1.0.11", "203.0.113.20"},
		"to its own, by itself": {"blue-h2", "10.1.0.12", "203.0.113.20"},
	} {
		if trace := p.says(c.host, c.src, c.dst, 40002); len(delivered(trace)) > 0 || len(trace.Commits) > 0 {
			t.Errorf("%s: leaves by %v\n%s", what, delivered(trace), stepsOf(trace))
		}
	}
	if trace := p.comes("192.0.2.7", "203.0.113.20", 40003); len(delivered(trace)) > 0 {
		t.Errorf("from outside, it comes to %v\n%s", delivered(trace), stepsOf(trace))
	}
}

// TestPiecesOfDatagramsWhereAPortDecides has who is exempt, and as whom h1 leaves, depend on a port. A
// later fragment of what is new does not say it, and is dropped; h2 is asked about no port.
func TestPiecesOfDatagramsWhereAPortDecides(t *testing.T) {
	p := passageOf(t, crossingTenant("blue", "", 2),
		crossingObject("blue", "SNAT", "dns", "priority: 200, from: {endpoints: [h1]}, to: {protocol: udp, ports: [53], cidrs: [192.0.2.0/24, 198.51.100.0/24]}, addresses: [203.0.113.10], exempt: {cidrs: [198.51.100.0/24]}"),
		crossingObject("blue", "SNAT", "all", "addresses: [203.0.113.11]"))
	for _, c := range []struct {
		host, src, dst string
		protocol       uint8
		passes         bool
	}{
		{"blue-h1", "10.1.0.11", "198.51.100.7", 17, false},
		{"blue-h1", "10.1.0.11", "192.0.2.7", 17, false},
		{"blue-h1", "10.1.0.11", "203.0.113.1", 17, true},
		{"blue-h1", "10.1.0.11", "198.51.100.7", 132, true},
		{"blue-h2", "10.1.0.12", "198.51.100.7", 17, true},
	} {
		piece := segmentOf(portOn(p.in, c.host), [6]byte{2, 0, 0, 0, 0, 0x10 + c.host[6] - '0'}, pipeline.RouterMAC,
			flowsim.Tuple{Protocol: c.protocol, Src: netip.MustParseAddr(c.src), Dst: netip.MustParseAddr(c.dst)})
		piece.SetUint(ofproto.IPFrag, 3)
		trace := p.sim.Send(piece, &p.ct)
		if got := p.comesBy(trace, "out"); got != c.passes {
			t.Errorf("a later fragment of protocol %d, of %s to %s, leaves: %v\n%s", c.protocol, c.host, c.dst, got, stepsOf(trace))
		}
		if reason := pipeline.Reason(trace.Steps[len(trace.Steps)-1].Regs[11]); !c.passes && reason != pipeline.PortlessPiece {
			t.Errorf("it is dropped for %v", reason)
		}
	}
	whole := segmentOf(portOn(p.in, "blue-h1"), [6]byte{2, 0, 0, 0, 0, 0x11}, pipeline.RouterMAC,
		flowsim.Tuple{Protocol: 17, Src: netip.MustParseAddr("10.1.0.11"), Dst: netip.MustParseAddr("198.51.100.7"), SrcPort: 40000, DstPort: 54})
	if trace := p.sim.Send(whole, &p.ct); !p.comesBy(trace, "out") {
		t.Errorf("a datagram in one piece, to another port, does not leave\n%s", stepsOf(trace))
	}
}
