package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"weir/api"
	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/test/ovstest"
)

const udpRule = "{name: udp, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: udp}"

// TestOF12ConnectionLimitPerTenant has h1 open six connections, of which the tenant may have
// three. Open vSwitch calls the others new and would forward them; the kernel's datapath
// drops them by itself, and nobody counts them.
func TestOF12ConnectionLimitPerTenant(t *testing.T) {
	limited := func(spec string) string { return labModel(spec, policy("t", "p", udpRule)) }
	l := newLab(t, 2, limited("limits: {connections: 3}"))
	for i := range 6 {
		if arrived := l.send(udp(1, 2, layers.UDPPort(7000+i), 9)); arrived != (i < 3) {
			t.Errorf("datagram %d arrives: %v", i, arrived)
		}
	}
	zone := l.Weir.Zone("t")
	if text, err := l.Appctl("dpctl/ct-get-limits", fmt.Sprintf("zone=%d", zone)); err != nil || !strings.Contains(text, fmt.Sprintf("zone=%d,limit=3,count=3", zone)) {
		t.Errorf("the limit is %q, %v", text, err)
	}
	l.tracked(7000, 7001, 7002)
	if n := l.dropped(pipeline.LimitReached); n != 3 && !l.Kernel() {
		t.Errorf("%d packets are counted as over the limit, want 3", n)
	}
	if !l.send(udp(1, 2, 7000, 9)) {
		t.Error("a connection within the limit has stopped")
	}
	full(t, l.Net, "t", 3)

	l.Weir.Apply(limited(""))
	ovstest.Eventually(t, "the limit is gone", func() error {
		text, err := l.Appctl("dpctl/ct-get-limits")
		if err == nil && strings.Contains(text, "zone=") {
			err = fmt.Errorf("%s", text)
		}
		return err
	})
	if !l.send(udp(1, 2, 7006, 9)) {
		t.Error("without a limit a connection does not pass")
	}
	l.tracked(7000, 7001, 7002, 7006)
}

// TestWhatHasTimedOutDoesNotCountToALimit fills a limit with connections that live for two seconds, and has a new one wait until
// they are off the tracker. Who can be told how often to look for such is told, and heeds that once it has looked: so from
// the second time on it does not take long.
func TestWhatHasTimedOutDoesNotCountToALimit(t *testing.T) {
	const soon = 8 * time.Second // it is told to look every second, and would every 20
	l := newLab(t, 2, labModel("limits: {connections: 3}, timeouts: {udpFirst: 2s, udpSingle: 2s}", policy("t", "p", udpRule)))
	d := conntrack.NewDatapath(l.RunDir(), l.Datapath())
	if _, err := d.Sweep(t.Context()); errors.Is(err, conntrack.ErrUnsupported) {
		t.Skip("this tracker cannot be told how often to look for what has timed out")
	}
	ovstest.Eventually(t, "Open vSwitch has taken the timeouts", func() error {
		taken, err := d.TakenTimeouts(t.Context(), l.Bridge, l.Weir.Zone("t"))
		if err == nil && !taken {
			err = errors.New("it has not")
		}
		return err
	})
	l.refills(7000)
	if took := l.refills(8000); took > soon {
		t.Errorf("it took %v until a new one was let in", took)
	}
}

// refills fills t's limit of three, waits until those are no longer listed, and returns how long it takes then until another one is let in.
func (l *lab) refills(port layers.UDPPort) time.Duration {
	l.T.Helper()
	ovstest.Eventually(l.T, "the limit is reached", func() error {
		for i := range layers.UDPPort(3) {
			l.send(udp(1, 2, port+i, 9))
		}
		if all := l.Entries(l.Weir.Zone("t")); len(all) < 3 {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
	ovstest.Eventually(l.T, "they are over", func() error {
		if all := l.Entries(l.Weir.Zone("t")); len(all) > 0 {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
	over := time.Now()
	for !l.send(udp(1, 2, port+9, 9)) {
		if time.Since(over) > time.Minute {
			l.T.Fatal("none is let in any more")
		}
	}
	return time.Since(over)
}

// tracked fails unless the tenant's connections are those from some ports.
func (l *lab) tracked(ports ...uint16) {
	l.T.Helper()
	have := map[uint16]bool{}
	for _, e := range l.Entries(l.Weir.Zone("t")) {
		have[e.Orig.SrcPort] = true
	}
	for _, p := range ports {
		if !have[p] || len(have) != len(ports) {
			l.T.Errorf("there are connections from %v, want %v", have, ports)
			return
		}
	}
}

// full waits until weir status says that a tenant has as many connections as it may.
func full(t *testing.T, n *ovstest.Net, tenant string, most uint64) {
	t.Helper()
	ovstest.Eventually(t, "the status says that the limit is reached", func() error {
		s, err := n.Weir.Status()
		if err != nil {
			return err
		}
		for _, x := range s.Tenants {
			if x.Name == tenant && x.Limit != nil && x.Limit.Connections == most && x.Limit.Max == most && len(s.Trackers) == 1 && s.Trackers[0].Max > most {
				return nil
			}
		}
		return fmt.Errorf("%+v, %+v", s.Tenants, s.Trackers)
	})
}

// TestRecirculationsWithALimit counts how often a packet comes back to the flow tables: of a
// tenant with a limit, a new one once more.
func TestRecirculationsWithALimit(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want ovstest.Recirculations
	}{
		"without a limit": {"", ovstest.Recirculations{New: 1, Established: 1}},
		"with a limit":    {"limits: {connections: 100}", ovstest.Recirculations{New: 2, Established: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			n, h1, h2 := pair(t)
			n.Run(pairModel(c.spec, httpRule))
			echo(t, h2, "10.1.1.2:80")
			talk(t, h1, "10.1.1.2:80")
			got := n.Recirculations("eth(src=02:00:00:00:00:01", "eth_type(0x0800)")
			t.Logf("%s: recirculations new / established: %d / %d", name, got.New, got.Established)
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestAFloodOfOneTenantCostsOthersNothing has h1 open connections without end, of which its
// tenant may have 500, while those of another tenant connect: each of these succeeds.
func TestAFloodOfOneTenantCostsOthersNothing(t *testing.T) {
	const most, connections = 500, 300
	n := ovstest.New(t)
	flooding := wire(t, n.Host("h1", mac(1), nil))
	n.Host("h2", mac(2), nil)
	h3, h4 := n.Host("h3", mac(3), []string{"10.1.1.1/24"}), n.Host("h4", mac(4), []string{"10.1.1.2/24"})
	n.Run(fourHosts(map[string]string{"t": fmt.Sprintf("limits: {connections: %d}", most)}))
	echo(t, h4, "10.1.1.2:80")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var flood sync.WaitGroup
	sent := 0
	flood.Go(func() {
		for ; ctx.Err() == nil; sent++ {
			syn := tcp(1, 2, layers.TCPPort(1024+sent%60000), layers.TCPPort(1+sent/60000), "S")
			if err := flooding.Send(syn.frame(t, uint16(sent))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	failed := 0
	for i := range connections {
		if err := once(h3, 20000+i, "10.1.1.2:80"); err != nil {
			failed++
			t.Log(err)
		}
	}
	stop()
	flood.Wait()
	t.Logf("%d connections beside a flood of %d SYNs: %d failed", connections, sent, failed)
	if failed > 0 {
		t.Errorf("%d of %d connections of another tenant failed", failed, connections)
	}
	if got := len(n.Entries(n.Weir.Zone("t"))); got != most || sent < 2*most {
		t.Errorf("of %d connections the tenant has %d, want %d", sent, got, most)
	}
	full(t, n, "t", most)
	if said := strings.Count(n.Weir.Log(), "exactly as many connections as it may"); said != 1 {
		t.Errorf("that the tenant is at its limit is said %d times", said)
	}
	fullInConntrack(t, n, most)
}

// fullInConntrack wants weir conntrack to say that tenant t has all that it may, what kind of
// connections these are, and that the tracker itself has room.
func fullInConntrack(t *testing.T, n *ovstest.Net, most uint64) {
	t.Helper()
	var all []api.Tracking
	out, err := n.Weir.Tool("conntrack", "-o", "json")
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all) != 1 {
		t.Fatalf("%s, %v", out, err)
	}
	tracker, zone := all[0], n.Weir.Zone("t")
	i := slices.IndexFunc(tracker.Zones, func(z api.TrackingZone) bool { return z.Zone == zone })
	if i < 0 || tracker.Error != "" || tracker.Alarm != "" || tracker.Connections < most || tracker.Max < 1000 {
		t.Fatalf("the tracker says %s", out)
	}
	z := tracker.Zones[i]
	if z.ID != "t" || z.Connections != most || z.Protocols["tcp"] != most || z.Limit == nil || *z.Limit != (api.Fill{Connections: most, Max: most, Alarm: "full"}) {
		t.Errorf("the zone has %+v, limit %+v", z, z.Limit)
	}
	for part, want := range map[string]string{"limits": fmt.Sprintf(" t +%d +%d +100.0%% +full", most, most), "zones": fmt.Sprintf("%d +t +%d +%d of %d", zone, most, most, most), "stats": "tcp "} {
		if out, err := n.Weir.Tool("conntrack", part); err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("weir conntrack %s says %s, %v; want %s", part, out, err, want)
		}
	}
	if out, err := n.Weir.Tool("status"); err != nil || !strings.Contains(out, fmt.Sprintf("%d of %d (FULL: new ones are dropped)", most, most)) {
		t.Errorf("the status is %s, %v", out, err)
	}
}

// TestATrackerThatFillsUpIsTold makes the table of all zones smaller and larger: the alarm is in the
// status, and said in the log once each time that it changes.
func TestATrackerThatFillsUpIsTold(t *testing.T) {
	l := newLab(t, 2, labModel("", policy("t", "p", udpRule)))
	for i := range 40 {
		l.send(udp(1, 2, layers.UDPPort(7000+i), 9))
	}
	tracker := func(what string, good func(api.Tracker) bool) (is api.Tracker) {
		t.Helper()
		ovstest.Eventually(t, what, func() error {
			s, err := l.Weir.Status()
			if err != nil || len(s.Trackers) != 1 || !good(s.Trackers[0]) {
				return fmt.Errorf("%+v, %v", s.Trackers, err)
			}
			is = s.Trackers[0]
			return nil
		})
		return is
	}
	before := tracker("the connections are counted", func(is api.Tracker) bool { return is.Connections >= 40 && is.Max > 100 && is.Alarm == "" })
	t.Cleanup(func() { l.setTable(before.Max) })
	for _, c := range []struct {
		most  uint64
		alarm string
	}{{before.Connections * 10 / 9, "near"}, {before.Connections, "full"}, {before.Max, ""}} {
		l.setTable(c.most)
		tracker(fmt.Sprintf("the alarm is %q", c.alarm), func(is api.Tracker) bool { return is.Max == c.most && is.Alarm == c.alarm })
		if out, err := l.Weir.Tool("status"); err != nil || strings.Contains(out, "connections: FULL: new ones are dropped") != (c.alarm == "full") {
			t.Errorf("the status is %s, %v", out, err)
		}
	}
	for _, text := range []string{"has four fifths of as many connections as it can", "has exactly as many connections as it can", "is no longer nearly full"} {
		if said := strings.Count(l.Weir.Log(), text); said != 1 {
			t.Errorf("%q is said %d times", text, said)
		}
	}
}

// setTable says how many connections there may be in all zones together.
func (l *lab) setTable(most uint64) {
	l.T.Helper()
	var err error
	if l.Kernel() {
		err = os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_max", fmt.Append(nil, most), 0)
	} else {
		_, err = l.Appctl("dpctl/ct-set-maxconns", fmt.Sprint(most))
	}
	if err != nil {
		l.T.Error(err)
	}
}
