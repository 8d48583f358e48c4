package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// TestStormOfReportsAndRejects has 8 clients connect and reset through a rule that reports
// every connection, while 8 others connect to where they are rejected, as fast as they can.
// What is allowed never fails; what is answered and reported keeps to the rates of the tenant;
// ovs-vswitchd is asked about few, and is the same process afterwards.
func TestStormOfReportsAndRejects(t *testing.T) {
	n, h1, h2 := pair(t)
	model := func(spec string) string {
		return pairModel(spec) + forH2("{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80], log: new}",
			"{name: rest, direction: ingress, action: reject, log: sampled}")
	}
	w := n.Run(model("limits: {newPerSecond: 1000000}"))
	echo(t, h2, "10.1.1.2:80")
	ctx, stop := context.WithTimeout(t.Context(), stormTime(t))
	defer stop()
	var done, failed, refused, silent atomic.Int64
	var why sync.Map
	before, began := upcalls(t, n), time.Now()
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				port := 20000 + 100*i + k%100
				if i%2 == 0 {
					tally(once(h1, port, "10.1.1.2:80"), &done, &failed, &why)
				} else if turnedAway(ctx, h1, port, "10.1.1.2:81") {
					refused.Add(1)
				} else {
					silent.Add(1)
				}
			}
		})
	}
	clients.Wait()
	took := time.Since(began)
	asked := upcalls(t, n) - before
	t.Logf("in %v: %d connections allowed, %d failed; %d rejected with an answer, %d without; %d upcalls", took.Round(time.Second), done.Load(), failed.Load(), refused.Load(), silent.Load(), asked)
	if failed.Load() > 0 || done.Load() < int64(n.Rounds(100)) {
		why.Range(func(k, _ any) bool { t.Log(k); return true })
		t.Errorf("%d of %d connections failed", failed.Load(), done.Load()+failed.Load())
	}
	seconds := int64(took/time.Second) + 3 // one's worth passes at once, and two in the kernel
	if refused.Load() > 50*seconds || refused.Load() < 50 {
		t.Errorf("%d were answered in %v; the rate is 50 a second", refused.Load(), took)
	}
	if asked > int(done.Load())/100+50 {
		t.Errorf("ovs-vswitchd was asked %d times", asked)
	}
	reported := uint64(0)
	for _, o := range observed(t, w) {
		reported = max(reported, o.N)
	}
	if reported > uint64(105*seconds) || reported < uint64(min(done.Load(), 100)) { // a slow guest opens fewer than the rate lets be reported
		t.Errorf("%d reports in %v; the rates are 100 and 5 a second", reported, took)
	}
	leavesNoMeter(t, n, w)
}

// tally counts what became of a connection.
func tally(err error, done, failed *atomic.Int64, why *sync.Map) {
	if err != nil {
		failed.Add(1)
		why.Store(err.Error(), true)
		return
	}
	done.Add(1)
}

// turnedAway reports whether a host hears within a little that it is refused.
func turnedAway(ctx context.Context, h *sandbox.Host, port int, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	c, err := h.DialFrom(ctx, &net.TCPAddr{Port: port}, "tcp", address)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// leavesNoMeter kills the daemon, has it come back with a model without meters, and wants
// none to be left, but that of somebody else.
func leavesNoMeter(t *testing.T, n *ovstest.Net, w *ovstest.Daemon) {
	t.Helper()
	theirs := ofproto.MeterConfig{ID: 5, Flags: ofproto.MeterPacketsPerSecond, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 1}}}
	if err := n.Session().Do(t.Context(), ofproto.MeterMod{Meter: theirs}); err != nil {
		t.Fatal(err)
	}
	w.Kill()
	n.Run(pairModel(""))
	ovstest.Eventually(t, "one meter is left", func() error {
		text, err := n.Ofctl("-O", "OpenFlow13", "dump-meters", n.Bridge)
		if err != nil || strings.Count(text, "meter=") != 1 || !strings.Contains(text, "meter=5 ") {
			return fmt.Errorf("%s, %v", text, err)
		}
		return nil
	})
}
