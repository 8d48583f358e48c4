package pipeline

import (
	"weir/intent"
	"weir/ofproto"
)

// Exposed returns the tenants whose connections may have been let in by flows that somebody
// else has made: those whose zone such a flow matches, and all if it does not say. What such
// a flow has let in is remembered by the connection tracker, and has to be judged again.
func Exposed(flows []ofproto.Flow, n Numbers, m *intent.Model) (ids []intent.ID) {
	zones, all := map[uint16]bool{}, false
	for _, f := range flows {
		if len(f.Actions) == 0 { // a drop lets nothing pass
			continue
		}
		zone, ok := wholeZoneOf(f)
		zones[zone] = ok
		all = all || !ok
	}
	for _, t := range m.Tenants() {
		if all || zones[n.Zone(t.ID())] {
			ids = append(ids, t.ID())
		}
	}
	return ids
}

// wholeZoneOf returns the one zone that f matches.
func wholeZoneOf(f ofproto.Flow) (uint16, bool) {
	for _, c := range f.Match {
		if c.Field == Zone.Field && c.Mask.Uint64()&0xffff == 0xffff {
			return uint16(c.Value.Uint64()), true
		}
	}
	return 0, false
}
