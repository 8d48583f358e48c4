package main

import (
	"context"
	"io"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/conntrack"
	"weir/intent"
	"weir/ovsdb"
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

func TestTimeoutsThatAreSomebodyElses(t *testing.T) {
	zone := func(tenant string, seconds uint32) ovsdb.CTZone {
		return ovsdb.CTZone{Tenant: tenant, Timeouts: ovsdb.Timeouts{"udp_first": seconds}}
	}
	type zones = map[uint16]ovsdb.CTZone
	for name, c := range map[string]struct {
		want, have, left zones
		put              zones
		drop, taken      []uint16
	}{
		"what is right is left":                          {zones{1: zone("a", 5)}, zones{1: zone("a", 5)}, nil, zones{}, nil, nil},
		"what is missing is written":                     {zones{1: zone("a", 5)}, nil, nil, zones{1: zone("a", 5)}, nil, nil},
		"a zone that has others is not ours to take":     {zones{1: zone("a", 5)}, zones{1: zone("", 6)}, nil, zones{}, nil, []uint16{1}},
		"a zone that had ours is written again":          {zones{1: zone("a", 5)}, zones{1: zone("", 6)}, zones{1: zone("a", 5)}, zones{1: zone("a", 5)}, nil, nil},
		"a zone that was given to another tenant":        {zones{1: zone("a", 5)}, zones{1: zone("b", 5)}, nil, zones{1: zone("a", 5)}, nil, nil},
		"what is not wanted any more goes":               {nil, zones{1: zone("a", 5)}, nil, zones{}, []uint16{1}, nil},
		"what others have said of a zone of ours stays":  {nil, zones{1: zone("", 5)}, nil, zones{}, nil, nil},
		"what is said of a zone that is not ours stays":  {nil, zones{9: zone("x", 5)}, nil, zones{}, nil, nil},
		"a zone without timeouts may be taken, with all": {zones{1: zone("a", 5)}, zones{1: {}}, nil, zones{1: zone("a", 5)}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			put, drop, taken := timeChanges(map[uint16]ward{1: {bridge: "br0"}}, c.want, c.have, c.left)
			if !reflect.DeepEqual(put, c.put) || !reflect.DeepEqual(drop, c.drop) || !reflect.DeepEqual(taken, c.taken) {
				t.Errorf("put %v, drop %v, taken %v", put, drop, taken)
			}
		})
	}
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
	tick := time.NewTicker(3 * limitAudit) // until it has looked at limits, too
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

// TestAZoneIsGoneOnlyWhenNoTenantHasIt is about a start, at which no zones are known.
func TestAZoneIsGoneOnlyWhenNoTenantHasIt(t *testing.T) {
	read := new(modelFiles).read(write(t, t.TempDir(), "m.yaml", twoHosts), nil)
	if read.err != nil {
		t.Fatal(read.err)
	}
	m := read.model
	b := ovsdb.Bridge{Name: "br0", ExternalIDs: map[string]string{zonePrefix + "blue": "4096"}}
	id := m.Tenants()[0].ID()
	for _, c := range []struct {
		name   string
		bridge string
		given  map[intent.ID]uint16
		want   []uint16
	}{
		{"the tenant's zone is not known yet", "br0", nil, nil},
		{"the tenant has it", "br0", map[intent.ID]uint16{id: 4096}, nil},
		{"the tenant has another", "br0", map[intent.ID]uint16{id: 4100}, []uint16{4096}},
		{"the tenant is not on the bridge", "br1", nil, []uint16{4096}},
	} {
		b.Name = c.bridge
		if got := goneFrom(m, b, c.given); !slices.Equal(got, c.want) {
			t.Errorf("%s: gone is %v, want %v", c.name, got, c.want)
		}
	}
}
