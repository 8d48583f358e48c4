package api

// A Tracking is what a connection tracker has, beside the connections themselves: how many of what
// there are, zone by zone of those that are Weir's, and how near to their limits they are.
type Tracking struct {
	Host     string `json:"host,omitempty"` // whose tracker; empty: of the only one
	Datapath string `json:"datapath"`       // its type: "netdev", "system"
	Fill
	Protocols map[string]uint64 `json:"protocols"` // connections of all zones, somebody else's too: "tcp"
	TCPStates map[string]uint64 `json:"tcpStates"` // of those of TCP: "ESTABLISHED"
	// SequenceCheck says whether packets of TCP have to lie in their window. Left out: the kernel's
	// datapath is not asked.
	SequenceCheck *bool          `json:"sequenceCheck,omitempty"`
	Zones         []TrackingZone `json:"zones"`           // of Weir, by number
	Error         string         `json:"error,omitempty"` // why something of this is not known
}

// A TrackingZone is one of Weir's conntrack zones.
type TrackingZone struct {
	Zone        uint16            `json:"zone"`
	ID          string            `json:"id"` // "blue": the tenant's; "blue/zone/source"; empty: of what is gone, and about to be emptied
	Connections uint64            `json:"connections"`
	Protocols   map[string]uint64 `json:"protocols"`       // of these
	Limit       *Fill             `json:"limit,omitempty"` // how many of those that count for it there are; left out: it has none
}
