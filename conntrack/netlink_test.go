package conntrack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"golang.org/x/sys/unix"
	"net"

	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"weir/internal/sandbox/sandboxtest"
)

func sortEntries(all []Entry) {
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(a.Orig.Src.Compare(b.Orig.Src), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Orig.SrcPort, b.Orig.SrcPort))
	})
}

// TestTheKernelsEntriesAreThoseThatWereMade puts connections of all protocols in many zones into a
// tracker, and reads them back: all, and what filters mean.
func TestTheKernelsEntriesAreThoseThatWereMade(t *testing.T) {
	s := newSpace(t)
	want := made(4000)
	s.create(want...)
	sortEntries(want)
	for name, f := range map[string]Filter{
		"all": {}, "a zone": {Zone: 7}, "a zone without any": {Zone: 77}, "marks": {Mark: 0x1c, MarkMask: 0x1c},
		"status": {Status: StatusAssured, StatusMask: StatusAssured}, "not that status": {StatusMask: StatusAssured},
		"IPv4": {Family: 4}, "IPv6": {Family: 6}, "a protocol": {Protocol: SCTP}, "ICMPv6": {Protocol: ICMPv6, Family: 6},
		"a source": {Orig: want[9].Orig}, "a destination and a port": {Protocol: TCP, Orig: Tuple{Dst: want[0].Orig.Dst, DstPort: 80}},
		"a port": {Protocol: UDP, Orig: Tuple{SrcPort: 10}}, "answers": {Reply: Tuple{Dst: want[5].Orig.Src}},
		"one of ICMP": {Protocol: want[2].Protocol, Orig: want[2].Orig}, "all at once": {Zone: 1, Mark: 7, MarkMask: 7, Family: 4, Protocol: UDP, Status: StatusAssured, StatusMask: StatusAssured | StatusDying},
	} {
		t.Run(name, func(t *testing.T) {
			var meant []Entry
			for _, e := range want {
				if f.Matches(&e) {
					meant = append(meant, plain(e))
				}
			}
			got := s.entries(f)
			for i, e := range got {
				if e.ID == 0 || e.Timeout == 0 {
					t.Errorf("%+v", e)
				}
				got[i] = plain(e)
			}
			sortEntries(got)
			if !slices.Equal(got, meant) {
				t.Errorf("%d entries, want %d", len(got), len(meant))
				for i := range min(len(got), len(meant), 3) {
					t.Errorf("\n got %+v\nwant %+v", got[i], meant[i])
				}
			}
			if len(meant) == 0 && name != "a zone without any" {
				t.Error("nothing is meant: the test says nothing")
			}
		})
	}
}

// TestDeletingTakesOneAndNoOther removes single connections of all protocols, and what must not go with them.
func TestDeletingTakesOneAndNoOther(t *testing.T) {
	s := newSpace(t)
	s.create(made(400)...)
	all := s.entries(Filter{})
	sortEntries(all)
	doomed := all[100:116]
	if n, err := s.source().Delete(t.Context(), doomed...); n != len(doomed) || err != nil {
		t.Fatalf("%d were removed, %v", n, err)
	}
	left := s.entries(Filter{})
	sortEntries(left)
	for i := range left {
		left[i].Timeout, left[i].Uses = 0, 0
	}
	want := slices.Concat(all[:100], all[116:])
	for i := range want {
		want[i].Timeout, want[i].Uses = 0, 0
	}
	if !slices.Equal(left, want) {
		t.Errorf("%d are left, want %d", len(left), len(want))
	}
	if n, err := s.source().Delete(t.Context(), doomed...); n != 0 || err != nil {
		t.Errorf("%d that are gone were removed, %v", n, err)
	}
	later := all[0]
	later.ID++ // as if another one had come in its place
	if n, err := s.source().Delete(t.Context(), later, Entry{}); n != 0 || err == nil || !strings.Contains(err.Error(), "is no tuple") {
		t.Errorf("%d were removed, %v", n, err)
	}
	if n, err := s.source().Delete(t.Context(), later); n != 0 || err != nil {
		t.Errorf("%d were removed that have another id, %v", n, err)
	}
	if n := len(s.entries(Filter{})); n != len(want) {
		t.Errorf("%d are left, want %d", n, len(want))
	}
}

func TestFlushingAZoneLeavesTheOthers(t *testing.T) {
	s := newSpace(t)
	s.create(made(16 * 700)...)
	if n, err := s.source().FlushZone(t.Context(), 5); n != 700 || err != nil {
		t.Errorf("%d were removed, %v; want 700", n, err)
	}
	if in, all := len(s.entries(Filter{Zone: 5})), len(s.entries(Filter{})); in != 0 || all != 15*700 {
		t.Errorf("%d are left in the zone and %d in all, want none and %d", in, all, 15*700)
	}
	if n, err := s.source().FlushZone(t.Context(), 0); n != 0 || err == nil || !strings.Contains(err.Error(), "zone 0") {
		t.Errorf("zone 0: %d were removed, %v", n, err)
	}
	if all := len(s.entries(Filter{})); all != 15*700 {
		t.Errorf("%d are left", all)
	}
}

// TestTheKernelFiltersItself counts what the kernel sends, where it can leave out what is not meant.
func TestTheKernelFiltersItself(t *testing.T) {
	s := newSpace(t)
	all := made(1600)
	s.create(all...)
	for name, c := range map[string]struct {
		f     Filter
		since [2]int // version of Linux
	}{
		"marks": {Filter{Mark: 7, MarkMask: 0xf}, [2]int{3, 1}}, "a family": {Filter{Family: 6}, [2]int{3, 1}},
		"a source": {Filter{Protocol: TCP, Orig: all[0].Orig}, [2]int{5, 8}}, "status": {Filter{StatusMask: StatusAssured}, [2]int{6, 0}},
		"a zone": {Filter{Zone: 3}, [2]int{6, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			nl, err := newSocket(s.path)
			if err != nil {
				t.Fatal(err)
			}
			defer nl.close()
			sent := 0
			if err := nl.dump(t.Context(), subsysConntrack, func(r *request) { r.filter(c.f) }, dumpFamily(c.f), func([]byte) bool { sent++; return true }); err != nil {
				t.Fatal(err)
			}
			meant := len(s.entries(c.f))
			if kernelSince(t, c.since[0], c.since[1]) && sent != meant || meant == 0 || meant == len(all) {
				t.Errorf("the kernel sends %d, and %d of %d are meant", sent, meant, len(all))
			}
		})
	}
}

// kernelSince reports whether the kernel is of a version or later.
func kernelSince(t *testing.T, major, minor int) bool {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	var ma, mi int
	if _, err := fmt.Sscanf(string(b), "%d.%d", &ma, &mi); err != nil {
		t.Fatal(err)
	}
	return ma > major || ma == major && mi >= minor
}

// TestWithoutTheRightItSaysWhatToDo reads as somebody who may not.
func TestWithoutTheRightItSaysWhatToDo(t *testing.T) {
	s := newSpace(t)
	nl, err := newSocket(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.close()
	asOther := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread has lost its rights, and ends
		if _, _, no := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); no != 0 {
			asOther <- no
			return
		}
		for _, err := range (&Netlink{}).Entries(t.Context(), Filter{}) {
			asOther <- err
			return
		}
		asOther <- nil
	}()
	if err := <-asOther; err == nil || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("%v", err)
	}
	for _, err := range (&Netlink{Netns: "/proc/self/nowhere"}).Entries(t.Context(), Filter{}) {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/proc/self/nowhere") {
			t.Errorf("%v", err)
		}
	}
}

// TestTheKernelsWordsAreInTheError asks for something that the kernel explains.
func TestTheKernelsWordsAreInTheError(t *testing.T) {
	s := newSpace(t)
	nl, err := newSocket(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.close()
	var r request
	start := r.begin(subsysConntrack|msgDelete, unix.NLM_F_REQUEST|unix.NLM_F_ACK, 1, familyV4)
	r.attr(ctaZone, 1) // shorter than a zone
	r.done(start)
	if err := nl.send(r.b); err != nil {
		t.Fatal(err)
	}
	n, err := nl.f.Read(nl.buf)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := cutMessage(nl.buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	var said *KernelError
	if err := failure("try", m); !errors.As(err, &said) || said.Text == "" {
		t.Errorf("%v has no words", err)
	} else {
		t.Log(err)
	}
}

func TestWhoStopsListeningIsToldNoMore(t *testing.T) {
	s := newSpace(t)
	s.create(made(1000)...)
	n := 0
	for range s.source().Entries(t.Context(), Filter{}) {
		if n++; n == 10 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for e, err := range s.source().Entries(ctx, Filter{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", e, err)
		}
	}
}

func TestHowFullTheTableIs(t *testing.T) {
	s := newSpace(t)
	s.create(made(123)...)
	if n, most, err := s.source().Fill(t.Context()); n != 123 || most == 0 || err != nil {
		t.Errorf("%d of %d, %v", n, most, err)
	}
}

// TestTheKernelsTableOfADaemon finds the namespace by the process that keeps its files in a directory.
func TestTheKernelsTableOfADaemon(t *testing.T) {
	dir := t.TempDir()
	if _, err := NetlinkOf(dir); err == nil {
		t.Error("nobody runs there")
	}
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NetlinkOf(dir); err == nil || !strings.Contains(err.Error(), "is no ovs-vswitchd here") {
		t.Errorf("%v", err)
	}
	box := sandboxtest.Rootless(t, "br")
	if n, err := NetlinkOf(box.RunDir()); err != nil || n.Netns != "" {
		t.Errorf("%v, %v; want our own namespace", n, err)
	}
	// The same number in the run directory of an ovs-vswitchd of another pid namespace is not that process.
	pid := strconv.Itoa(box.VswitchdPID())
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte(pid), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", filepath.Join(dir, "ovs-vswitchd."+pid+".ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if n, err := NetlinkOf(dir); err == nil {
		t.Errorf("%+v is taken for that of somebody else", n)
	}
}
