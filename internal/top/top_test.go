package top

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"weir/api"
)

var update = flag.Bool("update", false, "write testdata")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)

// reading is what was read so many seconds after noon.
func reading(seconds int) api.Top {
	n := uint64(seconds)
	return api.Top{
		Version: "v1", At: noon.Add(time.Duration(seconds) * time.Second), Seconds: 0.01,
		Bridges: []api.TopBridge{{Name: "br0", State: "programmed", Flows: 305, Groups: 3, Drift: 1, Drops: []api.DropCount{
			{Reason: "denied by a rule", Packets: 100 + 20*n}, {Reason: "spoofed", Packets: 7}}}},
		Tenants: []api.TopTenant{
			{Name: "blue", Connections: 200_000, Begun: 10 + 2*n, Denied: 5 * n, Limit: &api.Fill{Connections: 81, Max: 100, Alarm: "near"}},
			{Name: "red-tenant-with-a-name-that-is-not-short-at-all", Connections: 12, Begun: 3 * n, Metered: 4 * n},
		},
		Rules: []api.Rule{
			{ID: "blue/policy/db-ingress/app-to-postgres", Action: "allow", Hits: 1000 * n, Connections: 150},
			{ID: "blue/policy/web-ingress-of-all-that-is-in-front/everybody-who-is-outside-and-wants-to-see-it", Action: "allow", Hits: 2000 * n, Connections: 20},
			{ID: "blue/default/ingress", Action: "deny", Hits: 3},
		},
		Balancers: []api.Balancer{{ID: "blue/loadbalancer/shop", Backends: []api.Backend{
			{Endpoint: "blue/endpoint/web-1", Address: "10.1.0.11", Weight: 100, InForce: 50, Health: "up", State: "serving", Connections: 28, PerSecond: 0.5},
			{Address: "10.1.0.13", Weight: 0, State: "draining", Connections: 12},
		}}},
		Talkers: []api.Talker{
			{Kind: "rule", Tenant: "blue", Name: "blue/policy/db-ingress/app-to-postgres", Connections: 150, Bytes: 3 << 20},
			{Kind: "source", Tenant: "blue", Name: "10.1.0.11", Endpoint: "web-1", Connections: 100, Bytes: 900},
			{Kind: "destination", Tenant: "blue", Name: "[fd00:1234:5678:9abc:def0:1234:5678:9abc]:5432", Connections: 99},
		},
	}
}

// shown is a model that has been answered twice.
func shown(width, height int) Model {
	m := New(context.Background(), nil)
	for _, msg := range []tea.Msg{tea.WindowSizeMsg{Width: width, Height: height}, answer{top: reading(0), asked: noon}, answer{top: reading(2), asked: noon}} {
		m = told(m, msg)
	}
	return m
}

func told(m Model, msg tea.Msg) Model {
	next, _ := m.Update(msg)
	return next.(Model)
}

func typed(m Model, keys string) Model {
	return told(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(keys)})
}

// TestScreens compares what is shown with testdata, one file for each pane.
func TestScreens(t *testing.T) {
	for name, keys := range map[string]string{"tenants": "1", "rules": "2", "backends": "3", "talkers": "4", "sources": "4f", "drops": "5", "help": "?", "turned": "2ssr"} {
		t.Run(name, func(t *testing.T) {
			got := trimmed(typed(shown(80, 24), keys).View())
			path := "testdata/" + name + ".txt"
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if d := cmp.Diff(string(want), got); d != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, d)
			}
		})
	}
}

// trimmed is a screen as text, without what is empty at the ends.
func trimmed(screen string) string {
	var b strings.Builder
	for line := range strings.Lines(ansi.Strip(screen)) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// TestEverySizeFits shows each pane in terminals of all sizes.
func TestEverySizeFits(t *testing.T) {
	for width := 1; width < 140; width += 7 {
		for height := 1; height < 40; height += 3 {
			for _, keys := range []string{"1", "2", "3", "4", "5", "?"} {
				m := typed(shown(width, height), keys)
				m.trouble = "no daemon answers on /run/weir/weir.sock"
				lines := strings.Split(m.View(), "\n")
				if len(lines) != height {
					t.Fatalf("%d x %d, %s: %d lines", width, height, keys, len(lines))
				}
				for _, l := range lines {
					if n := ansi.StringWidth(l); n > width {
						t.Fatalf("%d x %d, %s: %d wide: %q", width, height, keys, n, l)
					}
				}
			}
		}
	}
}

func TestRatesAreUnknownUntilTheyAreKnown(t *testing.T) {
	m := told(New(context.Background(), nil), answer{top: reading(5), asked: noon})
	newPerSecond := func(m Model) string { return typed(m, "1").rows()[0][2].text }
	if got := newPerSecond(m); got != "-" {
		t.Errorf("%s after one reading", got)
	}
	if got := newPerSecond(told(m, answer{top: reading(5), asked: noon})); got != "-" {
		t.Errorf("%s after the same reading again", got)
	}
	m = told(m, answer{top: reading(6), asked: noon})
	if got := newPerSecond(m); got != "2.0" {
		t.Errorf("%s, want 2.0", got)
	}
	anew := reading(7)
	anew.Tenants[0].Begun = 0
	if got := newPerSecond(told(m, answer{top: anew, asked: noon})); got != "-" {
		t.Errorf("%s when the daemon counts anew", got)
	}
}

func TestAwayIsSaidUntilItIsBack(t *testing.T) {
	m := told(shown(80, 24), answer{err: errors.New("no daemon answers"), asked: noon})
	if v := m.View(); !strings.Contains(v, "AWAY since 12:00:00") || !strings.Contains(v, "blue") {
		t.Error(v)
	}
	m = told(m, answer{err: errors.New("no daemon answers"), asked: noon.Add(time.Hour)})
	if v := m.View(); !strings.Contains(v, "AWAY since 12:00:00") {
		t.Error(v)
	}
	if v := told(m, answer{top: reading(9), asked: noon}).View(); strings.Contains(v, "AWAY") {
		t.Error(v)
	}
}

func TestPauseKeepsWhatIsShown(t *testing.T) {
	m := typed(shown(80, 24), "p")
	before := m.View()
	if after := told(m, answer{top: reading(9), asked: noon}).View(); after != before || !strings.Contains(after, "PAUSED") {
		t.Error(cmp.Diff(before, after))
	}
	if v := told(typed(m, "p"), answer{top: reading(9), asked: noon}).View(); !strings.Contains(v, "12:00:09") {
		t.Error(v)
	}
}

func TestScrollingEndsAtBothEnds(t *testing.T) {
	m := typed(shown(80, 8), "2")
	first := func() string { return m.View() }
	top := first()
	m = typed(m, "jjjjjjjjjj")
	if end := first(); end == top || !strings.Contains(end, "default/ingress") {
		t.Error(end)
	}
	m = typed(m, "kkk")
	if v := first(); v != top {
		t.Error(cmp.Diff(top, v))
	}
}
