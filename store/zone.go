package store

import (
	"fmt"
	"maps"
	"slices"

	"weir/intent"
)

// zoning is the zones of tenants, with their epochs.
type zoning struct {
	Zones   map[intent.ID]uint16 `json:"zones"`   // by tenant
	Epochs  map[intent.ID]epoch  `json:"epochs"`  // by tenant
	Retired map[uint16]intent.ID `json:"retired"` // zones of tenants that are gone
}

func (z zoning) clone() zoning {
	return zoning{maps.Clone(z.Zones), maps.Clone(z.Epochs), maps.Clone(z.Retired)}
}

// to returns the change from z to y.
func (z zoning) to(y zoning) change {
	return change{Zones: difference(z.Zones, y.Zones), Epochs: difference(z.Epochs, y.Epochs), Retired: difference(z.Retired, y.Retired)}
}

// difference returns what is another value in y than in x: the zero value for what is gone.
func difference[K, V comparable](x, y map[K]V) map[K]V {
	d := map[K]V{}
	for k, v := range y {
		if x[k] != v {
			d[k] = v
		}
	}
	for k := range x {
		if _, still := y[k]; !still {
			var none V
			d[k] = none
		}
	}
	return d
}

// apply makes a change, in the maps of z.
func (z zoning) apply(c change) {
	replace(z.Zones, c.Zones)
	replace(z.Epochs, c.Epochs)
	replace(z.Retired, c.Retired)
}

func replace[K, V comparable](in, by map[K]V) {
	var none V
	for k, v := range by {
		if v == none {
			delete(in, k)
		} else {
			in[k] = v
		}
	}
}

// assign gives zones to tenants, and retires those of tenants that are not wanted any more.
func (z zoning) assign(wants map[intent.ID]uint16) error {
	leaving := map[uint16]bool{}
	for id, zone := range z.Zones {
		if want, still := wants[id]; !still || want != 0 && want != zone {
			delete(z.Zones, id)
			delete(z.Epochs, id)
			z.Retired[zone], leaving[zone] = id, true
		}
	}
	return z.give(wants, leaving)
}

// give gives the zones that tenants say before those that they do not. A
// retired zone is not given before it has been released, and one that is leaving its
// tenant only now is not even flushed before that change is in force.
func (z zoning) give(wants map[intent.ID]uint16, leaving map[uint16]bool) error {
	owner := make(map[uint16]intent.ID, len(z.Zones))
	for id, zone := range z.Zones {
		owner[zone] = id
	}
	give := func(id intent.ID, zone uint16) {
		z.Zones[id], owner[zone] = zone, id
		if z.Epochs[id].Value == 0 {
			z.Epochs[id] = epoch{Value: 1}
		}
	}
	tenants := slices.Sorted(maps.Keys(wants))
	for _, id := range tenants {
		zone := wants[id]
		if zone == 0 || z.Zones[id] == zone {
			continue
		}
		if other, taken := owner[zone]; taken {
			return fmt.Errorf("zone %d of tenant %q is the zone of %q: give one of them another", zone, id, other)
		}
		if leaving[zone] {
			return fmt.Errorf("zone %d of tenant %q is the zone of %q until this change: first take it from %q, then give it to %q", zone, id, z.Retired[zone], z.Retired[zone], id)
		}
		if was, retired := z.Retired[zone]; retired {
			return fmt.Errorf("zone %d of tenant %q still has the connections of %q: it is free once they have been flushed", zone, id, was)
		}
		give(id, zone)
	}
	next := uint16(FirstZone)
	for _, id := range tenants {
		if z.Zones[id] != 0 {
			if z.Epochs[id].Value == 0 { // from a hint
				z.Epochs[id] = epoch{Value: 1}
			}
			continue
		}
		for ; next <= LastZone && (owner[next] != "" || z.Retired[next] != ""); next++ {
		}
		if next > LastZone {
			return fmt.Errorf("tenant %q: all zones from %d to %d are taken", id, FirstZone, LastZone)
		}
		give(id, next)
	}
	return nil
}

// Raise gives each tenant its next epoch, unless it is not the given one any more.
func (n *Numbers) Raise(epochs map[intent.ID]uint8) (*Snapshot, error) {
	c := change{Epochs: map[intent.ID]epoch{}}
	for _, id := range slices.Sorted(maps.Keys(epochs)) {
		e, ok := n.table.Epochs[id]
		if !ok || e.Value != epochs[id] {
			continue
		}
		v, err := n.nextEpoch(n.table.Zones[id], e)
		if err != nil {
			return nil, fmt.Errorf("tenant %q: %w", id, err)
		}
		c.Epochs[id] = epoch{v, e.Raised + 1}
	}
	if err := n.save(c); err != nil {
		return nil, err
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
func (n *Numbers) Retired() []uint16 { return slices.Sorted(maps.Keys(n.table.Retired)) }

// Release makes a retired zone free: it has been flushed.
func (n *Numbers) Release(zone uint16) error {
	if _, retired := n.table.Retired[zone]; !retired {
		return nil
	}
	return n.save(change{Retired: map[uint16]intent.ID{zone: ""}})
}
