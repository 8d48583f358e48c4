package ovstest

import (
	"regexp"
	"strings"
)

// Recirculations says how many times packets of a kind came back to the flow tables.
type Recirculations struct{ New, Established int }

var (
	recircID = regexp.MustCompile(`recirc_id\((0x[0-9a-f]+|0)\)`)
	recircTo = regexp.MustCompile(`recirc\((0x[0-9a-f]+)\)`)
)

// A megaflow is one flow of the datapath.
type megaflow struct {
	text string
	next []string // where it sends packets back to
}

// Recirculations reads the flows of the datapath that match all of some texts in their
// first pass, and follows them: the most passes that a new, and an established, packet
// takes.
func (n *Net) Recirculations(first ...string) (r Recirculations) {
	n.T.Helper()
	text, err := n.Appctl("dpctl/dump-flows")
	if err != nil {
		n.T.Fatal(err)
	}
	passes := map[string][]megaflow{}
	for line := range strings.Lines(text) {
		id := recircID.FindStringSubmatch(line)
		match, actions, ok := strings.Cut(line, "actions:")
		if id == nil || !ok {
			continue
		}
		f := megaflow{text: match}
		for _, to := range recircTo.FindAllStringSubmatch(actions, -1) {
			f.next = append(f.next, to[1])
		}
		passes[id[1]] = append(passes[id[1]], f)
	}
	for _, f := range passes["0"] {
		if containsAll(f.text, first) {
			follow(passes, f, 0, "", &r)
		}
	}
	return r
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// follow goes on from f, after depth recirculations, with the ct_states seen so far.
func follow(passes map[string][]megaflow, f megaflow, depth int, states string, r *Recirculations) {
	if i := strings.Index(f.text, "ct_state("); i >= 0 {
		states += f.text[i:][:strings.IndexByte(f.text[i:], ')')]
	}
	if len(f.next) == 0 {
		switch {
		case strings.Contains(states, "+new"):
			r.New = max(r.New, depth)
		case strings.Contains(states, "+est"):
			r.Established = max(r.Established, depth)
		}
	}
	for _, to := range f.next {
		for _, g := range passes[to] {
			if depth < 16 {
				follow(passes, g, depth+1, states, r)
			}
		}
	}
}
