package health

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// A Monitor asks backends again and again. Its methods may be called by several goroutines.
type Monitor struct {
	ask  func(context.Context, Check) (load float64, err error)
	tell func(Verdict)
	each bool // good answer is told

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	runs map[string]*run
}

// ErrNotAsked is what a question came to that may never have reached the backend, or its answer
// never us: it counts for nothing.
var ErrNotAsked = errors.New("it could not be asked")

// A run is one backend that is asked, and for whom.
type run struct {
	check Check
	tally *tally // of its goroutine
	stop  context.CancelFunc
	fresh chan struct{} // of capacity 1: somebody new wants to know

	told map[Key]bool // guarded by the Monitor's mu: the last verdict has been told
	last Verdict      // ... and what it is, without a key
}

// NewMonitor returns a Monitor that asks nobody yet. ask asks a backend, and returns nil if it
// is well; when its context is done it has to return. tell is called for each verdict: those about
// one Key come one after the other, of different goroutines. It may wait.
func NewMonitor(ask func(context.Context, Check) error, tell func(Verdict)) *Monitor {
	return newMonitor(false, func(ctx context.Context, c Check) (float64, error) { return 0, ask(ctx, c) }, tell)
}

// NewLoadMonitor returns a Monitor that asks backends for their load, and tells each good answer.
// One that says nothing is told of as in any Monitor.
func NewLoadMonitor(ask func(context.Context, Check) (load float64, err error), tell func(Verdict)) *Monitor {
	return newMonitor(true, ask, tell)
}

func newMonitor(each bool, ask func(context.Context, Check) (float64, error), tell func(Verdict)) *Monitor {
	m := &Monitor{each: each, ask: ask, tell: tell, runs: map[string]*run{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// Set says who is asked from now on. What is asked already goes on as it was. Of a Key that is
// not in checks any more a last verdict may still be told.
func (m *Monitor) Set(checks map[Key]Check) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wanted := map[string]map[Key]bool{}
	for key, c := range checks {
		k := c.key()
		if m.runs[k] == nil {
			m.begin(k, c)
		}
		if wanted[k] == nil {
			wanted[k] = map[Key]bool{}
		}
		told := m.runs[k].told[key]
		wanted[k][key] = told
		if !told {
			m.runs[k].wake()
		}
	}
	for k, r := range m.runs {
		if r.told = wanted[k]; r.told == nil {
			r.stop()
			delete(m.runs, k)
		}
	}
}

// Close asks nobody any more, and returns when nothing more is told.
func (m *Monitor) Close() {
	m.stop()
	m.done.Wait()
}

// begin asks a backend until nobody wants to know any more.
func (m *Monitor) begin(key string, c Check) {
	ctx, stop := context.WithCancel(m.ctx)
	r := &run{check: c, tally: newTally(c), stop: stop, fresh: make(chan struct{}, 1)}
	m.runs[key] = r
	m.done.Go(func() {
		defer stop()
		m.keepAsking(ctx, r)
	})
}

// wake has the goroutine of r tell somebody new what is known.
func (r *run) wake() {
	select {
	case r.fresh <- struct{}{}:
	default:
	}
}

// keepAsking asks a backend until ctx is done. The first question is asked at some moment of
// half an interval, so that those who begin together do not go on together.
func (m *Monitor) keepAsking(ctx context.Context, r *run) {
	next := time.NewTimer(rand.N(r.check.interval()/2 + 1))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.fresh:
			m.tellAll(ctx, r)
		case <-next.C:
			began := time.Now()
			m.askOnce(ctx, r)
			next.Reset(time.Until(began.Add(earlier(r.tally.pause(r.check.timeout())))))
		}
	}
}

// earlier returns up to a tenth less of a pause: those who are asked at one moment are not for
// long.
func earlier(pause time.Duration) time.Duration { return pause - rand.N(pause/10+1) }

// askOnce asks a backend, and tells what has become of it.
func (m *Monitor) askOnce(ctx context.Context, r *run) {
	timed, cancel := context.WithTimeout(ctx, r.check.timeout())
	defer cancel()
	load, err := m.ask(timed, r.check)
	if errors.Is(err, ErrNotAsked) {
		return
	}
	if ctx.Err() != nil || !r.tally.count(err == nil, time.Now()) && !(m.each && r.tally.up && err == nil) {
		return
	}
	m.mu.Lock()
	r.last = Verdict{Up: err == nil, Why: err, At: r.tally.since, Load: load}
	for key := range r.told {
		r.told[key] = false
	}
	m.mu.Unlock()
	m.tellAll(ctx, r)
}

// tellAll tells the last verdict to those who do not know it.
func (m *Monitor) tellAll(ctx context.Context, r *run) {
	m.mu.Lock()
	var list []Verdict
	for key, told := range maps.All(r.told) {
		if !told && !r.last.At.IsZero() {
			v := r.last
			v.Key, r.told[key] = key, true
			list = append(list, v)
		}
	}
	m.mu.Unlock()
	for _, v := range list {
		if ctx.Err() == nil {
			m.tell(v)
		}
	}
}
