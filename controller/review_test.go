package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// edited is a model of bridges and tenants, each "NAME FIELDS" of its spec.
func edited(t *testing.T, bridges []string, tenants ...string) *intent.Model {
	t.Helper()
	var b strings.Builder
	for kind, all := range map[string][]string{"Bridge": bridges, "Tenant": tenants} {
		for _, one := range all {
			name, spec, _ := strings.Cut(one, " ")
			fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: %s\nmetadata: {name: %s}\nspec: {%s}\n", kind, name, spec)
		}
	}
	m, err := intent.Read(intent.Source{Name: "test", Data: []byte(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// large is compile with 100 flows more for tenant b.
func large(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
	p, err := compile(c, in)
	for _, u := range p.Units {
		if in.Model.Tenant("b") != nil && u == p.Units[0] {
			for i := range uint64(100) {
				u.Flows = append(u.Flows, ofproto.Flow{Table: 60, Cookie: pipeline.Cookie(tags["b"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 104), ofproto.Is(ofproto.Reg1, i))})
			}
		}
	}
	return p, err
}

func TestAModelThatEmptiesABridgeIsHeld(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = large
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a", "b"))
		had, plans := len(s.flows()), s.plans()
		st := r.settled(edited(t, br0, "a"))
		if len(st.Held) != 1 || !strings.Contains(st.Held[0], fmt.Sprintf("br0 would lose 102 of its %d flows", had)) || st.Revision != 1 || !st.Programmed("br0") || s.plans() != plans {
			t.Fatalf("%q, revision %d, %d plans", st.Held, st.Revision, s.plans()-plans)
		}
		if len(r.numbering.retired) > 0 || len(st.Tenants) != 2 {
			t.Errorf("retired %v, tenants %v", r.numbering.retired, st.Tenants)
		}
		r.must(s.Do(ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{Table: 60}}))
		time.Sleep(time.Minute) // virtual
		if synctest.Wait(); len(s.flows()) != had {
			t.Errorf("%d flows while a model is held: drift is not repaired", len(s.flows()))
		}
		st = r.settled(edited(t, []string{"br0 allowDisruption: true"}, "a"))
		if len(st.Held) > 0 || len(s.flows()) != had-102 || st.Revision != 2 {
			t.Errorf("%q, %d flows, revision %d", st.Held, len(s.flows()), st.Revision)
		}
		time.Sleep(time.Second) // virtual
		if synctest.Wait(); len(r.numbering.retired) > 0 || !slices.Equal(s.flushed(), []uint16{104}) {
			t.Errorf("flushed %v, and retired are %v", s.flushed(), r.numbering.retired)
		}
	})
}

func TestABridgeMayLoseAQuarterOfItsFlows(t *testing.T) {
	for had, held := range map[int]bool{407: true, 408: false} { // and loses 102
		t.Run(fmt.Sprintf("of %d flows", had), func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.config.Compile = func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
					p, err := large(c, in)
					for i := range uint64(had - 105) {
						p.Units[0].Flows = append(p.Units[0].Flows, ofproto.Flow{Table: 56, Cookie: pipeline.Cookie(tags["a"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.Reg5, 103), ofproto.Is(ofproto.Reg1, i))})
					}
					return p, err
				}
				s := r.newSwitch()
				r.connect("br0", s)
				r.settled(edited(t, br0, "a", "b"))
				if got := len(s.flows()); got != had {
					t.Fatalf("%d flows", got)
				}
				if st := r.settled(edited(t, br0, "a")); len(st.Held) > 0 != held {
					t.Errorf("held: %q, want %v", st.Held, held)
				}
			})
		})
	}
}

func TestAHeldModelIsForgottenWhenItIsTakenBack(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = large
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a", "b"))
		plans := s.plans()
		r.settled(edited(t, br0, "a"))
		if st := r.settled(edited(t, br0, "a", "b")); len(st.Held) > 0 || !st.Programmed("br0") || s.plans() != plans {
			t.Errorf("%q, %d plans", st.Held, s.plans()-plans)
		}
	})
}

func TestABridgeThatComesAgainIsMadeAsTheModelInForceSays(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = large
		s := r.newSwitch()
		cut := r.connect("br0", s)
		r.settled(edited(t, br0, "a", "b"))
		cut() // nobody is asked about the next model, as after a restart
		r.settled(edited(t, br0, "a"))
		r.connect("br0", s)
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		if st := r.Status(); len(st.Held) > 0 || !st.Programmed("br0") || len(s.flows()) != 3 {
			t.Errorf("%q, %d flows", st.Held, len(s.flows()))
		}
	})
}

func TestOneBridgeThatObjectsHoldsTheModelOnAll(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
			if in.Bridge == "br0" {
				return compile(c, in)
			}
			return large(c, in)
		}
		both := []string{"br0", "br1"}
		switches := []sw{r.newSwitch(), r.newSwitch()}
		for i, name := range both {
			r.connect(name, switches[i])
		}
		r.settled(edited(t, both, "a", "b"))
		plans := switches[0].plans() + switches[1].plans()
		st := r.settled(edited(t, both, "a"))
		if n := switches[0].plans() + switches[1].plans() - plans; len(st.Held) != 1 || n != 0 {
			t.Errorf("%q, %d plans", st.Held, n)
		}
		st = r.settled(edited(t, []string{"br0", "br1 allowDisruption: true"}, "a"))
		if !st.Programmed("br0") || !st.Programmed("br1") || len(st.Held) > 0 {
			t.Errorf("%q, %+v", st.Held, st.Bridges)
		}
	})
}

func TestABridgeThatGoesDoesNotHoldUpAReview(t *testing.T) {
	virtual(t, func(r *rig) {
		both := []string{"br0", "br1"}
		switches := []sw{r.newSwitch(), r.newSwitch()}
		r.connect("br0", switches[0])
		cut := r.connect("br1", switches[1])
		r.settled(edited(t, both, "a"))
		r.config.Judge = rulings(nil)
		r.config.Connections = func(ctx context.Context, _ string, _ uint16) ([]pipeline.Connection, error) {
			<-ctx.Done() // a tracker that does not answer
			return nil, ctx.Err()
		}
		r.must(r.SetModel(r.ctx, edited(t, both, "a defaults: {egress: deny}")))
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		cut()
		switches[0].Cut()
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		if st := r.Status(); st.Revision != 2 {
			t.Errorf("revision %d", st.Revision)
		}
	})
}

// ending gives a rig one established connection of tenant a, which its policy 2 denies.
func (r *rig) ending(c pipeline.Connection) {
	c.Open = true
	r.config.Connections = func(_ context.Context, _ string, zone uint16) ([]pipeline.Connection, error) {
		return []pipeline.Connection{c}[:map[uint16]int{103: 1}[zone]], nil
	}
	r.config.Judge = func(_ *pipeline.Program, _ pipeline.Input, t *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
		return func(pipeline.Connection) pipeline.Ruling {
			if t.Egress == intent.Deny {
				return pipeline.Denied
			}
			return pipeline.Admitted
		}
	}
}

func TestAModelThatEndsConnectionsIsHeld(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		mark   uint32
		proto  uint8
		held   bool
	}{
		"an established connection would end":     {"a defaults: {egress: deny}", 0, 6, true},
		"the tenant allows it":                    {"a defaults: {egress: deny}, allowDisruption: true", 0, 6, false},
		"what its policies keep does not end":     {"a defaults: {egress: deny}", pipeline.MarkKeep, 6, false},
		"what somebody else let out is not kept":  {"a defaults: {egress: deny}", pipeline.MarkKeep, 6, true},
		"one that is blocked already has ended":   {"a defaults: {egress: deny}", blocked, 6, false},
		"a change that ends none":                 {"a defaults: {ingress: allow}", 0, 6, false},
		"another zone":                            {"a zone: 4711", 0, 6, true},
		"another zone that the tenant allows":     {"a zone: 4711, allowDisruption: true", 0, 6, false},
		"another zone, and no firewall":           {"a zone: 4711, mode: \"off\"", 0, 6, true},
		"the zone that it has":                    {"a zone: 103", 0, 6, false},
		"one that is denied as before is no news": {"a defaults: {egress: deny, ingress: allow}", 0, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				conn := tracked(c.proto, 80, 1, c.mark)
				if conn.RuleOut = tags["b"]; strings.Contains(name, "somebody else") {
					conn.RuleOut = 0
				}
				s := r.newSwitch()
				r.connect("br0", s)
				first := edited(t, br0, "a")
				if strings.Contains(name, "as before") {
					first = edited(t, br0, "a defaults: {egress: deny}")
				}
				r.settled(first)
				r.ending(conn)
				st := r.settled(edited(t, br0, c.change))
				if held := len(st.Held) > 0; held != c.held || held != (st.Revision == 1) {
					t.Errorf("held: %q, revision %d; want held %v", st.Held, st.Revision, c.held)
				}
				by := "its policy"
				if strings.Contains(name, "zone") {
					by = "another zone"
				}
				if c.held && !strings.Contains(st.Held[0], "a would lose an established connection by "+by+" (tcp 10.0.0.1:1000 -> 10.0.0.2:80, let in by b)") {
					t.Errorf("%q", st.Held)
				}
			})
		})
	}
}

func TestAPlanSaysWhatWouldBeHeld(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a"))
		r.ending(tracked(6, 80, 1, 0))
		p, err := r.Plan(r.ctx, edited(t, br0, "a defaults: {egress: deny}"))
		r.must(err)
		if b := p["br0"]; b.Ends != 1 || len(b.Against) != 1 {
			t.Errorf("%+v", b)
		}
	})
}

func TestOfABurstOfModelsTheLastOneIsReviewed(t *testing.T) {
	virtual(t, func(r *rig) {
		r.config.Compile = large
		s := r.newSwitch()
		r.connect("br0", s)
		r.settled(edited(t, br0, "a", "b"))
		for range 3 {
			r.must(r.SetModel(r.ctx, edited(t, br0, "a")))
			r.must(r.SetModel(r.ctx, edited(t, br0, "a", "b", "c")))
		}
		if st := r.settled(edited(t, br0, "b")); len(st.Held) > 0 || !st.Programmed("br0") || len(st.Tenants) != 1 {
			t.Errorf("%q, %+v", st.Held, st)
		}
	})
}

func TestPortsThatComeDuringAReviewAreSeen(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at once": 0, "when the bridge has been told of them": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				var asked bool
				r.config.Compile = func(c *pipeline.Cache, in pipeline.Input) (*pipeline.Program, error) {
					if in.Model.Tenant("b") != nil && !asked {
						asked = true
						r.must(r.SetFacts(r.ctx, "br0", pipeline.Facts{Ports: []pipeline.Port{{Name: "late", OFPort: 7}}}))
						time.Sleep(pause) // virtual
					}
					p, err := compile(c, in)
					for _, port := range in.Facts.Ports {
						f := ofproto.Flow{Table: 1, Cookie: pipeline.Cookie(tags["a"]), Match: ofproto.MatchOn(ofproto.Is(ofproto.InPort, uint64(port.OFPort)))}
						p.Units[0].Flows = append(p.Units[0].Flows, f)
					}
					return p, err
				}
				s := r.newSwitch()
				r.connect("br0", s)
				r.settled(edited(t, br0, "a"))
				st := r.settled(edited(t, br0, "a", "b"))
				if !st.Programmed("br0") || st.Revision != 2 || !slices.ContainsFunc(s.flows(), func(f ofproto.Flow) bool { return f.Table == 1 }) {
					t.Errorf("revision %d, held %q, flows %v", st.Revision, st.Held, s.flows())
				}
			})
		})
	}
}

func TestABridgeThatHangsDoesNotHoldUpTheOthersForLong(t *testing.T) {
	virtual(t, func(r *rig) {
		both := []string{"br0", "br1"}
		switches := []sw{r.newSwitch(), r.newSwitch()}
		for i, name := range both {
			r.connect(name, switches[i])
		}
		r.settled(edited(t, both, "a"))
		hang := make(chan struct{})
		var asked atomic.Int32
		r.config.Judge = rulings(nil)
		r.config.Connections = func(context.Context, string, uint16) ([]pipeline.Connection, error) {
			if asked.Add(1) == 1 {
				<-hang
			}
			return nil, nil
		}
		r.must(r.SetModel(r.ctx, edited(t, both, "a defaults: {egress: deny}")))
		time.Sleep(longestReview / 2) // virtual
		if synctest.Wait(); r.Status().Revision != 1 {
			t.Errorf("it was not waited for")
		}
		time.Sleep(longestReview) // virtual
		synctest.Wait()
		if st := r.Status(); st.Revision != 2 || !st.Programmed("br0") && !st.Programmed("br1") {
			t.Errorf("revision %d, %+v", st.Revision, st.Bridges)
		}
		close(hang)
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		if st := r.Status(); !st.Programmed("br0") || !st.Programmed("br1") {
			t.Errorf("%+v", st.Bridges)
		}
	})
}

func TestABridgeThatTheModelNoLongerHasIsLeftAsItIs(t *testing.T) {
	virtual(t, func(r *rig) {
		s := r.newSwitch()
		r.connect("br0", s)
		r.connect("br1", r.newSwitch())
		r.settled(edited(t, []string{"br0", "br1"}, "a"))
		before := s.flows()
		if r.settled(edited(t, []string{"br1"}, "a", "b")); len(before) == 0 || len(s.flows()) != len(before) {
			t.Errorf("it had %d flows, and has %d", len(before), len(s.flows()))
		}
		if st := r.settled(edited(t, []string{"br0", "br1"}, "a", "b")); !st.Programmed("br0") || len(s.flows()) == len(before) {
			t.Errorf("when it is in the model again: %+v", st.Bridges)
		}
	})
}

// TestAnEndpointThatGoesWithItsConnectionsIsHeld is about connections that rules admit as
// before, whose end is gone or has another address.
func TestAnEndpointThatGoesWithItsConnectionsIsHeld(t *testing.T) {
	const network = "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: n, tenant: a}\nspec: {subnets: [{cidr: 10.0.0.0/24}]}\n---\n"
	model := func(tenant string, ips ...string) *intent.Model {
		text := network + "apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: a}\nspec: {" + tenant + "}\n"
		for i, ip := range ips {
			text += fmt.Sprintf("---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: e%d, tenant: a}\nspec: {network: n, bind: {port: p%d}, mac: \"02:00:00:00:00:0%d\", ips: [%s]}\n", i, i, i, ip)
		}
		m, err := intent.Read(intent.Source{Name: "test", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, c := range map[string]struct {
		tenant string
		ips    []string
		held   bool
	}{
		"its endpoint is gone":                  {"", []string{"10.0.0.2"}, true},
		"its endpoint has another address":      {"", []string{"10.0.0.9", "10.0.0.2"}, true},
		"the tenant allows it":                  {"allowDisruption: true", []string{"10.0.0.2"}, false},
		"another has its address now":           {"", []string{"10.0.0.2", "10.0.0.1"}, false},
		"an endpoint goes that it does not use": {"", []string{"10.0.0.1", "10.0.0.2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.connect("br0", r.newSwitch())
				r.settled(model("", "10.0.0.1", "10.0.0.2", "10.0.0.3"))
				r.ending(tracked(6, 80, 1, 0))
				if st := r.settled(model(c.tenant, c.ips...)); len(st.Held) > 0 != c.held {
					t.Errorf("held: %q; want held %v", st.Held, c.held)
				}
			})
		})
	}
}
