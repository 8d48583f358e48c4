package daemon

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"weir/ovsdb"
)

// TestWhereBridgesAre asks where bridges are that were elsewhere, or that nobody has.
func TestWhereBridgesAre(t *testing.T) {
	with := func(name string, connected bool, bridges ...string) *base {
		b := &base{Host: &Host{name: name}, snapshot: ovsdb.Snapshot{Connected: connected, Bridges: map[string]ovsdb.Bridge{}}}
		for _, name := range bridges {
			b.snapshot.Bridges[name] = ovsdb.Bridge{Name: name}
		}
		return b
	}
	a, b := with("a", true, "x", "both"), with("b", false, "y", "both")
	for _, c := range []struct {
		bridge string
		was    *base
		want   string
	}{
		{"x", nil, "a:x"}, {"y", a, "b:y"}, {"z", b, "b:z"}, {"b/x", nil, "b:x"},
		{"z", nil, "no host has a bridge z (ovs-vsctl add-br z); not reached: b"},
		{"both", a, "hosts a and b have a bridge both each: say which is meant, a/both or b/both"},
	} {
		got := ""
		at, name, err := find([]*base{a, b}, c.bridge, c.was)
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(at.name, ":", name)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.bridge, got, c.want)
		}
	}
	if p := (seat{host: &Host{rundir: "/run/a"}, name: "x"}); p.management() != "unix:"+filepath.Join("/run/a", "x.mgmt") {
		t.Error(p.management())
	}
}

func TestHostsAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"a":                    "want its run directory",
		"a=":                   "want its run directory",
		"=/run/a":              "want NAME=RUNDIR",
		"a/b=/run/a":           "want NAME=RUNDIR",
		"one=/run/x":           "there is a host one already",
		"two=/x,foo:bar":       "database foo:bar: want unix:PATH",
		"two=/x,tcp:h":         "database tcp:h: want unix:PATH",
		"two=/run/one/":        "that is the Open vSwitch of host one",
		"two=/run/two,unix:/x": "",
	} {
		all, err := HostsOf([]string{"one=/run/one", text}, "", "")
		if want == "" {
			if err != nil || all[0].target != "unix:/run/one/db.sock" || all[1].target != "unix:/x" {
				t.Errorf("%s: %v", text, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
