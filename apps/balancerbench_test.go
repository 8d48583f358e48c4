package apps

import (
	"fmt"
	"strings"
	"testing"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/store"
)

// BenchmarkOneBackend changes a backend of one of 1,000 and of 10,000 load balancers with 10 each.
func BenchmarkOneBackend(b *testing.B) {
	for _, many := range []int{1000, 10000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			var s strings.Builder
			s.WriteString("apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br}\n---\napiVersion: weir/v1\nkind: Tenant\nmetadata: {name: blue}\n---\n" +
				"apiVersion: weir/v1\nkind: Network\nmetadata: {name: n, tenant: blue}\nspec: {subnets: [{cidr: 10.0.0.0/8, gateway: 10.0.0.1}]}\n")
			for i := range many {
				fmt.Fprintf(&s, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: l%d, tenant: blue}\nspec: {address: 10.255.%d.%d, ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [", i, i/250, i%250+1)
				for k := range 10 {
					fmt.Fprintf(&s, "{address: 10.%d.%d.%d}, ", 1+(i*10+k)/62500, (i*10+k)/250%250, (i*10+k)%250+1)
				}
				s.WriteString("]}\n")
			}
			m, err := intent.Read(intent.Source{Name: "f", Data: []byte(s.String())})
			if err != nil {
				b.Fatal(err)
			}
			in, err := inputOf(m, store.Mem())
			if err != nil {
				b.Fatal(err)
			}
			var cache pipeline.Cache
			before, err := Recompile(&cache, in)
			if err != nil {
				b.Fatal(err)
			}
			tenant := in.Model.Tenants()[0]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l := *tenant.LoadBalancers[i%many]
				l.Backends = append([]intent.Backend{}, l.Backends...)
				l.Backends[0].Weight++
				tenant.LoadBalancers[i%many] = &l
				after, err := Recompile(&cache, in)
				if err != nil {
					b.Fatal(err)
				}
				want, have := after.Unlike(before)
				if plan := after.After(before); len(plan.PutGroups) > 1 || len(pipeline.Narrowed(want.Flows, have.Flows, in.Numbers, m)) > 0 {
					b.Fatal(plan)
				}
				before = after
			}
		})
	}
}
