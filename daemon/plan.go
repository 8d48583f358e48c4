package daemon

import (
	"context"

	"weir/api"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/intent"
	"weir/ofproto"
)

// Plan returns what the model in sources would change.
func (d *desk) Plan(ctx context.Context, sources []intent.Source) (api.Plan, error) {
	m, err := intent.Read(sources...)
	if err != nil {
		return api.Plan{}, err
	}
	ctl := d.ctl.Load()
	if ctl == nil {
		return api.Plan{}, errStarting
	}
	plans, err := ctl.Plan(ctx, m)
	if err != nil {
		return api.Plan{}, err
	}
	p := api.Plan{Objects: api.Objects(d.inForce.Load().Model, m), Bridges: []api.BridgePlan{}}
	for _, b := range m.Bridges() {
		p.Bridges = append(p.Bridges, bridgePlan(b.Name, plans))
	}
	return p, nil
}

// bridgePlan returns the plan of one bridge in words.
func bridgePlan(name string, plans map[string]controller.BridgePlan) api.BridgePlan {
	p := api.BridgePlan{Name: name, Flows: []api.FlowChange{}, Groups: []api.FlowChange{}, Narrowed: []string{}}
	plan, ok := plans[name]
	switch {
	case !ok:
		p.Error = "not connected"
		return p
	case plan.Err != nil:
		p.Error = plan.Err.Error()
		return p
	}
	p.Add, p.Change, p.Remove = plan.Added, plan.Changed, plan.Deleted
	p.Ends, p.Against = plan.Ends, plan.Against
	for _, id := range plan.Narrowed {
		p.Narrowed = append(p.Narrowed, string(id))
	}
	p.Flows, p.Groups = flowChanges(plan), groupChanges(plan)
	return p
}

func flowChanges(p controller.BridgePlan) []api.FlowChange {
	there := make(map[ofproto.FlowKey]bool, len(p.Before.Flows))
	for _, f := range p.Before.Flows {
		there[f.Key()] = true
	}
	list := []api.FlowChange{}
	for _, f := range p.Plan.PutFlows {
		list = append(list, api.FlowChange{Verb: putVerb(there[f.Key()]), Text: f.String(), Intent: originOf(f, p.Numbers)})
	}
	for _, f := range p.Plan.DeleteFlows {
		list = append(list, api.FlowChange{Verb: api.Removed, Text: f.String(), Intent: originOf(f, p.Numbers)})
	}
	return list
}

func groupChanges(p controller.BridgePlan) []api.FlowChange {
	there := make(map[uint32]bool, len(p.Before.Groups))
	for _, g := range p.Before.Groups {
		there[g.ID] = true
	}
	list := []api.FlowChange{}
	for _, g := range p.Plan.PutGroups {
		list = append(list, api.FlowChange{Verb: putVerb(there[g.ID]), Text: g.String()})
	}
	for _, g := range p.Plan.DeleteGroups {
		list = append(list, api.FlowChange{Verb: api.Removed, Text: g.String()})
	}
	return list
}

func putVerb(there bool) string {
	if there {
		return api.Changed
	}
	return api.Added
}

// originOf names the intent that a flow serves, if it is one of ours.
func originOf(f ofproto.Flow, n pipeline.Numbers) string {
	tag, owned := pipeline.TagOf(f.Cookie)
	if !owned {
		return ""
	}
	id, _ := n.Origin(tag)
	return string(id)
}
