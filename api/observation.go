package api

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// An Observation is what a rule with log reports: the first packet of a connection, and what
// became of it.
type Observation struct {
	N        uint64    `json:"n"`  // counts the reports since the daemon began
	Ref      string    `json:"id"` // names it among the reports of all daemons: "5f3a-17"
	At       time.Time `json:"at"` // when it came to the daemon
	Bridge   string    `json:"bridge"`
	Tenant   string    `json:"tenant"`
	Verdict  string    `json:"verdict"`       // "allowed", "denied", "rejected" or "audited"
	Why      string    `json:"why,omitempty"` // it was not allowed
	Rule     string    `json:"rule"`          // the rule or default that decided: the last that was asked
	Egress   string    `json:"egress,omitempty"`
	Ingress  string    `json:"ingress,omitempty"` // empty: it did not come to that
	Protocol string    `json:"protocol"`          // "tcp", or the number if it has no common name
	From     string    `json:"from,omitempty"`    // the endpoint that has sent it
	To       string    `json:"to,omitempty"`
	Src      string    `json:"src"`
	Dst      string    `json:"dst"`
	Sport    uint16    `json:"sport,omitempty"`
	Dport    uint16    `json:"dport,omitempty"`
	Type     uint8     `json:"type,omitempty"` // of ICMP and ICMPv6
	Code     uint8     `json:"code,omitempty"`
	Sampled  bool      `json:"sampled,omitempty"` // there may be many alike that are not reported
	RuleAt   string    `json:"ruleAt,omitempty"`  // where the rule is written now: file:line; only if it is asked for
	Nearest  string    `json:"nearest,omitempty"` // of what was stopped, the rule that comes nearest to allowing it now, and what it lacks; only if it is asked for
}

// Source is the address, and port, that a packet came from.
func (o Observation) Source() string { return endOf(o.Src, o.Sport) }

// Target is where it was bound for.
func (o Observation) Target() string { return endOf(o.Dst, o.Dport) }

func endOf(address string, port uint16) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}

// An ObservationQuery says which observations are wanted. The zero query wants all that are
// kept.
type ObservationQuery struct {
	Tenant  string
	Verdict string
	After   uint64 // only those with a higher N
	Explain bool   // say where rules are written, and which would have let pass what was stopped
}

func readObservationQuery(r *http.Request) (q ObservationQuery, err error) {
	values := r.URL.Query()
	q = ObservationQuery{Tenant: values.Get("tenant"), Verdict: values.Get("verdict")}
	if s := values.Get("after"); s != "" {
		if q.After, err = strconv.ParseUint(s, 10, 64); err != nil {
			return q, badRequest("after=%s: %w", s, strconv.ErrSyntax)
		}
	}
	if q.Explain, err = truth(r, "explain"); err != nil {
		return q, err
	}
	switch q.Verdict {
	case "", "allowed", "denied", "rejected", "audited":
		return q, nil
	}
	return q, badRequest("verdict=%s: must be allowed, denied, rejected or audited", q.Verdict)
}
