package nat

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/intent"
)

var here = pipeline.Presence{Port: 3, MAC: intent.MAC{2, 0, 0, 0, 0xff, 1}}

func TestAnARPAnnouncementIsARequestForOnesOwnAddress(t *testing.T) {
	out := Announce(here, netip.MustParseAddr("203.0.113.20"))
	p := gopacket.NewPacket(out.Data, layers.LayerTypeEthernet, gopacket.Default)
	arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || arp.Operation != layers.ARPRequest || string(arp.SourceProtAddress) != string(arp.DstProtAddress) ||
		netip.AddrFrom4([4]byte(arp.SourceProtAddress)).String() != "203.0.113.20" || intent.MAC(arp.SourceHwAddress) != here.MAC {
		t.Errorf("%v", p)
	}
	if got := p.LinkLayer().LinkFlow().String(); got != "02:00:00:00:ff:01->ff:ff:ff:ff:ff:ff" {
		t.Error(got)
	}
}

func TestAnUnsolicitedAdvertisementOverridesWhatWasKnown(t *testing.T) {
	target := netip.MustParseAddr("2001:db8::20")
	out := Announce(here, target)
	p := gopacket.NewPacket(out.Data, layers.LayerTypeEthernet, gopacket.Default)
	ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	if err := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 || p.ErrorLayer() != nil {
		t.Errorf("%v: checksums: %v, %v", p, err, bad)
	}
	na, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if !ok || !na.Override() || na.Solicited() || !na.Router() || na.TargetAddress.String() != target.String() || ip.DstIP.String() != "ff02::1" || ip.HopLimit != 255 {
		t.Errorf("%v", p)
	}
	if a, mac, ok := answered(out.Data); !ok || a != target || mac != here.MAC {
		t.Errorf("%v has %v: %v", a, mac, ok)
	}
	if got := p.LinkLayer().LinkFlow().String(); got != "02:00:00:00:ff:01->33:33:00:00:00:01" {
		t.Error(got)
	}
}
