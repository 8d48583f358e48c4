package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"weir/api"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/intent"
)

// A scrape collects what the daemon knows.
type scrape struct {
	status func() api.Status
	now    func() *controller.Status
	hosts  bool // have names
}

// A series is a metric whose values are known when somebody asks.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// allSeries are they, for Describe.
var allSeries []*prometheus.Desc

func gauge(name, help string, labels ...string) series {
	return newSeries(prometheus.GaugeValue, name, help, labels)
}

// total is a counter that somebody else keeps, and may begin anew.
func total(name, help string, labels ...string) series {
	return newSeries(prometheus.CounterValue, name, help, labels)
}

func newSeries(kind prometheus.ValueType, name, help string, labels []string) series {
	s := series{prometheus.NewDesc(name, help, labels, nil), kind}
	allSeries = append(allSeries, s.desc)
	return s
}

// A hostSeries is one whose values are those of hosts. They have a label for it if hosts have names.
type hostSeries struct{ only, named series }

// hostSeriesOf are they all, for Describe.
var hostSeriesOf []hostSeries

func hostGauge(name, help string, labels ...string) hostSeries {
	of := func(labels []string) series {
		return series{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
	}
	s := hostSeries{of(labels), of(append([]string{"host"}, labels...))}
	hostSeriesOf = append(hostSeriesOf, s)
	return s
}

// The series. Those that end in _total begin anew with the daemon, and what a bridge has
// counted, with its session.
var (
	buildInfo     = gauge("weir_build_info", "1, and the versions of the daemon and of ovs-vswitchd.", "version", "ovs_version")
	modelRevision = gauge("weir_model_revision", "Models taken since the daemon began.")
	modelRefused  = gauge("weir_model_refused", "Whether the last reading of the model had a mistake, and the one before is in force.")
	modelHeld     = gauge("weir_model_held", "Whether the last model is held for what it would end.")
	ovsdbUp       = hostGauge("weir_ovsdb_connected", "Whether the Open vSwitch database is reached.")

	handshakesRefused = total("weir_handshakes_refused_total", "Peers that did not become a session.", "reason", "peer")
	certificateExpiry = gauge("weir_certificate_expiry_timestamp_seconds", "When a certificate expires; of authorities, the first that does.", "of", "bridge")
	keysRefused       = gauge("weir_tls_files_refused", "Whether the files of keys as they are now are no good, and those before stay in use.")

	bridgeUp      = gauge("weir_bridge_connected", "Whether a bridge has an OpenFlow session.", "bridge")
	bridgeDone    = gauge("weir_bridge_programmed", "Whether all of the model is in a bridge.", "bridge")
	flows         = gauge("weir_flows", "Flows of Weir's in a bridge.", "bridge", "table")
	groups        = gauge("weir_groups", "Groups of Weir's in a bridge.", "bridge")
	foreignFlows  = gauge("weir_foreign_flows", "Flows of others in a bridge.", "bridge")
	flowMods      = total("weir_flow_mods_sent_total", "Modifications of flows, groups and meters sent in the session of a bridge.", "bridge")
	pending       = gauge("weir_intents_pending", "Intents that wait for a port or another fact.", "bridge")
	refused       = gauge("weir_intents_refused", "Intents that the switch did not take.", "bridge")
	repairs       = total("weir_drift_repairs_total", "Times that something was repaired that somebody else had changed.", "bridge")
	drifted       = total("weir_drift_changes_total", "Things that somebody else has changed.", "bridge", "what", "change")
	meterPackets  = total("weir_meter_packets_total", "Packets that came to the meter of an intent.", "bridge", "intent")
	meterDropped  = total("weir_meter_dropped_packets_total", "Packets that were over the rate of an intent.", "bridge", "intent")
	noPortDropped = total("weir_nat_no_port_packets_total", "Packets dropped because an SNAT had no port left.", "bridge", "tenant", "snat")

	tracked        = hostGauge("weir_conntrack_connections", "Connections in the tracker of a datapath.", "datapath")
	trackedMax     = hostGauge("weir_conntrack_limit", "Connections that the tracker of a datapath may have.", "datapath")
	tenantTracked  = gauge("weir_tenant_connections", "Connections of a tenant that has a limit, since it has it.", "tenant")
	tenantMax      = gauge("weir_tenant_connections_limit", "Connections that a tenant may have.", "tenant")
	tenantEnded    = total("weir_tenant_ended_connections_total", "Connections ended because policy no longer admits them.", "tenant")
	backends       = gauge("weir_lb_backends", "Backends that a load balancer lists.", "tenant", "lb")
	backendsUsable = gauge("weir_lb_backends_usable", "Backends that take connections.", "tenant", "lb")
	unserved       = total("weir_lb_unserved_total", "Times that there came to be no backend that takes connections.", "tenant", "lb")
	backendUp      = gauge("weir_lb_backend_up", "Whether a backend that is asked is well; 0 as long as that is not known.", "tenant", "lb", "backend")
	backendWeight  = gauge("weir_lb_backend_weight", "The weight in force of a backend.", "tenant", "lb", "backend")
	begun          = total("weir_lb_connections_begun_total", "Connections begun with a backend.", "bridge", "tenant", "lb", "backend")
	open           = gauge("weir_lb_connections", "Connections of a backend, where load: connections has them counted.", "tenant", "lb", "backend")
	draining       = gauge("weir_lb_draining_connections", "Connections of a backend that is to have none, as they were counted last.", "bridge", "tenant", "lb", "backend", "state")
)

// Describe names the series.
func (s scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allSeries {
		ch <- d
	}
	for _, of := range hostSeriesOf {
		if s.hosts {
			ch <- of.named.desc
		} else {
			ch <- of.only.desc
		}
	}
}

// A sink takes values.
type sink chan<- prometheus.Metric

func (s sink) put(of series, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(of.desc, of.kind, value, labels...)
}

// putFor takes the value of a host, which has a name or is the only one.
func (s sink) putFor(of hostSeries, host string, value float64, labels ...string) {
	if host == "" {
		s.put(of.only, value, labels...)
		return
	}
	s.put(of.named, value, append([]string{host}, labels...)...)
}

func (s sink) is(of series, yes bool, labels ...string) {
	s.put(of, truth(yes), labels...)
}

// truth is 1, or 0 for what is not so.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Collect says what there is to say of everything now.
func (s scrape) Collect(ch chan<- prometheus.Metric) {
	now, to := s.status(), sink(ch)
	to.put(buildInfo, 1, now.Version, now.Database.OVSVersion)
	to.put(modelRevision, float64(now.Model.Revision))
	to.is(modelRefused, now.Model.Error != "")
	to.is(modelHeld, len(now.Model.Held) > 0)
	to.databases(now)
	to.tls(now)
	for _, b := range now.Bridges {
		to.bridge(b)
	}
	for _, t := range now.Trackers {
		if t.Max > 0 {
			to.putFor(tracked, t.Host, float64(t.Connections), t.Datapath)
			to.putFor(trackedMax, t.Host, float64(t.Max), t.Datapath)
		}
	}
	for _, t := range now.Tenants {
		to.put(tenantEnded, float64(t.Ended), t.Name)
		if t.Limit != nil {
			to.put(tenantTracked, float64(t.Limit.Connections), t.Name)
			to.put(tenantMax, float64(t.Limit.Max), t.Name)
		}
	}
	to.health(now)
	if ctl := s.now(); ctl != nil {
		to.weights(ctl)
		to.tables(ctl)
	}
}

// databases says which are reached.
func (s sink) databases(now api.Status) {
	if len(now.Hosts) == 0 {
		s.putFor(ovsdbUp, "", truth(now.Database.Connected))
	}
	for _, h := range now.Hosts {
		s.putFor(ovsdbUp, h.Name, truth(h.Database.Connected))
	}
}

// tls says who was refused, and until when certificates are good.
func (s sink) tls(now api.Status) {
	for _, c := range now.RefusalCounts {
		s.put(handshakesRefused, float64(c.N), c.Reason, c.Peer)
	}
	if now.TLS == nil {
		return
	}
	s.is(keysRefused, now.TLS.Error != "")
	type of struct{ of, bridge string }
	first := map[of]int64{}
	for _, c := range now.TLS.Certificates {
		k := of{c.Of, c.Bridge}
		if until := c.Until.Unix(); first[k] == 0 || until < first[k] {
			first[k] = until
		}
	}
	for k, until := range first {
		s.put(certificateExpiry, float64(until), k.of, k.bridge)
	}
}

// bridge says what a bridge is and has. What is known only of one that is connected is not said of another.
func (s sink) bridge(b api.Bridge) {
	s.is(bridgeUp, b.Connected, b.Name)
	s.is(bridgeDone, b.Programmed, b.Name)
	s.put(repairs, float64(b.Drift.Repairs), b.Name)
	for _, d := range b.Drift.Counts {
		s.put(drifted, float64(d.N), b.Name, d.What, d.Change)
	}
	if !b.Connected {
		return
	}
	s.put(groups, float64(b.Groups), b.Name)
	s.put(foreignFlows, float64(b.Foreign), b.Name)
	s.put(flowMods, float64(b.FlowModsSent), b.Name)
	s.put(pending, float64(len(b.Pending)), b.Name)
	s.put(refused, float64(len(b.Refused)), b.Name)
	for _, m := range b.Meters {
		s.put(meterPackets, float64(m.Packets), b.Name, m.ID)
		s.put(meterDropped, float64(m.Dropped), b.Name, m.ID)
	}
	for _, n := range b.NoPort {
		tenant, name := partsOf(n.ID)
		s.put(noPortDropped, float64(n.Dropped), b.Name, tenant, name)
	}
	s.draining(b)
}

// draining adds up what the ports of a backend have.
func (s sink) draining(b api.Bridge) {
	type of struct{ balancer, backend, state string }
	have := map[of]int{}
	for _, d := range b.Draining {
		have[of{d.Balancer, d.Backend, d.State}] += d.Connections
	}
	for k, n := range have {
		tenant, name := partsOf(k.balancer)
		s.put(draining, float64(n), b.Name, tenant, name, k.backend, k.state)
	}
}

// tables counts the flows of each bridge by table.
func (s sink) tables(now *controller.Status) {
	for name, b := range now.Bridges {
		for table, n := range b.FlowsByTable() {
			text, known := pipeline.TableNames[table]
			if !known {
				text = fmt.Sprint(table)
			}
			s.put(flows, float64(n), name, text)
		}
	}
}

// health says how load balancers and their backends are.
func (s sink) health(now api.Status) {
	for _, b := range now.Backends {
		if b.Health != string(controller.HealthUnasked) {
			tenant, name := partsOf(b.Balancer)
			s.is(backendUp, b.Health == string(controller.HealthUp), tenant, name, b.Backend)
		}
	}
}

// weights says what weights the backends of the model in force have, and how many take connections.
func (s sink) weights(ctl *controller.Status) {
	if ctl.Model == nil {
		return
	}
	for _, t := range ctl.Model.Tenants() {
		for _, l := range t.LoadBalancers {
			if b, known := ctl.Balancers[l.ID()]; known {
				s.put(backends, float64(len(l.Backends)), l.Tenant, l.Name)
				s.put(backendsUsable, float64(b.Usable), l.Tenant, l.Name)
				s.put(unserved, float64(b.Lost), l.Tenant, l.Name)
			}
			states := ctl.Backends[l.ID()]
			for i, b := range l.Backends {
				weight, text := b.Weight, pipeline.BackendText(b)
				if len(states) == len(l.Backends) { // or they are of the model before
					weight = states[i].Weight
					s.open(states[i], l, text)
				}
				s.put(backendWeight, float64(weight), l.Tenant, l.Name, text)
				for bridge, have := range ctl.Bridges {
					if n := have.BegunWith(l.ID(), b.IP).N; n > 0 {
						s.put(begun, float64(n), bridge, l.Tenant, l.Name, text)
					}
				}
			}
		}
	}
}

// open says how many connections a backend has, if they are counted.
func (s sink) open(b controller.BackendState, l *intent.LoadBalancer, text string) {
	if b.Open >= 0 {
		s.put(open, float64(b.Open), l.Tenant, l.Name, text)
	}
}

// partsOf returns the tenant and the name in an intent's: "blue/loadbalancer/shop".
func partsOf(id string) (tenant, name string) {
	tenant, rest, _ := strings.Cut(id, "/")
	_, name, _ = strings.Cut(rest, "/")
	return tenant, name
}
