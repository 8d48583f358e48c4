package frame

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	alice = [6]byte{2, 0, 0, 0, 0, 1}
	bob   = [6]byte{2, 0, 0, 0, 0, 2}
	back  = Link{From: bob, To: alice}
)

// checksummed are the layers whose checksum has the addresses in it.
type checksummed interface {
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}

// made is the frame of some layers, in Ethernet from alice to bob, with lengths and checksums.
func made(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: alice[:], DstMAC: bob[:], EthernetType: layers.EthernetTypeIPv4}
	for _, l := range all {
		if ip, ok := l.(gopacket.NetworkLayer); ok {
			if _, six := l.(*layers.IPv6); six {
				eth.EthernetType = layers.EthernetTypeIPv6
			}
			for _, above := range all {
				if c, ok := above.(checksummed); ok {
					c.SetNetworkLayerForChecksum(ip)
				}
			}
		}
	}
	buf := gopacket.NewSerializeBuffer()
	all = append([]gopacket.SerializableLayer{eth}, all...)
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func four(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: []byte{10, 1, 1, 1}, DstIP: []byte{10, 1, 1, 2}}
}

func six(protocol layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol,
		SrcIP: netip.MustParseAddr("fd00::1").AsSlice(), DstIP: netip.MustParseAddr("fd00::2").AsSlice()}
}

func segment(change func(*layers.TCP)) *layers.TCP {
	s := &layers.TCP{SrcPort: 40000, DstPort: 80, Seq: 1000, Window: 500}
	change(s)
	return s
}

func datagram() *layers.UDP { return &layers.UDP{SrcPort: 40000, DstPort: 90} }

func payload(n int) gopacket.Payload { return bytes.Repeat([]byte{0xa5}, n) }

// said is an answer in words, read by somebody else.
func said(t *testing.T, f []byte) string {
	t.Helper()
	if f == nil {
		return "nothing"
	}
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	if bad := p.ErrorLayer(); bad != nil {
		t.Fatal(bad.Error())
	}
	for _, l := range p.Layers()[2:3] {
		if c, ok := l.(checksummed); ok {
			c.SetNetworkLayerForChecksum(p.NetworkLayer())
		}
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Errorf("checksums: %v, %+v", err, bad)
	}
	n := p.NetworkLayer().NetworkFlow()
	s := fmt.Sprintf("%s > %s, %v > %v: ", p.LinkLayer().LinkFlow().Src(), p.LinkLayer().LinkFlow().Dst(), n.Src(), n.Dst())
	s = strings.ReplaceAll(s, "02:00:00:00:00:0", "")
	switch m := p.Layers()[2].(type) {
	case *layers.TCP:
		return s + fmt.Sprintf("%d > %d, seq %d ack %d, rst %v ack %v syn %v", m.SrcPort, m.DstPort, m.Seq, m.Ack, m.RST, m.ACK, m.SYN)
	case *layers.ICMPv4:
		return s + fmt.Sprintf("icmp %d/%d, %d bytes", m.TypeCode.Type(), m.TypeCode.Code(), len(m.Payload))
	case *layers.ICMPv6:
		return s + fmt.Sprintf("icmpv6 %d/%d, %d bytes", m.TypeCode.Type(), m.TypeCode.Code(), len(m.Payload)-4)
	}
	t.Fatalf("%v is no answer", p)
	return ""
}

func TestWhatIsRefusedIsAnsweredAsItsProtocolSays(t *testing.T) {
	const from2, from6 = "2 > 1, 10.1.1.2 > 10.1.1.1: ", "2 > 1, fd00::2 > fd00::1: "
	echo := func(typ uint8) *layers.ICMPv4 {
		return &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, 0), Id: 1}
	}
	echo6 := func(typ uint8) *layers.ICMPv6 {
		return &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, 0)}
	}
	changed := func(change func(*layers.IPv4)) *layers.IPv4 {
		ip := four(layers.IPProtocolUDP)
		change(ip)
		return ip
	}
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"a SYN is acknowledged with its one number": {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.SYN = true })),
			from2 + "80 > 40000, seq 0 ack 1001, rst true ack true syn false"},
		"a SYN with data is acknowledged with all of it": {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.SYN = true }), payload(9)),
			from2 + "80 > 40000, seq 0 ack 1010, rst true ack true syn false"},
		"a segment that acknowledges is answered with that number": {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.ACK, s.Ack = true, 7777 }), payload(9)),
			from2 + "80 > 40000, seq 7777 ack 0, rst true ack false syn false"},
		"options are no data": {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) {
			s.SYN, s.FIN = true, true
			s.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}}}
		})), from2 + "80 > 40000, seq 0 ack 1002, rst true ack true syn false"},
		"a number wraps":             {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.SYN, s.Seq = true, 0xffffffff })), from2 + "80 > 40000, seq 0 ack 0, rst true ack true syn false"},
		"a reset is not answered":    {made(t, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.RST = true })), "nothing"},
		"TCP over IPv6":              {made(t, six(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.SYN = true })), from6 + "80 > 40000, seq 0 ack 1001, rst true ack true syn false"},
		"UDP":                        {made(t, four(layers.IPProtocolUDP), datagram(), payload(10)), from2 + "icmp 3/3, 38 bytes"},
		"UDP that is long":           {made(t, four(layers.IPProtocolUDP), datagram(), payload(1400)), from2 + "icmp 3/3, 548 bytes"},
		"UDP with an odd length":     {made(t, four(layers.IPProtocolUDP), datagram(), payload(11)), from2 + "icmp 3/3, 39 bytes"},
		"UDP over IPv6":              {made(t, six(layers.IPProtocolUDP), datagram(), payload(11)), from6 + "icmpv6 1/4, 59 bytes"},
		"UDP over IPv6 that is long": {made(t, six(layers.IPProtocolUDP), datagram(), payload(1400)), from6 + "icmpv6 1/4, 1232 bytes"},
		"an echo":                    {made(t, four(layers.IPProtocolICMPv4), echo(8), payload(4)), from2 + "icmp 3/13, 32 bytes"},
		"an error is not answered":   {made(t, four(layers.IPProtocolICMPv4), echo(3), payload(4)), "nothing"},
		"a redirect is not":          {made(t, four(layers.IPProtocolICMPv4), echo(5), payload(4)), "nothing"},
		"an echo of IPv6":            {made(t, six(layers.IPProtocolICMPv6), echo6(128), payload(8)), from6 + "icmpv6 1/1, 52 bytes"},
		"an error of IPv6 is not":    {made(t, six(layers.IPProtocolICMPv6), echo6(1), payload(8)), "nothing"},
		"any other protocol":         {made(t, four(89), payload(8)), from2 + "icmp 3/13, 28 bytes"},
		"SCTP":                       {made(t, six(layers.IPProtocolSCTP), payload(12)), from6 + "icmpv6 1/1, 52 bytes"},
		"a later fragment is not":    {made(t, changed(func(ip *layers.IPv4) { ip.FragOffset = 185 }), payload(8)), "nothing"},
		"a first fragment is": {made(t, changed(func(ip *layers.IPv4) { ip.Flags = layers.IPv4MoreFragments }), datagram()),
			from2 + "icmp 3/3, 28 bytes"},
		"from nobody":        {made(t, changed(func(ip *layers.IPv4) { ip.SrcIP = []byte{0, 0, 0, 0} }), datagram()), "nothing"},
		"from many":          {made(t, changed(func(ip *layers.IPv4) { ip.SrcIP = []byte{224, 0, 0, 5} }), datagram()), "nothing"},
		"to many":            {made(t, changed(func(ip *layers.IPv4) { ip.DstIP = []byte{239, 1, 1, 1} }), datagram()), "nothing"},
		"to all":             {made(t, changed(func(ip *layers.IPv4) { ip.DstIP = []byte{255, 255, 255, 255} }), datagram()), "nothing"},
		"in a frame for all": {append([]byte{255, 255, 255, 255, 255, 255}, made(t, four(layers.IPProtocolUDP), datagram())[6:]...), "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			p, ok := Parse(c.frame)
			if !ok {
				t.Fatal("not read")
			}
			if got := said(t, p.Refuse(back)); got != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
		})
	}
}

func TestAnErrorQuotesWhatItIsAbout(t *testing.T) {
	f := made(t, six(layers.IPProtocolUDP), datagram(), payload(100))
	p, _ := Parse(append(f, 0, 0, 0)) // padding of Ethernet is none of it
	if e := p.Refuse(back); !bytes.Equal(e[ethLen+ipv6Len+icmpLen:], f[ethLen:]) {
		t.Errorf("it quotes %x", e)
	}
}

func TestARouterTellsThatAPacketHasExpired(t *testing.T) {
	gateway, gateway6 := netip.MustParseAddr("10.1.1.254"), netip.MustParseAddr("fd00::fe")
	p, _ := Parse(made(t, four(layers.IPProtocolUDP), datagram()))
	if got, want := said(t, p.Expire(back, gateway)), "2 > 1, 10.1.1.254 > 10.1.1.1: icmp 11/0, 28 bytes"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	if got := p.Expire(back, gateway6); got != nil {
		t.Errorf("a gateway of IPv6 answers IPv4: %x", got)
	}
	p, _ = Parse(made(t, six(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.RST = true })))
	if got, want := said(t, p.Expire(back, gateway6)), "2 > 1, fd00::fe > fd00::1: icmpv6 3/0, 60 bytes"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestExtensionHeadersAreSteppedOver(t *testing.T) {
	udp := made(t, six(layers.IPProtocolUDP), datagram())[ethLen+ipv6Len:]
	with := func(first byte, headers ...byte) []byte {
		f := made(t, six(layers.IPProtocol(first)), gopacket.Payload(append(headers, udp...)))
		return f
	}
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"options for each hop and for the destination": {with(0, 60, 0, 1, 4, 0, 0, 0, 0, 17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "17, port 90"},
		"a first fragment":                   {with(44, 17, 0, 0, 1, 0, 0, 0, 9), "17, port 90"},
		"a later fragment":                   {with(44, 17, 0, 0, 8, 0, 0, 0, 9), "17, later"},
		"one that is longer than the packet": {with(0, 17, 200), ""},
		"no next header":                     {with(59), "59, port 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if p, ok := Parse(c.frame); ok {
				got = fmt.Sprintf("%d, port %d", p.Protocol, p.DstPort)
				if p.Later {
					got = fmt.Sprintf("%d, later", p.Protocol)
				}
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(made(f, four(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.SYN = true }), payload(9)))
	f.Add(made(f, four(layers.IPProtocolUDP), datagram(), payload(9)))
	f.Add(made(f, six(layers.IPProtocolTCP), segment(func(s *layers.TCP) { s.ACK = true }), payload(9)))
	f.Add(made(f, six(0), gopacket.Payload([]byte{44, 0, 0, 0, 0, 0, 0, 0, 51, 0, 0, 0, 0, 0, 0, 1, 17, 4})))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Parse(b)
		if !ok {
			return
		}
		for _, answer := range [][]byte{p.Refuse(back), p.Expire(back, netip.MustParseAddr("10.1.1.254")), p.Expire(back, netip.MustParseAddr("fd00::1"))} {
			if answer == nil {
				continue
			}
			q, ok := Parse(answer)
			if !ok || q.Dst != p.Src || len(answer) > ethLen+longest6 {
				t.Fatalf("%x is answered with %x", b, answer)
			}
			if again := q.Refuse(back); again != nil {
				t.Fatalf("and that with %x", again)
			}
		}
	})
}

func TestASYNOpensAConnectionFromOneEndToTheOther(t *testing.T) {
	for from, c := range map[string]struct{ to, want string }{
		"10.1.1.2:80":   {"10.1.1.1:40000", "2 > 1, 10.1.1.2 > 10.1.1.1: 80 > 40000, seq 0 ack 0, rst false ack false syn true"},
		"[fd00::2]:443": {"[fd00::1]:40000", "2 > 1, fd00::2 > fd00::1: 443 > 40000, seq 0 ack 0, rst false ack false syn true"},
	} {
		f := SYN(Link{From: [6]byte{2, 0, 0, 0, 0, 2}, To: [6]byte{2, 0, 0, 0, 0, 1}}, netip.MustParseAddrPort(from), netip.MustParseAddrPort(c.to))
		if got := said(t, f); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
