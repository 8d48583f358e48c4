package test

import (
	"context"
	"fmt"
	"net"
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

// TestRestart kills the daemon five times (kill -9) under 100 connections that talk and a
// ping every 5 ms: nothing breaks, nothing is lost, and nothing is sent when nothing has
// changed.
func TestRestart(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2(httpRule, "{name: ping, direction: ingress, action: allow, protocol: icmp}"))
	echo(t, h2, "10.1.1.2:80")
	ctx, stop := context.WithCancel(t.Context())
	var lines, broken atomic.Int64
	var talkers sync.WaitGroup
	for range 100 {
		c, err := h1.Dial(t.Context(), "tcp", "10.1.1.2:80")
		if err != nil {
			t.Fatal(err)
		}
		talkers.Go(func() {
			defer c.Close()
			keepTalking(ctx, c, &lines, &broken)
		})
	}
	felt := true
	for try := 0; try < 3 && felt; try++ { // a machine that is too busy loses packets by itself, but not each time
		sent, ping := restartUnderPing(w, h1)
		t.Logf("5 restarts: %d lines over 100 connections, %d connections broken, %d flow-mods sent; ping: %s",
			lines.Load(), broken.Load(), sent, summary(ping))
		if sent != 0 {
			t.Errorf("%d flow-mods were sent, though nothing had changed", sent)
		}
		felt = !strings.Contains(ping, "600 received")
	}
	stop()
	talkers.Wait()
	if broken.Load() != 0 || felt {
		t.Errorf("the restarts were felt")
	}
}

// restartUnderPing kills and starts the daemon five times, and returns how many flow-mods
// it sent and what became of the pings meanwhile.
func restartUnderPing(w *ovstest.Daemon, h *sandbox.Host) (sent uint64, ping string) {
	pinged := make(chan string, 1)
	go func() {
		out, err := h.Exec(context.Background(), "ping", "-n", "-q", "-i", "0.005", "-c", "600", "10.1.1.2")
		pinged <- fmt.Sprint(out, err)
	}()
	for range 5 {
		w.Kill()
		w.Start()
		s := w.Programmed(1)
		sent += s.Bridges[0].FlowModsSent
	}
	return sent, <-pinged
}

// keepTalking says a line now and then until it is told to stop, or something breaks.
func keepTalking(ctx context.Context, c net.Conn, lines, broken *atomic.Int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := say(c, "still there?", ovstest.Patience); err != nil {
			broken.Add(1)
			return
		}
		lines.Add(1)
	}
}

func summary(ping string) string {
	return regexp.MustCompile(`\d+ packets transmitted, \d+ received`).FindString(ping)
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
