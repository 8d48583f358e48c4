package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// completed is what a shell is offered, without the descriptions.
func (w *world) completed(args ...string) (all []string, directive string) {
	w.t.Helper()
	out, err := w.weir(append([]string{"__complete"}, args...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	for l := range strings.Lines(out) {
		word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
		if strings.HasPrefix(word, ":") {
			return all, word
		}
		all = append(all, word)
	}
	return all, ""
}

func TestShellsAreOfferedWhatThereIs(t *testing.T) {
	w := newWorld(t, twoHosts)
	w.start()
	w.status("programmed", programmed(1))
	socket := w.path("weir.sock")
	const noFile, noSpaceNorFile, file, folder = ":4", ":6", ":0", ":16"
	for _, c := range []struct {
		args      []string
		want      string // one of what is offered; empty: nothing is
		directive string
	}{
		{[]string{"connections", "--socket", socket, "-t", ""}, "blue", noFile},
		{[]string{"connections", "kill", "--socket", socket, "--tenant", "b"}, "blue", noFile},
		{[]string{"connections", "dp"}, "dport=", noSpaceNorFile},
		{[]string{"connections", "!b"}, "!blocked", noSpaceNorFile},
		{[]string{"conn"}, "connections", noFile},
		{[]string{"flows", "--socket", socket, ""}, "br0", noFile},
		{[]string{"flows", "--socket", socket, "br0", ""}, "", noFile},
		{[]string{"flows", "--socket", socket, "--intent", "blue/"}, "blue/policy/web/http", noFile},
		{[]string{"flows", "--table", "POL"}, "POL_IN", noFile},
		{[]string{"detach", "--ovsdb", w.box.DB(), ""}, "br0", noFile},
		{[]string{"status", "-o", ""}, "wide", noFile},
		{[]string{"connections", "--sort", "b"}, "bytes", noFile},
		{[]string{"explain", ""}, "tcp", noFile},
		{[]string{"validate", "-f", ""}, "", file},
		{[]string{"cert", "show", ""}, "", file},
		{[]string{"cert", "init", "--dir", ""}, "", folder},
		{[]string{"status", ""}, "", noFile},
	} {
		all, directive := w.completed(c.args...)
		if directive != c.directive || c.want == "" && len(all) > 0 || c.want != "" && !slices.Contains(all, c.want) {
			t.Errorf("weir %s: %q %s; want %q %s", strings.Join(c.args, " "), all, directive, c.want, c.directive)
		}
	}
	w.stop()
	began := time.Now()
	if all, _ := w.completed("connections", "--socket", socket, "-t", ""); len(all) > 0 {
		t.Errorf("of a daemon that is gone: %q", all)
	}
	if took := time.Since(began); took > 2*completionPatience {
		t.Errorf("a shell has to wait %v", took)
	}
}
