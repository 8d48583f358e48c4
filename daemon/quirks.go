package daemon

import (
	"weir/ovsdb"
	"weir/quirk"
)

// tellQuirks says, once for each version, what it gets wrong: nothing is to be done about it.
func (k *keeper) tellQuirks(bridge string, s *site, v quirk.Version) {
	row, _ := s.row()
	s.quirks = quirk.InForce(v, userspace(row))
	for _, q := range s.quirks {
		once := said{v, q.ID}
		if k.saidOnce[once] {
			continue
		}
		k.saidOnce[once] = true
		k.log.WithField("version", v.String()).WithField("quirk", string(q.ID)).Info("Open vSwitch: " + q.What)
	}
	all := map[string][]quirk.Quirk{}
	for name, s := range k.sites {
		all[name] = s.quirks
	}
	k.desk.quirks.Store(&all)
}

// A said is what has been said of a version.
type said struct {
	version quirk.Version
	id      quirk.ID
}

// userspace reports whether the packets of a bridge go through the userspace datapath.
func userspace(b ovsdb.Bridge) bool { return b.DatapathType != "" && b.DatapathType != "system" }
