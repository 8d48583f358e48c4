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
)

// A memSwitch is a small switch: it keeps tables, and applies plans wholly or not at all.
type memSwitch struct {
	mu      sync.Mutex // tests look while a Serve writes
	tables  ofproto.Tables
	plans   int
	sent    uint64
	flushed []uint16
	refuse  func(ofproto.Flow) bool // what it does not take
	lose    int                     // how many more plans are carried out without an answer
	packets chan ofproto.PacketIn
}

func newSwitch() *memSwitch { return &memSwitch{packets: make(chan ofproto.PacketIn)} }

func (s *memSwitch) Tables(context.Context) (ofproto.Tables, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ofproto.Tables{Flows: slices.Clone(s.tables.Flows), Groups: slices.Clone(s.tables.Groups)}, nil
}

func (s *memSwitch) Apply(_ context.Context, p ofproto.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans++
	s.sent += uint64(len(p.PutFlows) + len(p.DeleteFlows))
	next := map[ofproto.FlowKey]ofproto.Flow{}
	for _, f := range s.tables.Flows {
		next[f.Key()] = f
	}
	for i, f := range p.PutFlows {
		if s.refuse != nil && s.refuse(f) {
			return &ofproto.Rejected{Flow: &p.PutFlows[i], Err: &ofproto.Error{Type: 5, Code: 1}}
		}
		next[f.Key()] = f
	}
	for _, f := range p.DeleteFlows {
		delete(next, f.Key())
	}
	s.tables.Flows = slices.Collect(maps.Values(next))
	if s.lose > 0 {
		s.lose--
		return errors.New("outcome unknown")
	}
	return nil
}

func (s *memSwitch) FlushZone(_ context.Context, zone uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = append(s.flushed, zone)
	return nil
}

func (s *memSwitch) PacketIns() <-chan ofproto.PacketIn { return s.packets }

func (s *memSwitch) PacketOut(context.Context, ofproto.PacketOut) error { return nil }

func (s *memSwitch) FlowMods() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func (s *memSwitch) look(f func(*memSwitch)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
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

var tags = map[intent.ID]uint32{"bridge/br0": 1, "bridge/br1": 2, "a": 3, "b": 4}

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
func compile(in pipeline.Input) (*pipeline.Program, error) {
	p := &pipeline.Program{Flows: []ofproto.Flow{{Cookie: pipeline.Cookie(tags[intent.ID("bridge/"+in.Bridge)])}}}
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
			ofproto.Flow{Table: 24, Priority: uint16(in.Numbers.Epoch(t.ID())), Cookie: pipeline.Cookie(tags[t.ID()]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, zone))},
			ofproto.Flow{Table: 56, Priority: policy, Cookie: pipeline.Cookie(tags[t.ID()]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, zone))})
	}
	return p, nil
}

// narrowed names tenant a if its policy goes from 1 to 2 and its epoch has not been raised.
func narrowed(want *pipeline.Program, have ofproto.Tables, n pipeline.Numbers, _ *intent.Model) []intent.ID {
	tag := func(f ofproto.Flow) uint32 { t, _ := pipeline.TagOf(f.Cookie); return t }
	find := func(flows []ofproto.Flow, table ofproto.Table) uint16 {
		for _, f := range flows {
			if f.Table == table && tag(f) == tags["a"] {
				return f.Priority
			}
		}
		return 0
	}
	if find(have.Flows, 56) == 1 && find(want.Flows, 56) == 2 && find(have.Flows, 24) == uint16(n.Epoch("a")) {
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
		r.tasks.Wait()
	})
}

// connect serves a switch, and returns how to cut its session.
func (r *rig) connect(name string, s *memSwitch) (cut func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	r.tasks.Go(func() { r.Serve(ctx, name, s); close(done) })
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
		s := newSwitch()
		r.connect("br0", s)
		for range 4 {
			r.must(r.SetModel(r.ctx, model(t, br0, "refuse", "a")))
		}
		st := r.settled(model(t, br0, "refuse", "a", "b"))
		if s.plans != 1 || !st.Programmed("br0") || st.Bridges["br0"].Flows != 5 {
			t.Errorf("%d plans, %+v", s.plans, st.Bridges)
		}
	})
}

func TestAReconnectToASwitchThatKeptItsFlowsSendsNothing(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		cut := r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		cut()
		before := s.plans
		r.connect("br0", s)
		time.Sleep(time.Minute) // virtual, with audits in it
		synctest.Wait()
		if s.plans != before || !r.Status().Programmed("br0") {
			t.Errorf("%d plans after the reconnect", s.plans-before)
		}
	})
}

func TestNothingIsSentToABridgeOfWhichNothingIsKnown(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		r.tasks.Go(func() { r.Serve(r.ctx, "br0", s) })
		if r.settled(model(t, br0, "refuse", "a")); s.plans != 0 {
			t.Errorf("%d plans", s.plans)
		}
	})
}

func TestARefusedIntentStopsNobodyElse(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		s.refuse = func(f ofproto.Flow) bool { return f.Cookie == pipeline.Cookie(tags["a"]) }
		r.connect("br0", s)
		st := r.settled(model(t, br0, "refuse", "a", "b"))
		if b := st.Bridges["br0"]; len(b.Refused) != 1 || b.Refused["a"] == nil || b.Flows != 3 || b.Err != nil {
			t.Fatalf("%+v", b)
		}
		s.look(func(s *memSwitch) { s.refuse = nil })
		if st = r.settled(model(t, br0, "refuse", "a", "b")); !st.Programmed("br0") {
			t.Errorf("it was not tried again: %+v", st.Bridges["br0"])
		}
	})
}

func TestARefusedSkeletonIsTriedAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		s.refuse = func(f ofproto.Flow) bool { return f.Cookie == pipeline.Cookie(1) }
		r.connect("br0", s)
		if st := r.settled(model(t, br0, "refuse")); st.Bridges["br0"].Err == nil || st.Programmed("br0") {
			t.Fatalf("%+v", st.Bridges["br0"])
		}
		s.look(func(s *memSwitch) { s.refuse = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if !r.Status().Programmed("br0") {
			t.Errorf("%+v", r.Status().Bridges["br0"])
		}
	})
}

func TestAnUnknownOutcomeIsLookedAt(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		s.lose = 1
		r.connect("br0", s)
		st := r.settled(model(t, br0, "refuse", "a"))
		if s.plans != 1 || !st.Programmed("br0") {
			t.Errorf("%d plans, %+v", s.plans, st.Bridges["br0"])
		}
	})
}

func TestTheEpochIsRaisedBeforeAnythingIsSentOnEveryBridge(t *testing.T) {
	virtual(t, func(r *rig) {
		both := []string{"br0", "br1"}
		switches := []*memSwitch{newSwitch(), newSwitch()}
		for i, name := range both {
			r.connect(name, switches[i])
		}
		r.settled(model(t, both, "refuse", "a deny"))
		if e := r.settled(model(t, both, "refuse", "a")).Tenants[0].Epoch; e != 1 {
			t.Fatalf("the epoch is %d after an edit that only widens", e)
		}
		plans := switches[0].plans
		st := r.settled(model(t, both, "refuse", "a deny"))
		if st.Tenants[0].Epoch != 2 || switches[0].plans != plans+1 {
			t.Errorf("epoch %d, %d plans", st.Tenants[0].Epoch, switches[0].plans-plans)
		}
		for i, s := range switches {
			if !slices.ContainsFunc(s.tables.Flows, func(f ofproto.Flow) bool { return f.Table == 24 && f.Priority == 2 }) {
				t.Errorf("bridge %d has not the new epoch: %v", i, s.tables.Flows)
			}
		}
	})
}

func TestARetiredZoneIsFlushedOnceWhenNobodyUsesIt(t *testing.T) {
	virtual(t, func(r *rig) {
		both := []string{"br0", "br1"}
		switches := []*memSwitch{newSwitch(), newSwitch()}
		r.connect("br0", switches[0])
		cut := r.connect("br1", switches[1])
		r.settled(model(t, both, "refuse", "a", "b"))
		cut()
		r.settled(model(t, both, "refuse", "b"))
		if len(switches[0].flushed) > 0 {
			t.Fatal("the zone was flushed while a bridge may still use it")
		}
		r.connect("br1", switches[1])
		time.Sleep(time.Second)
		synctest.Wait()
		all := slices.Concat(switches[0].flushed, switches[1].flushed)
		if !slices.Equal(all, []uint16{103}) || len(r.numbering.retired) > 0 {
			t.Errorf("flushed %v, still retired %v", all, r.numbering.retired)
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
				s := newSwitch()
				s.tables.Flows = []ofproto.Flow{normal, foreign} // normal stands where the bridge's own flow goes
				r.connect("br0", s)
				st := r.settled(model(t, br0, mode, "a"))
				kept := slices.ContainsFunc(s.tables.Flows, foreign.Equal)
				if st.Programmed("br0") != want.programmed || kept != want.kept {
					t.Errorf("programmed %v, kept %v: %+v", st.Programmed("br0"), kept, st.Bridges["br0"])
				}
				if err := st.Bridges["br0"].Err; mode == "refuse" && (err == nil || !strings.Contains(err.Error(), "cookie=0x2a")) {
					t.Errorf("%v", err)
				}
				if slices.ContainsFunc(s.tables.Flows, normal.Equal) == want.programmed {
					t.Error("the flow in the place of one of ours was kept")
				}
			})
		})
	}
}

func TestAPlanChangesNothing(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		plans, zones := s.plans, maps.Clone(r.numbering.zones)
		p, err := r.Plan(r.ctx, model(t, br0, "refuse", "a deny", "b"))
		r.must(err)
		if b := p["br0"]; b.Err != nil || b.Added == 0 || b.Deleted == 0 || !slices.Equal(b.Narrowed, []intent.ID{"a"}) {
			t.Errorf("%+v", b)
		}
		if s.plans != plans || !maps.Equal(zones, r.numbering.zones) {
			t.Errorf("%d plans were carried out, zones %v", s.plans-plans, r.numbering.zones)
		}
	})
}

func TestAPlanForABridgeThatGoesMeanwhileIsAnswered(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		r.numbering.preview = func() { // Run is about to ask the bridge, and the bridge ends
			close(s.packets)
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
		s := newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "remove", "a"))
		s.look(func(s *memSwitch) { s.tables.Flows = append(s.tables.Flows[:1], ofproto.Flow{Table: 9, Cookie: 42}) })
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if b := r.Status().Bridges["br0"]; b.Repaired != 1 || len(s.tables.Flows) != 3 {
			t.Errorf("%+v, %v", b, s.tables.Flows)
		}
	})
}

func TestAModelWithoutNumbersIsTriedAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		s := newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		r.numbering.failing = 2 // Run is idle
		if st := r.settled(model(t, br0, "refuse", "a", "b")); st.Err == nil || st.Revision != 1 || len(s.tables.Flows) != 3 {
			t.Fatalf("%v, revision %d", st.Err, st.Revision)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if st := r.Status(); st.Err != nil || st.Revision != 2 || !st.Programmed("br0") {
			t.Errorf("%v, revision %d", st.Err, st.Revision)
		}
	})
}
