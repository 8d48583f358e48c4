package daemon

import (
	"context"
	"time"

	"weir/api"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/explain"
	"weir/intent"
	"weir/ofproto"
)

// A use is how much a rule is used.
type use struct {
	flows, connections int
	hits               uint64
	last               time.Time
}

// of notes it with its rule.
func (u use) of(r *api.Rule) {
	r.Flows, r.Hits, r.Connections, r.LastHit = u.flows, u.hits, u.connections, u.last
}

// Rules returns the rules of a tenant, or of all.
func (d *desk) Rules(ctx context.Context, q api.RuleQuery) ([]api.Rule, error) {
	numbers, model, ctl := d.numbers.Load(), d.inForce.Load().Model, d.ctl.Load()
	switch {
	case numbers == nil || ctl == nil:
		return nil, errStarting
	case q.Tenant != "" && model.Tenant(q.Tenant) == nil:
		return nil, api.UnknownTenant(q.Tenant)
	}
	uses, err := d.uses(ctx, ctl.Status())
	if err != nil {
		return nil, err
	}
	list := []api.Rule{}
	for _, t := range model.Tenants() {
		if q.Tenant != "" && t.Name != q.Tenant {
			continue
		}
		if err := d.admitted(ctx, numbers.Zone(t.ID()), uses); err != nil {
			return nil, err
		}
		for _, r := range rulesOf(t) {
			r.At = placeText(explain.PlaceOf(model, intent.ID(r.ID)))
			uses[numbers.Tag(intent.ID(r.ID))].of(&r)
			if q.Matches(r) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// uses counts the flows of policy and what they have judged, on all bridges, by tag.
func (d *desk) uses(ctx context.Context, now *controller.Status) (map[uint32]use, error) {
	all := map[uint32]use{}
	for name := range now.Bridges {
		flows, hits, err := d.policyFlows(ctx, name)
		if err != nil {
			return nil, err
		}
		noteUses(all, flows, hits)
	}
	return all, nil
}

// noteUses counts flows of policy and what they have judged, by tag.
func noteUses(all map[uint32]use, flows []ofproto.FlowStats, hits map[ofproto.FlowKey]tallied) {
	for _, f := range flows {
		tag, _ := pipeline.TagOf(f.Cookie)
		u := all[tag]
		u.flows, u.hits = u.flows+1, u.hits+f.Packets
		if hit := hits[f.Key()].hit; hit.After(u.last) {
			u.last = hit.UTC()
		}
		all[tag] = u
	}
}

// admitted counts the connections of a zone, by what has let them out and in.
func (d *desk) admitted(ctx context.Context, zone uint16, uses map[uint32]use) error {
	if zone == 0 { // no number yet, and so no connection
		return nil
	}
	all, err := d.trackedIn(ctx, "", zone)
	for _, c := range all {
		admit(uses, c)
	}
	return err
}

// admit counts a connection for what has let it out and in.
func admit(uses map[uint32]use, c pipeline.Connection) {
	if c.Over || c.Blocked() {
		return
	}
	for _, tag := range []uint32{c.RuleOut, c.RuleIn} {
		u := uses[tag]
		u.connections++
		uses[tag] = u
	}
}

// rulesOf returns the rules of a tenant and its defaults, in the order in which they are asked.
func rulesOf(t *intent.Tenant) (all []api.Rule) {
	for _, d := range []intent.Direction{intent.Egress, intent.Ingress} {
		for _, p := range t.Policies {
			for _, r := range p.Rules {
				if r.Direction == d {
					all = append(all, api.Rule{Tenant: t.Name, ID: string(r.ID()), Tier: string(p.Tier), Direction: string(d), Action: string(r.Action)})
				}
			}
		}
		action := map[intent.Direction]intent.Action{intent.Egress: t.Egress, intent.Ingress: t.Ingress}[d]
		all = append(all, api.Rule{Tenant: t.Name, ID: string(t.DefaultID(d)), Direction: string(d), Action: string(action)})
	}
	return all
}
