// Package store keeps the numbers that intents are given for life: conntrack zones,
// epochs, tags and groups. They are in a file that has them all, and in a journal of what
// was given since: a change is one line more, written and synced before anybody is told.
// When the journal has grown large it becomes part of the file, and begins anew.
//
// A number is never given twice as long as something may still carry it: tags and
// groups are not given again at all, and the zone of a tenant that is gone is retired,
// and given again only after somebody has flushed it and said so.
package store

import (
	"fmt"
	"maps"
	"slices"

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

// epoch is a tenant's epoch, and how many times it has been raised: after 255 times the
// values come again.
type epoch struct {
	Value  uint8  `json:"value"`
	Raised uint64 `json:"raised"`
}

// Wants lists the intents that need numbers. What has its tag or group already may be
// left out; a tenant that is left out is gone.
type Wants struct {
	Zones  map[intent.ID]uint16 // by tenant, and by what else has a zone: the zone the tenant says, or zero for any
	Tags   []intent.ID
	Groups []intent.ID
}

// Numbers gives numbers to intents. It belongs to one goroutine; what it gives away
// does not change.
type Numbers struct {
	// InUse returns the epochs that some connection of a zone carries. It is asked
	// before an epoch's value comes again. If nil, no value does: Raise fails.
	InUse func(zone uint16) (map[uint8]bool, error)

	path    string // empty: nothing is kept
	journal journal
	table   table
}

// Open reads the numbers from a file and its journal, or starts anew when there is none,
// with hints: the zones that tenants are known to have. What cannot be read, or makes no
// sense, is an error and stays as it is: numbers given twice would let one tenant's
// connections pass for another's. Only what a crash has left of the journal's last line is
// dropped, for nobody was told of it.
func Open(path string, hints map[string]uint16) (*Numbers, error) {
	f := newFile()
	for tenant, zone := range hints {
		f.Zones[intent.ID(tenant)] = zone
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("zones that tenants are known to have: %w", err)
	}
	f, j, err := load(path, f)
	if err != nil {
		return nil, err
	}
	return &Numbers{path: path, journal: j, table: f.table()}, nil
}

// Mem returns numbers that are kept nowhere, for compiling without a daemon. Equal
// models get equal numbers.
func Mem() *Numbers { return &Numbers{table: newFile().table()} }

// A table is all numbers at one moment. It never changes, and shares most of what it has with
// those before and after it.
type table struct {
	zoning
	changes            uint64 // since the beginning
	nextTag, nextGroup uint32
	tags, groups       layered
	origin             []intent.ID // by tag; longer ones share its beginning
}

// A layered is a map that does not change: a large one, and what has come since.
type layered struct{ base, top map[intent.ID]uint32 }

func (l layered) get(id intent.ID) uint32 {
	if v, ok := l.top[id]; ok {
		return v
	}
	return l.base[id]
}

// with returns l and more. The layer above is copied each time, and put into the large map
// when it is no longer small beside it.
func (l layered) with(more map[intent.ID]uint32) layered {
	if len(more) == 0 {
		return l
	}
	top := make(map[intent.ID]uint32, len(l.top)+len(more))
	maps.Copy(top, l.top)
	maps.Copy(top, more)
	if len(top) < 64+len(l.base)/16 {
		return layered{l.base, top}
	}
	base := make(map[intent.ID]uint32, len(l.base)+len(top))
	maps.Copy(base, l.base)
	maps.Copy(base, top)
	return layered{base: base}
}

func (l layered) all() map[intent.ID]uint32 {
	all := maps.Clone(l.base)
	maps.Copy(all, l.top)
	return all
}

// with returns the table after a change. Of one table only one other may be made that way,
// for they share what is behind its origins.
func (t table) with(c change) table {
	t.changes = c.Change
	if len(c.Zones)+len(c.Epochs)+len(c.Retired) > 0 {
		t.zoning = t.zoning.clone()
		t.zoning.apply(c)
	}
	t.tags, t.groups = t.tags.with(c.Tags), t.groups.with(c.Groups)
	t.nextTag, t.nextGroup = after(t.nextTag, c.Tags), after(t.nextGroup, c.Groups)
	t.origin = append(t.origin, make([]intent.ID, int(t.nextTag)-len(t.origin))...)
	for id, tag := range c.Tags {
		t.origin[tag] = id
	}
	return t
}

// after returns the number to give next.
func after(next uint32, given map[intent.ID]uint32) uint32 {
	for _, v := range given {
		next = max(next, v+1)
	}
	return next
}

// Assign gives numbers to all that w wants, and retires the zones of tenants that w
// does not have. What has its numbers already costs nothing and writes nothing.
func (n *Numbers) Assign(w Wants) (*Snapshot, error) {
	c, err := n.table.assign(w)
	if err == nil {
		err = n.save(c)
	}
	if err != nil {
		return nil, err
	}
	return n.snapshot(), nil
}

// Preview returns the numbers that Assign would give, and gives none.
func (n *Numbers) Preview(w Wants) (*Snapshot, error) {
	c, err := n.table.assign(w)
	if err != nil {
		return nil, err
	}
	t := n.table
	t.origin = slices.Clip(t.origin) // so that the numbers that are given do not come behind it
	return &Snapshot{t.with(c)}, nil
}

// assign returns the change that w makes.
func (t *table) assign(w Wants) (change, error) {
	z := t.zoning.clone()
	if err := z.assign(w.Zones); err != nil {
		return change{}, err
	}
	c := t.zoning.to(z)
	c.Tags = give(w.Tags, t.tags, t.nextTag)
	if c.Groups = give(w.Groups, t.groups, t.nextGroup); after(t.nextGroup, c.Groups) > maxGroup+1 {
		return change{}, fmt.Errorf("%d groups have been given: there are no more", maxGroup)
	}
	return c, nil
}

// give gives numbers from next on to those that have none.
func give(ids []intent.ID, have layered, next uint32) map[intent.ID]uint32 {
	var given map[intent.ID]uint32
	for _, id := range ids {
		if have.get(id) != 0 || given[id] != 0 {
			continue
		}
		if given == nil {
			given = map[intent.ID]uint32{}
		}
		given[id] = next
		next++
	}
	return given
}

// save makes a change, on the disk first. Nothing is written of one that changes nothing.
func (n *Numbers) save(c change) error {
	if c.empty() {
		return nil
	}
	c.Change = n.table.changes + 1
	next := n.table.with(c)
	if n.path != "" {
		if err := n.keep(c, next); err != nil {
			return fmt.Errorf("keep numbers: %w", err)
		}
	}
	n.table = next
	return nil
}

// keep writes a change into the journal, or, where that has no more room or cannot be
// trusted, everything into the file.
func (n *Numbers) keep(c change, next table) error {
	if n.journal.open && n.journal.size < maxJournal {
		return n.journal.write(n.path, c)
	}
	return n.journal.begin(n.path, next.file())
}

// A Snapshot is the numbers at one moment. It never changes, and any goroutine may read
// it.
type Snapshot struct{ table table }

func (n *Numbers) snapshot() *Snapshot { return &Snapshot{n.table} }

// Zone returns the zone of a tenant, or of what else has one, or zero.
func (s *Snapshot) Zone(of intent.ID) uint16 { return s.table.Zones[of] }

// Epoch returns the epoch of a tenant, or zero.
func (s *Snapshot) Epoch(tenant intent.ID) uint8 { return s.table.Epochs[tenant].Value }

// Tag returns the tag of an intent, or zero.
func (s *Snapshot) Tag(id intent.ID) uint32 { return s.table.tags.get(id) }

// Group returns the group of an intent, or zero.
func (s *Snapshot) Group(id intent.ID) uint32 { return s.table.groups.get(id) }

// Origin returns the intent that has a tag, also one that is gone.
func (s *Snapshot) Origin(tag uint32) (intent.ID, bool) {
	if uint64(tag) >= uint64(len(s.table.origin)) {
		return "", false
	}
	id := s.table.origin[tag]
	return id, id != ""
}

// Zones returns the zone of each tenant. The caller must not change it.
func (s *Snapshot) Zones() map[intent.ID]uint16 { return s.table.Zones }
