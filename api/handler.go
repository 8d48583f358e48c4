package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"weir/intent"
)

// maxRequest bounds the body of a request, in bytes: a model of several files of the
// size that is still read as one.
const maxRequest = 64 << 20

// New returns the handler of all paths; metrics answers /metrics.
func New(d Daemon, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
	})
	for _, r := range routes(d) {
		mux.HandleFunc(r.pattern, r.checked())
	}
	return withProblems(mux)
}

// answer makes a handler of a function that returns the value to send.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		v, err := f(r)
		if err != nil {
			problemOf(err).write(w)
			return
		}
		var body bytes.Buffer // whole, so that a value that cannot be sent is an error and not half an answer
		if err := json.NewEncoder(&body).Encode(v); err != nil {
			problemOf(err).write(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = body.WriteTo(w)
	}
}

// readKill reads which connections are to be forgotten: some of one tenant's, or
// expressly all of them; and whether that is only to be planned.
func readKill(d Daemon, r *http.Request) (f Filter, plan bool, err error) {
	q := r.URL.Query()
	f, err = readFilter(d, q)
	plan, notBool := strconv.ParseBool(cmp.Or(q.Get("plan"), "false"))
	switch {
	case err != nil:
		return Filter{}, false, err
	case notBool != nil:
		return Filter{}, false, badRequest("plan: %q is neither true nor false", q.Get("plan"))
	case f.Tenant == "":
		return Filter{}, false, badRequest("say whose connections: tenant")
	case f.Any() != (q.Get("all") == "true"):
		return Filter{}, false, badRequest("say which connections (protocol, src, dst, sport, dport, nat, as, select), or all for every one of the tenant's")
	}
	return f, plan, nil
}

func readSources(r *http.Request) ([]intent.Source, error) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	var req PlanRequest
	if err := d.Decode(&req); err != nil {
		return nil, badRequest("not a plan request: %w", err)
	}
	if len(req.Sources) == 0 {
		return nil, badRequest("the plan request has no sources")
	}
	sources := make([]intent.Source, len(req.Sources))
	for i, s := range req.Sources {
		sources[i] = intent.Source{Name: s.Name, Data: s.Data}
	}
	return sources, nil
}

// badRequest is the client's mistake, unless the body was merely too large.
func badRequest(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		p.Status = http.StatusBadRequest
	}
	return p
}

// withProblems turns the plain-text errors of mux (no such path, wrong method) into
// Problems.
func withProblems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &statusOnly{header: w.Header()}
		mux.ServeHTTP(probe, r)
		Problem{Status: probe.status, Detail: fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, http.StatusText(probe.status))}.write(w)
	})
}

// A statusOnly keeps the status of an answer, and its headers, and no body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
