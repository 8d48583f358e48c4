package api

import "time"

// A Balancer is a load balancer, and what its backends have.
type Balancer struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant"`
	Address   string    `json:"address"`
	Ports     []string  `json:"ports"` // "tcp/443"
	Algorithm string    `json:"algorithm"`
	Backends  []Backend `json:"backends"` // in the order of the load balancer's; then those that have been removed, and still have connections
}

// A Backend is who gets connections of a Balancer, or has some that he was given before.
type Backend struct {
	Endpoint    string     `json:"endpoint,omitempty"` // empty: it is nobody's address
	Address     string     `json:"address"`            // with a port where it has one of its own
	Weight      uint16     `json:"weight"`             // as it is written; of one that has been removed zero
	InForce     uint16     `json:"inForce"`            // the weight that it has
	Health      string     `json:"health,omitempty"`   // as in BackendHealth; empty: its load balancer does not ask
	State       string     `json:"state"`              // "serving", "draining" (weight 0), "removed" or "failed"
	Connections int        `json:"connections"`
	Begun       uint64     `json:"begun"`              // connections begun with it, on all bridges, as it was counted last; of one that has been removed zero
	PerSecond   float64    `json:"perSecond"`          // of these, in the last 10 s or so
	Deadline    *time.Time `json:"deadline,omitempty"` // when those that it still has are ended; nil: they are not
}

// A BalancerState is whether somebody takes the connections that a load balancer is asked for.
type BalancerState struct {
	ID        string    `json:"id"`
	Backends  int       `json:"backends"`  // that it lists
	Usable    int       `json:"usable"`    // of these, with a weight in force; zero: nobody serves
	Since     time.Time `json:"since"`     // when there came to be some, or none; not before the daemon began
	Lost      uint64    `json:"lost"`      // times that there came to be none, since the daemon began
	WhenEmpty string    `json:"whenEmpty"` // what becomes of what asks while nobody serves: "drop" or "reject"
}

// A Draining is a backend that is to have no connections of a load balancer, and has some.
type Draining struct {
	Balancer    string     `json:"balancer"`
	Protocol    string     `json:"protocol"`
	Port        uint16     `json:"port"`    // of the load balancer
	Backend     string     `json:"backend"` // "10.1.0.12:8443"
	State       string     `json:"state"`   // "draining" (weight 0), "removed" or "failed"
	Connections int        `json:"connections"`
	Since       time.Time  `json:"since"`
	Deadline    *time.Time `json:"deadline,omitempty"` // when they are ended; nil: never
}
