package depth

import (
	"testing"

	"weir/ofproto"
)

// parse reads flows as ovs-ofctl writes them.
func parse(t testing.TB, lines ...string) (all []ofproto.Flow) {
	t.Helper()
	for _, line := range lines {
		f, err := ofproto.ParseFlow(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func TestHowOftenAPacketIsSentBack(t *testing.T) {
	for name, c := range map[string]struct {
		flows []string
		want  int
	}{
		"never":                       {[]string{"table=0,priority=1,actions=goto_table:1", "table=1,priority=1,actions=output:1"}, 0},
		"once":                        {[]string{"table=0,priority=1,ip,actions=ct(table=1)", "table=1,priority=1,actions=output:1"}, 1},
		"a commit sends nothing back": {[]string{"table=0,priority=1,ip,actions=ct(commit),goto_table:1"}, 0},
		"through what another table says": {[]string{
			"table=0,priority=1,ip,actions=resubmit(,5)", "table=5,priority=1,ip,actions=ct(table=1)", "table=1,priority=1,ip,actions=ct(table=2)"}, 2},
		"in a copy":                 {[]string{"table=0,priority=1,ip,actions=clone(ct(table=1)),output:1", "table=1,priority=1,ip,actions=clone(ct(table=2))"}, 2},
		"a flag that is down":       {[]string{"table=0,priority=1,ip,actions=goto_table:1", "table=1,priority=2,ip,reg0=0x1/0x1,actions=ct(table=2)"}, 0},
		"a flag that is raised":     {[]string{"table=0,priority=1,ip,actions=load:1->NXM_NX_REG0[0],goto_table:1", "table=1,priority=2,ip,reg0=0x1/0x1,actions=ct(table=2)"}, 1},
		"a flag that may be raised": {[]string{"table=0,priority=1,ip,actions=move:NXM_NX_REG1[0]->NXM_NX_REG0[0],goto_table:1", "table=1,priority=2,ip,reg0=0x1/0x1,actions=ct(table=2)"}, 1},
		"behind what takes all": {[]string{"table=0,priority=1,ip,actions=load:1->NXM_NX_REG0[0],goto_table:1",
			"table=1,priority=3,reg0=0x1/0x1,actions=drop", "table=1,priority=2,ip,actions=ct(table=2)"}, 0},
		"behind what takes some": {[]string{"table=0,priority=1,ip,actions=load:1->NXM_NX_REG0[0],goto_table:1",
			"table=1,priority=3,tcp,reg0=0x1/0x1,actions=drop", "table=1,priority=2,ip,actions=ct(table=2)"}, 1},
		"a circle that a flag ends":           {[]string{"table=0,priority=1,ip,reg0=0/0x1,actions=load:1->NXM_NX_REG0[0],ct(table=0)"}, 1},
		"a circle":                            {[]string{"table=0,priority=1,ip,actions=ct(table=0)"}, 7},
		"in a circle without being sent back": {[]string{"table=0,priority=1,ip,actions=resubmit(,1)", "table=1,priority=1,ip,actions=resubmit(,0)"}, 0},
	} {
		flows := parse(t, c.flows...)
		if got := len(Most(7, ShapesOf(flows, nil))); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		var one []*Shapes // it is all the same who has the flows
		for i := range flows {
			one = append(one, ShapesOf(flows[i:i+1], nil))
		}
		if got := len(Most(7, one...)); got != c.want {
			t.Errorf("%s, each by itself: %d, want %d", name, got, c.want)
		}
	}
}

func TestEachBucketOfAGroupIsAWay(t *testing.T) {
	flows := parse(t, "table=0,priority=1,ip,actions=group:7", "table=1,priority=1,ip,actions=ct(table=2)")
	groups := []ofproto.Group{{ID: 7, Buckets: []ofproto.Bucket{{Actions: []ofproto.Action{ofproto.Output{Port: 1}}}, {Actions: []ofproto.Action{ofproto.Resubmit{Port: 0xfff8, Table: 1}}}}}}
	shapes := ShapesOf(flows, groups)
	if steps := Most(7, shapes); len(steps) != 1 || steps[0].Shapes != 0 || shapes.Flow(steps[0].Shape) != 1 {
		t.Errorf("%v", steps)
	}
}

func BenchmarkShapesOf(b *testing.B) {
	flows := parse(b, "table=60,priority=5,tcp,reg5=0x1/0xffff,tcp_dst=80,actions=set_field:5->reg7,goto_table:68")
	for len(flows) < 100000 {
		flows = append(flows, flows...)
	}
	b.ReportMetric(float64(len(flows)), "flows")
	for b.Loop() {
		ShapesOf(flows, nil)
	}
}
