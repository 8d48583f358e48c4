package conntrack

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/quirk"
)

// crossed makes connections of several kinds in two zones of a real tracker.
func crossed(t *testing.T, box *sandbox.Sandbox) {
	t.Helper()
	sandboxtest.Track(t, box,
		sandboxtest.Packet{Protocol: 6, Rest: "tcp(src=1000,dst=80),tcp_flags(syn)"}, sandboxtest.Packet{Protocol: 6, Rest: "tcp(src=1001,dst=80),tcp_flags(syn)"},
		sandboxtest.Packet{Protocol: 17, Rest: "udp(src=1000,dst=80)"}, sandboxtest.Packet{Protocol: 1, Rest: "icmp(type=8,code=0)"},
		sandboxtest.Packet{Protocol: 1, Rest: "icmp(type=13,code=0)"}, sandboxtest.Packet{Protocol: 47},
		sandboxtest.Packet{Protocol: 132, Rest: "sctp(src=1000,dst=80)"}, sandboxtest.Packet{Six: true, Protocol: 6, Rest: "tcp(src=1000,dst=80),tcp_flags(syn)"},
		sandboxtest.Packet{Six: true, Protocol: 47}, sandboxtest.Packet{Six: true, Protocol: 58, Rest: "icmpv6(type=128,code=0)"},
	)
}

// keysIn returns the connections of a zone, in some order that is always the same.
func keysIn(t *testing.T, box *sandbox.Sandbox, zone uint16) (all []Key) {
	t.Helper()
	for e, err := range NewUnixctl(box.RunDir()).Entries(t.Context(), Filter{Zone: zone}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Key())
	}
	slices.SortFunc(all, func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// TestOneIsForgottenAndNoOther removes connections of a real tracker by the control socket, one
// by one, and tries to remove what would take others with it, or the switch: all that is refused,
// and nothing has gone.
func TestOneIsForgottenAndNoOther(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	crossed(t, box)
	d := NewDatapath(box.RunDir(), "dummy")
	left, other := keysIn(t, box, 5), keysIn(t, box, 6)
	if len(left) < 9 || len(left) != len(other) {
		t.Fatalf("%d and %d connections", len(left), len(other))
	}
	whole := Key{TCP, 5, Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 1000, DstPort: 80}}
	for name, spoil := range map[string]func(*Key){
		"nothing at all":      func(k *Key) { *k = Key{} },
		"a zone alone":        func(k *Key) { *k = Key{Zone: 5} },
		"no protocol":         func(k *Key) { k.Protocol = 0 },
		"zone 0":              func(k *Key) { k.Zone = 0 },
		"no port":             func(k *Key) { k.Orig.SrcPort = 0 },
		"no sender":           func(k *Key) { k.Orig.Src = netip.Addr{} },
		"any sender":          func(k *Key) { k.Orig.Src = netip.IPv4Unspecified() },
		"two families":        func(k *Key) { k.Orig.Src = netip.MustParseAddr("fc00::1") },
		"icmp without answer": func(k *Key) { k.Protocol, k.Orig.SrcPort, k.Orig.DstPort, k.Orig.ICMPType = ICMP, 0, 0, 3 },
	} {
		bad := whole
		spoil(&bad)
		if err := d.Forget(t.Context(), whole, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
		if got := keysIn(t, box, 5); !slices.Equal(got, left) {
			t.Fatalf("%s: %d of %d are left", name, len(got), len(left))
		}
	}
	v, err := d.version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Clone(left) {
		refused := k.Protocol == ICMPv6 && v.Has(quirk.FlushICMPv6, true)
		if err := d.Forget(t.Context(), k); (err != nil) != refused {
			t.Errorf("%v: %v", k, err)
		}
		if !refused {
			left = slices.DeleteFunc(left, func(l Key) bool { return l == k })
		}
		if got := keysIn(t, box, 5); !slices.Equal(got, left) {
			t.Errorf("after %v there are %v, want %v", k, got, left)
		}
	}
	if err := d.Forget(t.Context(), whole); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
	if got := keysIn(t, box, 6); !slices.Equal(got, other) {
		t.Errorf("another zone had %v, has %v", other, got)
	}
	if err := d.FlushZone(t.Context(), 0); err == nil {
		t.Error("zone 0 is emptied")
	}
	if err := d.FlushZone(t.Context(), 6); err != nil || len(keysIn(t, box, 6)) != 0 {
		t.Errorf("%v, %v", err, keysIn(t, box, 6))
	}
	if got := keysIn(t, box, 5); !slices.Equal(got, left) {
		t.Errorf("zone 5 had %v, has %v", left, got)
	}
}

// TestWhatOpenVSwitchTakesForMore keeps true why Forget refuses what it does: a real one is asked
// what Forget does not ask.
func TestWhatOpenVSwitchTakesForMore(t *testing.T) {
	for name, tuple := range map[string]string{
		"a tuple that says nothing": "", "a protocol alone": "ct_nw_proto=6", "a port of zero": "ct_nw_proto=6,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_tp_src=0,ct_tp_dst=80",
	} {
		t.Run(name, func(t *testing.T) {
			box := sandboxtest.Rootless(t, "br")
			crossed(t, box)
			before := len(keysIn(t, box, 5))
			if _, err := NewDatapath(box.RunDir(), "dummy").ask(t.Context(), "dpctl/flush-conntrack", "zone=5", tuple); err != nil {
				t.Fatal(err)
			}
			if left := len(keysIn(t, box, 5)); left > before-2 {
				t.Errorf("%d of %d are left: it is no more than one", left, before)
			}
		})
	}
}

func TestArgumentsByVersion(t *testing.T) {
	k := Key{UDP, 5, Tuple{Src: netip.MustParseAddr("fc00::1"), Dst: netip.MustParseAddr("fc00::2"), SrcPort: 3, DstPort: 4}}
	const tuple = "ct_nw_proto=17,ct_ipv6_src=fc00::1,ct_ipv6_dst=fc00::2,ct_tp_src=3,ct_tp_dst=4"
	for version, want := range map[string][]string{
		"2.17.0": {"netdev@ovs-netdev", "zone=5", tuple}, "3.0.9": {"netdev@ovs-netdev", "zone=5", tuple},
		"3.1.0": {"zone=5", tuple}, "3.2.9": {"zone=5", tuple}, "3.3.0": {"netdev@ovs-netdev", "zone=5", tuple},
	} {
		v, err := quirk.Parse(version)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewDatapath("", "netdev").flushArgs(v, 5, k.tuple()); !slices.Equal(got, want) {
			t.Errorf("%s: %q", version, got)
		}
	}
}
