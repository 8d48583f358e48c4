package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/controller"
	"weir/intent"
	"weir/ovsdb"
)

// How often the warden looks: at limits so often that somebody else's change is repaired
// within a second, at how full a tracker is slowly.
const (
	limitAudit = 400 * time.Millisecond
	fillAudit  = 5 * time.Second
	wardenWait = 2 * time.Second // for ovs-vswitchd, before others go on without it
)

// A warden keeps what the datapaths of a host have beside flows: the limits of the tenants' zones, which
// Open vSwitch before 3.3 keeps nowhere else and forgets when it is started anew. It also
// watches how full the connection trackers are. Its run owns all of its fields; others see
// what it publishes at the desk.
type warden struct {
	desk   *desk
	host   *Host
	ctl    *controller.Controller
	log    *logrus.Logger
	asks   chan chan struct{} // who waits until it has looked
	posts  map[string]*post   // by type of datapath
	filled time.Time          // when the trackers were asked how full they are
}

// A ward is one of our zones in a datapath.
type ward struct {
	tenant intent.ID // whose connections are there; empty: several have some, or it is gone, and a bridge still remembers it
	bridge string    // one that has the zone
	max    uint32    // connections; zero: no limit
}

func newWarden(d *desk, h *Host, ctl *controller.Controller, log *logrus.Logger) *warden {
	return &warden{desk: d, host: h, ctl: ctl, log: log, asks: make(chan chan struct{}), posts: map[string]*post{}}
}

// run keeps the limits until ctx is done.
func (w *warden) run(ctx context.Context) error {
	tick := time.NewTicker(limitAudit)
	defer tick.Stop()
	for {
		changed := w.ctl.Changed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case done := <-w.asks:
			w.look(ctx, true)
			close(done)
		case <-changed: // a limit, a tenant, or something else
			w.look(ctx, false)
		case <-tick.C:
			w.look(ctx, true)
		}
	}
}

// ready returns when the limits are as they should be, as far as that can be had soon:
// before packets come that rely on them, and before it is forgotten whose a zone was.
func (w *warden) ready(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, wardenWait)
	defer cancel()
	done := make(chan struct{})
	select {
	case w.asks <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// look makes the limits what they should be; if audit is not set, only where something else
// is wanted than before.
func (w *warden) look(ctx context.Context, audit bool) {
	fill := audit && time.Since(w.filled) >= fillAudit
	if w.desk.seats.Load() == nil {
		return
	}
	if fill {
		w.greet(ctx)
	}
	for kind, wards := range wardsOf(w.desk.inForce.Load().Model, w.desk.ours(w.host), w.ctl.Status()) {
		p := w.posts[kind]
		if p == nil {
			p = newPost(w.host, kind)
			w.posts[kind] = p
		}
		p.shown.Zones = wards
		if audit || !maps.Equal(wards, p.wards) {
			w.keep(ctx, p, wards)
		}
		if fill {
			w.fill(ctx, p)
		}
	}
	if fill {
		w.filled = time.Now()
	}
	w.publish()
}

// greet notes whether the ovs-vswitchd of a host that has a name can be asked.
func (w *warden) greet(ctx context.Context) {
	if w.host.name == "" {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wardenWait, fmt.Errorf("ovs-vswitchd has not answered for %v", wardenWait))
	defer cancel()
	if err := w.host.answers(ctx); err != nil {
		why := err.Error()
		w.host.unanswered.Store(&why)
		return
	}
	w.host.unanswered.Store(nil)
}

// keep makes the limits of one datapath what they should be.
func (w *warden) keep(ctx context.Context, p *post, wards map[uint16]ward) {
	ctx, cancel := context.WithTimeout(ctx, wardenWait)
	defer cancel()
	found, err := p.settle(ctx, wards)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != p.shown.Err {
		w.log.WithField("datapath", p.name()).WithError(err).Error("limits of connections are not as they should be; trying again")
	}
	p.shown.Err = text
	for _, d := range found {
		_ = w.ctl.Drifted(ctx, d.bridge, d.Drift) // it fails only if nobody is there any more to be told
	}
	for _, zone := range p.alarms() {
		l := w.log.WithField("tenant", wards[zone].tenant).WithField("connections", p.shown.Limits[zone].Count).WithField("limit", p.shown.Limits[zone].Max)
		tellAlarm(l, p.shown.Alarms[zone], "a tenant has %s as many connections as it may; over its limit new ones are dropped", "a tenant is no longer near its limit of connections")
	}
}

// tellAlarm says in the log how near to a limit something is. It is said when that changes.
func tellAlarm(l *logrus.Entry, a alarm, text, calmed string) {
	switch a {
	case calm:
		l.Info(calmed)
	case near:
		l.Warnf(text, "four fifths of")
	case critical:
		l.Warnf(text, "nearly")
	case full:
		l.Errorf(text, "exactly")
	}
}

// fill asks how full the tracker of a datapath is.
func (w *warden) fill(ctx context.Context, p *post) {
	ctx, cancel := context.WithTimeout(ctx, wardenWait)
	defer cancel()
	count, most, err := p.datapath.Fill(ctx)
	if err != nil {
		w.log.WithField("datapath", p.name()).WithError(err).Debug("how full the connection tracker is cannot be learned")
	}
	changed := p.full.read(count, most)
	p.shown.Count, p.shown.Max, p.shown.Alarm = count, most, p.full.alarm
	if changed {
		l := w.log.WithField("datapath", p.name()).WithField("connections", count).WithField("limit", most)
		tellAlarm(l, p.full.alarm, "the connection tracker has %s as many connections as it can have; over that, new connections of all tenants are dropped",
			"the connection tracker is no longer nearly full")
	}
}

func (w *warden) publish() {
	all := []tracker{}
	for _, kind := range slices.Sorted(maps.Keys(w.posts)) {
		all = append(all, w.posts[kind].shown)
	}
	w.host.trackers.Store(&all)
}

// wardsOf returns our zones, by type of datapath: of those in the model, and of those that its
// bridges remember. Only those of the tenants have limits: what is in the others is the other
// half of connections that are counted there.
//
// What a bridge remembers of a tenant in the model is left alone until the tenant has its zone:
// at a start it is not known yet, and a limit that goes and comes counts from zero.
func wardsOf(m *intent.Model, s ovsdb.Snapshot, now *controller.Status) map[string]map[uint16]ward {
	given, others := givenZones(now), pipeline.AuxZones(m)
	all := map[string]map[uint16]ward{}
	for _, b := range m.Bridges() {
		have, there := s.Bridges[b.Name]
		if !there {
			continue
		}
		kind := conntrack.Kind(have.DatapathType)
		if all[kind] == nil {
			all[kind] = map[uint16]ward{}
		}
		addWards(all[kind], goneFrom(m, have, given), b.Name)
		for _, t := range m.Tenants() {
			if zone := given[t.ID()]; zone != 0 && onBridge(t, b.Name) {
				all[kind][zone] = ward{t.ID(), b.Name, limitOf(t, kind)}
			}
		}
		for _, z := range others {
			if zone := given[z.ID]; zone != 0 && slices.Contains(z.Bridges, b.Name) {
				all[kind][zone] = auxWard(z, b.Name)
			}
		}
	}
	return all
}

func auxWard(z pipeline.AuxZone, bridge string) ward {
	w := ward{bridge: bridge}
	if z.Tenant != nil {
		w.tenant = z.Tenant.ID()
	}
	return w
}

// addWards adds zones that a bridge remembers, unless somebody is known to have them.
func addWards(wards map[uint16]ward, zones []uint16, bridge string) {
	for _, zone := range zones {
		if _, known := wards[zone]; !known {
			wards[zone] = ward{bridge: bridge}
		}
	}
}

// limitOf returns the limit of a tenant's zone; zero: none. An audit must drop nothing: over
// the limit the userspace datapath lets packets go on, to be counted, and the kernel's does
// not.
func limitOf(t *intent.Tenant, kind string) uint32 {
	if t.Mode == intent.Off || t.Mode == intent.Audit && kind == conntrack.Kernel {
		return 0
	}
	return t.Limits.Connections
}

func onBridge(t *intent.Tenant, bridge string) bool {
	return slices.ContainsFunc(t.Networks, func(n *intent.Network) bool { return slices.Contains(n.Bridges, bridge) })
}
