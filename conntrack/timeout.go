package conntrack

import (
	"context"
	"fmt"
	"strings"
)

// TakenTimeouts reports whether connections that a bridge commits to a zone get timeouts of that zone
// from now on. The database says which ones they should get; whether ovs-vswitchd has heeded that
// is seen in what it would tell the datapath:
//
//	Datapath actions: ct(commit,zone=5,timeout=1)
//
// Nothing is sent. The error is ErrUnsupported where ovs-vswitchd cannot be asked.
func (d Datapath) TakenTimeouts(ctx context.Context, bridge string, zone uint16) (bool, error) {
	text, err := d.ask(ctx, "ofproto/trace-packet-out", bridge, "udp", fmt.Sprintf("ct(commit,zone=%d)", zone))
	if err != nil {
		return false, supported(err)
	}
	return parseTaken(text)
}

// parseTaken looks for a timeout among the actions that the datapath would be told.
func parseTaken(text string) (bool, error) {
	for line := range strings.Lines(text) {
		if actions, found := strings.CutPrefix(line, "Datapath actions: "); found && strings.Contains(actions, "ct(commit") {
			return strings.Contains(actions, "timeout="), nil
		}
	}
	return false, fmt.Errorf("ofproto/trace-packet-out: no commit among the datapath's actions in %q", text)
}
