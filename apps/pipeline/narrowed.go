package pipeline

import (
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// Narrowed returns the tenants whose live connections have to be judged again when
// the bridge goes from have to want: those for which something that judges is taken
// away, changed, or added to deny. What only lets more pass touches no connection.
//
// The bridge is the memory: this also sees what was changed while nobody looked. A
// tenant whose epoch in n is not the one in have is on its way already, and is not
// named again.
func Narrowed(want, have []ofproto.Flow, n Numbers, m *intent.Model) []intent.ID {
	installed := Epochs(have)
	var settled []intent.ID
	for _, t := range m.Tenants() {
		if epoch, there := installed[n.Zone(t.ID())]; there && epoch == n.Epoch(t.ID()) {
			settled = append(settled, t.ID())
		}
	}
	if len(settled) == 0 {
		return nil
	}
	narrowed := narrowedZones(want, have)
	return slices.DeleteFunc(settled, func(id intent.ID) bool { return !narrowed[n.Zone(id)] })
}

// Widens reports whether a plan, which leads from all flows of have to those of want, can be seen
// to take nothing back: Narrowed would then name nobody. It adds what translates, and what has
// to do with judging as little as with who is who, and nothing else.
func Widens(plan ofproto.Plan, want, have []ofproto.Flow) bool {
	return onlyAdds(plan, want, have) && !slices.ContainsFunc(plan.PutFlows, func(f ofproto.Flow) bool {
		_, entry := loaded(f.Actions, Zone)
		return identifies(f) || judges(f) || f.Table == PortSec || entry && !translates(f)
	})
}

// narrowedZones returns the zones in which want may let less pass than have. It never
// misses one, and may name one in which nothing is taken back: it looks at the flows, and
// not at the packets that they match together.
func narrowedZones(want, have []ofproto.Flow) map[uint16]bool {
	now, then := byZone(want), byZone(have)
	all := narrows(now[noZone], then[noZone])
	narrowed := map[uint16]bool{}
	for zone, flows := range then {
		if zone != noZone && (all || narrows(now[zone], flows)) {
			narrowed[uint16(zone)] = true
		}
	}
	return narrowed
}

// Beside zones: flows that are for all of them, and those that are not, or not yet, looked at.
const (
	noZone   = -1
	unsorted = -2
)

// byZone returns the flows that have to do with judging, by the zone that they are for:
// those that let somebody in, that give identities, and that judge.
func byZone(flows []ofproto.Flow) map[int][]ofproto.Flow {
	ports, nets := map[uint64]int{}, map[uint64]int{}
	of := make([]int, len(flows)) // zones
	sizes := map[int]int{}
	for i, f := range flows {
		zone, entry := loaded(f.Actions, Zone)
		if !entry {
			of[i] = unsorted
			continue
		}
		if tag, ok := loaded(f.Actions, RegIn.Whole()); ok {
			ports[tag] = int(zone)
		}
		if net, ok := loaded(f.Actions, ofproto.Metadata.Whole()); ok {
			nets[net&(1<<VRF.Offset-1)] = int(zone)
		}
		of[i] = int(zone)
		sizes[of[i]]++
	}
	for i, f := range flows {
		if of[i] == unsorted && (judges(f) || identifies(f) || translates(f) || f.Table == PortSec) {
			of[i] = zoneThrough(f, ports, nets)
			sizes[of[i]]++
		}
	}
	zones := make(map[int][]ofproto.Flow, len(sizes))
	for zone, size := range sizes {
		zones[zone] = make([]ofproto.Flow, 0, size)
	}
	for i, zone := range of {
		if zone != unsorted {
			zones[zone] = append(zones[zone], flows[i])
		}
	}
	return zones
}

// zoneThrough returns the zone that f matches: itself, or the port or the network of one.
func zoneThrough(f ofproto.Flow, ports, nets map[uint64]int) int {
	for _, c := range f.Match {
		value := c.Value.Uint64()
		switch c.Field {
		case Zone.Field:
			return int(uint16(value))
		case RegIn:
			if zone, ok := ports[value]; ok {
				return zone
			}
		case ofproto.Metadata:
			if zone := int(value >> VRF.Offset); zone != 0 {
				return zone
			}
			if zone, ok := nets[value]; ok {
				return zone
			}
		}
	}
	return noZone
}

func sameFlows(a, b []ofproto.Flow) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// loaded returns what actions write into a part of a register.
func loaded(actions []ofproto.Action, to ofproto.Subfield) (uint64, bool) {
	for _, a := range actions {
		switch a := a.(type) {
		case ofproto.SetField:
			if a.Field.Whole() == to {
				return a.Value.Uint64(), true
			}
		case ofproto.Load:
			if a.Dst == to {
				return a.Value, true
			}
		}
	}
	return 0, false
}

// ZoneOf returns the zone that f matches, if it matches one.
func ZoneOf(f ofproto.Flow) (uint16, bool) {
	for _, c := range f.Match {
		if c.Field == Zone.Field {
			return uint16(c.Value.Uint64()), true
		}
	}
	return 0, false
}

// Epochs reads the epoch of each zone off the flows that give it to new
// connections.
func Epochs(flows []ofproto.Flow) map[uint16]uint8 {
	epochs := map[uint16]uint8{}
	for _, f := range flows {
		if _, owned := TagOf(f.Cookie); !owned {
			continue
		}
		for _, a := range f.Actions {
			if l, ok := a.(ofproto.Load); ok && l.Dst == Epoch {
				if zone, ok := ZoneOf(f); ok {
					epochs[zone] = uint8(l.Value)
				}
			}
		}
	}
	return epochs
}
