package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"weir/api"
)

// metrics asks the daemon for /metrics, and returns the values by their names and labels.
func (w *world) metrics() (text string, values map[string]float64) {
	w.t.Helper()
	var d net.Dialer
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", w.path("weir.sock"))
	}}}
	resp, err := c.Get("http://weir/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %v\n%s", resp.Status, err, body)
	}
	values = map[string]float64{}
	for s := bufio.NewScanner(strings.NewReader(string(body))); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), "} ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			values[name+"}"] = n
		}
	}
	return string(body), values
}

// TestMetricsOfADaemon asks a daemon with a bridge of a real Open vSwitch, before and after somebody has
// deleted its flows.
func TestMetricsOfADaemon(t *testing.T) {
	w := newWorld(t, twoHosts)
	w.start()
	s := w.status("programmed", programmed(1))
	text, now := w.metrics()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "weir_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	flows := 0.0
	for name, n := range now {
		if strings.HasPrefix(name, `weir_flows{bridge="br0"`) {
			flows += n
		}
	}
	if int(flows) != s.Bridges[0].Flows || flows == 0 || now[`weir_flows{bridge="br0",table="PHY_IN"}`] < 1 {
		t.Errorf("%v flows in all tables, want %d", flows, s.Bridges[0].Flows)
	}
	for name, want := range map[string]float64{
		`weir_bridge_connected{bridge="br0"}`: 1, `weir_bridge_programmed{bridge="br0"}`: 1, `weir_drift_repairs_total{bridge="br0"}`: 0,
	} {
		if got, there := now[name]; !there || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, phase := range []string{"read", "compile", "compare", "apply"} {
		of := `{bridge="br0",phase="` + phase + `"}`
		if n, sum := now["weir_reconcile_duration_seconds_count"+of], now["weir_reconcile_duration_seconds_sum"+of]; n < 1 || sum <= 0 || sum > 60 {
			t.Errorf("%s: %v times, %v s", phase, n, sum)
		}
	}
	if _, err := w.box.Ofctl("-O", "OpenFlow13", "del-flows", "br0"); err != nil {
		t.Fatal(err)
	}
	w.status("repaired", func(s api.Status) bool { return s.Bridges[0].Drift.Repairs > 0 })
	if _, now = w.metrics(); now[`weir_drift_repairs_total{bridge="br0"}`] < 1 || now[`weir_drift_changes_total{bridge="br0",change="deleted",what="flow"}`] != flows {
		t.Errorf("%v repairs, %v flows deleted, want %v", now[`weir_drift_repairs_total{bridge="br0"}`], now[`weir_drift_changes_total{bridge="br0",change="deleted",what="flow"}`], flows)
	}
	began := time.Now()
	for range 20 {
		w.metrics()
	}
	t.Logf("a scrape takes %v", time.Since(began)/20)
}
