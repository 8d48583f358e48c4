package conntrack

import (
	"context"
	"fmt"
	"strings"
)

// Expectations returns what helpers wait for in a zone, or in all of them if that is zero. Only the
// userspace datapath says it, from Open vSwitch 3.3 on: all else has ErrUnsupported.
func (d Datapath) Expectations(ctx context.Context, zone uint16) ([]Expectation, error) {
	var args []string
	if zone != 0 {
		args = append(args, fmt.Sprintf("zone=%d", zone))
	}
	text, err := d.call(ctx, "dpctl/dump-conntrack-exp", args...)
	if err != nil {
		return nil, supported(err)
	}
	return ParseExpectations(text)
}

// ParseExpectations reads what dpctl/dump-conntrack-exp prints, line by line:
//
//	tcp,orig=(src=10.0.0.2,dst=10.0.0.1,sport=0,dport=35000),zone=5,mark=1,labels=0x7,parent=(src=10.0.0.1,...)
//
// Damage is an error here: there are few of them.
func ParseExpectations(text string) (all []Expectation, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		var e Entry
		p := parser{line: line, e: &e}
		d := p.whole()
		if d == nil && (!e.Orig.Src.IsValid() || !e.Parent.Src.IsValid()) {
			d = p.damage(p.at, "orig or parent is missing: the line is cut")
		}
		if d != nil {
			d.Line = n
			return nil, d
		}
		all = append(all, Expectation{Protocol: e.Protocol, Tuple: e.Orig, Parent: e.Parent, Zone: e.Zone, Mark: e.Mark, Label: e.Label})
	}
	return all, nil
}
