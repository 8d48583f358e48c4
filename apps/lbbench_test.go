package apps

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/store"
)

// lbFiles are a tenant with load balancers of ten backends each, which nobody's endpoints are, and a
// bridge's file. The first of them has so many backends more.
func lbFiles(balancers, more int) []intent.Source {
	var b strings.Builder
	b.WriteString("apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t}\n---\napiVersion: weir/v1\nkind: Network\n" +
		"metadata: {name: lan, tenant: t}\nspec: {subnets: [{cidr: 10.0.0.0/8, gateway: 10.0.0.1}]}\n")
	for i := range 10 {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: Endpoint\nmetadata: {name: e%d, tenant: t}\nspec: {network: lan, bind: {port: p%d}, mac: \"02:00:00:00:01:%02x\", ips: [10.0.1.%d]}\n", i, i, i, 10+i)
	}
	for i := range balancers {
		fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: LoadBalancer\nmetadata: {name: lb%d, tenant: t}\nspec:\n  address: 10.200.%d.%d\n  ports: [{port: 80, protocol: tcp, targetPort: 8080}]\n  backends:\n", i, i/250, i%250+1)
		for j := i * 10; j < i*10+10; j++ {
			fmt.Fprintf(&b, "  - {address: 10.%d.%d.%d}\n", 1+j/62500, j/250%250, j%250+1)
		}
		for j := range more {
			fmt.Fprintf(&b, "  - {address: 10.99.0.%d}\n", j+1)
		}
		more = 0
	}
	const bridge = "apiVersion: weir/v1\nkind: Bridge\nmetadata: {name: br0}\n"
	return []intent.Source{{Name: "t", Data: []byte(b.String())}, {Name: "bridge", Data: []byte(bridge)}}
}

// BenchmarkABackendMore is what it costs to read, compile, and compare one backend more or less, and
// to see what is taken back.
func BenchmarkABackendMore(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("%d load balancers", n), func(b *testing.B) {
			s := &stages{b: b, numbers: store.Mem(), spent: map[string]time.Duration{}}
			files := [2][]intent.Source{lbFiles(n, 0), lbFiles(n, 1)}
			s.turn(files[0])
			s.turn(files[1])
			clear(s.spent)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.turn(files[i%2])
			}
			for what, d := range s.spent {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N), what+"-us/op")
			}
		})
	}
}

// BenchmarkLoadBalancers is what it costs to read and compile load balancers for the first time.
func BenchmarkLoadBalancers(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			files := lbFiles(n, 0)
			spent := map[string]time.Duration{}
			b.ReportAllocs()
			for b.Loop() {
				s := &stages{b: b, numbers: store.Mem(), spent: spent}
				s.turn(files)
			}
			for what, d := range spent {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N), what+"-us/op")
			}
		})
	}
}

// TestABackendMoreIsOneLoadBalancersWork compares the units before and after: all others are the same
// ones, so that nobody looks at them, and numbers are asked for that one alone.
func TestABackendMoreIsOneLoadBalancersWork(t *testing.T) {
	s := &stages{b: t, numbers: store.Mem(), spent: map[string]time.Duration{}}
	s.turn(lbFiles(4, 0))
	before, model := s.before, s.model
	s.turn(lbFiles(4, 1))
	others := 0
	for i, u := range s.before.Units {
		if u != before.Units[i] {
			others++
		}
	}
	if others != 1 {
		t.Errorf("%d units are others; want one", others)
	}
	want := []intent.ID{"bridge/br0", "t/loadbalancer/lb0", "t/loadbalancer/lb0/tcp/80", "t/answers"}
	if w := pipeline.WantsSince(s.model, model); !slices.Equal(w.Tags, want) || !slices.Equal(w.Groups, want[2:3]) {
		t.Errorf("numbers are wanted for %q and %q; want %q, and the last but one", w.Tags, w.Groups, want)
	}
}

// TestWhatIsWantedSinceIsAllThatIsNew goes from one model to the next, and looks whether what the
// second wants is what the first has wanted, or is wanted since.
func TestWhatIsWantedSinceIsAllThatIsNew(t *testing.T) {
	var r intent.Reader
	var before *intent.Model
	wanted := map[intent.ID]bool{}
	for _, files := range [][]intent.Source{lbFiles(2, 0), lbFiles(3, 1), lbFiles(1, 0), natFiles(2, 3, false), natFiles(2, 3, true), lbFiles(4, 2)} {
		m, err := r.Read(files...)
		if err != nil {
			t.Fatal(err)
		}
		since := pipeline.WantsSince(m, before)
		for _, id := range slices.Concat(since.Tags, since.Groups) {
			wanted[id] = true
		}
		all := pipeline.WantsOf(m)
		for _, id := range slices.Concat(all.Tags, all.Groups) {
			if !wanted[id] {
				t.Errorf("%s has never been wanted", id)
			}
		}
		before = m
	}
}
