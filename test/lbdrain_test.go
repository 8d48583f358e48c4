package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/api"
	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// drained is the model of balancedModel in which everybody may be talked to on port 8090, and the
// load balancer web is on 10.1.1.64:90.
func drained(backends, more string) string {
	return balancedModel(policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")) + vip("web", 64, backends, more)
}

func vip(name string, host int, backends, more string) string {
	return balancer(name, fmt.Sprintf("address: 10.1.1.%d, ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [%s]%s", host, backends, more))
}

// echoing is a net as balanced makes it, whose backends say back what they hear on port 8090.
func echoing(t *testing.T, model string) (n *ovstest.Net, client *sandbox.Host, backends []*sandbox.Host) {
	t.Helper()
	n, client, backends = balanced(t, model)
	for i, h := range backends {
		echo(t, h, fmt.Sprintf("10.2.1.%d:8090", 12+i))
	}
	return n, client, backends
}

// of returns the live entries of connections to a load balancer that a backend has: h2 is 12.
func of(n *ovstest.Net, vip, backend int) (some []conntrack.Entry) {
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.Dst.String() == fmt.Sprintf("10.1.1.%d", vip) && e.Reply.Src.String() == fmt.Sprintf("10.2.1.%d", backend) && !e.Over() {
			some = append(some, e)
		}
	}
	return some
}

// backendIn returns what weir balancers says of a backend of the load balancer web.
func backendIn(t *testing.T, n *ovstest.Net, address string) (b api.Backend) {
	t.Helper()
	for _, l := range n.Weir.Balancers("t") {
		for _, b := range l.Backends {
			if strings.HasPrefix(b.Address, address) && l.ID == "t/loadbalancer/web" {
				return b
			}
		}
	}
	return b
}

// TestOL03TakingABackendOut gives one of two backends weight 0 under an open session, and then
// removes it.
func TestOL03TakingABackendOut(t *testing.T) {
	n, h1, _ := echoing(t, drained("{endpoint: h2}", ""))
	session := opened(t, h1, "10.1.1.64:90")
	if len(of(n, 64, 12)) != 1 {
		t.Fatalf("h2 has %+v", of(n, 64, 12))
	}
	n.Weir.Apply(drained("{endpoint: h2, weight: 0}, {endpoint: h3}", ""))
	answered(t, session)
	for range 10 {
		talk(t, h1, "10.1.1.64:90")
	}
	if len(of(n, 64, 12)) != 1 {
		t.Errorf("h2 has %+v; want the session alone", of(n, 64, 12))
	}
	if all := strings.Join(connectionsTo(n, "10.1.1.64"), " "); all != "10.2.1.12"+strings.Repeat(" 10.2.1.13", 10) {
		t.Errorf("connections, also those that are over: %s", all)
	}
	if b := backendIn(t, n, "10.2.1.12"); b.State != "draining" || b.Connections != 1 || b.InForce != 0 || b.Deadline != nil {
		t.Errorf("weir balancers: %+v", b)
	}
	ovstest.Eventually(t, "weir status names what drains", func() error {
		s, err := n.Weir.Status()
		if err == nil && (len(s.Bridges[0].Draining) != 1 || s.Bridges[0].Draining[0].Backend != "10.2.1.12:8090" || s.Bridges[0].Draining[0].Connections != 1) {
			return fmt.Errorf("%+v", s.Bridges[0].Draining)
		}
		return err
	})
	if list, err := n.Weir.Tool("connections"); err != nil || strings.Count(list, "ESTABLISHED DRAINING") != 1 {
		t.Errorf("%v, %s", err, list)
	}
	n.Weir.Apply(drained("{endpoint: h3}", ""))
	emptied(t, n, 64, 12)
	silent(t, session)
	talk(t, h1, "10.1.1.64:90")
}

// emptied waits until a backend has no connection of a load balancer, and returns how long that took.
func emptied(t *testing.T, n *ovstest.Net, vip, backend int) time.Duration {
	t.Helper()
	began := time.Now()
	ovstest.Eventually(t, "the backend's connections have ended", func() error {
		if some := of(n, vip, backend); len(some) > 0 {
			return fmt.Errorf("%d are left", len(some))
		}
		return nil
	})
	return time.Since(began)
}

// TestADrainedBackendIsLeftAloneUntilTheDeadline gives one of three backends weight 0, with a time
// to drain: at its end exactly its connections are gone, and weir has counted down.
func TestADrainedBackendIsLeftAloneUntilTheDeadline(t *testing.T) {
	const wait, more = 8 * time.Second, ", drain: {timeout: 8s}"
	n, h1, _ := echoing(t, drained("{labels: {tier: web}}", more))
	sessions := map[string]int{}
	var all []conn
	for range 30 {
		all = append(all, opened(t, h1, "10.1.1.64:90"))
	}
	for _, host := range []int{12, 13, 14} {
		sessions[fmt.Sprint("h", host-10)] = len(of(n, 64, host))
	}
	if t.Log(sessions); sessions["h2"] == 0 || sessions["h3"]+sessions["h4"] == 0 {
		t.Fatal("they are not spread")
	}
	began := time.Now()
	n.Weir.Apply(drained("{endpoint: h2, weight: 0}, {endpoint: h3}, {endpoint: h4}", more))
	if lives := answering(all, ovstest.Patience); lives != len(all) {
		t.Errorf("%d of %d connections live while it drains", lives, len(all))
	}
	if b := backendIn(t, n, "10.2.1.12"); b.State != "draining" || b.Connections != sessions["h2"] || b.Deadline == nil || time.Until(*b.Deadline) > wait {
		t.Errorf("weir balancers: %+v", b)
	}
	list, err := n.Weir.Tool("balancers", "--chart")
	if t.Log(list); err != nil || !strings.Contains(list, "s left") {
		t.Error(err)
	}
	emptied(t, n, 64, 12)
	if took := time.Since(began); took < wait || took > wait+5*time.Second {
		t.Errorf("they were ended after %v", took)
	} else {
		t.Logf("they were ended after %v", took.Round(time.Millisecond))
	}
	if have := len(of(n, 64, 13)) + len(of(n, 64, 14)); have != sessions["h3"]+sessions["h4"] {
		t.Errorf("the others have %d; want %v", have, sessions)
	}
	if alive := answering(all, 5*time.Second); alive != sessions["h3"]+sessions["h4"] {
		t.Errorf("%d of %d live on; want those of h3 and h4: %v", alive, len(all), sessions)
	}
}

// answering has all speak at once, and returns how many hear what they have said.
func answering(all []conn, patience time.Duration) int {
	var heard atomic.Int64
	var speakers sync.WaitGroup
	for _, c := range all {
		speakers.Go(func() {
			if say(c, "are you there?", patience) == nil {
				heard.Add(1)
			}
		})
	}
	speakers.Wait()
	return int(heard.Load())
}

// TestADeadlineOutlivesTheDaemon kills the daemon while a backend drains, and while one does that has been taken out:
// the time goes on, and exactly their connections end when it is over.
func TestADeadlineOutlivesTheDaemon(t *testing.T) {
	wait := 30*pace + 5*time.Second // less than a test waits for something
	more := fmt.Sprintf(", drain: {timeout: %s}", wait)
	n, h1, _ := echoing(t, drained("{labels: {tier: web}}", more))
	for range 30 {
		opened(t, h1, "10.1.1.64:90")
	}
	stay := len(of(n, 64, 14))
	if len(of(n, 64, 12)) == 0 || len(of(n, 64, 13)) == 0 || stay == 0 {
		t.Fatal("they are not spread")
	}
	began := time.Now()
	n.Weir.Apply(drained("{endpoint: h2, weight: 0}, {endpoint: h4}", more))
	file := filepath.Join(n.Weir.StateDir(), "drains.json")
	ovstest.Eventually(t, "it is written since when they drain", func() error {
		b, err := os.ReadFile(file)
		if text := string(b); err == nil && (!strings.Contains(text, "10.2.1.12:8090") || !strings.Contains(text, "10.2.1.13:8090")) {
			err = errors.New(text)
		}
		return err
	})
	before := deadlines(t, n)
	n.Weir.Kill()
	n.Weir.Start()
	n.Weir.Programmed(1)
	if after := deadlines(t, n); !maps.Equal(before, after) || len(after) != 2 {
		t.Errorf("the deadlines were %v, and are %v", before, after)
	}
	emptied(t, n, 64, 12)
	emptied(t, n, 64, 13)
	if took := time.Since(began); took < wait || took > wait+5*time.Second {
		t.Errorf("they were ended after %v", took)
	}
	if now := len(of(n, 64, 14)); now != stay {
		t.Errorf("the one that stays has %d connections, and had %d", now, stay)
	}
	ovstest.Eventually(t, "it is forgotten who has been taken out", func() error {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), "10.2.1.13") {
			err = errors.New(string(b))
		}
		return err
	})
}

// deadlines waits until it is known until when two backends drain, and returns it by their addresses.
func deadlines(t *testing.T, n *ovstest.Net) map[string]time.Time {
	t.Helper()
	all := map[string]time.Time{}
	ovstest.Eventually(t, "two backends have a deadline", func() error {
		list := n.Weir.Balancers("t")
		for _, b := range list[0].Backends {
			if b.Deadline != nil {
				all[strings.TrimSuffix(b.Address, ":8090")] = *b.Deadline
			}
		}
		if len(all) != 2 {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	return all
}

// TestOL10AMappingThatGoesEndsItsOwnConnections has two load balancers with the same backends. One
// loses a backend, and then goes: the connections of the other one stay.
func TestOL10AMappingThatGoesEndsItsOwnConnections(t *testing.T) {
	both := "{endpoint: h2}, {endpoint: h3}"
	n, h1, _ := echoing(t, drained(both, "")+vip("second", 65, both, ""))
	var sessions []conn
	for range 20 {
		opened(t, h1, "10.1.1.64:90")
		sessions = append(sessions, opened(t, h1, "10.1.1.65:90"))
	}
	count := func(vip int) int { return len(of(n, vip, 12)) + len(of(n, vip, 13)) }
	first, left := count(64), len(of(n, 64, 13))
	if first != 20 || left == 20 || left == 0 || count(65) != 20 {
		t.Fatalf("%d, %d of h3, and %d", first, left, count(65))
	}
	n.Weir.Apply(drained("{endpoint: h3}", "") + vip("second", 65, both, ""))
	emptied(t, n, 64, 12)
	if count(64) != left || count(65) != 20 {
		t.Errorf("without h2: %d of %d, and %d", count(64), left, count(65))
	}
	without := balancedModel(policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")) + vip("second", 65, both, "")
	n.Weir.Apply(strings.Replace(without, "metadata: {name: t}\nspec: {}", "metadata: {name: t}\nspec: {allowDisruption: true}", 1))
	emptied(t, n, 64, 13)
	if count(65) != 20 {
		t.Errorf("without the first: %d", count(65))
	}
	for _, c := range sessions {
		if err := say(c, "still there?", ovstest.Patience); err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionsToRemovedBackendsAreKept is onRemove: keep.
func TestConnectionsToRemovedBackendsAreKept(t *testing.T) {
	n, h1, _ := echoing(t, drained("{endpoint: h2}", ", onRemove: keep"))
	session := opened(t, h1, "10.1.1.64:90")
	n.Weir.Apply(drained("{endpoint: h3}", ", onRemove: keep"))
	talk(t, h1, "10.1.1.64:90")
	ovstest.Eventually(t, "the backend is named", func() error {
		if b := backendIn(t, n, "10.2.1.12"); b.State != "removed" || b.Connections != 1 {
			return fmt.Errorf("%+v", b)
		}
		return nil
	})
	answered(t, session)
	n.Weir.Kill()
	n.Weir.Start()
	n.Weir.Programmed(1)
	answered(t, session)
}

// weightChanges is how often TestWeightsChangeUnderLoad changes them.
const weightChanges = 200

// TestWeightsChangeUnderLoad changes weights, also to 0 and back, under 100 connections that talk
// and 60 new ones in a second; then the daemon is killed, and nothing has to be sent again.
func TestWeightsChangeUnderLoad(t *testing.T) {
	weights := func(a, b, c int) string {
		return drained(fmt.Sprintf("{endpoint: h2, weight: %d}, {endpoint: h3, weight: %d}, {endpoint: h4, weight: %d}", a, b, c), ", drain: {timeout: 300s}")
	}
	n, h1, _ := echoing(t, weights(100, 100, 100))
	talking := talkersTo(t, h1, "10.1.1.64:90", 100, func(c conn) error { return say(c, "still there?", ovstest.Patience) })
	opened, failed, stop := arriving(t, h1, "10.1.1.64:90")
	for i := range n.Rounds(weightChanges) {
		w := []int{100, 100, 100}
		w[i%3] = []int{0, 50, 300, 1}[rand.IntN(4)]
		n.Weir.Change(weights(w[0], w[1], w[2]))
		if _, err := n.Round(); err != nil { // so that some are opened by each
			t.Fatal(err)
		}
	}
	stop()
	sent := uint64(0)
	opened2, failed2, stop := arriving(t, h1, "10.1.1.64:90")
	for range n.Rounds(5) {
		n.Weir.Kill()
		n.Weir.Start()
		sent += n.Weir.Programmed(1).Bridges[0].FlowModsSent
	}
	stop()
	broken := talking.stop()
	t.Logf("changes: %d connections were opened, and %d failed; daemon killed: %d, and %d failed, %d modifications sent; of 100 that talked (%d lines) %d have broken",
		opened.Load(), failed.Load(), opened2.Load(), failed2.Load(), sent, talking.lines.Load(), broken)
	if failed.Load()+failed2.Load()+broken > 0 || sent != 0 || opened.Load() < 30 {
		t.Error("that was felt")
	}
}

// arriving opens 60 connections in a second, each of which says a line, until stop.
func arriving(t *testing.T, from *sandbox.Host, address string) (opened, failed *atomic.Int64, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	opened, failed = new(atomic.Int64), new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / 60)
		defer tick.Stop()
		slots := make(chan struct{}, 60)
		for {
			select {
			case <-ctx.Done():
				for range cap(slots) {
					slots <- struct{}{}
				}
				return
			case <-tick.C:
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				if err := exchange(from, address); err != nil {
					failed.Add(1)
					t.Log(err)
				}
				opened.Add(1)
			}()
		}
	}()
	return opened, failed, func() { cancel(); <-done }
}

// exchange opens a connection, says a line, and closes it.
func exchange(from *sandbox.Host, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ovstest.Patience)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	return say(c, "hello", ovstest.Patience)
}

// comings are backends of load balancers in a storm, in turn: they get weight 0, go, and come back.
var comings = []string{
	"{endpoint: h2}, {endpoint: h3}, {endpoint: h4}",
	"{endpoint: h2, weight: 0}, {endpoint: h3}, {endpoint: h4}",
	"{endpoint: h3, weight: 1000}, {endpoint: h4}",
	"{endpoint: h2}, {endpoint: h3, weight: 0}, {endpoint: h4, weight: 0}",
	"{endpoint: h4}",
	"{labels: {tier: web}}",
}

// TestStormWhileBackendsComeAndGo is the storm through load balancers of each algorithm, with ports
// that come again, while backends drain, go and come back, and policy is narrowed.
func TestStormWhileBackendsComeAndGo(t *testing.T) {
	model := func(edit int) string {
		backends := comings[edit%len(comings)]
		more := ""
		if edit%2 == 1 {
			more = policy("t", "more", "{name: ssh, direction: ingress, action: allow, protocol: tcp, ports: [22]}")
		}
		return drained(backends, ", drain: {timeout: 60s}") + vip("consistent", 65, backends, ", algorithm: consistent, drain: {timeout: 60s}") +
			vip("source", 66, backends, ", algorithm: sourceIP, drain: {timeout: 60s}, onRemove: keep") +
			vip("double", 67, backends, ", snat: always, drain: {timeout: 60s}") + more
	}
	n, h1, _ := echoing(t, model(0))
	s := newStorm(t,
		stormPath{name: "hash", from: h1, address: "10.1.1.64:90"}, stormPath{name: "consistent", from: h1, address: "10.1.1.65:90"},
		stormPath{name: "sourceIP", from: h1, address: "10.1.1.66:90"}, stormPath{name: "snat: always", from: h1, address: "10.1.1.67:90"})
	s.blow(t, n, stormTime(t)/6, func(edit int) {
		n.Weir.Apply(model(edit + 1))
		n.Weir.Balancers("t")
	})
}

// TestARemovedBackendGoesOnToSeeItsGateway takes the last backend of a network out of two load
// balancers, one of them with snat: always, and then narrows policy under the sessions.
func TestARemovedBackendGoesOnToSeeItsGateway(t *testing.T) {
	more := policy("t", "more", "{name: ssh, direction: ingress, action: allow, protocol: tcp, ports: [22]}")
	model := func(backends string) string {
		return drained(backends, ", snat: always, drain: {timeout: 300s}") + vip("plain", 65, backends, ", drain: {timeout: 300s}")
	}
	n, h1, backends := echoing(t, model("{endpoint: h2}")+more)
	sessions := []net.Conn{opened(t, h1, "10.1.1.64:90"), opened(t, h1, "10.1.1.65:90")}
	for _, then := range []string{model("{endpoint: h3}") + more, model("{endpoint: h1}") + more, model("") + more, model("")} {
		n.Weir.Apply(then)
		for range 3 {
			answered(t, sessions[0])
			answered(t, sessions[1])
		}
	}
	if len(of(n, 64, 12)) != 1 || len(of(n, 65, 12)) != 1 {
		t.Errorf("h2 has %+v and %+v", of(n, 64, 12), of(n, 65, 12))
	}
	out, err := backends[0].Exec(t.Context(), "ss", "-Htn", "state", "established")
	if err != nil || strings.Count(out, "10.2.1.1:") != 1 || strings.Count(out, "10.1.1.11:") != 1 {
		t.Errorf("%v, h2 sees %s", err, out)
	}
}
