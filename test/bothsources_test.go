package test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"weir/conntrack"
	"weir/quirk"
	"weir/test/ovstest"
)

// TestOC04BothSourcesSayTheSame has connections of all kinds in the kernel's datapath, and reads
// them out of the kernel and through ovs-vswitchd. The daemon reads the former, and says so.
func TestOC04BothSourcesSayTheSame(t *testing.T) {
	if os.Getenv("WEIR_DATAPATH") != conntrack.Kernel {
		t.Skip("skipped: the userspace datapath has one source alone (test/uml/integration.sh runs it on the kernel's)")
	}
	l := newLab(t, 4, twoZones())
	for i := range 4 {
		from := 1 + 2*(i%2)
		l.send(tcp(from, from+1, 1000, 80, "S"))
		l.send(tcp(from+1, from, 80, 1000, "SA"))
		l.send(tcp(from, from+1, 1000, 80, "A"))
		l.send(tcp(from, from+1, 1001, 21, "S"))
		l.send(udp(from, from+1, 2000, 53))
		l.send(udp(from, from+1, 2001, 53).over6())
		l.send(echoRequest(from, from+1, uint16(3000+i)))
		l.send(icmp6(from, from+1, 128, 0, nil))
		l.send(raw(from, from+1, 47, 0, 0, 8, 0))
	}
	l.sayINIT() // at last
	kernel, err := conntrack.NetlinkOf(l.RunDir())
	if err != nil {
		t.Fatal(err)
	}
	protocols := map[conntrack.Protocol]bool{}
	for _, zone := range []uint16{5, 6} {
		var direct []conntrack.Entry
		for e, err := range kernel.Entries(t.Context(), conntrack.Filter{Zone: zone}) {
			if err != nil {
				t.Fatal(err)
			}
			protocols[e.Protocol] = true
			direct = append(direct, e)
		}
		through := linesOf(l.Entries(zone))
		if d := gocmp.Diff(through, linesOf(direct)); d != "" || len(direct) < 8 {
			t.Errorf("zone %d, %d connections; -through ovs-vswitchd +out of the kernel:\n%s", zone, len(direct), d)
		}
	}
	named := 0
	for _, err := range conntrack.NewDatapath(l.RunDir(), conntrack.Kernel).Source().Entries(t.Context(), conntrack.Filter{Zone: 5}) {
		if named++; err != nil {
			t.Error(err)
		}
	}
	if named < 8 {
		t.Errorf("the datapath by its name has %d connections", named)
	}
	if len(protocols) != 6 {
		t.Errorf("there are connections of %v", protocols)
	}
	if said := l.Weir.Connections("t"); len(said) != len(l.Entries(5)) {
		t.Errorf("the daemon knows %d connections of %d", len(said), len(l.Entries(5)))
	}
	s, err := l.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, tracker := range s.Trackers {
		if tracker.Through != "" {
			t.Errorf("the daemon reads through ovs-vswitchd: %s", tracker.Through)
		}
	}
	ovstest.Eventually(t, "how full the tracker of that namespace is", func() error {
		count, most, err := kernel.Fill(t.Context())
		if err != nil || count < 16 || most == 0 {
			return fmt.Errorf("%d of %d connections, %v", count, most, err)
		}
		return nil
	})
}

// TestOC05TheKernelForgetsWhatOpenVSwitchDoesNot has connections of all kinds killed: those of SCTP and GRE,
// too, of which Open vSwitch removes none. Another tenant's stay.
func TestOC05TheKernelForgetsWhatOpenVSwitchDoesNot(t *testing.T) {
	if os.Getenv("WEIR_DATAPATH") != conntrack.Kernel {
		t.Skip("skipped: the userspace datapath forgets by Open vSwitch alone (test/uml/integration.sh runs it on the kernel's)")
	}
	l := newLab(t, 4, twoZones())
	for _, from := range []int{1, 3} {
		l.send(tcp(from, from+1, 1000, 80, "S"))
		l.send(udp(from, from+1, 2000, 53))
		l.send(icmp6(from, from+1, 128, 0, nil))
		l.send(raw(from, from+1, 47, 0, 0, 8, 0))
	}
	l.sayINIT()
	others := len(l.Entries(6))
	out, _, err := l.Weir.Plan("connections", "kill", "-t", "t", "--all", "--plan")
	if err != nil || strings.Count(out, string(quirk.ByNetlink)) != 5 {
		t.Errorf("%s%v; want five, all by %s", out, err, quirk.ByNetlink)
	}
	if out, err := l.Weir.Tool("connections", "kill", "-t", "t", "--all"); err != nil {
		t.Errorf("%s%v", out, err)
	}
	if mine, theirs := l.Entries(5), l.Entries(6); len(mine) != 0 || len(theirs) < others-1 { // SCTP's may have ended by itself
		t.Errorf("%d of t and %d of %d of u are left: %+v", len(mine), len(theirs), others, mine)
	}
}

// sayINIT opens a connection of SCTP in each zone. One that nobody has answered lives for ten seconds.
func (l *lab) sayINIT() {
	l.T.Helper()
	for _, from := range []int{1, 3} {
		frame := sctpFrame(l.T, mac(from), mac(from+1), fmt.Sprint("10.1.1.", from), fmt.Sprint("10.1.1.", from+1),
			&layers.SCTP{SrcPort: 4000, DstPort: 36412}, sctpInit(1))
		if err := l.wires[from-1].Send(frame); err != nil {
			l.T.Fatal(err)
		}
	}
	ovstest.Eventually(l.T, "connections of SCTP", func() error {
		if n := len(ovstest.Protocol(append(l.Entries(5), l.Entries(6)...), "sctp")); n != 2 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// linesOf is entries as lines, in an order of their own, but for what passes with time and what
// Open vSwitch does not read.
func linesOf(all []conntrack.Entry) (lines []string) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b conntrack.Entry) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.Orig.Src.Compare(b.Orig.Src), cmp.Compare(a.ID, b.ID))
	})
	for _, e := range all {
		e.Timeout, e.Uses, e.Status = 0, 0, e.Status&statusRead
		lines = append(lines, strings.ReplaceAll(fmt.Sprintf("%+v", e), " ", "\n"))
	}
	return lines
}
