package intent

import (
	"fmt"
	"strings"
	"testing"
)

// balancedFile is a tenant with a network and load balancers of ten backends each, by address. The
// first of them has so many more.
func balancedFile(balancers, more int) string {
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: blue}\n")
	b.WriteString("---\napiVersion: weir/v1\nkind: Network\nmetadata: {name: lan, tenant: blue}\nspec: {subnets: [{cidr: 10.0.0.0/8, gateway: 10.0.0.1}]}\n")
	for i := range balancers {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: lb%d, tenant: blue}\nspec:\n  address: 10.200.%d.%d\n  ports: [{port: 80, protocol: tcp, targetPort: 8080}]\n  backends:\n", i, i/250, i%250+1)
		for j := range 10 {
			x := i*10 + j
			fmt.Fprintf(&b, "  - {address: 10.%d.%d.%d}\n", 1+x/62500, x/250%250, x%250+1)
		}
		for j := range more {
			fmt.Fprintf(&b, "  - {address: 10.99.0.%d}\n", j+1)
		}
		more = 0
	}
	return b.String()
}

// BenchmarkABackendMore is what it costs to read that one load balancer has a backend more or less.
func BenchmarkABackendMore(b *testing.B) {
	allCompiled(b)
	for _, n := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var r Reader
			files := [2][]Source{}
			for i := range files {
				files[i] = []Source{{"bridge.yaml", []byte(bridgeFile)}, {"blue.yaml", []byte(balancedFile(n, i))}}
			}
			if _, err := r.Read(files[1]...); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := r.Read(files[i%2]...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
