package test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/ofproto"
	"weir/test/ovstest"
)

// TestSpoofedPacketsAreDropped sends datagrams with addresses that are not the sender's, to
// somebody who would take them from anybody.
func TestSpoofedPacketsAreDropped(t *testing.T) {
	n, h1, h2 := pair(t)
	n.Run(pairModel("", "{name: any, direction: ingress, action: allow}"))
	sender, heard := wire(t, h1), wire(t, h2)
	own, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 7}
	for _, frame := range [][]byte{
		datagram(t, own, "10.1.1.9", "a spoofed IP address"),
		datagram(t, other, "10.1.1.1", "a spoofed MAC address"),
		datagram(t, own, "10.1.1.1", "an honest one"),
	} {
		if err := sender.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	for honest := false; !honest; { // it was sent last
		select {
		case f := <-heard.Frames():
			if strings.Contains(string(f), "spoofed") {
				t.Errorf("%q arrived", f[42:])
			}
			honest = strings.Contains(string(f), "honest")
		case <-time.After(ovstest.Patience):
			t.Fatal("the honest datagram did not arrive")
		}
	}
	ovstest.Eventually(t, "both are counted as spoofed", func() error {
		spoofed := n.Packets(func(f ofproto.Flow) bool {
			return f.Table == pipeline.Drop && strings.Contains(f.Match.String(), fmt.Sprintf("reg11=%#x", uint32(pipeline.Spoofed)))
		})
		if spoofed < 2 {
			return fmt.Errorf("%d packets are counted", spoofed)
		}
		return nil
	})
}

// datagram is a UDP datagram to h2 with a text in it.
func datagram(t *testing.T, from net.HardwareAddr, source, text string) []byte {
	t.Helper()
	eth := layers.Ethernet{SrcMAC: from, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.ParseIP(source).To4(), DstIP: net.IP{10, 1, 1, 2}}
	udp := layers.UDP{SrcPort: 5000, DstPort: 6000}
	if err := udp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, &eth, &ip, &udp, gopacket.Payload(text))
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
