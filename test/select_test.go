package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"weir/api"
	"weir/test/ovstest"
)

// TestConnectionsAreSelected has terms, orders and counts of connections that are in a tracker; then some of
// them are forgotten, after it was planned.
func TestConnectionsAreSelected(t *testing.T) {
	l := newLab(t, 2, labModel("", policy("t", "p",
		"{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}",
		"{name: web, direction: ingress, action: allow, protocol: tcp, ports: [80]}")))
	for port := range 3 {
		l.send(udp(1, 2, 1000, 53))
		l.send(tcp(1, 2, layers.TCPPort(2000+port), 80, "S"))
	}
	l.send(udp(2, 1, 1000, 53))
	l.send(icmp6(1, 2, 128, 0, nil)) // stopped: there is no connection
	l.send(udp(1, 2, 1001, 53).over6())

	count := func(want int, args ...string) {
		t.Helper()
		out, err := l.Weir.Tool(append([]string{"connections", "-o", "name"}, args...)...)
		if got := strings.Count(out, "\n"); err != nil || got != want {
			t.Errorf("%v: %d, want %d: %s%v", args, got, want, out, err)
		}
	}
	count(6)
	count(3, "protocol=tcp")
	count(2, "src=h1", "protocol=udp")
	count(1, "src=h2")
	count(1, "src=fd00:1::/64")
	count(3, "rule=policy/p/dns")
	count(6, "rule=policy/p", "-t", "t")
	count(0, "rule=policy/pp")
	count(1, "sport>2001")
	count(3, "state=SYN_SENT", "dport=80", "!blocked", "host=10.1.1.0/24")
	count(3, "protocol!=tcp")

	_, err := l.Weir.Tool("connections", "dport=80", "src=h3")
	if want := "selector, column 14: src: there is no endpoint \"h3\": did you mean \"h1\"?\n    dport=80 src=h3\n                 ^"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	out, err := l.Weir.Tool("connections", "--top", "1")
	for _, want := range []string{"source       10.1.1.1", "destination  10.1.1.2:80", "rule         t/default/egress", "h1        t       4"} {
		if err != nil || !strings.Contains(out, want) || strings.Count(out, "\n") != 4 {
			t.Errorf("%s, %v; want %s", out, err, want)
		}
	}
	var sorted []api.Connection
	out, err = l.Weir.Tool("connections", "--sort", "src", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &sorted)
	}
	if err != nil || !slices.IsSortedFunc(sorted, func(a, b api.Connection) int {
		return ovstest.Addr(a.Orig.Src).Compare(ovstest.Addr(b.Orig.Src))
	}) || sorted[0].From != "t/endpoint/h1" || sorted[0].To != "t/endpoint/h2" {
		t.Errorf("%v: %s", err, out)
	}

	out, some, err := l.Weir.Plan("connections", "-t", "t", "protocol=tcp", "--kill", "--plan")
	if err != nil || !some || !strings.HasSuffix(out, "3 connections of t would be forgotten, 0 left\n") {
		t.Errorf("%v, %v: %s", some, err, out)
	}
	count(6)
	if out, some, err = l.Weir.Plan("connections", "-t", "t", "protocol=sctp", "--kill", "--plan"); err != nil || some {
		t.Errorf("%v, %v: %s", some, err, out)
	}
	name := "/v1/connections/" + sorted[1].Ref
	if status, body, err := l.Weir.Delete(name); err != nil || status != 200 || !strings.Contains(body, `"killed":1`) {
		t.Errorf("%d, %s, %v", status, body, err)
	}
	count(5)
	if status, body, err := l.Weir.Delete(name); err != nil || status != 404 || !strings.Contains(body, "no tenant has a connection") {
		t.Errorf("again: %d, %s, %v", status, body, err)
	}
	if out, err = l.Weir.Tool("connections", "-t", "t", "--kill", "id="+sorted[0].Ref); err != nil || !strings.HasPrefix(out, "1 connection of t forgotten") {
		t.Errorf("%v: %s", err, out)
	}
	count(4)
	if _, err = l.Weir.Tool("connections", "-t", "t", "--kill"); err == nil || !strings.Contains(err.Error(), "say which connections") {
		t.Errorf("all are forgotten without a word: %v", err)
	}
	if out, err = l.Weir.Tool("connections", "-t", "t", "--kill", "protocol=tcp"); err != nil || !strings.HasPrefix(out, "2 connections of t forgotten") {
		t.Errorf("%v: %s", err, out)
	}
	count(0, "protocol=tcp")
}

// TestConnectionsAreWatchedInATerminal has weir connections -w in 80 x 24 while connections come and end.
func TestConnectionsAreWatchedInATerminal(t *testing.T) {
	l := newLab(t, 2, labModel("", policy("t", "p", "{name: any, direction: ingress, action: allow}")))
	x := l.Terminal()
	state := x.State()
	l.send(tcp(1, 2, 1000, 80, "S"))
	x.Weir("connections", "-w", "-t", "t")
	fits(t, x.Shows("weir connections", "  1 now", "SYN_SENT", "10.1.1.1:1000", "10.1.1.2:80", "q quit"), 80)
	l.send(udp(1, 2, 1999, 53))
	x.Shows("  2 now", "new ", "10.1.1.1:1999")
	l.send(tcp(2, 1, 80, 1000, "SA"))
	l.send(tcp(1, 2, 1000, 80, "A"))
	screen := x.Shows("ESTABLISHED", "changed")
	fits(t, screen, 80)
	t.Logf("\n%s", strings.TrimRight(screen, "\n"))
	if _, err := l.Weir.Tool("connections", "-t", "t", "--kill", "dport=53"); err != nil {
		t.Fatal(err)
	}
	x.Shows("  1 now", "ended ")
	l.Weir.Stop()
	fits(t, x.Shows("AWAY since"), 80)
	l.Weir.Start()
	ovstest.Eventually(t, "the daemon is seen again", func() error {
		if s := x.Screen(); strings.Contains(s, "AWAY") || !strings.Contains(s, "  1 now") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	x.Press("q")
	x.Idle()
	if s := x.Screen(); x.State() != state || strings.Contains(s, "q quit") {
		t.Errorf("%s, was %s:\n%s", x.State(), state, s)
	}
}
