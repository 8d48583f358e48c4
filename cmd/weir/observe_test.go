package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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

// until cancels once so many lines have been written.
type until struct {
	strings.Builder
	lines  int
	cancel context.CancelFunc
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Count(u.String(), "\n") >= u.lines {
		u.cancel()
	}
	return n, err
}

// answering answers at a control socket, until the test ends.
func answering(t *testing.T, h http.Handler) (socket string) {
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return socket
}

func TestWatchingPrintsEachObservationOnce(t *testing.T) {
	var n notebook
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/observations", func(w http.ResponseWriter, r *http.Request) {
		n.add(api.Observation{Verdict: "allowed", Protocol: "tcp", Src: "10.0.0.1", Sport: 40000, Dst: "10.0.0.2", Dport: 80, Rule: "t/policy/p/r"})
		var after uint64
		if err := json.Unmarshal([]byte(r.URL.Query().Get("after")), &after); err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(n.since(api.ObservationQuery{After: after}))
	})
	socket := answering(t, mux)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &until{lines: 4, cancel: cancel}
	if err := observe(ctx, out, newClient(socket), api.ObservationQuery{}, "table", true); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Count(s, "10.0.0.1:40000") != 3 || strings.Count(s, "VERDICT") != 1 {
		t.Errorf("%s", s)
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
