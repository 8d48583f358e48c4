// Package balance says what weight a backend of a load balancer has at a moment: from the
// weight that is declared, from whether it is well and since when, and from how busy it is.
//
// It computes, and knows no clock: times come as what has passed since something.
package balance

import "time"

// A Backend is what is known of a backend at a moment.
type Backend struct {
	Declared uint16        // its weight; zero: it drains, and keeps zero
	Before   uint16        // its weight in force: kept until something is known
	Checked  bool          // somebody asks it; if not, it is taken to be well
	Known    bool          // ... and there is a verdict
	Up       bool          // the verdict
	Slow     bool          // it had no weight when it became well
	Since    time.Duration // since the verdict
	Factor   float64       // of how busy it is, from Least to 1; zero: not known, which is 1
}

// Failed reports whether a backend is known not to be well: what is open to it has to end, or is
// going to.
func (b Backend) Failed() bool { return b.Checked && b.Known && !b.Up }

// slowSteps is in how many steps the weight of one that has become well rises: 10 %, 20 %, ...
const slowSteps = 10

// Weight returns the weight of b, and after what time it will be another without anything
// happening; zero: it will not.
//
// What nobody has heard of keeps what it had: nothing, where it is new, and what the bridge
// has, where it is Weir that is new.
func (b Backend) Weight(slowStart time.Duration) (weight uint16, next time.Duration) {
	switch {
	case b.Declared == 0 || b.Failed():
		return 0, 0
	case b.Checked && !b.Known:
		return min(b.Before, b.Declared), 0
	}
	step := slowSteps
	if b.Checked && b.Slow {
		step, next = begun(b.Since, slowStart)
	}
	share := float64(step) / slowSteps
	if b.Factor != 0 {
		share *= min(max(b.Factor, Least), 1)
	}
	return max(uint16(float64(b.Declared)*share+0.5), 1), next
}

// begun returns in which of slowSteps steps a slow start is, and when the next one begins. The
// last one begins when it is over.
func begun(since, slowStart time.Duration) (step int, next time.Duration) {
	if since >= slowStart || slowStart < time.Millisecond { // none, or none that is one
		return slowSteps, 0
	}
	length := slowStart / (slowSteps - 1)
	done := int(max(since, 0) / length)
	done = min(done, slowSteps-2)
	next = time.Duration(done+1) * length
	if done == slowSteps-2 {
		next = slowStart
	}
	return done + 1, next - since
}
