package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
)

// ndjson is the type of an answer that has a value on each line.
const ndjson = "application/x-ndjson"

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

// newSender returns what answers r.
func newSender(w http.ResponseWriter, r *http.Request) *sender {
	s := &sender{w: w, lines: strings.Contains(r.Header.Get("Accept"), ndjson)}
	s.out = bufio.NewWriterSize(s, sendBuffer)
	s.json = json.NewEncoder(s.out)
	s.json.SetEscapeHTML(false) // "->" stays readable, and what prints it need not read it
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
