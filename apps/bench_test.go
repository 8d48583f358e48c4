package apps

import (
	"fmt"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// largeModel has 100 tenants with 10 endpoints and 100 rules each.
func largeModel(tb testing.TB) *intent.Model {
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n")
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
