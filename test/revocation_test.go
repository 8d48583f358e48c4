package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/test/ovstest"
)

// toPort is a rule that lets h1 in at a port of h2.
func toPort(port int) string {
	return fmt.Sprintf("{name: p%d, direction: ingress, action: allow, from: {endpoints: [h1]}, protocol: tcp, ports: [%d]}", port, port)
}

// opened opens a connection that works.
func opened(t *testing.T, from *sandbox.Host, to string) net.Conn {
	t.Helper()
	c, err := from.Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	answered(t, c)
	return c
}

func answered(t *testing.T, c net.Conn) {
	t.Helper()
	if err := say(c, "still there?", ovstest.Patience); err != nil {
		t.Errorf("%v -> %v: %v", c.LocalAddr(), c.RemoteAddr(), err)
	}
}

func silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := say(c, "still there?", time.Second); err == nil {
		t.Errorf("%v -> %v lives on, and its rule is gone", c.LocalAddr(), c.RemoteAddr())
	}
}

// isReset fails unless a connection is told that it is reset, when its client speaks.
func isReset(t *testing.T, c net.Conn) {
	t.Helper()
	if err := say(c, "still there?", ovstest.Patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v -> %v: it is told %v; want that it is reset", c.LocalAddr(), c.RemoteAddr(), err)
	}
}

// An ended is how the connections to a server have ended.
type ended chan error

// echo says back what comes to an address of a host, until that ends.
func (e ended) echo(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	accept(t, h, address, func(c net.Conn) {
		_, err := io.Copy(c, c)
		e <- err
	})
}

// isReset fails unless a server is told that a connection is reset.
func (e ended) isReset(t *testing.T) {
	t.Helper()
	select {
	case err := <-e:
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server is told %v; want that it is reset", err)
		}
	case <-time.After(ovstest.Patience):
		t.Error("the server is not told")
	}
}

// gone waits until the tracker knows no connection to a port of h2 any more.
func gone(t *testing.T, n *ovstest.Net, port uint16) {
	t.Helper()
	began := time.Now()
	zone := n.Weir.Zone("t")
	ovstest.Eventually(t, fmt.Sprint("no entry for port ", port), func() error {
		for _, e := range n.Entries(zone) {
			if e.Orig.DstPort == port {
				return fmt.Errorf("%+v", e)
			}
		}
		return nil
	})
	t.Logf("the entries for port %d were gone after %v", port, time.Since(began).Round(time.Millisecond))
}

func entriesTo(all []conntrack.Entry, port uint16) (some []conntrack.Entry) {
	for _, e := range all {
		if e.Orig.DstPort == port {
			some = append(some, e)
		}
	}
	return some
}

// TestTakenBack ends a live connection when its rule is taken away, and no other. The rule is
// given back, and the same connection goes on.
func TestTakenBack(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("allowDisruption: true") + forH2(toPort(81), toPort(82)))
	echo(t, h2, "10.1.1.2:81")
	echo(t, h2, "10.1.1.2:82")
	taken, other := opened(t, h1, "10.1.1.2:81"), opened(t, h1, "10.1.1.2:82")
	before := entriesTo(n.Entries(w.Zone("t")), 82)
	w.Apply(pairModel("allowDisruption: true") + forH2(toPort(82)))
	gone(t, n, 81)
	answered(t, other)
	silent(t, taken)
	gone(t, n, 81) // also what a packet that was under way has brought back
	if after := entriesTo(n.Entries(w.Zone("t")), 82); len(after) != 1 || after[0].Orig != before[0].Orig {
		t.Errorf("the other's entry was %+v, is %+v", before, after)
	}
	s, err := w.Status()
	if err != nil || s.Tenants[0].Ended != 1 || s.Tenants[0].RecentlyEnded[0].Ingress != "t/policy/h2/p81" {
		t.Errorf("the status says %+v, %v", s.Tenants, err)
	}
	w.Apply(pairModel("allowDisruption: true") + forH2(toPort(81), toPort(82)))
	answered(t, taken) // what it said meanwhile comes with it, once its TCP tries again
}

// TestExactlyTheConnectionsWithoutARuleEnd takes the rule of every third of 200 live
// connections away.
func TestExactlyTheConnectionsWithoutARuleEnd(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("allowDisruption: true") + forH2(toPort(81), toPort(82), toPort(83)))
	var all []net.Conn
	for port := 81; port <= 83; port++ {
		echo(t, h2, fmt.Sprint("10.1.1.2:", port))
	}
	for i := range 200 {
		all = append(all, opened(t, h1, fmt.Sprint("10.1.1.2:", 81+i%3)))
	}
	zone := w.Zone("t")
	began := time.Now()
	s := w.Apply(pairModel("allowDisruption: true") + forH2(toPort(81), toPort(83)))
	gone(t, n, 82)
	t.Logf("67 of 200 connections ended, and their entries gone, %v after the file was changed", time.Since(began).Round(time.Millisecond))
	ovstest.Eventually(t, "67 are said to have ended", func() (err error) {
		if s, err = w.Status(); err == nil && s.Tenants[0].Ended != 67 { // 200 = 67 + 67 + 66
			return fmt.Errorf("%+v", s.Tenants[0])
		}
		return err
	})
	if left := n.Entries(zone); len(left) != 133 {
		t.Errorf("%d entries are left, want 133", len(left))
	}
	for i, c := range all {
		if i%3 != 1 {
			answered(t, c)
			continue
		}
		c.Write([]byte("still there?"))
	}
	for i, c := range all {
		if i%3 == 1 {
			c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("%v lives on", c.LocalAddr())
			}
		}
	}
	if left := n.Entries(zone); len(left) != 133 {
		t.Errorf("%d entries after the others have spoken, want 133", len(left))
	}
}

// TestStormOfSweeps has 16 clients connect and reset while another rule is given and taken
// back, and with it, each time, the connections that it had admitted. None of the clients
// fails.
func TestStormOfSweeps(t *testing.T) {
	n, web, app, _ := routed(t)
	echo(t, app, "10.1.0.12:443")
	extra := policy("t", "extra", "{name: tls, direction: ingress, action: allow, protocol: tcp, ports: [443]}")
	w := n.Weir
	calm := strings.Replace(routedModel, "metadata: {name: t}\n", "metadata: {name: t}\nspec: {allowDisruption: true}\n", 1)
	w.Apply(calm + extra)
	rounds := 0
	newStorm(t, stormPath{name: "another rule", from: web, address: "10.1.0.12:80", to: app}).blow(t, n, 0, func(int) {
		taken := opened(t, web, "10.1.0.12:443")
		w.Apply(calm)
		ovstest.Eventually(t, "the connection is ended", func() error { // given back at once, the rule would admit it again
			s, err := w.Status()
			if err == nil && s.Tenants[0].Ended <= uint64(rounds) {
				err = fmt.Errorf("%d connections were ended in %d rounds", s.Tenants[0].Ended, rounds)
			}
			return err
		})
		taken.Close()
		w.Apply(calm + extra)
		rounds++
	})
	s, err := w.Status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d times a rule was taken back, and %d connections with it", rounds, s.Tenants[0].Ended)
	if s.Tenants[0].Ended < uint64(rounds) {
		t.Errorf("%d connections were ended in %d rounds", s.Tenants[0].Ended, rounds)
	}
}

// TestOF07RemovingARuleWithAndWithoutCuttingSessions: a policy that keeps goes, and what it
// has admitted lives on; the same policy comes back as one that does not, and goes again.
func TestOF07RemovingARuleWithAndWithoutCuttingSessions(t *testing.T) {
	n, h1, h2 := pair(t)
	with := func(onRevoke string) string {
		return pairModel("allowDisruption: true") + object("Policy", "name: h2, tenant: t", "onRevoke: "+onRevoke+", appliesTo: {endpoints: [h2]}, rules: ["+toPort(81)+"]")
	}
	w := n.Run(with("keep"))
	echo(t, h2, "10.1.1.2:81")
	zone := w.Zone("t")
	session := opened(t, h1, "10.1.1.2:81")

	w.Apply(pairModel("allowDisruption: true"))
	for other := range 3 { // in the new epoch, too
		answered(t, session)
		w.Apply(pairModel("allowDisruption: true", fmt.Sprintf("{name: other, direction: ingress, action: deny, protocol: tcp, ports: [%d]}", 1000+other)))
	}
	if e := entriesTo(n.Entries(zone), 81); len(e) != 1 || e[0].State != conntrack.Established {
		t.Errorf("kept, and the entries are %+v", e)
	}
	timesOut(t, h1, "10.1.1.2:81")

	w.Apply(with("enforce"))
	answered(t, session)
	w.Apply(pairModel("allowDisruption: true"))
	gone(t, n, 81)
	silent(t, session)
	gone(t, n, 81) // also what a packet that was under way has brought back
}

// TestAnIdleSessionIsCutToo is the second half of O-F07 with a session that says nothing
// between the policies, so that its mark still says keep.
func TestAnIdleSessionIsCutToo(t *testing.T) {
	n, h1, h2 := pair(t)
	with := func(onRevoke string) string {
		return pairModel("allowDisruption: true") + object("Policy", "name: h2, tenant: t", "onRevoke: "+onRevoke+", rules: ["+toPort(81)+"]")
	}
	w := n.Run(with("keep"))
	echo(t, h2, "10.1.1.2:81")
	session := opened(t, h1, "10.1.1.2:81")
	w.Apply(pairModel("allowDisruption: true"))
	w.Apply(with("enforce"))
	w.Apply(pairModel("allowDisruption: true"))
	gone(t, n, 81)
	silent(t, session)
}

// TestAnEpochComesAgainOnlyWhenNoConnectionCarriesIt narrows a policy 260 times, with two idle
// connections: the values of the epoch have gone round by then, and passed over the one that
// both still carry. When the rule of one of them goes after all, that one ends. A guest needs
// two minutes for so many edits: there the values do not go round, unless WEIR_LONG asks for it.
func TestAnEpochComesAgainOnlyWhenNoConnectionCarriesIt(t *testing.T) {
	n, h1, h2 := pair(t)
	with := func(i int, rules ...string) string { // each edit takes a port back, and gives another
		return pairModel("allowDisruption: true") + forH2(append(rules, toPort(1000+i))...)
	}
	w := n.Run(with(0, toPort(81), toPort(82)))
	echo(t, h2, "10.1.1.2:81")
	echo(t, h2, "10.1.1.2:82")
	taken, other := opened(t, h1, "10.1.1.2:81"), opened(t, h1, "10.1.1.2:82")
	carried := w.Connections("t")[0].Epoch
	edits := n.Rounds(260)
	seen, i := map[uint8]int{}, 1
	for ; i <= edits; i++ {
		epoch := w.Change(with(i, toPort(81), toPort(82))).Tenants[0].Epoch
		if seen[epoch]++; epoch == carried {
			t.Fatalf("edit %d has epoch %d, which connections carry", i, epoch)
		}
	}
	if len(seen) != min(edits, 254) {
		t.Errorf("%d edits had %d epochs, want all 255 but the one that is carried", edits, len(seen))
	}
	w.Apply(with(i, toPort(82)))
	gone(t, n, 81)
	answered(t, other)
	silent(t, taken)
}

// TestAModelThatEndsConnectionsIsHeldUntilItIsAllowed takes the rule of a live connection back,
// and then most of the bridge.
func TestAModelThatEndsConnectionsIsHeldUntilItIsAllowed(t *testing.T) {
	n, h1, h2 := pair(t)
	w := n.Run(pairModel("") + forH2(toPort(81), toPort(82)))
	echo(t, h2, "10.1.1.2:81")
	session := opened(t, h1, "10.1.1.2:81")
	w.Apply(pairModel("") + forH2(toPort(81))) // nobody uses port 82

	why := w.Held(pairModel("") + forH2(toPort(82)))
	if len(why) != 1 || !strings.Contains(why[0], "t would lose an established connection by its policy") || !strings.Contains(why[0], "let in by t/policy/h2/p81") {
		t.Errorf("held: %q", why)
	}
	answered(t, session)
	timesOut(t, h1, "10.1.1.2:82")
	plan, err := w.Tool("plan", "-f", w.Model())
	if !strings.Contains(plan, "connections affected: 1") || !strings.Contains(plan, "would be held") || err == nil {
		t.Errorf("weir plan says %q, %v", plan, err)
	}
	if status, err := w.Tool("status"); err != nil || !strings.Contains(status, "is held, and revision 2 stays in force") {
		t.Errorf("weir status says %q, %v", status, err)
	}

	many := object("Policy", "name: many, tenant: t", "rules: ["+strings.Join(rules(60), ", ")+"]")
	w.Apply(pairModel("allowDisruption: true") + forH2(toPort(82)) + many)
	gone(t, n, 81)
	if why := w.Held(pairModel("allowDisruption: true")); len(why) != 1 || !strings.Contains(why[0], "br0 would lose") {
		t.Errorf("held: %q", why)
	}
	w.Apply(strings.Replace(pairModel(""), bridge, bridge+"spec: {allowDisruption: true}\n", 1))
}

// rules are n rules.
func rules(n int) (all []string) {
	for i := range n {
		all = append(all, toPort(2000+2*i))
	}
	return all
}

// TestAPingOverIPv6StopsAndGoesOn takes the rule of a running ping back and gives it again. On
// versions on which no connection of ICMPv6 can be flushed, the flows alone stop it, and have
// to judge it once more.
func TestAPingOverIPv6StopsAndGoesOn(t *testing.T) {
	n, web, _, _ := routed(t)
	w := n.Weir
	without := strings.Replace(routedModel, "  - {name: ping6, direction: ingress, action: allow, protocol: icmpv6}\n", "", 1)
	pinged := make(chan string, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		out, err := web.Exec(ctx, "ping", "-6", "-n", "-q", "-i", "0.05", "fd00:1::12") // until it is stopped, however long the rest takes
		pinged <- fmt.Sprint(out, err)
	}()
	defer func() { stop(); <-pinged }()
	answers := func() uint64 {
		return n.Packets(func(f ofproto.Flow) bool { return f.Table == pipeline.CtState && f.Priority == 400 })
	}
	flowing := func(want bool) {
		t.Helper()
		ovstest.Eventually(t, fmt.Sprint("packets of an established connection pass: ", want), func() error {
			before := answers()
			<-time.After(300 * time.Millisecond) // six pings
			if got := answers() > before; got != want {
				return fmt.Errorf("they do: %v", got)
			}
			return nil
		})
	}
	flowing(true)
	w.Apply(without)
	flowing(false)
	w.Apply(routedModel)
	flowing(true)
}

// TestAResetTellsBothEnds takes the rule of a connection back whose policy has it reset: when one
// of its ends speaks next, both are told, routed or not, and the tracker forgets it.
func TestAResetTellsBothEnds(t *testing.T) {
	n, web, app, db := routed(t)
	calm := strings.Replace(routedModel, "metadata: {name: t}\n", "metadata: {name: t}\nspec: {allowDisruption: true}\n", 1)
	w := n.Weir
	w.Apply(calm + object("Policy", "name: resets, tenant: t", "onRevoke: reset, rules: [{name: r, direction: ingress, action: allow, protocol: tcp, ports: [81]}]"))
	addresses := []string{"10.1.0.12:81", "10.2.0.13:81"}
	var open []net.Conn
	server := make(ended, len(addresses))
	for i, host := range []*sandbox.Host{app, db} {
		server.echo(t, host, addresses[i])
		open = append(open, opened(t, web, addresses[i]))
	}
	w.Apply(calm)
	for _, c := range open {
		isReset(t, c)
		server.isReset(t)
	}
	gone(t, n, 81)
}
