package ofconn

import (
	"context"
	"testing"
	"time"

	"weir/ofproto"
)

// change returns the next change that a watch tells.
func changeOf(t *testing.T, next func(context.Context) (ofproto.TableChange, error)) ofproto.TableChange {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := next(ctx)
	must(t, err)
	return c
}

func TestAWatchTellsWhatOthersChange(t *testing.T) {
	box, c := bridge(t)
	next, err := c.Watch(t.Context())
	must(t, err)
	must(t, c.Apply(t.Context(), ofproto.Plan{ // our own, which is not told
		PutMeters: []ofproto.MeterConfig{{ID: 7, Flags: ofproto.MeterPacketsPerSecond, Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: 5}}}},
		PutGroups: []ofproto.Group{{ID: 7, Type: ofproto.GroupSelect}},
		PutFlows:  []ofproto.Flow{{Table: 9, Priority: 3, Cookie: 1}},
	}))
	for _, step := range []struct {
		version string
		command []string
		groups  bool
		flows   int
	}{
		{"OpenFlow13", []string{"add-flow", "br", "table=3,priority=9,ip,actions=output:1"}, false, 1},
		{"OpenFlow13", []string{"mod-flows", "br", "table=9,actions=normal"}, false, 1},
		{"OpenFlow13", []string{"add-group", "br", "group_id=5,type=all"}, true, 0},
		{"OpenFlow13", []string{"mod-group", "br", "group_id=7,type=select,bucket=output:1"}, true, 0},
		{"OpenFlow15", []string{"insert-buckets", "br", "group_id=7,command_bucket_id=last,bucket=bucket_id:3,output:2"}, true, 0},
		{"OpenFlow15", []string{"remove-buckets", "br", "group_id=7,command_bucket_id=3"}, true, 0},
		{"OpenFlow15", []string{"remove-buckets", "br", "group_id=7,command_bucket_id=all"}, true, 0},
		{"OpenFlow13", []string{"del-groups", "br"}, true, 0},
		{"OpenFlow13", []string{"mod-meter", "br", "meter=7,pktps,band=type=drop,rate=9"}, true, 0},
		{"OpenFlow13", []string{"del-meters", "br"}, true, 0},
		{"OpenFlow13", []string{"del-flows", "br"}, false, 2},
	} {
		must2(t)(box.Ofctl(append([]string{"-O", step.version}, step.command...)...))
		if got := changeOf(t, next); got.All || got.Groups != step.groups || len(got.Flows) != step.flows {
			t.Errorf("%v: %+v", step.command, got)
		}
	}
}

func TestWhatAPauseHidTheTablesHaveToSay(t *testing.T) {
	w := watcher{}
	flow := Change{Updates: []ofproto.FlowUpdate{{}}}
	for i, step := range []struct {
		change Change
		flows  int
		all    bool
	}{
		{flow, 1, false},
		{Change{Updates: []ofproto.FlowUpdate{{Event: ofproto.UpdateAbbreviated}}}, 0, false},
		{Change{Paused: true}, 0, false}, {flow, 0, false}, {Change{Resumed: true}, 0, true}, {flow, 1, false},
		{Change{Paused: true}, 0, false}, {Change{Lost: true}, 0, true}, {flow, 1, false},
	} {
		if got := w.told(step.change); len(got.Flows) != step.flows || got.All != step.all {
			t.Errorf("step %d, %v: %+v", i, step.change, got)
		}
	}
}
