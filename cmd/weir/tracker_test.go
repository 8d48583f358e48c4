package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/conntrack"
	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// TestATupleFlushEndsOneConnection has a real tracker forget connections of four kinds one by
// one. Each flush takes its connection and no other; those of ICMPv6, a flush of which kills
// ovs-vswitchd 3.1.0, lie between them and stay.
func TestATupleFlushEndsOneConnection(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	must := func(_ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(box.Vsctl("add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1", "--", "add-port", "br", "p2"))
	flows := filepath.Join(t.TempDir(), "flows")
	must("", os.WriteFile(flows, []byte("ip,actions=ct(commit,zone=5),ct(commit,zone=6),output:2\nipv6,actions=ct(commit,zone=5),ct(commit,zone=6),output:2\n"), 0o600))
	must(box.Ofctl("add-flows", "br", flows))
	v4 := "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=%,tos=0,ttl=64,frag=no),"
	v6 := "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x86dd),ipv6(src=fc00::1,dst=fc00::2,label=0,proto=%,tclass=0,hlimit=64,frag=no),"
	for _, p := range [][3]string{
		{v4, "6", "tcp(src=1000,dst=80),tcp_flags(syn)"}, {v4, "17", "udp(src=1000,dst=80)"}, {v4, "1", "icmp(type=8,code=0)"}, {v4, "47", ""},
		{v6, "6", "tcp(src=1000,dst=80),tcp_flags(syn)"}, {v6, "17", "udp(src=1000,dst=80)"}, {v6, "47", ""},
		{v6, "58", "icmpv6(type=128,code=0)"},
	} {
		must(box.Appctl("netdev-dummy/receive", "p1", strings.TrimSuffix(strings.Replace(p[0], "%", p[1], 1)+p[2], ",")))
	}
	must(box.Appctl("revalidator/wait"))

	conn, err := ofconn.Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), ofconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := &desk{tracker: conntrack.NewUnixctl(box.RunDir())}
	in := func(zone uint16) (all []string) {
		t.Helper()
		connections, err := d.trackedIn(t.Context(), zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range connections {
			all = append(all, c.String())
		}
		slices.Sort(all)
		return all
	}
	left, other := in(5), in(6)
	if len(left) != 8 {
		t.Fatalf("%d connections: %v", len(left), left)
	}
	connections, err := d.trackedIn(t.Context(), 5)
	must("", err)
	for _, c := range connections {
		if c.Protocol == 58 {
			continue
		}
		must("", conn.FlushConnections(t.Context(), []ofproto.CTFlush{c.Flush()}))
		left = slices.DeleteFunc(left, func(s string) bool { return s == c.String() })
		if got := in(5); !slices.Equal(got, left) {
			t.Errorf("after the flush of %v there are %v, want %v", c, got, left)
		}
	}
	if got := in(6); !slices.Equal(got, other) {
		t.Errorf("another zone had %v, has %v", other, got)
	}
}
