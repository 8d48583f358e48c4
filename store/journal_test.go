package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"weir/intent"
)

// said is all that a snapshot says.
func said(s *Snapshot) file {
	f := s.table.file()
	f.Changes = 0
	return f
}

// written is a file with a journal of some changes, and what was given after each.
func written(t *testing.T) (path string, given []file, journal []byte) {
	path = filepath.Join(t.TempDir(), "numbers.json")
	n := open(t, path)
	given = append(given, said(assign(t, n, wants(zones{"a": 0, "b": 0}, "x"))))
	given = append(given, said(assign(t, n, wants(zones{"a": 0, "b": 0}, "y"))))
	s, err := n.Raise(map[intent.ID]uint8{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	given = append(given, said(s))
	given = append(given, said(assign(t, n, wants(zones{"b": 0}, "z"))))
	if err := n.Release(FirstZone); err != nil {
		t.Fatal(err)
	}
	given = append(given, said(n.snapshot()))
	journal, err = os.ReadFile(journalPath(path))
	if err != nil || bytes.Count(journal, []byte("\n")) != 4 {
		t.Fatalf("%q, %v", journal, err)
	}
	return path, given, journal
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAJournalThatEndsAnywhereHasItsWholeLines(t *testing.T) {
	path, given, journal := written(t)
	for end := range len(journal) + 1 {
		for name, tail := range map[string]string{"nothing": "", "zeros": strings.Repeat("\x00", 20), "zeros and an end": strings.Repeat("\x00", 20) + "\n"} {
			put(t, journalPath(path), append(bytes.Clone(journal[:end]), tail...))
			lines := bytes.Count(journal[:end], []byte("\n"))
			n := open(t, path)
			if got := said(n.snapshot()); !reflect.DeepEqual(got, given[lines]) {
				t.Fatalf("%d bytes and %s: %+v, want %+v", end, name, got, given[lines])
			}
			s := said(assign(t, n, wants(zones{"b": 0, "c": 0}, "new")))
			if again := said(open(t, path).snapshot()); !reflect.DeepEqual(again, s) {
				t.Fatalf("%d bytes, %s and a change: %+v, want %+v", end, name, again, s)
			}
		}
	}
}

func TestAJournalThatIsDamagedIsRefusedAndKept(t *testing.T) {
	path, _, journal := written(t)
	for i := range len(journal) - 1 { // without its last newline a line was torn
		b := bytes.Clone(journal)
		b[i] ^= 1
		put(t, journalPath(path), b)
		if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), journalPath(path)) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if now, err := os.ReadFile(journalPath(path)); err != nil || !bytes.Equal(now, b) {
			t.Fatalf("the journal has changed: %v", err)
		}
	}
}

func TestAJournalOfAnotherTimeIsRefused(t *testing.T) {
	path, _, journal := written(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, later, _ := bytes.Cut(journal, []byte("\n"))
	for name, c := range map[string]struct {
		file, journal []byte
		want          string
	}{
		"a line is missing":             {whole, later, "is change 3, and the file ends with change 1"},
		"the file is missing":           {nil, journal, "is not there"},
		"the file is older than it all": {[]byte(`{"layout":1,"nextTag":9,"nextGroup":9,"zones":{},"epochs":{},"retired":{},"tags":{},"groups":{}}`), journal, "a time when there was none"},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, journalPath(path), c.journal)
			if os.Remove(path); c.file != nil {
				put(t, path, c.file)
			}
			if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

func TestAFileOfAWeirWithoutJournalIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	put(t, path, []byte(`{"layout":1,"nextTag":3,"nextGroup":1,"zones":{"a":4100},"epochs":{"a":{"value":7,"raised":6}},"retired":{},"tags":{"x":2},"groups":{}}`))
	s := assign(t, open(t, path), wants(zones{"a": 0}, "x", "y"))
	if s.Zone("a") != 4100 || s.Epoch("a") != 7 || s.Tag("x") != 2 || s.Tag("y") != 3 {
		t.Errorf("%+v", said(s))
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Contains(b, []byte(`"layout": 2`)) {
		t.Errorf("%s, %v: a weir without journal would take it for everything", b, err)
	}
}

// TestManyChangesAreWhatTheyWere makes so many that the journal becomes part of the file, and
// reads what was kept now and then, also as it is when the machine stops before the journal is
// cleared.
func TestManyChangesAreWhatTheyWere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	draw := rand.New(rand.NewPCG(1, 2))
	n, begun := open(t, path), 0
	live := zones{"a": 0, "b": 0}
	for i := range 2500 {
		before, err := os.ReadFile(journalPath(path))
		if err != nil && i > 0 {
			t.Fatal(err)
		}
		switch name := intent.ID(fmt.Sprint("tenant-", draw.IntN(20))); draw.IntN(4) {
		case 0:
			live[name] = 0
		case 1:
			delete(live, name)
		case 2:
			if _, err := n.Raise(map[intent.ID]uint8{name: n.snapshot().Epoch(name)}); err != nil {
				n.InUse = func(uint16) (map[uint8]bool, error) { return nil, nil }
			}
		default:
			for _, z := range n.Retired() {
				if err := n.Release(z); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := said(assign(t, n, wants(live, intent.ID(fmt.Sprint("rule-with-a-rather-long-name-", i)), intent.ID(fmt.Sprint("rule-", draw.IntN(i+1))))))
		now, err := os.ReadFile(journalPath(path))
		if err != nil {
			t.Fatal(err)
		}
		cleared := len(now) < len(before)
		if cleared {
			begun++
			put(t, journalPath(path), before)
		}
		if cleared || i%100 == 0 {
			if got := said(open(t, path).snapshot()); !reflect.DeepEqual(got, s) {
				t.Fatalf("after %d changes %+v, want %+v", i, got, s)
			}
		}
		if cleared {
			put(t, journalPath(path), now)
		}
	}
	if begun == 0 {
		t.Error("the journal has not become large")
	}
}

func TestAJournalThatCannotBeWrittenGivesNothingAndIsDoneWithout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.json")
	n := open(t, path)
	assign(t, n, wants(zones{"a": 0}, "x"))
	if err := os.Remove(journalPath(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(journalPath(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Assign(wants(zones{"a": 0}, "y")); err == nil || n.snapshot().Tag("y") != 0 {
		t.Fatalf("%v, tag %d", err, n.snapshot().Tag("y"))
	}
	for _, tag := range []intent.ID{"y", "z"} { // into the file, each
		assign(t, n, wants(zones{"a": 0}, tag))
	}
	if err := os.Remove(journalPath(path)); err != nil {
		t.Fatal(err)
	}
	s := said(assign(t, n, wants(zones{"a": 0}, "v")))
	if got := said(open(t, path).snapshot()); !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, want %+v", got, s)
	}
}

// TestAPreviewStaysWhatItWas gives other numbers than those that were previewed.
func TestAPreviewStaysWhatItWas(t *testing.T) {
	n := Mem()
	assign(t, n, wants(zones{"a": 0}, "x"))
	p, err := n.Preview(wants(zones{"a": 0}, "y"))
	if err != nil {
		t.Fatal(err)
	}
	s := assign(t, n, wants(zones{"a": 0}, "z"))
	if id, _ := p.Origin(p.Tag("y")); id != "y" {
		t.Errorf("%q", id)
	}
	if id, _ := s.Origin(s.Tag("z")); id != "z" {
		t.Errorf("%q", id)
	}
}

func BenchmarkAssignOneMoreOf12000(b *testing.B) {
	n, err := Open(filepath.Join(b.TempDir(), "numbers.json"), nil)
	if err != nil {
		b.Fatal(err)
	}
	w := wants(zones{})
	for i := range 12000 {
		w.Tags = append(w.Tags, intent.ID(fmt.Sprint("tenant/policy/in/rule-", i)))
	}
	for i := range 100 {
		w.Zones[intent.ID(fmt.Sprint("tenant-", i))] = 0
	}
	if _, err := n.Assign(w); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Tags = []intent.ID{intent.ID(fmt.Sprint("new-", i))}
		if _, err := n.Assign(w); err != nil {
			b.Fatal(err)
		}
	}
}
