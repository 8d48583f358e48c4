package daemon

import (
	"path/filepath"
	"slices"
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
	sandboxtest.Track(t, box,
		sandboxtest.Packet{Protocol: 6, Rest: "tcp(src=1000,dst=80),tcp_flags(syn)"}, sandboxtest.Packet{Protocol: 17, Rest: "udp(src=1000,dst=80)"},
		sandboxtest.Packet{Protocol: 1, Rest: "icmp(type=8,code=0)"}, sandboxtest.Packet{Protocol: 47},
		sandboxtest.Packet{Six: true, Protocol: 6, Rest: "tcp(src=1000,dst=80),tcp_flags(syn)"}, sandboxtest.Packet{Six: true, Protocol: 17, Rest: "udp(src=1000,dst=80)"},
		sandboxtest.Packet{Six: true, Protocol: 47}, sandboxtest.Packet{Six: true, Protocol: 58, Rest: "icmpv6(type=128,code=0)"},
	)

	conn, err := ofconn.Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), ofconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := &desk{hosts: []*Host{{tracker: conntrack.NewUnixctl(box.RunDir())}}}
	in := func(zone uint16) (all []string) {
		t.Helper()
		connections, err := d.trackedIn(t.Context(), "", zone)
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
	connections, err := d.trackedIn(t.Context(), "", 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range connections {
		if c.Protocol == 58 {
			continue
		}
		if err := conn.FlushConnections(t.Context(), []ofproto.CTFlush{c.Flush()}); err != nil {
			t.Fatal(err)
		}
		left = slices.DeleteFunc(left, func(s string) bool { return s == c.String() })
		if got := in(5); !slices.Equal(got, left) {
			t.Errorf("after the flush of %v there are %v, want %v", c, got, left)
		}
	}
	if got := in(6); !slices.Equal(got, other) {
		t.Errorf("another zone had %v, has %v", other, got)
	}
}
