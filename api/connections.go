package api

import "net/http"

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
			switch {
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
