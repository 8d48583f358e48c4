package api

import "time"

// A Top is what goes on now, as it was read at one time. What only grows is counted from some time
// on, and says how much goes on when it is compared with the Top before; where it is less than
// before, something has begun anew.
type Top struct {
	Version   string      `json:"version"` // of the daemon
	At        time.Time   `json:"at"`      // when it had been read
	Seconds   float64     `json:"seconds"` // that this took. It is read again after four times as long at the soonest, for all who ask
	Bridges   []TopBridge `json:"bridges"` // of the model, by name
	Tenants   []TopTenant `json:"tenants"` // of the model, by name
	Rules     []Rule      `json:"rules"`   // in the order in which they are asked
	Balancers []Balancer  `json:"balancers"`
	Talkers   []Talker    `json:"talkers"` // the most of each kind, who has most connections first
}

// A TopBridge is a bridge, and what it drops.
type TopBridge struct {
	Name   string      `json:"name"`
	State  string      `json:"state"` // "programmed", "working", "degraded", "error" or "not connected"
	Flows  int         `json:"flows"`
	Groups int         `json:"groups"`
	Drift  uint64      `json:"drift"`           // repairs, since the daemon began
	Error  string      `json:"error,omitempty"` // why it does not get on, or cannot be read
	Drops  []DropCount `json:"drops"`           // that have counted something, by reason
}

// A DropCount is how many packets a bridge has dropped for a reason.
type DropCount struct {
	Reason  string `json:"reason"`
	Packets uint64 `json:"packets"`
}

// A TopTenant is what a tenant has.
type TopTenant struct {
	Name        string `json:"name"`
	Connections int    `json:"connections"`
	Begun       uint64 `json:"begun"`           // connections that were not there at the reading before, since somebody first asked for a Top
	Denied      uint64 `json:"denied"`          // packets that its rules and defaults have denied or rejected
	Metered     uint64 `json:"metered"`         // packets of new connections that were over newPerSecond, its own or an endpoint's
	Limit       *Fill  `json:"limit,omitempty"` // nil: it has none
}

// A Talker is who has many connections.
type Talker struct {
	Kind        string `json:"kind"` // "source", "destination" (with its port), "rule" or "backend"
	Tenant      string `json:"tenant"`
	Name        string `json:"name"`               // an address, one with a port, or an intent
	Endpoint    string `json:"endpoint,omitempty"` // whose address it is
	Connections int    `json:"connections"`
	Bytes       uint64 `json:"bytes"` // of these connections, in both directions; zero where the tracker does not count them
}
