package test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
	"weir/ofproto"
	"weir/quirk"
)

// A sent packet, and whether it is to arrive.
type sent struct {
	name    string
	packet  packet
	arrives bool
}

// deliver sends packets one after the other.
func (l *lab) deliver(all []sent) {
	l.T.Helper()
	for _, s := range all {
		if got := l.send(s.packet); got != s.arrives {
			l.T.Errorf("%s (%v): arrives: %v, want %v", s.name, s.packet, got, s.arrives)
		}
	}
}

// TestProtocols sends packets of protocols that have no host in this test, to rules for them.
func TestProtocols(t *testing.T) {
	for name, six := range map[string]bool{"over IPv4": false, "over IPv6": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 2, labModel("", forH2(
				"{name: diameter, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: sctp, ports: [3868]}",
				"{name: dccp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: dccp}",
				"{name: gre, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: gre}",
				"{name: ospf, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: 89}",
				"{name: ping, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmp, types: [echo-request]}",
				"{name: ping6, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmpv6, types: [echo-request]}")))
			l.deliver(protocolsOf(six, l.Has(quirk.SCTPPorts)))
			for _, c := range l.Weir.Connections("t") {
				t.Logf("%-7s %s -> %s:%d %s", c.Protocol, c.Orig.Src, c.Orig.Dst, c.Orig.Dport, c.Ingress)
			}
		})
	}
}

func protocolsOf(six, portless bool) []sent {
	v := func(p packet) packet { p.six = six; return p }
	ospf := []byte{2, 1, 0, 24, 1, 1, 1, 1, 0, 0, 0, 0, 0xfa, 0xe5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	all := []sent{
		{"SCTP to another port", v(sctp(1, 2, 1000, 3869)), false},
		{"SCTP to its port", v(sctp(1, 2, 1000, 3868)), true},
		{"SCTP the other way", v(sctp(2, 1, 1001, 3868)), portless}, // one connection for each pair of hosts
		{"SCTP to another port, after that", v(sctp(1, 2, 1000, 3869)), portless},
		{"DCCP", v(dccp(1, 2, 1000, 5001, six)), true},
		{"GRE", v(raw(1, 2, layers.IPProtocolGRE, 0, 0, 0x08, 0, 0x45, 0, 0, 0)), true},
		{"OSPF, by its number", v(raw(1, 2, layers.IPProtocolOSPF, ospf...)), true},
		{"a protocol that nobody allows", v(raw(1, 2, 99, 1, 2, 3, 4)), false},
		{"TCP, which nobody allows", v(tcp(1, 2, 1000, 80, "S")), false},
	}
	if six {
		return append(all, sent{"a type of ICMPv6", icmp6(1, 2, 128, 0, nil), true}, sent{"another type", icmp6(1, 2, 139, 0, nil), false})
	}
	return append(all, sent{"a type of ICMP", icmp(1, 2, 8, 0, nil), true}, sent{"another type", icmp(1, 2, 13, 0, make([]byte, 12)), false})
}

// sctp is an INIT.
func sctp(from, to int, sport, dport layers.SCTPPort) packet {
	return packet{from: from, to: to, proto: layers.IPProtocolSCTP, rest: []gopacket.SerializableLayer{&layers.SCTP{SrcPort: sport, DstPort: dport},
		&layers.SCTPInit{SCTPChunk: layers.SCTPChunk{Type: layers.SCTPChunkTypeInit, Length: 20}, InitiateTag: 1, AdvertisedReceiverWindowCredit: 1500, OutboundStreams: 1, InboundStreams: 1, InitialTSN: 1}}}
}

const protocolDCCP layers.IPProtocol = 33

// dccp is a DCCP-Request (RFC 4340, 5.1).
func dccp(from, to int, sport, dport uint16, six bool) packet {
	b := binary.BigEndian.AppendUint16(nil, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = append(b, 5, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0) // five words, request, long sequence numbers, number 1
	b = append(b, 0, 0, 0, 7)                                        // service
	b[4] = 6
	sum := checksum(append(pseudoHeader(from, to, len(b), six), b...))
	binary.BigEndian.PutUint16(b[6:], sum)
	return raw(from, to, protocolDCCP, b...)
}

// pseudoHeader is what the checksum of a transport covers of IP.
func pseudoHeader(from, to, length int, six bool) []byte {
	b := append(append([]byte(nil), address("", from, six)...), address("", to, six)...)
	return binary.BigEndian.AppendUint16(append(b, 0, byte(protocolDCCP)), uint16(length))
}

// checksum is that of the internet (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// TestWhoIsAskedFirst sends what one tier leaves to the next, and what policies of one tier
// disagree about.
func TestWhoIsAskedFirst(t *testing.T) {
	l := newLab(t, 2, labModel("",
		object("Policy", "name: site, tenant: t", `tier: admin, rules: [
  {name: operators, direction: ingress, action: pass, from: {endpoints: [h1]}, protocol: tcp, ports: ["1000-1009"]},
  {name: closed, direction: ingress, action: deny, protocol: tcp, ports: ["1000-1999"]}]`),
		object("Policy", "name: first, tenant: t", `priority: 200, rules: [{name: not-this, direction: ingress, action: deny, protocol: tcp, ports: [1005]}]`),
		object("Policy", "name: second, tenant: t", `priority: 100, rules: [
  {name: these, direction: ingress, action: allow, protocol: tcp, ports: ["1000-1999"]},
  {name: leave, direction: ingress, action: pass, protocol: tcp, ports: [3001]},
  {name: those, direction: ingress, action: allow, protocol: tcp, ports: [3001]}]`),
		object("Policy", "name: base, tenant: t", `tier: baseline, rules: [{name: all, direction: ingress, action: allow, protocol: tcp, ports: [3000]}]`)))
	l.deliver([]sent{
		{"passed by the admin tier, allowed by the application's", tcp(1, 2, 100, 1000, "S"), true},
		{"passed by the admin tier, denied by the policy with the higher priority", tcp(1, 2, 100, 1005, "S"), false},
		{"not passed by the admin tier, from somebody else", tcp(2, 1, 100, 1000, "S"), false},
		{"denied by the admin tier", tcp(1, 2, 100, 1010, "S"), false},
		{"decided by nobody", tcp(1, 2, 100, 2000, "S"), false},
		{"allowed by the baseline", tcp(1, 2, 100, 3000, "S"), true},
		{"passed by a rule in front of one of the same tier", tcp(1, 2, 100, 3001, "S"), false},
		{"allowed by the baseline, over IPv6", tcp(1, 2, 100, 3000, "S").over6(), true},
		{"denied by the admin tier, over IPv6", tcp(1, 2, 100, 1010, "S").over6(), false},
	})
}

// TestRolesOnTheWire sends what only routers, DHCP servers and trusted ports may send: h2 is a
// router and a DHCP server, h3 is trusted.
func TestRolesOnTheWire(t *testing.T) {
	broadcast, allNodes := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
	l := newLab(t, 3, bridge+labTenant("t", "")+labEndpoint("t", 1, "")+labEndpoint("t", 2, ", roles: [dhcpServer, router]")+labEndpoint("t", 3, ", trusted: true")+
		policy("t", "p", "{name: strangers, direction: ingress, action: allow, from: {cidrs: [10.1.1.77/32]}, protocol: udp}"))
	advertisement := func(from, to int, src string) packet {
		return icmp6(from, to, 134, 0, make([]byte, 8)).between(src, "ff02::1", allNodes)
	}
	offer := func(from, to int, src string) packet {
		return udp(from, to, 67, 68).between(src, "255.255.255.255", broadcast)
	}
	l.deliver([]sent{
		{"the router advertises", advertisement(2, 1, "fe80::ff:fe00:2"), true},
		{"it does so from its link-local address only", advertisement(2, 1, "fd00:1::2"), false},
		{"nobody else does", advertisement(1, 2, "fe80::ff:fe00:1"), false},
		{"nor does a trusted port", advertisement(3, 1, "fe80::ff:fe00:3"), false},
		{"the DHCP server offers", offer(2, 1, "10.1.1.2"), true},
		{"it does so from its own address only", offer(2, 1, "10.1.1.9"), false},
		{"nobody else does", offer(1, 2, "10.1.1.1"), false},
		{"a client asks", udp(1, 2, 68, 67).between("0.0.0.0", "255.255.255.255", broadcast), true},
		{"a trusted port sends from an address that is not its own", udp(3, 2, 1000, 2000).between("10.1.1.77", "", nil), true},
		{"and is judged like any other", udp(3, 2, 1000, 2000).between("10.1.1.78", "", nil), false},
		{"nobody else does", udp(1, 2, 1000, 2000).between("10.1.1.77", "", nil), false},
	})
}

// TestModesOnTheWire sends what policy denies through tenants that are enforced, audited, and
// off.
func TestModesOnTheWire(t *testing.T) {
	for mode, c := range map[string]struct {
		arrives bool
		entries int
	}{"enforce": {false, 0}, "audit": {true, 1}, "off": {true, 0}} {
		t.Run(mode, func(t *testing.T) {
			l := newLab(t, 2, labModel("mode: "+mode, forH2("{name: no, direction: ingress, action: deny}")))
			l.deliver([]sent{{"denied by a rule", udp(1, 2, 1000, 2000), c.arrives}, {"the same again", udp(1, 2, 1000, 2000), c.arrives}})
			if got := l.entries("t"); got != c.entries {
				t.Errorf("%d entries, want %d", got, c.entries)
			}
			audited := l.Packets(func(f ofproto.Flow) bool {
				return f.Table == pipeline.PolMiss && f.Priority == 200 && strings.Contains(f.Match.String(), fmt.Sprintf("reg11=%#x", uint32(pipeline.DeniedByRule)))
			})
			if want := map[string]uint64{"audit": 1}[mode]; audited != want {
				t.Errorf("%d packets are counted as ones that would have been dropped, want %d", audited, want)
			}
		})
	}
}
