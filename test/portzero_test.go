package test

import (
	"fmt"
	"net"
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

// TestADrainedBackendsPortOfZeroEndsAlone gives the backend weight 0 that has a connection from port 0, among others: when
// its time is over none of the other backend's has gone with it, and if it cannot end alone it is left.
func TestADrainedBackendsPortOfZeroEndsAlone(t *testing.T) {
	if os.Getenv("WEIR_DATAPATH") != conntrack.Kernel {
		t.Skip("skipped: the userspace datapath tracks no port of zero (test/uml/integration.sh runs it on the kernel's)")
	}
	for name, without := range map[string]string{"by netlink": "", "left": "net_admin"} {
		t.Run(name, func(t *testing.T) {
			n := ovstest.New(t)
			n.Without = without
			h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1")
			for i := 2; i <= 4; i++ {
				n.Host(fmt.Sprintf("h%d", i), mac(i), []string{fmt.Sprintf("10.2.1.%d/24", 10+i)}, "10.2.1.1")
			}
			n.Run(drainsZero(1, 1))
			vip, err := net.ParseMAC(routerMAC(t, h1, "10.1.1.64"))
			if err != nil {
				t.Fatal(err)
			}
			w := wire(t, h1)
			for i, port := range []layers.UDPPort{0, 1000, 1001, 1002, 1003, 1004, 1005, 1006} {
				if err := w.Send(udp(1, 2, port, 53).between("10.1.1.11", "10.1.1.64", vip).frame(t, uint16(i+1))); err != nil {
					t.Fatal(err)
				}
			}
			var zero string
			before := map[string][]uint16{}
			ovstest.Eventually(t, "eight connections", func() error {
				if before, zero = byBackend(n); len(before["10.2.1.12"])+len(before["10.2.1.13"]) != 8 || zero == "" {
					return fmt.Errorf("%v", before)
				}
				return nil
			})
			other, left := map[string]string{"10.2.1.12": "10.2.1.13", "10.2.1.13": "10.2.1.12"}[zero], 0
			if n.Weir.Apply(drainsZero(map[bool]int{true: 0, false: 1}[zero == "10.2.1.12"], map[bool]int{true: 0, false: 1}[zero == "10.2.1.13"])); without != "" {
				left = 1
			}
			ovstest.Eventually(t, "the drained backend's have ended", func() error {
				if now, _ := byBackend(n); len(now[zero]) != left {
					return fmt.Errorf("%v; want %d of %s", now, left, zero)
				}
				return nil
			})
			if now, _ := byBackend(n); !slices.Equal(now[other], before[other]) || len(now[other]) == 0 {
				t.Errorf("the other backend had %v, and has %v", before[other], now[other])
			}
		})
	}
}

// drainsZero is a model of two backends of UDP, with weights and a second to drain.
func drainsZero(w2, w3 int) string {
	return balancedModel(policy("t", "dns", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}"),
		balancer("dns", fmt.Sprintf("address: 10.1.1.64, ports: [{port: 53, protocol: udp}], backends: [{endpoint: h2, weight: %d}, {endpoint: h3, weight: %d}], drain: {timeout: 1s}", w2, w3)))
}

// byBackend returns the ports from which connections to the load balancer come, in order, by their backends, and who has
// that from port 0.
func byBackend(n *ovstest.Net) (all map[string][]uint16, zero string) {
	all = map[string][]uint16{}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Protocol != conntrack.UDP || e.Orig.DstPort != 53 {
			continue
		}
		to := e.Reply.Src.String()
		if all[to] = append(all[to], e.Orig.SrcPort); e.Orig.SrcPort == 0 {
			zero = to
		}
	}
	for _, some := range all {
		slices.Sort(some)
	}
	return all, zero
}
