package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
)

// A detachFlags is what weir detach needs to know.
type detachFlags struct {
	socket    string
	keepFlows bool
	keys      ofconn.Keys
}

func detachCommand() *cobra.Command {
	var f detachFlags
	cmd := &cobra.Command{
		Use:   "detach BRIDGE",
		Short: "give a bridge back as it was before Weir: controllers, protocols, fail mode",
		Long: `detach removes Weir's flows, groups and meters from a bridge, and the connections, limits
and timeouts of its tenants' conntrack zones, and puts its controllers, protocols and fail
mode back as they were. The daemon must not drive the bridge any more: stop
it, or take the bridge out of the model.`,
		Args: cobra.ExactArgs(1),
	}
	hosts := hostFlags(cmd)
	keyFlags(cmd, &f.keys)
	cmd.Flags().BoolVar(&f.keepFlows, "keep-flows", false, "leave Weir's flows in the bridge")
	socket := socketFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.socket = *socket
		all, err := hosts()
		if err != nil {
			return err
		}
		removed, err := detach(cmd.Context(), f, all, args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is given back; %s of Weir's removed\n", args[0], count(removed, "flow", "flows"))
		return nil
	}
	return cmd
}

// detach removes our flows while the bridge still speaks OpenFlow 1.3, then restores
// what the bridge was. It returns how many flows it removed.
func detach(ctx context.Context, f detachFlags, hosts []*host, bridge string) (removed int, err error) {
	if err := undriven(ctx, f.socket, bridge); err != nil {
		return 0, err
	}
	keys, err := openKeys(f.keys, targetsOf(hosts)...)
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
	if !f.keepFlows {
		if removed, err = removeFlows(ctx, h.rundir, bridge, zones); err != nil {
			return 0, fmt.Errorf("remove flows: %w (--keep-flows leaves them)", err)
		}
	}
	return removed, db.Detach(ctx, bridge)
}

// hostWith returns the host that has a bridge, and what it is called there.
func hostWith(ctx context.Context, hosts []*host, keys *tls.Config, bridge string) (*host, string, error) {
	if len(hosts) == 1 && hosts[0].name == "" {
		return hosts[0], bridge, nil
	}
	var all []*base
	for _, h := range hosts {
		if of, _, qualified := strings.Cut(bridge, "/"); qualified && of != h.name {
			all = append(all, &base{host: h})
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
		all = append(all, &base{host: h, snapshot: s})
	}
	at, name, err := find(all, bridge, nil)
	if err != nil {
		return nil, "", err
	}
	return at.host, name, nil
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

// undriven is an error if a daemon drives the bridge: it would attach it again at once.
func undriven(ctx context.Context, socket, bridge string) error {
	var s api.Status
	if err := newClient(socket).get(ctx, "/v1/status", nil, &s); err != nil {
		return nil // no daemon there, or none that could tell
	}
	for _, b := range s.Bridges {
		if b.Name == bridge {
			return fmt.Errorf("the daemon behind %s drives %s: stop it, or take the bridge out of %s", socket, bridge, s.Model.Source)
		}
	}
	return nil
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
