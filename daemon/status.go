package daemon

import (
	"cmp"
	"maps"
	"slices"

	"weir/api"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/intent"
)

// Status returns what the daemon drives, and how far it has come.
func (d *desk) Status() api.Status {
	s := api.Status{Version: d.config.Version, Model: d.model(), Database: d.database(), Bridges: []api.Bridge{}, Tenants: []api.Tenant{}, Trackers: []api.Tracker{}, Rights: append([]api.Reason{}, d.rights()...)}
	var now *controller.Status
	if ctl := d.ctl.Load(); ctl != nil {
		now = ctl.Status()
		s.Model.Revision, s.Model.Held = now.Revision, now.Held
		if now.Err != nil {
			s.Model.Error = now.Err.Error()
		}
	}
	for _, b := range d.inForce.Load().Model.Bridges() {
		s.Bridges = append(s.Bridges, d.bridge(b.Name, now))
	}
	s.Tenants, s.Backends = tenantStatuses(d.inForce.Load().Model, now), backendHealth(now)
	s.Balancers = balancerStates(now)
	d.fills(&s)
	s.Hosts = d.hostStates()
	s.TLS = d.tls()
	s.Refusals, s.RefusalCounts = d.refusals.told()
	return s
}

func (d *desk) model() api.Model {
	last := d.last.Load()
	m := api.Model{Source: d.config.Model, Files: d.inForce.Load().Files}
	if last.Err != nil {
		m.Error = last.Err.Error()
	}
	return m
}

// database is that of the only host, or what is to be said of those of all.
func (d *desk) database() api.Database {
	all := d.hosts[0].database()
	for _, h := range d.hosts[1:] {
		one := h.database()
		all.Target += " " + one.Target
		all.Connected = all.Connected && one.Connected
		if all.OVSVersion != one.OVSVersion {
			all.OVSVersion = "" // each host says its own
		}
	}
	if len(d.hosts) > 1 {
		all.Away, all.Error = "", "" // likewise
	}
	return all
}

// hostStates returns the hosts that have names.
func (d *desk) hostStates() (all []api.Host) {
	for _, h := range d.hosts {
		if h.name == "" {
			continue
		}
		state := api.Host{Name: h.name, Database: h.database()}
		if why := h.unanswered.Load(); why != nil {
			state.Unanswered = *why
		}
		all = append(all, state)
	}
	return all
}

// database is that of a host.
func (h *Host) database() api.Database {
	db := api.Database{Target: h.target}
	if s := h.snapshot.Load(); s != nil {
		db.Connected, db.OVSVersion = s.Connected, s.OVSVersion
	}
	if why := h.away.Load(); why != nil {
		db.Away = *why
	}
	if trouble := h.times.Load(); trouble != nil {
		db.Error = *trouble
	}
	if v := h.version.Load(); v != nil {
		db.OVSVersion = *v // what runs, not what was noted
	}
	return db
}

// bridge returns the state of a bridge; now is nil before the controller runs.
func (d *desk) bridge(name string, now *controller.Status) api.Bridge {
	b := api.Bridge{Name: name, Pending: []api.Reason{}, Refused: []api.Reason{}, Quirks: []api.Reason{}, Meters: []api.Meter{}, NoPort: []api.NoPort{}, Draining: []api.Draining{}, Drift: driftOf(controller.DriftLog{}, nil)}
	if all := d.trouble.Load(); all != nil {
		b.Error = (*all)[name]
	}
	if all := d.quirks.Load(); all != nil {
		for _, q := range (*all)[name] {
			b.Quirks = append(b.Quirks, api.Reason{ID: string(q.ID), Why: q.What})
		}
	}
	if now == nil {
		b.Error = errStarting.Error()
		return b
	}
	b.Drift = driftOf(now.Drift[name], now.Bridges[name].Contested)
	have, connected := now.Bridges[name]
	if !connected {
		b.Error = cmp.Or(b.Error, d.refusalOf(name))
		return b
	}
	b.Connected, b.Programmed, b.Revision = true, now.Programmed(name), have.Revision
	b.Flows, b.Groups, b.Foreign, b.FlowModsSent, b.Recirculations = have.Flows, have.Groups, have.Foreign, have.Sent, have.Rounds
	for _, p := range have.Pending {
		b.Pending = append(b.Pending, api.Reason{ID: string(p.ID), Why: p.Why})
	}
	for _, id := range slices.Sorted(maps.Keys(have.Refused)) {
		b.Refused = append(b.Refused, api.Reason{ID: string(id), Why: have.Refused[id].Error()})
	}
	for _, m := range have.Metered {
		b.Meters = append(b.Meters, api.Meter{ID: string(m.Intent), Packets: m.Packets, Dropped: m.Dropped})
	}
	for _, n := range have.NoPort {
		b.NoPort = append(b.NoPort, api.NoPort{ID: string(n.SNAT), Dropped: n.Dropped})
	}
	b.Draining = drainingsOf(have.Draining)
	if have.Err != nil {
		b.Error = have.Err.Error()
	}
	return b
}

// driftOf returns what somebody else has changed, the newest first.
func driftOf(l controller.DriftLog, contested []string) api.Drift {
	d := api.Drift{Repairs: l.Repairs, Contested: contested, Counts: []api.DriftCount{}, Recent: []api.DriftEvent{}}
	for k, n := range l.Counts {
		d.Counts = append(d.Counts, api.DriftCount{What: k.What, Change: k.Change, N: n})
	}
	slices.SortFunc(d.Counts, func(a, b api.DriftCount) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Change, b.Change))
	})
	for _, e := range slices.Backward(l.Recent) {
		event := api.DriftEvent{
			At: e.At.UTC(), What: e.What, Change: e.Change, Intent: string(e.Intent), Was: e.Was, Is: e.Is, More: e.More, Seconds: e.After.Seconds(),
		}
		if e.Err != nil {
			event.Error = e.Err.Error()
		}
		d.Recent = append(d.Recent, event)
	}
	return d
}

// tenantStatuses returns the state of each tenant; now is nil before the controller runs.
func tenantStatuses(m *intent.Model, now *controller.Status) []api.Tenant {
	all := make([]api.Tenant, 0, len(m.Tenants()))
	given := map[intent.ID]controller.Tenant{}
	if now != nil {
		for _, t := range now.Tenants {
			given[t.ID] = t
		}
	}
	sources := map[intent.ID]uint16{}
	if now != nil {
		sources = givenZones(now)
	}
	for _, t := range m.Tenants() {
		s := tenantStatus(t, given[t.ID()], now)
		s.SNATs = snatsOf(t)
		s.SourceZone = sources[t.ID()+pipeline.SourceZone]
		all = append(all, s)
	}
	return all
}

// ephemeral is how many ports there are from 1024 on, among which another one is looked for when
// that of a sender is taken.
const ephemeral = 65536 - 1024

func snatsOf(t *intent.Tenant) (all []api.SNAT) {
	for _, s := range t.SNATs {
		n := api.SNAT{ID: string(s.ID()), Ports: ephemeral}
		if !s.Preserves() {
			n.Ports = int(s.Ports.Hi) - int(s.Ports.Lo) + 1
		}
		all = append(all, n)
	}
	return all
}

func tenantStatus(t *intent.Tenant, have controller.Tenant, now *controller.Status) api.Tenant {
	s := api.Tenant{Name: t.Name, Zone: have.Zone, Epoch: have.Epoch}
	if now == nil {
		return s
	}
	ended := now.Ended[t.ID()]
	s.Ended = ended.N
	for _, e := range slices.Backward(ended.Recent) {
		s.RecentlyEnded = append(s.RecentlyEnded, api.Ended{At: e.At.UTC(), Egress: string(e.Egress), Ingress: string(e.Ingress), Connections: e.N, Example: e.Example})
	}
	return s
}
