package test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// restarts is how often the daemon is killed in TestRestart.
const restarts = 20

// TestRestart kills the daemon again and again (kill -9) under connections that talk and a
// ping every 2 ms: nothing breaks, nothing is lost, and nothing is sent when nothing has
// changed.
func TestRestart(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2(httpRule, "{name: ping, direction: ingress, action: allow, protocol: icmp}"))
	restarts := n.Rounds(restarts)
	talk := talkers(t, h1, h2, judged, func(c conn) error { return say(c, "still there?", ovstest.Patience) })
	felt, _ := feels(t, h1, "10.1.1.2", func() {
		var sent uint64
		for range restarts {
			w.Kill()
			w.Start()
			sent += w.Programmed(1).Bridges[0].FlowModsSent
		}
		t.Logf("%d restarts: %d lines over %d connections, %d connections broken, %d flow-mods sent",
			restarts, talk.lines.Load(), judged, talk.broken.Load(), sent)
		if sent != 0 {
			t.Errorf("%d flow-mods were sent, though nothing had changed", sent)
		}
	})
	if broken := talk.stop(); broken != 0 || felt {
		t.Errorf("the restarts were felt: %d connections broken, %v; pings were lost: %v", broken, talk.why(), felt)
	}
}

// feels reports whether pings are lost while something is done. On a machine that is busy some are lost by themselves, before Open vSwitch
// gets them: there they are lost as well while nothing is done for as long, and nothing can be said.
func feels(t *testing.T, from *sandbox.Host, to string, do func()) (felt, busy bool) {
	t.Helper()
	for range 3 {
		began := time.Now()
		ping := pingUnder(from, to, do)
		took := time.Since(began)
		if t.Logf("ping: %v", ping); ping.sent == ping.received {
			return false, busy
		}
		calm := pingUnder(from, to, func() { <-time.After(took) })
		t.Logf("ping while nothing was done for %v: %v", took.Round(time.Millisecond), calm)
		if busy = true; calm.sent != calm.received {
			return false, busy
		}
	}
	return true, busy
}

// A pinging is what became of pings, 2 ms apart.
type pinging struct{ sent, received int }

func (p pinging) String() string { return fmt.Sprintf("%d of %d answered", p.received, p.sent) }

// pingUnder pings while something is done.
func pingUnder(h *sandbox.Host, to string, do func()) (p pinging) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for {
		out, _ := h.Exec(context.Background(), "ping", "-n", "-q", "-i", "0.002", "-c", "500", to) // that some are lost is no error
		p.add(out)
		select {
		case <-done:
			return p
		default:
		}
	}
}

// add adds what a run of ping says.
func (p *pinging) add(out string) {
	var sent, received int
	if m := pinged.FindStringSubmatch(out); m != nil {
		fmt.Sscan(m[1], &sent)
		fmt.Sscan(m[2], &received)
	}
	p.sent, p.received = p.sent+sent, p.received+received
}

var pinged = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// A talking is connections from one host that say a line now and then.
type talking struct {
	lines, broken atomic.Int64
	first         atomic.Pointer[error] // why one has broken
	cancel        context.CancelFunc
	all           sync.WaitGroup
}

func talkers(t *testing.T, from, to *sandbox.Host, count int, speak func(conn) error) *talking {
	t.Helper()
	echo(t, to, "10.1.1.2:80")
	return talkersTo(t, from, "10.1.1.2:80", count, speak)
}

// talkersTo are talkers to an address where somebody says back what he hears.
func talkersTo(t *testing.T, from *sandbox.Host, address string, count int, speak func(conn) error) *talking {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	talk := &talking{cancel: cancel}
	t.Cleanup(func() { talk.stop() })
	for range count {
		c, err := from.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		talk.all.Go(func() {
			defer c.Close()
			talk.keep(ctx, c, speak)
		})
	}
	return talk
}

// stop ends the connections, and returns how many have broken before.
func (t *talking) stop() int64 {
	t.cancel()
	t.all.Wait()
	return t.broken.Load()
}

// why returns what was wrong with the first connection that has broken, or nil.
func (t *talking) why() error {
	if err := t.first.Load(); err != nil {
		return *err
	}
	return nil
}

// keep speaks on a connection now and then until it is told to stop, or something breaks.
func (t *talking) keep(ctx context.Context, c conn, speak func(conn) error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := speak(c); err != nil {
			t.broken.Add(1)
			t.first.CompareAndSwap(nil, &err)
			return
		}
		t.lines.Add(1)
	}
}

// TestRefusedFlowNamesItsIntentAndStopsNobodyElse gives a table a limit, so that the switch
// refuses the rules of one tenant while another's change goes through.
func TestRefusedFlowNamesItsIntentAndStopsNobodyElse(t *testing.T) {
	n, h1, h2 := pair(t)
	first := "{name: one, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [81]}"
	w := n.Run(pairModel("defaults: {egress: deny}") + forH2(first))
	w.ExpectRefusals = true
	in := 0
	for _, f := range n.Flows() {
		if f.Table == pipeline.PolIn {
			in++
		}
	}
	_, err := n.Vsctl("--id=@full", "create", "Flow_Table", fmt.Sprintf("flow_limit=%d", in), "overflow_policy=refuse",
		"--", "set", "bridge", n.Bridge, fmt.Sprintf("flow_tables:%d=@full", pipeline.PolIn))
	if err != nil {
		t.Fatal(err)
	}
	second := "{name: two, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [82]}"
	out := object("Policy", "name: out, tenant: t", "appliesTo: {endpoints: [h1]}, rules: [{name: any, direction: egress, action: allow}]")
	s := w.Apply(pairModel("defaults: {egress: deny}") + forH2(first, second) + out)
	refused := s.Bridges[0].Refused
	if len(refused) != 1 || refused[0].ID != "t/policy/h2/two" || !strings.Contains(refused[0].Why, "OFPFMFC_TABLE_FULL") {
		t.Fatalf("refused: %+v; want the rule two, for the table is full", refused)
	}
	serve(t, h2, "10.1.1.2:81", "one")
	serve(t, h2, "10.1.1.2:82", "two")
	gets(t, h1, "10.1.1.2:81", "one") // by the new egress rule
	timesOut(t, h1, "10.1.1.2:82")
}
