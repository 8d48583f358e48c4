// Package metrics is what GET /metrics shows, in the text that Prometheus reads: what is counted as it
// happens, and what the daemon knows at the time of a scrape. A scrape asks nobody: neither a
// bridge nor a connection tracker, so that it costs the same whatever there is.
//
// Names begin with weir_, and have the base unit at their end; what only grows ends in _total. Labels
// are of the model (bridges, tenants, load balancers, backends), or of a list that is written here:
// nobody who sends packets can make one.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/api"
	"weir/controller"
	"weir/ofproto"
)

// A Set is the metrics of a daemon. It is an http.Handler that shows them.
type Set struct {
	registry *prometheus.Registry
	parts    *prometheus.HistogramVec
	punts    *prometheus.CounterVec
	errors   *prometheus.CounterVec
}

// New returns the metrics of a daemon, with a label for the host where that is asked for: it serves several, with
// names. status returns what it says of itself, and now what its
// controller does, which is nil before there is one; they are called by each scrape.
func New(hosts bool, status func() api.Status, now func() *controller.Status) *Set {
	m := &Set{
		registry: prometheus.NewRegistry(),
		parts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_reconcile_duration_seconds", Help: "How long the parts of making a bridge as it should be have taken.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // up to half a minute
		}, []string{"bridge", "phase"}),
		punts:  counter("weir_packet_ins_total", "Packets that flows sent to the controller, by what they were for.", "bridge", "reason"),
		errors: counter("weir_openflow_errors_total", "Errors that switches have said, by their names in the standard.", "error"),
	}
	m.registry.MustRegister(m.parts, m.punts, m.errors, scrape{status, now, hosts}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// ServeHTTP shows the metrics.
func (m *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// Registry has the metrics.
func (m *Set) Registry() prometheus.Gatherer { return m.registry }

// Took is controller.Config.Took.
func (m *Set) Took(bridge string, p controller.Part, d time.Duration) {
	m.parts.WithLabelValues(bridge, string(p)).Observe(d.Seconds())
}

// Punted is controller.Config.Punted.
func (m *Set) Punted(bridge string, p controller.Punt) {
	m.punts.WithLabelValues(bridge, string(p)).Inc()
}

// Erred is told of each error that a switch says. One without a name in the standard is another: a
// switch must not make as many labels as it likes.
func (m *Set) Erred(e *ofproto.Error) {
	name := "other"
	if c := e.ErrorCode(); c != 0 {
		name = c.Error()
	}
	m.errors.WithLabelValues(name).Inc()
}
