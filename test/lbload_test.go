package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestASlowStartIsSeen counts who serves while a backend that has come back begins slowly, and after.
func TestASlowStartIsSeen(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], "+asked("type: tcp, slowStart: 10s")),
		policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
	serveUntil(t, hosts[1], "10.2.1.13:8000", "h3")
	know(t, n, "t/loadbalancer/web", "10.2.1.12 down 0", "10.2.1.13 up 100")
	began := time.Now()
	serveUntil(t, hosts[0], "10.2.1.12:8000", "h2")
	became := weightOf(t, n, "10.2.1.12", func(w int) bool { return w > 0 })
	early := served(t, h1, "10.1.1.64:8000", 100)
	during, by := time.Since(became), 0
	weightOf(t, n, "10.2.1.12", func(w int) bool { by = w; return true })
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w >= 50 })
	middle := served(t, h1, "10.1.1.64:8000", 100)
	whole := weightOf(t, n, "10.2.1.12", func(w int) bool { return w == 100 })
	late := served(t, h1, "10.1.1.64:8000", 100)
	t.Logf("of 100 connections to two backends, one that begins slowly had %d in the first %v, %d about half of its time, and %d when it was over, after %v",
		early["h2"], during.Round(time.Millisecond), middle["h2"], late["h2"], whole.Sub(became).Round(time.Millisecond))
	most := 100*by/(100+by) + 14 // three standard deviations more than it should have had in the end
	if early["h2"] > most || early["h2"] == 0 || late["h2"] < 29 || by < 50 && middle["h2"] <= early["h2"] {
		t.Errorf("that is no slow start: its weight was %d after the first", by)
	}
	if whole.Sub(began) < 10*time.Second || whole.Sub(became) > 15*time.Second { // who looks sees either late
		t.Errorf("it took %v after it had become well, %v after it was there; want 10 s", whole.Sub(became), whole.Sub(began))
	}
}

// weightOf waits until a backend has a weight that is as wanted, and returns when.
func weightOf(t *testing.T, n *ovstest.Net, backend string, wanted func(int) bool) time.Time {
	t.Helper()
	ovstest.Eventually(t, "weight of "+backend, func() error {
		s, err := n.Weir.Status()
		if err != nil {
			return err
		}
		for _, b := range s.Backends {
			if b.Backend == backend && wanted(int(b.Weight)) {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Backends)
	})
	return time.Now()
}

// TestWeightsFollowReportedLoad has one of two backends say that it is busy, and then that it is not.
func TestWeightsFollowReportedLoad(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], load: {type: reported, port: 9100, path: /busy, interval: 1s, strength: 75}")))
	var busy atomic.Int64
	busy.Store(100)
	serveLoad(t, hosts[0], "10.2.1.12:9100", func() string { return fmt.Sprint(busy.Load()) })
	serveLoad(t, hosts[1], "10.2.1.13:9100", func() string { return `{"load": 0.0}` })
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w < 35 })
	by := served(t, h1, "10.1.1.64:80", 100)
	t.Logf("one that is busy gets %d of 100 connections", by["h2"])
	if by["h2"] > 40 || by["h2"] == 0 {
		t.Errorf("served by %v", by)
	}
	busy.Store(0)
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w > 90 })
}

// serveLoad says the load of a host at GET /busy.
func serveLoad(t *testing.T, h *sandbox.Host, address string, load func() string) {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/busy" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, load())
	})}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
}

// TestWeightsFollowConnections opens connections that stay, and closes those to all backends but one: new
// ones go to the others rather.
func TestWeightsFollowConnections(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8090, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], load: {type: connections, interval: 1s, strength: 75}"),
		policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")))
	for i, h := range hosts[:2] {
		accept(t, h, fmt.Sprintf("10.2.1.%d:8090", 12+i), func(c net.Conn) {
			io.WriteString(c, h.Name)
			io.Copy(io.Discard, c)
		})
	}
	for open := 0; open < 40; {
		c, who := dialed(t, h1)
		if who != "h2" {
			c.Close()
			continue
		}
		defer c.Close()
		open++
	}
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w < 65 })
	if got := states(n, "t/loadbalancer/web"); !strings.HasSuffix(got[1], " 100") {
		t.Errorf("%v", got)
	}
}

// TestWeightsFollowWhatIsBegun has a tenant with so many connections that they are counted seldom, and all new ones of a client
// go to one backend: its weight goes down before they are counted again, by what was begun with it.
func TestWeightsFollowWhatIsBegun(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, algorithm: sourceIP, ports: [{port: 8090, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], load: {type: connections, interval: 1s, strength: 75}"),
		policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}, {name: all, direction: ingress, action: allow, protocol: udp}")))
	if n.Kernel() {
		t.Skip("SKIPPED: a guest has no room for so many connections that it is long until they are counted again")
	}
	for i, h := range hosts[:2] {
		ip := fmt.Sprintf("10.2.1.%d", 12+i)
		accept(t, h, ip+":8090", func(c net.Conn) {
			io.WriteString(c, ip)
			io.Copy(io.Discard, c)
		})
	}
	for i := range 2 {
		crowd(t, h1, fmt.Sprintf("10.2.1.1%d", 3+i), 60000)
	}
	backend := keep(t, h1, 1)
	counted := func(least float64) (at time.Time) {
		t.Helper()
		ovstest.Within(t, 6*ovstest.Patience, fmt.Sprint(least, " connections have been counted"), func() error { // seldom, by what it costs
			if now := openOf(t, n, backend); now < least {
				return fmt.Errorf("%v connections", now)
			}
			return nil
		})
		return time.Now()
	}
	counted(1)
	keep(t, h1, 1)
	began := counted(2) // which is the second time
	ovstest.Eventually(t, "weight of "+backend, func() error {
		keep(t, h1, 1)
		b := states(n, "t/loadbalancer/web")
		for _, w := range b {
			var weight int
			if _, err := fmt.Sscanf(w, backend+" not asked %d", &weight); err == nil && weight < 80 { // with two, 83 is the least; with less, the client may go to the other one
				return nil
			}
		}
		return fmt.Errorf("%v", b)
	})
	lighter := time.Since(began)
	if now := openOf(t, n, backend); now != 2 {
		t.Errorf("%v connections have been counted meanwhile", now)
	}
	t.Logf("a backend had less weight %v after a count, and connections have not been counted since", lighter)
}

// openOf returns how many connections a backend had when they were counted last; -1: they have not been.
func openOf(t *testing.T, n *ovstest.Net, backend string) float64 {
	t.Helper()
	m, err := n.Weir.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	now, counted := m[fmt.Sprintf(`weir_lb_connections{backend=%q,lb="web",tenant="t"}`, backend)]
	if !counted {
		return -1
	}
	return now
}

// crowd sends a datagram to each of so many ports, each of which is a connection for a while.
func crowd(t *testing.T, from *sandbox.Host, to string, ports int) {
	t.Helper()
	c, err := from.ListenPacket("udp", "10.1.1.11:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range ports {
		if _, err := c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(ovstest.Addr(to), uint16(1+i)))); err != nil {
			t.Fatal(err)
		}
	}
}

// keep opens connections that stay, all of which have to get to the same backend, and returns its address.
func keep(t *testing.T, from *sandbox.Host, wanted int) (backend string) {
	t.Helper()
	for range wanted {
		c, who := dialed(t, from)
		t.Cleanup(func() { c.Close() })
		if backend == "" {
			backend = who
		}
		if who != backend {
			t.Errorf("one gets to %s, and others to %s", who, backend)
		}
	}
	return backend
}

// dialed opens a connection to the load balancer, and returns what the backend says first.
func dialed(t *testing.T, from *sandbox.Host) (c net.Conn, who string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ovstest.Patience)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", "10.1.1.64:8090")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	b := make([]byte, 64)
	k, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return c, string(b[:k])
}
