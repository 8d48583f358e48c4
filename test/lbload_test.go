package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
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
	serveUntil(t, hosts[0], "10.2.1.12:8000", "h2")
	became := weightOf(t, n, "10.2.1.12", func(w int) bool { return w > 0 })
	early := served(t, h1, "10.1.1.64:8000", 100)
	during := time.Since(became)
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w >= 50 })
	middle := served(t, h1, "10.1.1.64:8000", 100)
	whole := weightOf(t, n, "10.2.1.12", func(w int) bool { return w == 100 })
	late := served(t, h1, "10.1.1.64:8000", 100)
	t.Logf("of 100 connections to two backends, one that begins slowly had %d in the first %v, %d about half of its time, and %d when it was over, after %v",
		early["h2"], during.Round(time.Millisecond), middle["h2"], late["h2"], whole.Sub(became).Round(time.Millisecond))
	if early["h2"] > 30 || early["h2"] == 0 || late["h2"] < 35 || middle["h2"] <= early["h2"] {
		t.Error("that is no slow start")
	}
	if took := whole.Sub(became); took < 9*time.Second || took > 11*time.Second {
		t.Errorf("it took %v, want 10 s", took)
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
		c, err := h1.Dial(t.Context(), "tcp", "10.1.1.64:8090")
		if err != nil {
			t.Fatal(err)
		}
		who := make([]byte, 2)
		if _, err := io.ReadFull(c, who); err != nil {
			t.Fatal(err)
		}
		if string(who) != "h2" {
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
