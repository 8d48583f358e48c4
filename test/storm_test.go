package test

import (
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

// stormTime is how long the storm lasts: WEIR_STORM says otherwise.
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

// TestStorm has 16 clients connect, exchange a line and reset, with ports that come again
// and again, in the same network and routed, while the policy is replaced, the zone is
// listed and packets are traced. No connection fails that the policies before and after
// allow, and ovs-vswitchd is the same process afterwards.
func TestStorm(t *testing.T) {
	n, web, app, db := routed(t)
	targets := []string{"10.1.0.12:80", "10.2.0.13:80"}
	echo(t, app, targets[0])
	echo(t, db, targets[1])
	var done, failed atomic.Int64
	var why sync.Map
	ctx, stop := context.WithTimeout(t.Context(), stormTime(t))
	defer stop()
	upcallsBefore := upcalls(t, n)
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				err := once(web, 20000+100*i+k%100, targets[i%2])
				if err != nil {
					failed.Add(1)
					why.Store(err.Error(), true)
				} else {
					done.Add(1)
				}
			}
		})
	}
	edits := unsettle(ctx, t, n)
	clients.Wait()
	perThousand := float64(upcalls(t, n)-upcallsBefore) / float64(max(done.Load(), 1)) * 1000
	t.Logf("storm: %d connections, %d failed, %d policies, %.1f upcalls per 1,000 connections", done.Load(), failed.Load(), edits, perThousand)
	if failed.Load() > 0 || done.Load() < 100 {
		why.Range(func(k, _ any) bool { t.Log(k); return true })
		t.Errorf("%d of %d connections failed", failed.Load(), done.Load()+failed.Load())
	}
}

// once connects from a port, exchanges a line, and resets.
func once(h *sandbox.Host, port int, target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ovstest.Patience)
	defer cancel()
	c, err := h.DialFrom(ctx, &net.TCPAddr{Port: port}, "tcp4", target)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	if err := say(c, "hello", ovstest.Patience); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	return c.(*net.TCPConn).SetLinger(0)
}

// unsettle replaces the policy and looks at everything until ctx is done, and returns how
// many policies there were.
func unsettle(ctx context.Context, t *testing.T, n *ovstest.Net) (edits int) {
	more := policy("t", "more", "{name: ssh, direction: ingress, action: allow, protocol: tcp, ports: [22]}",
		"{name: no-telnet, direction: ingress, action: deny, protocol: tcp, ports: [23]}")
	for ; ctx.Err() == nil; edits++ {
		n.Weir.Apply(routedModel + map[bool]string{true: more}[edits%2 == 0])
		n.Weir.Connections("t")
		if _, err := n.Appctl("ofproto/trace", n.Bridge, "in_port=1,tcp,dl_src="+mac(1)+",dl_dst="+mac(2)+",nw_src=10.1.0.11,nw_dst=10.1.0.12,tp_dst=80"); err != nil {
			t.Error(err)
		}
	}
	return edits
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
