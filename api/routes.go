package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A route is one path of the API.
type route struct {
	pattern string
	takes   []string // the parameters that it may have behind its path; nil: none
	serve   http.HandlerFunc
}

// filterParameters say which connections (ParseFilter).
var filterParameters = []string{"tenant", "protocol", "src", "dst", "sport", "dport", "nat", "as", "select"}

// killParameters say which connections are to be forgotten (readKill).
var killParameters = append(slices.Clone(filterParameters), "all", "plan")

// routes are the paths of version 1, asked of d.
func routes(d Daemon) []route {
	a := asked{d}
	return []route{
		{"GET /v1/status", nil, answer(a.status)},
		{"GET /v1/connections", filterParameters, connections(d)},
		{"GET /v1/connections/changes", filterParameters, changes(d)},
		{"DELETE /v1/connections", killParameters, answer(a.kill)},
		{"DELETE /v1/connections/{ref}", []string{"plan"}, answer(a.killOne)},
		{"GET /v1/connections/{ref}/explain", nil, answer(a.explainConnection)},
		{"GET /v1/balancers", []string{"tenant"}, answer(a.balancers)},
		{"GET /v1/top", nil, answer(a.top)},
		{"GET /v1/conntrack", nil, answer(a.trackings)},
		{"GET /v1/conntrack/expectations", nil, answer(a.expected)},
		{"GET /v1/observations", []string{"tenant", "verdict", "after", "explain"}, answer(a.observations)},
		{"GET /v1/observations/{ref}/explain", nil, answer(a.explainObservation)},
		{"GET /v1/bridges/{bridge}/flows", []string{"tenant", "table", "intent", "unused", "offload"}, flows(d)},
		{"GET /v1/rules", []string{"tenant", "unused"}, answer(a.rules)},
		{"POST /v1/explain", nil, answer(a.explain)},
		{"POST /v1/plan", nil, answer(a.plan)},
	}
}

// checked refuses a request with parameters that r has not: a misspelt one would answer another
// question than was asked, or end more than was meant.
func (r route) checked() http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if p := r.unknown(req.URL.Query()); p != nil {
			p.write(w)
			return
		}
		r.serve(w, req)
	}
}

// unknown returns what is wrong with the parameters; nil: nothing.
func (r route) unknown(query url.Values) *Problem {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(r.takes, name):
		case len(r.takes) == 0:
			return &Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("there is no parameter %q: %s has none", name, r.pattern)}
		default:
			return &Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("there is no parameter %q: there are %s", name, strings.Join(r.takes, ", "))}
		}
	}
	return nil
}

// asked has a function for each route that is answered with one value: it reads the request, and asks the Daemon.
type asked struct{ d Daemon }

func (a asked) status(*http.Request) (any, error)      { return a.d.Status(), nil }
func (a asked) top(r *http.Request) (any, error)       { return a.d.Top(r.Context()) }
func (a asked) trackings(r *http.Request) (any, error) { return a.d.Trackings(r.Context()) }
func (a asked) expected(r *http.Request) (any, error)  { return a.d.Expected(r.Context()) }

func (a asked) kill(r *http.Request) (any, error) {
	f, plan, err := readKill(a.d, r)
	if err != nil {
		return nil, err
	}
	return a.d.Kill(r.Context(), f, plan)
}

func (a asked) killOne(r *http.Request) (any, error) {
	plan, err := truth(r, "plan")
	if err != nil {
		return nil, err
	}
	return a.d.Kill(r.Context(), Filter{Ref: r.PathValue("ref")}, plan)
}

func (a asked) balancers(r *http.Request) (any, error) {
	return list(a.d.Balancers(r.Context(), r.URL.Query().Get("tenant")))
}

func (a asked) observations(r *http.Request) (any, error) {
	q, err := readObservationQuery(r)
	if err != nil {
		return nil, err
	}
	return list(a.d.Observations(r.Context(), q))
}

func (a asked) rules(r *http.Request) (any, error) {
	unused, err := truth(r, "unused")
	if err != nil {
		return nil, err
	}
	return list(a.d.Rules(r.Context(), RuleQuery{r.URL.Query().Get("tenant"), unused}))
}

func (a asked) explain(r *http.Request) (any, error) {
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	var q Question
	if err := body.Decode(&q); err != nil {
		return nil, badRequest("not a question: %w", err)
	}
	return a.d.Explain(r.Context(), q)
}

func (a asked) explainConnection(r *http.Request) (any, error) {
	return a.d.ExplainConnection(r.Context(), r.PathValue("ref"))
}

func (a asked) explainObservation(r *http.Request) (any, error) {
	return a.d.ExplainObservation(r.Context(), r.PathValue("ref"))
}

func (a asked) plan(r *http.Request) (any, error) {
	sources, err := readSources(r)
	if err != nil {
		return nil, err
	}
	return a.d.Plan(r.Context(), sources)
}

// list returns all, so that none is [] in JSON, and not null.
func list[T any](all []T, err error) (any, error) {
	if all == nil {
		all = []T{}
	}
	return all, err
}
