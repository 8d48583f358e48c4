// Package store keeps the numbers that intents are given for life: conntrack zones,
// epochs, tags and groups. They are in one small file, which is written whole and
// atomically, and only when something in it has changed.
//
// A number is never given twice as long as something may still carry it: tags and
// groups are not given again at all, and the zone of a tenant that is gone is retired,
// and given again only after somebody has flushed it and said so.
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

// The zones that are given to tenants that do not say their own. Lower ones are left
// to the host and to others who share the datapath.
const (
	FirstZone = 4096
	LastZone  = 32767
)

// maxGroup bounds the number of a group, which also stands for its network in 24 bits
// of a register.
const maxGroup = 1<<24 - 1

// layout is the version of the file's format.
const layout = 1

// file is what is on the disk.
type file struct {
	Layout    int                  `json:"layout"`
	NextTag   uint32               `json:"nextTag"`
	NextGroup uint32               `json:"nextGroup"`
	Zones     map[intent.ID]uint16 `json:"zones"`   // by tenant
	Epochs    map[intent.ID]epoch  `json:"epochs"`  // by tenant
	Retired   map[uint16]intent.ID `json:"retired"` // zones of tenants that are gone
	Tags      map[intent.ID]uint32 `json:"tags"`
	Groups    map[intent.ID]uint32 `json:"groups"`
}

// epoch is a tenant's epoch, and how many times it has been raised: after 255 times the
// values come again.
type epoch struct {
	Value  uint8  `json:"value"`
	Raised uint64 `json:"raised"`
}

// Wants lists the intents that need numbers.
type Wants struct {
	Zones  map[intent.ID]uint16 // by tenant: the zone the tenant says, or zero for any
	Tags   []intent.ID
	Groups []intent.ID
}

// Numbers gives numbers to intents. It belongs to one goroutine; what it gives away
// does not change.
type Numbers struct {
	// InUse returns the epochs that some connection of a zone carries. It is asked
	// before an epoch's value comes again. If nil, no value does: Raise fails.
	InUse func(zone uint16) (map[uint8]bool, error)

	path   string // empty: nothing is kept
	file   file
	origin map[uint32]intent.ID
}

// Open reads the numbers from a file, or starts anew when there is none, with hints: the
// zones that tenants are known to have. A file that cannot be read, or makes no sense,
// is an error and stays as it is: numbers given twice would let one tenant's connections
// pass for another's.
func Open(path string, hints map[string]uint16) (*Numbers, error) {
	n := Mem()
	n.path = path
	for tenant, zone := range hints {
		n.file.Zones[intent.ID(tenant)] = zone
	}
	if err := n.file.check(); err != nil {
		return nil, fmt.Errorf("zones that tenants are known to have: %w", err)
	}
	if err := n.load(); err != nil {
		return nil, err
	}
	n.index()
	return n, nil
}

// Mem returns numbers that are kept nowhere, for compiling without a daemon. Equal
// models get equal numbers.
func Mem() *Numbers {
	return &Numbers{origin: map[uint32]intent.ID{}, file: file{
		Layout: layout, NextTag: 1, NextGroup: 1, Zones: map[intent.ID]uint16{}, Epochs: map[intent.ID]epoch{},
		Retired: map[uint16]intent.ID{}, Tags: map[intent.ID]uint32{}, Groups: map[intent.ID]uint32{},
	}}
}

func (n *Numbers) load() error {
	b, err := os.ReadFile(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("%s is damaged (%w): put a backup in its place; or, if there is none, move it away and flush connection tracking before starting", n.path, err)
	}
	if err := f.check(); err != nil {
		return fmt.Errorf("%s: %w", n.path, err)
	}
	n.file = f
	return nil
}

// check refuses a file that gives a number twice.
func (f *file) check() error {
	if f.Layout != layout {
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

// Assign gives numbers to all that w wants, and retires the zones of tenants that w
// does not have. What has its numbers already costs nothing and writes nothing.
func (n *Numbers) Assign(w Wants) (*Snapshot, error) {
	next := n.file.clone()
	changed, err := next.assign(w)
	if err != nil {
		return nil, err
	}
	if changed {
		if err := n.save(next); err != nil {
			return nil, err
		}
	}
	return n.snapshot(), nil
}

// Preview returns the numbers that Assign would give, and gives none.
func (n *Numbers) Preview(w Wants) (*Snapshot, error) {
	next := n.file.clone()
	if _, err := next.assign(w); err != nil {
		return nil, err
	}
	preview := &Numbers{file: next, origin: maps.Clone(n.origin)}
	preview.index()
	return preview.snapshot(), nil
}

func (f *file) clone() file {
	g := *f
	g.Zones, g.Epochs, g.Retired = maps.Clone(f.Zones), maps.Clone(f.Epochs), maps.Clone(f.Retired)
	g.Tags, g.Groups = maps.Clone(f.Tags), maps.Clone(f.Groups)
	return g
}

func (f *file) assign(w Wants) (changed bool, err error) {
	leaving := map[uint16]bool{}
	for id, z := range f.Zones {
		if want, still := w.Zones[id]; !still || want != 0 && want != z {
			delete(f.Zones, id)
			delete(f.Epochs, id)
			f.Retired[z], leaving[z] = id, true
			changed = true
		}
	}
	given, err := f.assignZones(w.Zones, leaving)
	if err != nil {
		return false, err
	}
	for _, id := range w.Tags {
		if f.Tags[id] == 0 {
			f.Tags[id] = f.NextTag
			f.NextTag++
			changed = true
		}
	}
	for _, id := range w.Groups {
		if f.Groups[id] == 0 {
			if f.NextGroup > maxGroup {
				return false, fmt.Errorf("%d groups have been given: there are no more", maxGroup)
			}
			f.Groups[id] = f.NextGroup
			f.NextGroup++
			changed = true
		}
	}
	return changed || given, nil
}
