package daemon

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"weir/api"
	"weir/conntrack"
	"weir/intent"
)

// Trackings counts what the connection trackers have, zone by zone.
func (d *desk) Trackings(ctx context.Context) ([]api.Tracking, error) {
	trackers, ids, err := d.zonesTracked()
	if err != nil {
		return nil, err
	}
	all := []api.Tracking{}
	for _, t := range trackers {
		all = append(all, tracking(ctx, conntrack.NewDatapath(t.host.rundir, t.Kind), t, ids))
	}
	return all, nil
}

// zonesTracked returns the trackers of all hosts, and whose each zone is.
func (d *desk) zonesTracked() (trackers []tracker, ids map[uint16]intent.ID, err error) {
	ctl := d.ctl.Load()
	trackers, known := d.trackers()
	if ctl == nil || !known {
		return nil, nil, errStarting
	}
	ids = map[uint16]intent.ID{}
	for id, zone := range givenZones(ctl.Status()) {
		ids[zone] = id
	}
	return trackers, ids, nil
}

// tracking counts what one tracker has. What cannot be learned is left out, and said.
func tracking(ctx context.Context, of conntrack.Datapath, t tracker, ids map[uint16]intent.ID) api.Tracking {
	a := api.Tracking{Host: t.host.name, Datapath: t.Kind, Fill: t.fill(), Zones: []api.TrackingZone{}}
	if err := t.host.asked(ctx); err != nil {
		a.Error = err.Error()
		return a
	}
	if count, most, err := of.Fill(ctx); err == nil { // newer than what the warden has seen
		a.Connections, a.Max = count, most
	}
	stats, err := of.Stats(ctx, 0)
	a.Protocols, a.TCPStates = counts(stats.Protocols), counts(stats.TCPStates)
	switch on, why := of.SequenceCheck(ctx); {
	case why == nil:
		a.SequenceCheck = &on
	case !errors.Is(why, conntrack.ErrUnsupported):
		err = errors.Join(err, why)
	}
	for _, zone := range slices.Sorted(maps.Keys(t.Zones)) {
		if err != nil {
			break
		}
		began := time.Now()
		stats, err = of.Stats(ctx, zone)
		z := api.TrackingZone{Zone: zone, ID: string(ids[zone]), Connections: stats.Total, Protocols: counts(stats.Protocols)}
		if l, limited := t.Limits[zone]; limited {
			f := t.fillOf(l)
			z.Limit = &f
		}
		a.Zones = append(a.Zones, z)
		err = errors.Join(err, conntrack.Rest(ctx, time.Since(began)))
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func counts(all []conntrack.Count) map[string]uint64 {
	by := make(map[string]uint64, len(all))
	for _, c := range all {
		by[c.Name] += c.N
	}
	return by
}
