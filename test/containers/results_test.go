package main

import (
	"slices"
	"strings"
	"testing"
)

func TestResultsNameWhatBecameOfEachScenario(t *testing.T) {
	events := make(chan event, 20)
	for _, e := range []event{
		{"run", "TestOF01OneWayTCPService", ""},
		{"pass", "TestOF01OneWayTCPService", ""},
		{"output", "TestOF15FTPNeedsItsHelper/with_alg", "no data"},
		{"fail", "TestOF15FTPNeedsItsHelper/with_alg", ""},
		{"fail", "TestOF15FTPNeedsItsHelper", ""},
		{"skip", "TestOC04BothSourcesSayTheSame", ""},
		{"pass", "TestRestart", ""}, // no scenario of the list
		{"run", "TestOL03TakingABackendOut", ""},
		{"output", "TestOL03TakingABackendOut", "panic"}, // and no more
	} {
		events <- e
	}
	close(events)
	r, said, on := results{}, strings.Builder{}, strings.Builder{}
	r.collect(events, &on)
	if !strings.Contains(on.String(), "FAIL TestOF15FTPNeedsItsHelper\nno data") || !strings.Contains(on.String(), "TestOL03TakingABackendOut did not end:\npanic") {
		t.Errorf("on the way it says\n%s", on.String())
	}
	r.print(&said)
	want := "scenario O-C04 containers skip\nscenario O-F01 containers pass\nscenario O-F15 containers fail\nscenario O-L03 containers fail\n"
	if said.String() != want {
		t.Errorf("got\n%swant\n%s", said.String(), want)
	}
}

func TestShardsShareAllTests(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	var all []string
	for i := range shards {
		all = append(all, share(names, i)...)
	}
	slices.Sort(all)
	if !slices.Equal(all, names) {
		t.Errorf("of %v are run %v", names, all)
	}
}
