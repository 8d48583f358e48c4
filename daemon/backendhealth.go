package daemon

import (
	"cmp"
	"slices"
	"strings"

	"weir/api"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/intent"
)

// backendHealth returns what is known of the backends that are asked how they are; now is nil before the
// controller runs.
func backendHealth(now *controller.Status) []api.BackendHealth {
	all := []api.BackendHealth{}
	if now == nil || now.Model == nil || len(now.Backends) == 0 {
		return all
	}
	for _, t := range now.Model.Tenants() {
		for _, l := range t.LoadBalancers {
			states := now.Backends[l.ID()]
			if len(states) != len(l.Backends) {
				continue // they are of the model before
			}
			for i, b := range states {
				all = append(all, healthOf(l, l.Backends[i], b))
			}
		}
	}
	return all
}

func healthOf(l *intent.LoadBalancer, b intent.Backend, s controller.BackendState) api.BackendHealth {
	h := api.BackendHealth{
		Balancer: string(l.ID()), Backend: pipeline.BackendText(b), Health: string(s.Health), Why: s.Why, Declared: b.Weight, Weight: s.Weight,
	}
	if !s.Since.IsZero() {
		since := s.Since.UTC()
		h.Since = &since
	}
	return h
}

// balancerStates returns those load balancers that nobody serves, or that nobody has served at some time since the
// daemon began, by their ids: there may be thousands, and of most there is nothing to say. now is nil before the controller runs.
func balancerStates(now *controller.Status) []api.BalancerState {
	all := []api.BalancerState{}
	if now == nil || now.Model == nil {
		return all
	}
	for id, b := range now.Balancers {
		if b.Usable > 0 && b.Lost == 0 {
			continue
		}
		if l := declared(now.Model, id); l != nil {
			all = append(all, api.BalancerState{ID: string(id), Backends: len(l.Backends), Usable: b.Usable, Since: b.Since.UTC(), Lost: b.Lost, WhenEmpty: string(l.WhenEmpty)})
		}
	}
	slices.SortFunc(all, func(a, b api.BalancerState) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// declared returns the load balancer of a model by an id, or nil.
func declared(m *intent.Model, id intent.ID) *intent.LoadBalancer {
	tenant, name, _ := strings.Cut(string(id), "/loadbalancer/")
	t := m.Tenant(tenant)
	if t == nil {
		return nil
	}
	if i := slices.IndexFunc(t.LoadBalancers, func(l *intent.LoadBalancer) bool { return l.Name == name }); i >= 0 {
		return t.LoadBalancers[i]
	}
	return nil
}
