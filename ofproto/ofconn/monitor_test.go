package ofconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/ofproto"
)

const allChanges = ofproto.MonitorInitial | ofproto.MonitorAdd | ofproto.MonitorDelete | ofproto.MonitorModify | ofproto.MonitorActions

func watch(t *testing.T, c *Conn, flags ofproto.MonitorFlags) *Monitor {
	t.Helper()
	m, err := c.Monitor(t.Context(), ofproto.FlowMonitor{ID: 1, Flags: flags, Table: ofproto.AllTables})
	must(t, err)
	return m
}

// told returns the next change, as text.
func told(t *testing.T, m *Monitor) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := m.Next(ctx)
	must(t, err)
	var all []string
	for _, u := range c.Updates {
		all = append(all, fmt.Sprintf("event %d: %v", u.Event, u.Flow))
	}
	if len(all) == 0 {
		return c.String()
	}
	return strings.Join(all, "; ")
}

func TestTheMonitorSeesWhatSomebodyElseChanges(t *testing.T) {
	box, c := bridge(t)
	must(t, c.Apply(t.Context(), ofproto.Plan{PutFlows: []ofproto.Flow{{Table: 9, Priority: 3, Cookie: 1}}}))
	m := watch(t, c, allChanges)
	if all := m.Initial(); len(all) != 1 || all[0].Flow.Table != 9 {
		t.Errorf("there was %+v", all)
	}
	for _, step := range []struct {
		command []string
		want    string
	}{
		{[]string{"add-flow", "br", "table=3,priority=9,cookie=5,ip,actions=output:1"}, "event 0: cookie=0x5, table=3, priority=9,ip actions=output:1"},
		{[]string{"mod-flows", "br", "table=3,ip,actions=drop"}, "event 2: cookie=0x5, table=3, priority=9,ip actions=drop"},
		{[]string{"del-flows", "br", "table=3"}, "event 1: cookie=0x5, table=3, priority=9,ip actions=drop"},
	} {
		must2(t)(box.Ofctl(append([]string{"-O", "OpenFlow13"}, step.command...)...))
		if got := told(t, m); got != step.want {
			t.Errorf("%v: %q; want %q", step.command, got, step.want)
		}
	}
}

func TestOfOurOwnChangesTheMonitorTellsTheXid(t *testing.T) {
	_, c := bridge(t)
	m := watch(t, c, allChanges)
	must(t, c.Do(t.Context(), ofproto.FlowMod{}))
	change, err := m.Next(t.Context())
	if err != nil || len(change.Updates) != 1 || change.Updates[0].Event != ofproto.UpdateAbbreviated || change.Updates[0].XID == 0 {
		t.Errorf("%+v, %v", change, err)
	}
}

func TestThereIsOneMonitorAtATime(t *testing.T) {
	_, c := bridge(t)
	m := watch(t, c, allChanges)
	if _, err := c.Monitor(t.Context(), ofproto.FlowMonitor{ID: 2, Flags: allChanges}); err == nil {
		t.Error("there is a second one")
	}
	must(t, m.Close(t.Context()))
	must(t, c.Do(t.Context(), ofproto.FlowMod{}))
	if _, err := c.Monitor(t.Context(), ofproto.FlowMonitor{ID: 2, Flags: ofproto.MonitorInitial}); err == nil || broken(err) {
		t.Errorf("%v; want one that watches for nothing refused", err)
	}
	again := watch(t, c, allChanges)
	must(t, c.Do(t.Context(), ofproto.FlowMod{Flow: ofproto.Flow{Table: 1}}))
	if _, err := again.Next(t.Context()); err != nil {
		t.Error(err)
	}
	if _, left := m.pop(); left {
		t.Error("the first one goes on after its end")
	}
}

// follow keeps a copy of the tables by what a monitor tells, until the switch has told of
// n flows, and whether it has paused and resumed.
func follow(t *testing.T, m *Monitor, n int) (flows map[ofproto.FlowKey]ofproto.Flow, paused, resumed int) {
	t.Helper()
	flows = map[ofproto.FlowKey]ofproto.Flow{}
	for len(flows) < n || resumed == 0 {
		c, err := m.Next(t.Context())
		must(t, err)
		switch {
		case c.Paused:
			paused++
		case c.Resumed:
			if resumed++; resumed > paused {
				t.Error("resumed before it paused")
			}
		case c.Lost:
			t.Fatal("we read too slowly")
		}
		for _, u := range c.Updates {
			flows[u.Flow.Key()] = u.Flow
		}
	}
	return flows, paused, resumed
}

func TestASwitchThatPausesMakesUpForIt(t *testing.T) {
	box, c := bridge(t)
	m := watch(t, c, allChanges)
	var text strings.Builder
	want := firewall(20000)
	for _, f := range want {
		fmt.Fprintln(&text, f)
	}
	file := filepath.Join(t.TempDir(), "flows")
	must(t, os.WriteFile(file, []byte(text.String()), 0o600))
	must2(t)(box.Ofctl("-O", "OpenFlow13", "--bundle", "add-flows", "br", file))
	flows, paused, resumed := follow(t, m, len(want))
	if paused == 0 || paused != resumed {
		t.Errorf("it paused %d times, and resumed %d times", paused, resumed)
	}
	for _, f := range want {
		if !flows[f.Key()].Equal(f) {
			t.Fatalf("%v was told as %v", f, flows[f.Key()])
		}
	}
}

func TestWhoReadsChangesTooSlowlyIsToldThatTheyAreLost(t *testing.T) {
	tell := func(nc net.Conn, cookie uint64) error {
		r := ofproto.FlowMonitorReply{Updates: make([]ofproto.FlowUpdate, 500)}
		for i := range r.Updates {
			r.Updates[i].Flow.Cookie = cookie
		}
		return write(nc, 0, r)
	}
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, obliging(func(xid uint32, m ofproto.Message) []ofproto.Message {
			switch m := m.(type) {
			case ofproto.FlowMonitorRequest:
				return []ofproto.Message{ofproto.FlowMonitorReply{}}
			case ofproto.CTFlushZone: // of all things
				for range []int{1 + maxChanges/500, 10}[m.Zone] {
					if tell(nc, uint64(m.Zone)) != nil {
						return []ofproto.Message{nil}
					}
				}
			}
			return nil
		}))
	}, func(t *testing.T, c *Conn) {
		m := watch(t, c, allChanges)
		for i := range uint16(2) {
			must(t, c.FlushZone(t.Context(), i))
		}
		var seen []string
		for range 3 {
			change, err := m.Next(t.Context())
			must(t, err)
			if seen = append(seen, change.String()); !change.Lost && change.Updates[0].Flow.Cookie != 1 {
				t.Errorf("a change of before: %+v", change.Updates[0])
			}
		}
		if seen[0] != "lost" {
			t.Errorf("%q; want the loss said first", seen)
		}
	})
}

func TestAMonitorEndsWithItsSession(t *testing.T) {
	_, c := bridge(t)
	m := watch(t, c, allChanges)
	c.Close()
	if _, err := m.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestAMonitorThatIsNotWaitedForIsCancelled(t *testing.T) {
	cancelled := make(chan uint32, 1)
	bubble(t, func(nc net.Conn) {
		peer(nc, ofproto.Hello{}, func(_ uint32, m ofproto.Message) []ofproto.Message {
			if c, ok := m.(ofproto.FlowMonitorCancel); ok {
				cancelled <- c.ID
			}
			return nil
		})
	}, func(t *testing.T, c *Conn) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := c.Monitor(ctx, ofproto.FlowMonitor{ID: 7, Flags: allChanges}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if id := <-cancelled; id != 7 {
			t.Errorf("monitor %d was cancelled", id)
		}
	})
}
