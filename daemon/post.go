package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/api"
	"weir/conntrack"
	"weir/controller"
)

// A post is what the warden knows of one datapath.
type post struct {
	datapath conntrack.Datapath
	process  string            // the ovs-vswitchd that it is in
	wards    map[uint16]ward   // that were seen to last
	left     map[uint16]uint32 // the limits that their zones were left with, zero for none; nil: not known
	fights   controller.Fights // over limits
	sweeping sweeping
	gauges   map[uint16]*gauge // by zone
	full     gauge             // of the tracker
	shown    tracker
}

// A tracker is what is known of the connection tracker of one datapath.
type tracker struct {
	host       *Host
	Kind       string
	Count, Max uint64                     // connections of all zones; zero: not known
	Alarm      alarm                      // of the tracker
	Limits     map[uint16]conntrack.Limit // of our zones; never changes
	Alarms     map[uint16]alarm           // of those; never changes
	Zones      map[uint16]ward            // all of ours; never changes
	Err        string                     // why limits are not as they should be
}

// A zoneDrift is something of a zone that somebody else has changed.
type zoneDrift struct {
	controller.Drift
	zone   uint16
	bridge string
}

func newPost(h *Host, kind string) *post {
	return &post{
		datapath: conntrack.NewDatapath(h.rundir, kind), fights: controller.Fights{}, gauges: map[uint16]*gauge{},
		shown: tracker{host: h, Kind: kind},
	}
}

// name is how the datapath is called, with its host if there may be several.
func (p *post) name() string { return p.shown.host.of(p.shown.Kind) }

// settle makes the limits of the datapath what they should be, and returns those that
// somebody else had changed.
func (p *post) settle(ctx context.Context, wards map[uint16]ward) ([]zoneDrift, error) {
	process, err := p.datapath.Process()
	if err != nil {
		return nil, nil // nobody is there to have limits; what comes back is told at once
	}
	if process != p.process {
		p.process, p.left = process, nil // it has forgotten everything
	}
	began := time.Now()
	have, err := p.limits(ctx)
	if err != nil {
		return nil, p.matters(err, wards)
	}
	put, drop := differences(wards, p.left, have)
	found := drifted(wards, p.left, have)
	if len(found) > 0 && time.Now().Before(p.fights.Due(zonesOfDrift(found))) {
		return nil, fmt.Errorf("somebody changes %q again as soon as it is repaired: it is repaired less and less often, down to every 10 s", found[0].Was)
	}
	if err := p.datapath.SetLimits(ctx, put...); err != nil {
		return nil, err
	}
	if err := p.datapath.DeleteLimits(ctx, drop...); err != nil {
		return nil, err
	}
	p.leave(wards, have)
	p.fights.Repaired(zonesOfDrift(found), began)
	for i := range found {
		found[i].At, found[i].After = began, time.Since(began)
	}
	return found, p.sweeping.hasten(ctx, p.datapath, process, len(p.shown.Limits) > 0)
}

func (p *post) limits(ctx context.Context) (map[uint16]conntrack.Limit, error) {
	all, err := p.datapath.Limits(ctx)
	have := make(map[uint16]conntrack.Limit, len(all))
	for _, l := range all {
		have[l.Zone] = l
	}
	return have, err
}

// matters returns an error unless nobody wants a limit: a kernel may have none.
func (p *post) matters(err error, wards map[uint16]ward) error {
	p.wards = wards
	for _, w := range wards {
		if w.max > 0 {
			return err
		}
	}
	return nil
}

// leave notes how the zones are now. A limit that is new has nothing counted.
func (p *post) leave(wards map[uint16]ward, have map[uint16]conntrack.Limit) {
	p.wards, p.left = wards, make(map[uint16]uint32, len(wards))
	p.shown.Limits = map[uint16]conntrack.Limit{}
	for zone, w := range wards {
		p.left[zone] = w.max
		if w.max > 0 {
			p.shown.Limits[zone] = conntrack.Limit{Zone: zone, Max: w.max, Count: have[zone].Count}
		}
	}
}

// differences returns what has to be set, and which zones must have no limit. Zones that
// are not ours are left alone.
func differences(wards map[uint16]ward, left map[uint16]uint32, have map[uint16]conntrack.Limit) (put []conntrack.Limit, drop []uint16) {
	for _, zone := range slices.Sorted(maps.Keys(wards)) {
		most := wards[zone].max
		is, limited := have[zone]
		if most == 0 && limited {
			drop = append(drop, zone)
		}
		if most != 0 && (!limited || is.Max != most) {
			put = append(put, conntrack.Limit{Zone: zone, Max: most})
		}
	}
	for _, zone := range slices.Sorted(maps.Keys(left)) { // of a tenant that has gone just now
		_, ours := wards[zone]
		if is, limited := have[zone]; !ours && limited && is.Max == left[zone] {
			drop = append(drop, zone)
		}
	}
	return put, drop
}

// drifted returns the limits of zones that are not as they were left.
func drifted(wards map[uint16]ward, left map[uint16]uint32, have map[uint16]conntrack.Limit) (all []zoneDrift) {
	for _, zone := range slices.Sorted(maps.Keys(left)) {
		w, ours := wards[zone]
		is, limited := have[zone]
		if !ours || is.Max == left[zone] && limited == (left[zone] != 0) {
			continue
		}
		d := zoneDrift{controller.Drift{What: "limit", Change: "changed", Intent: w.tenant}, zone, w.bridge}
		if left[zone] != 0 {
			d.Was = conntrack.Limit{Zone: zone, Max: left[zone]}.String()
		} else {
			d.Change = "added"
		}
		if limited {
			d.Is = is.String()
		} else {
			d.Change = "deleted"
		}
		all = append(all, d)
	}
	return all
}

func zonesOfDrift(found []zoneDrift) (all []string) {
	for _, d := range found {
		all = append(all, fmt.Sprint(d.What, " of zone ", d.zone))
	}
	return all
}

// alarms looks at the zones with limits, and returns those whose alarm has changed.
func (p *post) alarms() (zones []uint16) {
	p.shown.Alarms = map[uint16]alarm{}
	for _, zone := range slices.Sorted(maps.Keys(p.shown.Limits)) {
		g := p.gauges[zone]
		if g == nil {
			g = new(gauge)
			p.gauges[zone] = g
		}
		if g.read(uint64(p.shown.Limits[zone].Count), uint64(p.shown.Limits[zone].Max)) {
			zones = append(zones, zone)
		}
		p.shown.Alarms[zone] = g.alarm
	}
	maps.DeleteFunc(p.gauges, func(zone uint16, _ *gauge) bool { return p.shown.Limits[zone].Max == 0 })
	return zones
}

// fills says how full the trackers are, and the zones of tenants: where one is in several
// datapaths, the fullest.
func (d *desk) fills(s *api.Status) {
	all, _ := d.trackers()
	for _, t := range all {
		shown := api.Tracker{Host: t.host.name, Datapath: t.Kind, Fill: t.fill(), Error: t.Err}
		if t.Kind == conntrack.Kernel && t.host.reader != nil {
			if why := t.host.reader.kernel.Load(); why != nil {
				shown.Through = *why
			}
		}
		s.Trackers = append(s.Trackers, shown)
		for i := range s.Tenants {
			to := &s.Tenants[i]
			l, limited := t.Limits[to.Zone]
			if limited && (to.Limit == nil || to.Limit.Connections < uint64(l.Count)) {
				f := t.fillOf(l)
				to.Limit = &f
			}
		}
	}
}

// fill is how full the tracker is.
func (t tracker) fill() api.Fill {
	return api.Fill{Connections: t.Count, Max: t.Max, Alarm: t.Alarm.String()}
}

// fillOf is how much of a limit is used.
func (t tracker) fillOf(l conntrack.Limit) api.Fill {
	return api.Fill{Connections: uint64(l.Count), Max: uint64(l.Max), Alarm: t.Alarms[l.Zone].String()}
}
