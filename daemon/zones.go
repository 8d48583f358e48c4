package daemon

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/apps/pipeline"
	"weir/controller"
	"weir/intent"
	"weir/ovsdb"
)

// zonePrefix begins the external_ids of a bridge that remember the zones of its
// tenants, and those beside them: weir-zone-blue=4096, weir-zone-blue/zone/source=4097.
const zonePrefix = "weir-zone-"

// zoneHints returns the zones that bridges remember, by tenant, or by the id of what else has
// one.
func zoneHints(s ovsdb.Snapshot) map[string]uint16 {
	hints := map[string]uint16{}
	for _, name := range slices.Sorted(maps.Keys(s.Bridges)) {
		for key, value := range s.Bridges[name].ExternalIDs {
			tenant, ok := strings.CutPrefix(key, zonePrefix)
			zone, err := strconv.ParseUint(value, 10, 16)
			if ok && err == nil && zone != 0 {
				hints[tenant] = uint16(zone)
			}
		}
	}
	return hints
}

// rememberedZones returns the zones that one bridge remembers.
func rememberedZones(b ovsdb.Bridge) []uint16 {
	return slices.Collect(maps.Values(zoneHints(ovsdb.Snapshot{Bridges: map[string]ovsdb.Bridge{b.Name: b}})))
}

// goneFrom returns the zones that a bridge remembers and that nobody on it has any more.
// given are the zones that there are, as far as that is known already.
func goneFrom(m *intent.Model, b ovsdb.Bridge, given map[intent.ID]uint16) (zones []uint16) {
	others := auxOn(m, b.Name)
	for name, zone := range zoneHints(ovsdb.Snapshot{Bridges: map[string]ovsdb.Bridge{b.Name: b}}) {
		t, id := m.Tenant(name), intent.ID(name)
		here := t != nil && onBridge(t, b.Name) || others[id]
		if !here || given[id] != 0 && given[id] != zone {
			zones = append(zones, zone)
		}
	}
	return zones
}

// auxOn returns the zones of a bridge that are no tenant's.
func auxOn(m *intent.Model, bridge string) map[intent.ID]bool {
	all := map[intent.ID]bool{}
	for _, z := range pipeline.AuxZones(m) {
		if slices.Contains(z.Bridges, bridge) {
			all[z.ID] = true
		}
	}
	return all
}

// givenZones returns the zones that the controller has given.
func givenZones(now *controller.Status) map[intent.ID]uint16 {
	given := make(map[intent.ID]uint16, len(now.Tenants)+len(now.Zones))
	for _, t := range now.Tenants {
		given[t.ID] = t.Zone
	}
	for _, z := range now.Zones {
		given[z.ID] = z.Number
	}
	return given
}

// zonesOf returns what the external_ids of each bridge should remember, as far as the
// controller has given zones.
func zonesOf(m *intent.Model, now *controller.Status) map[string]map[string]string {
	given := givenZones(now)
	zones := map[string]map[string]string{}
	for _, b := range m.Bridges() {
		zones[b.Name] = map[string]string{}
	}
	for _, t := range m.Tenants() {
		zone := given[t.ID()]
		if zone == 0 {
			continue
		}
		for _, n := range t.Networks {
			for _, bridge := range n.Bridges {
				zones[bridge][zonePrefix+t.Name] = strconv.Itoa(int(zone))
			}
		}
	}
	for _, z := range pipeline.AuxZones(m) {
		for _, bridge := range z.Bridges {
			if zone := given[z.ID]; zone != 0 {
				zones[bridge][zonePrefix+string(z.ID)] = strconv.Itoa(int(zone))
			}
		}
	}
	return zones
}

// zoneChanges returns what has to change in external_ids so that they remember want.
// What they say of a zone that the model has stays until its number is known.
func zoneChanges(have, want map[string]string, m *intent.Model) (set map[string]string, remove []string) {
	set = map[string]string{}
	for key, value := range want {
		if have[key] != value {
			set[key] = value
		}
	}
	needed := pipeline.ZonesOf(m)
	for _, key := range slices.Sorted(maps.Keys(have)) {
		id, ours := strings.CutPrefix(key, zonePrefix)
		if _, still := needed[intent.ID(id)]; ours && !still {
			remove = append(remove, key)
		}
	}
	return set, remove
}
