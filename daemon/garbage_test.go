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

// TestMuchGarbageIsForAWhile lets there be much, and waits until there may not be.
func TestMuchGarbageIsForAWhile(t *testing.T) {
	t.Setenv(gogc, "")
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	ctx, stop := context.WithCancel(t.Context())
	changes, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tidy(ctx, changes, time.Millisecond)
	}()
	defer func() { stop(); <-done }()
	relax()
	if was := debug.SetGCPercent(muchGarbage); was != muchGarbage {
		t.Errorf("%d percent, want %d", was, muchGarbage)
	}
	changes <- struct{}{}
	ended, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for relaxed.Load() {
		select {
		case <-ended:
			t.Fatal("there may still be much garbage")
		case <-tick.C:
		}
	}
	stop()
	<-done
	if is := debug.SetGCPercent(garbage); is != garbage {
		t.Errorf("%d percent after a while, want %d", is, garbage)
	}
}

var garbageOf []byte // so that the compiler does not see through it
