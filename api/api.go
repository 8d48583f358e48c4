// Package api is how people and programs talk to a running daemon: HTTP with JSON,
// by default over a socket that only root can open.
//
//	GET  /v1/status                what the daemon drives, and how far it has come: Status
//	GET  /v1/connections?tenant=T  tracked connections with the rules that admitted them: [Connection];
//	                               &protocol=P&src=A&dst=A&sport=N&dport=N&nat=NAME&as=A or A:N&select=TERMS (see Selector)
//	                               as well; with Accept: application/x-ndjson one on each line
//	GET  /v1/connections/changes?... what becomes of those, as it happens: a ConnectionChange on each line
//	DELETE /v1/connections?tenant=T&...|all=true
//	                               has the connection tracker forget those: Killed; with &plan=true it is only said which
//	DELETE /v1/connections/REF     that one: Killed; with ?plan=true as well
//	GET  /v1/balancers?tenant=T    load balancers, with what their backends have: [Balancer]
//	GET  /v1/conntrack             what the connection trackers have, and how near to their limits: [Tracking]
//	GET  /v1/conntrack/expectations  what their helpers wait for: [Expected]
//	GET  /v1/observations          what rules with log report, the newest 500; ?tenant= &verdict= &after= &explain=true: [Observation]
//	GET  /v1/observations/ID/explain
//	                               which rule has reported it, and what would become of the packet now: ObservationExplanation
//	POST /v1/explain               what becomes of a packet by the flows that are installed: Question -> Explanation
//	GET  /v1/connections/REF/explain
//	                               why a connection is there, and what becomes of it: KnownExplanation
//	GET  /v1/bridges/BRIDGE/flows  installed flows with their intents; ?tenant= &table= &intent= &unused=true &offload=true: [Flow];
//	                               with Accept: application/x-ndjson one on each line
//	GET  /v1/rules?tenant=T        rules and defaults, and how much they are used; &unused=true: [Rule]
//	GET  /v1/top                   what goes on: bridges, tenants, rules, backends, who has most connections: Top
//	POST /v1/plan                  what a model would change, without changing it: PlanRequest -> Plan
//	GET  /metrics                  what is counted, as Prometheus reads it
//	GET  /healthz                  200 and "ok" while the daemon answers
//
// Whatever goes wrong is said as a Problem (RFC 9457).
//
// The package holds no state of its own: it asks a Daemon for each answer.
package api

import (
	"context"
	"iter"
	"time"

	"weir/intent"
)

// A Daemon gives the answers. Its methods are called by many goroutines at once.
type Daemon interface {
	// Status returns what /v1/status shows.
	Status() Status
	// Connections returns the tracked connections of a tenant, or of all tenants if
	// tenant is empty, as they are read. The error is an UnknownTenant if there is no such tenant;
	// one in the sequence is its end.
	Connections(ctx context.Context, tenant string) (iter.Seq2[Connection, error], error)
	// Endpoints returns the names of the endpoints of a tenant, or of all tenants if tenant is empty.
	Endpoints(tenant string) []string
	// Changes returns what becomes of the connections of a tenant, or of all if tenant is empty, until
	// ctx is done. The error is an UnknownTenant if there is no such tenant.
	Changes(ctx context.Context, tenant string) (iter.Seq[ConnectionChange], error)
	// Kill has the connection tracker forget the connections of one tenant that f means; with
	// plan, it only says what would become of each.
	Kill(ctx context.Context, f Filter, plan bool) (Killed, error)
	// Balancers returns the load balancers of a tenant, or of all tenants if tenant is empty.
	// The error is an UnknownTenant if there is no such tenant.
	Balancers(ctx context.Context, tenant string) ([]Balancer, error)
	// Trackings returns what the connection trackers have. It goes from zone to zone, with pauses
	// in which ovs-vswitchd does other work.
	Trackings(ctx context.Context) ([]Tracking, error)
	// Expected returns what the helpers of the connection trackers wait for.
	Expected(ctx context.Context) ([]Expected, error)
	// Observations returns what rules have reported, the oldest first. The error is an
	// UnknownTenant if there is no such tenant.
	Observations(ctx context.Context, q ObservationQuery) ([]Observation, error)
	// Explain says what becomes of a packet. The error is a Problem if the question makes no sense.
	Explain(ctx context.Context, q Question) (Explanation, error)
	// ExplainConnection says why a connection is there. The error is a Problem if there is none.
	ExplainConnection(ctx context.Context, ref string) (KnownExplanation, error)
	// ExplainObservation says more of what a rule has reported.
	ExplainObservation(ctx context.Context, ref string) (ObservationExplanation, error)
	// Flows returns the flows that are installed in a bridge, by table and from the highest
	// priority down, described one by one as they are asked for.
	Flows(ctx context.Context, bridge string, q FlowQuery) (iter.Seq[Flow], error)
	// Rules returns the rules of a tenant, or of all tenants if tenant is empty, in the order in
	// which they are asked. The error is an UnknownTenant if there is no such tenant.
	Rules(ctx context.Context, q RuleQuery) ([]Rule, error)
	// Top returns what goes on. It is read once for all who ask at the same time.
	Top(ctx context.Context) (Top, error)
	// Plan returns what the model in sources would change. The error is an
	// intent.Problems if it is no model.
	Plan(ctx context.Context, sources []intent.Source) (Plan, error)
}

// UnknownTenant is the error for a tenant that the model does not have.
type UnknownTenant string

func (t UnknownTenant) Error() string { return `there is no tenant "` + string(t) + `"` }

// Status is what a daemon drives, and how far it has come.
type Status struct {
	Version  string    `json:"version"`         // of the daemon
	Model    Model     `json:"model"`           // what it works from
	Database Database  `json:"database"`        // where it learns of bridges and ports; of several hosts: all of them
	Hosts    []Host    `json:"hosts,omitempty"` // that it serves, if they have names
	Bridges  []Bridge  `json:"bridges"`         // of the model, by name
	Tenants  []Tenant  `json:"tenants"`         // of the model, by name
	Trackers []Tracker `json:"trackers"`        // by type of datapath
	Rights   []Reason  `json:"rights"`          // that the daemon lacks: what is closed to it, and what to do

	Backends  []BackendHealth `json:"backends"`  // of load balancers that ask them how they are, in the order of the model
	Balancers []BalancerState `json:"balancers"` // that nobody serves, or has served at some time since the daemon began; by their ids

	TLS           *TLS           `json:"tls,omitempty"` // nil: it has no keys
	Refusals      []Refusal      `json:"refusals"`      // the newest first, 32 at most
	RefusalCounts []RefusalCount `json:"refusalCounts"` // since the daemon began
}

// A Model is where the operator's wishes come from.
type Model struct {
	Source   string   `json:"source"`          // the file or folder, or "-"
	Files    []string `json:"files"`           // what was read
	Revision uint64   `json:"revision"`        // 1 for the first model; zero: none yet
	Error    string   `json:"error,omitempty"` // why the last load was refused; the model before it is still in force
	Held     []string `json:"held,omitempty"`  // what the last load would end, for which it is not taken; the model before it is still in force
}

// A Host is one of several Open vSwitches that a daemon serves.
type Host struct {
	Name     string   `json:"name"`
	Database Database `json:"database"`
	// Unanswered is why its ovs-vswitchd cannot be asked: connections are not read then, but for those that the
	// kernel tells itself, and packets not explained. Empty: it can.
	Unanswered string `json:"unanswered,omitempty"`
}

// A Database is an Open vSwitch configuration database.
type Database struct {
	Target     string `json:"target"`
	Connected  bool   `json:"connected"`
	OVSVersion string `json:"ovsVersion,omitempty"`
	Away       string `json:"away,omitempty"`  // why it cannot be reached
	Error      string `json:"error,omitempty"` // why timeouts of connections are not as they should be
}

// A Bridge is the state of one bridge.
type Bridge struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"` // has an OpenFlow session
	// Revision is the revision of the model that was programmed last; zero: none by
	// this daemon.
	Revision uint64 `json:"revision"`
	// Programmed says that all of the current model is in the bridge: Revision is
	// the model's, nothing is refused and nothing is left to send. What is pending
	// waits for a port and does not count.
	Programmed bool     `json:"programmed"`
	Flows      int      `json:"flows"`  // Weir's
	Groups     int      `json:"groups"` // Weir's
	Pending    []Reason `json:"pending"`
	Refused    []Reason `json:"refused"`
	Foreign    int      `json:"foreign"` // flows of somebody else

	// Recirculations is how often a packet may be sent back to the flow tables, in the worst case.
	Recirculations int `json:"recirculations"`

	FlowModsSent uint64   `json:"flowModsSent"`    // flow-mods, group-mods and meter-mods in this OpenFlow session
	Error        string   `json:"error,omitempty"` // why it does not get on
	Quirks       []Reason `json:"quirks"`          // what its version of Open vSwitch gets wrong, and what is done about it
	Drift        Drift    `json:"drift"`
	Meters       []Meter  `json:"meters"` // of intents, by name
	NoPort       []NoPort `json:"noPort"` // SNATs that had no port left, by name

	Draining []Draining `json:"draining"` // backends that are to have no connections, and had some when that was looked at last
}

// A Meter is what an intent lets pass in a second, since its meter was made: connections that
// are opened (TENANT/newPerSecond, TENANT/endpoint/NAME/newPerSecond), packets that are
// answered (TENANT/answers).
type Meter struct {
	ID      string `json:"id"`
	Packets uint64 `json:"packets"` // that came to it
	Dropped uint64 `json:"dropped"` // of these
}

// A NoPort is an SNAT that had no port left for packets that would have begun connections, since
// it came to the bridge. They were dropped.
type NoPort struct {
	ID      string `json:"id"`
	Dropped uint64 `json:"dropped"` // packets; who asks again is counted again
}

// Drift is what somebody else has changed of what Weir answers for on a bridge, since the
// daemon began.
type Drift struct {
	Repairs uint64       `json:"repairs"` // times that something was repaired: any number of things at once
	Counts  []DriftCount `json:"counts"`  // of what was changed, by kind
	Recent  []DriftEvent `json:"recent"`  // the newest hundred, the last one first
	// Contested is what somebody changes again as soon as it is repaired, which is therefore
	// repaired less and less often.
	Contested []string `json:"contested,omitempty"`
}

// A DriftCount is how often a kind of thing was changed in a way.
type DriftCount struct {
	What   string `json:"what"`   // "flow", "group", "meter", "limit", "timeouts", "failMode", "controller" or "protocols"
	Change string `json:"change"` // "changed", "cookie" (nothing else was changed), "deleted" or "added"
	N      int64  `json:"n"`
}

// A DriftEvent is one thing that was changed.
type DriftEvent struct {
	At      time.Time `json:"at"` // when it was noticed
	What    string    `json:"what"`
	Change  string    `json:"change"`
	Intent  string    `json:"intent,omitempty"` // that it belongs to
	Was     string    `json:"was,omitempty"`    // what it should be; empty: it should not be there
	Is      string    `json:"is,omitempty"`     // what it was found to be; empty: it was not there
	More    int       `json:"more,omitempty"`   // how many others of the kind, changed at the same time, are not listed
	Seconds float64   `json:"seconds"`          // from being noticed to being repaired
	Error   string    `json:"error,omitempty"`  // why it is not repaired
}

// A Reason says why an intent is not in a bridge.
type Reason struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// A Tenant is a tenant's numbers.
type Tenant struct {
	Name  string `json:"name"`
	Zone  uint16 `json:"zone"`  // conntrack zone; zero: none given yet
	Epoch uint8  `json:"epoch"` // raised whenever policy is narrowed; connections carry the one they were judged in

	// SourceZone is the zone of the source translation of connections of which both ends are
	// translated; zero: there are none such.
	SourceZone uint16 `json:"sourceZone,omitempty"`

	// Limit is how many connections it may have and has; nil: it has no limit in force.
	Limit *Fill `json:"limit,omitempty"`

	SNATs []SNAT `json:"snats,omitempty"` // in the order in which they are asked

	Ended         uint64  `json:"ended"`                   // connections that were ended since the daemon began, for policy no longer admitted them
	RecentlyEnded []Ended `json:"recentlyEnded,omitempty"` // the newest fifty, the last one first
}

// An SNAT is how many ports there are of each of its addresses, for each server and port.
type SNAT struct {
	ID    string `json:"id"`
	Ports int    `json:"ports"`
}

// An Ended is connections that were ended at one time, all of which the same rules had
// admitted.
type Ended struct {
	At          time.Time `json:"at"`
	Egress      string    `json:"egress"`  // the intent that had let them out
	Ingress     string    `json:"ingress"` // the intent that had let them in
	Connections int       `json:"connections"`
	Example     string    `json:"example"` // one of them
}

// A Fill is how many connections there are, of how many at most.
type Fill struct {
	Connections uint64 `json:"connections"` // of a tenant: those that were opened since it has had a limit
	Max         uint64 `json:"max"`         // zero: not known
	// Alarm is "near" (from 80 % on, until less than 75 %), "critical" (95, 90) or "full" (100, 98): what is
	// over Max is dropped, and nobody is told. Left out: there is room.
	Alarm string `json:"alarm,omitempty"`
}

// A Tracker is the connection tracker of a datapath.
type Tracker struct {
	Host     string `json:"host,omitempty"` // whose; empty: of the only one
	Datapath string `json:"datapath"`       // its type: "netdev", "system"
	Fill
	Error   string `json:"error,omitempty"`   // why the limits of tenants are not as they should be
	Through string `json:"through,omitempty"` // of the kernel's: why it is read through ovs-vswitchd, which is slower; empty: it is read from the kernel
}

// A Connection is one entry of a tenant's conntrack zone.
type Connection struct {
	Tenant   string `json:"tenant"`
	Host     string `json:"host,omitempty"` // in whose tracker it is; empty: of the only one
	Zone     uint16 `json:"zone"`
	Protocol string `json:"protocol"` // "tcp", "icmp", or the number if it has no common name
	Orig     Tuple  `json:"orig"`     // as the one who opened it sent
	Reply    Tuple  `json:"reply"`    // as the answers come back
	State    string `json:"state"`    // of TCP, as the tracker says; empty for others
	Mark     uint32 `json:"mark"`     // ct_mark
	Class    uint16 `json:"class"`    // given by the rule (mark); zero: none
	Label    string `json:"label"`    // ct_label in hexadecimal, "0x..."
	Epoch    uint8  `json:"epoch"`    // of the policy that judged it last
	Blocked  bool   `json:"blocked"`  // stopped by a change of policy
	Audited  bool   `json:"audited"`  // policy denies it, and its tenant is only audited: ingress, or else egress, would have stopped it
	Egress   string `json:"egress"`   // the intent that let it out
	Ingress  string `json:"ingress"`  // the intent that let it in

	From string `json:"from,omitempty"` // the endpoint that has opened it: "blue/endpoint/web-1"; empty: none of the tenant's
	To   string `json:"to,omitempty"`   // the endpoint that answers

	Alias string `json:"alias,omitempty"` // what it has in the tenant's zone in place of a shared address, which reply has: "240.0.0.2:40000"

	NAT string `json:"nat,omitempty"` // the intent that translates it, or exempts it from that

	Backend string `json:"backend,omitempty"` // what the backend is that it was given: "draining", "removed" or "failed"; empty: nothing but that

	StateOrig   string            `json:"stateOrig,omitempty"`   // of TCP, by direction, where the tracker has one for each
	StateReply  string            `json:"stateReply,omitempty"`  //
	FlagsOrig   string            `json:"flagsOrig,omitempty"`   // of TCP, what its ends can and have done: "WINDOW_SCALE|SACK_PERM"
	FlagsReply  string            `json:"flagsReply,omitempty"`  //
	ScaleOrig   uint8             `json:"scaleOrig,omitempty"`   // of TCP, of its windows
	ScaleReply  uint8             `json:"scaleReply,omitempty"`  //
	TagOrig     uint32            `json:"tagOrig,omitempty"`     // of SCTP: the verification tags
	TagReply    uint32            `json:"tagReply,omitempty"`    //
	Start       *time.Time        `json:"start,omitempty"`       // it was opened; nil: the tracker does not note that
	Parent      *Tuple            `json:"parent,omitempty"`      // the connection that announced it; nil: none
	Expires     uint32            `json:"expires"`               // in so many seconds, if no packet comes
	Helper      string            `json:"helper,omitempty"`      // that reads it: "ftp"
	Ref         string            `json:"ref"`                   // names it as long as it lasts, for GET /v1/connections/REF/explain
	ID          uint32            `json:"id,omitempty"`          // the tracker's own
	Status      uint32            `json:"status,omitempty"`      // IPS_* bits of the kernel
	StatusNames string            `json:"statusNames,omitempty"` // the same: "SEEN_REPLY|ASSURED|CONFIRMED"
	Other       map[string]string `json:"other,omitempty"`       // what this version of Weir does not know
}

// Killed is what has become of connections.
type Killed struct {
	Killed int    `json:"killed"`        // the tracker has forgotten them
	Kept   int    `json:"kept"`          // that could not be had
	Why    string `json:"why,omitempty"` // not
	Plan   []Fate `json:"plan,omitzero"` // what would become of each, if that alone was asked: nothing has been forgotten
}

// A Fate is what would become of a connection that is to be forgotten.
type Fate struct {
	Connection Connection `json:"connection"`
	By         string     `json:"by,omitempty"`  // the means: NXT_CT_FLUSH, or dpctl/flush-conntrack
	Why        string     `json:"why,omitempty"` // it would be left
}

// A Tuple is one direction of a connection. Ports are of TCP, UDP and SCTP; the
// other numbers are of ICMP.
type Tuple struct {
	Src    string `json:"src"`
	Dst    string `json:"dst"`
	Sport  uint16 `json:"sport,omitempty"`
	Dport  uint16 `json:"dport,omitempty"`
	ICMPID uint16 `json:"icmpId,omitempty"`
	Type   uint8  `json:"type,omitempty"`
	Code   uint8  `json:"code,omitempty"`

	Packets uint64 `json:"packets,omitempty"` // that went this way, where the tracker counts them
	Bytes   uint64 `json:"bytes,omitempty"`   //
}

// A PlanRequest is a model as it is written.
type PlanRequest struct {
	Sources []Source `json:"sources"`
}

// A Source is a YAML file that has been read.
type Source struct {
	Name string `json:"name"`
	Data []byte `json:"data"` // base64 in JSON: a file that is no text must arrive as it is, to be refused with its own error
}

// A Plan is what a model would change.
type Plan struct {
	Objects []Change     `json:"objects"` // against the model in force
	Bridges []BridgePlan `json:"bridges"` // against the bridges as they are
}

// Empty reports whether the plan changes nothing.
func (p Plan) Empty() bool {
	for _, b := range p.Bridges {
		if len(b.Flows)+len(b.Groups) > 0 {
			return false
		}
	}
	return len(p.Objects) == 0
}

// The verbs of a Change and of a FlowChange.
const (
	Added   = "+"
	Changed = "~"
	Removed = "-"
)

// A Change is an object that is new, gone or different.
type Change struct {
	Verb   string  `json:"verb"` // Added, Changed or Removed
	Kind   string  `json:"kind"` // "Policy"
	ID     string  `json:"id"`
	At     string  `json:"at,omitempty"` // file:line:column, if it is in the new model
	Fields []Field `json:"fields,omitempty"`
}

// A Field is one value that is different in a changed object.
type Field struct {
	Path string `json:"path"` // "rules[0].ports"
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// A BridgePlan is what would be sent to one bridge.
type BridgePlan struct {
	Name   string       `json:"name"`
	Error  string       `json:"error,omitempty"` // why there is no plan for it: not connected, perhaps
	Add    int          `json:"add"`             // flows
	Change int          `json:"change"`          // flows, replaced by one with the same match
	Remove int          `json:"remove"`          // flows
	Flows  []FlowChange `json:"flows"`
	Groups []FlowChange `json:"groups"`
	Ends   int          `json:"ends"` // connections that would end
	// Against is what would end and the model does not allow to: it would be held.
	Against []string `json:"against,omitempty"`
	// Narrowed names the tenants whose live connections would be judged again.
	Narrowed []string `json:"narrowed"`
}

// A FlowChange is one flow or group that would be put or deleted.
type FlowChange struct {
	Verb   string `json:"verb"`
	Text   string `json:"text"`             // as ovs-ofctl writes it
	Intent string `json:"intent,omitempty"` // that it serves
}
