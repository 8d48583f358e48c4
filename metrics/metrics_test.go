package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/api"
	"weir/controller"
	"weir/intent"
	"weir/metrics"
	"weir/ofproto"
)

const model = `
{apiVersion: weir/v1, kind: Bridge, metadata: {name: br0}}
---
{apiVersion: weir/v1, kind: Tenant, metadata: {name: t}}
---
{apiVersion: weir/v1, kind: Network, metadata: {name: net, tenant: t}, spec: {subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.254}]}}
---
{apiVersion: weir/v1, kind: Endpoint, metadata: {name: a, tenant: t}, spec: {network: net, bind: {port: a}, mac: "02:00:00:00:00:01", ips: [10.0.0.1]}}
---
{apiVersion: weir/v1, kind: LoadBalancer, metadata: {name: web, tenant: t}, spec: {address: 10.0.0.100, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: a, weight: 7}]}}
`

// everything is a status in which nothing is empty.
func everything() api.Status {
	return api.Status{
		Version: "devel", Model: api.Model{Revision: 3}, Database: api.Database{Connected: true, OVSVersion: "3.1.0"},
		Bridges: []api.Bridge{{
			Name: "br0", Connected: true, Programmed: true, Flows: 5, Groups: 2, Foreign: 1, FlowModsSent: 9,
			Pending: []api.Reason{{ID: "t/endpoint/x"}}, Refused: []api.Reason{{ID: "t/policy/y"}},
			Drift:  api.Drift{Repairs: 4, Counts: []api.DriftCount{{What: "flow", Change: "deleted", N: 6}}},
			Meters: []api.Meter{{ID: "t/probes", Packets: 100, Dropped: 10}}, NoPort: []api.NoPort{{ID: "t/snat/out", Dropped: 8}},
			Draining: []api.Draining{
				{Balancer: "t/loadbalancer/web", Port: 80, Backend: "10.0.0.1:80", State: "draining", Connections: 3},
				{Balancer: "t/loadbalancer/web", Port: 81, Backend: "10.0.0.1:80", State: "draining", Connections: 4},
			},
		}, {Name: "br1"}},
		TLS: &api.TLS{Error: "no key", Certificates: []api.Certificate{
			{Of: "authority", Until: time.Unix(2000, 0)}, {Of: "authority", Until: time.Unix(1000, 0)}, {Of: "switch", Bridge: "br0", Until: time.Unix(3000, 0)},
		}},
		RefusalCounts: []api.RefusalCount{{Reason: "expired", Peer: "br0", N: 21}},
		Tenants:       []api.Tenant{{Name: "t", Ended: 11, Limit: &api.Fill{Connections: 12, Max: 13}}},
		Trackers:      []api.Tracker{{Datapath: "netdev", Fill: api.Fill{Connections: 14, Max: 15}}, {Datapath: "system"}},
		Backends: []api.BackendHealth{
			{Balancer: "t/loadbalancer/web", Backend: "10.0.0.1", Health: "up"}, {Balancer: "t/loadbalancer/web", Backend: "10.0.0.2", Health: "unknown"},
			{Balancer: "t/loadbalancer/web", Backend: "10.0.0.3", Health: "not asked"},
		},
	}
}

// told returns metrics that have been told of something of each kind.
func told(t *testing.T) *metrics.Set {
	m, err := intent.Read(intent.Source{Name: "model", Data: []byte(model)})
	if err != nil {
		t.Fatal(err)
	}
	set := metrics.New(false, everything, func() *controller.Status {
		return &controller.Status{
			Model: m, Backends: map[intent.ID][]controller.BackendState{"t/loadbalancer/web": {{Weight: 6, Open: 5}}},
			Balancers: map[intent.ID]controller.BalancerState{"t/loadbalancer/web": {Usable: 1, Lost: 2}},
			Bridges:   map[string]controller.Bridge{"br0": {Begun: []controller.Begun{{Balancer: "t/loadbalancer/web", Backend: netip.MustParseAddr("10.0.0.1"), N: 123}}}},
		}
	})
	for _, p := range controller.Parts {
		set.Took("br0", p, 3*time.Millisecond)
	}
	for _, p := range controller.Punts {
		set.Punted("br0", p)
	}
	set.Erred(&ofproto.Error{Type: 5, Code: 1})
	set.Erred(&ofproto.Error{Type: 77, Code: 1000})
	set.Erred(&ofproto.Error{Type: 77, Code: 1001})
	return set
}

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(told(t).Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestWhatIsKnownIsShown(t *testing.T) {
	w := httptest.NewRecorder()
	told(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`weir_build_info{ovs_version="3.1.0",version="devel"} 1`,
		`weir_model_revision 3`, `weir_model_refused 0`, `weir_ovsdb_connected 1`,
		`weir_bridge_connected{bridge="br0"} 1`, `weir_bridge_connected{bridge="br1"} 0`, `weir_bridge_programmed{bridge="br0"} 1`,
		`weir_handshakes_refused_total{peer="br0",reason="expired"} 21`, `weir_tls_files_refused 1`,
		`weir_certificate_expiry_timestamp_seconds{bridge="",of="authority"} 1000`, `weir_certificate_expiry_timestamp_seconds{bridge="br0",of="switch"} 3000`,
		`weir_groups{bridge="br0"} 2`, `weir_flow_mods_sent_total{bridge="br0"} 9`, `weir_intents_refused{bridge="br0"} 1`,
		`weir_drift_repairs_total{bridge="br0"} 4`, `weir_drift_changes_total{bridge="br0",change="deleted",what="flow"} 6`,
		`weir_meter_dropped_packets_total{bridge="br0",intent="t/probes"} 10`, `weir_nat_no_port_packets_total{bridge="br0",snat="out",tenant="t"} 8`,
		`weir_lb_draining_connections{backend="10.0.0.1:80",bridge="br0",lb="web",state="draining",tenant="t"} 7`,
		`weir_tenant_ended_connections_total{tenant="t"} 11`, `weir_tenant_connections{tenant="t"} 12`, `weir_tenant_connections_limit{tenant="t"} 13`,
		`weir_conntrack_connections{datapath="netdev"} 14`, `weir_conntrack_limit{datapath="netdev"} 15`,
		`weir_lb_backend_up{backend="10.0.0.1",lb="web",tenant="t"} 1`, `weir_lb_backend_up{backend="10.0.0.2",lb="web",tenant="t"} 0`,
		`weir_lb_backend_weight{backend="10.0.0.1",lb="web",tenant="t"} 6`, `weir_lb_connections{backend="10.0.0.1",lb="web",tenant="t"} 5`,
		`weir_lb_connections_begun_total{backend="10.0.0.1",bridge="br0",lb="web",tenant="t"} 123`,
		`weir_lb_backends{lb="web",tenant="t"} 1`, `weir_lb_backends_usable{lb="web",tenant="t"} 1`, `weir_lb_unserved_total{lb="web",tenant="t"} 2`,
		`weir_reconcile_duration_seconds_count{bridge="br0",phase="apply"} 1`, `weir_packet_ins_total{bridge="br0",reason="probe"} 1`,
		`weir_openflow_errors_total{error="OFPFMFC_TABLE_FULL"} 1`, `weir_openflow_errors_total{error="other"} 2`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line %q", line)
		}
	}
	for _, line := range []string{`weir_groups{bridge="br1"}`, `weir_conntrack_limit{datapath="system"}`, `weir_lb_backend_up{backend="10.0.0.3"`} {
		if strings.Contains(text, line) {
			t.Errorf("%q is said of what is not known", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
