package api

import (
	"encoding/json"
	"iter"
	"net/http"
	"time"
)

// A ConnectionChange is something that has become of a connection, or why that is not known for
// now. /v1/connections/changes gives one on each line, as it happens, and goes on until it is hung
// up on: what there is already first.
type ConnectionChange struct {
	At         time.Time   `json:"at"`
	Change     string      `json:"change,omitempty"`     // "present" (it was there already), "new", "changed", "in" and "out" (changed, and asked for from now on, and no more) or "ended"
	Connection *Connection `json:"connection,omitempty"` // as it is; of one that has ended, as it was seen last
	Before     *Connection `json:"before,omitempty"`     // of one that has changed
	Error      string      `json:"error,omitempty"`      // why something cannot be read; it goes on
}

// stream writes changes as they come, each on a line.
func stream(w http.ResponseWriter, r *http.Request, f Filter, changes iter.Seq[ConnectionChange]) {
	w.Header().Set("Content-Type", ndjson)
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	if out.Flush() != nil {
		return
	}
	for c := range changes {
		if c.Connection != nil && !seen(f, &c) {
			continue
		}
		if lines.Encode(c) != nil || out.Flush() != nil || r.Context().Err() != nil {
			return
		}
	}
}

// seen reports whether a change is asked for, and says of one by which that becomes another that it does.
func seen(f Filter, c *ConnectionChange) bool {
	is, was := f.Matches(*c.Connection), c.Before != nil && f.Matches(*c.Before)
	switch {
	case c.Before == nil || is == was:
		return is
	case is:
		c.Change = "in"
	default:
		c.Change = "out"
	}
	return true
}

// changes answers /v1/connections/changes.
func changes(d Daemon) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readFilter(d, r.URL.Query())
		var all iter.Seq[ConnectionChange]
		if err == nil {
			all, err = d.Changes(r.Context(), f.Tenant)
		}
		if err != nil {
			problemOf(err).write(w)
			return
		}
		stream(w, r, f, all)
	}
}
