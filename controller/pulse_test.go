package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/health"
	"weir/intent"
)

func TestADelayOfTheBridgeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pulse
		var takes atomic.Int64
		takes.Store(int64(time.Millisecond))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.beat(ctx, func(ctx context.Context) error {
				select {
				case <-time.After(time.Duration(takes.Load())):
				case <-ctx.Done():
				}
				return ctx.Err()
			})
		}()
		began := time.Now()
		time.Sleep(time.Second)
		if lost := p.lost(began, time.Now()); lost != 0 {
			t.Errorf("%v were lost of a second in which all was well", lost)
		}
		takes.Store(int64(400 * time.Millisecond))
		time.Sleep(300 * time.Millisecond)
		if lost := p.lost(began, time.Now()); lost < 200*time.Millisecond || lost > 300*time.Millisecond {
			t.Errorf("%v are lost while an answer takes 400 ms", lost)
		}
		takes.Store(int64(time.Millisecond))
		time.Sleep(time.Second)
		if lost := p.lost(began, time.Now()); lost < 390*time.Millisecond || lost > 450*time.Millisecond {
			t.Errorf("%v were lost, want 400 ms", lost)
		}
		if lost := p.lost(time.Now().Add(-500*time.Millisecond), time.Now()); lost != 0 {
			t.Errorf("%v were lost of the last half of a second", lost)
		}
		stop()
		<-done
	})
}

func TestAFailureWhileTheBridgeDidNotAnswerIsNotBelieved(t *testing.T) {
	now, failed := time.Now(), errors.New("failed")
	check := health.Check{Health: intent.Health{Timeout: intent.Second}}
	for name, c := range map[string]struct {
		late     time.Duration
		err      error
		noAnswer bool
		want     error
	}{
		"the bridge answered":                     {0, failed, true, failed},
		"it was late for some of the time":        {400 * time.Millisecond, failed, true, failed},
		"it was late for more than half of it":    {600 * time.Millisecond, failed, true, health.ErrNotAsked},
		"it was late, and an answer came: no":     {600 * time.Millisecond, failed, false, failed},
		"it was late, and the backend did answer": {600 * time.Millisecond, nil, true, nil},
	} {
		var p probing
		p.pulse.delay = []delay{{now.Add(-c.late), now}}
		if got := p.believed(now.Add(-time.Second), check, c.err, c.noAnswer); !errors.Is(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
