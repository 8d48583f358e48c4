package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/intent"
)

func wants(zones map[intent.ID]uint16, tags ...intent.ID) Wants {
	return Wants{Zones: zones, Tags: tags, Groups: []intent.ID{"g"}}
}

func open(t *testing.T, path string) *Numbers {
	t.Helper()
	n, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func assign(t *testing.T, n *Numbers, w Wants) *Snapshot {
	t.Helper()
	s, err := n.Assign(w)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNumbersAreKeptForLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n := open(t, path)
	first := assign(t, n, wants(map[intent.ID]uint16{"a": 0, "b": 77}, "x", "y"))
	if first.Zone("a") != FirstZone || first.Zone("b") != 77 || first.Epoch("a") != 1 || first.Tag("x") == first.Tag("y") || first.Group("g") == 0 {
		t.Fatalf("%+v", first)
	}
	again := assign(t, open(t, path), wants(map[intent.ID]uint16{"a": 0, "b": 77}, "y", "z", "x"))
	if again.Tag("x") != first.Tag("x") || again.Zone("a") != first.Zone("a") || again.Tag("z") == first.Tag("y") {
		t.Errorf("%+v", again)
	}
	if id, ok := again.Origin(first.Tag("x")); !ok || id != "x" {
		t.Errorf("%q", id)
	}
	if first.Tag("z") != 0 {
		t.Error("a snapshot has changed")
	}
}

func TestAssignWithNothingNewWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n := open(t, path)
	w := wants(map[intent.ID]uint16{"a": 0}, "x")
	assign(t, n, w)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	assign(t, n, w)
	if _, err := n.Preview(wants(map[intent.ID]uint16{"a": 0, "c": 0}, "x", "y")); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file is another one: %v", err)
	}
}

func TestAZoneIsGivenAgainOnlyWhenItHasBeenReleased(t *testing.T) {
	n := Mem()
	zone := assign(t, n, wants(map[intent.ID]uint16{"a": 0})).Zone("a")
	assign(t, n, wants(map[intent.ID]uint16{}))
	if !slices.Equal(n.Retired(), []uint16{zone}) {
		t.Fatalf("retired: %v", n.Retired())
	}
	if other := assign(t, n, wants(map[intent.ID]uint16{"b": 0})).Zone("b"); other == zone {
		t.Error("a zone that has not been flushed was given away")
	}
	if _, err := n.Assign(wants(map[intent.ID]uint16{"b": 0, "c": zone})); err == nil {
		t.Error("a zone that has not been flushed was given to who asked for it")
	}
	if err := n.Release(zone); err != nil {
		t.Fatal(err)
	}
	if again := assign(t, n, wants(map[intent.ID]uint16{"b": 0, "c": 0})).Zone("c"); again != zone {
		t.Errorf("zone %d is free, and %d was given", zone, again)
	}
}

func TestTwoTenantsCannotHaveOneZone(t *testing.T) {
	n := Mem()
	if _, err := n.Assign(wants(map[intent.ID]uint16{"a": 5, "b": 5})); err == nil || !strings.Contains(err.Error(), `zone 5 of tenant "b" is the zone of "a"`) {
		t.Error(err)
	}
}

func TestAFileThatMakesNoSenseIsRefusedAndKept(t *testing.T) {
	good := `{"layout":1,"nextTag":9,"nextGroup":9,"zones":{},"epochs":{},"retired":{},"tags":{},"groups":{}}`
	for name, c := range map[string]struct{ text, want string }{
		"damaged":         {good[:30], "is damaged"},
		"empty":           {"", "is damaged"},
		"another version": {strings.Replace(good, `"layout":1`, `"layout":3`, 1), "another version"},
		"a part missing":  {strings.Replace(good, `,"groups":{}`, "", 1), "a part is missing"},
		"a zone twice":    {strings.Replace(good, `"zones":{}`, `"zones":{"a":5,"b":5}`, 1), "both have zone 5"},
		"a tag twice":     {strings.Replace(good, `"tags":{}`, `"tags":{"a":5,"b":5}`, 1), "both have tag 5"},
		"a tag to come":   {strings.Replace(good, `"tags":{}`, `"tags":{"a":9}`, 1), "next one to give is 9"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "numbers.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != c.text {
				t.Errorf("the file is %q now, %v", b, err)
			}
		})
	}
}

func TestHintsAreForAFileThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n, err := Open(path, map[string]uint16{"a": 4100})
	if err != nil {
		t.Fatal(err)
	}
	if s := assign(t, n, wants(map[intent.ID]uint16{"a": 0})); s.Zone("a") != 4100 || s.Epoch("a") != 1 {
		t.Errorf("zone %d, epoch %d", s.Zone("a"), s.Epoch("a"))
	}
	if n, err = Open(path, map[string]uint16{"a": 4200}); err != nil {
		t.Fatal(err)
	}
	if s := assign(t, n, wants(map[intent.ID]uint16{"a": 0})); s.Zone("a") != 4100 {
		t.Errorf("zone %d", s.Zone("a"))
	}
}

func TestAnEpochComesAgainOnlyWhenNobodyCarriesIt(t *testing.T) {
	n := Mem()
	s := assign(t, n, wants(map[intent.ID]uint16{"a": 0}))
	raise := func() error {
		next, err := n.Raise(map[intent.ID]uint8{"a": s.Epoch("a")})
		if err == nil {
			s = next
		}
		return err
	}
	seen := map[uint8]bool{s.Epoch("a"): true}
	for range 254 {
		if err := raise(); err != nil {
			t.Fatal(err)
		}
		if seen[s.Epoch("a")] || s.Epoch("a") == 0 {
			t.Fatalf("epoch %d has been there", s.Epoch("a"))
		}
		seen[s.Epoch("a")] = true
	}
	if err := raise(); err == nil {
		t.Error("an epoch came again, and nobody had looked")
	}
	n.InUse = func(uint16) (map[uint8]bool, error) { return nil, errors.New("no answer") }
	if err := raise(); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Error(err)
	}
	n.InUse = func(uint16) (map[uint8]bool, error) { return map[uint8]bool{1: true, 2: true}, nil }
	if err := raise(); err != nil || s.Epoch("a") != 3 {
		t.Errorf("epoch %d, %v; 1 and 2 are in use", s.Epoch("a"), err)
	}
	if old, err := n.Raise(map[intent.ID]uint8{"a": 200}); err != nil || old.Epoch("a") != 3 {
		t.Errorf("an epoch that is not the one given any more was raised: %v", err)
	}
}

func TestAZoneBesideATenantsIsKeptAndGivenBackAsATenantsIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n, err := Open(path, map[string]uint16{"a/zone/source": 4200})
	if err != nil {
		t.Fatal(err)
	}
	both := wants(map[intent.ID]uint16{"a": 0, "a/zone/source": 0})
	zone := assign(t, n, both).Zone("a/zone/source")
	if zone != 4200 {
		t.Errorf("zone %d, and 4200 is known", zone)
	}
	if n, err = Open(path, nil); err != nil {
		t.Fatal(err)
	}
	if again := assign(t, n, both); again.Zone("a/zone/source") != zone || again.Zone("a") == zone {
		t.Errorf("%v after a start", again.Zones())
	}
	assign(t, n, wants(map[intent.ID]uint16{"a": 0}))
	if !slices.Equal(n.Retired(), []uint16{zone}) {
		t.Errorf("retired: %v, want [%d]", n.Retired(), zone)
	}
}
