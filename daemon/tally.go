package daemon

import (
	"context"
	"sync"
	"time"

	"weir/apps/pipeline"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// countEvery is how often the flows of policy are read, to know when each was hit last: OpenFlow 1.3
// does not say.
const countEvery = 30 * time.Second

// policyTables are the tables in which rules and defaults have their flows.
var policyTables = []ofproto.Table{pipeline.Stateless, pipeline.StatelessReply, pipeline.StatelessIn, pipeline.StatelessInReply, pipeline.PolOut, pipeline.PolIn}

// A tally is when flows of policy were hit last, as far as their counters have said. Whoever has
// read some notes them here.
type tally struct {
	mu sync.Mutex
	of map[string]map[ofproto.FlowKey]tallied // by bridge
}

// A tallied is what a flow had counted when it was read last.
type tallied struct {
	packets uint64
	hit     time.Time // zero: not since it was read first
}

// note notes all flows of policy of a bridge, which were read at a time, and returns when each was hit last.
func (t *tally) note(bridge string, flows []ofproto.FlowStats, at time.Time) map[ofproto.FlowKey]tallied {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := make(map[ofproto.FlowKey]tallied, len(flows))
	for _, f := range flows {
		key := f.Key()
		c, known := t.of[bridge][key]
		if fresh := !known && time.Duration(f.DurationSec)*time.Second < countEvery; f.Packets > c.packets && (known || fresh) {
			c.hit = at
		}
		c.packets = f.Packets
		now[key] = c
	}
	if t.of == nil {
		t.of = map[string]map[ofproto.FlowKey]tallied{}
	}
	t.of[bridge] = now
	return now // which never changes: the next reading makes another one
}

// count reads the flows of policy now and then, until ctx is done. A bridge that cannot be asked is asked
// the next time.
func (d *desk) count(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ctl := d.ctl.Load()
		if ctl == nil {
			continue
		}
		for name := range ctl.Status().Bridges {
			if _, _, err := d.policyFlows(ctx, name); err != nil {
				d.log.WithField("bridge", name).WithError(err).Debug("the counters of rules are not read")
			}
		}
	}
}

// policyFlows reads the flows of policy of a bridge, and says when each was hit last.
func (d *desk) policyFlows(ctx context.Context, bridge string) ([]ofproto.FlowStats, map[ofproto.FlowKey]tallied, error) {
	conn, err := d.management(ctx, bridge)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	return d.policyFlowsOver(ctx, conn, bridge)
}

func (d *desk) policyFlowsOver(ctx context.Context, conn *ofconn.Conn, bridge string) ([]ofproto.FlowStats, map[ofproto.FlowKey]tallied, error) {
	var all []ofproto.FlowStats
	for _, t := range policyTables {
		some, err := conn.FlowStatsOf(ctx, ofproto.FlowQuery{Table: t, Cookie: pipeline.Owner, CookieMask: ^uint64(0xffffffff)})
		if err != nil {
			return nil, nil, err
		}
		all = append(all, some...)
	}
	return all, d.hits.note(bridge, all, time.Now()), nil
}
