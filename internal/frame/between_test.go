package frame

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestBetweenOthersAPacketIsWhole gives packets other addresses and ports, and has somebody else
// look at their checksums.
func TestBetweenOthersAPacketIsWhole(t *testing.T) {
	v4, v6 := [2]string{"203.0.113.20", "198.51.100.7"}, [2]string{"2001:db8::20", "2001:db8:7::1"}
	noChecksum := datagram()
	for name, c := range map[string]struct {
		frame []byte
		to    [2]string
		ports string
	}{
		"TCP over IPv4":    {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.SYN = true }), payload(33)), v4, "7000->8000"},
		"TCP over IPv6":    {made(t, six(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.ACK = true }), payload(10)), v6, "7000->8000"},
		"UDP over IPv4":    {made(t, four(layers.IPProtocolUDP), noChecksum, payload(3)), v4, "7000->8000"},
		"UDP over IPv6":    {made(t, six(layers.IPProtocolUDP), datagram(), payload(1)), v6, "7000->8000"},
		"a ping over IPv4": {made(t, four(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: 0x800, Id: 7, Seq: 1}, payload(8)), v4, ""},
		"a ping over IPv6": {made(t, six(layers.IPProtocolICMPv6), &layers.ICMPv6{TypeCode: 0x8000}, payload(8)), v6, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, ok := Parse(c.frame)
			if !ok {
				t.Fatal("it cannot be read")
			}
			src, dst := netip.MustParseAddr(c.to[0]), netip.MustParseAddr(c.to[1])
			after := before.Between(src, dst, 7000, 8000)
			p := gopacket.NewPacket(append(c.frame[:14:14], after.ip...), layers.LayerTypeEthernet, gopacket.Default)
			for _, l := range p.Layers() {
				if l, is := l.(checksummed); is {
					l.SetNetworkLayerForChecksum(p.NetworkLayer())
				}
			}
			if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 || p.ErrorLayer() != nil {
				t.Errorf("%v: checksums: %v, %v", p, err, bad)
			}
			if got := p.NetworkLayer().NetworkFlow().String(); got != c.to[0]+"->"+c.to[1] || after.Src != src || after.Dst != dst {
				t.Errorf("%s", got)
			}
			if tl := p.TransportLayer(); tl != nil && tl.TransportFlow().String() != c.ports {
				t.Errorf("%v", tl.TransportFlow())
			}
			if before.Src == src || string(before.ip) == string(after.ip) {
				t.Error("the packet that was given is another one")
			}
		})
	}
}

func TestADatagramWithoutAChecksumStaysWithout(t *testing.T) {
	f := made(t, four(layers.IPProtocolUDP), datagram(), payload(4))
	f[14+20+6], f[14+20+7] = 0, 0
	p, _ := Parse(f)
	q := p.Between(netip.MustParseAddr("203.0.113.20"), p.Dst, p.SrcPort, p.DstPort)
	if be.Uint16(q.upper[udpChecksum:]) != 0 {
		t.Errorf("%x", q.upper)
	}
}

func TestAPacketStaysInItsVersionOfIP(t *testing.T) {
	p, _ := Parse(made(t, four(layers.IPProtocolUDP), datagram()))
	if q := p.Between(netip.MustParseAddr("2001:db8::1"), p.Dst, 1, 2); q.Src != p.Src {
		t.Errorf("%+v", q)
	}
}
