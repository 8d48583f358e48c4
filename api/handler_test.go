package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/intent"
)

// A fake daemon is what its functions answer.
type fake struct {
	status      func() Status
	connections func(tenant string) ([]Connection, error)
	observed    func(ObservationQuery) ([]Observation, error)
	plan        func([]intent.Source) (Plan, error)
	kill        func(Filter) (Killed, error)
	trackings   []Tracking
	expected    []Expected
	top         Top
	each        iter.Seq2[Connection, error]
	broken      error // at the end of the connections
	changes     []ConnectionChange
	planned     *[]bool // what kill was asked
	balancers   func(tenant string) ([]Balancer, error)
	explain     func(Question) (Explanation, error)
	flows       func(bridge string, q FlowQuery) ([]Flow, error)
	rules       func(RuleQuery) ([]Rule, error)
	known       func(ref string) (KnownExplanation, error)
}

func (f fake) Status() Status { return f.status() }
func (f fake) Connections(_ context.Context, tenant string) (iter.Seq2[Connection, error], error) {
	if f.each != nil {
		return f.each, nil
	}
	list, err := f.connections(tenant)
	return func(yield func(Connection, error) bool) {
		for _, c := range list {
			if !yield(c, nil) {
				return
			}
		}
		if f.broken != nil {
			yield(Connection{}, f.broken)
		}
	}, err
}
func (f fake) Endpoints(string) []string { return []string{"web-1", "db-1"} }
func (f fake) Kill(_ context.Context, which Filter, plan bool) (Killed, error) {
	if f.planned != nil {
		*f.planned = append(*f.planned, plan)
	}
	return f.kill(which)
}
func (f fake) Balancers(_ context.Context, tenant string) ([]Balancer, error) {
	return f.balancers(tenant)
}
func (f fake) Changes(_ context.Context, tenant string) (iter.Seq[ConnectionChange], error) {
	if tenant == "nobody" {
		return nil, UnknownTenant(tenant)
	}
	return slices.Values(f.changes), nil
}
func (f fake) Top(context.Context) (Top, error)              { return f.top, nil }
func (f fake) Trackings(context.Context) ([]Tracking, error) { return f.trackings, nil }
func (f fake) Expected(context.Context) ([]Expected, error)  { return f.expected, nil }
func (f fake) Observations(_ context.Context, q ObservationQuery) ([]Observation, error) {
	return f.observed(q)
}
func (f fake) Explain(_ context.Context, q Question) (Explanation, error) { return f.explain(q) }
func (f fake) ExplainConnection(_ context.Context, ref string) (KnownExplanation, error) {
	return f.known(ref)
}
func (f fake) ExplainObservation(_ context.Context, ref string) (ObservationExplanation, error) {
	return ObservationExplanation{Observation: Observation{Ref: ref}}, nil
}
func (f fake) Flows(_ context.Context, bridge string, q FlowQuery) (iter.Seq[Flow], error) {
	all, err := f.flows(bridge, q)
	return slices.Values(all), err
}
func (f fake) Rules(_ context.Context, q RuleQuery) ([]Rule, error)    { return f.rules(q) }
func (f fake) Plan(_ context.Context, s []intent.Source) (Plan, error) { return f.plan(s) }

func ask(t *testing.T, d Daemon, method, path string, body io.Reader) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	New(d, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(method, path, body))
	return w.Result()
}

func TestStatusIsSentAsJSON(t *testing.T) {
	want := Status{Version: "v1", Model: Model{Revision: 3}, Bridges: []Bridge{{Name: "br0", Programmed: true, Pending: []Reason{{"a", "b"}}}}}
	resp := ask(t, fake{status: func() Status { return want }}, "GET", "/v1/status", nil)
	var got Status
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" || resp.StatusCode != 200 {
		t.Errorf("status %d, -want +got:\n%s", resp.StatusCode, d)
	}
}

func TestObservationsAreThoseThatAreAskedFor(t *testing.T) {
	d := fake{observed: func(q ObservationQuery) ([]Observation, error) {
		if q.Tenant == "red" {
			return nil, UnknownTenant("red")
		}
		return []Observation{{Tenant: q.Tenant, Verdict: q.Verdict, N: q.After + 1}}, nil
	}}
	for query, want := range map[string]string{
		"tenant=blue&verdict=denied&after=7": `"n":8,`,
		"":                                   `"n":1,`,
		"verdict=dropped":                    "must be allowed, denied, rejected or audited",
		"after=soon":                         "after=soon: invalid syntax",
		"tenant=red":                         `there is no tenant \"red\"`,
	} {
		body, err := io.ReadAll(ask(t, d, "GET", "/v1/observations?"+query, nil).Body)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v; want %s", query, body, err, want)
		}
	}
}

func TestConnectionsAreThoseOfTheTenant(t *testing.T) {
	d := fake{connections: func(tenant string) ([]Connection, error) {
		if tenant == "red" {
			return nil, UnknownTenant("red")
		}
		if tenant == "empty" {
			return nil, nil
		}
		return []Connection{{Tenant: tenant}}, nil
	}}
	for _, c := range []struct {
		name, tenant string
		status       int
		body         string
	}{
		{"a tenant that is there", "blue", 200, `"tenant":"blue"`},
		{"a tenant without connections has an empty list, not null", "empty", 200, "[]"},
		{"a tenant that is not there", "red", 404, `there is no tenant \"red\"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := ask(t, d, "GET", "/v1/connections?tenant="+c.tenant, nil)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || !strings.Contains(string(body), c.body) {
				t.Errorf("status %d, want %d; body %s, want %s", resp.StatusCode, c.status, body, c.body)
			}
		})
	}
}

func TestPlanGetsTheSourcesAsTheyAre(t *testing.T) {
	var got []intent.Source
	d := fake{plan: func(s []intent.Source) (Plan, error) {
		got = s
		return Plan{Objects: []Change{{Verb: Added, Kind: "Tenant", ID: "blue"}}}, nil
	}}
	binary := []byte{0, 0xff, '\n'}
	body, _ := json.Marshal(PlanRequest{[]Source{{"a.yaml", binary}}})
	resp := ask(t, d, "POST", "/v1/plan", strings.NewReader(string(body)))
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if d := cmp.Diff([]intent.Source{{Name: "a.yaml", Data: binary}}, got); d != "" {
		t.Error(d)
	}
}

func TestWhatGoesWrongIsAProblem(t *testing.T) {
	bad := intent.Problems{{At: intent.Position{File: "a.yaml", Line: 3, Column: 7}, Path: "spec.zone", Why: "must be a number"}}
	d := fake{
		status: func() Status { return Status{} },
		plan: func(s []intent.Source) (Plan, error) {
			if s[0].Name == "bad" {
				return Plan{}, bad
			}
			return Plan{}, errors.New("the bridge is away")
		},
	}
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		places                   []Place
	}{
		{"a model with a mistake says where it is", "POST", "/v1/plan", `{"sources":[{"name":"bad","data":""}]}`, 422,
			[]Place{{File: "a.yaml", Line: 3, Column: 7, Path: "spec.zone", Why: "must be a number"}}},
		{"an error of the daemon", "POST", "/v1/plan", `{"sources":[{"name":"x","data":""}]}`, 500, nil},
		{"no JSON", "POST", "/v1/plan", `{`, 400, nil},
		{"an unknown field", "POST", "/v1/plan", `{"source":[]}`, 400, nil},
		{"no sources", "POST", "/v1/plan", `{}`, 400, nil},
		{"an unknown path", "GET", "/v1/nothing", "", 404, nil},
		{"a method that is not for this path", "DELETE", "/v1/status", "", 405, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := ask(t, d, c.method, c.path, strings.NewReader(c.body))
			var p Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || p.Status != c.status || p.Detail == "" || p.Title == "" {
				t.Errorf("status %d, problem %+v, want %d", resp.StatusCode, p, c.status)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if d := cmp.Diff(c.places, p.Problems); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestARequestWithoutEndIsCutOff(t *testing.T) {
	body := io.MultiReader(strings.NewReader(`{"sources":[{"name":"`), endless{})
	resp := ask(t, fake{}, "POST", "/v1/plan", body)
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(resp.Status)
	}
}

// endless is a stream of the letter x.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestBalancersAreThoseOfTheTenant(t *testing.T) {
	d := fake{balancers: func(tenant string) ([]Balancer, error) {
		switch tenant {
		case "red":
			return nil, UnknownTenant("red")
		case "":
			return nil, nil
		}
		return []Balancer{{ID: tenant + "/loadbalancer/shop"}}, nil
	}}
	for query, want := range map[string]string{
		"?tenant=blue": `"id":"blue/loadbalancer/shop"`,
		"":             "[]\n",
		"?tenant=red":  `there is no tenant \"red\"`,
	} {
		body, err := io.ReadAll(ask(t, d, "GET", "/v1/balancers"+query, nil).Body)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v; want %s", query, body, err, want)
		}
	}
}

func TestAQuestionIsHandedOnAsItIsAsked(t *testing.T) {
	d := fake{explain: func(q Question) (Explanation, error) {
		if q.Packet == "" {
			return Explanation{}, &Problem{Status: 400, Detail: "it says no protocol"}
		}
		return Explanation{Packet: q.Packet, Verdict: "denied", By: &Intent{ID: "t/default/" + q.Tenant, At: "a.yaml:3"}}, nil
	}}
	for body, want := range map[string]string{
		`{"packet": "tcp a -> b:80", "tenant": "t"}`: `"by":{"id":"t/default/t","at":"a.yaml:3"}`,
		`{"packet": ""}`:      `"detail":"it says no protocol"`,
		`{"packets": "tcp"}`:  `unknown field`,
		`{"packet": "tcp a -`: "not a question",
	} {
		answer, err := io.ReadAll(ask(t, d, "POST", "/v1/explain", strings.NewReader(body)).Body)
		if err != nil || !strings.Contains(string(answer), want) {
			t.Errorf("%s: %s, %v; want %s", body, answer, err, want)
		}
	}
}

func TestFlowsAndRulesAreThoseThatAreAskedFor(t *testing.T) {
	d := fake{
		flows: func(bridge string, q FlowQuery) ([]Flow, error) {
			return []Flow{{Bridge: bridge, Tenant: q.Tenant, Table: q.Table, Intent: q.Intent}}, nil
		},
		known: func(ref string) (KnownExplanation, error) {
			return KnownExplanation{}, &Problem{Status: 404, Detail: "no connection " + ref}
		},
		rules: func(q RuleQuery) ([]Rule, error) {
			if q.Tenant == "red" {
				return nil, UnknownTenant("red")
			}
			return nil, nil
		},
	}
	for path, want := range map[string]string{
		"/v1/bridges/br0/flows?tenant=blue&table=POL_IN&intent=blue/policy/p/": `"bridge":"br0","table":"POL_IN"`,
		"/v1/bridges/br0/flows?unused=yes":                                     "unused=yes: must be true or false",
		"/v1/rules":                                                            "[]",
		"/v1/rules?unused=1":                                                   "unused=1: must be true or false",
		"/v1/rules?tenant=red":                                                 `there is no tenant \"red\"`,
	} {
		body, err := io.ReadAll(ask(t, d, "GET", path, nil).Body)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v; want %s", path, body, err, want)
		}
	}
}

func TestAFlowQueryMatchesPartsOfIntents(t *testing.T) {
	f := Flow{Table: "POL_IN", Number: 60, Tenant: "blue", Intent: "blue/policy/db/app", Packets: 1}
	for q, want := range map[FlowQuery]bool{
		{}:                                true,
		{Intent: "blue/policy/db/app"}:    true,
		{Intent: "policy/db"}:             true,
		{Intent: "blue"}:                  true,
		{Intent: "policy/d"}:              false,
		{Intent: "db"}:                    false,
		{Table: "pol_in"}:                 true,
		{Table: "60"}:                     true,
		{Table: "6"}:                      false,
		{Tenant: "red"}:                   false,
		{Unused: true}:                    false,
		{Tenant: "blue", Table: "POL_IN"}: true,
	} {
		if got := q.Matches(f); got != want {
			t.Errorf("%+v: %v, want %v", q, got, want)
		}
	}
}

func TestAParameterThatAPathHasNotIsRefused(t *testing.T) {
	d := fake{status: func() Status { return Status{} }}
	for path, want := range map[string]string{
		"/v1/status":                         "",
		"/v1/status?wide=true":               `there is no parameter \"wide\": GET /v1/status has none`,
		"/v1/conntrack/expectations?zone=1":  `there is no parameter \"zone\": GET /v1/conntrack/expectations has none`,
		"/v1/connections?tenant=a&port=1":    `there is no parameter \"port\": there are tenant, protocol`,
		"/v1/bridges/br0/flows?tabel=POL_IN": `there is no parameter \"tabel\": there are tenant, table, intent, unused, offload`,
	} {
		resp := ask(t, d, "GET", path, nil)
		body, _ := io.ReadAll(resp.Body)
		if refused := resp.StatusCode == http.StatusBadRequest; refused != (want != "") || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %s; want %q", path, resp.StatusCode, body, want)
		}
	}
}
