package test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// natForms are all that nat can be told to do, as ovs-ofctl writes them.
var natForms = []string{
	"nat(src=10.0.0.240),alg=ftp",
	"nat(src=10.0.0.240:32768-65535,random)",
	"nat(src=10.0.0.240-10.0.0.243)",
	"nat(src=10.0.0.240-10.0.0.243,hash)",
	"nat(src=10.0.0.240-10.0.0.243:1024-65535,persistent)",
	"nat(dst=10.0.0.130)",
	"nat(dst=10.0.0.130:8003)",
	"nat(dst=10.0.0.128-10.0.0.191,hash)",
	"nat(dst=10.0.0.144-10.0.0.158:8000-8010,persistent)",
	"nat(dst=10.0.0.144-10.0.0.158:8000-8010,random)",
	"nat(src=fd00::f0),alg=ftp",
	"nat(src=[fd00::f0]:32768-65535,random)",
	"nat(src=fd00::f0-fd00::f3)",
	"nat(src=[fd00::f0]-[fd00::f3]:1024-65535,persistent)",
	"nat(dst=[fd00::90]:8003)",
	"nat(dst=fd00::80-fd00::bf,hash)",
	"nat(dst=[fd00::90]-[fd00::9e]:8000-8010,persistent)",
}

// TestEachFormOfNATTranslatesRealConnections has a bridge without a daemon translate what a
// client opens, by each form of nat in turn: the tracker has an address and a port of it, and the
// connections work.
func TestEachFormOfNATTranslatesRealConnections(t *testing.T) {
	n := ovstest.New(t)
	client := translatedPair(t, n)
	for i, form := range natForms {
		t.Run(form, func(t *testing.T) {
			zone := uint16(100 + i)
			nat, ftp := translateAll(t, n, zone, form)
			target := map[bool]string{true: "10.0.0.2", false: "fd00::2"}[nat.AddrMin.Is4()]
			port := uint16(8000 + i%10) // a source that comes again must not meet the server's last words to a form before
			if nat.Dst {
				port = 8000
				target = map[bool]string{true: "10.0.1.1", false: "fd00:1::1"}[nat.AddrMin.Is4()]
			}
			ours := map[uint16]bool{} // beside the last words of connections before
			for range 16 {
				c := opened(t, client, net.JoinHostPort(target, fmt.Sprint(port)))
				ours[c.LocalAddr().(*net.TCPAddr).AddrPort().Port()] = true
			}
			judgeTranslations(t, n, zone, nat, port, ours)
			if ftp {
				downloadsBothWays(t, client, target)
				wantHelped(t, n.Entries(zone), nat)
			}
		})
	}
}

// translatedPair are two hosts: the client is behind what sources become, and the server is all
// that destinations become.
func translatedPair(t *testing.T, n *ovstest.Net) (client *sandbox.Host) {
	t.Helper()
	client, server := translatedHosts(t, n)
	for port := 8000; port <= 8010; port++ {
		echo(t, server, fmt.Sprint(":", port))
	}
	serveFTP(t, server, "10.0.0.2")
	serveFTP(t, server, "fd00::2")
	return client
}

// translatedHosts are these, and nobody listens.
func translatedHosts(t *testing.T, n *ovstest.Net) (client, server *sandbox.Host) {
	t.Helper()
	client = n.Host("client", mac(1), []string{"10.0.0.1/24", "fd00::1/64"})
	server = n.Host("server", mac(2), []string{"10.0.0.2/24", "fd00::2/64"})
	for _, route := range []struct {
		at *sandbox.Host
		to string
	}{
		{client, "10.0.1.0/24 via 10.0.0.2"}, {client, "fd00:1::/64 via fd00::2"},
		{server, "10.0.0.240/28 via 10.0.0.1"}, {server, "fd00::f0/124 via fd00::1"},
		{server, "local 10.0.0.128/26 dev lo"}, {server, "local fd00::80/122 dev lo"},
	} {
		if _, err := route.at.Exec(t.Context(), "ip", append([]string{"route", "add"}, strings.Fields(route.to)...)...); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// translateAll has the bridge do what a form says with all that the client opens.
func translateAll(t *testing.T, n *ovstest.Net, zone uint16, form string) (nat ofproto.NAT, ftp bool) {
	t.Helper()
	commit := fmt.Sprintf("ct(commit,zone=%d,%s)", zone, form)
	actions, err := ofproto.ParseActions(commit)
	if err != nil {
		t.Fatal(err)
	}
	ct := actions[0].(ofproto.ConnTrack)
	tcp := map[bool]string{true: "tcp,nw_src=10.0.0.1", false: "tcp6,ipv6_src=fd00::1"}[ct.NAT.AddrMin.Is4()]
	c := n.Session()
	for _, flow := range []string{
		"priority=0,actions=NORMAL",
		fmt.Sprintf("priority=10,tcp,actions=ct(table=1,zone=%d,nat)", zone), fmt.Sprintf("priority=10,tcp6,actions=ct(table=1,zone=%d,nat)", zone),
		"table=1,priority=1,ct_state=+trk-new,actions=NORMAL",
		"table=1,priority=2," + tcp + ",ct_state=+trk+new-rel,actions=" + commit + ",NORMAL",
		fmt.Sprintf("table=1,priority=2,tcp,ct_state=+trk+new+rel,actions=ct(commit,zone=%d,nat),NORMAL", zone),
		fmt.Sprintf("table=1,priority=2,tcp6,ct_state=+trk+new+rel,actions=ct(commit,zone=%d,nat),NORMAL", zone),
	} {
		mod, err := ofproto.ParseFlowMod(ofproto.FlowAdd, flow)
		if err != nil {
			t.Fatalf("%s: %v", flow, err)
		}
		if err := c.Do(t.Context(), mod); err != nil {
			t.Fatalf("%s: %v", flow, err)
		}
	}
	if _, err := n.Appctl("revalidator/wait"); err != nil { // the datapath goes by what it knew for a moment
		t.Fatal(err)
	}
	return *ct.NAT, ct.ALG != 0
}

// downloadsBothWays has the data connections of FTP translated that either end opens.
func downloadsBothWays(t *testing.T, client *sandbox.Host, address string) {
	t.Helper()
	ways := []string{"PASV", "PORT"}
	if strings.Contains(address, ":") {
		ways = []string{"EPSV", "EPRT"}
	}
	for _, way := range ways {
		if got, err := download(t, client, way, address); err != nil || got != theFile {
			t.Errorf("%s: %q, %v", way, got, err)
		}
	}
}

// judgeTranslations looks at what the tracker has made of the connections to a port in a zone. The kernel's
// draws a source port where a form says hash, whether it names ports or not.
func judgeTranslations(t *testing.T, n *ovstest.Net, zone uint16, nat ofproto.NAT, to uint16, ours map[uint16]bool) {
	t.Helper()
	addresses, ports, opened := map[netip.Addr]int{}, map[uint16]int{}, 0
	for _, e := range n.Entries(zone) {
		if e.Orig.DstPort != to || !ours[e.Orig.SrcPort] {
			continue
		}
		opened++
		address, port, was := e.Reply.Src, e.Reply.SrcPort, e.Orig.DstPort
		if nat.Src {
			address, port, was = e.Reply.Dst, e.Reply.DstPort, e.Orig.SrcPort
		}
		addresses[address]++
		ports[port]++
		if nat.Src && nat.Hash && n.Kernel() {
			was = port
		}
		if !translatedTo(nat, address, port, was) {
			t.Errorf("%+v becomes %v:%d", e.Orig, address, port)
		}
	}
	t.Logf("%d connections have %d addresses and %d ports", opened, len(addresses), len(ports))
	if opened != 16 {
		t.Errorf("%d connections, want 16", opened)
	}
	if nat.Persistent && n.Kernel() && len(addresses) != 1 {
		t.Errorf("the connections of one client have become %v", addresses)
	}
}

// translatedTo reports whether an address and a port are of a form; a port that it does not name is
// what it was.
func translatedTo(nat ofproto.NAT, address netip.Addr, port, was uint16) bool {
	last, low, high := nat.AddrMin, nat.PortMin, max(nat.PortMin, nat.PortMax)
	if nat.AddrMax.IsValid() {
		last = nat.AddrMax
	}
	if low == 0 {
		low, high = was, was
	}
	return !address.Less(nat.AddrMin) && !last.Less(address) && port >= low && port <= high
}

// wantHelped wants the helper on the control connections, and what they have announced
// translated: one that the client has opened, and one to it.
func wantHelped(t *testing.T, all []conntrack.Entry, nat ofproto.NAT) {
	t.Helper()
	helped, passive, active := 0, 0, 0
	for _, e := range all {
		switch {
		case e.Orig.DstPort == 21 && e.Helper == "ftp":
			helped++
		case e.Orig.DstPort == 21 || e.Orig.DstPort == 8000:
		case e.Orig.Dst == nat.AddrMin:
			active++
		case e.Reply.Dst == nat.AddrMin:
			passive++
		}
	}
	if helped != 2 || passive != 1 || active != 1 {
		t.Errorf("%d connections have a helper, %d were opened passively and %d actively, want 2, 1 and 1: %+v", helped, passive, active, all)
	}
}
