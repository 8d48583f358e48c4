package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/conntrack"
)

// withLimit is twoHosts with a limit.
func withLimit(n int) string {
	return strings.Replace(twoHosts, "metadata: {name: blue}\n", fmt.Sprintf("metadata: {name: blue}\nspec: {limits: {connections: %d}}\n", n), 1)
}

// limits waits until these are the limits of the datapath.
func (w *world) limits(what string, want ...conntrack.Limit) {
	w.t.Helper()
	d := conntrack.NewDatapath(w.box.RunDir(), "dummy")
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		have, err := d.Limits(w.t.Context())
		if err == nil && slices.Equal(have, want) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: the limits are %v, %v; want %v", what, have, err, want)
		}
		<-tick.C
	}
}

// limitsBeforeFlows waits for flows in a new ovs-vswitchd, and wants the limit to be there
// when they come.
func (w *world) limitsBeforeFlows(d conntrack.Datapath) {
	w.t.Helper()
	w.status("flows", func(api.Status) bool {
		flows, err := w.box.Ofctl("-O", "OpenFlow13", "--no-stats", "dump-flows", "br0")
		if err != nil || !strings.Contains(flows, "table=69") {
			return false
		}
		if limits, err := d.Limits(w.t.Context()); err != nil || len(limits) == 0 {
			w.t.Errorf("there are flows, and the limits are %v, %v", limits, err)
		}
		return true
	})
}

// limited says that a tenant's limit is in force.
func limited(most uint64) func(api.Status) bool {
	return func(s api.Status) bool { return s.Tenants[0].Limit != nil && s.Tenants[0].Limit.Max == most }
}

// ours is the zone of the first tenant, and foreign that of somebody else.
const ours, foreign = 4096, 7

// TestLimitsAreKept follows a limit of connections from the file to the datapath, through a
// change, somebody else's changes and a new ovs-vswitchd, until it goes. Limits of others
// stay.
func TestLimitsAreKept(t *testing.T) {
	w := newWorld(t, withLimit(5000))
	d := conntrack.NewDatapath(w.box.RunDir(), "dummy")
	set := func(l conntrack.Limit) {
		t.Helper()
		if err := d.SetLimits(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	theirs := conntrack.Limit{Zone: foreign, Max: 9}
	set(theirs)
	w.start()
	w.status("programmed", programmed(1))
	w.limits("set", theirs, conntrack.Limit{Zone: ours, Max: 5000})
	s := w.status("how full they are", func(s api.Status) bool { return limited(5000)(s) && len(s.Trackers) == 1 && s.Trackers[0].Max > 0 })
	if f := s.Trackers[0]; f.Datapath != "dummy" || f.Max != 3000000 {
		t.Errorf("the tracker is %+v", f)
	}

	for i, change := range []func(){
		func() { set(conntrack.Limit{Zone: ours, Max: 1}) },
		func() {
			if err := d.DeleteLimits(t.Context(), ours); err != nil {
				t.Fatal(err)
			}
		},
	} {
		began := time.Now()
		change()
		w.limits("repaired", theirs, conntrack.Limit{Zone: ours, Max: 5000})
		t.Logf("a limit was repaired after %v", time.Since(began))
		w.status("told", func(s api.Status) bool { return driftsOf("limit", s) == int64(i+1) })
	}

	write(t, w.dir, "m.yaml", withLimit(6000))
	w.limits("changed in the file", theirs, conntrack.Limit{Zone: ours, Max: 6000})
	if err := w.box.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.box.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.limitsBeforeFlows(d)
	w.limits("set again in a new ovs-vswitchd", conntrack.Limit{Zone: ours, Max: 6000})
	set(theirs)
	write(t, w.dir, "m.yaml", twoHosts)
	w.limits("gone from the file", theirs)
	s = w.status("programmed", programmed(3))
	if n := driftsOf("limit", s); n != 2 || s.Tenants[0].Epoch != 1 {
		t.Errorf("%d limits were changed by somebody else; two were. The epoch is %d: a limit takes nothing back", n, s.Tenants[0].Epoch)
	}
}

// driftsOf is how often somebody else has changed something of a kind.
func driftsOf(what string, s api.Status) (n int64) {
	for _, c := range s.Bridges[0].Drift.Counts {
		if c.What == what {
			n += c.N
		}
	}
	return n
}

// TestLimitsOfTenantsThatWentWhileNobodyLookedAreTakenAway is about a daemon that comes back.
func TestLimitsOfTenantsThatWentWhileNobodyLookedAreTakenAway(t *testing.T) {
	w := newWorld(t, withLimit(5000))
	w.start()
	w.status("programmed", programmed(1))
	w.limits("set", conntrack.Limit{Zone: ours, Max: 5000})
	w.stop()
	w.limits("still there", conntrack.Limit{Zone: ours, Max: 5000})
	write(t, w.dir, "m.yaml", twoHosts[:strings.Index(twoHosts, "---")])
	w.start()
	w.status("programmed", programmed(1))
	w.limits("taken away")
}

// TestDetachLeavesNothingBesideFlows is about limits, timeouts and connections.
func TestDetachLeavesNothingBesideFlows(t *testing.T) {
	w := newWorld(t, withTimeouts("limits: {connections: 5000}, timeouts: {udpFirst: 9s}"))
	before := w.zoneRows()
	vsctl(t, w.box, "add-port", "br0", "p1", "--", "add-port", "br0", "p2", "--", "set", "interface", "p2", "external_ids:iface-id=app-1")
	w.start()
	w.status("programmed", func(s api.Status) bool { return programmed(1)(s) && len(s.Bridges[0].Pending) == 0 })
	w.connects()
	w.limits("set, and it counts", conntrack.Limit{Zone: ours, Max: 5000, Count: 1})
	w.status("remembered", func(api.Status) bool {
		return strings.Contains(vsctl(t, w.box, "get", "bridge", "br0", "external_ids"), "weir-zone-blue")
	})
	w.stop()
	if _, err := w.weir("detach", "br0", "--ovsdb", w.box.DB(), "--ovs-rundir", w.box.RunDir(), "--socket", w.path("weir.sock")); err != nil {
		t.Fatal(err)
	}
	w.limits("taken away")
	if after := w.zoneRows(); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
	if left, err := w.box.Appctl("dpctl/dump-conntrack"); err != nil || left != "" {
		t.Errorf("connections are left: %q, %v", left, err)
	}
}

// connects has app-1 open a connection to web-1.
func (w *world) connects() {
	w.t.Helper()
	const syn = "in_port(1),eth(src=02:00:00:00:00:12,dst=02:00:00:00:00:11),eth_type(0x0800)," +
		"ipv4(src=10.1.0.12,dst=10.1.0.11,proto=6,tos=0,ttl=64,frag=no),tcp(src=1000,dst=80),tcp_flags(syn)"
	if _, err := w.box.Appctl("netdev-dummy/receive", "p2", syn); err != nil {
		w.t.Fatal(err)
	}
	w.status("a connection", func(api.Status) bool {
		text, err := w.box.Appctl("dpctl/dump-conntrack", "zone=4096")
		return err == nil && strings.Contains(text, "dport=80")
	})
}

// TestWhatHasTimedOutIsTakenAwayOftenWhereThereIsALimit is of versions that can be told how often: they are, while there is a limit,
// also when they are started anew; what somebody else has said stays. The others have no such interval.
func TestWhatHasTimedOutIsTakenAwayOftenWhereThereIsALimit(t *testing.T) {
	w := newWorld(t, withLimit(5000))
	d := conntrack.NewDatapath(w.box.RunDir(), "dummy")
	if _, err := d.Sweep(t.Context()); errors.Is(err, conntrack.ErrUnsupported) {
		t.Skip("this Open vSwitch takes away at once what has timed out")
	}
	every := func(what string, want time.Duration) {
		t.Helper()
		w.status(what, func(api.Status) bool {
			is, err := d.Sweep(t.Context())
			return err == nil && is == want
		})
	}
	w.start()
	every("a limit", time.Second)
	if err := w.box.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.box.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	every("another ovs-vswitchd", time.Second)
	write(t, w.dir, "m.yaml", twoHosts)
	every("no limit any more", conntrack.DefaultSweep)
	const theirs = 7 * time.Second
	if err := d.SetSweep(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "m.yaml", withLimit(6000))
	w.limits("again", conntrack.Limit{Zone: ours, Max: 6000})
	every("what somebody else has said", theirs)
	write(t, w.dir, "m.yaml", twoHosts)
	w.limits("gone again")
	every("what somebody else has said, without limits", theirs)
}
