package test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"weir/conntrack"
	"weir/test/ovstest"
)

// TestConnectionsWithAPortOfZeroEndAlone has connections that policy takes back, with a port of zero, beside
// others that differ in it alone, and stay: to Open vSwitch zero stands for any. The userspace datapath calls a
// port of zero invalid.
func TestConnectionsWithAPortOfZeroEndAlone(t *testing.T) {
	l := newLab(t, 2, labModel("zone: 5, allowDisruption: true", portZeroPolicy("any", "")))
	l.endPortZero(l.Kernel())
}

// TestConnectionsWithAPortOfZeroAreHeldWhereTheKernelIsNotAsked does the same to a daemon that may not ask
// the kernel: Open vSwitch would remove the others as well.
func TestConnectionsWithAPortOfZeroAreHeldWhereTheKernelIsNotAsked(t *testing.T) {
	if os.Getenv("WEIR_DATAPATH") != conntrack.Kernel {
		t.Skip("skipped: the userspace datapath tracks no port of zero (test/uml/integration.sh runs it on the kernel's)")
	}
	l := idleLab(t, 2)
	l.Without = "net_admin"
	l.Run(labModel("zone: 5, allowDisruption: true", portZeroPolicy("any", "")))
	l.endPortZero(false)
}

// portZeroPolicy lets in pings, and UDP and TCP to some ports.
func portZeroPolicy(name, ports string) string {
	return policy("t", "p", fmt.Sprintf("{name: %s-udp, direction: ingress, action: allow, protocol: udp%s}", name, ports),
		fmt.Sprintf("{name: %s-tcp, direction: ingress, action: allow, protocol: tcp%s}", name, ports))
}

// byPort returns the connections in zone 5 by their destinations, as protocols and ids, in order.
func (l *lab) byPort() map[uint16][]string {
	all := map[uint16][]string{}
	for _, e := range l.Entries(5) {
		all[e.Orig.DstPort] = append(all[e.Orig.DstPort], fmt.Sprint(e.Protocol, " ", e.ID))
	}
	for _, some := range all {
		slices.Sort(some)
	}
	return all
}

// endPortZero takes back what is for port 0, and for port 55.
func (l *lab) endPortZero(alone bool) {
	l.T.Helper()
	for _, port := range []uint16{0, 54, 55} {
		l.send(udp(1, 2, 1000, layers.UDPPort(port)))
		l.send(tcp(1, 2, 1000, layers.TCPPort(port), "S"))
	}
	before := l.byPort()
	l.Weir.Apply(labModel("zone: 5, allowDisruption: true", portZeroPolicy("some", ", ports: [54]")))
	ovstest.Eventually(l.T, "what is for port 55 has ended", func() error {
		if now := l.byPort(); len(now[55]) > 0 || alone && len(now[0]) > 0 {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	now := l.byPort()
	if !slices.Equal(now[54], before[54]) || len(now[54]) != 2 {
		l.T.Errorf("to port 54 there were %v, and are %v", before[54], now[54])
	}
	if held := l.Kernel() && !alone; (len(now[0]) == 2) != held {
		l.T.Errorf("to port 0 there were %v, and are %v", before[0], now[0])
	}
}
