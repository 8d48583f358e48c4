package test

import (
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/test/ovstest"
)

// TestWhoIsNotAskedIsNotBelieved has somebody on the link say again and again that the next hop is
// elsewhere, each time at another MAC address. The bridge is not changed for that, and connections
// go on.
func TestWhoIsNotAskedIsNotBelieved(t *testing.T) {
	model := strings.Replace(natModel(snat("all", "addresses: [203.0.113.10]")), "    nextHops: [{address: 203.0.113.1, mac: \"02:00:00:00:00:09\"}]\n", "", 1)
	n, h1, _, out := behind(t, model)
	echo(t, out, "203.0.113.1:80")
	open := opened(t, h1, "203.0.113.1:80")
	router, err := net.ParseMAC(routerMAC(t, out, "203.0.113.2"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	w := wire(t, out)
	for i := range 300 {
		if err := w.Send(arpAnswer(t, net.HardwareAddr{2, 0, 0, 0xbb, byte(i >> 8), byte(i)}, router)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if err := say(open, "still here", ovstest.Patience); err != nil {
			t.Fatal(err)
		}
	}
	after, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	if sent := after.Bridges[0].FlowModsSent - before.Bridges[0].FlowModsSent; sent > 2 { // a question may have been open
		t.Errorf("%d changes of the bridge for 300 lies", sent)
	}
}

// arpAnswer says that 203.0.113.1 is at a MAC address.
func arpAnswer(t *testing.T, at, to net.HardwareAddr) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{},
		&layers.Ethernet{SrcMAC: at, DstMAC: to, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPReply,
			SourceHwAddress: at, SourceProtAddress: net.IP{203, 0, 113, 1}.To4(), DstHwAddress: to, DstProtAddress: net.IP{203, 0, 113, 2}.To4()})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
