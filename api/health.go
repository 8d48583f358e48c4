package api

import "time"

// A BackendHealth is what is known of a backend of a load balancer that is asked how it is.
type BackendHealth struct {
	Balancer string     `json:"balancer"`
	Backend  string     `json:"backend"`         // its address, and its own port if it has one
	Health   string     `json:"health"`          // "up", "down", "unknown" (not asked often enough yet) or "not asked" (it cannot be)
	Why      string     `json:"why,omitempty"`   // it is not up
	Since    *time.Time `json:"since,omitempty"` // it is so
	Declared uint16     `json:"declared"`        // its weight
	Weight   uint16     `json:"weight"`          // in force
}
