package test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// stormTime is how long a storm lasts: WEIR_STORM says otherwise.
func stormTime(t *testing.T) time.Duration {
	if s := os.Getenv("WEIR_STORM"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 6 * time.Second
}

// A storm is 16 clients that connect, exchange a line and reset on each of its paths in turn,
// with ports that come again and again, while things change. What the paths go through is its
// test's; that none of the connections fails is the storm's.
type storm struct {
	paths []stormPath
	tally []outcomes // by path
	why   sync.Map   // what was wrong
}

// A stormPath is from where to where a client of a storm connects, and who listens there.
type stormPath struct {
	name    string
	from    *sandbox.Host
	address string               // to which it connects
	to      *sandbox.Host        // who says back what it hears; nil: the test has somebody do so
	at      string               // its address, if it is not that which is asked
	once    func(port int) error // what a client does; nil: it connects from a port, exchanges a line, and resets
}

type outcomes struct{ done, failed atomic.Int64 }

// newStorm has those listen to whom paths lead.
func newStorm(t *testing.T, paths ...stormPath) *storm {
	t.Helper()
	s := &storm{paths: paths, tally: make([]outcomes, len(paths))}
	type listener struct {
		host *sandbox.Host
		at   string
	}
	listens := map[listener]bool{}
	for i := range paths {
		p := &paths[i]
		if p.once == nil {
			p.once = func(port int) error { return once(p.from, port, p.address) }
		}
		l := listener{p.to, cmp.Or(p.at, p.address)}
		if l.host != nil && !listens[l] {
			echo(t, l.host, l.at)
		}
		listens[l] = true
	}
	return s
}

// blow lets the storm loose. After a while of calm, change is called again and again, with 0, 1, 2
// and so on. In the end no connection has failed; how often ovs-vswitchd was asked in the calm
// and in the changes is the test's to judge.
func (s *storm) blow(t *testing.T, n *ovstest.Net, quiet time.Duration, change func(edit int)) (calm, changes spell) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), stormTime(t))
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	for i := range 16 {
		clients.Go(func() { s.client(ctx, i) })
	}
	ovstest.Eventually(t, "every path is known", s.begun)
	begin := s.asked(t, n)
	over := time.After(quiet)
	select {
	case <-ctx.Done():
	case <-over:
	}
	middle, edits := s.asked(t, n), 0
	for ; ctx.Err() == nil; edits++ {
		change(edits)
	}
	clients.Wait()
	s.judge(t)
	calm, changes = middle.since(begin), s.asked(t, n).since(middle)
	changes.edits = edits
	t.Logf("upcalls per 1,000 connections: %.1f of %d in the calm before, %.1f of %d in %d changes",
		calm.perThousand(), calm.connections, changes.perThousand(), changes.connections, edits)
	return calm, changes
}

// begun says which path has had no connections yet.
func (s *storm) begun() error {
	for i := range s.tally {
		if s.tally[i].done.Load() < 5 {
			return fmt.Errorf("path %s has not begun", s.paths[i].name)
		}
	}
	return nil
}

// client connects on one path after the other until ctx is done.
func (s *storm) client(ctx context.Context, number int) {
	for k := number; ctx.Err() == nil; k++ {
		p, c := s.paths[k%len(s.paths)], &s.tally[k%len(s.paths)]
		if err := p.once(20000 + 100*number + k%100); err != nil {
			c.failed.Add(1)
			s.why.Store(p.name+": "+err.Error(), true)
			continue
		}
		c.done.Add(1)
	}
}

// once connects from a port, exchanges a line, and resets.
func once(h *sandbox.Host, port int, target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ovstest.Patience)
	defer cancel()
	c, err := h.DialFrom(ctx, &net.TCPAddr{Port: port}, "tcp", target)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	if err := insist(c); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	return c.(*net.TCPConn).SetLinger(0)
}

// judge says what became of the connections.
func (s *storm) judge(t *testing.T) {
	t.Helper()
	for i, p := range s.paths {
		c := &s.tally[i]
		t.Logf("%-30s %6d connections, %d failed", p.name, c.done.Load(), c.failed.Load())
		if c.done.Load() < 10 || c.failed.Load() > 0 {
			t.Errorf("%s: %d connections failed, %d did not", p.name, c.failed.Load(), c.done.Load())
		}
	}
	s.why.Range(func(k, _ any) bool { t.Log(k); return true })
}

// A spell of a storm is how many connections and changes there have been in it, and how many
// packets ovs-vswitchd was asked about.
type spell struct{ connections, upcalls, edits int }

func (s *storm) asked(t *testing.T, n *ovstest.Net) (a spell) {
	t.Helper()
	for i := range s.tally {
		a.connections += int(s.tally[i].done.Load())
	}
	a.upcalls = upcalls(t, n)
	return a
}

func (a spell) since(before spell) spell {
	return spell{connections: a.connections - before.connections, upcalls: a.upcalls - before.upcalls}
}

// often reports whether there were more upcalls than one for 100 connections, some for each
// change, and a few now and then. A policy that takes something back gives the flows of the
// datapath another epoch, and there are flows for each older epoch of which a connection is met
// again: about 20 on six paths, 90 in half a minute.
func (a spell) often() bool { return a.upcalls > a.connections/100+120*a.edits+20 }

func (a spell) perThousand() float64 {
	return float64(a.upcalls) / float64(max(a.connections, 1)) * 1000
}

var missed = regexp.MustCompile(`missed:(\d+)`)

// upcalls returns how many packets the datapath did not know what to do with.
func upcalls(t *testing.T, n *ovstest.Net) int {
	t.Helper()
	text, err := n.Appctl("dpctl/show", "-s")
	if err != nil {
		t.Fatal(err)
	}
	m := missed.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no count of misses in %q", text)
	}
	count, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return count
}
