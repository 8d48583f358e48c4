package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/ofproto/oftest"
)

// sw is a switch on the wire.
type sw struct{ *oftest.Switch }

// plans returns how many plans it was asked to carry out.
func (s sw) plans() (n int) {
	for _, m := range oftest.Received[ofproto.BundleControl](s.Switch) {
		if m.Type == ofproto.BundleCommit {
			n++
		}
	}
	return n
}

func (s sw) flows() []ofproto.Flow { return s.Tables().Flows }

// flushed returns the zones that it was asked to flush.
func (s sw) flushed() (zones []uint16) {
	for _, m := range oftest.Received[ofproto.CTFlushZone](s.Switch) {
		zones = append(zones, m.Zone)
	}
	return zones
}

// refuse has it refuse the flows with a cookie; zero: none any more.
func (s sw) refuse(cookie uint64) {
	s.React(func(r oftest.Request) oftest.Reaction {
		if m, ok := r.Message.(ofproto.FlowMod); ok && cookie != 0 && m.Flow.Cookie == cookie && m.Command == ofproto.FlowAdd {
			return oftest.Refuse(ofproto.OFPFMFC_TABLE_FULL)
		}
		return oftest.Reaction{}
	})
}

// numbers are given by name, and epochs and zones kept in maps. It belongs to Run.
type memNumbering struct {
	zones   map[intent.ID]uint16
	epochs  map[intent.ID]uint8
	retired map[uint16]bool
	failing int    // how many more times it has no numbers to give
	preview func() // what happens while it thinks; nil: nothing
}

type memNumbers struct {
	zones  map[intent.ID]uint16
	epochs map[intent.ID]uint8
}

func (n memNumbers) Zone(id intent.ID) uint16 { return n.zones[id] }
func (n memNumbers) Epoch(id intent.ID) uint8 { return n.epochs[id] }
func (memNumbers) Group(intent.ID) uint32     { return 1 }
func (memNumbers) Tag(id intent.ID) uint32    { return tags[id] }
func (memNumbers) Origin(tag uint32) (intent.ID, bool) {
	for id, t := range tags {
		if t == tag {
			return id, true
		}
	}
	return "", false
}

var tags = map[intent.ID]uint32{"bridge/br0": 1, "bridge/br1": 2, "a": 3, "b": 4, "a/loadbalancer/shop": 5, "a/policy/p/r": 8}

func (n *memNumbering) give(w pipeline.Wants) {
	for id, z := range n.zones {
		if _, still := w.Zones[id]; !still {
			n.retired[z] = true
			delete(n.zones, id)
		}
	}
	for id := range w.Zones {
		if n.zones[id] == 0 {
			n.zones[id], n.epochs[id] = uint16(100+tags[id]), 1
		}
	}
}

func (n *memNumbering) snapshot() pipeline.Numbers {
	return memNumbers{maps.Clone(n.zones), maps.Clone(n.epochs)}
}

func (n *memNumbering) Assign(w pipeline.Wants) (pipeline.Numbers, error) {
	if n.failing > 0 {
		n.failing--
		return nil, errors.New("no room on the disk")
	}
	n.give(w)
	return n.snapshot(), nil
}

func (n *memNumbering) Preview(w pipeline.Wants) (pipeline.Numbers, error) {
	if n.preview != nil {
		n.preview()
	}
	copied := &memNumbering{zones: maps.Clone(n.zones), epochs: maps.Clone(n.epochs), retired: maps.Clone(n.retired)}
	return copied.Assign(w)
}

func (n *memNumbering) Raise(epochs map[intent.ID]uint8) (pipeline.Numbers, error) {
	for id, e := range epochs {
		if n.epochs[id] == e {
			n.epochs[id]++
		}
	}
	return n.snapshot(), nil
}

func (n *memNumbering) Retired() []uint16         { return slices.Sorted(maps.Keys(n.retired)) }
func (n *memNumbering) Release(zone uint16) error { delete(n.retired, zone); return nil }

// compile makes one flow for the bridge, and for each tenant one that says its epoch and one
// that says its zone, which the tests take for its policy.
func compile(_ *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
	p := &pipeline.Unit{Flows: []ofproto.Flow{{Cookie: pipeline.Cookie(tags[intent.ID("bridge/"+in.Bridge)])}}}
	for _, t := range in.Model.Tenants() {
		if in.Refused[t.ID()] {
			continue
		}
		zone := uint64(in.Numbers.Zone(t.ID()))
		policy := uint16(1)
		if t.Egress == intent.Deny {
			policy = 2
		}
		p.Flows = append(p.Flows,
			ofproto.Flow{Table: 24, Priority: uint16(in.Numbers.Epoch(t.ID())), Cookie: pipeline.Cookie(tags[t.ID()]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, zone)),
				Actions: []ofproto.Action{ofproto.Set(pipeline.Epoch, uint64(in.Numbers.Epoch(t.ID())))}},
			ofproto.Flow{Table: 56, Priority: policy, Cookie: pipeline.Cookie(tags[t.ID()]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, zone))})
	}
	return &pipeline.Program{Units: []*pipeline.Unit{p}}, nil
}

// narrowed names tenant a if its policy goes from 1 to 2 and its epoch has not been raised.
func narrowed(want, have []ofproto.Flow, n pipeline.Numbers, _ *intent.Model) []intent.ID {
	tag := func(f ofproto.Flow) uint32 { t, _ := pipeline.TagOf(f.Cookie); return t }
	find := func(flows []ofproto.Flow, table ofproto.Table) uint16 {
		for _, f := range flows {
			if f.Table == table && tag(f) == tags["a"] {
				return f.Priority
			}
		}
		return 0
	}
	if find(have, 56) == 1 && find(want, 56) == 2 && find(have, 24) == uint16(n.Epoch("a")) {
		return []intent.ID{"a"}
	}
	return nil
}

func model(t *testing.T, bridges []string, foreign string, tenants ...string) *intent.Model {
	t.Helper()
	var b strings.Builder
	for _, name := range bridges {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Bridge\nmetadata: {name: %s}\nspec: {foreignFlows: %s}\n", name, foreign)
	}
	for _, tenant := range tenants {
		name, egress, _ := strings.Cut(tenant, " ")
		if egress == "" {
			egress = "allow"
		}
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: %s}\nspec: {defaults: {egress: %s}}\n", name, egress)
	}
	m, err := intent.Read(intent.Source{Name: "test", Data: []byte(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A rig is a controller that runs, in virtual time.
type rig struct {
	*testing.T
	*Controller
	numbering *memNumbering
	ctx       context.Context
	tasks     sync.WaitGroup
	stop      context.CancelFunc
	switches  []sw
}

// virtual runs a test with a controller in a bubble of virtual time. At its end nothing of
// the controller may be running.
func virtual(t *testing.T, f func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		n := &memNumbering{zones: map[intent.ID]uint16{}, epochs: map[intent.ID]uint8{}, retired: map[uint16]bool{}}
		ctx, stop := context.WithCancel(t.Context())
		r := &rig{T: t, Controller: New(Config{Compile: compile, Numbering: n, Narrowed: narrowed}), numbering: n, ctx: ctx, stop: stop}
		r.tasks.Go(func() { r.Controller.Run(ctx) })
		f(r)
		stop()
		for _, s := range r.switches {
			s.Close()
		}
		r.tasks.Wait()
	})
}

// newSwitch returns a switch, which ends with the test.
func (r *rig) newSwitch() sw {
	s := sw{oftest.New(oftest.Config{})}
	r.switches = append(r.switches, s)
	return s
}

// session opens a session with a switch, for as long as ctx goes on.
func (r *rig) session(ctx context.Context, s sw) *ofconn.Conn {
	r.Helper()
	conn, err := ofconn.New(ctx, s.Connect(), ofconn.Config{Answer: 100 * time.Millisecond})
	r.must(err)
	return conn
}

// connect serves a switch until it is cut, and returns how to end that.
func (r *rig) connect(name string, s sw) (cut func()) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	conn := r.session(ctx, s)
	done := make(chan struct{})
	r.tasks.Go(func() {
		<-conn.Done()
		cancel()
	})
	r.tasks.Go(func() {
		defer close(done)
		defer conn.Close()
		r.Serve(ctx, name, conn)
	})
	r.must(r.SetFacts(r.ctx, name, pipeline.Facts{}))
	return func() { cancel(); <-done }
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// settled sets a model, and returns the status when nothing moves any more.
func (r *rig) settled(m *intent.Model) *Status {
	r.Helper()
	r.must(r.SetModel(r.ctx, m))
	time.Sleep(time.Second) // virtual: until everything has been done
	synctest.Wait()
	return r.Status()
}

var br0 = []string{"br0"}

func TestABurstOfChangesIsOnePlan(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		for range 4 {
			r.must(r.SetModel(r.ctx, model(t, br0, "refuse", "a")))
		}
		st := r.settled(model(t, br0, "refuse", "a", "b"))
		if s.plans() != 1 || !st.Programmed("br0") || st.Bridges["br0"].Flows != 5 {
			t.Errorf("%d plans, %+v", s.plans(), st.Bridges)
		}
	})
}

func TestAChangeAfterQuietIsMadeAtOnceAndThoseThatFollowTogether(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		plans := s.plans()
		r.must(r.SetModel(r.ctx, model(t, br0, "refuse", "a deny"))) // an epoch has to be raised
		synctest.Wait()                                              // no time passes
		if st := r.Status(); s.plans() != plans+1 || !st.Programmed("br0") || st.Tenants[0].Epoch != 2 {
			t.Errorf("%d plans, %+v", s.plans()-plans, st)
		}
		for range 4 {
			r.must(r.SetModel(r.ctx, model(t, br0, "refuse", "a", "b")))
		}
		r.settled(model(t, br0, "refuse", "b"))
		if s.plans() != plans+2 || !r.Status().Programmed("br0") {
			t.Errorf("%d plans", s.plans()-plans)
		}
	})
}

func TestAReconnectToASwitchThatKeptItsFlowsSendsNothing(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		cut := r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		cut()
		before := s.plans()
		r.connect("br0", s)
		time.Sleep(time.Minute) // virtual, with audits in it
		synctest.Wait()
		if s.plans() != before || !r.Status().Programmed("br0") {
			t.Errorf("%d plans after the reconnect", s.plans()-before)
		}
	})
}

func TestNothingIsSentToABridgeOfWhichNothingIsKnown(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		conn := r.session(r.ctx, s)
		r.tasks.Go(func() {
			defer conn.Close()
			r.Serve(r.ctx, "br0", conn)
		})
		if r.settled(model(t, br0, "refuse", "a")); s.plans() != 0 {
			t.Errorf("%d plans", s.plans())
		}
	})
}

func TestARefusedIntentStopsNobodyElse(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		s.refuse(pipeline.Cookie(tags["a"]))
		r.connect("br0", s)
		st := r.settled(model(t, br0, "refuse", "a", "b"))
		if b := st.Bridges["br0"]; len(b.Refused) != 1 || b.Refused["a"] == nil || b.Flows != 3 || b.Err != nil {
			t.Fatalf("%+v", b)
		}
		s.refuse(0)
		if st = r.settled(model(t, br0, "refuse", "a", "b")); !st.Programmed("br0") {
			t.Errorf("it was not tried again: %+v", st.Bridges["br0"])
		}
	})
}

func TestARefusedSkeletonIsTriedAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		s.refuse(pipeline.Cookie(1))
		r.connect("br0", s)
		if st := r.settled(model(t, br0, "refuse")); st.Bridges["br0"].Err == nil || st.Programmed("br0") {
			t.Fatalf("%+v", st.Bridges["br0"])
		}
		s.refuse(0)
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		if !r.Status().Programmed("br0") {
			t.Errorf("%+v", r.Status().Bridges["br0"])
		}
	})
}

func TestAnUnknownOutcomeIsLookedAt(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		s.React(func(q oftest.Request) oftest.Reaction {
			if m, ok := q.Message.(ofproto.BundleControl); ok && m.Type == ofproto.BundleCommit {
				return oftest.Mute()
			}
			return oftest.Reaction{}
		})
		r.connect("br0", s)
		st := r.settled(model(t, br0, "refuse", "a"))
		if s.plans() != 1 || !st.Programmed("br0") {
			t.Errorf("%d plans, %+v", s.plans(), st.Bridges["br0"])
		}
	})
}

func TestTheEpochIsRaisedBeforeAnythingIsSentOnEveryBridge(t *testing.T) {
	virtual(t, func(r *rig) {
		both := []string{"br0", "br1"}
		switches := []sw{r.newSwitch(), r.newSwitch()}
		for i, name := range both {
			r.connect(name, switches[i])
		}
		r.settled(model(t, both, "refuse", "a deny"))
		if e := r.settled(model(t, both, "refuse", "a")).Tenants[0].Epoch; e != 1 {
			t.Fatalf("the epoch is %d after an edit that only widens", e)
		}
		plans := switches[0].plans()
		st := r.settled(model(t, both, "refuse", "a deny"))
		if st.Tenants[0].Epoch != 2 || switches[0].plans() != plans+1 {
			t.Errorf("epoch %d, %d plans", st.Tenants[0].Epoch, switches[0].plans()-plans)
		}
		for i, s := range switches {
			if !slices.ContainsFunc(s.flows(), func(f ofproto.Flow) bool { return f.Table == 24 && f.Priority == 2 }) {
				t.Errorf("bridge %d has not the new epoch: %v", i, s.flows())
			}
		}
	})
}

func TestARetiredZoneIsFlushedOnceWhenNobodyUsesIt(t *testing.T) {
	virtual(t, func(r *rig) {
		both := []string{"br0", "br1"}
		switches := []sw{r.newSwitch(), r.newSwitch()}
		r.connect("br0", switches[0])
		cut := r.connect("br1", switches[1])
		r.settled(model(t, both, "refuse", "a", "b"))
		cut()
		r.settled(model(t, both, "refuse", "b"))
		if len(switches[0].flushed()) > 0 {
			t.Fatal("the zone was flushed while a bridge may still use it")
		}
		r.connect("br1", switches[1])
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		all := slices.Concat(switches[0].flushed(), switches[1].flushed())
		if !slices.Equal(all, []uint16{103}) || len(r.numbering.retired) > 0 {
			t.Errorf("flushed %v, still retired %v", all, r.numbering.retired)
		}
	})
}

func TestAZoneThatCannotBeFlushedIsTriedAgainASecondLater(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a", "b"))
		s.React(func(q oftest.Request) oftest.Reaction {
			if _, ok := q.Message.(ofproto.CTFlushZone); ok {
				return oftest.Refuse(ofproto.OFPBRC_EPERM)
			}
			return oftest.Reaction{}
		})
		r.must(r.SetModel(r.ctx, model(t, br0, "refuse", "b")))
		time.Sleep(10*time.Second + 500*time.Millisecond) // virtual
		synctest.Wait()
		if n := len(s.flushed()); n < 10 || n > 12 || len(r.numbering.retired) != 1 {
			t.Fatalf("flushed %d times in 10 s, still retired %v", n, r.numbering.retired)
		}
		s.React(nil)
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		n := len(s.flushed())
		if len(r.numbering.retired) != 0 {
			t.Errorf("still retired: %v", r.numbering.retired)
		}
		time.Sleep(time.Minute) // virtual
		if synctest.Wait(); len(s.flushed()) != n {
			t.Errorf("flushed %d times more", len(s.flushed())-n)
		}
	})
}

func TestForeignFlows(t *testing.T) {
	foreign := ofproto.Flow{Table: 3, Priority: 9, Cookie: 42}
	normal := ofproto.Flow{Actions: []ofproto.Action{ofproto.Output{Port: ofproto.PortNormal}}}
	for mode, want := range map[string]struct {
		programmed, kept bool
	}{"refuse": {false, true}, "keep": {true, true}, "remove": {true, false}} {
		t.Run(mode, func(t *testing.T) {
			virtual(t, func(r *rig) {
				s := r.newSwitch()
				for _, f := range []ofproto.Flow{normal, foreign} { // normal stands where the bridge's own flow goes
					r.must(s.Do(ofproto.FlowMod{Flow: f}))
				}
				r.must(s.Do(ofproto.GroupMod{Group: ofproto.Group{ID: 99}}))
				r.connect("br0", s)
				st := r.settled(model(t, br0, mode, "a"))
				kept := slices.ContainsFunc(s.flows(), foreign.Equal)
				if st.Programmed("br0") != want.programmed || kept != want.kept {
					t.Errorf("programmed %v, kept %v: %+v", st.Programmed("br0"), kept, st.Bridges["br0"])
				}
				if group := len(s.Tables().Groups) == 1; group != want.kept {
					t.Errorf("the foreign group is there: %v", group)
				}
				if err := st.Bridges["br0"].Err; mode == "refuse" && (err == nil || !strings.Contains(err.Error(), "cookie=0x2a")) {
					t.Errorf("%v", err)
				}
				if slices.ContainsFunc(s.flows(), normal.Equal) == want.programmed {
					t.Error("the flow in the place of one of ours was kept")
				}
			})
		})
	}
}

func TestACommitThatIsCutOffIsLookedAtAfterTheReconnect(t *testing.T) {
	for name, carriedOut := range map[string]bool{"carried out": true, "not carried out": false} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				s := r.newSwitch()
				s.React(func(q oftest.Request) oftest.Reaction {
					m, ok := q.Message.(ofproto.BundleControl)
					switch {
					case !ok || m.Type != ofproto.BundleCommit:
						return oftest.Reaction{}
					case carriedOut:
						return oftest.CutInside()
					}
					return oftest.Cut()
				})
				r.connect("br0", s)
				if st := r.settled(model(t, br0, "refuse", "a")); st.Programmed("br0") || s.Sessions() != 0 {
					t.Fatalf("%d sessions, %+v", s.Sessions(), st.Bridges)
				}
				s.React(nil)
				r.connect("br0", s)
				time.Sleep(time.Second) // virtual
				synctest.Wait()
				plans := 2
				if carriedOut {
					plans = 1
				}
				if !r.Status().Programmed("br0") || s.plans() != plans || len(s.flows()) != 3 {
					t.Errorf("%d plans, %+v", s.plans(), r.Status().Bridges)
				}
			})
		})
	}
}

func TestASwitchThatHasLostItsFlowsIsFilledAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		s.Cut()
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: ofproto.AllTables}}))
		synctest.Wait()
		r.connect("br0", s)
		time.Sleep(time.Second) // virtual
		if synctest.Wait(); !r.Status().Programmed("br0") || len(s.flows()) != 3 {
			t.Errorf("%v, %+v", s.flows(), r.Status().Bridges)
		}
	})
}

func TestAPacketIsAnswered(t *testing.T) {
	virtual(t, func(r *rig) {
		r.Controller.config.Answer = func(in pipeline.Input, p ofproto.PacketIn) []ofproto.PacketOut {
			return []ofproto.PacketOut{{InPort: ofproto.PortController, Actions: []ofproto.Action{ofproto.Output{Port: 3}}, Data: p.Data}}
		}
		s := r.newSwitch()
		r.connect("br0", s)
		in := ofproto.PacketIn2{PacketIn: ofproto.PacketIn{Reason: ofproto.ReasonAction, Data: make([]byte, 60)}}
		s.PacketIn(0, in) // of a bridge of which nothing is wanted yet
		r.settled(model(t, br0, "refuse", "a"))
		s.PacketIn(0, in)
		synctest.Wait()
		if out := oftest.Received[ofproto.PacketOut](s.Switch); len(out) != 1 || len(out[0].Data) != 60 {
			t.Errorf("%+v", out)
		}
	})
}

func TestAPlanChangesNothing(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		plans, zones := s.plans(), maps.Clone(r.numbering.zones)
		p, err := r.Plan(r.ctx, model(t, br0, "refuse", "a deny", "b"))
		r.must(err)
		if b := p["br0"]; b.Err != nil || b.Added == 0 || b.Deleted == 0 || !slices.Equal(b.Narrowed, []intent.ID{"a"}) {
			t.Errorf("%+v", b)
		}
		if s.plans() != plans || !maps.Equal(zones, r.numbering.zones) {
			t.Errorf("%d plans were carried out, zones %v", s.plans()-plans, r.numbering.zones)
		}
	})
}

func TestAPlanForABridgeThatGoesMeanwhileIsAnswered(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		r.numbering.preview = func() { // Run is about to ask the bridge, and the bridge ends
			s.Cut()
			time.Sleep(time.Second) // virtual: until Serve can do no more without Run
		}
		ctx, cancel := context.WithTimeout(r.ctx, time.Hour)
		defer cancel()
		p, err := r.Plan(ctx, model(t, br0, "refuse", "a", "b"))
		if err != nil || p["br0"].Err == nil {
			t.Errorf("%+v, %v; want a plan that says the bridge has gone", p["br0"], err)
		}
	})
}

func TestAnAuditMendsWhatSomebodyElseHasChanged(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "remove", "a"))
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 24}}))
		r.must(s.Do(ofproto.FlowMod{Flow: ofproto.Flow{Table: 9, Cookie: 42}}))
		time.Sleep(31 * time.Second) // virtual
		synctest.Wait()
		if b := r.Status().Drift["br0"]; b.Repairs != 1 || len(s.flows()) != 3 {
			t.Errorf("%+v, %v", b, s.flows())
		}
	})
}

func TestAModelWithoutNumbersIsTriedAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		r.numbering.failing = 2 // Run is idle
		if st := r.settled(model(t, br0, "refuse", "a", "b")); st.Err == nil || st.Revision != 1 || len(s.flows()) != 3 {
			t.Fatalf("%v, revision %d", st.Err, st.Revision)
		}
		time.Sleep(3 * time.Second) // virtual
		synctest.Wait()
		if st := r.Status(); st.Err != nil || st.Revision != 2 || !st.Programmed("br0") {
			t.Errorf("%v, revision %d", st.Err, st.Revision)
		}
	})
}

// TestABridgeOfWhichNothingIsKnownIsLeftAlone connects one of which the model says nothing, and waits for audits of it.
func TestABridgeOfWhichNothingIsKnownIsLeftAlone(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br1", s)
		r.settled(model(t, br0, "refuse", "a"))
		if r.pass(2 * time.Minute); len(s.Requests()) == 0 {
			t.Error("nobody has looked at it")
		}
	})
}
