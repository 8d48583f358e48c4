package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
)

// ndjson is the type of an answer that has a value on each line.
const ndjson = "application/x-ndjson"

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
		out := newSender(w, strings.Contains(r.Header.Get("Accept"), ndjson))
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

// sendBuffer is how many bytes are sent at a time. What is not more than that has not begun yet.
const sendBuffer = 64 << 10

// A sender sends values as a list of JSON, or each on a line.
type sender struct {
	w     http.ResponseWriter
	out   *bufio.Writer
	json  *json.Encoder
	lines bool
	some  bool // values
	begun bool // bytes may be on their way
}

func newSender(w http.ResponseWriter, lines bool) *sender {
	s := &sender{w: w, lines: lines}
	s.out = bufio.NewWriterSize(s, sendBuffer)
	s.json = json.NewEncoder(s.out)
	return s
}

// Write sends what has been gathered.
func (s *sender) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		kind := "application/json"
		if s.lines {
			kind = ndjson
		}
		s.w.Header().Set("Content-Type", kind)
	}
	return s.w.Write(b)
}

// send sends a value; false: nobody listens.
func (s *sender) send(v any) bool {
	if !s.lines {
		mark := byte(',')
		if !s.some {
			mark = '['
		}
		_ = s.out.WriteByte(mark) // an error stays, and is that of what follows
	}
	s.some = true
	return s.json.Encode(v) == nil
}

func (s *sender) end() {
	switch {
	case s.lines:
		_, _ = s.Write(nil) // so that it has its type, if it is empty
	case s.some:
		_ = s.out.WriteByte(']')
	default:
		_, _ = s.out.WriteString("[]")
	}
	_ = s.out.Flush()
}
