package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
