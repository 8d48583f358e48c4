package controller

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"weir/apps/pipeline"
)

// The connections of addresses that tenants share have halves in a zone of all of them. When a
// tenant goes its own zone is emptied, but not that one: its halves there are orphans, which
// would hold ports that others could have.

// orphansOf notes whose halves a plan makes orphans.
func (s *sweeper) orphansOf(gone map[netip.Addr]uint16) {
	if s.orphans == nil {
		s.orphans = map[netip.Addr]uint16{}
	}
	maps.Copy(s.orphans, gone)
}

// readOrphans reads one of the zones with orphans, beside what else there is to do.
func (s *session) readOrphans(ctx context.Context) {
	in, program := s.job.input, s.given
	zone, of := uint16(0), map[netip.Addr]bool{}
	for alias, z := range s.sweep.orphans {
		if zone == 0 || z == zone {
			zone, of[alias] = z, true
			delete(s.sweep.orphans, alias)
		}
	}
	go func() {
		f := found{program: program, orphans: true}
		var all []pipeline.Connection
		all, _, f.err = s.readConnections(ctx, s.name, zone)
		holds := s.forgettable(ctx, pipeline.HalvesOf(in.Numbers, f.tenant, in.Model))
		f.end = slices.DeleteFunc(all, func(c pipeline.Connection) bool { return !of[c.Orig.Src] || holds(c) != nil })
		s.sweep.looked <- f
	}()
}
