package test

import (
	"context"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// replacements is how often the policy is replaced in TestPoliciesReplaced, and judged how
// many connections feel it, and the restarts in TestRestart: not so many that a machine with other work loses
// packets before Open vSwitch gets them.
const (
	replacements = 100
	judged       = 50
)

// TestPoliciesReplaced replaces one policy by another and back under traffic. Each takes
// back what the other allows, so that all connections are judged again each time. What both
// allow is never lost: no line, no ping and no first segment. What both deny never passes.
func TestPoliciesReplaced(t *testing.T) {
	n, h1, h2 := pair(t)
	versions := []string{
		forH2(httpRule, "{name: ping, direction: ingress, action: allow, protocol: icmp}", "{name: one, direction: ingress, action: allow, protocol: tcp, ports: [81]}"),
		forH2("{name: two, direction: ingress, action: allow, protocol: tcp, ports: [82, '8000-8100']}", "{name: no-telnet, direction: ingress, action: deny, protocol: tcp, ports: [23]}",
			"{name: echo, direction: ingress, action: allow, from: {cidrs: [10.1.1.0/30]}, protocol: icmp}", httpRule),
	}
	w := n.Run(pairModel("allowDisruption: true") + versions[0])
	talk := talkers(t, h1, h2, judged, func(c conn) error { return say(c, "still there?", ovstest.Patience) })
	denied := sendDenied(t, h1, h2)
	replacements := n.Rounds(replacements)
	ctx, cancel := context.WithCancel(t.Context())
	opened := openAllTheTime(ctx, h1)
	felt, busy := feels(t, h1, "10.1.1.2", func() {
		for i := range replacements {
			w.Change(pairModel("allowDisruption: true") + versions[(i+1)%len(versions)])
			if _, err := n.Round(); err != nil { // so that most connections are judged by each
				t.Error(err)
			}
		}
		t.Logf("%d policies: %d lines over %d connections", replacements, talk.lines.Load(), judged)
	})
	cancel()
	made, slow, err := opened()
	broken := talk.stop()
	sent, delivered := denied.stop()
	t.Logf("%d connections broken, %d opened, of which %d slowly, %d denied packets sent and %d delivered", broken, made, slow, sent, delivered)
	if felt || slow > 0 && !busy || broken != 0 || delivered != 0 || sent == 0 || err != nil || made == 0 {
		t.Errorf("the replacements were felt: pings were lost: %v; %d of %d connections opened slowly, %v; %d broken, %v; %d delivered that are denied", felt, slow, made, err, broken, talk.why(), delivered)
	}
}

// openAllTheTime opens connections one after the other until ctx is done. What it returns
// says how many, for how many of them a segment had to be sent again, which takes a second, and what was wrong with one. It leaves some time between them: each policy has the tracker's
// entries read, during which the userspace datapath forwards nothing, 7 ms for 1,000.
func openAllTheTime(ctx context.Context, h *sandbox.Host) (opened func() (made, slow int, err error)) {
	made, slow := 0, 0
	wrong := make(chan error, 1)
	go func() {
		var err error
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ; ctx.Err() == nil && err == nil; made++ {
			var quick bool
			if quick, err = opensQuickly(h, "10.1.1.2:80"); !quick {
				slow++
			}
			<-tick.C
		}
		wrong <- err
	}()
	return func() (int, int, error) { err := <-wrong; return made, slow, err }
}

func opensQuickly(h *sandbox.Host, address string) (quick bool, err error) {
	const retransmission = time.Second
	begun := time.Now()
	c, err := h.Dial(context.Background(), "tcp", address)
	if err != nil {
		return false, err
	}
	defer c.Close()
	quick = time.Since(begun) < retransmission
	return quick, say(c, "hello", ovstest.Patience)
}
