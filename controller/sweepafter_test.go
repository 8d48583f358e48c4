package controller

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A ledger is how often zones have been read.
type ledger struct {
	mu    sync.Mutex
	reads map[uint16]int
}

func (l *ledger) note(zone uint16) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads[zone]++
	return l.reads[zone]
}

func (l *ledger) of(zone uint16) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads[zone]
}

// leaving gives a rig a connection of tenant a, on which it rules as it is told: Answers, to begin
// with, which a sweep leaves. A tenant that allows disruption has a flow more, which narrows nothing.
func (r *rig) leaving() (ruling *atomic.Uint32, read *ledger) {
	ruling, read = new(atomic.Uint32), &ledger{reads: map[uint16]int{}}
	ruling.Store(uint32(pipeline.Answers))
	r.config.Judge = func(*pipeline.Program, pipeline.Input, *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
		return func(pipeline.Connection) pipeline.Ruling { return pipeline.Ruling(ruling.Load()) }
	}
	r.config.Connections = func(_ context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
		read.note(zone)
		return []pipeline.Connection{tracked(6, 2, 1, 0)}[:map[uint16]int{103: 1}[zone]], nil
	}
	r.compiling(func(in pipeline.Input, t *intent.Tenant) ofproto.Flow {
		zone := ofproto.Is(ofproto.Reg5, uint64(in.Numbers.Zone(t.ID())))
		return ofproto.Flow{Table: 56, Cookie: pipeline.Cookie(tags[t.ID()]), Match: ofproto.MatchOn(zone, ofproto.Is(ofproto.Reg1, 1))}
	})
	return ruling, read
}

// compiling adds a flow for each tenant that allows disruption.
func (r *rig) compiling(more func(pipeline.Input, *intent.Tenant) ofproto.Flow) {
	r.config.Compile = func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
		p, err := compile(c, in)
		for _, t := range in.Model.Tenants() {
			if t.AllowDisruption {
				p.Units[0].Flows = append(p.Units[0].Flows, more(in, t))
			}
		}
		return p, err
	}
}

const (
	deniesAll = "a defaults: {egress: deny}"
	andMore   = " allowDisruption: true"
)

func TestWhatASweepHasLeftIsLookedAtAgainWhenItsTenantChanges(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"a flow comes": {deniesAll, deniesAll + "," + andMore},
		"a flow goes":  {deniesAll + "," + andMore, deniesAll},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				ruling, read := r.leaving()
				s := r.newSwitch()
				r.connect("br0", s)
				r.settled(edited(t, br0, "a", "b"))
				epoch := r.settled(edited(t, br0, c.before, "b")).Tenants[0].Epoch
				ruling.Store(uint32(pipeline.Denied))
				others := read.of(104)
				if r.settled(edited(t, br0, c.before, "b"+andMore)); len(s.ended()) > 0 {
					t.Errorf("ended %v for another tenant's change", s.ended())
				}
				if n := read.of(104) - others; n != 0 {
					t.Errorf("the zone of a tenant of which nothing was left was read %d times", n)
				}
				st := r.settled(edited(t, br0, c.after, "b"+andMore))
				if got := slices.Compact(s.ended()); !slices.Equal(got, []uint16{2}) || st.Tenants[0].Epoch != epoch {
					t.Errorf("ended %v, epoch %d; want what was left, in epoch %d", got, st.Tenants[0].Epoch, epoch)
				}
			})
		})
	}
}

// TestWhatWasUnderWayWhenItWasEndedGoesOnOnceItIsAllowed has a packet be judged while its connection is removed: it is
// stopped, and brings the entry back, which nobody would look at again.
func TestWhatWasUnderWayWhenItWasEndedGoesOnOnceItIsAllowed(t *testing.T) {
	virtual(t, func(r *rig) {
		r.leaving()
		var all atomic.Pointer[[]pipeline.Connection]
		all.Store(&[]pipeline.Connection{tracked(6, 2, 1, 0)})
		r.config.Connections = func(_ context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
			if zone != 103 {
				return nil, nil
			}
			return *all.Load(), nil
		}
		ruling := pipeline.Denied
		r.config.Judge = func(*pipeline.Program, pipeline.Input, *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
			now := ruling
			return func(pipeline.Connection) pipeline.Ruling { return now }
		}
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a", "b"))
		epoch := r.settled(edited(t, br0, deniesAll, "b")).Tenants[0].Epoch
		time.Sleep(time.Hour) // virtual: by then nobody looks for what comes back
		synctest.Wait()
		before := s.ended()
		if !slices.Equal(slices.Compact(slices.Clone(before)), []uint16{2}) {
			t.Fatalf("ended %v, want what is denied", before)
		}
		all.Store(&[]pipeline.Connection{tracked(6, 2, epoch, blocked)})
		ruling = pipeline.Admitted
		r.settled(edited(t, br0, deniesAll+","+andMore, "b"))
		if got := s.ended()[len(before):]; !slices.Equal(got, []uint16{2}) {
			t.Errorf("ended %v after that; want the entry removed that would be stopped for ever", got)
		}
		all.Store(&[]pipeline.Connection{})
	})
}

// TestWhatComesBackWhileItIsEndedIsEndedOnceMore has the tracker know a connection again, twice, after it was removed, without
// another change.
func TestWhatComesBackWhileItIsEndedIsEndedOnceMore(t *testing.T) {
	virtual(t, func(r *rig) {
		_, read := r.leaving()
		s := r.newSwitch()
		r.config.Connections = func(_ context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
			read.note(zone)
			switch n := len(s.ended()); {
			case zone != 103, n == 3:
				return nil, nil
			case n > 0:
				return []pipeline.Connection{tracked(6, 2, 2, blocked)}, nil
			}
			return []pipeline.Connection{tracked(6, 2, 1, 0)}, nil
		}
		r.config.Judge = rulings(map[uint16]pipeline.Ruling{2: pipeline.Denied})
		r.connect("br0", s)
		r.settled(edited(t, br0, "a", "b"))
		r.settled(edited(t, br0, deniesAll, "b"))
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		before := read.of(103)
		time.Sleep(time.Hour) // virtual
		synctest.Wait()
		if n := read.of(103) - before; !slices.Equal(s.ended(), []uint16{2, 2, 2}) || n > 0 {
			t.Errorf("ended %v, and read its zone %d times after that; want it ended 3 times, and the zone read no more", s.ended(), n)
		}
	})
}

func TestChangesThatComeWhileAZoneIsReadAreOneSweep(t *testing.T) {
	virtual(t, func(r *rig) {
		_, read := r.leaving()
		goOn := make(chan struct{})
		connections := r.config.Connections
		r.config.Connections = func(ctx context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
			all, err := connections(ctx, "", zone)
			if zone == 103 && read.of(zone) == 1 {
				<-goOn
			}
			return all, err
		}
		r.connect("br0", r.newSwitch())
		r.settled(edited(t, br0, "a"+andMore))
		for range 3 {
			r.settled(edited(t, br0, deniesAll+","+andMore))
			r.settled(edited(t, br0, "a"+andMore))
		}
		before := read.of(103)
		close(goOn)
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		if n := read.of(103) - before; before != 1 || n != 1 {
			t.Errorf("the zone was read %d times before, and %d after; want once each", before, n)
		}
	})
}

func TestWhatAPolicyHasSaidLastDecidesWhenItGoes(t *testing.T) {
	for last, ends := range map[string]bool{"keep": false, "enforce": true} {
		t.Run(last, func(t *testing.T) {
			virtual(t, func(r *rig) {
				c := tracked(6, 2, 1, pipeline.MarkKeep)
				c.RuleOut, c.RuleIn = tags["a/policy/p/r"], tags["a/policy/p/r"]
				r.sweeping(map[uint16]pipeline.Ruling{2: pipeline.Denied}, c)
				s := r.newSwitch()
				r.connect("br0", s)
				with, err := intent.Read(intent.Source{Name: "test", Data: []byte("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: a}\n" +
					"---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: a}\nspec: {onRevoke: " + last + ", rules: [{name: r, direction: ingress, action: allow}]}\n")})
				r.must(err)
				r.settled(with)
				before := len(s.ended()) // when all of it was new
				r.settled(edited(t, br0, deniesAll+","+andMore))
				if n := len(s.ended()) - before; (n > 0) != ends {
					t.Errorf("%d were ended, as the policy goes that has said %s", n, last)
				}
			})
		})
	}
}

func TestTheOtherHalvesOfATenantsConnectionsGoWithItsAlias(t *testing.T) {
	virtual(t, func(r *rig) {
		const common = 200
		alias := netip.MustParseAddr("240.0.0.7")
		r.compiling(func(pipeline.Input, *intent.Tenant) ofproto.Flow {
			return ofproto.Flow{Table: pipeline.Out, Cookie: pipeline.Cookie(1), Match: ofproto.MatchOn(ofproto.IsIPv4, ofproto.IsAddr(ofproto.IPv4Src, alias)),
				Actions: pipeline.Common{Zone: common}.Translate(ofproto.NAT{Src: true, AddrMin: netip.MustParseAddr("203.0.113.10")})}
		})
		r.config.Judge = rulings(nil)
		r.config.Connections = func(_ context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
			if zone != common {
				return nil, nil
			}
			its, another := tracked(6, 2, 0, 0), tracked(6, 3, 0, 0)
			its.Orig.Src = alias
			return []pipeline.Connection{its, another}, nil
		}
		s := r.newSwitch()
		r.connect("br0", s)
		if r.settled(edited(t, br0, "a"+andMore)); len(s.ended()) > 0 {
			t.Errorf("ended %v, and nothing has gone", s.ended())
		}
		r.settled(edited(t, br0, "a"))
		if got := s.ended(); !slices.Equal(got, []uint16{2}) {
			t.Errorf("ended %v; want what was the alias's", got)
		}
	})
}
