// Package sidebyside times our way of doing a thing beside a peer's, in turns and in
// one run, so that a busy machine slows both and their ratio stays true.
package sidebyside

import (
	"slices"
	"testing"
	"time"
)

// A Way is one way of doing the same work.
type Way struct {
	Name string
	Do   func() error // once; what has to be set up and undone for it goes into Before
	// Before is not timed. It may be nil.
	Before func() error
}

// Time runs ours and each peer in turns, b.N rounds and three at least, and reports for each the median
// time of one run (ms/name), and for each peer how many times as long as ours it took
// (x-name): more than 1 means that ours is faster.
func Time(b *testing.B, ours Way, peers ...Way) {
	b.Helper()
	ways := append([]Way{ours}, peers...)
	took := make([][]time.Duration, len(ways))
	for range max(b.N, 3) { // what takes longer than a second would be run once, and a median of one is luck
		for i, w := range ways {
			took[i] = append(took[i], once(b, w))
		}
	}
	b.ReportMetric(0, "ns/op") // the sum of all ways says nothing
	mine := median(took[0])
	b.ReportMetric(mine.Seconds()*1e3, "ms/"+ours.Name)
	for i, p := range peers {
		theirs := median(took[i+1])
		b.ReportMetric(theirs.Seconds()*1e3, "ms/"+p.Name)
		b.ReportMetric(float64(theirs)/float64(mine), "x-"+p.Name)
	}
}

func once(b *testing.B, w Way) time.Duration {
	b.Helper()
	if w.Before != nil {
		if err := w.Before(); err != nil {
			b.Fatalf("%s: %v", w.Name, err)
		}
	}
	start := time.Now()
	if err := w.Do(); err != nil {
		b.Fatalf("%s: %v", w.Name, err)
	}
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return max(d[len(d)/2], 1)
}
