package lb

import (
	"fmt"
	"math"
	"testing"
)

// split returns the weights of the buckets, as group writes them.
func split(weights []uint16) (all []uint16) {
	shares, two := sharesOf(weights)
	for _, s := range shares {
		if two && s > 1 {
			all, s, two = append(all, 1), s-1, false
		}
		if s > 0 {
			all = append(all, s)
		}
	}
	return all
}

func TestSharesAreOfAsFewValuesAsWillDo(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []uint16
		want    string // of the buckets
		values  int
	}{
		{"one", []uint16{100}, "[16]", 16},
		{"two alike", []uint16{100, 100}, "[8 8]", 16},
		{"four alike", []uint16{7, 7, 7, 7}, "[4 4 4 4]", 16},
		{"three alike", []uint16{100, 100, 100}, "[1 42 43 42]", 128},
		{"one without a weight", []uint16{0, 300, 100}, "[12 4]", 16},
		{"far apart", []uint16{65535, 1}, "[255 1]", 256},
		{"of nobody", nil, "[]", 16},
	} {
		buckets := split(c.weights)
		if got := fmt.Sprint(buckets); got != c.want && c.weights != nil || values(buckets) != c.values {
			t.Errorf("%s: %s, of %d values; want %s of %d", c.name, got, values(buckets), c.want, c.values)
		}
	}
}

// TestSharesAreNearForAnyWeights has many backends with weights that have nothing in common.
func TestSharesAreNearForAnyWeights(t *testing.T) {
	for n := 1; n <= 256; n++ {
		weights, sum := make([]uint16, n), 0.0
		for i := range weights {
			weights[i] = uint16(1 + i*i*37%901)
			sum += float64(weights[i])
		}
		buckets := split(weights)
		if len(buckets) > 256 || values(buckets) > 256 {
			t.Fatalf("%d backends: %d buckets, %d values", n, len(buckets), values(buckets))
		}
		shares, _ := sharesOf(weights)
		all := 0
		for _, s := range shares {
			all += int(s)
		}
		for i, s := range shares {
			should, is := float64(weights[i])/sum, float64(s)/float64(all)
			if s == 0 || math.Abs(is-should) > 0.02*should+1.0/256 && s > 1 && n < 64 {
				t.Errorf("%d backends: the one of weight %d has %d of %d, which is %.4f and should be %.4f", n, weights[i], s, all, is, should)
			}
		}
	}
}
