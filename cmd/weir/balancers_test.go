package main

import (
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/api"
)

// shown is a load balancer with a backend of each kind, 12 s before the deadline of one.
func shown() (list []api.Balancer, now time.Time) {
	now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	deadline := now.Add(12 * time.Second)
	return []api.Balancer{{ID: "t/loadbalancer/shop", Tenant: "t", Address: "10.1.0.100", Ports: []string{"tcp/80", "tcp/443"}, Backends: []api.Backend{
		{Endpoint: "t/endpoint/web-1", Address: "10.1.0.11", Weight: 100, InForce: 100, State: "serving", Connections: 40, Begun: 1203, PerSecond: 4.125},
		{Endpoint: "t/endpoint/web-2", Address: "10.1.0.12", Weight: 50, InForce: 50, State: "serving", Connections: 21, Begun: 610, PerSecond: 20.5},
		{Address: "10.1.0.13", Weight: 0, State: "draining", Connections: 2, Deadline: &deadline},
		{Address: "10.1.0.14", Weight: 100, Health: "down", State: "failed"},
	}}, {ID: "t/loadbalancer/empty", Tenant: "t", Address: "10.1.0.101", Ports: []string{"udp/53"}}}, now
}

func TestTheTableOfBalancers(t *testing.T) {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	list, now := shown()
	balancersTable(w, list, now)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `TENANT  BALANCER  ADDRESS                    BACKEND          WEIGHT  IN FORCE  HEALTH  CONNECTIONS  BEGUN        STATE
t       shop      10.1.0.100 tcp/80 tcp/443  web-1 10.1.0.11  100     100       -       40           1203, 4.1/s  serving
t       shop      10.1.0.100 tcp/80 tcp/443  web-2 10.1.0.12  50      50        -       21           610, 20/s    serving
t       shop      10.1.0.100 tcp/80 tcp/443  10.1.0.13        0       0         -       2            0            draining, 12s left
t       shop      10.1.0.100 tcp/80 tcp/443  10.1.0.14        100     0         down    0            0            failed
t       empty     10.1.0.101 udp/53          none             -       -         -       -            -            -
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestTheChartOfBalancers(t *testing.T) {
	var out strings.Builder
	balancersChart(&out, first(shown()), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	want := `t/loadbalancer/shop  10.1.0.100 tcp/80 tcp/443: 63 connections
  web-1 10.1.0.11  weight 100   ████████████████████████████████████████ 40
  web-2 10.1.0.12  weight 50    █████████████████████ 21
  10.1.0.13        weight 0     ██ 2  draining, 12s left
  10.1.0.14        weight 0     ▏ 0  failed

t/loadbalancer/empty  10.1.0.101 udp/53: 0 connections
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func first(list []api.Balancer, _ time.Time) []api.Balancer { return list }

func TestStatusNamesTheBackendsThatDrain(t *testing.T) {
	var out strings.Builder
	deadline := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	drainingList(&out, "br0", []api.Draining{
		{Balancer: "t/loadbalancer/shop", Protocol: "tcp", Port: 80, Backend: "10.1.0.13:8080", State: "draining", Connections: 2, Deadline: &deadline},
		{Balancer: "t/loadbalancer/shop", Protocol: "tcp", Port: 80, Backend: "10.1.0.14:8080", State: "failed", Connections: 1},
	}, false)
	want := `
br0: backends that are to have no connections, and have some (weir balancers):
  t/loadbalancer/shop tcp/80 to 10.1.0.13:8080: draining, 2 connections, ended at 03:04:05
  t/loadbalancer/shop tcp/80 to 10.1.0.14:8080: failed, 1 connection
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}
