package test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// A lab has silent hosts, h1, h2 and so on, that only say what the test has them say, frame
// by frame: their own stacks have no addresses, and answer nothing.
type lab struct {
	*ovstest.Net
	wires  []*sandbox.Wire                       // of h1, h2, ...
	serial uint16                                // of the last packet
	states map[ofproto.FlowKey]ofproto.FlowStats // what CT_STATE had counted when it was looked at last
}

func newLab(t *testing.T, hosts int, model string) *lab {
	t.Helper()
	l := idleLab(t, hosts)
	l.Run(model)
	return l
}

// idleLab is a lab without a daemon.
func idleLab(t *testing.T, hosts int) *lab {
	t.Helper()
	l := &lab{Net: ovstest.New(t)}
	for i := range hosts {
		l.wires = append(l.wires, wire(t, l.Host(fmt.Sprintf("h%d", i+1), mac(i+1), nil)))
	}
	return l
}

// labModel is the model of a lab with h1 and h2, of tenant t, in both versions of IP.
func labModel(spec string, documents ...string) string {
	return bridge + labTenant("t", spec) + labEndpoint("t", 1, "") + labEndpoint("t", 2, "") + strings.Join(documents, "")
}

func labTenant(name, spec string) string {
	return tenant(name, spec, `{cidr: 10.1.1.0/24}, {cidr: "fd00:1::/64"}`)
}

// labEndpoint returns the endpoint of a host of a lab; more is what else its spec says.
func labEndpoint(tenant string, number int, more string) string {
	return object("Endpoint", fmt.Sprintf("name: h%d, tenant: %s, labels: {host: h%d}", number, tenant, number),
		fmt.Sprintf(`network: lan, bind: {ifaceID: h%d}, mac: %q, ips: [10.1.1.%d, "fd00:1::%d"]%s`, number, mac(number), number, number, more))
}

// A packet is what a host of a lab says to another.
type packet struct {
	from, to int
	six      bool // IPv6
	proto    layers.IPProtocol
	rest     []gopacket.SerializableLayer // behind the header of IP

	// If they are not the hosts' own:
	src, dst string
	dstMAC   net.HardwareAddr
}

func (p packet) String() string {
	version := map[bool]string{false: "IPv4", true: "IPv6"}[p.six]
	return fmt.Sprintf("%v of h%d for h%d over %s", p.proto, p.from, p.to, version)
}

// tcp is a TCP segment. Its flags are letters: S, A, F, R, P.
func tcp(from, to int, sport, dport layers.TCPPort, flags string) packet {
	has := func(flag string) bool { return strings.Contains(flags, flag) }
	return packet{from: from, to: to, proto: layers.IPProtocolTCP, rest: []gopacket.SerializableLayer{&layers.TCP{
		SrcPort: sport, DstPort: dport, Seq: 100, Window: 8192, SYN: has("S"), ACK: has("A"), FIN: has("F"), RST: has("R"), PSH: has("P"),
	}}}
}

func udp(from, to int, sport, dport layers.UDPPort) packet {
	return packet{from: from, to: to, proto: layers.IPProtocolUDP, rest: []gopacket.SerializableLayer{&layers.UDP{SrcPort: sport, DstPort: dport}}}
}

// icmp is a message of ICMP, with what is behind its first eight bytes.
func icmp(from, to int, typ, code uint8, data []byte) packet {
	return packet{from: from, to: to, proto: layers.IPProtocolICMPv4, rest: []gopacket.SerializableLayer{
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code), Id: 7, Seq: 1}, gopacket.Payload(data)}}
}

// icmp6 is a message of ICMPv6, with what is behind its first eight bytes.
func icmp6(from, to int, typ, code uint8, data []byte) packet {
	first := []byte{0, 7, 0, 1} // identifier and sequence number
	return packet{from: from, to: to, six: true, proto: layers.IPProtocolICMPv6, rest: []gopacket.SerializableLayer{
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}, gopacket.Payload(append(first, data...))}}
}

// raw is a packet of any protocol.
func raw(from, to int, proto layers.IPProtocol, data ...byte) packet {
	return packet{from: from, to: to, proto: proto, rest: []gopacket.SerializableLayer{gopacket.Payload(data)}}
}

// over6 is p over IPv6.
func (p packet) over6() packet {
	p.six = true
	return p
}

// between is p with other addresses than those of the hosts; "" are theirs.
func (p packet) between(src, dst string, dstMAC net.HardwareAddr) packet {
	p.src, p.dst, p.dstMAC = src, dst, dstMAC
	return p
}

// frame returns p as it is on the wire. It is known again by its serial number, which no
// switch changes: the identification of IPv4, the flow label of IPv6.
func (p packet) frame(t testing.TB, serial uint16) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: hardware(p.from), DstMAC: hardware(p.to), EthernetType: layers.EthernetTypeIPv4}
	if p.dstMAC != nil {
		eth.DstMAC = p.dstMAC
	}
	src, dst := address(p.src, p.from, p.six), address(p.dst, p.to, p.six)
	var ip gopacket.NetworkLayer = &layers.IPv4{Version: 4, Id: serial, TTL: 64, Protocol: p.proto, SrcIP: src, DstIP: dst}
	if p.six {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, FlowLabel: uint32(serial), HopLimit: 255, NextHeader: p.proto, SrcIP: src, DstIP: dst}
	}
	for _, l := range p.rest {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			l.SetNetworkLayerForChecksum(ip)
		}
	}
	return serialize(t, append([]gopacket.SerializableLayer{eth, ip.(gopacket.SerializableLayer)}, p.rest...)...)
}

// address is the one that is given, or that of a host.
func address(given string, number int, six bool) net.IP {
	switch {
	case given != "":
		ip := net.ParseIP(given)
		if four := ip.To4(); four != nil && !six {
			return four
		}
		return ip
	case six:
		return net.ParseIP(fmt.Sprintf("fd00:1::%d", number))
	}
	return net.IP{10, 1, 1, byte(number)}
}

func hardware(number int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, byte(number)} }

// serialize writes layers, with their lengths and checksums.
func serialize(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// carries reports whether a frame is the packet with that serial number.
func carries(serial uint16) func(frame []byte) bool {
	return func(f []byte) bool {
		switch {
		case len(f) >= 34 && f[12] == 0x08 && f[13] == 0x00:
			return binary.BigEndian.Uint16(f[18:]) == serial
		case len(f) >= 54 && f[12] == 0x86 && f[13] == 0xdd:
			return binary.BigEndian.Uint16(f[16:]) == serial
		}
		return false
	}
}

// send sends a packet and reports whether it arrives.
func (l *lab) send(p packet) bool {
	l.T.Helper()
	l.serial++
	return l.passes(p.from, p.to, p.frame(l.T, l.serial), carries(l.serial))
}

// passes sends a frame, and behind it ARP, which nobody forbids: when that has come, the
// frame has come before or does not come. Packets that the kernel asks ovs-vswitchd about
// may overtake each other: there the ARP waits for a round of the revalidators.
func (l *lab) passes(from, to int, frame []byte, is func([]byte) bool) (arrived bool) {
	l.T.Helper()
	l.serial++
	if err := l.wires[from-1].Send(frame); err != nil {
		l.T.Fatal(err)
	}
	if l.Kernel() {
		if _, err := l.Round(); err != nil {
			l.T.Fatal(err)
		}
	}
	if err := l.wires[from-1].Send(l.marker(from, to)); err != nil {
		l.T.Fatal(err)
	}
	deadline := time.After(ovstest.Patience)
	for {
		select {
		case f := <-l.wires[to-1].Frames():
			if is(f) {
				arrived = true
			}
			if isARP(f) && binary.BigEndian.Uint16(f[42:]) == l.serial {
				return arrived
			}
		case <-deadline:
			l.T.Fatalf("ARP from h%d does not come to h%d", from, to)
		}
	}
}

// marker is a question by ARP, with a number behind it.
func (l *lab) marker(from, to int) []byte {
	eth := &layers.Ethernet{SrcMAC: hardware(from), DstMAC: hardware(to), EthernetType: layers.EthernetTypeARP}
	arp := &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
		SourceHwAddress: hardware(from), SourceProtAddress: []byte{10, 1, 1, byte(from)}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 1, 1, byte(to)}}
	return serialize(l.T, eth, arp, gopacket.Payload(binary.BigEndian.AppendUint16(nil, l.serial)))
}

// stateHit returns the priority of the flow of CT_STATE that has counted since it was asked
// last, and 0 if none has.
func (l *lab) stateHit() (hit uint16) {
	l.T.Helper()
	before := l.states
	l.states = stateFlows(l.Net)
	for key, f := range l.states {
		if f.Packets == before[key].Packets {
			continue
		}
		if hit != 0 {
			l.T.Errorf("two flows of CT_STATE have counted: %d and %d", hit, f.Priority)
		}
		hit = f.Priority
	}
	return hit
}

// dropped returns how many packets were dropped for a reason.
func (l *lab) dropped(r pipeline.Reason) uint64 {
	l.T.Helper()
	return l.Packets(func(f ofproto.Flow) bool {
		return f.Table == pipeline.Drop && pipeline.CountedBy(f) == r
	})
}

// entries returns how many connections a tenant has.
func (l *lab) entries(tenant string) int {
	l.T.Helper()
	return len(l.Entries(l.Weir.Zone(tenant)))
}
