package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/api"
	"weir/controller"
	"weir/intent"
)

func TestTheStatusListsBackendsThatAreNotAsTheyShouldBe(t *testing.T) {
	l := &intent.LoadBalancer{Tenant: "t", Name: "web", Backends: []intent.Backend{
		{IP: netip.MustParseAddr("10.0.0.1"), Weight: 100}, {IP: netip.MustParseAddr("10.0.0.2"), Port: 81, Weight: 100}, {IP: netip.MustParseAddr("10.0.0.3"), Weight: 100},
	}}
	states := []controller.BackendState{
		{Health: controller.HealthUp, Weight: 100},
		{Health: controller.HealthDown, Why: "connection was refused", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Health: controller.HealthUp, Weight: 40},
	}
	var all []api.BackendHealth
	for i, s := range states {
		all = append(all, healthOf(l, l.Backends[i], s))
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
