package balance

import (
	"slices"
	"testing"
	"time"
)

func TestTheWeightOfABackend(t *testing.T) {
	up := func(b Backend) Backend {
		b.Checked, b.Known, b.Up = true, true, true
		return b
	}
	for name, c := range map[string]struct {
		backend Backend
		want    uint16
	}{
		"nobody asks it":                                  {Backend{Declared: 100}, 100},
		"it drains":                                       {Backend{Declared: 0, Before: 100}, 0},
		"it drains, well or not":                          {up(Backend{Declared: 0}), 0},
		"it is new: it has to answer first":               {Backend{Declared: 100, Checked: true}, 0},
		"Weir is new: what the bridge has stays":          {Backend{Declared: 100, Before: 100, Checked: true}, 100},
		"... also of a slow start":                        {Backend{Declared: 100, Before: 40, Checked: true}, 40},
		"... but not more than what is declared by now":   {Backend{Declared: 50, Before: 100, Checked: true}, 50},
		"it is well":                                      {up(Backend{Declared: 100}), 100},
		"it has failed":                                   {Backend{Declared: 100, Before: 100, Checked: true, Known: true}, 0},
		"it has just become well":                         {up(Backend{Declared: 100, Slow: true}), 10},
		"... a while ago":                                 {up(Backend{Declared: 100, Slow: true, Since: 10 * time.Second}), 20},
		"... almost the whole of its slow start ago":      {up(Backend{Declared: 100, Slow: true, Since: 89 * time.Second}), 90},
		"... longer ago":                                  {up(Backend{Declared: 100, Slow: true, Since: 90 * time.Second}), 100},
		"Weir has found it well: it does not begin again": {up(Backend{Declared: 100, Since: time.Second}), 100},
		"little is never nothing":                         {up(Backend{Declared: 1, Slow: true}), 1},
		"the clock has gone back":                         {up(Backend{Declared: 100, Slow: true, Since: -time.Hour}), 10},
		"it is busy":                                      {up(Backend{Declared: 100, Factor: 0.5}), 50},
		"it is busy, and nobody asks it":                  {Backend{Declared: 200, Factor: 0.5}, 100},
		"it is busier than can be":                        {up(Backend{Declared: 100, Factor: 0.01}), 25},
		"it is busy, and begins slowly":                   {up(Backend{Declared: 1000, Factor: 0.5, Slow: true}), 50},
		"as much as there is":                             {up(Backend{Declared: 65535}), 65535},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := c.backend.Weight(90 * time.Second); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestASlowStartHasTenStepsAndEnds(t *testing.T) {
	for _, whole := range []time.Duration{time.Millisecond, time.Second, 30 * time.Second, 100 * time.Second, 25 * time.Hour} {
		b, seen := Backend{Declared: 100, Checked: true, Known: true, Up: true, Slow: true}, []uint16{}
		for {
			w, next := b.Weight(whole)
			if len(seen) == 0 || seen[len(seen)-1] != w {
				seen = append(seen, w)
			}
			if next == 0 {
				break
			}
			if b.Since += next; b.Since > whole || len(seen) > slowSteps {
				t.Fatalf("%v: %v after %v", whole, seen, b.Since)
			}
		}
		if last := seen[len(seen)-1]; last != 100 || b.Since != whole {
			t.Errorf("%v: it ended with %d after %v", whole, last, b.Since)
		}
		if want := []uint16{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}; whole >= time.Second && !slices.Equal(seen, want) {
			t.Errorf("%v: %v", whole, seen)
		}
	}
	if w, next := (Backend{Declared: 100, Checked: true, Known: true, Up: true, Slow: true}).Weight(0); w != 100 || next != 0 {
		t.Errorf("without a slow start it begins with %d, and goes on after %v", w, next)
	}
}

func TestABusyBackendLosesWeight(t *testing.T) {
	even := []uint16{100, 100, 100}
	for name, c := range map[string]struct {
		open     []int
		weights  []uint16
		strength uint8
		want     []float64 // after many measurements
	}{
		"all are as busy":                       {[]int{50, 50, 50}, even, 100, []float64{1, 1, 1}},
		"nothing is open":                       {[]int{0, 0, 0}, even, 100, []float64{1, 1, 1}},
		"one has all":                           {[]int{300, 0, 0}, even, 100, []float64{0.34, 1, 1}},
		"one has so much that it is bounded":    {[]int{9000, 0, 0, 0, 0, 0, 0, 0, 0, 0}, slices.Repeat([]uint16{100}, 10), 100, []float64{0.25, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		"the strength bounds it as well":        {[]int{300, 0, 0}, even, 20, []float64{0.8, 1, 1}},
		"it should have more, by its weight":    {[]int{100, 50, 50}, []uint16{200, 100, 100}, 100, []float64{1, 1, 1}},
		"of few connections little is followed": {[]int{2, 0, 0}, even, 100, []float64{0.78, 1, 1}},
		"one that drains does not count":        {[]int{1000, 50, 50}, []uint16{0, 100, 100}, 100, []float64{1, 1, 1}},
		"all drain":                             {[]int{1, 2, 3}, []uint16{0, 0, 0}, 100, []float64{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			factors := make([]float64, len(c.open))
			for range 50 {
				factors = ByConnections(c.open, c.weights, c.strength, factors)
			}
			near(t, factors, c.want)
		})
	}
}

func TestAReportedLoadTakesWeight(t *testing.T) {
	for name, c := range map[string]struct {
		loads    []float64
		strength uint8
		want     []float64
	}{
		"idle and half":                         {[]float64{0, 0.5}, 100, []float64{1, 0.5}},
		"all that one can":                      {[]float64{0, 1}, 100, []float64{1, 0.25}},
		"more than one can":                     {[]float64{0, 17}, 100, []float64{1, 0.25}},
		"half as strong":                        {[]float64{0, 1}, 50, []float64{1, 0.5}},
		"one says nothing: it is as the others": {[]float64{0.2, 0.4, -1}, 100, []float64{0.8, 0.6, 0.7}},
		"nobody says anything":                  {[]float64{-1, -1}, 100, []float64{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			factors := make([]float64, len(c.loads))
			for range 50 {
				factors = ByLoad(c.loads, c.strength, factors)
			}
			near(t, factors, c.want)
		})
	}
}

func TestWhatIsMeasuredOnceIsNotBelievedWholly(t *testing.T) {
	factors := ByLoad([]float64{0, 1}, 50, []float64{0, 0})
	near(t, factors, []float64{1, 0.85})
	near(t, ByLoad([]float64{0, 0, 1}, 50, []float64{1, 0.85, 0}), []float64{1, 0.895, 0.85}) // another has come
}

func near(t *testing.T, got, want []float64) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b float64) bool { return a-b < 0.01 && b-a < 0.01 }) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Connections that are spread by the weights come to be as even as the weights can make them, and the
// weights come to rest.
func TestWeightsComeToRest(t *testing.T) {
	declared := []uint16{100, 100, 100, 100}
	open, lasts := []float64{400, 0, 0, 0}, []float64{0.9, 0.9, 0.9, 0.8} // what is left of connections after each round
	factors := make([]float64, len(open))
	inForce, changes := slices.Clone(declared), 0
	for round := range 200 {
		var sum float64
		for _, w := range inForce {
			sum += float64(w)
		}
		now := make([]int, len(open))
		for i := range open {
			open[i] = open[i]*lasts[i] + 40*float64(inForce[i])/sum
			now[i] = int(open[i])
		}
		factors = ByConnections(now, declared, 75, factors)
		var next []uint16
		for i, f := range factors {
			w, _ := Backend{Declared: declared[i], Factor: f}.Weight(0)
			next = append(next, w)
		}
		if Worth(next, inForce) {
			if inForce = next; round > 100 {
				changes++
			}
		}
	}
	if changes > 0 {
		t.Errorf("after 100 rounds the weights were still changed %d times", changes)
	}
	if spread := slices.Max(open[:3]) - slices.Min(open[:3]); spread > 20 {
		t.Errorf("%v connections are open", open)
	}
}

func TestWhatIsWorthAChange(t *testing.T) {
	for name, c := range map[string]struct {
		weights, inForce []uint16
		want             bool
	}{
		"nothing has changed":               {[]uint16{100, 100}, []uint16{100, 100}, false},
		"a tenth is not":                    {[]uint16{100, 91}, []uint16{100, 100}, false},
		"more is":                           {[]uint16{100, 90}, []uint16{100, 100}, true},
		"a tenth more is not":               {[]uint16{110, 100}, []uint16{100, 100}, false},
		"one of very small numbers is not":  {[]uint16{2, 1}, []uint16{1, 1}, false},
		"from nothing":                      {[]uint16{100, 1}, []uint16{100, 0}, true},
		"to nothing":                        {[]uint16{100, 0}, []uint16{100, 1}, true},
		"another backend":                   {[]uint16{100, 100}, []uint16{100}, true},
		"the largest that there are":        {[]uint16{65535, 65535}, []uint16{65535, 60000}, false},
		"of the largest, more than a tenth": {[]uint16{65535, 65535}, []uint16{65535, 50000}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Worth(c.weights, c.inForce); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestReadingTakesLittleOfTheTime(t *testing.T) {
	if got := NextReading(10*time.Second, 2*time.Second); got != 38*time.Second {
		t.Errorf("%v", got)
	}
	if got := NextReading(10*time.Second, time.Millisecond); got != 10*time.Second {
		t.Errorf("%v", got)
	}
}
