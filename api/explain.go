package api

// A Question is what is asked about a packet.
type Question struct {
	Packet      string `json:"packet"`                // "tcp web-1 -> db-1:5432"
	Tenant      string `json:"tenant,omitempty"`      // whose names are meant; empty: those of all
	As          string `json:"as,omitempty"`          // the source address, if it is not the sender's own
	FromMAC     string `json:"fromMAC,omitempty"`     // the source MAC address, if it is not the sender's own
	ToMAC       string `json:"toMAC,omitempty"`       // the destination MAC address, if it is not the receiver's or the router's
	Fragment    string `json:"fragment,omitempty"`    // "first" or "later"; empty: it is whole
	Established bool   `json:"established,omitempty"` // it is of a connection that has been answered
}

// An Explanation is what becomes of a packet by the flows that are installed, and why.
type Explanation struct {
	Packet      string     `json:"packet"`
	Verdict     string     `json:"verdict"`          // "allowed", "denied", "rejected", "audited", "dropped", "answered" (by the bridge) or "handed" (to the daemon)
	By          *Intent    `json:"by,omitempty"`     // that decides; nil: nothing that is written anywhere
	Reason      string     `json:"reason,omitempty"` // of a packet that is stopped, in words
	Bridge      string     `json:"bridge"`
	Tenant      string     `json:"tenant,omitempty"`
	Table       string     `json:"table"`            // where it is decided
	Packets     uint64     `json:"packets"`          // that the flow which decides has counted
	From        string     `json:"from"`             // who sends it
	Zone        uint16     `json:"zone,omitempty"`   // of the connection tracker; zero: it is not asked
	State       string     `json:"state,omitempty"`  // "new", "established"
	Egress      *Intent    `json:"egress,omitempty"` // the rule or default that lets it out, or does not
	Ingress     *Intent    `json:"ingress,omitempty"`
	To          string     `json:"to,omitempty"`       // the intent that it gets to, or would
	OFPort      uint32     `json:"ofport,omitempty"`   // by which it leaves; zero: by none
	Target      *Intent    `json:"target,omitempty"`   // the floating IP, port forward or port of a load balancer that it is for
	SNAT        *Intent    `json:"snat,omitempty"`     // what gives it another source
	Src         string     `json:"src"`                // as it leaves, or as it was when it was stopped
	Dst         string     `json:"dst"`                //
	Nearest     *Nearest   `json:"nearest,omitempty"`  // the rule that comes nearest to letting it pass
	Backends    []AtOther  `json:"backends,omitempty"` // what becomes of it at other backends
	Assumptions []string   `json:"assumptions"`        // on which this rests
	Steps       []FlowStep `json:"steps"`
}

// An Intent is what the operator has written, and where.
type Intent struct {
	ID          string `json:"id"`
	At          string `json:"at,omitempty"`          // file:line; empty: it is not in the model any more
	Description string `json:"description,omitempty"` // of a rule
}

// A Nearest is a rule that would have let a packet pass.
type Nearest struct {
	Rule   Intent  `json:"rule"`
	Lacks  []Lack  `json:"lacks"`            // empty: it matches
	Before *Intent `json:"before,omitempty"` // is asked first, and stops the packet all the same
	Text   string  `json:"text"`             // all of it in a sentence
}

// A Lack is what a rule wants, and what there is.
type Lack struct {
	Want string `json:"want"`
	Is   string `json:"is"`
}

// AtOther is what becomes of a packet at another backend than the one that is shown.
type AtOther struct {
	Backend string `json:"backend"`
	To      string `json:"to"`
	Verdict string `json:"verdict"`
	By      string `json:"by,omitempty"`
}

// A FlowStep is a flow that a packet hits.
type FlowStep struct {
	Pass     int      `json:"pass"` // how often it had been recirculated
	Table    string   `json:"table"`
	Number   uint8    `json:"number"` // of the table
	Priority uint16   `json:"priority"`
	Match    string   `json:"match"`
	Cookie   string   `json:"cookie"`
	Intent   string   `json:"intent,omitempty"`
	At       string   `json:"at,omitempty"`
	Packets  uint64   `json:"packets"`
	Actions  []string `json:"actions"`
	Bucket   string   `json:"bucket,omitempty"` // of a group, that was chosen
	Missed   bool     `json:"missed,omitempty"` // there is no flow
}

// A KnownExplanation is why a connection is there, and what becomes of it.
type KnownExplanation struct {
	Connection Connection   `json:"connection"`
	Egress     *Intent      `json:"egress,omitempty"`  // that let it out
	Ingress    *Intent      `json:"ingress,omitempty"` // that let it in
	NAT        *Intent      `json:"nat,omitempty"`     // that translates it
	Epoch      uint8        `json:"epoch"`             // of its tenant's policy now; the connection has that under which it was judged last
	Next       *Explanation `json:"next,omitempty"`    // of the next packet of who has opened it
	Anew       *Explanation `json:"anew,omitempty"`    // of the connection, if it were opened now
	Same       bool         `json:"same"`              // it would be admitted now as it has been
	Error      string       `json:"error,omitempty"`   // why there is no Next
}

// An ObservationExplanation is what a rule has reported, where that is written now, and what would
// become of the packet now.
type ObservationExplanation struct {
	Observation Observation  `json:"observation"`
	Egress      *Intent      `json:"egress,omitempty"` // the rules or defaults that were asked; that of the last has decided
	Ingress     *Intent      `json:"ingress,omitempty"`
	Now         *Explanation `json:"now,omitempty"`   // of the first packet of such a connection
	Same        bool         `json:"same"`            // the same would become of it now, by the same rules
	Error       string       `json:"error,omitempty"` // why there is no Now
}
