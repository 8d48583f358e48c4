package controller

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A pulse is how soon a bridge answers. While it has much to do, or the daemon has, a backend that
// is asked through it seems not to answer: that says nothing of the backend.
type pulse struct {
	mu    sync.Mutex // guards what follows
	due   time.Time  // when the beat was to be sent that has not been answered; zero: there is none
	delay []delay    // of the beats that were late, the newest last
}

// A delay is a span of time in which nothing was answered.
type delay struct{ from, to time.Time }

// A beat is sent so often, and is late if its answer takes longer than that. So many delays are
// remembered.
const (
	beatEvery = 50 * time.Millisecond
	lateBeat  = 50 * time.Millisecond
	maxDelays = 64
)

// beat asks a bridge again and again for a sign of life, until ctx is done or the session ends.
func (p *pulse) beat(ctx context.Context, barrier func(context.Context) error) {
	for {
		due := time.Now().Add(beatEvery)
		select {
		case <-ctx.Done():
			return
		case <-time.After(beatEvery):
		}
		p.begin(due)
		if barrier(ctx) != nil {
			return
		}
		p.end(time.Now())
	}
}

func (p *pulse) begin(due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = due
}

func (p *pulse) end(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.due) > lateBeat {
		p.delay = append(p.delay[max(0, len(p.delay)-maxDelays+1):], delay{p.due, now})
	}
	p.due = time.Time{}
}

// lost is how much of the time since began nothing was answered.
func (p *pulse) lost(began, now time.Time) (sum time.Duration) {
	p.mu.Lock()
	all := slices.Clone(p.delay)
	if !p.due.IsZero() && now.Sub(p.due) > lateBeat {
		all = append(all, delay{p.due, now})
	}
	p.mu.Unlock()
	for _, d := range all {
		from := d.from
		if from.Before(began) {
			from = began
		}
		if d.to.After(from) {
			sum += d.to.Sub(from)
		}
	}
	return sum
}
