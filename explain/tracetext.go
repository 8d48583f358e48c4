package explain

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"weir/ofproto"
)

// A lookup is one line of what ovs-vswitchd says of a traced packet: a flow that it has hit.
type lookup struct {
	table    ofproto.Table
	missed   bool // there is no flow
	match    string
	priority uint16
	cookie   uint64
	actions  []string // as they are printed, what they come to among them
}

// A passage is what ovs-vswitchd says of one pass of a packet through the tables.
type passage struct {
	lookups  []lookup
	hashed   bool   // it ends where the datapath's hash chooses a bucket
	datapath string // the actions of the datapath
	elsewise string // a bridge behind a patch port, where it goes on
	failed   string // why the switch gives up
}

var (
	hitLine    = regexp.MustCompile(`^ *(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$`)
	missLine   = regexp.MustCompile(`^ *(\d+)\. No match\.$`)
	bridgeLine = regexp.MustCompile(`^ *bridge\("(.*)"\)$`)
)

// parseTrace reads the first pass out of what ofproto/trace, or ofproto/trace-packet-out, prints. What it
// has printed behind that rests on what a trace takes the connection tracker to say, and is left.
func parseTrace(text, bridge string) (p passage, err error) {
	ended := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "====") {
			break
		}
		switch {
		case p.elsewise != "" && !strings.HasPrefix(line, "Datapath actions: "): // the flows of another bridge are not ours to explain
		case hitLine.MatchString(line):
			l, err := hitOf(hitLine.FindStringSubmatch(line))
			if err != nil {
				return p, fmt.Errorf("line %q of a trace: %w", line, err)
			}
			p.lookups = append(p.lookups, l)
		case missLine.MatchString(line):
			n, err := strconv.ParseUint(missLine.FindStringSubmatch(line)[1], 10, 8)
			if err != nil {
				return p, fmt.Errorf("line %q of a trace: %w", line, err)
			}
			p.lookups = append(p.lookups, lookup{table: ofproto.Table(n), missed: true})
		case bridgeLine.MatchString(line):
			if name := bridgeLine.FindStringSubmatch(line)[1]; name != bridge {
				p.elsewise = name
			}
		case strings.HasPrefix(line, "Datapath actions: "):
			p.datapath, ended = strings.TrimPrefix(line, "Datapath actions: "), true
		case strings.HasPrefix(line, "Translation failed"):
			p.failed = line
		case strings.HasPrefix(line, " ") && len(p.lookups) > 0:
			last := &p.lookups[len(p.lookups)-1]
			last.actions = append(last.actions, strings.TrimSpace(line))
		}
	}
	if !ended && p.failed == "" {
		return p, fmt.Errorf("a trace without datapath actions: %q", firstLine(text))
	}
	p.hashed = strings.Contains(p.datapath, "hash(")
	return p, nil
}

// hitOf reads the line of a flow that was hit.
func hitOf(m []string) (l lookup, err error) {
	table, err := strconv.ParseUint(m[1], 10, 8)
	if err != nil {
		return l, err
	}
	priority, err := strconv.ParseUint(m[3], 10, 16)
	if err != nil {
		return l, err
	}
	if m[4] != "" {
		if l.cookie, err = strconv.ParseUint(m[4], 0, 64); err != nil {
			return l, err
		}
	}
	l.table, l.match, l.priority = ofproto.Table(table), m[2], uint16(priority)
	return l, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
