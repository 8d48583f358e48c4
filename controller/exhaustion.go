package controller

import (
	"context"
	"slices"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// A NoPort is an SNAT that had no port left for packets that would have begun connections.
type NoPort struct {
	SNAT    intent.ID
	Dropped uint64 // packets, since its flows were made
}

// exhaustion is what a session knows of SNATs that run out of ports.
type exhaustion struct {
	lost map[intent.ID][]uint64 // what a datapath has dropped itself, in the last readings
	told map[intent.ID]bool     // who has been told of in the log
}

// Counters of two flows are not of the same moment: what seems lost is, if it does in so many
// readings one after the other, and is more than what the tracker drops now and then for other
// reasons: so many, and one of so many that were tried.
const (
	surely    = 3
	fewLosses = 10
	lostAmong = 200
)

// countPorts reads how often SNATs had no port left, and tells it if it has changed.
func (s *session) countPorts(ctx context.Context) error {
	if !translates(s.job.input.Model) {
		return nil
	}
	stats, err := s.conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: pipeline.CommitCheck})
	if err == nil && shares(s.job.input.Model) {
		var behind []ofproto.FlowStats
		behind, err = s.conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: pipeline.SharedOut})
		stats = append(stats, behind...)
	}
	if err == nil && s.job.input.Facts.Features.LateNAT { // the kernel's datapath
		var tried []ofproto.FlowStats
		tried, err = s.conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: pipeline.Commit})
		stats = append(stats, tried...)
	}
	if err != nil {
		return err
	}
	now := s.ports.of(pipeline.Exhaustions(stats, s.job.input.Numbers))
	if slices.Equal(now, s.report.NoPort) {
		return nil
	}
	s.tellNoPort(now)
	s.report.NoPort = now
	return s.tell(ctx)
}

// translates reports whether some tenant has an SNAT.
func translates(m *intent.Model) bool {
	return m != nil && slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool { return len(t.SNATs) > 0 })
}

// shares reports whether some SNAT has addresses that others may have as well.
func shares(m *intent.Model) bool {
	return slices.ContainsFunc(m.Tenants(), func(t *intent.Tenant) bool {
		return slices.ContainsFunc(t.SNATs, func(s *intent.SNAT) bool { return s.Shared })
	})
}

// of returns what had no port left.
func (x *exhaustion) of(all []pipeline.Exhaustion) (list []NoPort) {
	if x.lost == nil {
		x.lost, x.told = map[intent.ID][]uint64{}, map[intent.ID]bool{}
	}
	for _, e := range all {
		last := append(x.lost[e.SNAT], e.Lost())
		x.lost[e.SNAT] = last[max(0, len(last)-surely):]
		dropped := e.Dropped
		if lost := slices.Min(x.lost[e.SNAT]); len(x.lost[e.SNAT]) == surely && lost >= max(fewLosses, e.Tried/lostAmong) {
			dropped += lost
		}
		if dropped > 0 {
			list = append(list, NoPort{e.SNAT, dropped})
		}
	}
	return list
}

// tellNoPort says once of each SNAT that it has run out of ports.
func (s *session) tellNoPort(now []NoPort) {
	for _, n := range now {
		if !s.ports.told[n.SNAT] {
			s.ports.told[n.SNAT] = true
			s.config.Log.WithField("bridge", s.name).WithField("snat", n.SNAT).WithField("dropped", n.Dropped).
				Warn("no port is left of the addresses of an SNAT, and new connections are dropped: add addresses, or widen its ports")
		}
	}
}
