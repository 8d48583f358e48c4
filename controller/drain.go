package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/drain"
	"weir/intent"
	"weir/ofproto"
)

// A backend of a load balancer that is taken out, or fails, still has the connections that it was
// given: no flow asks. The session looks at the connections of a tenant when it begins, when a
// backend has become something else, and while some drain, and has those forgotten that must end.

// Reading connections holds ovs-vswitchd. While something drains the time between two readings is so many times
// that of the last one. Where a backend has just changed it is less, and not more than a second.
const (
	drainRest  = 19 // 5 % of the time
	hurryRest  = 4
	hurryAfter = time.Second
)

// drainer belongs to one Serve.
type drainer struct {
	of      map[intent.ID]*draining // by tenant; of those that have load balancers
	weights uintptr                 // which were in force then: they never change
	turn    <-chan time.Time
	busy    bool // a zone is being read
	looked  chan reading
	read    time.Time     // when a zone was read last
	cost    time.Duration // of that
	doomed  []forgetting  // what is to be forgotten
}

func newDrainer() drainer {
	return drainer{of: map[intent.ID]*draining{}, looked: make(chan reading, 1)}
}

// draining is what is known of the load balancers of a tenant.
type draining struct {
	tenant   *intent.Tenant
	services drain.Services
	ledger   drain.Ledger
	found    []drain.Backend
	since    drain.Since // as it is remembered
	due      time.Time   // when its connections are looked at; zero: they need not be
	changed  bool        // since they were
}

// A reading is the connections of a tenant.
type reading struct {
	tenant intent.ID
	all    []pipeline.Connection
	cost   time.Duration
	err    error
}

// A forgetting is connections of a tenant that have to be forgotten.
type forgetting struct {
	tenant intent.ID
	some   []pipeline.Connection
	reset  map[pipeline.Connection]bool // whose client is told
}

// drainAfter has the connections of those tenants looked at that have a backend which has become
// something else. It is called when the flows are in force: a connection that is forgotten before
// could be given to the same backend again.
func (s *session) drainAfter(in pipeline.Input) {
	if s.config.Connections == nil {
		return
	}
	for id := range s.drain.of {
		if t := in.Model.Tenant(string(id)); t == nil || !s.balances(t) {
			delete(s.drain.of, id)
			s.config.Remember(s.name, id, nil)
		}
	}
	weights := reflect.ValueOf(in.Facts.Weights).Pointer()
	for _, t := range in.Model.Tenants() {
		if of := s.drain.of[t.ID()]; s.balances(t) && (of == nil || of.tenant != t || s.drain.weights != weights) {
			s.noteBalanced(t, of == nil, drain.ServicesOf(t, in.Numbers, in.Facts.Weights))
		}
	}
	s.drain.weights = weights
	s.report.Draining = s.drain.all()
	s.drain.wait()
}

// balances reports whether a tenant has load balancers on the bridge.
func (s *session) balances(t *intent.Tenant) bool {
	here := func(n *intent.Network) bool { return slices.Contains(n.Bridges, s.name) }
	return len(t.LoadBalancers) > 0 && t.Mode != intent.Off && slices.ContainsFunc(t.Networks, here)
}

// noteBalanced notes what a tenant's load balancers are by now. Of one that was not known nothing has just
// changed: it has time until the others have been looked at.
func (s *session) noteBalanced(t *intent.Tenant, new bool, services drain.Services) {
	if new {
		of := &draining{tenant: t, services: services, due: time.Now(), since: s.config.Recall(s.name, t.ID())}
		of.ledger.Recall(of.since)
		s.drain.of[t.ID()] = of
		return
	}
	known := s.drain.of[t.ID()]
	settled := known.services.Settles(services)
	known.tenant, known.services = t, services
	if !settled {
		known.changed, known.due = true, time.Now()
	}
}

// wait sets the clock for what has to be done next.
func (d *drainer) wait() {
	d.turn = nil
	if len(d.doomed) > 0 {
		d.turn = time.After(sweepPause)
		return
	}
	if next := d.next(); next != nil && !d.busy {
		d.turn = time.After(time.Until(d.when(next)))
	}
}

// next returns the tenant whose connections are looked at next, or nil.
func (d *drainer) next() *draining {
	var first *draining
	for _, of := range d.of {
		if !of.due.IsZero() && (first == nil || d.when(of).Before(d.when(first))) {
			first = of
		}
	}
	return first
}

// when returns when the connections of a tenant are looked at: not too soon after those of
// another one.
func (d *drainer) when(of *draining) time.Time {
	rest := d.cost * drainRest
	if of.changed {
		rest = min(d.cost*hurryRest, hurryAfter)
	}
	if free := d.read.Add(rest); of.due.Before(free) {
		return free
	}
	return of.due
}

// drainOn goes on with what there is to do: it has some connections forgotten, or the next zone
// read.
func (s *session) drainOn(ctx context.Context) (err error) {
	s.drain.turn = nil
	if len(s.drain.doomed) > 0 {
		err = s.forgetSome(ctx)
	} else if next := s.drain.next(); next != nil && !s.drain.busy {
		next.due, next.changed = time.Time{}, false
		s.readBalanced(ctx, next.tenant)
	}
	s.drain.wait()
	return err
}

// readBalanced reads the connections of a tenant, beside what else there is to do.
func (s *session) readBalanced(ctx context.Context, t *intent.Tenant) {
	s.drain.busy = true
	zone := s.job.input.Numbers.Zone(t.ID())
	go func() {
		r := reading{tenant: t.ID()}
		r.all, r.cost, r.err = s.readConnections(ctx, s.name, zone)
		s.drain.looked <- r
	}()
}

// drained takes the connections of a tenant.
func (s *session) drained(ctx context.Context, r reading) error {
	defer s.drain.wait()
	s.drain.busy, s.drain.read, s.drain.cost = false, time.Now(), r.cost
	of := s.drain.of[r.tenant]
	switch {
	case of == nil: // it has no load balancers any more
		return nil
	case r.err != nil:
		s.config.Log.WithField("bridge", s.name).WithField("tenant", r.tenant).WithError(r.err).
			Warn("connections cannot be read: those of backends that drain, or have failed, go on for now")
		of.again(drainRetry)
		return nil
	}
	of.ledger.Stays = s.stays(ctx, r.tenant)
	f := of.ledger.Look(r.all, of.services, time.Now())
	if since := of.ledger.Since(); !maps.Equal(since, of.since) {
		of.since = since
		s.config.Remember(s.name, r.tenant, since)
	}
	s.tellDraining(r.tenant, f)
	if f.Next > 0 {
		of.again(f.Next)
	}
	if len(f.End) > 0 {
		x := forgetting{r.tenant, f.End, make(map[pipeline.Connection]bool, len(f.Reset))}
		for _, c := range f.Reset {
			x.reset[c] = true
		}
		s.drain.doomed = append(s.drain.doomed, x)
	}
	if slices.Equal(of.found, f.Backends) {
		return nil
	}
	of.found = f.Backends
	s.report.Draining = s.drain.all()
	return s.tell(ctx)
}

// stays returns what reports that a connection of a tenant cannot be forgotten, or not alone.
func (s *session) stays(ctx context.Context, tenant intent.ID) func(pipeline.Connection) bool {
	if s.sweep.unable {
		return func(pipeline.Connection) bool { return true }
	}
	holds := s.forgettable(ctx, pipeline.HalvesOf(s.job.input.Numbers, tenant, s.job.input.Model))
	return func(c pipeline.Connection) bool { return holds(c) != nil }
}

// drainRetry is how long it takes until connections are read again that could not be.
const drainRetry = time.Second

// again has the connections of a tenant looked at once more, unless that is due already.
func (of *draining) again(after time.Duration) {
	if of.due.IsZero() {
		of.due = time.Now().Add(after)
	}
}

// all returns the backends of all tenants that drain, by tenant.
func (d *drainer) all() (all []drain.Backend) {
	for _, id := range slices.Sorted(maps.Keys(d.of)) {
		all = append(all, d.of[id].found...)
	}
	return all
}

// forgetSome has the tracker forget some connections that have to end. What a backend still has
// that is wanted again by now is left.
func (s *session) forgetSome(ctx context.Context) error {
	x := &s.drain.doomed[0]
	some, of := s.drain.of[x.tenant].still(x.take(sweepBatch)), *x
	if len(x.some) == 0 {
		s.drain.doomed = s.drain.doomed[1:]
	}
	flushes := flushesOf(some, pipeline.HalvesOf(s.job.input.Numbers, of.tenant, s.job.input.Model))
	if len(flushes) == 0 {
		return nil
	}
	if err := s.conn.FlushConnections(ctx, flushes); err != nil {
		return s.cannotForget(ctx, err)
	}
	return s.tellClients(ctx, of, some)
}

// take takes some of the connections.
func (x *forgetting) take(most int) []pipeline.Connection {
	some := x.some[:min(len(x.some), most)]
	x.some = x.some[len(some):]
	return some
}

// still returns those of some connections whose backend is to have none.
func (of *draining) still(some []pipeline.Connection) (rest []pipeline.Connection) {
	if of == nil {
		return nil
	}
	for _, c := range some {
		if _, state, there := of.services.Backend(c); there && state != drain.Serving {
			rest = append(rest, c)
		}
	}
	return rest
}

// tellClients has those clients of forgotten connections told that are to be.
func (s *session) tellClients(ctx context.Context, x forgetting, some []pipeline.Connection) error {
	t := s.job.input.Model.Tenant(string(x.tenant))
	for _, c := range some {
		if s.config.Reset == nil || t == nil || !x.reset[c] {
			continue
		}
		for _, out := range s.config.Reset(s.job.input, t, c) {
			if err := s.conn.PacketOut(ctx, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// cannotForget gives up what was to be forgotten.
func (s *session) cannotForget(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *ofproto.Error
	s.sweep.unable = errors.As(err, &refused)
	s.drain.doomed = nil
	s.config.Log.WithField("bridge", s.name).WithError(err).
		Warn("connections of backends that are gone, or have failed, cannot be removed: they go on until they end")
	return nil
}

// tellDraining says which backends are found to have connections that are to end, and which have
// none left.
func (s *session) tellDraining(tenant intent.ID, f drain.Finding) {
	for _, b := range f.Began[:min(len(f.Began), toldEnded)] {
		if b.Connections > 0 {
			s.logBackend(tenant, b).Info("a backend is to have no connections: those that it has go on for now")
		}
	}
	for _, b := range f.Over[:min(len(f.Over), toldEnded)] {
		s.logBackend(tenant, b).Info("a backend has no connections left")
	}
}

func (s *session) logBackend(tenant intent.ID, b drain.Backend) *logrus.Entry {
	fields := logrus.Fields{
		"bridge": s.name, "tenant": tenant, "service": b.Service, "backend": fmt.Sprint(b.Key.Backend), "state": b.State,
		"connections": b.Connections, "ended": b.Ended,
	}
	if !b.Deadline.IsZero() {
		fields["deadline"] = b.Deadline.UTC().Format(time.RFC3339)
	}
	return s.config.Log.WithFields(fields)
}
