package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/controller"
	"weir/intent"
	"weir/ovsdb"
)

// zonePrefix begins the external_ids of a bridge that remember the zones of its
// tenants: weir-zone-blue=4096.
const zonePrefix = "weir-zone-"

// zoneHints returns the zones that bridges remember, by tenant.
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

// goneFrom returns the zones that a bridge remembers and that no tenant on it has any more.
// given are the zones that tenants have, as far as that is known already.
func goneFrom(m *intent.Model, b ovsdb.Bridge, given map[intent.ID]uint16) (zones []uint16) {
	for name, zone := range zoneHints(ovsdb.Snapshot{Bridges: map[string]ovsdb.Bridge{b.Name: b}}) {
		t := m.Tenant(name)
		if t == nil || !onBridge(t, b.Name) || given[t.ID()] != 0 && given[t.ID()] != zone {
			zones = append(zones, zone)
		}
	}
	return zones
}

// zonesOf returns what the external_ids of each bridge should remember, as far as the
// controller has given zones.
func zonesOf(m *intent.Model, now *controller.Status) map[string]map[string]string {
	given := map[intent.ID]uint16{}
	for _, t := range now.Tenants {
		given[t.ID] = t.Zone
	}
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
	return zones
}

// zoneChanges returns what has to change in external_ids so that they remember want.
// What they say of a tenant that the model has stays until its zone is known.
func zoneChanges(have, want map[string]string, m *intent.Model) (set map[string]string, remove []string) {
	set = map[string]string{}
	for key, value := range want {
		if have[key] != value {
			set[key] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		tenant, ours := strings.CutPrefix(key, zonePrefix)
		if ours && m.Tenant(tenant) == nil {
			remove = append(remove, key)
		}
	}
	return set, remove
}
