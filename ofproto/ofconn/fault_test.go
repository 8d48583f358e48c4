package ofconn

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/ofproto"
	"weir/ofproto/oftest"
)

// faults are what may happen to any message. A switch that loses one without a word is not
// among them: that is against the protocol.
var faults = map[string]oftest.Reaction{
	"is cut off before it":       oftest.Cut(),
	"is cut off after it":        oftest.CutAfter(),
	"is cut off in the answer":   oftest.CutInside(),
	"never answers it":           oftest.Mute(),
	"refuses it":                 oftest.Refuse(ofproto.OFPBRC_EPERM),
	"answers with garbage":       oftest.Say([]byte{4, 20, 0, 3, 0, 0, 0, 0}),
	"answers in another version": oftest.Say([]byte{1, 20, 0, 8, 0, 0, 0, 0}),
}

// A change of tables is tried with each fault at each message.
type change struct{ from, to ofproto.Tables }

var smallChange = change{
	from: ofproto.Tables{
		Meters: []ofproto.MeterConfig{{ID: 1, Flags: ofproto.MeterPacketsPerSecond, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 1}}}},
		Groups: []ofproto.Group{{ID: 1, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}}}},
		Flows: []ofproto.Flow{
			{Priority: 1, Cookie: 1, Actions: []ofproto.Action{ofproto.ToGroup(1)}},
			{Priority: 2, Cookie: 2, Actions: []ofproto.Action{ofproto.GotoTable(5)}},
		},
	},
	to: ofproto.Tables{
		Groups: []ofproto.Group{{ID: 2, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 2}}}}}},
		Flows: []ofproto.Flow{
			{Priority: 1, Cookie: 1, Actions: []ofproto.Action{ofproto.ToGroup(2)}},
			{Table: 5, Cookie: 3, Actions: []ofproto.Action{ofproto.ToGroup(2)}},
		},
	},
}

// filling is a change of which Apply takes so little for much that it goes in batches.
func filling() change {
	c := change{to: smallChange.to}
	for i := range 8 {
		c.to.Flows = append(c.to.Flows, ofproto.Flow{Table: ofproto.Table(i % 3), Priority: uint16(10 + i), Cookie: uint64(i)})
	}
	return c
}

// try applies a change, with a fault at the n-th message that it takes, or at the commit of
// its n-th member, and perhaps at all that follow. It reports whether there were so many.
func (c change) try(t *testing.T, n int, atCommit, onwards bool, fault oftest.Reaction, check func(t *testing.T, have ofproto.Tables, err error)) (struck bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := oftest.New(oftest.Config{})
		defer s.Close()
		conn, err := New(t.Context(), s.Connect(), Config{})
		must(t, err)
		defer conn.Close()
		must(t, conn.Apply(t.Context(), ofproto.Diff(c.from, ofproto.Tables{})))
		conn.large = 10
		seen := 0
		s.React(func(r oftest.Request) oftest.Reaction {
			if _, ours := r.Message.(ofproto.EchoRequest); ours || r.Commit != atCommit {
				return oftest.Reaction{}
			}
			if seen++; seen < n || seen > n && !onwards {
				return oftest.Reaction{}
			}
			struck = true
			return fault
		})
		err = conn.Apply(t.Context(), ofproto.Diff(c.to, c.from))
		if r := new(ofproto.Rejected); errors.Is(err, ErrUnknownOutcome) && errors.As(err, &r) {
			t.Errorf("it is rejected, and not known to be: %v", err)
		}
		s.React(nil)
		synctest.Wait()
		check(t, s.Tables(), err)
	})
	return struck
}

// is reports whether there is nothing to do to get from have to want.
func is(have, want ofproto.Tables) bool {
	p := ofproto.Diff(want, have)
	return p.Empty()
}

func TestAPlanThatIsInterruptedAnywhereIsDoneOrNotDone(t *testing.T) {
	for name, fault := range faults {
		for _, when := range []struct{ atCommit, onwards bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
			t.Run(fmt.Sprintf("the switch %s %+v", name, when), func(t *testing.T) {
				for n := 1; ; n++ {
					struck := smallChange.try(t, n, when.atCommit, when.onwards, fault, func(t *testing.T, have ofproto.Tables, err error) {
						have.Meters = nil // which no bundle takes
						from, meter := smallChange.from, new(ofproto.Rejected)
						from.Meters = nil
						before, after := is(have, from), is(have, smallChange.to)
						switch {
						case errors.As(err, &meter) && meter.Meter != nil && after: // it was to go at last
						case !before && !after:
							t.Errorf("message %d: half of it is done: %v (%v)", n, have, err)
						case err == nil && !after:
							t.Errorf("message %d: it is not done, and nothing is said", n)
						case err != nil && !errors.Is(err, ErrUnknownOutcome) && !before:
							t.Errorf("message %d: it is done, and is said not to be: %v", n, err)
						}
					})
					if !struck {
						break
					}
				}
			})
		}
	}
}

func TestAnEmptyBridgeThatIsFilledIsNeverInForceInPart(t *testing.T) {
	c := filling()
	check := func(t *testing.T, have ofproto.Tables, err error) {
		first := slices.ContainsFunc(have.Flows, func(f ofproto.Flow) bool { return f.Table == 0 })
		empty := len(have.Flows)+len(have.Groups) == 0
		switch {
		case first && !is(have, c.to):
			t.Errorf("part of it is in force: %v (%v)", have, err)
		case err == nil && !is(have, c.to):
			t.Errorf("it is not done, and nothing is said")
		case err != nil && !errors.Is(err, ErrUnknownOutcome) && !empty:
			t.Errorf("something is left, and is said not to be: %v (%v)", have, err)
		}
	}
	for name, fault := range faults {
		for _, onwards := range []bool{false, true} {
			t.Run(fmt.Sprintf("the switch %s onwards %v", name, onwards), func(t *testing.T) {
				for n := 1; c.try(t, n, false, onwards, fault, check) && !t.Failed(); n++ {
				}
			})
		}
	}
}

// interrupt does something to a switch with tables, with a fault at the n-th message that it
// takes. It reports whether there were so many.
func interrupt(t *testing.T, n int, fault oftest.Reaction, do func(*testing.T, *oftest.Switch, *Conn)) (struck bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := oftest.New(oftest.Config{})
		defer s.Close()
		conn, err := New(t.Context(), s.Connect(), Config{})
		must(t, err)
		defer conn.Close()
		must(t, conn.Apply(t.Context(), ofproto.Diff(smallChange.from, ofproto.Tables{})))
		seen := 0
		s.React(func(r oftest.Request) oftest.Reaction {
			if _, ours := r.Message.(ofproto.EchoRequest); ours || r.Commit {
				return oftest.Reaction{}
			}
			if seen++; seen != n {
				return oftest.Reaction{}
			}
			struck = true
			return fault
		})
		do(t, s, conn)
	})
	return struck
}

func TestWhatIsInterrupted(t *testing.T) {
	for name, do := range map[string]func(*testing.T, *oftest.Switch, *Conn){
		"tables are not read in part": func(t *testing.T, _ *oftest.Switch, c *Conn) {
			if have, err := c.Tables(t.Context()); err == nil && !is(have, smallChange.from) {
				t.Errorf("%v", have)
			}
		},
		"a probe leaves nothing": func(t *testing.T, s *oftest.Switch, c *Conn) {
			_, err := c.Probe(t.Context())
			if synctest.Wait(); !is(s.Tables(), smallChange.from) {
				t.Errorf("%v is left (%v)", s.Tables(), err)
			}
		},
		"a monitor that began tells": func(t *testing.T, s *oftest.Switch, c *Conn) {
			m, err := c.Monitor(t.Context(), ofproto.FlowMonitor{ID: 1, Flags: allChanges, Table: ofproto.AllTables})
			if err != nil {
				return
			}
			must(t, s.Do(ofproto.FlowMod{Flow: ofproto.Flow{Table: 9}}))
			if u, err := m.Next(t.Context()); err == nil && u.Updates[0].Flow.Table != 9 || len(m.Initial()) != 2 {
				t.Errorf("%+v after %+v", u, m.Initial())
			}
		},
	} {
		for what, fault := range faults {
			t.Run(name+", if the switch "+what, func(t *testing.T) {
				for n := 1; interrupt(t, n, fault, do) && !t.Failed(); n++ {
				}
			})
		}
	}
}

func TestAHandshakeThatIsInterruptedEndsInTime(t *testing.T) {
	for name, fault := range faults {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("the switch %s, number %d", name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := oftest.New(oftest.Config{})
					defer s.Close()
					seen := 0
					s.React(func(oftest.Request) oftest.Reaction {
						if seen++; seen == n {
							return fault
						}
						return oftest.Reaction{}
					})
					start := time.Now()
					c, err := New(t.Context(), s.Connect(), Config{})
					if err == nil {
						c.Close()
					}
					if took := time.Since(start); took > 6*time.Second || (n == 1) != (err != nil) {
						t.Errorf("after %v: %v", took, err)
					}
				})
			})
		}
	}
}
