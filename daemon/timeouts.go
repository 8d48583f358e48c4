package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/controller"
	"weir/intent"
	"weir/ovsdb"
)

// A timekeeper is what the keeper knows of how long the connections of a host live.
type timekeeper struct {
	wrote   uint64 // the snapshot that the last change was based on
	left    times  // as the database had them when they were right
	fights  controller.Fights
	trouble string              // what was logged last, so that it is said once
	taken   map[string]*takenBy // by type of datapath
}

// times are the timeouts of zones, by type of datapath.
type times map[string]map[uint16]ovsdb.CTZone

// timeouts makes a host's database say how long the connections of each tenant live, and takes
// away what it says for tenants that are gone.
func (k *keeper) timeouts(ctx context.Context, b *base) {
	if !b.snapshot.Connected || b.times.wrote == b.seen {
		return // the next snapshot shows what became of it
	}
	trouble := ""
	for kind, wards := range wardsOf(k.model, k.desk.ours(b.Host), k.ctl.Status()) {
		if t := b.times.takenBy(kind); t.busy { // it is looked at when that is over
			if t.failed != nil {
				trouble = t.failed.Error()
			}
			continue
		}
		if err := k.keepTimes(ctx, b, kind, wards); err != nil {
			trouble = err.Error()
		}
	}
	if trouble != "" && trouble != b.times.trouble {
		k.log.WithField("ovsdb", b.target).WithField("problem", trouble).Error("timeouts of connections are not as they should be; trying again")
	}
	b.times.trouble = trouble
	b.Host.times.Store(&trouble)
}

// keepTimes does this for one datapath.
func (k *keeper) keepTimes(ctx context.Context, b *base, kind string, wards map[uint16]ward) error {
	want, have := wantedTimes(k.model, wards), b.snapshot.Zones[kind]
	put, drop, taken := timeChanges(wards, want, have, b.times.left[kind])
	found := b.times.drifted(kind, wards, want, have)
	if len(found) > 0 && time.Now().Before(b.times.fights.Due(zonesOfDrift(found))) {
		return fmt.Errorf("somebody changes %q again as soon as it is repaired: it is repaired less and less often, down to every 10 s", found[0].Was)
	}
	if len(put)+len(drop) > 0 {
		if err := k.writeTimes(ctx, b, kind, put, drop, found); err != nil {
			return err
		}
	}
	maps.DeleteFunc(want, func(zone uint16, _ ovsdb.CTZone) bool { return slices.Contains(taken, zone) })
	b.times.left[kind] = want
	b.times.takenBy(kind).forget(want, put)
	if err := k.assure(ctx, b, kind, wards, want); err != nil {
		return err
	}
	if len(taken) > 0 {
		return fmt.Errorf("zones %v of %s have timeouts of somebody else (ovs-vsctl list-zone-tp %s): take them away, or give the tenants other zones", taken, kind, kind)
	}
	return nil
}

// writeTimes changes the database, and tells what somebody else had changed.
func (k *keeper) writeTimes(ctx context.Context, b *base, kind string, put map[uint16]ovsdb.CTZone, drop []uint16, found []zoneDrift) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	began := time.Now()
	changed, err := b.db.SetZones(ctx, kind, put, drop)
	if err != nil {
		return err
	}
	b.times.wrote = b.seen
	if !changed { // the snapshot was out of date
		return nil
	}
	b.times.fights.Repaired(zonesOfDrift(found), began)
	for _, d := range found {
		d.At, d.After = began, time.Since(began)
		_ = k.ctl.Drifted(ctx, d.bridge, d.Drift) // it fails only if nobody is there any more to be told
	}
	return nil
}

// wantedTimes returns the timeouts of the zones whose tenants have said some.
func wantedTimes(m *intent.Model, wards map[uint16]ward) map[uint16]ovsdb.CTZone {
	want := map[uint16]ovsdb.CTZone{}
	for zone, w := range wards {
		t := m.Tenant(string(w.tenant))
		if t == nil || len(t.Timeouts) == 0 || t.Mode == intent.Off {
			continue
		}
		z := ovsdb.CTZone{Tenant: t.Name, Timeouts: ovsdb.Timeouts{}}
		for state, seconds := range t.Timeouts {
			z.Timeouts[string(state)] = seconds
		}
		want[zone] = z
	}
	return want
}

// timeChanges returns what has to be written, for which zones what we have written has to
// go, and which zones somebody else had before us. Zones that are not ours are left alone.
func timeChanges(wards map[uint16]ward, want, have, left map[uint16]ovsdb.CTZone) (put map[uint16]ovsdb.CTZone, drop, taken []uint16) {
	put = map[uint16]ovsdb.CTZone{}
	for _, zone := range slices.Sorted(maps.Keys(wards)) {
		w, wanted := want[zone]
		is, there := have[zone]
		_, known := left[zone]
		switch {
		case !wanted && is.Tenant != "":
			drop = append(drop, zone)
		case !wanted, there && is.Equal(w):
		case is.Tenant == "" && len(is.Timeouts) > 0 && !known:
			taken = append(taken, zone)
		default:
			put[zone] = w
		}
	}
	return put, drop, taken
}

// drifted returns the timeouts that somebody else has changed since they were right.
func (t *timekeeper) drifted(kind string, wards map[uint16]ward, want, have map[uint16]ovsdb.CTZone) (found []zoneDrift) {
	for _, zone := range slices.Sorted(maps.Keys(t.left[kind])) {
		was, is := t.left[kind][zone], have[zone]
		if !was.Equal(want[zone]) || was.Equal(is) {
			continue
		}
		d := controller.Drift{What: "timeouts", Change: "changed", Intent: wards[zone].tenant, Was: timesText(zone, was)}
		if _, there := have[zone]; there {
			d.Is = timesText(zone, is)
		} else {
			d.Change = "deleted"
		}
		found = append(found, zoneDrift{d, zone, wards[zone].bridge})
	}
	return found
}

func timesText(zone uint16, z ovsdb.CTZone) string {
	return fmt.Sprintf("zone=%d,%v", zone, z.Timeouts)
}
