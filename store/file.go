package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

	"weir/intent"
)

// The versions of the file's format. The first had no journal: a weir that knows no other
// must not take the file for everything.
const (
	withoutJournal = 1
	layout         = 2
)

// file is what is on the disk, but for the journal.
type file struct {
	Layout    int    `json:"layout"`
	Changes   uint64 `json:"changes"` // that are in it; later ones are in the journal
	NextTag   uint32 `json:"nextTag"`
	NextGroup uint32 `json:"nextGroup"`
	zoning
	Tags   map[intent.ID]uint32 `json:"tags"`
	Groups map[intent.ID]uint32 `json:"groups"`
}

func newFile() file {
	return file{
		Layout: layout, NextTag: 1, NextGroup: 1,
		zoning: zoning{Zones: map[intent.ID]uint16{}, Epochs: map[intent.ID]epoch{}, Retired: map[uint16]intent.ID{}},
		Tags:   map[intent.ID]uint32{}, Groups: map[intent.ID]uint32{},
	}
}

// load reads a file and its journal. If neither is there, it returns the file that is given.
func load(path string, none file) (file, journal, error) {
	text, err := os.ReadFile(journalPath(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return none, journal{}, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && len(text) == 0 {
		return none, journal{}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return none, journal{}, fmt.Errorf("%s is not there, and %s is: put a backup of both in their place; or, if there is none, move the journal away and flush connection tracking before starting", path, journalPath(path))
	}
	if err != nil {
		return none, journal{}, err
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return f, journal{}, fmt.Errorf("%s is damaged (%w): put a backup in its place; or, if there is none, move it away and flush connection tracking before starting", path, err)
	}
	if err := f.check(); err != nil {
		return f, journal{}, fmt.Errorf("%s: %w", path, err)
	}
	j, err := f.replay(text)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return f, journal{}, fmt.Errorf("%s: %w", journalPath(path), err)
	}
	return f, j, nil
}

// check refuses a file that gives a number twice.
func (f *file) check() error {
	if f.Layout != layout && f.Layout != withoutJournal {
		return fmt.Errorf("layout %d is not %d: another version of weir wrote it", f.Layout, layout)
	}
	if f.Zones == nil || f.Epochs == nil || f.Retired == nil || f.Tags == nil || f.Groups == nil {
		return errors.New("a part is missing")
	}
	zones := map[uint16]intent.ID{}
	for id, z := range f.Zones {
		if other, twice := zones[z]; twice {
			return fmt.Errorf("%q and %q both have zone %d", id, other, z)
		}
		if was, retired := f.Retired[z]; retired {
			return fmt.Errorf("zone %d of %q is also to be flushed of what %q left", z, id, was)
		}
		zones[z] = id
	}
	if err := once(f.Tags, f.NextTag, "tag"); err != nil {
		return err
	}
	return once(f.Groups, f.NextGroup, "group")
}

func once(given map[intent.ID]uint32, next uint32, what string) error {
	seen := make(map[uint32]intent.ID, len(given))
	for id, v := range given {
		if other, twice := seen[v]; twice {
			return fmt.Errorf("%q and %q both have %s %d", id, other, what, v)
		}
		if v == 0 || v >= next {
			return fmt.Errorf("%q has %s %d, but the next one to give is %d", id, what, v, next)
		}
		seen[v] = id
	}
	return nil
}

// apply makes a change of the file, whose maps it changes.
func (f *file) apply(c change) {
	f.Changes = c.Change
	f.zoning.apply(c)
	maps.Copy(f.Tags, c.Tags)
	maps.Copy(f.Groups, c.Groups)
	f.NextTag, f.NextGroup = after(f.NextTag, c.Tags), after(f.NextGroup, c.Groups)
}

// table returns what a file says. The file must not be changed any more.
func (f file) table() table {
	t := table{
		zoning: f.zoning, changes: f.Changes, nextTag: f.NextTag, nextGroup: f.NextGroup,
		tags: layered{base: f.Tags}, groups: layered{base: f.Groups}, origin: make([]intent.ID, f.NextTag),
	}
	for id, tag := range f.Tags {
		t.origin[tag] = id
	}
	return t
}

func (t table) file() file {
	return file{
		Layout: layout, Changes: t.changes, NextTag: t.nextTag, NextGroup: t.nextGroup,
		zoning: t.zoning, Tags: t.tags.all(), Groups: t.groups.all(),
	}
}
