package test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gopacket/gopacket/layers"

	"weir/test/ovstest"
)

// fits checks that a screen is no wider than it may be.
func fits(t *testing.T, screen string, width int) {
	t.Helper()
	for line := range strings.Lines(screen) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// numberIn waits until a pattern is on the screen, and what it has in parentheses is a number that is wanted.
func numberIn(t *testing.T, x *ovstest.Terminal, pattern string, wanted func(float64) bool) {
	t.Helper()
	p := regexp.MustCompile(pattern)
	ovstest.Eventually(t, pattern, func() error {
		screen := x.Screen()
		m := p.FindStringSubmatch(screen)
		if m == nil {
			return fmt.Errorf("not on the screen:\n%s", screen)
		}
		if n, err := strconv.ParseFloat(m[1], 64); err != nil || !wanted(n) {
			return fmt.Errorf("%s, %v:\n%s", m[1], err, screen)
		}
		return nil
	})
}

// TestTopShowsWhatGoesOn watches weir top in a terminal while connections come: each pane, what changes, the
// daemon away and back, another size; and the terminal is left as it was.
func TestTopShowsWhatGoesOn(t *testing.T) {
	l := newLab(t, 2, labModel("", policy("t", "p",
		"{name: any-name-that-is-so-long-that-it-has-to-be-cut, direction: ingress, action: allow, protocol: udp}",
		"{name: no, direction: ingress, action: deny, protocol: tcp}")))
	x := l.Terminal()
	x.Type("echo before; stty -a >before")
	x.Shows("before\n")
	state := x.State()
	port := layers.UDPPort(1000)
	open := func(n int) {
		for range n {
			port++
			l.send(udp(1, 2, port, 53))
		}
	}
	open(5)
	x.Weir("top")
	fits(t, x.Shows("weir top", "br0  programmed", "[1 tenants]", "TENANT", "q quit"), 80)
	numberIn(t, x, `(?m)^t +(\d+) `, func(n float64) bool { return n == 5 })
	open(7)
	numberIn(t, x, `(?m)^t +(\d+) `, func(n float64) bool { return n == 12 })
	grows := func(pattern string, more func()) {
		t.Helper()
		numberIn(t, x, pattern, func(n float64) bool { more(); return n > 0 })
	}
	grows(`(?m)^t +\d+ +([\d.]+) `, func() { open(3) })
	grows(`(?m)^t +\d+ +[\d.]+ +([\d.]+) `, func() { l.send(tcp(1, 2, 1000, 80, "S")) })

	x.Press("2")
	fits(t, x.Shows("[2 rules]", "t/policy/p/any-name", "…", "deny"), 80)
	grows(`(?m)^t/policy/p/any.* allow +([\d.]+) `, func() { open(3) })
	x.Press("4", "f")
	x.Shows("[4 talkers: source]", "source  10.1.1.1 h1")
	numberIn(t, x, `(?m)^source +10\.1\.1\.1 h1 .* (\d+)$`, func(n float64) bool { return n >= 12 })
	x.Press("5")
	x.Shows("denied by a rule")
	x.Press("?")
	fits(t, x.Shows("pgup"), 80)
	x.Press("?", "1", "p")
	x.Shows("PAUSED")
	x.Press("p")

	l.Weir.Stop()
	fits(t, x.Shows("AWAY since", "no daemon answers"), 80)
	l.Weir.Start()
	ovstest.Eventually(t, "the daemon is seen again", func() error {
		if s := x.Screen(); strings.Contains(s, "AWAY") || !strings.Contains(s, "br0  programmed") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	for _, size := range [][2]int{{40, 12}, {132, 40}, {80, 24}} {
		x.Resize(size[0], size[1])
		ovstest.Eventually(t, fmt.Sprint("the size is heeded: ", size), func() error {
			s := strings.TrimRight(x.Screen(), "\n")
			if lines := strings.Split(s, "\n"); len(lines) != size[1] || !strings.HasPrefix(s, "weir top") || !strings.HasPrefix(lines[size[1]-1], "tab 1-5") || (len(lines[size[1]-1]) < 70) != (size[0] == 40) {
				return fmt.Errorf("%d lines:\n%s", len(lines), s)
			}
			return nil
		})
		fits(t, x.Screen(), size[0])
	}

	x.Press("q")
	x.Idle()
	screen := x.Shows("\nbefore\n#")
	if strings.Contains(screen, "[1 tenants]") || x.State() != state {
		t.Errorf("the terminal is left otherwise: %s, was %s\n%s", x.State(), state, screen)
	}
	x.Type("stty -a >after; cmp before after && echo all is as it was")
	x.Shows("\nall is as it was")
}
