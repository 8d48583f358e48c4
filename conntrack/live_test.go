package conntrack

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/internal/sandbox/sandboxtest"
)

// TestEntriesAreThoseOfTheDatapath sends packets of five protocols through a real tracker and
// reads what becomes of them, zone by zone.
func TestEntriesAreThoseOfTheDatapath(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	must := func(_ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(box.Vsctl("add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1", "--", "add-port", "br", "p2"))
	flows := filepath.Join(t.TempDir(), "flows")
	must("", os.WriteFile(flows, []byte(
		"ip,actions=ct(commit,zone=5,exec(load:0x8005->NXM_NX_CT_MARK[0..15],load:7->NXM_NX_CT_LABEL[32..63])),output:2\n"+
			"ipv6,actions=ct(commit,zone=6),output:2\n"), 0o600))
	must(box.Ofctl("add-flows", "br", flows))
	v4 := "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=%,tos=0,ttl=64,frag=no),"
	v6 := "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x86dd),ipv6(src=fc00::1,dst=fc00::2,label=0,proto=%,tclass=0,hlimit=64,frag=no),"
	for _, p := range [][3]string{
		{v4, "6", "tcp(src=1000,dst=80),tcp_flags(syn)"}, {v4, "17", "udp(src=1000,dst=53)"}, {v4, "1", "icmp(type=8,code=0)"},
		{v6, "17", "udp(src=1000,dst=53)"}, {v6, "58", "icmpv6(type=128,code=0)"},
	} {
		must(box.Appctl("netdev-dummy/receive", "p1", strings.Replace(p[0], "%", p[1], 1)+p[2]))
	}
	must(box.Appctl("revalidator/wait"))
	for zone, want := range map[uint16][]string{5: {"icmp", "tcp", "udp"}, 6: {"icmpv6", "udp"}} {
		var got []string
		for e, err := range NewUnixctl(box.RunDir()).Entries(t.Context(), Filter{Zone: zone}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Protocol.String())
			if e.Zone != zone || e.Reply.Src != e.Orig.Dst || e.Timeout == 0 {
				t.Errorf("%+v", e)
			}
			if zone == 5 && (e.Mark != 0x8005 || e.Label.String() != "0x700000000") {
				t.Errorf("mark %#x, label %v", e.Mark, e.Label)
			}
			if e.Protocol == TCP && (e.State != SynSent || e.Orig.DstPort != 80) {
				t.Errorf("%+v", e)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("zone %d has %v, want %v", zone, got, want)
		}
	}
}

// TestOneOfSeveralDatapathsIsRead has connections in one of two datapaths, and reads each by its name.
func TestOneOfSeveralDatapathsIsRead(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	crossed(t, box)
	if _, err := box.Vsctl("add-br", "br2", "--", "set", "bridge", "br2", "datapath_type=netdev"); err != nil {
		t.Fatal(err)
	}
	count := func(s Source) (n int, err error) {
		for _, err := range s.Entries(t.Context(), Filter{}) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	if n, err := count(NewDatapath(box.RunDir(), "dummy").Source()); n < 18 || err != nil {
		t.Errorf("%d connections in the one, %v", n, err)
	}
	if n, err := count(NewDatapath(box.RunDir(), "netdev").Source()); n != 0 || err != nil {
		t.Errorf("%d connections in the other, %v", n, err)
	}
	if n, err := count(NewUnixctl(box.RunDir())); n != 0 || err == nil {
		t.Errorf("%d connections, %v, without saying which is meant", n, err)
	}
}
