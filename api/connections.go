package api

import (
	"errors"
	"net/http"
)

// An Unread is an error that ends a list of connections: it has all but those of some hosts.
type Unread struct{ Why string }

// Error says which hosts, and why.
func (u Unread) Error() string { return u.Why }

// UnreadTrailer is the trailer of an answer (RFC 9110, section 6.5) in which connections of some hosts are
// missing: it says of which, and why.
const UnreadTrailer = "Weir-Unread"

// connections answers GET /v1/connections: each connection is sent as it is read, so that neither end has
// to hold all of them. As long as nothing was sent an error is a Problem; later the answer is cut off.
func connections(d Daemon) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readFilter(d, r.URL.Query())
		if err != nil {
			problemOf(err).write(w)
			return
		}
		all, err := d.Connections(r.Context(), f.Tenant)
		if err != nil {
			problemOf(err).write(w)
			return
		}
		out := newSender(w, r)
		for c, err := range all {
			var unread Unread
			switch {
			case errors.As(err, &unread):
				w.Header().Set(http.TrailerPrefix+UnreadTrailer, unread.Why)
			case err != nil && !out.begun:
				problemOf(err).write(w)
				return
			case err != nil:
				panic(http.ErrAbortHandler) // half a list must not look like a whole one
			case f.Matches(c) && !out.send(c):
				return // nobody listens
			}
		}
		out.end()
	}
}
