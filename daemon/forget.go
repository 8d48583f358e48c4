package daemon

import (
	"context"
	"fmt"
	"slices"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/intent"
	"weir/ofproto"
	"weir/quirk"
)

// flushBatch is how many connections are removed between two signs of life.
const flushBatch = 256

// A doomed is a connection that is to be forgotten: all entries that it has.
type doomed struct {
	shown   api.Connection
	entries []ofproto.CTFlush // its own first
}

// Kill has the tracker forget connections of one tenant; with plan, it only says what it would
// do.
func (d *desk) Kill(ctx context.Context, f api.Filter, plan bool) (k api.Killed, err error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().Model
	if numbers == nil {
		return k, errStarting
	}
	t, err := d.whose(ctx, f, model, numbers)
	if err != nil {
		return k, err
	}
	if numbers.Zone(t.ID()) == 0 {
		return k, errStarting
	}
	seen, err := d.published(ctx, t.ID(), numbers, model)
	if err != nil {
		return k, err
	}
	all, unread := d.matching(ctx, f, t, numbers, seen, pipeline.HalvesOf(numbers, t.ID(), model))
	if err := api.AsFarAsReached(unread); err != nil {
		return k, err
	}
	bridges := d.bridgesOn(t)
	by, fates := d.fates(ctx, bridges, all)
	for _, fate := range fates {
		if fate.Why == "" {
			k.Killed++
			continue
		}
		k.Kept++
		k.Why = fate.Why
	}
	if plan {
		k.Plan = fates
		return k, nil
	}
	for _, bridge := range bridges {
		flush := func(ctx context.Context, some []ofproto.CTFlush) error { return d.flush(ctx, bridge, some) }
		if err := d.forget(ctx, bridge, by[bridge], flush); err != nil {
			return k, err
		}
	}
	if unread != nil {
		return k, fmt.Errorf("%d connections are forgotten, and none where they cannot be read: %w", k.Killed, unread)
	}
	return k, nil
}

// whose returns the tenant of whom a filter speaks, or who has the connection that it names.
func (d *desk) whose(ctx context.Context, f api.Filter, m *intent.Model, n pipeline.Numbers) (*intent.Tenant, error) {
	if f.Tenant == "" && f.Ref != "" {
		t, _, err := d.find(ctx, m, n, f.Ref)
		return t, err
	}
	if t := m.Tenant(f.Tenant); t != nil {
		return t, nil
	}
	return nil, api.UnknownTenant(f.Tenant)
}

// matching returns the connections of a tenant that f means.
func (d *desk) matching(ctx context.Context, f api.Filter, t *intent.Tenant, n pipeline.Numbers, seen published, halves pipeline.Halves) (some []doomed, err error) {
	owners := ownersOf(t)
	err = d.entriesOf(ctx, n.Zone(t.ID()), func(e conntrack.Entry) {
		c := owners.tell(seen.tell(connectionOf(t.Name, e, n), e), e)
		if f.Matches(c) {
			some = append(some, doomed{c, trackedOf(e).Flushes(halves)})
		}
	})
	return some, err
}

// fates says what becomes of connections, and gives those that can be forgotten to each bridge,
// by means. In which datapath of its host one is nobody says: it is forgotten in each, or in none.
func (d *desk) fates(ctx context.Context, bridges []string, all []doomed) (by map[string]map[quirk.Means][]ofproto.CTFlush, fates []api.Fate) {
	by = map[string]map[quirk.Means][]ofproto.CTFlush{}
	fates = []api.Fate{}
	ways := make([]forgetting, len(bridges))
	for i, bridge := range bridges {
		ways[i] = d.forgetting(ctx, bridge)
	}
	for _, c := range all {
		fate, means := api.Fate{Connection: c.shown}, make([]quirk.Means, len(bridges))
		for i, bridge := range bridges {
			if !d.isOn(bridge, c.shown.Host) {
				continue
			}
			var err error
			if means[i], err = ways[i].means(c.entries); err != nil {
				fate.Why = err.Error()
			}
			fate.By = string(means[i])
		}
		if fate.Why != "" {
			fate.By = ""
		} else {
			for i, bridge := range bridges {
				if !d.isOn(bridge, c.shown.Host) {
					continue
				}
				if by[bridge] == nil {
					by[bridge] = map[quirk.Means][]ofproto.CTFlush{}
				}
				by[bridge][means[i]] = append(by[bridge][means[i]], c.entries...)
			}
		}
		fates = append(fates, fate)
	}
	return by, fates
}

// forget removes entries by their means: past the bridge, and through it, which is what flush does.
func (d *desk) forget(ctx context.Context, bridge string, by map[quirk.Means][]ofproto.CTFlush, flush flusher) error {
	p, found := d.at(bridge)
	if !found && len(by) > 0 {
		return errElsewhere(bridge)
	}
	if some := by[quirk.ByNetlink]; len(some) > 0 {
		if err := p.host.reader.forget(ctx, keysOf(some)); err != nil {
			return err
		}
	}
	if some := by[quirk.ByControl]; len(some) > 0 {
		kind := conntrack.Kind(p.row.DatapathType)
		if err := conntrack.NewDatapath(p.host.rundir, kind).Forget(ctx, keysOf(some)...); err != nil {
			return err
		}
	}
	if some := by[quirk.ByOpenFlow]; len(some) > 0 {
		return flush(ctx, some)
	}
	return nil
}

func keysOf(some []ofproto.CTFlush) (keys []conntrack.Key) {
	for _, f := range some {
		k := conntrack.Key{Protocol: conntrack.Protocol(f.Proto), Zone: f.Zone, Orig: conntrack.Tuple{Src: f.Original.Src, Dst: f.Original.Dst}}
		if k.Protocol == conntrack.ICMP || k.Protocol == conntrack.ICMPv6 {
			k.Orig.ICMPID, k.Orig.ICMPType, k.Orig.ICMPCode = f.Original.SrcPort, f.Original.ICMPType, f.Original.ICMPCode
		} else {
			k.Orig.SrcPort, k.Orig.DstPort = f.Original.SrcPort, f.Original.DstPort
		}
		keys = append(keys, k)
	}
	return keys
}

// flush removes entries through a bridge.
func (d *desk) flush(ctx context.Context, bridge string, some []ofproto.CTFlush) error {
	conn, err := d.management(ctx, bridge)
	if err != nil {
		return err
	}
	defer conn.Close()
	for part := range slices.Chunk(some, flushBatch) {
		if err := conn.FlushConnections(ctx, part); err != nil {
			return err
		}
	}
	return nil
}
