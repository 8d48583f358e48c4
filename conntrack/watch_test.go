package conntrack

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/sandbox/sandboxtest"
)

// A script is a source that gives what was written down, look by look, and then the last again
// and again.
type script struct{ looks [][]any } // Entry or error

func (s *script) Entries(context.Context, Filter) iter.Seq2[Entry, error] {
	now := s.looks[0]
	if len(s.looks) > 1 {
		s.looks = s.looks[1:]
	}
	return func(yield func(Entry, error) bool) {
		for _, what := range now {
			e, _ := what.(Entry)
			err, _ := what.(error)
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestLooksTellWhatIsOtherThanBefore(t *testing.T) {
	e := func(port uint16, state State) Entry {
		return Entry{Protocol: TCP, Zone: 5, Orig: Tuple{Src: a, Dst: b, SrcPort: port, DstPort: 80}, State: state}
	}
	counted := e(1, Established)
	counted.Timeout, counted.CountOrig = 7, Counters{1, 2}
	id := func(n uint32) Entry { x := e(1, Established); x.ID = n; return x }
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		looks [][]any
		want  []string
	}{
		"what was there, and what comes":                        {[][]any{{e(1, SynSent)}, {e(1, SynSent), e(2, SynSent)}}, []string{"present 1", "new 2"}},
		"a state that changes":                                  {[][]any{{e(1, SynSent)}, {e(1, Established)}}, []string{"present 1", "changed 1 SYN_SENT->ESTABLISHED"}},
		"time and counters are no change":                       {[][]any{{e(1, Established)}, {counted}}, []string{"present 1"}},
		"one that is gone in two looks":                         {[][]any{{e(1, Established), e(2, Established)}, {e(2, Established)}}, []string{"present 1", "present 2", "ended 1"}},
		"one that is passed over once":                          {[][]any{{e(1, Established)}, {}, {e(1, Established)}}, []string{"present 1"}},
		"another one with the same addresses":                   {[][]any{{id(1)}, {id(2)}}, []string{"present 1", "ended 1", "new 1"}},
		"a reading that breaks ends nothing":                    {[][]any{{e(1, Established)}, {broken}, {broken}, {broken}, {e(1, Established)}}, []string{"present 1", "error", "error", "error"}},
		"nor do the looks after it, too soon":                   {[][]any{{e(1, Established)}, {broken}, {broken}, {}, {e(1, Established)}}, []string{"present 1", "error", "error"}},
		"a damaged line costs no more than it":                  {[][]any{{&Damage{Line: 1}, e(1, SynSent)}, {e(1, SynSent)}}, []string{"error", "present 1"}},
		"the first reading may break":                           {[][]any{{broken}, {e(1, SynSent)}}, []string{"error", "present 1"}},
		"others are told of after one that is damaged for good": {[][]any{{e(1, Established)}, {&Damage{Line: 1}}, {&Damage{Line: 1}}, {}}, []string{"present 1", "error", "error", "ended 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				var got []string
				for c, err := range (&Looks{Source: &script{c.looks}}).Watch(ctx, Filter{}) {
					got = append(got, changeText(c, err))
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestWatchersTakeTurns has three watch what takes 10 ms to read, one of whom does not listen: the others
// go on, and all of them read a fifth of the time at most.
func TestWatchersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []uint16
		l := &Looks{Source: slow{10 * time.Millisecond, &asked}, Every: time.Millisecond, Turn: make(chan struct{}, 1)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for range l.Watch(ctx, Filter{Zone: 5}) {
				}
			})
		}
		all.Go(func() {
			for range l.Watch(ctx, Filter{Zone: 6}) {
				<-ctx.Done() // who does not listen
			}
		})
		all.Wait()
		if n := len(asked); n < 19 || n > 21 || slices.Contains(asked[5:], 6) {
			t.Errorf("in a second, it was read %d times: %v", n, asked)
		}
	})
}

func changeText(c Change, err error) string {
	switch {
	case err != nil:
		return "error"
	case c.Kind == Changed:
		return fmt.Sprintf("%v %d %v->%v", c.Kind, c.Entry.Orig.SrcPort, c.Before.State, c.Entry.State)
	}
	return fmt.Sprintf("%v %d", c.Kind, c.Entry.Orig.SrcPort)
}

// TestAWatchOfARealDatapath has connections come, change and end, and ovs-vswitchd be killed and
// started again: each is told once, in order.
func TestAWatchOfARealDatapath(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	must := func(_ string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(box.Vsctl("add-port", "br", "p1", "--", "set", "interface", "p1", "ofport_request=1", "--", "add-port", "br", "p2", "--", "set", "interface", "p2", "ofport_request=2"))
	flows := filepath.Join(t.TempDir(), "flows")
	must("", os.WriteFile(flows, []byte("in_port=1,ip,actions=ct(commit,zone=5),2\nin_port=2,ip,actions=ct(zone=5,table=1)\ntable=1,actions=1\n"), 0o600))
	must(box.Ofctl("add-flows", "br", flows))
	packet := func(port, flags, src, dst string, sport, dport int) {
		t.Helper()
		must(box.Appctl("netdev-dummy/receive", port, fmt.Sprintf("in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),"+
			"ipv4(src=%s,dst=%s,proto=6,tos=0,ttl=64,frag=no),tcp(src=%d,dst=%d),tcp_flags(%s)", src, dst, sport, dport, flags)))
	}
	packet("p1", "syn", "10.0.0.1", "10.0.0.2", 1, 80)

	w := &Looks{Source: NewUnixctl(box.RunDir()), Zones: func() []uint16 { return []uint16{4, 5} }, Every: time.Millisecond, Share: 1}
	next, stop := iter.Pull2(w.Watch(t.Context(), Filter{}))
	defer stop()
	want := func(text string) {
		t.Helper()
		c, err, ok := next()
		if got := changeText(c, err); !ok || got != text {
			t.Fatalf("%s (%v), want %s", got, err, text)
		}
	}
	want("present 1")
	packet("p1", "syn", "10.0.0.1", "10.0.0.2", 2, 80)
	want("new 2")
	packet("p2", "syn|ack", "10.0.0.2", "10.0.0.1", 80, 1)
	want("changed 1 SYN_SENT->ESTABLISHED")
	must(box.Appctl("dpctl/flush-conntrack", "zone=5", "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=2,ct_tp_dst=80"))
	want("ended 2")
	if err := box.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want("error")
	if err := box.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		c, err, _ := next()
		if err != nil {
			continue // not yet
		}
		if got := changeText(c, err); got != "ended 1" {
			t.Errorf("%s", got)
		}
		break
	}
}
