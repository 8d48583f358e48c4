package daemon

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/api"
	"weir/apps/pipeline"
	"weir/explain"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/store"
)

// Flows returns the flows that are installed in a bridge.
func (d *desk) Flows(ctx context.Context, bridge string, q api.FlowQuery) (iter.Seq[api.Flow], error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().Model
	if numbers == nil {
		return nil, errStarting
	}
	if err := checkFlowQuery(model, bridge, q); err != nil {
		return nil, err
	}
	conn, err := d.management(ctx, bridge)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	flows, err := conn.FlowStats(ctx)
	if err != nil {
		return nil, err
	}
	groups := map[uint32]ofproto.Group{}
	if q.Offload {
		if groups, err = groupsOf(ctx, conn); err != nil {
			return nil, err
		}
	}
	hits := d.hits.note(bridge, ofPolicy(flows), time.Now())
	if q.Intent != "" && !served(flows, model, numbers, q.Intent) {
		return nil, &api.Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no intent %q: weir flows %s lists those that have flows", q.Intent, bridge)}
	}
	wanted := wantedFlows(bridge, flows, groups, hits, explain.Scene{Model: model, Numbers: numbers}, q)
	if !q.Offload {
		return wanted, nil
	}
	return slices.Values(slices.SortedStableFunc(wanted, func(a, b api.Flow) int { return cmp.Compare(b.Packets, a.Packets) })), nil
}

// checkFlowQuery returns an error if the model has not what is asked for.
func checkFlowQuery(model *intent.Model, bridge string, q api.FlowQuery) error {
	switch {
	case !slices.ContainsFunc(model.Bridges(), func(b *intent.Bridge) bool { return b.Name == bridge }):
		return &api.Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no bridge %q in the model", bridge)}
	case q.Tenant != "" && model.Tenant(q.Tenant) == nil:
		return api.UnknownTenant(q.Tenant)
	case q.Table != "" && !isTable(q.Table):
		return &api.Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("table=%s: want a name, as POL_IN, or a number up to 255", q.Table)}
	}
	return nil
}

// ofPolicy returns the flows of ours whose hits are kept.
func ofPolicy(flows []ofproto.FlowStats) []ofproto.FlowStats {
	return slices.DeleteFunc(slices.Clone(flows), func(f ofproto.FlowStats) bool {
		_, owned := pipeline.TagOf(f.Cookie)
		return !owned || !slices.Contains(policyTables, f.Table)
	})
}

// wantedFlows describes the flows that q means, by table and from the highest priority down.
func wantedFlows(bridge string, flows []ofproto.FlowStats, groups map[uint32]ofproto.Group, hits map[ofproto.FlowKey]tallied, c explain.Scene, q api.FlowQuery) iter.Seq[api.Flow] {
	slices.SortStableFunc(flows, func(a, b ofproto.FlowStats) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(b.Priority, a.Priority))
	})
	return func(yield func(api.Flow) bool) {
		for _, f := range flows {
			if q.Table != "" && !isNamed(f.Table, q.Table) { // most of the work is to write them down
				continue
			}
			v := flowOf(bridge, f, c)
			if hit := hits[f.Key()].hit; !hit.IsZero() {
				v.LastHit = hit.UTC()
			}
			if q.Offload {
				v.Obstacles = explain.Obstacles(f.Flow, groups)
			}
			if q.Matches(v) && !yield(v) {
				return
			}
		}
	}
}

// served reports whether an intent is in the model, or has flows; its tenant may be left out.
func served(flows []ofproto.FlowStats, model *intent.Model, numbers *store.Snapshot, name string) bool {
	if model.Position(intent.ID(name)).File != "" {
		return true
	}
	for _, t := range model.Tenants() {
		if model.Position(intent.ID(t.Name+"/"+name)).File != "" {
			return true
		}
	}
	return slices.ContainsFunc(flows, func(f ofproto.FlowStats) bool {
		id := originOf(f.Flow, numbers)
		tenant, _, _ := strings.Cut(id, "/")
		return (api.FlowQuery{Intent: name}).Matches(api.Flow{Intent: id, Tenant: tenant})
	})
}

// groupsOf returns the groups of a bridge, by their numbers.
func groupsOf(ctx context.Context, conn *ofconn.Conn) (map[uint32]ofproto.Group, error) {
	list, _, err := conn.GroupsAndMeters(ctx)
	all := map[uint32]ofproto.Group{}
	for _, g := range list {
		all[g.ID] = g
	}
	return all, err
}

// isTable reports whether something names a table.
func isTable(s string) bool {
	for _, name := range pipeline.TableNames {
		if strings.EqualFold(name, s) {
			return true
		}
	}
	_, err := strconv.ParseUint(s, 10, 8)
	return err == nil
}

// isNamed reports whether a name, or a number, is that of a table.
func isNamed(t ofproto.Table, name string) bool {
	return strings.EqualFold(name, pipeline.TableNames[t]) || name == strconv.Itoa(int(t))
}

func flowOf(bridge string, f ofproto.FlowStats, c explain.Scene) api.Flow {
	v := api.Flow{
		Bridge: bridge, Table: pipeline.TableNames[f.Table], Number: uint8(f.Table), Priority: f.Priority, Match: f.Match.String(),
		Actions: explain.ActionsText(f.Actions), Cookie: fmt.Sprintf("0x%x", f.Cookie), Intent: originOf(f.Flow, c.Numbers),
		Packets: f.Packets, Bytes: f.Bytes, Seconds: f.DurationSec,
	}
	if v.Table == "" {
		v.Table = strconv.Itoa(int(f.Table))
	}
	if v.Intent != "" {
		v.At = placeText(explain.PlaceOf(c.Model, intent.ID(v.Intent)))
		if name, _, _ := strings.Cut(v.Intent, "/"); c.Model.Tenant(name) != nil && name != "bridge" {
			v.Tenant = name
		}
	}
	return v
}
