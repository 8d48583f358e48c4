package main

import (
	"strings"
	"testing"
	"time"

	"weir/api"
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
