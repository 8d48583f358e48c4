package balance

import "time"

// A Tally is what is known of the connections of backends, by their places, after they were
// counted. Counting takes its time where there are many, and so is done seldom; how many were
// begun is known sooner, though a little late. What is not known is how many have ended since: it is taken that
// they go on to end as they did before.
//
// Where the two do not fit, because counters are late, it errs to that fewer have come and fewer have
// ended. The zero Tally knows nothing. A Tally never changes.
type Tally struct {
	Open []int // connections that each had; nil: they have not been counted

	first, last []uint64  // connections that each had been given, a while after they were counted and by now; nil: not known
	ends        []float64 // that ended in a second, before; nil: not known
}

// Counted returns the Tally after another count, so long after the last one.
func (t Tally) Counted(open []int, after time.Duration) Tally {
	next := Tally{Open: open}
	if len(t.first) != len(open) || after <= 0 {
		return next
	}
	next.ends = make([]float64, len(open))
	for i := range open {
		ended := t.Open[i] + arrived(t.first[i], t.last[i]) - open[i]
		next.ends[i] = max(0, float64(ended)/after.Seconds())
	}
	return next
}

// Given returns the Tally after it was heard how many connections each backend has been given. The first time
// has to be so long after the count that all that were counted are among them.
func (t Tally) Given(begun []uint64) Tally {
	if len(begun) != len(t.Open) {
		return t
	}
	if t.last = begun; t.first == nil {
		t.first = begun
	}
	return t
}

// Guess returns how many connections each backend may have by now, so long after they were counted. It
// has nothing to say before they have been counted twice, and before it was heard who has been given any.
func (t Tally) Guess(after time.Duration) (open []int, ok bool) {
	if t.ends == nil || t.first == nil {
		return nil, false
	}
	open = make([]int, len(t.Open))
	for i := range open {
		ended := t.ends[i] * after.Seconds()
		open[i] = max(0, t.Open[i]+arrived(t.first[i], t.last[i])-int(ended+0.5))
	}
	return open, true
}

// arrived is by how much a counter has grown, if it has not begun anew.
func arrived(before, now uint64) int {
	if now < before {
		return int(now)
	}
	return int(now - before)
}
