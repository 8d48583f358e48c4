package frame

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// solicitation is a real one: fd00:1::11 asks for fd00:1::1.
func solicitation(t testing.TB) []byte {
	b, err := hex.DecodeString("3333ff00000102000000000186dd6000000000203afffd000001000000000000000000000011ff0200000000000000000001ff000001" +
		"8700000000000000fd0000010000000000000000000000010101020000000001")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnAdvertisementAnswersItsSolicitation(t *testing.T) {
	router := [6]byte{0x02, 'w', 'e', 'i', 'r', 0x01}
	asked, ok := Solicited(solicitation(t))
	if !ok || asked.Target != netip.MustParseAddr("fd00:1::1") {
		t.Fatalf("%+v, %v", asked, ok)
	}
	p := gopacket.NewPacket(asked.Answer(router), layers.LayerTypeEthernet, gopacket.Default)
	if f := p.ErrorLayer(); f != nil {
		t.Fatal(f.Error())
	}
	eth := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	na := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if !bytes.Equal(eth.SrcMAC, router[:]) || eth.DstMAC.String() != "02:00:00:00:00:01" {
		t.Errorf("from %v to %v", eth.SrcMAC, eth.DstMAC)
	}
	if ip.SrcIP.String() != "fd00:1::1" || ip.DstIP.String() != "fd00:1::11" || ip.HopLimit != 255 {
		t.Errorf("from %v to %v, hop limit %d", ip.SrcIP, ip.DstIP, ip.HopLimit)
	}
	if !na.Router() || !na.Solicited() || !na.Override() || na.TargetAddress.String() != "fd00:1::1" ||
		len(na.Options) != 1 || !bytes.Equal(na.Options[0].Data, router[:]) {
		t.Errorf("%+v", na)
	}
	if err := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Errorf("checksums: %v, %v", err, bad)
	}
}

func FuzzSolicited(f *testing.F) {
	f.Add(solicitation(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if asked, ok := Solicited(frame); ok {
			asked.Answer([6]byte{})
		}
	})
}
