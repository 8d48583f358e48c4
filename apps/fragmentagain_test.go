package apps

import (
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/internal/flowsim"
)

// TestFragmentsOfWhatIsForNoForwardGoOn has a host of a public network ask a port, of an address of its own tenant on another outside, that
// is not forwarded. It leaves as all that the network sends, and judged again its fragments do so as well.
func TestFragmentsOfWhatIsForNoForwardGoOn(t *testing.T) {
	bridge := strings.Replace(publicBridge, "  external:\n    network: public", "  external:\n  - network: public", 1) + `  - network: partner
    port: out2
    subnets: [{cidr: 100.64.0.0/24, gateway: 100.64.0.1}]
    nextHops: [{address: 100.64.0.1, mac: "02:00:00:00:ff:11"}]
`
	p := passageOn(t, bridge, crossingTenant("blue", "", 2), crossingObject("blue", "SNAT", "all", "addresses: [203.0.113.10]"),
		crossingObject("blue", "PortForward", "web", "address: 100.64.0.16, protocol: tcp, port: 81, to: {endpoint: h2, port: 81}"))
	tuple := flowsim.Tuple{Protocol: 6, Src: netip.MustParseAddr("10.1.0.11"), Dst: netip.MustParseAddr("100.64.0.16"), SrcPort: 40000, DstPort: 80}
	f := frame{segmentOf(portOn(p.in, "blue-h1"), [6]byte{2, 0, 0, 0, 0, 0x11}, pipeline.RouterMAC, tuple)}
	if back := p.hears(t, p.sim.Send(f.Packet, &p.ct)); !p.comesBy(back, "blue-h1") {
		t.Fatalf("an answer comes to %v\n%s", delivered(back), stepsOf(back))
	}
	p.judgedAgain(t, "blue")
	for i, piece := range []frame{laterOf(f), firstOf(f), f} { // the whole is remembered as judged
		if trace := p.sim.Send(piece.Packet, &p.ct); !p.comesBy(trace, "out") {
			t.Errorf("%d leaves by %v\n%s", i, delivered(trace), stepsOf(trace))
		}
	}
}
