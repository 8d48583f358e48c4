package test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/test/ovstest"
)

// TestConnectionsAreWatched has connections come, change and go while weir connections -w runs: each
// is told once, in order, with who opened it; and what the filter does not mean is not told.
func TestConnectionsAreWatched(t *testing.T) {
	l := newLab(t, 2, labModel("", policy("t", "p", "{name: any, direction: ingress, action: allow}")))
	l.send(tcp(1, 2, 1000, 80, "S"))
	all := l.Weir.Follow("connections", "-w")
	said := func(where func() string, want ...string) {
		t.Helper()
		ovstest.Eventually(t, fmt.Sprintf("%q is told", want), func() error {
			if got := toldOf(where()); !slices.Equal(got, want) {
				return fmt.Errorf("told is %q", got)
			}
			return nil
		})
	}
	said(all, "present tcp 1000 SYN_SENT")
	l.send(udp(1, 2, 1999, 53))
	said(all, "present tcp 1000 SYN_SENT", "new udp 1999")
	some := l.Weir.Follow("connections", "-w", "-t", "t", "--protocol", "udp", "-o", "name")
	said(some, "present udp 1999")
	l.send(udp(1, 2, 2000, 53))
	said(all, "present tcp 1000 SYN_SENT", "new udp 1999", "new udp 2000")
	l.send(tcp(2, 1, 80, 1000, "SA"))
	l.send(tcp(1, 2, 1000, 80, "A"))
	ovstest.Eventually(t, "the connection is established", func() error {
		if last := toldOf(all()); !strings.HasPrefix(last[len(last)-1], "changed tcp 1000") || !strings.HasSuffix(last[len(last)-1], "ESTABLISHED") {
			return fmt.Errorf("told is %q", last)
		}
		return nil
	})
	if _, err := l.Weir.Tool("connections", "kill", "-t", "t", "--protocol", "udp", "--sport", "2000"); err != nil {
		t.Fatal(err)
	}
	said(some, "present udp 1999", "new udp 2000", "ended udp 2000")
	ovstest.Eventually(t, "that it has ended is told to who watches all, too", func() error {
		if told := toldOf(all()); told[len(told)-1] != "ended udp 2000" {
			return fmt.Errorf("told is %q", told)
		}
		return nil
	})
}

var (
	changeLine = regexp.MustCompile(`^\S+ +(present|new|changed|ended) +t +(\S+) +10\.1\.1\.1:(\d+) +10\.1\.1\.2:\d+ *(.*)$`)
	changeName = regexp.MustCompile(`^(present|new|changed|ended) t/(\S+)/10\.1\.1\.1:(\d+)-10\.1\.1\.2:\d+(.*)$`)
)

// toldOf returns what weir connections -w has told, without times.
func toldOf(text string) (told []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := changeLine.FindStringSubmatch(line)
		if m == nil {
			m = changeName.FindStringSubmatch(line)
		}
		switch {
		case m != nil:
			told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", m[1], m[2], m[3], m[4])))
		case !strings.HasPrefix(line, "TIME "):
			told = append(told, line)
		}
	}
	return told
}
