package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Flow is an installed flow, with the intent that it serves and what it has counted.
type Flow struct {
	Bridge   string    `json:"bridge"`
	Table    string    `json:"table"`  // its name; of somebody else's, its number
	Number   uint8     `json:"number"` // of the table
	Priority uint16    `json:"priority"`
	Match    string    `json:"match"`
	Actions  string    `json:"actions"`
	Cookie   string    `json:"cookie"`
	Tenant   string    `json:"tenant,omitempty"` // of the intent
	Intent   string    `json:"intent,omitempty"` // empty: somebody else's
	At       string    `json:"at,omitempty"`     // file:line
	Packets  uint64    `json:"packets"`
	Bytes    uint64    `json:"bytes"`
	Seconds  uint32    `json:"seconds"`          // that it has been there
	LastHit  time.Time `json:"lastHit,omitzero"` // of flows of policy, to within 30 s; zero: not since the daemon began

	Obstacles []string `json:"obstacles,omitempty"` // to hardware that would take over what meets it, if they were asked for
}

// A FlowQuery says which flows are wanted. The zero query wants all.
type FlowQuery struct {
	Tenant string // of the intent
	Table  string // name, in any case, or number
	Intent string // an intent, and all that are under it; its tenant may be left out
	Unused bool   // that have counted nothing

	Offload bool // that keep what meets them off the hardware, those that have counted most first
}

// Matches reports whether f is wanted.
func (q FlowQuery) Matches(f Flow) bool {
	return (!q.Offload || len(f.Obstacles) > 0) && (q.Tenant == "" || f.Tenant == q.Tenant) && (!q.Unused || f.Packets == 0) &&
		(q.Table == "" || strings.EqualFold(q.Table, f.Table) || q.Table == strconv.Itoa(int(f.Number))) &&
		(q.Intent == "" || under(f.Intent, q.Intent) || under(strings.TrimPrefix(f.Intent, f.Tenant+"/"), q.Intent))
}

// under reports whether an intent is another one, or a part of it.
func under(id, of string) bool { return id == of || strings.HasPrefix(id, of+"/") }

// flows answers GET /v1/bridges/BRIDGE/flows: each is sent when it is described, for that is most of the work.
func flows(d Daemon) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := readFlowQuery(r)
		if err != nil {
			problemOf(err).write(w)
			return
		}
		all, err := d.Flows(r.Context(), r.PathValue("bridge"), q)
		if err != nil {
			problemOf(err).write(w)
			return
		}
		out := newSender(w, r)
		for f := range all {
			if !out.send(f) {
				return // nobody listens
			}
		}
		out.end()
	}
}

func readFlowQuery(r *http.Request) (q FlowQuery, err error) {
	values := r.URL.Query()
	q = FlowQuery{Tenant: values.Get("tenant"), Table: values.Get("table"), Intent: strings.TrimSuffix(values.Get("intent"), "/")}
	if q.Unused, err = truth(r, "unused"); err != nil {
		return q, err
	}
	q.Offload, err = truth(r, "offload")
	return q, err
}

// truth reads a parameter that is true or false; without it, it is false.
func truth(r *http.Request, name string) (bool, error) {
	s := r.URL.Query().Get(name)
	if !slices.Contains([]string{"", "true", "false"}, s) {
		return false, badRequest("%s=%s: must be true or false", name, s)
	}
	return s == "true", nil
}

// A Rule is a rule, or a default, of a tenant's policy, and how much it is used.
type Rule struct {
	Tenant      string    `json:"tenant"`
	ID          string    `json:"id"`
	At          string    `json:"at,omitempty"` // file:line
	Tier        string    `json:"tier,omitempty"`
	Direction   string    `json:"direction"`
	Action      string    `json:"action"`
	Flows       int       `json:"flows"`            // on all bridges
	Hits        uint64    `json:"hits"`             // packets that it has judged: the first one of each connection, and those that are not tracked
	Connections int       `json:"connections"`      // that there are, and it has admitted
	LastHit     time.Time `json:"lastHit,omitzero"` // to within 30 s; zero: not since the daemon began
}

// A RuleQuery says which rules are wanted. The zero query wants all.
type RuleQuery struct {
	Tenant string
	Unused bool // that have judged nothing, and have admitted no connection that there is
}

// Matches reports whether a rule is wanted.
func (q RuleQuery) Matches(r Rule) bool { return !q.Unused || r.Hits == 0 && r.Connections == 0 }
