package modelfiles

import (
	"context"
	"io"
	"os"
	"time"

	"weir/intent"
)

// A Reading is one attempt to read the model. It never changes.
type Reading struct {
	Model *intent.Model // nil if Err is set
	Files []string      // what was read
	Err   error
}

// A Reader reads a model again and again. Files that have not changed since are not parsed
// again.
type Reader struct {
	// Much is called before much is read that was not there before: what comes of it takes some hundred
	// megabytes for a while. If nil, nobody is.
	Much func()

	reader intent.Reader
	shelf  shelf
	size   int // of all files, as they were read last
}

// much is how many bytes of a model more than there were are many: of some thousand load balancers, or of
// twenty thousand rules.
const much = 2 << 20

// Read reads the model at path.
func (f *Reader) Read(path string, stdin io.Reader) *Reading {
	if f.shelf == nil {
		f.shelf = shelf{}
	}
	sources, err := f.shelf.read(path, stdin)
	if err != nil {
		return &Reading{Err: err}
	}
	size := 0
	for _, s := range sources {
		size += len(s.Data)
	}
	if f.Much != nil && size-f.size > much {
		f.Much()
	}
	f.size = size
	var now Reading
	now.Model, now.Err = f.reader.Read(sources...)
	for _, s := range sources {
		now.Files = append(now.Files, s.Name)
	}
	return &now
}

// A Watch reads the model again when its files change.
type Watch struct {
	Path   string
	Reader *Reader          // of what was read before; nil: nothing was
	HUP    <-chan os.Signal // read at once, changed or not
	Every  time.Duration    // between two looks; zero: 250 ms
	Seen   string           // fingerprint of what was read last
}

// Run hands each new reading to changed, until ctx is done. Files that change are
// read when two looks in a row have seen the same: a file that is being written is
// not a model yet.
func (w Watch) Run(ctx context.Context, changed func(*Reading)) {
	if w.Reader == nil {
		w.Reader = new(Reader)
	}
	every := w.Every
	if every == 0 {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := w.Seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.HUP:
			w.Seen, last = w.again(changed)
		case <-tick.C:
			if w.Path == Stdin {
				continue
			}
			now := Fingerprint(w.Path)
			if now != w.Seen && now == last {
				w.Seen, now = w.again(changed)
			}
			last = now
		}
	}
}

// again reads the model, and returns the fingerprint of before twice: what changed
// while it was read is seen at the next look.
func (w Watch) again(changed func(*Reading)) (seen, last string) {
	before := Fingerprint(w.Path)
	if w.Path != Stdin { // standard input cannot be read twice
		changed(w.Reader.Read(w.Path, nil))
	}
	return before, before
}
