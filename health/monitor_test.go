package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/intent"
)

var errSilent = errors.New("no answer")

// A world is backends that are well or silent, and what has been told of them.
type world struct {
	mu     sync.Mutex
	silent map[netip.AddrPort]bool
	asked  map[netip.AddrPort][]time.Time
	told   map[Key][]Verdict
}

func newWorld() *world {
	return &world{silent: map[netip.AddrPort]bool{}, asked: map[netip.AddrPort][]time.Time{}, told: map[Key][]Verdict{}}
}

func (w *world) ask(ctx context.Context, c Check) error {
	w.mu.Lock()
	w.asked[c.Backend] = append(w.asked[c.Backend], time.Now())
	silent := w.silent[c.Backend]
	w.mu.Unlock()
	if silent {
		<-ctx.Done()
		return errSilent
	}
	return nil
}

func (w *world) tell(v Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[v.Key] = append(w.told[v.Key], v)
}

// last is the last verdict about a backend; its Key is empty if there is none.
func (w *world) last(k Key) (v Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if list := w.told[k]; len(list) > 0 {
		v = list[len(list)-1]
	}
	return v
}

func (w *world) tellings(k Key) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told[k])
}

func (w *world) silence(b netip.AddrPort, silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent[b] = silent
}

func (w *world) times(b netip.AddrPort) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked[b])
}

func backendAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
}

func checkOf(b netip.AddrPort) Check {
	return Check{Source: netip.MustParseAddr("10.0.255.254"), Backend: b, Health: intent.Health{
		Type: intent.CheckTCP, Interval: 2 * intent.Second, Timeout: intent.Second, Rise: 2, Fall: 3,
	}}
}

func TestOneThatDiesSilentlyIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := NewMonitor(w.ask, w.tell)
		defer m.Close()
		checks := map[Key]Check{}
		for i := range 500 {
			checks[Key{"t/loadbalancer/web", backendAt(i)}] = checkOf(backendAt(i))
		}
		m.Set(checks)
		time.Sleep(5 * time.Second) // virtual
		for k := range checks {
			if !w.last(k).Up {
				t.Fatalf("%v is not up after 5 s", k)
			}
			w.silence(k.Backend, true)
		}
		died := time.Now()
		time.Sleep(7 * time.Second)
		for k := range checks {
			v := w.last(k)
			if v.Up || !errors.Is(v.Why, errSilent) {
				t.Fatalf("%v is still up, 7 s after it died", k)
			}
			if took := v.At.Sub(died); took > 6*time.Second || took < 2*time.Second {
				t.Errorf("%v was told after %v", k, took)
			}
		}
	})
}

func TestManyAreNotAskedAtOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := NewMonitor(w.ask, w.tell)
		checks := map[Key]Check{}
		for i := range 2000 {
			checks[Key{"t/loadbalancer/web", backendAt(i)}] = checkOf(backendAt(i))
		}
		m.Set(checks)
		time.Sleep(time.Minute)
		m.Close()
		perTenth := map[time.Duration]int{}
		begin := time.Now().Add(-30 * time.Second)
		for _, times := range w.asked {
			for _, at := range times {
				if since := at.Sub(begin); since >= 0 {
					perTenth[since/(100*time.Millisecond)]++
				}
			}
		}
		for tenth, n := range perTenth { // 105 on average
			if n > 250 {
				t.Errorf("%d questions in the tenth of a second number %d", n, tenth)
			}
		}
	})
}

func TestWhatIsAskedAlreadyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := NewMonitor(w.ask, w.tell)
		defer m.Close()
		b := backendAt(1)
		one, other := Key{"t/loadbalancer/one", b}, Key{"t/loadbalancer/other", b}
		m.Set(map[Key]Check{one: checkOf(b)})
		time.Sleep(10 * time.Second)
		asked := w.times(b)
		slow := checkOf(b)
		slow.Health.SlowStart = intent.Minute // nothing that is asked
		m.Set(map[Key]Check{one: checkOf(b), other: slow})
		synctest.Wait()
		if !w.last(other).Up || w.times(b) != asked {
			t.Errorf("who asks what is known waits for it: %v, asked %d times before and %d after", w.last(other), asked, w.times(b))
		}
		if n := w.tellings(one); n != 1 {
			t.Errorf("one was told %d times", n)
		}
		m.Set(map[Key]Check{other: checkOf(b)})
		w.silence(b, true)
		time.Sleep(7 * time.Second)
		if w.last(other).Up || !w.last(one).Up {
			t.Errorf("of %v only the one that still asks is to be told", w.told)
		}
	})
}

func TestAnotherCheckBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := NewMonitor(w.ask, w.tell)
		b := backendAt(1)
		k := Key{"t/loadbalancer/one", b}
		m.Set(map[Key]Check{k: checkOf(b)})
		time.Sleep(10 * time.Second)
		faster := checkOf(b)
		faster.Health.Interval = intent.Second
		m.Set(map[Key]Check{k: faster})
		time.Sleep(10 * time.Second)
		if n := w.tellings(k); n != 2 {
			t.Errorf("it was told %d times", n)
		}
		m.Set(nil)
		asked := w.times(b)
		time.Sleep(10 * time.Second)
		if w.times(b) != asked {
			t.Error("it is asked although nobody wants to know")
		}
		m.Close()
	})
}

func TestCloseDoesNotWaitForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := NewMonitor(w.ask, w.tell)
		b := backendAt(1)
		w.silence(b, true)
		m.Set(map[Key]Check{{"t/loadbalancer/one", b}: checkOf(b)})
		time.Sleep(1100 * time.Millisecond)
		began := time.Now()
		m.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWhatWasNotAskedCountsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWorld(), backendAt(1)
		var lost atomic.Bool
		m := NewMonitor(func(ctx context.Context, c Check) error {
			err := w.ask(ctx, c)
			if lost.Load() {
				return fmt.Errorf("%w: %w", ErrNotAsked, err)
			}
			return err
		}, w.tell)
		defer m.Close()
		k := Key{"t/loadbalancer/one", b}
		m.Set(map[Key]Check{k: checkOf(b)})
		time.Sleep(5 * time.Second)
		w.silence(b, true)
		lost.Store(true)
		time.Sleep(time.Minute)
		if !w.last(k).Up {
			t.Error("it is down although nobody could ask it")
		}
		lost.Store(false)
		time.Sleep(8 * time.Second)
		if w.last(k).Up {
			t.Error("it is up although it does not answer")
		}
	})
}
