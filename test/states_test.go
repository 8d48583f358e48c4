package test

import (
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"weir/apps/pipeline"
)

// The flows of CT_STATE, by their priorities.
const (
	noFlow       = 0 // not looked up at all
	oneWayFlow   = 395
	relatedFlow  = 390
	invalidFlow  = 350
	newTCPFlow   = 310 // strictTCP: begins with a SYN
	otherTCPFlow = 305 // strictTCP: does not
)

// A step is one packet, and what becomes of it: the flow of CT_STATE that it takes, whether
// it arrives, and how many connections there are then.
type step struct {
	state   string // as the tracker calls it
	packet  packet
	flow    uint16
	arrives bool
	entries int
}

// play sends packets one after the other.
func (l *lab) play(steps []step) {
	l.T.Helper()
	for i, s := range steps {
		got := s
		got.arrives = l.send(s.packet)
		got.flow, got.entries = l.stateHit(), l.entries("t")
		l.T.Logf("%2d  %-11s %-40v flow %3d, arrives: %-5v %d entries", i+1, s.state, s.packet, got.flow, got.arrives, got.entries)
		if got.flow != s.flow || got.arrives != s.arrives || got.entries != s.entries {
			l.T.Errorf("packet %d, %s, %v: takes flow %d, arrives: %v, %d entries; want flow %d, %v, %d", i+1, s.state, s.packet,
				got.flow, got.arrives, got.entries, s.flow, s.arrives, s.entries)
		}
	}
}

// insideOutside lets h1, inside, open connections to h2, and h2 none: the firewall with which
// connection tracking in Open vSwitch is mostly explained. DNS is not tracked.
func insideOutside() string {
	return labModel("defaults: {egress: deny}",
		object("Policy", "name: inside, tenant: t", `appliesTo: {endpoints: [h1]}, rules: [
  {name: dns, direction: egress, action: stateless, to: {endpoints: [h2]}, protocol: udp, ports: [53]},
  {name: out, direction: egress, action: allow}]`),
		object("Policy", "name: outside, tenant: t", `appliesTo: {endpoints: [h2]}, rules: [
  {name: dns, direction: ingress, action: stateless, from: {endpoints: [h1]}, protocol: udp, ports: [53]},
  {name: in, direction: ingress, action: allow, from: {endpoints: [h1]}}]`))
}

// TestStatesOfConnections sends a packet in each state that the tracker knows, in both
// directions, over both versions of IP.
func TestStatesOfConnections(t *testing.T) {
	for name, six := range map[string]bool{"over IPv4": false, "over IPv6": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 2, insideOutside())
			if l.passes(1, 2, serialize(t, &layers.Ethernet{SrcMAC: hardware(1), DstMAC: hardware(2), EthernetType: 0x88b5}, gopacket.Payload("neither")), isNeither) {
				t.Error("what is neither IP nor ARP arrives")
			}
			if hit := l.stateHit(); hit != noFlow {
				t.Errorf("what is neither IP nor ARP takes flow %d", hit)
			}
			l.play(statesOf(t, six))
		})
	}
}

func isNeither(f []byte) bool { return len(f) > 14 && f[12] == 0x88 && f[13] == 0xb5 }

func statesOf(t *testing.T, six bool) []step {
	v := func(p packet) packet { p.six = six; return p }
	unreachable := func(from, to int, about packet) packet { return unreachable(t, from, to, about) }
	echo := func(from, to int, answer bool) packet {
		return icmp(from, to, map[bool]uint8{false: 8}[answer], 0, nil)
	}
	if six {
		echo = func(from, to int, answer bool) packet {
			return icmp6(from, to, map[bool]uint8{false: 128, true: 129}[answer], 0, nil)
		}
	}
	return []step{
		{"new", v(udp(2, 1, 999, 1000)), newFlow, false, 0}, // from outside
		{"new", v(tcp(2, 1, 999, 1000, "S")), newFlow, false, 0},
		{"new", v(udp(1, 2, 1000, 2000)), newFlow, true, 1},
		{"new", v(udp(1, 2, 1000, 2000)), oneWayFlow, true, 1}, // again: one-way traffic stays new
		{"related", unreachable(2, 1, v(udp(1, 2, 1000, 2000))), relatedFlow, true, 1},
		{"reply", v(udp(2, 1, 2000, 1000)), establishedFlow, true, 1},
		{"established", v(udp(1, 2, 1000, 2000)), establishedFlow, true, 1},
		{"related", unreachable(2, 1, v(udp(1, 2, 1000, 2000))), relatedFlow, true, 1},
		{"invalid", unreachable(2, 1, v(udp(1, 2, 1001, 2000))), invalidFlow, false, 1},
		{"invalid", v(tcp(2, 1, 2000, 1000, "SA")), invalidFlow, false, 1},
		{"invalid", echo(2, 1, true), invalidFlow, false, 1}, // an answer that nobody has asked for
		{"new", echo(2, 1, false), newFlow, false, 1},
		{"new", echo(1, 2, false), newFlow, true, 2},
		{"reply", echo(2, 1, true), establishedFlow, true, 2},
		{"new", v(tcp(1, 2, 1000, 2000, "S")), newFlow, true, 3},
		{"reply", v(tcp(2, 1, 2000, 1000, "SA").acks(101)), establishedFlow, true, 3},
		{"established", v(tcp(1, 2, 1000, 2000, "A").from101().acks(101)), establishedFlow, true, 3},
		{"untracked", v(udp(1, 2, 1000, 53)), noFlow, true, 3},
		{"untracked", v(udp(2, 1, 53, 1000)), noFlow, true, 3},
		{"new", v(udp(2, 1, 1000, 53)), newFlow, false, 3}, // from outside DNS is not asked for
	}
}

// acks has a TCP segment acknowledge all before a number.
func (p packet) acks(number uint32) packet {
	p.rest[0].(*layers.TCP).Ack = number
	return p
}

// from101 has a TCP segment be the second of its sender, behind a SYN.
func (p packet) from101() packet {
	p.rest[0].(*layers.TCP).Seq = 101
	return p
}

// unreachable says that a port is, about a packet that its receiver has sent.
func unreachable(t *testing.T, from, to int, about packet) packet {
	shown := about.frame(t, 0)[14:] // as an error shows it: from the header of IP
	if !about.six {
		return icmp(from, to, 3, 3, shown)
	}
	p := icmp6(from, to, 1, 4, nil)
	p.rest[1] = gopacket.Payload(append(make([]byte, 4), shown...))
	return p
}

func TestOF05UnsolicitedICMPErrorIsDropped(t *testing.T) {
	l := newLab(t, 2, labModel("", forH2("{name: icmp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: icmp}",
		"{name: udp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: udp}")))
	before := l.dropped(pipeline.InvalidState)
	if l.send(unreachable(t, 1, 2, udp(2, 1, 7, 8))) {
		t.Error("h2 hears of a connection that there is not")
	}
	if n := l.dropped(pipeline.InvalidState) - before; n != 1 {
		t.Errorf("%d packets are counted as invalid, want 1", n)
	}
	if l.entries("t") != 0 {
		t.Error("it has left an entry")
	}
}

// A fresh segment is the first of a connection that the tracker sees, and the flow of CT_STATE
// that it takes on each datapath.
type freshSegment struct {
	flags             string
	damaged           bool // its checksum is wrong
	userspace, kernel fresh
}

type fresh struct{ strict, loose uint16 } // with and without strictTCP

var freshSegments = []freshSegment{
	{"A", false, fresh{otherTCPFlow, newFlow}, fresh{otherTCPFlow, newFlow}},
	{"FA", false, fresh{otherTCPFlow, newFlow}, fresh{invalidFlow, invalidFlow}},
	{"R", false, fresh{otherTCPFlow, newFlow}, fresh{invalidFlow, invalidFlow}},
	{"SA", false, fresh{invalidFlow, invalidFlow}, fresh{invalidFlow, invalidFlow}},
	{"S", true, fresh{invalidFlow, invalidFlow}, fresh{invalidFlow, invalidFlow}},
}

// TestOF06TCPThatDoesNotBeginWithSYN has h1 and h2 in a tenant with strictTCP, h3 and h4 in
// one without. The kernel's tracker picks up less: only what acknowledges, not what ends.
func TestOF06TCPThatDoesNotBeginWithSYN(t *testing.T) {
	web := "{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80]}"
	l := newLab(t, 4, labModel("defaults: {strictTCP: true}", policy("t", "p", web),
		labTenant("u", ""), labEndpoint("u", 3, ""), labEndpoint("u", 4, ""), policy("u", "p", web)))
	l.stateHit()
	for i, s := range freshSegments {
		want := s.userspace
		if l.Kernel() {
			want = s.kernel
		}
		port := layers.TCPPort(5555 + i)
		l.begins(tcp(1, 2, port, 80, s.flags), s.damaged, want.strict, "t")
		l.begins(tcp(3, 4, port, 80, s.flags), s.damaged, want.loose, "u")
	}
	if l.begins(tcp(1, 2, 5554, 80, "S"), false, newTCPFlow, "t"); l.entries("t") != 1 {
		t.Error("a connection that begins with a SYN has no entry")
	}
}

// begins sends a segment that begins a connection, and wants it to take a flow of CT_STATE:
// to arrive, and to leave an entry, if it is new.
func (l *lab) begins(p packet, damaged bool, flow uint16, tenant string) {
	l.T.Helper()
	before := l.entries(tenant)
	l.serial++
	frame := p.frame(l.T, l.serial)
	if damaged {
		frame[50] ^= 0xff // of TCP's checksum
	}
	arrived := l.passes(p.from, p.to, frame, carries(l.serial))
	hit, left := l.stateHit(), l.entries(tenant)-before
	picked := flow == newFlow || flow == newTCPFlow
	if hit != flow || arrived != picked || left != map[bool]int{true: 1}[picked] {
		l.T.Errorf("tenant %s, %+v: takes flow %d, arrives: %v, leaves %d entries; want flow %d", tenant, p.rest[0], hit, arrived, left, flow)
	}
}
