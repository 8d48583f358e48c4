package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"weir/api"
)

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
	var seen []api.Observation // a new one each time
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/observations", func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, api.Observation{N: uint64(len(seen) + 1), Verdict: "allowed", Protocol: "tcp", Src: "10.0.0.1", Sport: 40000, Dst: "10.0.0.2", Dport: 80, Rule: "t/policy/p/r"})
		var after uint64
		if err := json.Unmarshal([]byte(r.URL.Query().Get("after")), &after); err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(seen[min(after, uint64(len(seen))):])
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
