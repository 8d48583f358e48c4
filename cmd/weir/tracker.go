package main

import (
	"context"
	"errors"

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
		all = append(all, trackedOf(e))
	})
	return all, err
}

// trackedOf returns an entry as the pipeline knows it.
func trackedOf(e conntrack.Entry) pipeline.Connection {
	c := pipeline.Connection{
		Protocol: uint8(e.Protocol), Orig: pipeline.CTTuple(e.Orig), Reply: pipeline.CTTuple(e.Reply), Zone: e.Zone, Mark: e.Mark,
	}
	if e.Protocol == conntrack.TCP {
		c.Open, c.Opening, c.Over = e.State == conntrack.Established, e.State == conntrack.SynSent, e.Over()
	}
	c.RuleOut, c.RuleIn = pipeline.RulesOf(e.Label, e.Mark)
	c.Object = pipeline.ObjectOf(e.Label, e.Mark)
	return c
}

// judge returns how a program judges the connections of a tenant.
func judge(p *pipeline.Program, in pipeline.Input, t *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
	return explain.NewJudge(p, in, t).Rule
}
