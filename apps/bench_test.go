package apps

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// largeModel has 100 tenants with 10 endpoints and 100 rules each.
func largeModel(tb testing.TB) *intent.Model {
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\nspec: {external: {network: public, port: eth1, subnets: [{cidr: 203.0.113.0/24}]}}\n")
	for i := range 100 {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t%d}\n", i)
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: lan, tenant: t%d}\nspec: {subnets: [{cidr: 10.1.0.0/24}]}\n", i)
		for j := range 10 {
			fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: e%d, tenant: t%d}\nspec: {network: lan, bind: {port: p%d-%d}, mac: \"02:00:00:00:%02x:%02x\", ips: [10.1.0.%d]}\n", j, i, i, j, i, j, j+10)
		}
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Policy\nmetadata: {name: p, tenant: t%d}\nspec:\n  rules:\n", i)
		for j := range 100 {
			fmt.Fprintf(&b, "  - {name: r%d, direction: ingress, action: allow, from: {cidrs: [10.%d.0.0/16]}, protocol: tcp, ports: [%d]}\n", j, j, 1000+j)
		}
	}
	m, err := intent.Read(intent.Source{Name: "large", Data: []byte(b.String())})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func BenchmarkCompile10000Rules(b *testing.B) {
	p, in := compileModel(b, largeModel(b))
	b.ReportMetric(float64(len(p.Tables().Flows)), "flows")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiffAndNarrowed10000Rules(b *testing.B) {
	p, in := compileModel(b, largeModel(b))
	have := p.Tables()
	b.ReportAllocs()
	for b.Loop() {
		if plan := ofproto.Diff(p.Tables(), have); !plan.Empty() {
			b.Fatal("not empty")
		}
		if ids := pipeline.Narrowed(p.Tables().Flows, have.Flows, in.Numbers, in.Model); len(ids) > 0 {
			b.Fatal(ids)
		}
	}
}

// TestANeighbourIsLearnedByOneUnit has a host on the link of an outside become known. What does not
// have to do with it is not made anew, nor looked at.
func TestANeighbourIsLearnedByOneUnit(t *testing.T) {
	_, in := compileFile(t, "testdata/nat.yaml")
	cache := new(pipeline.Cache)
	before, err := Recompile(cache, in)
	if err != nil {
		t.Fatal(err)
	}
	in.Facts.Neighbours = []pipeline.Neighbour{{External: in.Outsides()[0].ID(), Address: netip.MustParseAddr("203.0.113.77"), MAC: intent.MAC{2, 0, 0, 0, 0, 77}}}
	after, err := Recompile(cache, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range after.Units {
		if same := u == before.Units[i]; same != (i != 1) {
			t.Errorf("unit %d of %d is the same: %v", i, len(after.Units), same)
		}
	}
	plan := after.After(before)
	if len(plan.PutFlows) != 1 || len(plan.DeleteFlows) != 0 {
		t.Errorf("%v", plan)
	}
	again, err := Recompile(cache, in)
	if err != nil || again.Units[1] != after.Units[1] {
		t.Errorf("nothing has changed, and there is another unit: %v", err)
	}
}

// BenchmarkANeighbourIsLearned has a host on the link of an outside become known, and be forgotten,
// on a bridge that has much else.
func BenchmarkANeighbourIsLearned(b *testing.B) {
	_, in := compileModel(b, largeModel(b))
	x := in.Outsides()[0]
	with, without := in, in
	with.Facts.Neighbours = []pipeline.Neighbour{{External: x.ID(), Address: netip.MustParseAddr("203.0.113.77"), MAC: intent.MAC{2, 0, 0, 0, 0, 77}}}
	cache := new(pipeline.Cache)
	p, err := Recompile(cache, without)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in := []pipeline.Input{with, without}[i%2]
		q, err := Recompile(cache, in)
		if err != nil {
			b.Fatal(err)
		}
		if plan := q.After(p); len(plan.PutFlows)+len(plan.DeleteFlows) != 1 {
			b.Fatalf("%d flows", len(plan.PutFlows)+len(plan.DeleteFlows))
		}
		if ids := pipeline.Narrowed(q.Beside(p).Tables().Flows, p.Beside(q).Tables().Flows, in.Numbers, in.Model); len(ids) > 0 {
			b.Fatal(ids)
		}
		p = q
	}
	flows, _ := p.Size()
	b.ReportMetric(float64(flows), "flows")
}
