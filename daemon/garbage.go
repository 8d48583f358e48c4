package daemon

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// How much garbage there may be before it is collected: in percent of what is alive, but not
// less than so many bytes. Most of it comes of reading files: a tenth of a second's work, seldom
// done, would otherwise keep a daemon of 10,000 rules half as large again as it has to be. A
// small one would collect with each change, and take twice as long for it.
const (
	garbage      = 50
	leastGarbage = 24 << 20
)

// muchGarbage is how much there may be, in percent of what is alive, from when much is read that is new until it is in the
// bridges and nothing changes for a while: of 10,000 load balancers a third of what is computed would be collecting.
const muchGarbage = 300

// relaxed is set while there may be so much.
var relaxed atomic.Bool

// relax lets there be much garbage for a while.
func relax() {
	if os.Getenv(gogc) == "" {
		relaxed.Store(true)
		debug.SetGCPercent(muchGarbage)
	}
}

// gogc is where the environment says when garbage is collected.
const gogc = "GOGC"

// collectGarbage has garbage collected at that, unless the environment says when.
func collectGarbage() {
	if os.Getenv(gogc) == "" {
		debug.SetGCPercent(garbage)
		afterCollecting(func() {
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			metrics.Read(live)
			if !relaxed.Load() {
				debug.SetGCPercent(int(max(garbage, 100*leastGarbage/max(live[0].Value.Uint64(), 1<<20))))
			}
		})
	}
}

// afterCollecting has f called after each collection.
func afterCollecting(f func()) {
	runtime.AddCleanup(new([4]uintptr), func(struct{}) {
		f()
		afterCollecting(f)
	}, struct{}{})
}

// tidyAfter is how long nothing has changed before the garbage of what did is collected. Then the
// next change does not have to wait for that.
const tidyAfter = time.Second

// busyFor is how many times as long it is waited for that where much is new: it has to come to the bridges first.
const busyFor = 10

// leastTidy is how much garbage is worth it, in bytes.
const leastTidy = 2 << 20

// tidy collects the garbage of changes once no other one has come for a while.
func tidy(ctx context.Context, changes <-chan struct{}, after time.Duration) {
	var idle <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			wait := after
			if relaxed.Load() {
				wait *= busyFor
			}
			idle = time.After(wait)
		case <-idle:
			idle = nil
			switch {
			case relaxed.Swap(false):
				debug.SetGCPercent(garbage)
				debug.FreeOSMemory()
			case garbageNow() > leastTidy:
				runtime.GC()
			}
		}
	}
}

// tidyUnlessTold tidies, unless the environment says when garbage is collected.
func tidyUnlessTold(ctx context.Context, changes <-chan struct{}) {
	if os.Getenv(gogc) == "" {
		tidy(ctx, changes, tidyAfter)
	}
}

// garbageNow is how much has been allocated since garbage was collected, in bytes.
func garbageNow() uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(heap)
	now, live := heap[0].Value.Uint64(), heap[1].Value.Uint64()
	return now - min(now, live)
}
