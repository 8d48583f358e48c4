package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/ofproto/oftest"
)

// tracked is a connection of tenant a, told by its port.
func tracked(protocol uint8, port uint16, epoch uint8, mark uint32) pipeline.Connection {
	o := pipeline.CTTuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 1000, DstPort: port}
	back := pipeline.CTTuple{Src: o.Dst, Dst: o.Src, SrcPort: port, DstPort: 1000}
	return pipeline.Connection{Protocol: protocol, Orig: o, Reply: back, Zone: 103, Mark: uint32(epoch) | pipeline.MarkCommitted | mark, RuleIn: tags["b"]}
}

// A court of the tests rules by port, and counts how often it is asked.
func rulings(by map[uint16]pipeline.Ruling) func(*pipeline.Program, pipeline.Input, *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
	return func(*pipeline.Program, pipeline.Input, *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
		return func(c pipeline.Connection) pipeline.Ruling { return by[c.Orig.DstPort] }
	}
}

// sweeping gives a rig what it takes to sweep a zone that always has the same connections.
func (r *rig) sweeping(by map[uint16]pipeline.Ruling, all ...pipeline.Connection) {
	r.config.Judge = rulings(by)
	r.config.Connections = func(_ context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
		if zone != 103 {
			return nil, nil
		}
		return all, nil
	}
}

// ended returns the ports of the connections that a switch was told to forget.
func (s sw) ended() (ports []uint16) {
	for _, m := range oftest.Received[ofproto.CTFlush](s.Switch) {
		ports = append(ports, m.Original.DstPort)
	}
	return ports
}

func TestASweepEndsWhatPolicyNoLongerAdmitsAndNothingElse(t *testing.T) {
	virtual(t, func(r *rig) {
		const admitted, denied, answers, unclear = 1, 2, 3, 4
		all := []pipeline.Connection{tracked(58, denied, 1, 0)}
		for _, port := range []uint16{admitted, denied, answers, unclear} {
			all = append(all, tracked(6, port, 1, 0))          // as it was
			all = append(all, tracked(6, 10+port, 2, 0))       // newer
			all = append(all, tracked(6, 20+port, 2, blocked)) // stopped by the flows already
			all = append(all, tracked(6, 30+port, 1, blocked)) // stopped before
		}
		const unmapped, kept = 5, pipeline.MarkKeep
		all = append(all, tracked(6, unmapped, 1, kept), tracked(6, 10+unmapped, 2, kept), tracked(6, 20+unmapped, 2, 0))
		by := map[uint16]pipeline.Ruling{unmapped: pipeline.Unmapped, 10 + unmapped: pipeline.Unmapped}
		for tens := range uint16(4) {
			by[10*tens+admitted], by[10*tens+denied], by[10*tens+answers] = pipeline.Admitted, pipeline.Denied, pipeline.Answers
		}
		r.sweeping(by, all...)
		r.config.Forgettable = butFor(func(f ofproto.CTFlush) bool { return f.Proto == pipeline.ProtoICMPv6 })
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		before := len(s.ended())
		st := r.settled(model(t, br0, "refuse", "a deny"))
		if got, want := slices.Sorted(slices.Values(s.ended()[before:])), []uint16{denied, unmapped, 10 + unmapped, 20 + admitted, 20 + denied, 30 + denied}; !slices.Equal(got, want) {
			t.Errorf("ended %v, want %v: those that are denied, and the one that is admitted again", got, want)
		}
		if e := st.Ended["a"]; len(e.Recent) == 0 || e.Recent[len(e.Recent)-1].N != 5 || e.Recent[len(e.Recent)-1].Ingress != "b" {
			t.Errorf("told %+v; want 5 that b had let in", e)
		}
	})
}

const blocked = pipeline.MarkBlocked

// butFor is a Config.Forgettable of a bridge that can forget all but some entries.
func butFor(some func(ofproto.CTFlush) bool) func(context.Context, string) func([]ofproto.CTFlush) error {
	return func(context.Context, string) func([]ofproto.CTFlush) error {
		return func(entries []ofproto.CTFlush) error {
			if slices.ContainsFunc(entries, some) {
				return errors.New("others would go with it")
			}
			return nil
		}
	}
}

func TestASweepComesAfterTheReply(t *testing.T) {
	virtual(t, func(r *rig) {
		r.sweeping(map[uint16]pipeline.Ruling{2: pipeline.Denied}, tracked(6, 2, 1, 0))
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		before := len(s.ended())
		s.React(func(q oftest.Request) oftest.Reaction {
			if m, ok := q.Message.(ofproto.BundleControl); ok && m.Type == ofproto.BundleCommit {
				return oftest.Mute() // carried out, and not said
			}
			return oftest.Reaction{}
		})
		r.must(r.SetModel(r.ctx, model(t, br0, "refuse", "a deny")))
		time.Sleep(50 * time.Millisecond) // virtual: the answer is overdue after 100 ms
		synctest.Wait()
		if n := len(s.ended()) - before; n != 0 {
			t.Errorf("%d connections were ended before the switch had said that the flows are there", n)
		}
	})
}

func TestAConnectionThatIsAllowedAgainMeanwhileIsNotEnded(t *testing.T) {
	virtual(t, func(r *rig) {
		var read atomic.Int32
		goOn := make(chan struct{})
		denied := map[*intent.Model]bool{}
		wide, narrow := model(t, br0, "refuse", "a"), model(t, br0, "refuse", "a deny")
		denied[narrow] = true
		r.config.Judge = func(_ *pipeline.Program, in pipeline.Input, _ *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
			return func(pipeline.Connection) pipeline.Ruling {
				if denied[in.Model] {
					return pipeline.Denied
				}
				return pipeline.Admitted
			}
		}
		r.config.Connections = func(context.Context, string, uint16) ([]pipeline.Connection, error) {
			if read.Add(1) == 2 {
				<-goOn
			}
			return []pipeline.Connection{tracked(6, 2, 1, 0)}, nil
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(wide)
		r.settled(narrow) // the zone is being read
		r.settled(wide)
		close(goOn)
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		if got := s.ended(); len(got) > 0 {
			t.Errorf("ended %v", got)
		}
	})
}

func TestWhatCannotBeFlushedIsJudgedAgainByTheFlows(t *testing.T) {
	virtual(t, func(r *rig) {
		var epoch atomic.Uint32
		epoch.Store(2)
		r.config.Judge = rulings(map[uint16]pipeline.Ruling{2: pipeline.Admitted})
		r.config.Forgettable = butFor(func(ofproto.CTFlush) bool { return true })
		r.config.Connections = func(context.Context, string, uint16) ([]pipeline.Connection, error) {
			return []pipeline.Connection{tracked(58, 2, uint8(epoch.Load()), blocked)}, nil
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		if e := r.settled(model(t, br0, "refuse", "a deny")).Tenants[0].Epoch; e != 3 || len(s.ended()) > 0 {
			t.Errorf("the epoch is %d, and %v were ended; want it raised once more, and none", e, s.ended())
		}
	})
}

func TestASwitchThatFlushesNothingIsAskedOnce(t *testing.T) {
	virtual(t, func(r *rig) {
		all := make([]pipeline.Connection, 3*sweepBatch)
		for i := range all {
			all[i] = tracked(6, 2, 0, 0)
		}
		r.sweeping(map[uint16]pipeline.Ruling{2: pipeline.Denied}, all...)
		s := r.newSwitch()
		s.React(func(q oftest.Request) oftest.Reaction {
			if _, ok := q.Message.(ofproto.CTFlush); ok {
				return oftest.Refuse(ofproto.OFPBRC_EPERM)
			}
			return oftest.Reaction{}
		})
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		st := r.settled(model(t, br0, "refuse", "a deny"))
		if n := len(s.ended()); n != sweepBatch || st.Ended["a"].N != 0 || !st.Programmed("br0") {
			t.Errorf("asked %d times, ended %+v", n, st.Ended)
		}
	})
}

func TestAZoneThatCannotBeReadStopsNothing(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Judge = rulings(nil)
		r.config.Connections = func(context.Context, string, uint16) ([]pipeline.Connection, error) {
			return nil, errors.New("no such socket")
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		if st := r.settled(model(t, br0, "refuse", "a deny")); !st.Programmed("br0") {
			t.Errorf("%+v", st.Bridges)
		}
	})
}

func TestALogOfEndedConnectionsIsBounded(t *testing.T) {
	var l EndedLog
	for range 10 {
		many := make([]Ended, 100)
		for i := range many {
			many[i] = Ended{N: 2, Example: fmt.Sprint(i)}
		}
		l = l.add(many)
	}
	if l.N != 2000 || len(l.Recent) != recentEnded {
		t.Errorf("%d, of which %d are remembered", l.N, len(l.Recent))
	}
}

func TestWhatLivesOn(t *testing.T) {
	const p = "apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n"
	policy := func(name, onRevoke string) string {
		if onRevoke == "" {
			return ""
		}
		return fmt.Sprintf("---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: %s, tenant: t}\nspec: {onRevoke: %s, rules: []}\n", name, onRevoke)
	}
	read := func(text string) *intent.Model {
		m, err := intent.Read(intent.Source{Name: "test", Data: []byte(p + text)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	n := origins{1: "t/default/egress", 2: "t/policy/a/r", 3: "t/policy/b/r"}
	for name, c := range map[string]struct {
		before, now string
		out, in     uint32
		want        bool
	}{
		"its policy says so":                                      {policy("a", "keep"), policy("a", "keep"), 1, 2, true},
		"its policy is gone, and said so":                         {policy("a", "keep"), "", 1, 2, true},
		"its policy has been gone for longer":                     {"", "", 1, 2, true},
		"its policy says otherwise now":                           {policy("a", "keep"), policy("a", "enforce"), 1, 2, false},
		"its policy is gone, and said otherwise last":             {policy("a", "enforce"), "", 1, 2, false},
		"its policy is there again, and says so":                  {policy("a", "enforce"), policy("a", "keep"), 1, 2, true},
		"both policies say so":                                    {"", policy("a", "keep") + policy("b", "keep"), 3, 2, true},
		"only the one that has let it in":                         {"", policy("a", "keep") + policy("b", "enforce"), 3, 2, false},
		"only the one that has let it out, and the other is gone": {policy("b", "enforce"), policy("a", "keep"), 2, 3, false},
		"somebody else's flow has let it in":                      {"", policy("a", "keep"), 2, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := keepingOf(read(c.now).Tenant("t"), read(c.before), n)
			if got := k.on(pipeline.Connection{RuleOut: c.out, RuleIn: c.in}); got != c.want {
				t.Errorf("it lives on: %v, want %v", got, c.want)
			}
		})
	}
}

func TestWhatLivesOnThatHasOneEndOutside(t *testing.T) {
	m, err := intent.Read(intent.Source{Name: "test", Data: []byte("apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: a, tenant: t}\nspec: {onRevoke: keep, rules: []}\n")})
	if err != nil {
		t.Fatal(err)
	}
	k := keepingOf(m.Tenant("t"), nil, origins{1: "t/policy/a/r"})
	host, out, as := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.20")
	tuple := func(src, dst netip.Addr) pipeline.CTTuple { return pipeline.CTTuple{Src: src, Dst: dst} }
	for name, c := range map[string]struct {
		pipeline.Connection
		want bool
	}{
		"what has left is let in by nobody":               {pipeline.Connection{Orig: tuple(host, out), Reply: tuple(out, as), RuleOut: 1}, true},
		"what has come is let out by nobody":              {pipeline.Connection{Orig: tuple(out, as), Reply: tuple(host, out), RuleIn: 1}, true},
		"what has left untranslated":                      {pipeline.Connection{Orig: tuple(host, out), Reply: tuple(out, host), RuleOut: 1, Object: 9}, true},
		"what has left for a backend outside":             {pipeline.Connection{Orig: tuple(host, as), Reply: tuple(out, host), RuleOut: 1, Mark: pipeline.MarkCommitted | pipeline.MarkBalanced}, true},
		"what is translated, and no rule has admitted":    {pipeline.Connection{Orig: tuple(host, out), Reply: tuple(out, as)}, false},
		"what has come, and somebody else's flow let in":  {pipeline.Connection{Orig: tuple(out, as), Reply: tuple(host, out), RuleOut: 1}, false},
		"what has left, and somebody else's flow let out": {pipeline.Connection{Orig: tuple(host, out), Reply: tuple(out, as), RuleIn: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := k.on(c.Connection); got != c.want {
				t.Errorf("it lives on: %v, want %v", got, c.want)
			}
		})
	}
}

// origins are numbers that only know whose they are.
type origins map[uint32]intent.ID

func (origins) Zone(intent.ID) uint16                 { return 0 }
func (origins) Epoch(intent.ID) uint8                 { return 0 }
func (origins) Tag(intent.ID) uint32                  { return 0 }
func (origins) Group(intent.ID) uint32                { return 0 }
func (o origins) Origin(tag uint32) (intent.ID, bool) { id, ok := o[tag]; return id, ok }

func TestWhatIsToBeToldIsLeftUntilItHasSpokenOrAMinuteHasPassed(t *testing.T) {
	virtual(t, func(r *rig) {
		speaks := tracked(6, 2, 1, pipeline.MarkReset)
		var spoken atomic.Bool
		r.config.Judge = rulings(map[uint16]pipeline.Ruling{2: pipeline.Denied, 3: pipeline.Denied})
		r.config.Connections = func(context.Context, string, uint16) ([]pipeline.Connection, error) {
			c := speaks
			if spoken.Load() {
				c.Mark |= blocked
			}
			return []pipeline.Connection{c, tracked(6, 3, 1, pipeline.MarkReset)}, nil
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(model(t, br0, "refuse", "a"))
		r.settled(model(t, br0, "refuse", "a deny"))
		if got := s.ended(); len(got) > 0 {
			t.Errorf("ended %v before they have spoken", got)
		}
		spoken.Store(true)
		time.Sleep(3 * time.Second) // virtual
		synctest.Wait()
		if got := s.ended(); !slices.Contains(got, 2) || slices.Contains(got, 3) {
			t.Errorf("ended %v; want the one that has spoken", got)
		}
		time.Sleep(time.Minute + 10*time.Second) // virtual
		synctest.Wait()
		if got := s.ended(); !slices.Contains(got, 3) {
			t.Errorf("ended %v; want the one that is silent, too", got)
		}
	})
}
