package conntrack

import (
	"context"
	"iter"
	"time"
)

// A Spread reads many zones one after another, so that who is asked gets on with other work in
// between: ovs-vswitchd answers nobody else while it writes a dump. One zone cannot be divided:
// a dump takes no other filter.
//
// It belongs to one goroutine at a time. The zero Spread with a Source can be used.
type Spread struct {
	Source Source
	Share  float64 // of the time that reading may take; zero: a fifth; one or more: all of it
	// Few reports whether there are so few connections, of all zones, that they can be read in one
	// go: the userspace datapath goes through all of them for each zone. nil: there are not.
	Few func() bool

	last uint16        // the zone that was read last, so that who is interrupted goes on behind it
	took time.Duration // how long that took
}

// defaultShare is a fifth: with zones of 1,000 connections ovs-vswitchd is busy for 11 ms, and
// then free for 44.
const defaultShare = 0.2

// Entries reads the zones of a list in its order, beginning behind the one that was read last:
// so each has its turn also if readings are given up in the middle. The pause after a zone
// depends on how long that took. f's zone is not heeded.
func (s *Spread) Entries(ctx context.Context, f Filter, zones []uint16) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if len(zones) > 1 && s.Few != nil && s.Few() {
			s.allOf(ctx, f, zones, yield)
			return
		}
		for i, zone := range s.order(zones) {
			f.Zone = zone
			if !s.read(ctx, f, yield) {
				return
			}
			s.last = zone
			if i < len(zones)-1 && !wait(ctx, s.pause(s.took)) {
				yield(Entry{}, ctx.Err())
				return
			}
		}
	}
}

// read reads what f means; false: nobody wants more.
func (s *Spread) read(ctx context.Context, f Filter, yield func(Entry, error) bool) bool {
	began := time.Now()
	for e, err := range s.Source.Entries(ctx, f) {
		if !yield(e, err) {
			return false
		}
	}
	s.took = time.Since(began)
	return true
}

// allOf reads all zones in one go, and tells of some.
func (s *Spread) allOf(ctx context.Context, f Filter, zones []uint16, yield func(Entry, error) bool) {
	wanted := make(map[uint16]bool, len(zones))
	for _, zone := range zones {
		wanted[zone] = true
	}
	f.Zone = 0
	s.read(ctx, f, func(e Entry, err error) bool { return err == nil && !wanted[e.Zone] || yield(e, err) })
}

// order returns zones from behind the one that was read last.
func (s *Spread) order(zones []uint16) []uint16 {
	for i, zone := range zones {
		if zone == s.last && s.last != 0 {
			return append(append([]uint16{}, zones[i+1:]...), zones[:i+1]...)
		}
	}
	return zones
}

// pause returns how long to wait after something that took a time.
func (s *Spread) pause(took time.Duration) time.Duration {
	share := s.Share
	if share == 0 {
		share = defaultShare
	}
	if share >= 1 {
		return 0
	}
	return time.Duration(float64(took) * (1 - share) / share)
}

// Turns lets goroutines of which each reads a zone now and then do so one after another, and gives
// ovs-vswitchd a rest behind each, as a Spread does for one that reads many. Who comes first goes first.
type Turns struct{ free chan time.Time } // since when, or from when on, it may be read; empty: somebody reads

// mostRest is the longest rest of Turns: what a reading is for, such as to end what policy takes back, does
// not wait for longer than that, however large the zone was that somebody else has read.
const mostRest = time.Second

// NewTurns returns Turns in which nobody has read yet.
func NewTurns() *Turns {
	t := &Turns{make(chan time.Time, 1)}
	t.free <- time.Time{}
	return t
}

// Wait waits until it may be read, and returns what has to be called, once, when it has been. The error
// is ctx's, if that ends before.
func (t *Turns) Wait(ctx context.Context) (done func(), err error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case from := <-t.free:
		if !wait(ctx, time.Until(from)) {
			t.free <- from
			return nil, ctx.Err()
		}
	}
	began := time.Now()
	return func() { t.free <- time.Now().Add(min(mostRest, new(Spread).pause(time.Since(began)))) }, nil
}

// Rest waits after something that has kept ovs-vswitchd busy for a time, so that it has four
// times as much for others. The error is ctx's, if that ends before.
func Rest(ctx context.Context, took time.Duration) error {
	if !wait(ctx, new(Spread).pause(took)) {
		return ctx.Err()
	}
	return nil
}

// wait waits; false: there is no time for it.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
