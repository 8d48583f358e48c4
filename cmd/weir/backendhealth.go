package main

import (
	"fmt"
	"io"
	"time"

	"weir/api"
	"weir/controller"
	"weir/internal/words"
)

// unservedList says which load balancers have no backend that takes connections.
func unservedList(w io.Writer, all []api.BalancerState, wide bool) {
	var list []api.Reason
	for _, b := range all {
		if b.Usable == 0 {
			list = append(list, api.Reason{ID: b.ID, Why: fmt.Sprintf("since %s, of %s; what asks it: %s", b.Since.Format(time.RFC3339), words.Count(b.Backends, "backend", "backends"), b.WhenEmpty)})
		}
	}
	reasonList(w, "load balancers of which no backend takes connections", list, wide)
}

// healthList says which backends are not well, or are not known to be.
func healthList(w io.Writer, all []api.BackendHealth, wide bool) {
	var list []api.Reason
	for _, b := range all {
		if b.Health == string(controller.HealthUp) && b.Weight == b.Declared && !wide {
			continue
		}
		list = append(list, api.Reason{ID: b.Balancer + " " + b.Backend, Why: healthText(b)})
	}
	reasonList(w, "backends", list, wide)
}

// healthText says how a backend is, since when, and with what weight.
func healthText(b api.BackendHealth) string {
	text := b.Health
	if b.Since != nil {
		text += " since " + b.Since.Format(time.RFC3339)
	}
	if b.Why != "" {
		text += ": " + b.Why
	}
	return text + fmt.Sprintf(", weight %d of %d", b.Weight, b.Declared)
}
