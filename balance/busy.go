package balance

import "time"

// Least is what is left of the weight of the busiest backend: a quarter. So much less is as
// much as a measure that is late, and never exact, may do.
const Least = 0.25

// Smoothing: a factor goes so much of the way to what was measured, each time that something was
// measured; and what is measured is little where there is little.
const (
	approach = 0.3
	few      = 4 // connections, that are added to what each has and should have
)

// ByConnections returns the factors of backends after it was counted how many connections each has.
// weights are those that say what each should have of them; strength is how many percent of its
// weight one may lose. before are the factors so far, by the same places; zero: none.
func ByConnections(open []int, weights []uint16, strength uint8, before []float64) []float64 {
	var all, sum float64
	for i, w := range weights {
		sum += float64(w)
		if w > 0 {
			all += float64(open[i])
		}
	}
	measured := make([]float64, len(open))
	for i, w := range weights {
		measured[i] = 1
		if w == 0 {
			continue
		}
		should := all * float64(w) / sum
		measured[i] = (should + few) / (float64(open[i]) + few)
	}
	return approached(measured, strength, before)
}

// ByLoad is ByConnections by the loads that backends have said: 0 is idle, 1 all that one can. One
// that has said nothing, which is less than zero, is taken for one of the mean.
func ByLoad(loads []float64, strength uint8, before []float64) []float64 {
	var sum, n float64
	for _, l := range loads {
		if l >= 0 {
			sum, n = sum+min(l, 1), n+1
		}
	}
	measured := make([]float64, len(loads))
	for i, l := range loads {
		if l < 0 {
			l = sum / max(n, 1)
		}
		measured[i] = 1 - float64(strength)/100*min(l, 1)
	}
	return approached(measured, strength, before)
}

// approached goes some of the way to what was measured.
func approached(measured []float64, strength uint8, before []float64) []float64 {
	least := max(Least, 1-float64(strength)/100)
	factors := make([]float64, len(measured))
	for i, f := range measured {
		was := before[i]
		if was == 0 {
			was = 1
		}
		factors[i] = was + approach*(min(max(f, least), 1)-was)
	}
	return factors
}

// Worth reports whether weights are so different from those in force that they are worth a change
// of the bridge: one by more than a tenth, or to or from nothing.
func Worth(weights, inForce []uint16) bool {
	if len(weights) != len(inForce) {
		return true
	}
	for i, w := range weights {
		was := inForce[i]
		most, least := int(max(w, was)), int(min(w, was))
		if (w == 0) != (was == 0) || 10*most > 11*least && most-least > 1 {
			return true
		}
	}
	return false
}

// NextReading is how long to wait until the connections are read again: as the model says, but
// never so soon that reading takes more than a twentieth of the time.
func NextReading(interval, took time.Duration) time.Duration { return max(interval, 19*took) }
