package test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	l := idleLab(t, 4)
	l.count()
	l.Run(twoZones())
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
			if e.CountOrig.Packets == 0 || e.CountOrig.Bytes == 0 || e.Start == 0 {
				t.Errorf("neither counted nor timed: %+v", e)
			}
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

// count has the kernel count packets, and note when connections were opened, in the namespace of ovs-vswitchd.
func (l *lab) count() {
	l.T.Helper()
	for _, name := range []string{"acct", "timestamp"} {
		set := fmt.Sprintf("echo 1 >/proc/sys/net/netfilter/nf_conntrack_%s", name)
		if out, err := exec.Command("nsenter", "--net", "-t", fmt.Sprint(l.VswitchdPID()), "sh", "-c", set).CombinedOutput(); err != nil {
			l.T.Fatalf("%s: %v: %s", set, err, out)
		}
	}
}

// TestOC06BothSourcesTellTheSame watches a zone by the kernel's events, and by looking through ovs-vswitchd, while connections come,
// change and go.
func TestOC06BothSourcesTellTheSame(t *testing.T) {
	if os.Getenv("WEIR_DATAPATH") != conntrack.Kernel {
		t.Skip("skipped: the userspace datapath has one source alone (test/uml/integration.sh runs it on the kernel's)")
	}
	l := newLab(t, 4, twoZones())
	kernel, err := conntrack.NetlinkOf(l.RunDir())
	if err != nil {
		t.Fatal(err)
	}
	kernel.Resync = time.Second // what packets change that flows only look up the kernel does not tell
	events := watched(t, kernel, 5)
	looks := watched(t, &conntrack.Looks{Source: conntrack.NewDatapath(l.RunDir(), conntrack.Kernel).Source(), Every: 20 * time.Millisecond}, 5)
	l.send(udp(1, 2, 1, 53)) // both watch when they have told of it
	agree(t, events, looks, "udp", "", "is there")
	l.send(tcp(1, 2, 1000, 80, "S"))
	agree(t, events, looks, "tcp", "SYN_SENT", "is opened")
	l.send(tcp(2, 1, 80, 1000, "SA"))
	l.send(tcp(1, 2, 1000, 80, "A"))
	agree(t, events, looks, "tcp", "ESTABLISHED", "is established")
	l.send(echoRequest(1, 2, 7))
	agree(t, events, looks, "icmp", "", "is asked")
	l.send(icmp6(1, 2, 128, 0, nil))
	agree(t, events, looks, "icmpv6", "", "is asked")
	if out, err := l.Weir.Tool("connections", "kill", "-t", "t", "--all"); err != nil {
		t.Fatal(out, err)
	}
	for _, protocol := range []string{"udp", "tcp", "icmp", "icmpv6"} {
		agree(t, events, looks, protocol, "ended", "has ended")
	}
}

// A seen is what has become of the connections of a zone, by their keys: their states, or "ended".
type seen struct {
	mu sync.Mutex
	of map[conntrack.Key]string
}

// watched has somebody watch a zone until the test ends.
func watched(t *testing.T, w conntrack.Watcher, zone uint16) *seen {
	t.Helper()
	s := &seen{of: map[conntrack.Key]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	t.Cleanup(func() { cancel(); done.Wait() })
	done.Go(func() {
		for c, err := range w.Watch(ctx, conntrack.Filter{Zone: zone}) {
			if err != nil {
				t.Error(err)
				continue
			}
			s.note(c)
		}
	})
	return s
}

func (s *seen) note(c conntrack.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[c.Entry.Key()] = c.Entry.State.String(); c.Kind == conntrack.Ended {
		s.of[c.Entry.Key()] = "ended"
	}
}

// states is what is known of a protocol.
func (s *seen) states(protocol string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, state := range s.of {
		if k.Protocol.String() == protocol {
			all = append(all, fmt.Sprint(k, " ", state))
		}
	}
	return all
}

// agree waits until two watchers have the same of a protocol: one connection, in a state.
func agree(t *testing.T, a, b *seen, protocol, state, what string) {
	t.Helper()
	ovstest.Eventually(t, protocol+" "+what, func() error {
		of, and := a.states(protocol), b.states(protocol)
		if !slices.Equal(of, and) || len(of) != 1 || !strings.HasSuffix(of[0], " "+state) {
			return fmt.Errorf("events say %v, looks say %v; want one that %s", of, and, what)
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
		e.Start -= e.Start % int64(time.Millisecond)
		lines = append(lines, strings.ReplaceAll(fmt.Sprintf("%+v", e), " ", "\n"))
	}
	return lines
}
