package nat

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/frame"
)

var site = pipeline.ExternalSite{External: &intent.External{
	Bridge: "br", Network: "public", MAC: intent.MAC{2, 0, 0, 0, 0xff, 1},
	Subnets: []intent.ExternalSubnet{{CIDR: netip.MustParsePrefix("203.0.113.0/24"), Address: netip.MustParseAddr("203.0.113.2")}},
}, Tag: 7, Port: 3}

func TestARequestAsksForANeighbour(t *testing.T) {
	p := gopacket.NewPacket(request(site, netip.MustParseAddr("203.0.113.1")), layers.LayerTypeEthernet, gopacket.Default)
	arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || arp.Operation != layers.ARPRequest || netip.AddrFrom4([4]byte(arp.DstProtAddress)).String() != "203.0.113.1" ||
		netip.AddrFrom4([4]byte(arp.SourceProtAddress)).String() != "203.0.113.2" || intent.MAC(arp.SourceHwAddress) != site.MAC {
		t.Errorf("%v", p)
	}
}

func TestASolicitationIsAnsweredByAnAdvertisement(t *testing.T) {
	target := netip.MustParseAddr("2001:db8::20")
	asked := solicitation(site, target)
	heard, ok := frame.Solicited(asked)
	if !ok || heard.Target != target {
		t.Fatalf("%+v, %v", heard, ok)
	}
	answer := heard.Answer(site.RouterMAC())
	for _, f := range [][]byte{asked, answer} {
		p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		if err := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 || p.ErrorLayer() != nil {
			t.Errorf("%v: checksums: %v, %v", p, err, bad)
		}
	}
	if a, mac, ok := answered(answer); !ok || a != target || mac != site.MAC {
		t.Errorf("%v has %v: %v", a, mac, ok)
	}
}

func TestARangeIsTheFewestPrefixes(t *testing.T) {
	for _, c := range []struct{ lo, hi, want string }{
		{"203.0.113.10", "203.0.113.10", "[203.0.113.10/32]"},
		{"203.0.113.16", "203.0.113.19", "[203.0.113.16/30]"},
		{"203.0.113.1", "203.0.113.6", "[203.0.113.1/32 203.0.113.2/31 203.0.113.4/31 203.0.113.6/32]"},
		{"255.255.255.254", "255.255.255.255", "[255.255.255.254/31]"},
		{"2001:db8::", "2001:db8::ffff", "[2001:db8::/112]"},
	} {
		r := intent.AddrRange{Lo: netip.MustParseAddr(c.lo), Hi: netip.MustParseAddr(c.hi)}
		if got := fmt.Sprint(prefixesOf(r)); got != c.want {
			t.Errorf("%v: %s, want %s", r, got, c.want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(request(site, netip.MustParseAddr("203.0.113.1")))
	f.Add(solicitation(site, netip.MustParseAddr("2001:db8::20")))
	heard, _ := frame.Solicited(solicitation(site, netip.MustParseAddr("2001:db8::20")))
	f.Add(heard.Answer(site.RouterMAC()))
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, frame []byte) {
		answered(frame)
		boundFor(frame)
	})
}
