package daemon

import (
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
)

func TestAFlowWasHitWhenItHasCountedMoreThanBefore(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	flow := func(packets uint64, seconds uint32) ofproto.FlowStats {
		return ofproto.FlowStats{Flow: ofproto.Flow{Table: pipeline.PolIn, Priority: 1}, Packets: packets, DurationSec: seconds}
	}
	var all tally
	for i, c := range []struct {
		flow ofproto.FlowStats
		want int // the reading at which it was hit last; -1: not known
	}{
		{flow(7, 3600), -1}, // it may have been long before the daemon
		{flow(7, 3630), -1},
		{flow(9, 3660), 2},
		{flow(9, 3690), 2},
		{flow(0, 1), 2}, // it has been put again, and counts from the beginning
		{flow(1, 31), 5},
	} {
		hits := all.note("br", []ofproto.FlowStats{c.flow}, at.Add(time.Duration(i)*time.Minute))
		want := time.Time{}
		if c.want >= 0 {
			want = at.Add(time.Duration(c.want) * time.Minute)
		}
		if got := hits[c.flow.Key()].hit; !got.Equal(want) {
			t.Errorf("reading %d: hit at %v, want %v", i, got, want)
		}
	}
	young := all.note("other", []ofproto.FlowStats{flow(1, 5)}, at)
	fresh := flow(1, 5)
	if got := young[fresh.Key()].hit; !got.Equal(at) {
		t.Errorf("a flow that is younger than a round, and was hit: %v", got)
	}
}
