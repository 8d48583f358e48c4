package daemon

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestGarbageIsCollectedWhenNothingChanges makes some, with collecting switched off.
func TestGarbageIsCollectedWhenNothingChanges(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	ctx, stop := context.WithCancel(t.Context())
	changes, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tidy(ctx, changes, time.Millisecond)
	}()
	defer func() { stop(); <-done }()
	runtime.GC()
	for range 1000 {
		garbageOf = make([]byte, leastTidy/500)
	}
	if got := garbageNow(); got < leastTidy {
		t.Fatalf("%d bytes of garbage; want more than %d", got, leastTidy)
	}
	collected := func() uint32 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.NumGC
	}
	before := collected()
	changes <- struct{}{}
	ended, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for collected() == before {
		select {
		case <-ended:
			t.Fatal("it is not collected")
		case <-tick.C:
		}
	}
}

var garbageOf []byte // so that the compiler does not see through it
