package api

import (
	"strings"
	"time"
)

// TLS is how the daemon proves who it is, and who could not.
type TLS struct {
	Listen       string        `json:"listen"`          // where bridges find it: "ssl:ADDR:PORT"
	Error        string        `json:"error,omitempty"` // why the files as they are now are not in use; what was before stays
	Certificates []Certificate `json:"certificates"`    // the daemon's own, those of authorities, those of switches that are connected
}

// What a Certificate is of.
const (
	OfDaemon    = "daemon"
	OfAuthority = "authority"
	OfSwitch    = "switch"
)

// A Certificate is one that is in use.
type Certificate struct {
	Of     string    `json:"of"`               // OfDaemon, OfAuthority, OfSwitch
	Bridge string    `json:"bridge,omitempty"` // of a switch
	Names  []string  `json:"names"`            // its common name, DNS names, URIs
	Until  time.Time `json:"until"`
	Alarm  string    `json:"alarm,omitempty"` // "30 days", "7 days" before it expires, "expired"
}

// String names a certificate in the middle of a sentence.
func (c Certificate) String() string {
	name := strings.Join(c.Names, ", ")
	switch c.Of {
	case OfDaemon:
		return "our certificate (" + name + ")"
	case OfAuthority:
		return "the certificate of the authority " + name
	}
	return "the certificate of the switch of " + c.Bridge + " (" + name + ")"
}

// ExpiryAlarm is how near a certificate is to its end: "30 days", "7 days", "expired", or nothing.
func ExpiryAlarm(until, now time.Time) string {
	const day = 24 * time.Hour
	switch left := until.Sub(now); {
	case left <= 0:
		return "expired"
	case left <= 7*day:
		return "7 days"
	case left <= 30*day:
		return "30 days"
	}
	return ""
}

// ExpiryText is an ExpiryAlarm in words; empty of none.
func ExpiryText(alarm string) string {
	switch alarm {
	case "":
		return ""
	case "expired":
		return "HAS EXPIRED"
	}
	return "expires in less than " + alarm
}

// A Refusal is a peer that did not become a session. There is one for each reason and address.
type Refusal struct {
	Reason string    `json:"reason"` // in a word: docs/tls.md has the list
	Why    string    `json:"why"`
	Peer   string    `json:"peer"`           // its address, without the port, or "ovsdb"
	Name   string    `json:"name,omitempty"` // what its certificate says
	Do     string    `json:"do"`             // what may be done
	Count  int       `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// A RefusalCount is how many peers were refused.
type RefusalCount struct {
	Reason string `json:"reason"`
	Peer   string `json:"peer"` // the bridge whose certificate it showed, "local", "remote", "ovsdb"
	N      int64  `json:"n"`
}
