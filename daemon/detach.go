package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
)

// Detach gives a bridge back that no daemon drives any more: it removes our flows while the bridge still speaks
// OpenFlow 1.3, unless they are to be kept, and the limits, timeouts and connections of its zones, and restores what the
// bridge was. It returns how many flows it removed.
func Detach(ctx context.Context, k ofconn.Keys, hosts []*Host, bridge string, keepFlows bool) (removed int, err error) {
	keys, err := openKeys(k, targetsOf(hosts)...)
	if err != nil {
		return 0, err
	}
	h, bridge, err := hostWith(ctx, hosts, configOf(keys), bridge)
	if err != nil {
		return 0, err
	}
	db, err := ovsdb.Open(ctx, ovsdb.Database{Target: h.target, TLS: configOf(keys)})
	if err != nil {
		return 0, err
	}
	s, err := db.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	zones := zonesLeftBy(s, bridge)
	if err := releaseZones(ctx, h.rundir, db, conntrack.Kind(s.Bridges[bridge].DatapathType), zones); err != nil {
		return 0, err
	}
	if !keepFlows {
		if removed, err = removeFlows(ctx, h.rundir, bridge, zones); err != nil {
			return 0, fmt.Errorf("remove flows: %w (--keep-flows leaves them)", err)
		}
	}
	return removed, db.Detach(ctx, bridge)
}

// hostWith returns the host that has a bridge, and what it is called there.
func hostWith(ctx context.Context, hosts []*Host, keys *tls.Config, bridge string) (*Host, string, error) {
	if len(hosts) == 1 && hosts[0].name == "" {
		return hosts[0], bridge, nil
	}
	var all []*base
	for _, h := range hosts {
		if of, _, qualified := strings.Cut(bridge, "/"); qualified && of != h.name {
			all = append(all, &base{Host: h})
			continue
		}
		db, err := ovsdb.Open(ctx, ovsdb.Database{Target: h.target, TLS: keys})
		if err != nil {
			return nil, "", h.trouble(err)
		}
		s, err := db.Snapshot(ctx)
		if err != nil {
			return nil, "", h.trouble(err)
		}
		all = append(all, &base{Host: h, snapshot: s})
	}
	at, name, err := find(all, bridge, nil)
	if err != nil {
		return nil, "", err
	}
	return at.Host, name, nil
}

// releaseZones takes the limits and timeouts of zones away.
func releaseZones(ctx context.Context, rundir string, db *ovsdb.Client, kind string, zones []uint16) error {
	if _, err := db.SetZones(ctx, kind, nil, zones); err != nil {
		return err
	}
	d := conntrack.NewDatapath(rundir, kind)
	limits, err := d.Limits(ctx)
	if err != nil { // ovs-vswitchd does not run, or the datapath knows no limits: there are none
		return nil
	}
	var some []uint16
	for _, l := range limits {
		if slices.Contains(zones, l.Zone) {
			some = append(some, l.Zone)
		}
	}
	if err := d.DeleteLimits(ctx, some...); err != nil || len(some) == 0 || len(some) < len(limits) {
		return err
	}
	_, err = sweepAnew(ctx, d, limitSweep, conntrack.DefaultSweep) // it was so for the limits, the last of which are gone
	return err
}

// zonesLeftBy returns the zones that a bridge remembers, and no other on its datapath does.
func zonesLeftBy(s ovsdb.Snapshot, bridge string) (zones []uint16) {
	kind := conntrack.Kind(s.Bridges[bridge].DatapathType)
	inUse := map[uint16]bool{}
	for name, b := range s.Bridges {
		if name != bridge && conntrack.Kind(b.DatapathType) == kind {
			for _, zone := range rememberedZones(b) {
				inUse[zone] = true
			}
		}
	}
	for _, zone := range rememberedZones(s.Bridges[bridge]) {
		if !inUse[zone] {
			zones = append(zones, zone)
		}
	}
	slices.Sort(zones)
	return zones
}

// removeFlows deletes what is Weir's from a bridge, through its management socket, and then
// the connections of zones.
func removeFlows(ctx context.Context, rundir, bridge string, zones []uint16) (int, error) {
	c, err := ofconn.Dial(ctx, "unix:"+filepath.Join(rundir, bridge+".mgmt"), ofconn.Config{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	have, err := c.Tables(ctx)
	if err != nil {
		return 0, err
	}
	p := removal(have)
	if err := c.Apply(ctx, p); err != nil {
		return 0, err
	}
	for _, zone := range zones {
		if err := c.FlushZone(ctx, zone); err != nil {
			return 0, err
		}
	}
	return len(p.DeleteFlows), nil
}

// removal is the plan that removes Weir's flows and meters, and the groups that only these
// flows use. A group does not say whose it is.
func removal(have ofproto.Tables) ofproto.Plan {
	var p ofproto.Plan
	ours, others := map[uint32]bool{}, map[uint32]bool{}
	for _, f := range have.Flows {
		users := others
		if _, owned := pipeline.TagOf(f.Cookie); owned {
			p.DeleteFlows = append(p.DeleteFlows, f)
			users = ours
		}
		for _, a := range f.Actions {
			if g, ok := a.(ofproto.ToGroup); ok {
				users[uint32(g)] = true
			}
		}
	}
	for _, g := range have.Groups {
		if ours[g.ID] && !others[g.ID] {
			p.DeleteGroups = append(p.DeleteGroups, g)
		}
	}
	for _, m := range have.Meters {
		if _, owned := pipeline.MeterTag(m.ID); owned {
			p.DeleteMeters = append(p.DeleteMeters, m)
		}
	}
	return p
}
