package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/api"
	"weir/conntrack"
)

func TestEndedConnectionsAreNamed(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tenants := []api.Tenant{{Name: "quiet"}, {Name: "blue", Ended: 3, RecentlyEnded: []api.Ended{
		{At: at, Connections: 1, Egress: "blue/default/egress", Ingress: "blue/policy/p/r", Example: "tcp a -> b"},
		{At: at, Connections: 1, Ingress: "blue/policy/p/r", Example: "tcp outside -> b"},
		{At: at, Connections: 1, Egress: "blue/default/egress", Example: "tcp a -> outside"},
	}}}
	var out strings.Builder
	endedList(&out, tenants, false)
	want := `
blue: 3 connections were ended that its policy no longer admits; last:
  2026-01-02T03:04:05Z 1 let out by blue/default/egress, in by blue/policy/p/r: tcp a -> b
  2026-01-02T03:04:05Z 1 let in by blue/policy/p/r: tcp outside -> b
  2026-01-02T03:04:05Z 1 let out by blue/default/egress: tcp a -> outside
`
	if out.String() != want {
		t.Errorf("%s\nwant %s", out.String(), want)
	}
}

func TestStatusIsShownAgainWhenItHasChanged(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	served := api.Status{Version: "x", Balancers: []api.BalancerState{{ID: "t/loadbalancer/web", Backends: 2, Usable: 1, Since: at}}}
	lost := api.Status{Version: "x", Balancers: []api.BalancerState{{ID: "t/loadbalancer/web", Backends: 2, Since: at, Lost: 1, WhenEmpty: "reject"}}}
	answers, asked := []*api.Status{&served, &served, &lost, nil, &lost, &lost, &served}, 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	socket := answering(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked == len(answers) {
			cancel()
			return
		}
		if a := answers[asked]; a != nil {
			json.NewEncoder(w).Encode(a)
		} else {
			http.Error(w, `{"detail": "is away"}`, http.StatusServiceUnavailable)
		}
		asked++
	}))
	var out strings.Builder
	if err := printChanges(ctx, &out, "table", newClient(socket).status, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	const line = "  t/loadbalancer/web: since 2026-01-02T03:04:05Z, of 2 backends; what asks it: reject\n"
	if s := out.String(); strings.Count(s, line) != 2 || strings.Count(s, "weir x") != 4 || strings.Count(s, "is away") != 1 {
		t.Errorf("%s", s)
	}
}

func TestWhatIsReadThroughOpenVSwitchIsSaid(t *testing.T) {
	var text strings.Builder
	trackerList(&text, []api.Tracker{{Datapath: conntrack.Kernel, Through: "CAP_NET_ADMIN is not there"}})
	if !strings.Contains(text.String(), "connections of system are read through ovs-vswitchd") {
		t.Error(text.String())
	}
}
