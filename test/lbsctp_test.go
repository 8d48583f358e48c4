package test

import (
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/internal/sandbox"
	"weir/quirk"
	"weir/test/ovstest"
)

// TestLoadBalancersOfSCTP sends INITs from many ports to an address outside, and answers back. Where the
// tracker knows no ports of SCTP all are one connection, to one backend,
// and what would be to another port is left out.
func TestLoadBalancersOfSCTP(t *testing.T) {
	n := ovstest.New(t)
	h1, h2 := n.Host("h1", mac(1), nil), n.Host("h2", mac(2), nil) // their own stacks are silent
	out := n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(natModel())
	portless := n.Has(quirk.SCTPPorts)
	if portless {
		n.Weir.LeftOut = 1
	}
	n.Weir.Apply(natModel(balancer("amf", "address: 203.0.113.30, ports: [{port: 36412, protocol: sctp}], backends: [{endpoint: h1}, {endpoint: h2}]"),
		balancer("moved", "address: 203.0.113.31, ports: [{port: 36412, protocol: sctp, targetPort: 36413}], backends: [{endpoint: h1}, {endpoint: h2}]"),
		policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: sctp, ports: [36412-36413]}")))
	wires := map[*sandbox.Host]*sandbox.Wire{h1: wire(t, h1), h2: wire(t, h2), out: wire(t, out)}
	router := routerMAC(t, out, "203.0.113.2")
	addresses := map[*sandbox.Host]string{h1: "10.1.1.11", h2: "10.1.1.12"}
	by, last := map[string]int{}, h2
	for i := range 20 {
		address, then := "203.0.113.30", layers.SCTPPort(36412)
		if i >= 10 {
			address, then = "203.0.113.31", 36413
		}
		from := layers.SCTPPort(41000 + i)
		if err := wires[out].Send(sctpFrame(t, mac(9), router, "203.0.113.1", address, &layers.SCTP{SrcPort: from, DstPort: 36412}, sctpInit(1))); err != nil {
			t.Fatal(err)
		}
		patience := ovstest.Patience
		if portless && i >= 10 { // nobody is to hear it
			patience = time.Second / 2
		}
		var to *sandbox.Host
		var got gopacket.Packet
		for over := time.Now().Add(patience); got == nil && time.Now().Before(over); {
			if to = h1; to == last {
				to = h2
			}
			last, got = to, heardSCTP(wires[to], from, then, 20*time.Millisecond)
		}
		if got == nil {
			by[address+" nobody"]++
			continue
		}
		by[address+" "+to.Name]++
		if err := wires[to].Send(sctpFrame(t, to.MAC, sender(got), addresses[to], "203.0.113.1", &layers.SCTP{SrcPort: then, DstPort: from, VerificationTag: 1}, sctpInit(2))); err != nil {
			t.Fatal(err)
		}
		if heardSCTP(wires[out], 36412, from, ovstest.Patience) == nil {
			t.Errorf("no answer comes from %s to port %d", address, from)
		}
	}
	t.Log(by)
	one := by["203.0.113.30 h1"] == 10 || by["203.0.113.30 h2"] == 10
	if one != portless || by["203.0.113.30 nobody"] > 0 {
		t.Errorf("the port: %v", by)
	}
	if by["203.0.113.31 nobody"] != map[bool]int{false: 0, true: 10}[portless] {
		t.Errorf("another port: %v", by)
	}
}
