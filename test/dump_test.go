package test

import (
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"weir/conntrack"
)

// TestADumpIsReadToTheLastCharacter has connections of all protocols, in several states and with
// a helper, and reads what Open vSwitch says of each: written again it is the same line.
func TestADumpIsReadToTheLastCharacter(t *testing.T) {
	for name, six := range map[string]bool{"over IPv4": false, "over IPv6": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 4, twoZones())
			v := func(p packet) packet { p.six = six; return p }
			for _, s := range protocolsOf(six, l.Kernel()) {
				l.send(s.packet)
			}
			l.send(v(tcp(1, 2, 1001, 21, "S"))) // with a helper
			for sport, said := range map[uint16]string{1002: "SA", 1003: "SA A", 1004: "SA A FA", 1005: "SA A FA A", 1006: "SA A R", 1007: "SA A FA FA A"} {
				l.exchange(v, sport, strings.Fields(said))
			}
			l.send(v(udp(1, 2, 2000, 53)))
			l.send(v(udp(2, 1, 53, 2000)))
			l.send(v(udp(3, 4, 2000, 53)))
			for _, p := range []packet{v(sctp(1, 2, 1010, 3868)), icmp(1, 2, 8, 0, nil), icmp6(1, 2, 128, 0, nil)} { // whose time is over soon
				l.send(p)
			}
			text, err := l.Appctl("dpctl/dump-conntrack", "-m", "-s")
			if err != nil {
				t.Fatal(err)
			}
			kinds := map[conntrack.Protocol]int{}
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				e, err := conntrack.ParseEntry(line)
				if err != nil || e.Text() != line || e.Other != "" {
					t.Errorf("%v\nread    %s\nwritten %v", err, line, e.Text())
				}
				kinds[e.Protocol]++
				t.Log(line)
			}
			if kinds[conntrack.TCP] < 7 || kinds[conntrack.UDP] < 2 || kinds[conntrack.SCTP] < 1 || kinds[conntrack.DCCP] < 1 || kinds[47] < 1 || kinds[89] < 1 || kinds[conntrack.ICMP] < 1 || kinds[conntrack.ICMPv6] < 1 {
				t.Errorf("there are %v", kinds)
			}
		})
	}
}

// exchange opens a connection of TCP from h1 to h2, and says some more: the answers and what is said
// to them in turn.
func (l *lab) exchange(v func(packet) packet, sport uint16, flags []string) {
	l.T.Helper()
	client, server := layers.TCPPort(sport), layers.TCPPort(80)
	l.send(v(tcp(1, 2, client, server, "S")))
	for i, f := range flags {
		if i%2 == 0 {
			l.send(v(tcp(2, 1, server, client, f)))
		} else {
			l.send(v(tcp(1, 2, client, server, f)))
		}
	}
}
