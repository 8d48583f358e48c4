package controller

import (
	"context"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

// readConnections reads the connections of a zone where a bridge has them, or all bridges if it is empty,
// when it is its turn, and says how long that took, without the time that it had to wait for.
func (c *Controller) readConnections(ctx context.Context, bridge string, zone uint16) (all []pipeline.Connection, took time.Duration, err error) {
	if c.config.Turn != nil {
		done, err := c.config.Turn(ctx, bridge)
		if err != nil {
			return nil, 0, err
		}
		defer done()
	}
	began := time.Now()
	all, err = c.config.Connections(ctx, bridge, zone)
	return all, time.Since(began), err
}

// forgettable returns what says why a tracker cannot forget a connection with all that it has in other
// zones, and nothing else; nil: it can.
func (s *session) forgettable(ctx context.Context, h pipeline.Halves) func(pipeline.Connection) error {
	if s.config.Forgettable == nil {
		return func(pipeline.Connection) error { return nil }
	}
	why := s.config.Forgettable(ctx, s.name)
	return func(c pipeline.Connection) error { return why(c.Flushes(h)) }
}

// flushesOf are the messages that have a tracker forget connections with all that they have in
// other zones.
func flushesOf(some []pipeline.Connection, h pipeline.Halves) (all []ofproto.CTFlush) {
	for _, c := range some {
		all = append(all, c.Flushes(h)...)
	}
	return all
}
