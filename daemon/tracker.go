package daemon

import (
	"context"
	"errors"
	"iter"

	"weir/api"
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

// entriesIn goes through the connections of zones. An api.Unread comes when all others have.
func (d *desk) entriesIn(ctx context.Context, zones []uint16, each func(conntrack.Entry)) error {
	return eachEntry(d.entriesFrom(ctx, zones), each)
}

func eachEntry(all iter.Seq2[conntrack.Entry, error], each func(conntrack.Entry)) error {
	for e, err := range all {
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
	if only := d.hosts[0]; only.name == "" {
		return d.entriesOn(ctx, only, zones)
	}
	return d.entriesOnAll(ctx, zones)
}

// entriesOn returns those of one host.
func (d *desk) entriesOn(ctx context.Context, h *Host, zones []uint16) iter.Seq2[conntrack.Entry, error] {
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
// Nor does who has all of several hosts read: that would wait for each of them.
func (d *desk) turn(ctx context.Context, bridge string) (done func(), err error) {
	h := d.hostFor(bridge)
	if h == nil || h.direct() {
		return func() {}, nil
	}
	return h.turns.Wait(ctx)
}

// hostFor returns the host that has the connections of a bridge; nil: each may have some.
func (d *desk) hostFor(bridge string) *Host {
	if p, found := d.at(bridge); found {
		return p.host
	}
	if len(d.hosts) == 1 {
		return d.hosts[0]
	}
	return nil
}

// direct reports whether reading the connections of a host holds its ovs-vswitchd in nothing.
func (h *Host) direct() bool { return h.reader != nil && h.reader.direct() }

// few reports whether it is known that the trackers of a host have few connections.
func (d *desk) few(h *Host) bool {
	all := h.trackers.Load()
	if all == nil {
		return false
	}
	var sum uint64
	for _, t := range *all {
		if t.Max == 0 {
			return false
		}
		sum += t.Count
	}
	return sum <= fewConnections
}

// trackedIn reads the connections of a zone for the controller, on the host of a bridge, or, if it is empty, on
// all that are reached.
func (d *desk) trackedIn(ctx context.Context, bridge string, zone uint16) (all []pipeline.Connection, err error) {
	zones := []uint16{zone}
	from := d.entriesFrom(ctx, zones)
	if h := d.hostFor(bridge); h != nil {
		from = d.entriesOn(ctx, h, zones)
	}
	err = eachEntry(from, func(e conntrack.Entry) {
		all = append(all, trackedOf(e))
	})
	if bridge == "" {
		err = api.AsFarAsReached(err)
	}
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
