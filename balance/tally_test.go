package balance_test

import (
	"slices"
	"testing"
	"time"

	"weir/balance"
)

func TestConnectionsAreGuessedBetweenTwoCounts(t *testing.T) {
	const s = time.Second
	once := balance.Tally{}.Counted([]int{100, 100}, 0).Given([]uint64{1000, 500})
	if _, ok := once.Guess(s); ok {
		t.Error("something is guessed though it is not known how soon connections end")
	}
	// In 10 s 200 came to the first, of which 200 ended, or others; to the second 50, and it has 50 more.
	twice := once.Given([]uint64{1200, 550}).Counted([]int{100, 150}, 10*s)
	if _, ok := twice.Guess(s); ok {
		t.Error("something is guessed though it is not known who has been given any")
	}
	twice = twice.Given([]uint64{1220, 555})
	for _, c := range []struct {
		what  string
		begun []uint64
		after time.Duration
		want  []int
	}{
		{"nothing has happened yet", []uint64{1220, 555}, 0, []int{100, 150}},
		{"as many come as ended before", []uint64{1320, 555}, 5 * s, []int{100, 150}},
		{"many come to the first", []uint64{1720, 555}, 5 * s, []int{500, 150}},
		{"none come any more", []uint64{1220, 555}, 60 * s, []int{0, 150}},
		{"a counter has begun anew", []uint64{30, 575}, 0, []int{130, 170}},
		{"of others nothing is heard", []uint64{1, 2, 3}, 0, []int{100, 150}},
	} {
		if got, ok := twice.Given(c.begun).Guess(c.after); !ok || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestCountersThatAreLate has 40 connections begun at once and stay, and the counters say so late, or the count does: nobody is
// taken to have less than he has.
func TestCountersThatAreLate(t *testing.T) {
	const s = time.Second
	none, some := []int{0}, []int{40}
	for what, c := range map[string]struct {
		before, after []uint64 // that the counters say in the first two intervals
		first, second []int    // counts
	}{
		"they come before the second count, and are heard of after it": {before: []uint64{0}, after: []uint64{40}, first: none, second: some},
		"they come before the first count":                             {before: []uint64{40}, after: []uint64{40}, first: some, second: some},
		"all is as it should be":                                       {before: []uint64{40}, after: []uint64{40}, first: none, second: some},
	} {
		begun := []uint64{0}
		if c.first[0] > 0 {
			begun = c.before
		}
		tally := balance.Tally{}.Counted(c.first, 0).Given(begun).Given(c.before).Counted(c.second, 6*s).Given(c.after)
		if got, ok := tally.Guess(5 * s); !ok || got[0] != 40 {
			t.Errorf("%s: %v are guessed, want 40", what, got)
		}
		tally = tally.Counted(some, 6*s).Given(c.after)
		if got, ok := tally.Guess(5 * s); !ok || got[0] != 40 {
			t.Errorf("%s: %v are guessed later, want 40", what, got)
		}
	}
}
