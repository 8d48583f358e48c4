package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/renameio/v2"

	"weir/intent"
)

// assignZones gives the zones that tenants say before those that they do not. A
// retired zone is not given before it has been released, and one that is leaving its
// tenant only now is not even flushed before that change is in force.
func (f *file) assignZones(wants map[intent.ID]uint16, leaving map[uint16]bool) (changed bool, err error) {
	owner := make(map[uint16]intent.ID, len(f.Zones))
	for id, z := range f.Zones {
		owner[z] = id
	}
	give := func(id intent.ID, z uint16) {
		f.Zones[id], owner[z] = z, id
		if f.Epochs[id].Value == 0 {
			f.Epochs[id] = epoch{Value: 1}
		}
		changed = true
	}
	tenants := slices.Sorted(maps.Keys(wants))
	for _, id := range tenants {
		z := wants[id]
		if z == 0 || f.Zones[id] == z {
			continue
		}
		if other, taken := owner[z]; taken {
			return false, fmt.Errorf("zone %d of tenant %q is the zone of %q: give one of them another", z, id, other)
		}
		if leaving[z] {
			return false, fmt.Errorf("zone %d of tenant %q is the zone of %q until this change: first take it from %q, then give it to %q", z, id, f.Retired[z], f.Retired[z], id)
		}
		if was, retired := f.Retired[z]; retired {
			return false, fmt.Errorf("zone %d of tenant %q still has the connections of %q: it is free once they have been flushed", z, id, was)
		}
		give(id, z)
	}
	next := uint16(FirstZone)
	for _, id := range tenants {
		if f.Zones[id] != 0 {
			if f.Epochs[id].Value == 0 { // from a hint
				f.Epochs[id] = epoch{Value: 1}
				changed = true
			}
			continue
		}
		for ; next <= LastZone && (owner[next] != "" || f.Retired[next] != ""); next++ {
		}
		if next > LastZone {
			return false, fmt.Errorf("tenant %q: all zones from %d to %d are taken", id, FirstZone, LastZone)
		}
		give(id, next)
	}
	return changed, nil
}

// Raise gives each tenant its next epoch, unless it is not the given one any more.
func (n *Numbers) Raise(epochs map[intent.ID]uint8) (*Snapshot, error) {
	next, changed := n.file.clone(), false
	for _, id := range slices.Sorted(maps.Keys(epochs)) {
		e, ok := next.Epochs[id]
		if !ok || e.Value != epochs[id] {
			continue
		}
		v, err := n.nextEpoch(next.Zones[id], e)
		if err != nil {
			return nil, fmt.Errorf("tenant %q: %w", id, err)
		}
		next.Epochs[id], changed = epoch{v, e.Raised + 1}, true
	}
	if changed {
		if err := n.save(next); err != nil {
			return nil, err
		}
	}
	return n.snapshot(), nil
}

// nextEpoch returns the value after e, 1 after 255. Once the values have gone round it
// passes over those that some connection still carries.
func (n *Numbers) nextEpoch(zone uint16, e epoch) (uint8, error) {
	after := func(v uint8) uint8 {
		if v == 255 {
			return 1
		}
		return v + 1
	}
	v := after(e.Value)
	if e.Raised < 254 {
		return v, nil
	}
	if n.InUse == nil {
		return 0, fmt.Errorf("the epochs of zone %d have gone round, and nobody can say which are in use", zone)
	}
	used, err := n.InUse(zone)
	if err != nil {
		return 0, fmt.Errorf("which epochs of zone %d are in use: %w", zone, err)
	}
	for ; v != e.Value; v = after(v) {
		if !used[v] {
			return v, nil
		}
	}
	return 0, fmt.Errorf("all epochs of zone %d are in use", zone)
}

// Retired returns the zones that have to be flushed before they can be given again, in
// order.
func (n *Numbers) Retired() []uint16 { return slices.Sorted(maps.Keys(n.file.Retired)) }

// Release makes a retired zone free: it has been flushed.
func (n *Numbers) Release(zone uint16) error {
	next := n.file.clone()
	delete(next.Retired, zone)
	return n.save(next)
}

// save makes next what is kept, on the disk first.
func (n *Numbers) save(next file) error {
	if n.path != "" {
		b, err := json.MarshalIndent(next, "", " ")
		if err != nil {
			return err
		}
		if err := renameio.WriteFile(n.path, b, 0o600); err != nil {
			return fmt.Errorf("keep numbers: %w", err)
		}
	}
	n.file = next
	n.index()
	return nil
}

func (n *Numbers) index() {
	if len(n.origin) == len(n.file.Tags) {
		return
	}
	n.origin = make(map[uint32]intent.ID, len(n.file.Tags))
	for id, tag := range n.file.Tags {
		n.origin[tag] = id
	}
}

// A Snapshot is the numbers at one moment. It never changes, and any goroutine may read
// it.
type Snapshot struct {
	file   file
	origin map[uint32]intent.ID
}

// snapshot shares the maps of n, which are replaced and not changed.
func (n *Numbers) snapshot() *Snapshot { return &Snapshot{n.file, n.origin} }

// Zone returns the zone of a tenant, or zero.
func (s *Snapshot) Zone(tenant intent.ID) uint16 { return s.file.Zones[tenant] }

// Epoch returns the epoch of a tenant, or zero.
func (s *Snapshot) Epoch(tenant intent.ID) uint8 { return s.file.Epochs[tenant].Value }

// Tag returns the tag of an intent, or zero.
func (s *Snapshot) Tag(id intent.ID) uint32 { return s.file.Tags[id] }

// Group returns the group of an intent, or zero.
func (s *Snapshot) Group(id intent.ID) uint32 { return s.file.Groups[id] }

// Origin returns the intent that has a tag, also one that is gone.
func (s *Snapshot) Origin(tag uint32) (intent.ID, bool) {
	id, ok := s.origin[tag]
	return id, ok
}

// Zones returns the zone of each tenant. The caller must not change it.
func (s *Snapshot) Zones() map[intent.ID]uint16 { return s.file.Zones }
