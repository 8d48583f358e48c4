// Package controller keeps bridges as the operator wants them.
//
// Three kinds of goroutine work together, and each owns its state outright: Run owns
// the model, the facts and the numbers; one Serve for each bridge owns what is known of
// that bridge, compiles, and sends; everybody else sends events and reads Status. What
// passes between them is whole and never changes once it has been sent, so that one
// that is lost, or comes twice, cannot hurt.
package controller

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/drain"
	"weir/intent"
	"weir/ofproto"
)

// A Conn is what the controller needs of an OpenFlow session; *ofconn.Conn satisfies
// it.
type Conn interface {
	// Tables returns all flows, groups and meters of the bridge.
	Tables(ctx context.Context) (ofproto.Tables, error)
	// GroupsAndMeters returns what Tables does, but for the flows.
	GroupsAndMeters(ctx context.Context) ([]ofproto.Group, []ofproto.MeterConfig, error)
	// MeterStats returns the counters of all meters.
	MeterStats(ctx context.Context) ([]ofproto.MeterStats, error)
	// FlowStatsOf returns some flows, with their counters.
	FlowStatsOf(ctx context.Context, q ofproto.FlowQuery) ([]ofproto.FlowStats, error)
	// Watch has the switch tell what others change from then on; next waits for it.
	Watch(ctx context.Context) (next func(context.Context) (ofproto.TableChange, error), err error)
	// Apply carries out p, wholly or not at all. If the switch refuses part of p the
	// error is an *ofproto.Rejected; if the outcome is unknown, it is not.
	Apply(ctx context.Context, p ofproto.Plan) error
	// Prepare sends part of the plan that will be applied next ahead. Nothing of it is in force before
	// Apply, which goes without it if it is not part of that plan. One goroutine may prepare, and not while
	// another applies or abandons.
	Prepare(ctx context.Context, t ofproto.Tables)
	// Abandon forgets what was prepared.
	Abandon()
	// FlushZone removes all connections of a zone and returns once that is done.
	FlushZone(ctx context.Context, zone uint16) error
	// FlushConnections removes single connections and returns once that is done. If the
	// switch does not know how, the error is an *ofproto.Error.
	FlushConnections(ctx context.Context, flushes []ofproto.CTFlush) error
	// PacketIns returns the packets that flows send to the controller.
	PacketIns() <-chan ofproto.PacketIn
	// Barrier returns once the switch has done all that it was sent before.
	Barrier(ctx context.Context) error
	// PacketOut sends a packet.
	PacketOut(ctx context.Context, p ofproto.PacketOut) error
	// FlowMods counts the modifications sent.
	FlowMods() uint64
}

// Numbering gives numbers to intents and keeps them. Only Run calls it.
type Numbering interface {
	// Assign gives numbers to all that w wants, and retires the zones of tenants that w
	// does not have.
	Assign(w pipeline.Wants) (pipeline.Numbers, error)
	// Preview returns the numbers that Assign would give, and gives none.
	Preview(w pipeline.Wants) (pipeline.Numbers, error)
	// Raise gives each tenant its next epoch, unless it is not the given one any more.
	Raise(epochs map[intent.ID]uint8) (pipeline.Numbers, error)
	// Retired returns the zones that have to be flushed before they are given again.
	Retired() []uint16
	// Release makes a retired zone free: it has been flushed.
	Release(zone uint16) error
}

// Config is what a Controller is made from.
type Config struct {
	// Compile returns what should be in a bridge, with those units out of the bridge's cache
	// that have not changed. Required.
	Compile   func(*pipeline.Cache, pipeline.Input) (*pipeline.Program, error)
	Numbering Numbering // required

	// Narrowed names the tenants whose epoch has to be raised before want is sent to a
	// bridge that has have. Of both, what is the same may be left out: the whole of what a
	// tenant has. If nil, none.
	Narrowed func(want, have []ofproto.Flow, n pipeline.Numbers, m *intent.Model) []intent.ID
	// Answer answers a packet that a flow sent to the controller. If nil, nobody does.
	Answer func(pipeline.Input, ofproto.PacketIn) []ofproto.PacketOut
	// Observe takes note of a packet that a flow sent to the controller, if it is one to take
	// note of; such a packet is not answered. It is called by the sessions of all bridges, and
	// must not wait. If nil, nobody takes note.
	Observe func(bridge string, in pipeline.Input, p ofproto.PacketIn) bool

	// Resolver finds out the MAC addresses of neighbours. If it is empty, nobody does.
	Resolver Resolver

	// Announcer tells neighbours of addresses that appear. If it is empty, nobody does.
	Announcer Announcer

	// Connections reads the connections of a zone where a bridge has them, or where all bridges have
	// them if it is empty, and Judge returns how a program judges those of a tenant, which a sweep
	// asks. If either is nil there are no sweeps, and what policy no longer admits is stopped by the
	// flows alone. They are called by goroutines of their own.
	Connections func(ctx context.Context, bridge string, zone uint16) ([]pipeline.Connection, error)
	Judge       func(*pipeline.Program, pipeline.Input, *intent.Tenant) func(pipeline.Connection) pipeline.Ruling

	// Turn waits until sweeps, drains and load balancers may have the connections of one more zone read where a
	// bridge, or all of them, has them, and returns what has to be called once they are. If nil, they may at once.
	Turn func(ctx context.Context, bridge string) (done func(), err error)
	// Forgettable returns what says why the datapath of a bridge cannot be made to forget some
	// entries, each of them and no other; nil: it can. It is asked before FlushConnections is, by goroutines of
	// their own. If Forgettable is nil, all can be forgotten.
	Forgettable func(ctx context.Context, bridge string) func([]ofproto.CTFlush) error

	// Recall returns since when backends of a tenant drain on a bridge, as it was remembered when
	// somebody knew last, and Remember remembers it. They are called by the sessions of all bridges, and
	// must not wait. If either is nil nothing is remembered, and the time begins anew with each session.
	Recall   func(bridge string, tenant intent.ID) drain.Since
	Remember func(bridge string, tenant intent.ID, s drain.Since)

	// Reset has the client of a connection told that it is over, which a load balancer has made
	// and the tracker has forgotten. If nil, nobody is told.
	Reset func(pipeline.Input, *intent.Tenant, pipeline.Connection) []ofproto.PacketOut

	// Took is told how long a part of making a bridge as it should be has taken, and Punted of each
	// packet that a flow sent to the controller, and what it was for. They are called by the sessions
	// of all bridges, and must not wait. If nil, nobody is told.
	Took   func(bridge string, part Part, d time.Duration)
	Punted func(bridge string, p Punt)

	Settle time.Duration // how long changes are collected that follow one that was acted upon; zero: 5 ms
	Audit  time.Duration // between readings of the whole tables; zero: 30 s
	Log    *logrus.Entry // nil: nothing is logged
}

// A Controller keeps every connected bridge as the newest model says.
type Controller struct {
	config Config
	events chan event
	done   chan struct{} // closed when Run returns
	status atomic.Pointer[Status]
}

// ErrStopped is returned to those who talk to a controller that does not run any more.
var ErrStopped = errors.New("the controller has stopped")

// New returns a controller. It does nothing until Run.
func New(c Config) *Controller {
	if c.Settle == 0 {
		c.Settle = 5 * time.Millisecond
	}
	if c.Audit == 0 {
		c.Audit = 30 * time.Second
	}
	if c.Took == nil {
		c.Took = func(string, Part, time.Duration) {}
	}
	if c.Recall == nil || c.Remember == nil {
		c.Recall = func(string, intent.ID) drain.Since { return nil }
		c.Remember = func(string, intent.ID, drain.Since) {}
	}
	if c.Punted == nil {
		c.Punted = func(string, Punt) {}
	}
	if c.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		c.Log = logrus.NewEntry(silent)
	}
	ctl := &Controller{config: c, events: make(chan event), done: make(chan struct{})}
	ctl.status.Store(&Status{changed: make(chan struct{})})
	return ctl
}

// Status is a snapshot of what the controller knows. It never changes.
type Status struct {
	Revision uint64        // counts the models; zero: none yet
	Err      error         // why the newest model could not be taken; the one before is in force
	Model    *intent.Model // in force; nil: none yet
	Held     []string      // what the newest model would end, for which it is not taken; the one before is in force
	Bridges  map[string]Bridge
	Tenants  []Tenant               // of the model, by name
	Zones    []Zone                 // of the model, beside those of the tenants
	Drift    map[string]DriftLog    // by bridge, connected or not
	Ended    map[intent.ID]EndedLog // by tenant: connections that policy no longer admits

	Backends  map[intent.ID][]BackendState // of load balancers that ask them something
	Balancers map[intent.ID]BalancerState  // all load balancers of the model; nil: no bridge has been told of it yet

	changed chan struct{}
}

// A Tenant is a tenant's numbers.
type Tenant struct {
	ID    intent.ID
	Zone  uint16
	Epoch uint8
}

// A Zone is a zone that is no tenant's, and its number.
type Zone struct {
	pipeline.AuxZone
	Number uint16
}

// A Bridge is what is known of a connected bridge.
type Bridge struct {
	Revision uint64 // of the model that it was programmed from; zero: none
	Flows    int    // Weir's
	Groups   int
	Rounds   int                 // how often a packet may be sent back to the flow tables
	Foreign  int                 // flows of somebody else
	Pending  []pipeline.Pending  // intents that wait for something
	Refused  map[intent.ID]error // intents that the switch did not take
	Sent     uint64              // modifications sent in this session
	Err      error               // why the bridge is not as it should be, if it is not
	Metered  []Metered           // by intent; not newer than a few seconds
	NoPort   []NoPort            // SNATs that had none left, by name; not newer than a few seconds
	Weights  drain.Weights       // of backends of load balancers, where they are not as they are declared
	Begun    []Begun             // connections, with backends of load balancers, by them; not newer than a few seconds
	BegunAt  time.Time           // when that was read
	Draining []drain.Backend     // backends that are to have no connections, and had some when they were looked at

	// Contested is what somebody changes again as soon as it is repaired, which is therefore
	// repaired less often.
	Contested []string

	program *pipeline.Program // nil: none
}

// FlowsByTable counts the flows of the bridge: Weir's, as it was programmed last. It looks at each of
// them.
func (b Bridge) FlowsByTable() map[ofproto.Table]int {
	tables := map[ofproto.Table]int{}
	if b.program == nil {
		return tables
	}
	for _, u := range b.program.Units {
		for i := range u.Flows {
			tables[u.Flows[i].Table]++
		}
	}
	return tables
}

// Programmed reports whether all of the newest model is in a bridge.
func (s *Status) Programmed(bridge string) bool {
	b, ok := s.Bridges[bridge]
	return ok && s.Revision != 0 && b.Revision == s.Revision && b.Err == nil && len(b.Refused) == 0
}

// Status returns the newest snapshot.
func (c *Controller) Status() *Status { return c.status.Load() }

// Changed returns a channel that is closed when there is a newer snapshot than the one
// that Status returns now.
func (c *Controller) Changed() <-chan struct{} { return c.status.Load().changed }

func (c *Controller) publish(s Status) {
	s.changed = make(chan struct{})
	before := c.status.Swap(&s)
	close(before.changed)
}

// SetModel makes m what the controller strives for.
func (c *Controller) SetModel(ctx context.Context, m *intent.Model) error {
	return c.send(ctx, modelChanged{m})
}

// SetFacts tells the controller what is known of a bridge. Nothing is sent to a bridge
// of which nothing is known.
func (c *Controller) SetFacts(ctx context.Context, bridge string, f pipeline.Facts) error {
	return c.send(ctx, factsChanged{bridge, f})
}

func (c *Controller) send(ctx context.Context, e event) error {
	select {
	case c.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return ErrStopped
	}
}

// A BridgePlan is what a model would change in a bridge.
type BridgePlan struct {
	Plan                    ofproto.Plan
	Added, Changed, Deleted int // flows
	Pending                 []pipeline.Pending
	Narrowed                []intent.ID      // tenants whose live connections would be judged again
	Before                  ofproto.Tables   // what the bridge has now
	Ends                    int              // connections that it would end
	Against                 []string         // why the model would not be taken
	Numbers                 pipeline.Numbers // that the plan was compiled with: of new intents, others may be given
	Err                     error
}

// Plan returns what m would change in each connected bridge, as it is now. Nothing is
// changed, and no number is given.
func (c *Controller) Plan(ctx context.Context, m *intent.Model) (map[string]BridgePlan, error) {
	asked := make(chan plansAsked, 1)
	if err := c.send(ctx, planWanted{m, asked}); err != nil {
		return nil, err
	}
	a := <-asked
	if a.err != nil {
		return nil, a.err
	}
	plans := make(map[string]BridgePlan, len(a.bridges))
	for name, answer := range a.bridges {
		select {
		case plans[name] = <-answer:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return plans, nil
}
