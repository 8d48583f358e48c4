// Package modelfiles reads a model from files: once, or whenever they change.
package modelfiles

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weir/intent"
)

// maxSource bounds what is read of one file, in bytes. It is more than intent takes,
// so that a file which is merely too large is refused there, in the same words as a
// file that arrives in another way.
const maxSource = 32 << 20

// Stdin is the path that means standard input.
const Stdin = "-"

// Sources reads the files at path.
func Sources(path string, stdin io.Reader) ([]intent.Source, error) {
	return shelf{}.read(path, stdin)
}

// filesAt returns path itself, or the model files of a folder in alphabetical order.
// Hidden files are left out: editors and configuration mounts keep their own there.
func filesAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no *.yaml or *.yml file in this folder", path)
	}
	slices.Sort(files)
	return files, nil
}

func readSource(name string, r io.Reader) (intent.Source, error) { return readInto(name, r, nil) }

func readInto(name string, r io.Reader, into []byte) (intent.Source, error) {
	b := bytes.NewBuffer(into[:0])
	if _, err := b.ReadFrom(io.LimitReader(r, maxSource+1)); err != nil {
		return intent.Source{}, fmt.Errorf("%s: %w", name, err)
	}
	data := b.Bytes()
	if len(data) > maxSource {
		return intent.Source{}, fmt.Errorf("%s: larger than %d MiB: this is no model", name, maxSource>>20)
	}
	return intent.Source{Name: name, Data: data}, nil
}

// Fingerprint changes when the files at path do: their names and stamps. What cannot be read has a fingerprint, too: its error.
func Fingerprint(path string) string {
	files, err := filesAt(path)
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			fmt.Fprintln(&s, err)
			continue
		}
		fmt.Fprintln(&s, f, stampOf(info))
	}
	return s.String()
}
