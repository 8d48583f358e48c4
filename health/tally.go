package health

import "time"

// How long a backend has to be well before it is believed again. One that fails within so many
// intervals after it came back has to give twice as many good answers in a row as the time
// before, but not more than so many times the check's rise.
const (
	calm      = 30
	maxWorse  = 5 // doublings: 32 times
	maxDamped = 5 * time.Minute
)

// A tally counts the answers of one backend. It knows no clock.
type tally struct {
	rise, fall int
	interval   time.Duration

	known, up bool
	good, bad int       // in a row; at most one of them is not zero
	back      bool      // it was not well, and is
	worse     int       // how often it has failed again soon after that
	since     time.Time // it is what it is
}

func newTally(c Check) *tally {
	return &tally{rise: c.rise(), fall: c.fall(), interval: c.interval()}
}

// count takes note of an answer, and reports whether the backend has become another by it.
func (t *tally) count(ok bool, at time.Time) (changed bool) {
	if ok {
		t.good, t.bad = t.good+1, 0
	} else {
		t.good, t.bad = 0, t.bad+1
	}
	switch {
	case ok && !t.up && (!t.known || t.good >= t.wanted()):
		t.back = t.known
	case !ok && (t.up || !t.known) && t.bad >= t.fall:
		t.fell(at)
	default:
		return false
	}
	t.known, t.up, t.since = true, ok, at
	return true
}

// fell remembers a failure, if it came soon after a return.
func (t *tally) fell(at time.Time) {
	switch {
	case !t.up || !t.back:
	case at.Sub(t.since) < calm*t.interval:
		t.worse = min(t.worse+1, maxWorse)
	default:
		t.worse = 0
	}
}

// wanted is how many good answers in a row make it well again.
func (t *tally) wanted() int {
	bound := max(t.rise, int(maxDamped/t.interval))
	return min(t.rise<<t.worse, bound)
}

// pause is how long after the last question the next one is asked. As soon as one has failed,
// the others come so close that the last of them has failed when fall intervals have passed
// since the last good answer.
func (t *tally) pause(timeout time.Duration) time.Duration {
	if !t.up || t.bad == 0 || t.fall < 2 {
		return t.interval
	}
	return max(t.interval-timeout/time.Duration(t.fall-1), 0)
}
