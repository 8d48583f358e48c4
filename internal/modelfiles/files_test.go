package modelfiles

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/intent"
)

const smallModel = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
`

// write puts a file into dir.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFolderIsItsYAMLFilesInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yml", "a.yaml", "README.md", ".hidden.yaml", "c.yaml~"} {
		write(t, dir, name, name)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := Sources(dir, nil)
	want := []intent.Source{
		{Name: filepath.Join(dir, "a.yaml"), Data: []byte("a.yaml")},
		{Name: filepath.Join(dir, "b.yml"), Data: []byte("b.yml")},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	dir := t.TempDir()
	dangling := filepath.Join(dir, "gone.yaml")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, c := range []struct {
		name, path string
		stdin      io.Reader
		want       string
	}{
		{"a file that is not there", filepath.Join(dir, "none.yaml"), nil, "no such file"},
		{"a folder without models", empty, nil, "no *.yaml or *.yml file"},
		{"a link to nowhere in a folder", dir, nil, "gone.yaml: no such file"},
		{"standard input that fails", "-", failing{}, "standard input: broken pipe"},
		{"standard input without end", "-", endless{}, "larger than 32 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Sources(c.path, c.stdin)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestAFileOfTenMegabytesIsRefusedInWords(t *testing.T) {
	path := write(t, t.TempDir(), "big.yaml", smallModel+strings.Repeat("# filler\n", 10<<20/9))
	_, err := readModel(path)
	var bad intent.Problems
	if !errors.As(err, &bad) || len(err.Error()) > 1000 {
		t.Errorf("got %.300v", err)
	}
}

func TestOneBadFileDoesNotHideAnother(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", "kind: [")
	write(t, dir, "b.yaml", "apiVersion: weir/v1\nkind: Brigde\nmetadata: {name: br0}\n")
	_, err := readModel(dir)
	if err == nil || !strings.Contains(err.Error(), "a.yaml:1") || !strings.Contains(err.Error(), "b.yaml:2") {
		t.Errorf("both files should be named: %v", err)
	}
}

func TestTheModelIsReadAgainWhenItsFilesChange(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", smallModel)
	hup := make(chan os.Signal)
	readings := make(chan *Reading)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	done := make(chan struct{})
	watch := Watch{Path: dir, HUP: hup, Every: time.Millisecond, Seen: Fingerprint(dir)}
	go func() {
		defer close(done)
		watch.Run(ctx, func(r *Reading) { readings <- r })
	}()
	next := func() *Reading {
		t.Helper()
		select {
		case r := <-readings:
			return r
		case <-ctx.Done():
			t.Fatal("the change was not seen")
			return nil
		}
	}
	write(t, dir, "b.yaml", strings.ReplaceAll(smallModel, "br0", "br1"))
	if r := next(); r.Err != nil || len(r.Model.Bridges()) != 2 {
		t.Errorf("two bridges expected: %+v", r)
	}
	write(t, dir, "b.yaml", "nonsense: [")
	if r := next(); r.Err == nil {
		t.Error("a bad file is an error")
	}
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	if r := next(); r.Err != nil || len(r.Model.Bridges()) != 1 {
		t.Errorf("one bridge expected: %+v", r)
	}
	hup <- os.Interrupt
	if r := next(); r.Err != nil {
		t.Errorf("SIGHUP reads what has not changed: %v", r.Err)
	}
	cancel()
	<-done
}

// readModel reads a model once.
func readModel(path string) (*intent.Model, error) {
	r := new(Reader).Read(path, nil)
	return r.Model, r.Err
}

func TestWhoWantsToKnowIsToldOfMuchThatIsNew(t *testing.T) {
	dir, told := t.TempDir(), 0
	r := Reader{Much: func() { told++ }}
	long := strings.Repeat("# nothing\n", much/2/10)
	for i, step := range []struct {
		file, text string
		told       int
	}{
		{"a.yaml", smallModel, 0}, {"b.yaml", long, 0}, {"c.yaml", long + long + long, 1}, {"b.yaml", smallModel, 1}, {"b.yaml", long, 1},
	} {
		write(t, dir, step.file, step.text)
		if r.Read(dir, nil); told != step.told {
			t.Errorf("step %d: told %d times, want %d", i, told, step.told)
		}
	}
}
