package main

import (
	"context"
	"errors"
	"strconv"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/explain"
	"weir/intent"
)

// entriesOf goes through the connections of a zone. A line that makes no sense costs the
// connection that it is about.
func (d *desk) entriesOf(ctx context.Context, zone uint16, each func(conntrack.Entry)) error {
	for e, err := range d.tracker.Entries(ctx, conntrack.Filter{Zone: zone}) {
		var damage *conntrack.Damage
		switch {
		case errors.As(err, &damage):
			d.log.WithField("zone", zone).WithError(err).Warn("a connection cannot be read")
		case err != nil:
			return err
		default:
			each(e)
		}
	}
	return nil
}

// trackedIn reads the connections of a zone for the controller.
func (d *desk) trackedIn(ctx context.Context, zone uint16) (all []pipeline.Connection, err error) {
	err = d.entriesOf(ctx, zone, func(e conntrack.Entry) {
		if c, ok := trackedOf(e); ok {
			all = append(all, c)
		}
	})
	return all, err
}

// protocolNames are the protocols to which Open vSwitch gives names (IANA).
var protocolNames = map[string]uint8{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "icmpv6": 58, "sctp": 132, "udplite": 136}

// trackedOf returns an entry as the pipeline knows it, unless its protocol is none.
func trackedOf(e conntrack.Entry) (pipeline.Connection, bool) {
	protocol, ok := protocolNames[e.Protocol]
	if !ok {
		n, err := strconv.ParseUint(e.Protocol, 10, 8)
		if err != nil {
			return pipeline.Connection{}, false
		}
		protocol = uint8(n)
	}
	c := pipeline.Connection{
		Protocol: protocol, Orig: pipeline.CTTuple(e.Orig), Reply: pipeline.CTTuple(e.Reply), Zone: e.Zone, Mark: e.Mark,
	}
	if protocol == pipeline.ProtoTCP {
		c.Open, c.Opening, c.Over = e.State == "ESTABLISHED", e.State == "SYN_SENT", e.Over()
	}
	c.RuleOut, c.RuleIn = pipeline.RulesOf(e.Label, e.Mark)
	c.Object = pipeline.ObjectOf(e.Label, e.Mark)
	return c, true
}

// judge returns how a program judges the connections of a tenant.
func judge(p *pipeline.Program, in pipeline.Input, t *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
	return explain.NewJudge(p, in, t).Rule
}
