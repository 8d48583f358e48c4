package main

import (
	"context"
	"io"
	"os"
	"time"

	"weir/intent"
)

// A reading is one attempt to read the model. It never changes.
type reading struct {
	model *intent.Model // nil if err is set
	files []string      // what was read
	err   error
}

// modelFiles reads a model again and again. Files that have not changed since are not parsed
// again.
type modelFiles struct {
	reader intent.Reader
	shelf  shelf
}

// read reads the model at path.
func (f *modelFiles) read(path string, stdin io.Reader) *reading {
	if f.shelf == nil {
		f.shelf = shelf{}
	}
	sources, err := f.shelf.read(path, stdin)
	if err != nil {
		return &reading{err: err}
	}
	var now reading
	now.model, now.err = f.reader.Read(sources...)
	for _, s := range sources {
		now.files = append(now.files, s.Name)
	}
	return &now
}

// A modelWatch reads the model again when its files change.
type modelWatch struct {
	path  string
	files *modelFiles      // as they were read last; nil: never
	hup   <-chan os.Signal // read at once, changed or not
	every time.Duration    // between two looks; zero: 250 ms
	seen  string           // fingerprint of what was read last
}

// run hands each new reading to changed, until ctx is done. Files that change are
// read when two looks in a row have seen the same: a file that is being written is
// not a model yet.
func (w modelWatch) run(ctx context.Context, changed func(*reading)) {
	if w.files == nil {
		w.files = new(modelFiles)
	}
	every := w.every
	if every == 0 {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := w.seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.hup:
			w.seen, last = w.again(changed)
		case <-tick.C:
			if w.path == stdinPath {
				continue
			}
			now := fingerprint(w.path)
			if now != w.seen && now == last {
				w.seen, now = w.again(changed)
			}
			last = now
		}
	}
}

// again reads the model, and returns the fingerprint of before twice: what changed
// while it was read is seen at the next look.
func (w modelWatch) again(changed func(*reading)) (seen, last string) {
	before := fingerprint(w.path)
	if w.path != stdinPath { // standard input cannot be read twice
		changed(w.files.read(w.path, nil))
	}
	return before, before
}
