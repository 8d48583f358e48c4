package daemon

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/controller"
	"weir/explain"
	"weir/intent"
	"weir/internal/modelfiles"
	"weir/metrics"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/quirk"
	"weir/store"
)

// A desk answers what is asked over the control socket. It owns nothing: it reads
// what the goroutines of the daemon publish here.
type desk struct {
	config   Config
	log      *logrus.Logger
	hosts    []*Host                               // one or more; never changes
	ctl      atomic.Pointer[controller.Controller] // nil until it runs
	last     atomic.Pointer[modelfiles.Reading]    // the last one
	inForce  atomic.Pointer[modelfiles.Reading]    // the last good one
	seats    atomic.Pointer[map[string]seat]       // of the bridges of the model that are there; nil: none is known yet
	numbers  atomic.Pointer[store.Snapshot]        // nil: none yet
	trouble  atomic.Pointer[map[string]string]     // by bridge: why it is not attached
	served   atomic.Pointer[map[string]bool]       // by bridge: it can find us; nil: none can yet
	notes    notebook
	hits     tally
	survey   surveyor
	metrics  *metrics.Set
	quirks   atomic.Pointer[map[string][]quirk.Quirk] // by bridge; nil: none is known yet
	keys     *ofconn.Keyring                          // nil: nothing is spoken to over TLS
	refusals *refusals
	proven   atomic.Pointer[map[string]*x509.Certificate] // by bridge: what its switch has shown; nil: nothing yet
}

// newDesk returns a desk for a daemon that serves hosts.
func newDesk(c Config, hosts []*Host, keys *ofconn.Keyring, log *logrus.Logger) *desk {
	d := &desk{config: c, hosts: hosts, log: log, keys: keys, refusals: newRefusals()}
	for _, h := range hosts {
		h.reader = newReader(h.rundir, func() []string { return d.kinds(h) })
		h.tracker, h.turns, h.looks = h.reader, conntrack.NewTurns(), make(chan struct{}, 1)
	}
	return d
}

// errStarting is the answer until the controller runs.
var errStarting = errors.New("the daemon waits for the Open vSwitch database")

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

// now is what the controller says; nil before there is one.
func (d *desk) now() *controller.Status {
	if ctl := d.ctl.Load(); ctl != nil {
		return ctl.Status()
	}
	return nil
}

// connected returns the bridges that have a session, by name.
func (d *desk) connected() (all []controller.Bridge) {
	ctl := d.ctl.Load()
	if ctl == nil {
		return nil
	}
	now := ctl.Status().Bridges
	for _, name := range slices.Sorted(maps.Keys(now)) {
		all = append(all, now[name])
	}
	return all
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

// Connections returns the connections of a tenant, or of all, as they are read. Few are put in order.
func (d *desk) Connections(ctx context.Context, tenant string) (iter.Seq2[api.Connection, error], error) {
	zones, tell, err := d.tellers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if len(zones) > 1 && !slices.ContainsFunc(d.hosts, func(h *Host) bool { return !d.few(h) }) { // else zones come one after another
		return d.fewConnections(ctx, zones, tell), nil
	}
	return func(yield func(api.Connection, error) bool) {
		for e, err := range d.entriesFrom(ctx, zones) {
			if err != nil {
				yield(api.Connection{}, err)
				return
			}
			if !yield(tell[e.Zone](e), nil) {
				return
			}
		}
	}, nil
}

// fewConnections returns connections by zone, that are read all at once.
func (d *desk) fewConnections(ctx context.Context, zones []uint16, tell map[uint16]func(conntrack.Entry) api.Connection) iter.Seq2[api.Connection, error] {
	return func(yield func(api.Connection, error) bool) {
		by := map[uint16][]api.Connection{}
		err := d.entriesIn(ctx, zones, func(e conntrack.Entry) { by[e.Zone] = append(by[e.Zone], tell[e.Zone](e)) })
		if api.AsFarAsReached(err) != nil {
			yield(api.Connection{}, err)
			return
		}
		for _, zone := range zones {
			for _, c := range by[zone] {
				if !yield(c, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(api.Connection{}, err)
		}
	}
}

// Endpoints returns the names of the endpoints of a tenant, or of all.
func (d *desk) Endpoints(tenant string) (names []string) {
	for _, t := range d.inForce.Load().Model.Tenants() {
		for _, e := range t.Endpoints {
			if tenant == "" || tenant == t.Name {
				names = append(names, e.Name)
			}
		}
	}
	return names
}

// tellers returns the zones in which a tenant, or all of them, has its connections, and by zone how
// an entry is told.
func (d *desk) tellers(ctx context.Context, tenant string) (zones []uint16, tell map[uint16]func(conntrack.Entry) api.Connection, err error) {
	numbers, model := d.numbers.Load(), d.inForce.Load().Model
	if numbers == nil {
		return nil, nil, errStarting
	}
	found := tenant == ""
	tell = map[uint16]func(conntrack.Entry) api.Connection{}
	for _, t := range model.Tenants() {
		if tenant != "" && tenant != t.Name {
			continue
		}
		found = true
		seen, err := d.published(ctx, t.ID(), numbers, model)
		if err != nil {
			return nil, nil, err
		}
		services, owners := d.services(t, numbers), ownersOf(t)
		for _, id := range []intent.ID{t.ID(), t.ID() + pipeline.SourceZone} {
			zone := numbers.Zone(id)
			if zone == 0 {
				continue // no number yet, or none needed, and so no connection
			}
			zones = append(zones, zone)
			tell[zone] = func(e conntrack.Entry) api.Connection {
				c := owners.tell(seen.tell(connectionOf(t.Name, e, numbers), e), e)
				c.Backend = backendState(services, e)
				return c
			}
		}
	}
	if !found {
		return nil, nil, api.UnknownTenant(tenant)
	}
	return zones, tell, nil
}

func connectionOf(tenant string, e conntrack.Entry, n pipeline.Numbers) api.Connection {
	a := explain.Connection(e.Label, e.Mark, n)
	nat, _ := n.Origin(pipeline.ObjectOf(e.Label, e.Mark))
	c := api.Connection{
		Tenant: tenant, Host: e.Host, Ref: refOf(e), NAT: string(nat), Zone: e.Zone, Protocol: e.Protocol.String(),
		Orig: tupleOf(e.Orig), Reply: tupleOf(e.Reply), State: e.State.String(),
		Mark: e.Mark, Class: a.Class, Label: e.Label.String(),
		Epoch: a.Epoch, Blocked: a.Blocked, Audited: a.Audited, Egress: string(a.Egress), Ingress: string(a.Ingress),
		StateOrig: e.StateOrig.String(), StateReply: e.StateReply.String(), ScaleOrig: e.ScaleOrig, ScaleReply: e.ScaleReply,
		TagOrig: e.TagOrig, TagReply: e.TagReply, Expires: e.Timeout, Start: nanoseconds(e.Start),
		Helper: e.Helper, ID: e.ID, Status: uint32(e.Status), Other: e.Other.Map(),
	}
	c.Orig.Packets, c.Orig.Bytes = e.CountOrig.Packets, e.CountOrig.Bytes
	c.Reply.Packets, c.Reply.Bytes = e.CountReply.Packets, e.CountReply.Bytes
	if e.Status != 0 {
		c.StatusNames = e.Status.String()
	}
	if e.FlagsOrig|e.FlagsReply != 0 {
		c.FlagsOrig, c.FlagsReply = e.FlagsOrig.String(), e.FlagsReply.String()
	}
	if e.Parent.Src.IsValid() {
		parent := tupleOf(e.Parent)
		c.Parent = &parent
	}
	return c
}

// nanoseconds returns a time of a tracker; nil: not said.
func nanoseconds(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(0, unix).UTC()
	return &t
}

func tupleOf(t conntrack.Tuple) api.Tuple {
	return api.Tuple{
		Src: t.Src.String(), Dst: t.Dst.String(), Sport: t.SrcPort, Dport: t.DstPort,
		ICMPID: t.ICMPID, Type: t.ICMPType, Code: t.ICMPCode,
	}
}

// Plan returns what the model in sources would change.
func (d *desk) Plan(ctx context.Context, sources []intent.Source) (api.Plan, error) {
	m, err := intent.Read(sources...)
	if err != nil {
		return api.Plan{}, err
	}
	ctl := d.ctl.Load()
	if ctl == nil {
		return api.Plan{}, errStarting
	}
	plans, err := ctl.Plan(ctx, m)
	if err != nil {
		return api.Plan{}, err
	}
	p := api.Plan{Objects: api.Objects(d.inForce.Load().Model, m), Bridges: []api.BridgePlan{}}
	for _, b := range m.Bridges() {
		p.Bridges = append(p.Bridges, bridgePlan(b.Name, plans))
	}
	return p, nil
}

// bridgePlan returns the plan of one bridge in words.
func bridgePlan(name string, plans map[string]controller.BridgePlan) api.BridgePlan {
	p := api.BridgePlan{Name: name, Flows: []api.FlowChange{}, Groups: []api.FlowChange{}, Narrowed: []string{}}
	plan, ok := plans[name]
	switch {
	case !ok:
		p.Error = "not connected"
		return p
	case plan.Err != nil:
		p.Error = plan.Err.Error()
		return p
	}
	p.Add, p.Change, p.Remove = plan.Added, plan.Changed, plan.Deleted
	p.Ends, p.Against = plan.Ends, plan.Against
	for _, id := range plan.Narrowed {
		p.Narrowed = append(p.Narrowed, string(id))
	}
	p.Flows, p.Groups = flowChanges(plan), groupChanges(plan)
	return p
}

func flowChanges(p controller.BridgePlan) []api.FlowChange {
	there := make(map[ofproto.FlowKey]bool, len(p.Before.Flows))
	for _, f := range p.Before.Flows {
		there[f.Key()] = true
	}
	list := []api.FlowChange{}
	for _, f := range p.Plan.PutFlows {
		list = append(list, api.FlowChange{Verb: putVerb(there[f.Key()]), Text: f.String(), Intent: originOf(f, p.Numbers)})
	}
	for _, f := range p.Plan.DeleteFlows {
		list = append(list, api.FlowChange{Verb: api.Removed, Text: f.String(), Intent: originOf(f, p.Numbers)})
	}
	return list
}

func groupChanges(p controller.BridgePlan) []api.FlowChange {
	there := make(map[uint32]bool, len(p.Before.Groups))
	for _, g := range p.Before.Groups {
		there[g.ID] = true
	}
	list := []api.FlowChange{}
	for _, g := range p.Plan.PutGroups {
		list = append(list, api.FlowChange{Verb: putVerb(there[g.ID]), Text: g.String()})
	}
	for _, g := range p.Plan.DeleteGroups {
		list = append(list, api.FlowChange{Verb: api.Removed, Text: g.String()})
	}
	return list
}

func putVerb(there bool) string {
	if there {
		return api.Changed
	}
	return api.Added
}

// originOf names the intent that a flow serves, if it is one of ours.
func originOf(f ofproto.Flow, n pipeline.Numbers) string {
	tag, owned := pipeline.TagOf(f.Cookie)
	if !owned {
		return ""
	}
	id, _ := n.Origin(tag)
	return string(id)
}

// epochsInUse returns the epochs that the connections of a zone carry, on any host.
func (d *desk) epochsInUse(ctx context.Context, zone uint16) (map[uint8]bool, error) {
	used := map[uint8]bool{}
	for _, h := range d.hosts {
		for e, err := range h.tracker.Entries(ctx, conntrack.Filter{Zone: zone}) {
			if err != nil {
				return nil, h.trouble(err) // an entry that cannot be read may carry any
			}
			used[uint8(e.Mark&pipeline.MarkEpoch)] = true
		}
	}
	return used, nil
}
