package test

import (
	"context"
	"fmt"
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
	felt := true
	for try := 0; try < 3 && felt; try++ { // a machine that is too busy loses packets by itself, but not each time
		ping := pingUnder(h1, "10.1.1.2", func() {
			for i := range replacements {
				w.Change(pairModel("allowDisruption: true") + versions[(i+1)%len(versions)])
				if _, err := n.Round(); err != nil { // so that most connections are judged by each
					t.Error(err)
				}
			}
		})
		felt = ping.sent != ping.received
		t.Logf("%d policies: ping: %v, %d lines over %d connections", replacements, ping, talk.lines.Load(), judged)
	}
	cancel()
	made, err := opened()
	broken := talk.stop()
	sent, delivered := denied.stop()
	t.Logf("%d connections broken, %d opened, %d denied packets sent and %d delivered", broken, made, sent, delivered)
	if felt || broken != 0 || delivered != 0 || sent == 0 || err != nil || made == 0 {
		t.Errorf("the replacements were felt: %v", err)
	}
}

// openAllTheTime opens connections one after the other until ctx is done. What it returns
// says how many, and what was wrong with one: also that a segment had to be sent again,
// which takes a second. It leaves some time between them: each policy has the tracker's
// entries read, during which the userspace datapath forwards nothing, 7 ms for 1,000.
func openAllTheTime(ctx context.Context, h *sandbox.Host) (opened func() (int, error)) {
	made := 0
	wrong := make(chan error, 1)
	go func() {
		var err error
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ; ctx.Err() == nil && err == nil; made++ {
			err = openQuickly(h, "10.1.1.2:80")
			<-tick.C
		}
		wrong <- err
	}()
	return func() (int, error) { err := <-wrong; return made, err }
}

func openQuickly(h *sandbox.Host, address string) error {
	const retransmission = time.Second
	begun := time.Now()
	c, err := h.Dial(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if took := time.Since(begun); took >= retransmission {
		return fmt.Errorf("a connection took %v to open", took)
	}
	return say(c, "hello", ovstest.Patience)
}
