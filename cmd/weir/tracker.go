package main

import (
	"context"
	"errors"
	"iter"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/explain"
	"weir/intent"
)

// entriesOf goes through the connections of a zone.
func (d *desk) entriesOf(ctx context.Context, zone uint16, each func(conntrack.Entry)) error {
	return d.entriesIn(ctx, []uint16{zone}, each)
}

// fewConnections is how many there may be, of all zones, for them to be read in one go: ovs-vswitchd
// takes 20 ms for that.
const fewConnections = 2000

// entriesIn goes through the connections of zones.
func (d *desk) entriesIn(ctx context.Context, zones []uint16, each func(conntrack.Entry)) error {
	for e, err := range d.entriesFrom(ctx, zones) {
		if err != nil {
			return err
		}
		each(e)
	}
	return nil
}

// entriesFrom returns the connections of zones, so that ovs-vswitchd gets on with other work
// meanwhile. A line that makes no sense costs the connection that it is about; any other error is the
// end.
func (d *desk) entriesFrom(ctx context.Context, zones []uint16) iter.Seq2[conntrack.Entry, error] {
	h := d.hosts[0]
	s := conntrack.Spread{Source: h.tracker, Few: func() bool { return d.few(h) }}
	if h.direct() {
		s.Share = 1
	}
	return func(yield func(conntrack.Entry, error) bool) {
		for e, err := range s.Entries(ctx, conntrack.Filter{}, zones) {
			var damage *conntrack.Damage
			if errors.As(err, &damage) {
				d.log.WithField("zones", zones).WithError(err).Warn("a connection cannot be read")
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// turn waits until one more zone may be read for the controller. Who reads the kernel's table holds nobody.
func (d *desk) turn(ctx context.Context, _ string) (done func(), err error) {
	h := d.hosts[0]
	if h.direct() {
		return func() {}, nil
	}
	return h.turns.Wait(ctx)
}

// direct reports whether reading the connections of a host holds its ovs-vswitchd in nothing.
func (h *host) direct() bool { return h.reader != nil && h.reader.direct() }

// few reports whether it is known that the trackers of a host have few connections.
func (d *desk) few(h *host) bool {
	all := d.trackers.Load()
	if all == nil {
		return false
	}
	var sum uint64
	for _, t := range *all {
		if t.host != h {
			continue
		}
		if t.Max == 0 {
			return false
		}
		sum += t.Count
	}
	return sum <= fewConnections
}

// trackedIn reads the connections of a zone for the controller.
func (d *desk) trackedIn(ctx context.Context, _ string, zone uint16) (all []pipeline.Connection, err error) {
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
	c.AsItself = pipeline.AsItselfOf(e.Label, e.Mark)
	return c
}

// judge returns how a program judges the connections of a tenant.
func judge(p *pipeline.Program, in pipeline.Input, t *intent.Tenant) func(pipeline.Connection) pipeline.Ruling {
	return explain.NewJudge(p, in, t).Rule
}
