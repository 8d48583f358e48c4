package daemon

import (
	"context"

	"weir/api"
	"weir/explain"
	"weir/intent"
)

// ExplainObservation says where that is written which a rule has reported, and what would become of the packet now.
func (d *desk) ExplainObservation(ctx context.Context, ref string) (api.ObservationExplanation, error) {
	o, err := d.notes.find(ref)
	if err != nil {
		return api.ObservationExplanation{}, err
	}
	d.explainReport(&o)
	model := d.inForce.Load().Model
	v := api.ObservationExplanation{Observation: o, Egress: intentOf(model, intent.ID(o.Egress)), Ingress: intentOf(model, intent.ID(o.Ingress))}
	q, err := reportOf(o).Question()
	if err == nil {
		err = d.askAgain(ctx, model, q, &v)
	}
	if err != nil {
		v.Error = err.Error()
	}
	return v, nil
}

// askAgain asks ovs-vswitchd what would become of a packet now that was reported.
func (d *desk) askAgain(ctx context.Context, model *intent.Model, q explain.Question, v *api.ObservationExplanation) error {
	scene := explain.Scene{Model: model, Numbers: d.numbers.Load()}
	sent, err := explain.Send(model, d.sites(), q)
	if err != nil {
		return err
	}
	x, err := d.explain(ctx, scene, sent)
	if err != nil {
		return err
	}
	now := explanationOf(scene, x)
	v.Now, v.Same = &now, reportOf(v.Observation).Same(x)
	return nil
}
