package controller

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/drain"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/oftest"
)

// A tracker has the connections of tenant a, told by the ports of their clients, until a switch
// is told to forget them.
type tracker struct {
	mu     sync.Mutex
	ports  map[uint16]byte // who has it: 10.0.0.N
	takes  time.Duration   // reading them
	reads  int
	ended  []uint16
	broken bool
}

func (k *tracker) read(_ context.Context, _ string, zone uint16) (all []pipeline.Connection, err error) {
	time.Sleep(k.takes) // virtual
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	if k.broken {
		return nil, errors.New("no such socket")
	}
	client, vip := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.100")
	for port, n := range k.ports {
		at := netip.AddrFrom4([4]byte{10, 0, 0, n})
		all = append(all, pipeline.Connection{
			Protocol: pipeline.ProtoTCP, Zone: zone, Mark: 1 | pipeline.MarkCommitted | pipeline.MarkDNAT, Object: tags["a/loadbalancer/shop"],
			Orig: pipeline.CTTuple{Src: client, Dst: vip, SrcPort: port, DstPort: 80}, Reply: pipeline.CTTuple{Src: at, Dst: client, SrcPort: 8080, DstPort: port},
		})
	}
	return all, nil
}

func (k *tracker) react(q oftest.Request) oftest.Reaction {
	if m, ok := q.Message.(ofproto.CTFlush); ok {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.ended = append(k.ended, m.Original.SrcPort)
		delete(k.ports, m.Original.SrcPort)
	}
	return oftest.Reaction{}
}

func (k *tracker) forgotten() []uint16 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(slices.Values(k.ended))
}

// balanced is a model of tenant a with a load balancer of backends 10.0.0.N with weights, and 60 s
// to drain.
func balanced(t *testing.T, weights map[byte]uint16) *intent.Model {
	t.Helper()
	m := model(t, br0, "refuse", "a")
	a := m.Tenant("a")
	a.Networks = []*intent.Network{{Tenant: "a", Name: "n", Bridges: br0}}
	l := &intent.LoadBalancer{
		Tenant: "a", Name: "shop", Address: netip.MustParseAddr("10.0.0.100"), Drain: 60 * intent.Second, Stale: intent.StaleFlush,
		Ports: []intent.LBPort{{Protocol: intent.TCP, Port: 80, Target: 8080}},
	}
	for n, w := range weights {
		l.Backends = append(l.Backends, intent.Backend{IP: netip.AddrFrom4([4]byte{10, 0, 0, n}), Weight: w})
	}
	a.LoadBalancers = []*intent.LoadBalancer{l}
	return m
}

// draining gives a rig a tracker, and a switch that is told to forget what is in it.
func (r *rig) draining(ports map[uint16]byte) (*tracker, sw) {
	k := &tracker{ports: ports}
	r.config.Connections = k.read
	s := r.newSwitch()
	s.React(k.react)
	return k, s
}

func (r *rig) pass(d time.Duration) *Status {
	time.Sleep(d) // virtual
	synctest.Wait()
	return r.Status()
}

func TestADrainedBackendKeepsItsConnectionsUntilTheDeadline(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{1: 2, 2: 3, 3: 3})
		r.config.Reset = func(pipeline.Input, *intent.Tenant, pipeline.Connection) []ofproto.PacketOut {
			t.Error("somebody is told, with onRemove: flush")
			return nil
		}
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{2: 100, 3: 100}))
		begin := time.Now()
		st := r.settled(balanced(t, map[byte]uint16{2: 100, 3: 0}))
		if got := st.Bridges["br0"].Draining; len(got) != 1 || got[0].State != drain.Draining || got[0].Connections != 2 || got[0].Deadline.Sub(begin).Round(time.Second) != time.Minute {
			t.Errorf("said to drain: %+v", got)
		}
		if st = r.pass(58 * time.Second); len(k.forgotten()) > 0 {
			t.Errorf("%v were ended before the deadline", k.forgotten())
		}
		if st = r.pass(5 * time.Second); !slices.Equal(k.forgotten(), []uint16{2, 3}) || len(st.Bridges["br0"].Draining) > 0 {
			t.Errorf("ended %v, and said to drain: %v", k.forgotten(), st.Bridges["br0"].Draining)
		}
		reads := k.reads
		if r.pass(time.Hour); k.reads != reads {
			t.Errorf("connections were read %d times when nothing was draining", k.reads-reads)
		}
	})
}

func TestAConnectionThatCannotBeForgottenAloneOutlivesTheDeadline(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{0: 3, 2: 3})
		r.config.Forgettable = butFor(func(f ofproto.CTFlush) bool { return f.Original.SrcPort == 0 })
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{2: 100, 3: 100}))
		r.settled(balanced(t, map[byte]uint16{2: 100, 3: 0}))
		st := r.pass(70 * time.Second)
		if got := st.Bridges["br0"].Draining; !slices.Equal(k.forgotten(), []uint16{2}) || len(got) != 1 || got[0].Connections != 1 {
			t.Errorf("ended %v, and said to drain: %v", k.forgotten(), got)
		}
	})
}

// TestReadingsOfAllBridgesTakeTurns has each of two bridges read the connections of a tenant.
func TestReadingsOfAllBridgesTakeTurns(t *testing.T) {
	virtual(t, func(r *rig) {
		r.draining(map[uint16]byte{1: 2})
		var reading, most, turns atomic.Int32
		read := r.config.Connections
		r.config.Connections = func(ctx context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
			most.Store(max(most.Load(), reading.Add(1)))
			defer reading.Add(-1)
			time.Sleep(time.Millisecond) // virtual
			return read(ctx, "", zone)
		}
		turn := make(chan struct{}, 1)
		r.config.Turn = func(context.Context, string) (func(), error) {
			turns.Add(1)
			turn <- struct{}{}
			return func() { <-turn }, nil
		}
		both := model(t, []string{"br0", "br1"}, "refuse", "a")
		*both.Tenant("a") = *balanced(t, map[byte]uint16{2: 100}).Tenant("a")
		both.Tenant("a").Networks[0].Bridges = []string{"br0", "br1"}
		for _, name := range []string{"br0", "br1"} {
			r.connect(name, r.newSwitch())
		}
		r.must(r.SetModel(r.ctx, both))
		if r.pass(time.Minute); most.Load() != 1 || turns.Load() < 2 {
			t.Errorf("%d read at a time, in %d turns", most.Load(), turns.Load())
		}
	})
}

func TestConnectionsOfABackendThatWasRemovedBeforeTheSessionAreFound(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{1: 2, 2: 3})
		r.connect("br0", s)
		if st := r.settled(balanced(t, map[byte]uint16{2: 100})); len(st.Bridges["br0"].Draining) != 1 {
			t.Errorf("said to drain: %v", st.Bridges["br0"].Draining)
		}
		if r.pass(time.Minute); !slices.Equal(k.forgotten(), []uint16{2}) {
			t.Errorf("ended %v", k.forgotten())
		}
	})
}

func TestReadingConnectionsTakesNoMoreThanATwentiethOfTheTime(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{1: 3})
		k.takes = 100 * time.Millisecond
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{3: 0}))
		if r.pass(59 * time.Second); k.reads < 25 || k.reads > 31 {
			t.Errorf("read %d times in a minute, for 100 ms each", k.reads)
		}
	})
}

func TestABackendThatServesAgainKeepsWhatWasToEnd(t *testing.T) {
	virtual(t, func(r *rig) {
		ports := map[uint16]byte{}
		for port := range uint16(4 * sweepBatch) {
			ports[port] = 3
		}
		k, s := r.draining(ports)
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{2: 100, 3: 100}))
		r.settled(balanced(t, map[byte]uint16{2: 100, 3: 0}))
		r.pass(59*time.Second - 2*sweepPause)
		for len(k.forgotten()) == 0 {
			r.pass(time.Millisecond)
		}
		r.settled(balanced(t, map[byte]uint16{2: 100, 3: 100}))
		if n := len(k.forgotten()); n > 2*sweepBatch {
			t.Errorf("%d of %d were ended", n, 4*sweepBatch)
		}
	})
}

func TestASwitchThatForgetsNothingIsNotAskedAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		_, s := r.draining(map[uint16]byte{1: 3, 2: 3})
		asked := 0
		s.React(func(q oftest.Request) oftest.Reaction {
			if _, ok := q.Message.(ofproto.CTFlush); ok {
				asked++
				return oftest.Refuse(ofproto.OFPBRC_EPERM)
			}
			return oftest.Reaction{}
		})
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{3: 0}))
		st := r.pass(3 * time.Minute)
		if got := st.Bridges["br0"].Draining; asked != 2 || !st.Programmed("br0") || len(got) != 1 || got[0].Connections != 2 {
			t.Errorf("asked %d times, said to drain: %+v; want both to be asked for once, and to go on", asked, got)
		}
	})
}

func TestConnectionsThatCannotBeReadAreReadLater(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{1: 3})
		k.broken = true
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{2: 100}))
		k.mu.Lock()
		k.broken = false
		k.mu.Unlock()
		if r.pass(2 * time.Minute); !slices.Equal(k.forgotten(), []uint16{1}) {
			t.Errorf("ended %v", k.forgotten())
		}
	})
}

func TestALoadBalancerThatIsGoneIsItsPolicysToEnd(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{1: 3})
		r.connect("br0", s)
		r.settled(balanced(t, map[byte]uint16{3: 0}))
		if st := r.settled(model(t, br0, "refuse", "a")); len(st.Bridges["br0"].Draining) > 0 {
			t.Errorf("said to drain: %v", st.Bridges["br0"].Draining)
		}
		if r.pass(2 * time.Minute); len(k.forgotten()) > 0 {
			t.Errorf("ended %v", k.forgotten())
		}
	})
}

func TestConnectionsOfABackendThatHasFailedEndAtOnce(t *testing.T) {
	virtual(t, func(r *rig) {
		k, s := r.draining(map[uint16]byte{1: 2, 2: 3})
		var mu sync.Mutex
		told := map[uint16]bool{}
		r.config.Reset = func(_ pipeline.Input, _ *intent.Tenant, c pipeline.Connection) []ofproto.PacketOut {
			mu.Lock()
			defer mu.Unlock()
			told[c.Orig.SrcPort] = true
			return []ofproto.PacketOut{{InPort: ofproto.PortController}}
		}
		r.connect("br0", s)
		m := balanced(t, map[byte]uint16{2: 100, 3: 100})
		m.Tenant("a").LoadBalancers[0].Stale = intent.StaleReset
		r.settled(m)
		failed := map[netip.AddrPort]uint16{netip.MustParseAddrPort("10.0.0.3:0"): 0}
		r.must(r.SetFacts(r.ctx, "br0", pipeline.Facts{Weights: map[intent.ID]map[netip.AddrPort]uint16{"a/loadbalancer/shop": failed}}))
		if r.pass(100 * time.Millisecond); !slices.Equal(k.forgotten(), []uint16{2}) {
			t.Errorf("ended %v", k.forgotten())
		}
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 1 || !told[2] || len(oftest.Received[ofproto.PacketOut](s.Switch)) != 1 {
			t.Errorf("told %v", told)
		}
	})
}

func TestATenantWhoseBackendsHaveChangedIsLookedAtBeforeThoseThatHaveNot(t *testing.T) {
	now := time.Now()
	d := newDrainer()
	d.read, d.cost = now, 100*time.Millisecond
	d.of["a"] = &draining{due: now.Add(-time.Second)}
	d.of["b"] = &draining{due: now, changed: true}
	if d.next() != d.of["b"] {
		t.Error("it waits")
	}
	if after := d.when(d.of["b"]).Sub(now); after != 400*time.Millisecond {
		t.Errorf("it is looked at after %v", after)
	}
	if after := d.when(d.of["a"]).Sub(now); after != 1900*time.Millisecond {
		t.Errorf("the other one is looked at after %v", after)
	}
}
