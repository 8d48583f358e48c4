package store

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/intent"
)

type zones = map[intent.ID]uint16

func TestARetiredZoneStaysRetiredOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n := open(t, path)
	assign(t, n, wants(zones{"a": 0, "b": 0}))
	assign(t, n, wants(zones{"b": 0}))
	n = open(t, path)
	if got := n.Retired(); !slices.Equal(got, []uint16{FirstZone}) {
		t.Fatalf("retired: %v", got)
	}
	if err := n.Release(FirstZone); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path).Retired(); len(got) > 0 {
		t.Errorf("released, and retired after a restart: %v", got)
	}
}

func TestATenantThatComesBackGetsNeitherItsZoneNorItsEpochBack(t *testing.T) {
	n := Mem()
	assign(t, n, wants(zones{"a": 0}, "rule"))
	if _, err := n.Raise(map[intent.ID]uint8{"a": 1}); err != nil {
		t.Fatal(err)
	}
	tag := assign(t, n, wants(zones{})).Tag("rule")
	back := assign(t, n, wants(zones{"a": 0}, "rule"))
	if back.Zone("a") != FirstZone+1 || back.Epoch("a") != 1 || back.Tag("rule") != tag || tag == 0 {
		t.Errorf("zone %d, epoch %d, tag %d", back.Zone("a"), back.Epoch("a"), back.Tag("rule"))
	}
}

func TestZonesThatCannotBeGivenChangeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		wants zones
		want  string
	}{
		"another tenant has it":          {zones{"a": 50, "b": FirstZone, "c": FirstZone}, `is the zone of`},
		"two swap theirs":                {zones{"a": FirstZone, "b": 50}, "until this change: first take it from"},
		"one that goes leaves it":        {zones{"b": 0, "c": 50}, `zone 50 of tenant "c" is the zone of "a" until this change: first take it from "a", then give it to "c"`},
		"it has not been flushed so far": {zones{"a": 50, "b": 0, "c": 60}, `zone 60 of tenant "c" still has the connections of "gone"`},
	} {
		t.Run(name, func(t *testing.T) {
			n := Mem()
			assign(t, n, wants(zones{"a": 50, "b": 0, "gone": 60}))
			before := assign(t, n, wants(zones{"a": 50, "b": 0}))
			if _, err := n.Assign(wants(c.wants, "new")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			after := n.snapshot()
			if !maps.Equal(before.Zones(), after.Zones()) || after.Tag("new") != 0 || !slices.Equal(n.Retired(), []uint16{60}) {
				t.Errorf("zones %v, retired %v", after.Zones(), n.Retired())
			}
		})
	}
}

func TestTheZoneATenantSaysIsNotGivenToAnother(t *testing.T) {
	s := assign(t, Mem(), wants(zones{"a": 0, "z": FirstZone}))
	if s.Zone("z") != FirstZone || s.Zone("a") != FirstZone+1 {
		t.Errorf("%v", s.Zones())
	}
}

func TestMoreTenantsThanZonesIsAnError(t *testing.T) {
	w := zones{}
	for i := range LastZone - FirstZone + 1 {
		w[intent.ID(fmt.Sprint("t", i))] = 0
	}
	n := Mem()
	s := assign(t, n, wants(w))
	seen := map[uint16]bool{}
	for _, z := range s.Zones() {
		seen[z] = true
	}
	if len(seen) != len(w) {
		t.Fatalf("%d tenants have %d zones", len(w), len(seen))
	}
	w["zz"] = 0
	if _, err := n.Assign(wants(w)); err == nil || !strings.Contains(err.Error(), "are taken") {
		t.Error(err)
	}
}

func TestAPreviewIsWhatAssignWillGiveAndGivesNothing(t *testing.T) {
	n := Mem()
	before := assign(t, n, wants(zones{"a": 0}, "x"))
	w := wants(zones{"b": 0}, "x", "y")
	p, err := n.Preview(w)
	if err != nil {
		t.Fatal(err)
	}
	if now := n.snapshot(); now.Zone("a") != before.Zone("a") || now.Zone("b") != 0 || now.Tag("y") != 0 || len(n.Retired()) > 0 {
		t.Errorf("the preview has given something: %+v", now)
	}
	if id, ok := n.snapshot().Origin(p.Tag("y")); ok {
		t.Errorf("tag %d is already that of %q", p.Tag("y"), id)
	}
	s := assign(t, n, w)
	if p.Zone("b") != s.Zone("b") || p.Epoch("b") != s.Epoch("b") || p.Tag("y") != s.Tag("y") || p.Group("g") != s.Group("g") {
		t.Errorf("%+v, and then %+v", p, s)
	}
	if id, ok := p.Origin(p.Tag("y")); !ok || id != "y" {
		t.Errorf("the preview does not know its own tag: %q", id)
	}
}

func TestASnapshotIsNotChangedByWhatComesLater(t *testing.T) {
	n := Mem()
	s := assign(t, n, wants(zones{"a": 0}, "x"))
	if _, err := n.Raise(map[intent.ID]uint8{"a": 1}); err != nil {
		t.Fatal(err)
	}
	later := assign(t, n, wants(zones{"b": 0}, "y"))
	if s.Epoch("a") != 1 || s.Zone("a") != FirstZone || s.Zone("b") != 0 || s.Tag("y") != 0 {
		t.Errorf("%+v", s)
	}
	if _, ok := s.Origin(later.Tag("y")); ok {
		t.Error("it knows a later tag")
	}
}

func TestRaisingWhatHasBeenRaisedWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n := open(t, path)
	assign(t, n, wants(zones{"a": 0}))
	stale := map[intent.ID]uint8{"a": 1}
	if s, err := n.Raise(stale); err != nil || s.Epoch("a") != 2 {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.Raise(stale) // a second bridge has found the same
	if err != nil || s.Epoch("a") != 2 || open(t, path).snapshot().Epoch("a") != 2 {
		t.Errorf("epoch %d, %v", s.Epoch("a"), err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file is another one: %v", err)
	}
}

func TestNumbersThatCannotBeKeptAreNotGiven(t *testing.T) {
	n := open(t, filepath.Join(t.TempDir(), "missing", "numbers.json"))
	if _, err := n.Assign(wants(zones{"a": 0}, "x")); err == nil || !strings.Contains(err.Error(), "keep numbers") {
		t.Fatal(err)
	}
	if s := n.snapshot(); s.Zone("a") != 0 || s.Tag("x") != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEpochsThatAreAllInUseCannotBeRaised(t *testing.T) {
	n := Mem()
	assign(t, n, wants(zones{"a": 0}))
	for e := range uint8(254) {
		if _, err := n.Raise(map[intent.ID]uint8{"a": e + 1}); err != nil {
			t.Fatal(err)
		}
	}
	used := map[uint8]bool{}
	for e := range 255 {
		used[uint8(e+1)] = true
	}
	n.InUse = func(zone uint16) (map[uint8]bool, error) {
		if zone != FirstZone {
			t.Errorf("asked for zone %d", zone)
		}
		return used, nil
	}
	if _, err := n.Raise(map[intent.ID]uint8{"a": 255}); err == nil || !strings.Contains(err.Error(), "all epochs of zone 4096 are in use") {
		t.Error(err)
	}
}

func TestHintsAreNotTakenForMoreThanTheyAre(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	if _, err := Open(path, map[string]uint16{"a": 5, "b": 5}); err == nil || !strings.Contains(err.Error(), "both have zone 5") {
		t.Error(err)
	}
	n, err := Open(path, map[string]uint16{"a": 4100, "gone": 4096})
	if err != nil {
		t.Fatal(err)
	}
	s := assign(t, n, wants(zones{"a": 0, "b": 0}))
	if s.Zone("a") != 4100 || s.Zone("b") != 4097 || !slices.Equal(n.Retired(), []uint16{4096}) {
		t.Errorf("%v, retired %v: the zone of a tenant that is gone may have connections", s.Zones(), n.Retired())
	}
}

func TestAZoneIsNotBothATenantsAndToBeFlushed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	text := `{"layout":1,"nextTag":1,"nextGroup":1,"zones":{"a":5},"epochs":{},"retired":{"5":"b"},"tags":{},"groups":{}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), `zone 5 of "a" is also to be flushed of what "b" left`) {
		t.Error(err)
	}
}
