package maglev

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// some returns n backends with a weight.
func some(n int, weight uint16) (all []Backend) {
	for i := range n {
		all = append(all, Backend{fmt.Sprintf("10.0.%d.%d:80", i/250, i%250+1), weight})
	}
	return all
}

// algorithms are both ways to fill a table, and how far from its share, of it, a backend may be.
var algorithms = map[string]struct {
	fill func([]Backend, int) []int
	off  float64
}{"Table": {Table, 0.05}, "Rendezvous": {Rendezvous, 0.75}}

// names returns who has each slot.
func names(backends []Backend, table []int) (all []string) {
	for _, i := range table {
		name := ""
		if i != None {
			name = backends[i].Name
		}
		all = append(all, name)
	}
	return all
}

// moved counts the slots that are another's, and of these those whose owner is still there.
func moved(before, after []string, there []Backend) (all, needless int) {
	for i := range before {
		if before[i] == after[i] {
			continue
		}
		all++
		if slices.ContainsFunc(there, func(b Backend) bool { return b.Name == before[i] && b.Weight > 0 }) {
			needless++
		}
	}
	return all, needless
}

func TestEachBackendGetsItsShare(t *testing.T) {
	for name, a := range algorithms {
		for _, n := range []int{1, 2, 3, 7, 10, 32, 100} {
			backends, slots := some(n, 100), 4096
			if n > 2 {
				backends[0].Weight, backends[1].Weight = 300, 0
			}
			sum, got := 0.0, map[int]float64{}
			for _, b := range backends {
				sum += float64(b.Weight)
			}
			for _, i := range a.fill(backends, slots) {
				got[i]++
			}
			for i, b := range backends {
				want := float64(slots) * float64(b.Weight) / sum
				if off := math.Abs(got[i] - want); off > 3 && off > a.off*want || b.Weight == 0 && got[i] > 0 {
					t.Errorf("%s: of %d backends, %s has %v slots of %d, want %.0f", name, n, b.Name, got[i], slots, want)
				}
			}
		}
	}
}

func TestFewMoveWhenOneOfTenLeaves(t *testing.T) {
	for name, a := range algorithms {
		for _, slots := range []int{512, 1024, 4096} {
			backends := some(10, 100)
			before := names(backends, a.fill(backends, slots))
			for i := range backends {
				left := slices.Delete(slices.Clone(backends), i, i+1)
				all, needless := moved(before, names(left, a.fill(left, slots)), left)
				if share := float64(all) / float64(slots); share >= 0.15 {
					t.Errorf("%s: %.1f %% of %d slots move when %s leaves", name, 100*share, slots, backends[i].Name)
				}
				if name == "Rendezvous" && needless > 0 {
					t.Errorf("%d slots move that would not have to", needless)
				}
			}
		}
	}
}

func TestOnlyThoseMoveThatMust(t *testing.T) {
	backends := some(8, 100)
	before := names(backends, Rendezvous(backends, 1024))
	for what, change := range map[string]func([]Backend) []Backend{
		"one drains":      func(b []Backend) []Backend { b[3].Weight = 0; return b },
		"one gets less":   func(b []Backend) []Backend { b[3].Weight = 50; return b },
		"one comes":       func(b []Backend) []Backend { return append(b, Backend{"new", 100}) },
		"two leave":       func(b []Backend) []Backend { return b[:6] },
		"they are sorted": func(b []Backend) []Backend { slices.Reverse(b); return b },
	} {
		now := change(slices.Clone(backends))
		after := names(now, Rendezvous(now, 1024))
		for i := range before {
			was, is := before[i], after[i]
			least := slices.ContainsFunc(now, func(b Backend) bool { return b.Name == was && b.Weight == 100 })
			if was != is && least && is != "new" {
				t.Fatalf("%s: slot %d goes from %s to %s", what, i, was, is)
			}
		}
	}
}

func TestTheOrderOfBackendsIsOfLittleMatterAndWeightsAsAWholeOfNone(t *testing.T) {
	for name, a := range algorithms {
		if !slices.Equal(a.fill(some(9, 1), 512), a.fill(some(9, 65535), 512)) {
			t.Errorf("%s: weights that are all others give another table", name)
		}
	}
}

func TestNobodyHasSlotsOfBackendsWithoutWeight(t *testing.T) {
	for name, a := range algorithms {
		for _, backends := range [][]Backend{nil, some(3, 0)} {
			if i := slices.IndexFunc(a.fill(backends, 256), func(b int) bool { return b != None }); i >= 0 {
				t.Errorf("%s of %v: slot %d is somebody's", name, backends, i)
			}
		}
	}
}

func TestWeightsThatAreFarApartEnd(t *testing.T) {
	table := Table([]Backend{{"a", 65535}, {"b", 1}}, 4096)
	if slices.Contains(table, None) {
		t.Error("a slot is nobody's")
	}
}

// TestATableIsForLife has a table that must be the same on every machine and in every version.
func TestATableIsForLife(t *testing.T) {
	backends := []Backend{{"10.0.0.1:80", 2}, {"10.0.0.2:80", 1}, {"10.0.0.3:80", 1}}
	for name, want := range map[string]string{"Table": wantTable, "Rendezvous": wantRendezvous} {
		if got := fmt.Sprint(algorithms[name].fill(backends, 16)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

const (
	wantTable      = "[1 1 2 0 0 1 2 0 0 1 0 2 0 0 0 2]"
	wantRendezvous = "[0 2 0 0 0 1 0 2 1 0 0 1 2 0 2 1]"
)
