package conntrack

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/sandbox/sandboxtest"
)

// A slow source takes a time for each zone, and has one entry in it.
type slow struct {
	took  time.Duration
	asked *[]uint16
}

func (s slow) Entries(_ context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		*s.asked = append(*s.asked, f.Zone)
		time.Sleep(s.took)
		yield(Entry{Zone: f.Zone}, nil)
	}
}

func zonesOf(t *testing.T, all iter.Seq2[Entry, error]) (zones []uint16) {
	t.Helper()
	for e, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, e.Zone)
	}
	return zones
}

func TestASpreadLeavesTimeForOthers(t *testing.T) {
	for name, c := range map[string]struct {
		share float64
		want  time.Duration // for four zones of 10 ms
	}{
		"a fifth, unless said otherwise": {0, 4*10*time.Millisecond + 3*40*time.Millisecond},
		"half of the time":               {0.5, 7 * 10 * time.Millisecond},
		"all of it":                      {1, 4 * 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := Spread{Source: slow{10 * time.Millisecond, new([]uint16)}, Share: c.share}
				if got := zonesOf(t, s.Entries(t.Context(), Filter{}, []uint16{4, 3, 2, 1})); !slices.Equal(got, []uint16{4, 3, 2, 1}) {
					t.Error(got)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("it took %v, want %v", took, c.want)
				}
			})
		})
	}
}

func TestEachZoneHasItsTurnThoughReadingsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []uint16
		s := Spread{Source: slow{10 * time.Millisecond, &asked}}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 75*time.Millisecond) // for two zones
			var last error
			for _, last = range s.Entries(ctx, Filter{}, []uint16{1, 2, 3, 4, 5}) {
			}
			cancel()
			if !errors.Is(last, context.DeadlineExceeded) {
				t.Error(last)
			}
		}
		if !slices.Equal(asked, []uint16{1, 2, 3, 4, 5, 1}) {
			t.Error(asked)
		}
	})
}

func TestFewAreReadInOneGo(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	sandboxtest.Crowd(t, box, 5, 2)
	few := true
	s := Spread{Source: NewUnixctl(box.RunDir()), Share: 1, Few: func() bool { return few }}
	for range 2 {
		got := zonesOf(t, s.Entries(t.Context(), Filter{}, []uint16{2, 4}))
		slices.Sort(got)
		if !slices.Equal(got, []uint16{2, 2, 4, 4}) {
			t.Error(got)
		}
		few = false
	}
}

// TestTurnsAreTakenOneAfterAnother has ten goroutines read for 10 ms each, at the same time, and a zone of a
// minute behind them.
func TestTurnsAreTakenOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, reading, began := NewTurns(), 0, time.Now()
		read := func(took time.Duration) {
			done, err := turns.Wait(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if reading++; reading > 1 {
				t.Errorf("%d read at a time", reading)
			}
			time.Sleep(took)
			reading--
			done()
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { read(10 * time.Millisecond) })
		}
		all.Wait()
		if took := time.Since(began); took != 10*10*time.Millisecond+9*40*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		read(time.Minute)
		began = time.Now()
		if read(0); time.Since(began) != time.Second {
			t.Errorf("behind a zone of a minute another one waits for %v", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done, err := turns.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := turns.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("who gives up is told %v", err)
		}
		done()
		read(0) // nobody's turn is lost
	})
}
