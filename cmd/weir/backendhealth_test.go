package main

import (
	"strings"
	"testing"
	"time"

	"weir/api"
)

func TestTheStatusListsBackendsThatAreNotAsTheyShouldBe(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []api.BackendHealth{
		{Balancer: "t/loadbalancer/web", Backend: "10.0.0.1", Health: "up", Declared: 100, Weight: 100},
		{Balancer: "t/loadbalancer/web", Backend: "10.0.0.2:81", Health: "down", Why: "connection was refused", Since: &since, Declared: 100},
		{Balancer: "t/loadbalancer/web", Backend: "10.0.0.3", Health: "up", Declared: 100, Weight: 40},
	}
	var b strings.Builder
	healthList(&b, all, false)
	for _, want := range []string{
		"t/loadbalancer/web 10.0.0.2:81", "down since 2026-01-02T03:04:05Z: connection was refused, weight 0 of 100",
		"t/loadbalancer/web 10.0.0.3", "up, weight 40 of 100",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "10.0.0.1") {
		t.Errorf("one that is well is in\n%s", b.String())
	}
}
