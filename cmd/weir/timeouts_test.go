package main

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/conntrack"
)

// withTimeouts is twoHosts with more in the tenant's spec.
func withTimeouts(spec string) string {
	return strings.Replace(twoHosts, "metadata: {name: blue}\n", "metadata: {name: blue}\nspec: {"+spec+"}\n", 1)
}

// zoneRows is all that the database says of zones.
func (w *world) zoneRows() string {
	return vsctl(w.t, w.box, "list", "CT_Zone") + vsctl(w.t, w.box, "list", "CT_Timeout_Policy") + vsctl(w.t, w.box, "list", "Datapath")
}

// zones waits until Open vSwitch says that zones have these timeouts.
func (w *world) zones(what string, want ...string) {
	w.t.Helper()
	w.status(what, func(api.Status) bool {
		text, err := w.box.Vsctl("list-zone-tp", "dummy")
		if err != nil && strings.Contains(err.Error(), "datapath: dummy record not found") {
			text, err = "", nil
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, line := range want {
			if !strings.Contains(text, line) {
				return false
			}
		}
		return strings.Count(text, "Zone:") == len(want)
	})
}

// TestTimeoutsAreKept follows timeouts from the file to the database, through changes of
// the file and of somebody else, until they go. Those of other zones stay.
func TestTimeoutsAreKept(t *testing.T) {
	w := newWorld(t, withTimeouts("timeouts: {udpFirst: 9s, tcpEstablished: 2h}"))
	w.start()
	w.status("programmed", programmed(1))
	w.zones("set", "Zone:4096, Timeout Policies: tcp_established=7200 udp_first=9")
	vsctl(t, w.box, "add-zone-tp", "dummy", "zone=7", "icmp_first=1")
	const theirs = "Zone:7, Timeout Policies: icmp_first=1"
	for i, change := range []func(){
		func() { vsctl(t, w.box, "del-zone-tp", "dummy", "zone=4096") },
		func() {
			vsctl(t, w.box, "set", "CT_Timeout_Policy", w.policyOf("udp_first=9"), "timeouts={icmp_reply=3}")
		},
	} {
		change()
		w.status("told", func(s api.Status) bool { return driftsOf("timeouts", s) == int64(i+1) })
		w.zones("repaired", "Zone:4096, Timeout Policies: tcp_established=7200 udp_first=9", theirs)
	}
	write(t, w.dir, "m.yaml", withTimeouts("timeouts: {udpFirst: 8s}"))
	w.zones("changed", "Zone:4096, Timeout Policies: udp_first=8", theirs)
	write(t, w.dir, "m.yaml", twoHosts)
	w.zones("gone", theirs)
	if n := driftsOf("timeouts", w.status("programmed", programmed(3))); n != 2 {
		t.Errorf("timeouts were changed %d times by somebody else; it was twice", n)
	}
}

// TestTimeoutsAreTaken has ovs-vswitchd asked whether it has heeded what the database says: of a zone that is
// new, after it was started anew, of a change, and when there are none any more. It is no drift, whatever had to be written for that.
func TestTimeoutsAreTaken(t *testing.T) {
	w := newWorld(t, withTimeouts("timeouts: {udpFirst: 9s}"))
	d := conntrack.NewDatapath(w.box.RunDir(), "dummy")
	taken := func(what string, want bool, policies ...string) {
		t.Helper()
		w.zones(what, policies...)
		w.status(what, func(s api.Status) bool {
			is, err := d.TakenTimeouts(t.Context(), "br0", ours)
			return err == nil && is == want && s.Database.Error == ""
		})
		w.zones(what+", and the database says so", policies...)
	}
	w.start()
	taken("new", true, "Zone:4096, Timeout Policies: udp_first=9")
	if err := w.box.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.box.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken("after another start", true, "Zone:4096, Timeout Policies: udp_first=9")
	vsctl(t, w.box, "del-zone-tp", "dummy", "zone=4096")
	taken("after somebody took it away", true, "Zone:4096, Timeout Policies: udp_first=9")
	write(t, w.dir, "m.yaml", withTimeouts("timeouts: {udpFirst: 8s}"))
	taken("changed", true, "Zone:4096, Timeout Policies: udp_first=8")
	write(t, w.dir, "m.yaml", twoHosts)
	taken("none any more", false)
	write(t, w.dir, "m.yaml", withTimeouts("timeouts: {udpFirst: 7s}"))
	taken("again", true, "Zone:4096, Timeout Policies: udp_first=7")
	w.status("told", func(s api.Status) bool { return driftsOf("timeouts", s) == 1 })
}

// policyOf is the UUID of the row that has some timeouts.
func (w *world) policyOf(timeouts string) string {
	return strings.TrimSpace(vsctl(w.t, w.box, "--bare", "--columns=_uuid", "find", "CT_Timeout_Policy", "timeouts:"+timeouts))
}

// TestAZoneWithTimeoutsOfSomebodyElseIsNamed is about one that was there before us.
func TestAZoneWithTimeoutsOfSomebodyElseIsNamed(t *testing.T) {
	w := newWorld(t, withTimeouts("timeouts: {udpFirst: 9s}"))
	vsctl(t, w.box, "--", "--id=@d", "create", "Datapath", "datapath_version=0", "--", "set", "Open_vSwitch", ".", "datapaths:dummy=@d")
	vsctl(t, w.box, "add-zone-tp", "dummy", "zone=4096", "icmp_first=1")
	w.start()
	w.status("said", func(s api.Status) bool {
		return strings.Contains(s.Database.Error, "zones [4096] of dummy have timeouts of somebody else")
	})
	w.zones("left alone", "Zone:4096, Timeout Policies: icmp_first=1")
	vsctl(t, w.box, "del-zone-tp", "dummy", "zone=4096")
	w.zones("taken when it is free", "Zone:4096, Timeout Policies: udp_first=9")
	w.status("settled", func(s api.Status) bool { return s.Database.Error == "" })
}

// TestASecondDaemonTouchesNoZone starts a daemon with another model and numbers of its own
// where one serves the bridge already.
func TestASecondDaemonTouchesNoZone(t *testing.T) {
	w := newWorld(t, withTimeouts("limits: {connections: 5000}, timeouts: {udpFirst: 9s}"))
	w.start()
	w.status("programmed", programmed(1))
	w.zones("set", "Zone:4096, Timeout Policies: udp_first=9")
	w.limits("set", conntrack.Limit{Zone: ours, Max: 5000})
	rows := w.zoneRows()

	write(t, w.dir, "other.yaml", withTimeouts("limits: {connections: 7}"))
	second := rootCommand()
	second.SetArgs(append(w.serveArgs("second", "second.sock"), "-f", w.path("other.yaml")))
	second.SetErr(io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- second.ExecuteContext(ctx) }()
	w.status("the second knows that it may not", func(api.Status) bool {
		out, err := w.weir("status", "--socket", w.path("second.sock"))
		return err == nil && strings.Contains(out, "another process listens there")
	})
	tick := time.NewTicker(3 * 400 * time.Millisecond) // until it has looked at limits, too
	defer tick.Stop()
	<-tick.C
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if now := w.zoneRows(); now != rows {
		t.Errorf("the database said %s\nand now %s", rows, now)
	}
	w.limits("as they were", conntrack.Limit{Zone: ours, Max: 5000})
	if s := w.status("programmed", programmed(1)); driftsOf("limit", s)+driftsOf("timeouts", s) != 0 {
		t.Errorf("the second has changed %+v", s.Bridges[0].Drift)
	}
}
