package modelfiles

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFilesAreReadOverWhatTheySaidBefore(t *testing.T) {
	dir, s := t.TempDir(), shelf{}
	for i, files := range []map[string]string{
		{"a.yaml": "short", "b.yaml": strings.Repeat("long ", 1000)},
		{"a.yaml": strings.Repeat("longer ", 2000), "b.yaml": "x"},
		{"b.yaml": ""},
		{"a.yaml": "again", "b.yaml": "and more"},
	} {
		for _, name := range []string{"a.yaml", "b.yaml"} {
			path := filepath.Join(dir, name)
			if text, there := files[name]; !there {
				os.Remove(path)
			} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.read(dir, nil)
		if err != nil || len(got) != len(files) || len(s) != len(files) {
			t.Fatalf("reading %d: %d files, %d on the shelf, %v", i, len(got), len(s), err)
		}
		for _, src := range got {
			if want := files[filepath.Base(src.Name)]; string(src.Data) != want {
				t.Errorf("reading %d: %s is %.20q, want %.20q", i, src.Name, src.Data, want)
			}
		}
	}
}

// TestAFileIsNotReadAgainBeforeItChanges has read files and shelves of which one can tell: who
// reads gets what the shelf says, and not what the file does.
func TestAFileIsNotReadAgainBeforeItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	s := shelf{}
	for _, c := range []struct {
		what    string
		settled bool // as if it had been read some seconds after it was written
		write   string
		want    string
	}{
		{"it has just been written", false, "", "first"},
		{"it is as it was long since", true, "", "remembered"},
		{"another of the same length", true, "other", "other"},
		{"and at once one more, so fast that its time may be the same", false, "third", "third"},
		{"longer", true, "the last", "the last"},
	} {
		if old, known := s[path]; known && c.settled {
			s[path] = shelved{[]byte("remembered"), old.stamp, true}
		}
		if c.write != "" {
			write(c.write)
		}
		got, err := s.read(path, nil)
		if err != nil || string(got[0].Data) != c.want {
			t.Errorf("%s: %q, %v; want %q", c.what, got[0].Data, err, c.want)
		}
		if s[path].settled && c.want != "remembered" {
			t.Errorf("%s: it was written a moment ago, and taken to be settled", c.what)
		}
	}
}

func TestAStampSettles(t *testing.T) {
	now := time.Now()
	old, young := now.Add(-time.Minute).UnixNano(), now.UnixNano()
	for what, c := range map[string]struct {
		s    stamp
		want bool
	}{
		"old":                               {stamp{modified: old, changed: old}, true},
		"just written":                      {stamp{modified: young, changed: young}, false},
		"just written, with another's time": {stamp{modified: old, changed: young}, false},
		"from tomorrow, for the clocks are not one": {stamp{modified: old, changed: now.Add(24 * time.Hour).UnixNano()}, false},
		"of a file system without such times":       {stamp{modified: old}, false},
	} {
		if got := c.s.settledAt(now); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// BenchmarkReadingUnchangedFiles is a folder of 200 files, of which none has changed.
func BenchmarkReadingUnchangedFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 200 {
		path := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(path, bytes.Repeat([]byte("text\n"), 1300), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for name, settled := range map[string]bool{"just written": false, "settled": true} {
		b.Run(name, func(b *testing.B) {
			s := shelf{}
			for b.Loop() {
				if _, err := s.read(dir, nil); err != nil {
					b.Fatal(err)
				}
				for f, was := range s {
					was.settled = settled
					s[f] = was
				}
			}
		})
	}
}
