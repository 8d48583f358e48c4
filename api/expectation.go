package api

// An Expected is what the helpers of a connection tracker wait for.
type Expected struct {
	Host         string        `json:"host,omitempty"`  // whose tracker; empty: of the only one
	Datapath     string        `json:"datapath"`        // its type: "netdev", "system"
	Expectations []Expectation `json:"expectations"`    // in zones of Weir
	Error        string        `json:"error,omitempty"` // why they, or some of them, are not known
}

// An Expectation is a connection that a helper has heard announced in another one, the parent, and
// that has not come yet: as one of FTP for data. When it comes it is let through by what has let the parent through.
type Expectation struct {
	Tenant   string   `json:"tenant"` // whose parent it is; empty: more than one may be
	Zones    []uint16 `json:"zones"`  // where it is; several: the kernel does not say of which of them, and the parent is in each
	Protocol string   `json:"protocol"`
	Orig     Tuple    `json:"orig"`              // how it will be opened; an address or port that is left out: any
	Parent   Tuple    `json:"parent"`            // how that was opened
	Ref      string   `json:"ref,omitempty"`     // the parent's id; empty: more than one may be, or it is gone
	Helper   string   `json:"helper,omitempty"`  // "ftp"; empty: the userspace datapath does not say
	Expires  uint32   `json:"expires,omitempty"` // seconds until it is forgotten; likewise
}
