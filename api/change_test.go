package api

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
)

func TestChangesComeLineByLine(t *testing.T) {
	one, other := &Connection{Tenant: "blue", Protocol: "tcp"}, &Connection{Tenant: "blue", Protocol: "udp"}
	d := fake{changes: []ConnectionChange{{Change: "present", Connection: one}, {Change: "new", Connection: other}, {Error: "it does not run"}, {Change: "ended", Connection: one}}}
	for query, want := range map[string]string{"": "present new error ended", "?tenant=blue&protocol=tcp": "present error ended"} {
		resp := ask(t, d, "GET", "/v1/connections/changes"+query, nil)
		body, err := io.ReadAll(resp.Body)
		var got []string
		for line := range strings.Lines(string(body)) {
			for _, word := range []string{"present", "new", "ended", "error"} {
				if strings.Contains(line, `"`+word+`"`) {
					got = append(got, word)
				}
			}
		}
		if err != nil || resp.StatusCode != 200 || strings.Join(got, " ") != want || resp.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s: %d, %s, want %s", query, resp.StatusCode, body, want)
		}
	}
	for query, status := range map[string]int{"?tenant=nobody": 404, "?dport=x": 400} {
		if resp := ask(t, d, "GET", "/v1/connections/changes"+query, nil); resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", query, resp.StatusCode, status)
		}
	}
}

// TestWhatIsAskedForChangesToo has a connection come to be one that is asked for, and cease to be.
func TestWhatIsAskedForChangesToo(t *testing.T) {
	at := func(state string) *Connection { return &Connection{Tenant: "blue", State: state} }
	d := fake{changes: []ConnectionChange{
		{Change: "new", Connection: at("SYN_SENT")},
		{Change: "changed", Connection: at("ESTABLISHED"), Before: at("SYN_SENT")},
		{Change: "changed", Connection: at("ESTABLISHED"), Before: at("ESTABLISHED")},
		{Change: "changed", Connection: at("TIME_WAIT"), Before: at("ESTABLISHED")},
		{Change: "ended", Connection: at("TIME_WAIT")},
	}}
	for query, want := range map[string]string{"": "new changed changed changed ended", "?select=state%3DESTABLISHED": "in changed out", "?select=state%3DTIME_WAIT": "in ended"} {
		lines := json.NewDecoder(ask(t, d, "GET", "/v1/connections/changes"+query, nil).Body)
		var got []string
		for c := (ConnectionChange{}); lines.Decode(&c) == nil; c = (ConnectionChange{}) {
			got = append(got, c.Change)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
