package daemon

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"weir/api"
)

func TestTheNotebookKeepsTheNewest(t *testing.T) {
	var n notebook
	for i := range 3*keptObservations + 7 {
		n.add(api.Observation{Tenant: []string{"blue", "red"}[i%2], Verdict: []string{"allowed", "denied", "denied"}[i%3]})
	}
	all := n.since(api.ObservationQuery{})
	if len(all) != keptObservations || all[0].N != 2*keptObservations+8 || all[len(all)-1].N != 3*keptObservations+7 {
		t.Errorf("%d are kept, from %d to %d", len(all), all[0].N, all[len(all)-1].N)
	}
	for _, o := range n.since(api.ObservationQuery{Tenant: "red", Verdict: "denied", After: 3 * keptObservations}) {
		if o.Tenant != "red" || o.Verdict != "denied" || o.N <= 3*keptObservations {
			t.Errorf("%+v", o)
		}
	}
	if got := len(n.since(api.ObservationQuery{After: 3*keptObservations + 4})); got != 3 {
		t.Errorf("%d came after the last but three", got)
	}
}

func TestAnObservationIsFoundUntilItIsForgotten(t *testing.T) {
	var n, other notebook
	refused := func(ref string, status int, why string) {
		t.Helper()
		var p *api.Problem
		if _, err := n.find(ref); !errors.As(err, &p) || p.Status != status || !strings.Contains(p.Detail, why) {
			t.Errorf("%q: %+v; want %d, %s", ref, err, status, why)
		}
	}
	refused("5f3a-1", http.StatusNotFound, "has reported anything since")
	first := n.add(api.Observation{Tenant: "blue"})
	if o, err := n.find(first.Ref); err != nil || o != first {
		t.Errorf("%+v, %v; want %+v", o, err, first)
	}
	for _, ref := range []string{"", "17", n.tag, n.tag + "-", n.tag + "-x", "-1", n.tag + "--1"} {
		refused(ref, http.StatusBadRequest, "no id of an observation: weir observe lists them")
	}
	refused(n.tag+"-0", http.StatusNotFound, "the last one is "+first.Ref)
	refused(n.tag+"-2", http.StatusNotFound, "the last one is "+first.Ref)
	for other.tag = n.tag; other.tag == n.tag; {
		other.tag = ""
		other.add(api.Observation{})
	}
	refused(other.tag+"-1", http.StatusNotFound, "another daemon has made it")
	var last api.Observation
	for range keptObservations {
		last = n.add(api.Observation{})
	}
	refused(first.Ref, http.StatusGone, "is forgotten: the newest 500 are kept, from "+n.tag+"-2 of")
	for _, o := range []api.Observation{n.kept[0], last} {
		if got, err := n.find(o.Ref); err != nil || got != o {
			t.Errorf("%s: %+v, %v", o.Ref, got, err)
		}
	}
}
