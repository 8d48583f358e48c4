package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"weir/intent"
)

// A change is what was given, taken back and released at one time. It is one line of the
// journal: a checksum, and this as JSON.
type change struct {
	Change  uint64               `json:"change"`            // its number: the next one is one more
	Zones   map[intent.ID]uint16 `json:"zones,omitempty"`   // zero: the tenant has none any more
	Epochs  map[intent.ID]epoch  `json:"epochs,omitempty"`  // a value of zero: the same
	Retired map[uint16]intent.ID `json:"retired,omitempty"` // empty: released
	Tags    map[intent.ID]uint32 `json:"tags,omitempty"`
	Groups  map[intent.ID]uint32 `json:"groups,omitempty"`
}

func (c change) empty() bool {
	return len(c.Zones)+len(c.Epochs)+len(c.Retired)+len(c.Tags)+len(c.Groups) == 0
}

// maxJournal is how long a journal gets, in bytes: some 2,000 changes, which are read in a
// few milliseconds.
const maxJournal = 256 << 10

// journal is what is known of the journal of a file.
type journal struct {
	open bool  // it can be written to; if not, all goes into the file, and it begins anew
	size int64 // of what is good of it, in bytes
}

// journalPath returns where the journal of a file is.
func journalPath(path string) string { return strings.TrimSuffix(path, ".json") + ".journal" }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c change) line() ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(b, castagnoli), b), nil
}

// parse reads a line, without its end.
func (c *change) parse(line []byte) error {
	sum, b, _ := bytes.Cut(line, []byte(" "))
	if string(sum) != fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) {
		return errors.New("the checksum is wrong")
	}
	return json.Unmarshal(b, c)
}

// replay makes the changes of a journal. Those that are in the file already were made part of
// it before the journal could begin anew.
func (f *file) replay(text []byte) (journal, error) {
	if f.Layout == withoutJournal && len(text) > 0 {
		return journal{}, errors.New("it is not the journal of this file, which is of a time when there was none: put a backup of both in their place, or move the journal away")
	}
	j := journal{open: f.Layout == layout}
	for number := 1; len(text) > 0; number++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		var c change
		if err := c.parse(line); err != nil || !whole {
			if torn := len(rest) == 0 && (!whole || bytes.IndexByte(line, 0) >= 0); torn {
				return j, nil // written when the machine stopped: nobody was told
			}
			return j, fmt.Errorf("line %d is damaged (%w): put a backup of it and of the file in their place; or, if there is none, move both away and flush connection tracking before starting", number, err)
		}
		if c.Change > f.Changes+1 {
			return j, fmt.Errorf("line %d is change %d, and the file ends with change %d: they are not of the same time; put a backup of both in their place", number, c.Change, f.Changes)
		}
		if c.Change == f.Changes+1 {
			f.apply(c)
		}
		j.size += int64(len(text) - len(rest))
		text = rest
	}
	return j, nil
}

// write adds a change to the journal. If that fails, what has come to the disk is not known,
// and the journal is not used again before it has begun anew.
func (j *journal) write(path string, c change) error {
	line, err := c.line()
	if err != nil {
		return err
	}
	j.open = false
	f, err := os.OpenFile(journalPath(path), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()                            // what counts is that it was synced
	if err := f.Truncate(j.size); err != nil { // of what a crash has left
		return err
	}
	if _, err := f.WriteAt(line, j.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	j.open, j.size = true, j.size+int64(len(line))
	return nil
}

// begin writes everything into the file, and begins the journal anew. The file has to be on
// the disk for good before anything of the journal goes.
func (j *journal) begin(path string, f file) error {
	j.open = false
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	if err := syncFolder(path); err != nil {
		return err
	}
	if err := j.clear(path); err == nil { // if not, the next change tries again: it goes into the file as well
		*j = journal{open: true}
	}
	return nil
}

func (j *journal) clear(path string) error {
	f, err := os.OpenFile(journalPath(path), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Sync(), syncFolder(path))
}

// syncFolder makes sure that the names in the folder of a file are on the disk.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
