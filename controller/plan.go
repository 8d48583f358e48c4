package controller

import (
	"context"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// plan returns what a model would change in the bridge as it is now.
func (s *session) plan(ctx context.Context, in pipeline.Input) BridgePlan {
	have, err := s.conn.Tables(ctx)
	if err != nil {
		return BridgePlan{Err: err}
	}
	have.Flows = unlearned(have.Flows)
	cache := s.cache // a copy: numbers that are not given must not stay in it
	program, err := s.config.Compile(&cache, in)
	if err != nil {
		return BridgePlan{Err: err}
	}
	want := program.Tables()
	narrowed := s.narrowed(want.Flows, have.Flows, in)
	ours, theirs, err := divide(have, program, s.mode(in))
	if err != nil {
		return BridgePlan{Err: err}
	}
	d := s.disruption(ctx, program, change{ofproto.Diff(want, ours), want, have, theirs, narrowed}, in, true)
	if len(narrowed) > 0 { // their epochs would be raised first, and that is in the flows
		in.Numbers = nextEpochs{in.Numbers, narrowed}
		if program, err = s.config.Compile(&cache, in); err != nil {
			return BridgePlan{Err: err}
		}
	}
	p := BridgePlan{
		Plan: ofproto.Diff(program.Tables(), ours), Pending: program.Pending(),
		Narrowed: narrowed, Before: have, Numbers: in.Numbers, Ends: d.ends, Against: d.against,
	}
	p.count()
	return p
}

// count tells flows that are new from flows that replace one.
func (p *BridgePlan) count() {
	there := make(map[ofproto.FlowKey]bool, len(p.Before.Flows))
	for _, f := range p.Before.Flows {
		there[f.Key()] = true
	}
	for _, f := range p.Plan.PutFlows {
		if there[f.Key()] {
			p.Changed++
		} else {
			p.Added++
		}
	}
	p.Deleted = len(p.Plan.DeleteFlows)
}

// nextEpochs are numbers in which some tenants have another epoch than now: the one that
// they are likely to be given.
type nextEpochs struct {
	pipeline.Numbers
	tenants []intent.ID
}

// Epoch returns the epoch of a tenant.
func (r nextEpochs) Epoch(tenant intent.ID) uint8 {
	now := r.Numbers.Epoch(tenant)
	for _, id := range r.tenants {
		if id == tenant {
			return now%255 + 1
		}
	}
	return now
}
