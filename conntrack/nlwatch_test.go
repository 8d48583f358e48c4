package conntrack

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// A listener keeps what a Watch has told.
type listener struct {
	sync.Mutex
	known map[Key]Entry
	told  []string
	wrong []error
	lost  int
	block chan struct{} // Watch waits here with each change, until it is closed
}

// listen watches a namespace until the test ends.
func listen(t *testing.T, n *Netlink, f Filter) *listener {
	l := &listener{known: map[Key]Entry{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	n.Lost = func() { l.Lock(); l.lost++; l.Unlock() }
	go func() {
		defer close(done)
		for c, err := range n.Watch(ctx, f) {
			l.take(c, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if len(l.wrong) > 0 {
			t.Errorf("Watch said %v", l.wrong)
		}
	})
	return l
}

func (l *listener) take(c Change, err error) {
	l.Lock()
	block := l.block
	l.Unlock()
	if block != nil {
		<-block
	}
	l.Lock()
	defer l.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, err)
		return
	}
	k := c.Entry.Key()
	if _, known := l.known[k]; known != (c.Kind == Changed || c.Kind == Ended) {
		l.wrong = append(l.wrong, fmt.Errorf("%v of one that is known: %v: %+v", c.Kind, known, k))
	}
	if l.told = append(l.told, c.Kind.String()); c.Kind == Ended {
		delete(l.known, k)
	} else {
		l.known[k] = c.Entry
	}
}

// is reports whether what is known is exactly what is there.
func (l *listener) is(s *space, f Filter) bool {
	all := s.entries(f)
	l.Lock()
	defer l.Unlock()
	return len(all) == len(l.known) && !slices.ContainsFunc(all, func(e Entry) bool {
		known, ok := l.known[e.Key()]
		return !ok || known.ID != e.ID || differs(known, e)
	})
}

func (l *listener) count(kind ChangeKind) (n int) {
	l.Lock()
	defer l.Unlock()
	for _, w := range l.told {
		if w == kind.String() {
			n++
		}
	}
	return n
}

// TestWatchTellsEachChange has connections come, change and go, some of them before it listens.
func TestWatchTellsEachChange(t *testing.T) {
	s := newSpace(t)
	all := made(320)
	s.create(all[:160]...)
	f := Filter{Zone: 1}
	l := listen(t, &Netlink{Netns: s.path, Resync: time.Hour}, f)
	eventually(t, "what was there", func() bool { return l.is(s, f) && l.count(Present) == 10 })
	s.create(all[160:]...)
	eventually(t, "what came", func() bool { return l.is(s, f) && l.count(New) == 10 })
	mine := s.entries(f)
	later := slices.DeleteFunc(slices.Clone(mine), func(e Entry) bool { return e.Orig.Src.Compare(all[160].Orig.Src) < 0 || e.Orig.Src.Is6() })
	if len(later) < 5 {
		t.Fatal(len(later))
	}
	if _, err := s.source().Delete(t.Context(), later[:3]...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what went", func() bool { return l.is(s, f) && l.count(Ended) == 3 })
	s.mark(later[4], 4711)
	eventually(t, "another mark", func() bool { return l.is(s, f) && l.count(Changed) == 1 })
	if l.lost != 0 {
		t.Errorf("events were lost %d times", l.lost)
	}
}

// TestWatchComesBackAfterLostEvents has it wait, while more comes than it has room for. What it
// knows is right again afterwards, without waiting for the next full look.
func TestWatchComesBackAfterLostEvents(t *testing.T) {
	s := newSpace(t)
	all := made(16000)
	s.create(all[:10]...)
	l := listen(t, &Netlink{Netns: s.path, Resync: time.Hour, ReadBuffer: 1 << 14}, Filter{})
	eventually(t, "what was there", func() bool { return l.is(s, Filter{}) })
	gate := make(chan struct{})
	l.Lock()
	l.block = gate
	l.Unlock()
	s.create(all[10:8000]...)
	if _, err := s.source().FlushZone(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	s.create(all[8000:]...)
	if n, err := s.source().FlushZone(t.Context(), 4); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	l.Lock()
	l.block = nil
	l.Unlock()
	close(gate)
	eventually(t, "all of it", func() bool { return l.is(s, Filter{}) })
	if l.lost == 0 {
		t.Error("no events were lost: the test says nothing")
	}
	t.Logf("events were lost %d times; %d new, %d ended", l.lost, l.count(New), l.count(Ended))
}

// TestWatchSeesWhatTheKernelDoesNotTell turns events off. Each full look finds what has become otherwise.
func TestWatchSeesWhatTheKernelDoesNotTell(t *testing.T) {
	s := newSpace(t)
	s.set("netfilter/nf_conntrack_events", "0")
	all := made(200)
	s.create(all[:100]...)
	l := listen(t, &Netlink{Netns: s.path, Resync: 10 * time.Millisecond}, Filter{})
	eventually(t, "what was there", func() bool { return l.is(s, Filter{}) && l.count(Present) == 100 })
	s.create(all[100:]...)
	if _, err := s.source().FlushZone(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what came and went", func() bool { return l.is(s, Filter{}) && l.count(Ended) > 0 })
}

func TestAViewTellsWhatIsOtherwise(t *testing.T) {
	var told []string
	v := view{filter: Filter{Zone: 5}, known: map[Key]Entry{}, yield: func(c Change, _ error) bool {
		told = append(told, fmt.Sprintf("%v %d %d", c.Kind, c.Entry.ID, c.Entry.Mark))
		return true
	}}
	e := Entry{Protocol: UDP, Orig: Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}, Zone: 5, ID: 1}
	with := func(change func(*Entry)) { c := e; change(&c); v.put(c) }
	with(func(e *Entry) {})
	v.begun = true
	with(func(e *Entry) { e.Timeout, e.CountOrig.Packets = 9, 7 })
	with(func(e *Entry) { e.Mark = 3 })
	with(func(e *Entry) { e.Zone = 6 })
	with(func(e *Entry) { e.ID, e.Mark = 2, 4 })
	v.endOthers(map[Key]bool{})
	if want := []string{"present 1 0", "changed 1 3", "ended 1 3", "new 2 4", "ended 2 4"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}
