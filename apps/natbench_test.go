package apps

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
	"weir/store"
)

// natFiles are tenants with endpoints that all have floating IPs, and a bridge's file at last.
// The first tenant has an endpoint more, which has one if spare says so.
func natFiles(tenants, floats int, spare bool) (all []intent.Source) {
	for i := range tenants {
		var b strings.Builder
		object := func(kind, name, spec string) {
			fmt.Fprintf(&b, "---\napiVersion: weir/v1\nkind: %s\nmetadata: {name: %s, tenant: t%d}\nspec: {%s}\n", kind, name, i, spec)
		}
		fmt.Fprintf(&b, "apiVersion: weir/v1\nkind: Tenant\nmetadata: {name: t%d}\n", i)
		object("Network", "lan", "subnets: [{cidr: 10.1.0.0/16, gateway: 10.1.0.1}]")
		object("SNAT", "out", fmt.Sprintf("network: lan, addresses: [172.17.%d.1-172.17.%d.4]", i, i))
		for j := range floats + 1 {
			object("Endpoint", fmt.Sprint("e", j), fmt.Sprintf(`network: lan, bind: {port: p%d-%d}, mac: "02:00:00:%02x:%02x:%02x", ips: [10.1.%d.%d]`,
				i, j, i, j/256, j%256, 1+j/200, 1+j%200))
			if j < floats || spare && i == 0 {
				object("FloatingIP", fmt.Sprint("f", j), fmt.Sprintf("address: 172.16.%d.%d, endpoint: e%d", (i*(floats+1)+j)/250, 1+(i*(floats+1)+j)%250, j))
			}
		}
		all = append(all, intent.Source{Name: fmt.Sprint("t", i), Data: []byte(b.String())})
	}
	const bridge = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
spec: {external: {network: public, port: out, subnets: [{cidr: 172.16.0.0/15, gateway: 172.16.255.1, address: 172.16.255.2}]}}
`
	return append(all, intent.Source{Name: "bridge", Data: []byte(bridge)})
}

// BenchmarkAFloatingIPMore is what it costs to read, compile, and compare one floating IP more
// or less of 1,000, and to see what is taken back.
func BenchmarkAFloatingIPMore(b *testing.B) {
	for _, c := range []struct{ tenants, floats int }{{1, 1000}, {10, 100}, {100, 10}} {
		b.Run(fmt.Sprintf("%d tenants with %d", c.tenants, c.floats), func(b *testing.B) {
			s := &stages{b: b, numbers: store.Mem(), spent: map[string]time.Duration{}}
			files := [2][]intent.Source{natFiles(c.tenants, c.floats, false), natFiles(c.tenants, c.floats, true)}
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

// A stages is a daemon without a switch, and how long it takes for what.
type stages struct {
	b       testing.TB
	reader  intent.Reader
	numbers *store.Numbers
	cache   pipeline.Cache
	ports   []pipeline.Port
	before  *pipeline.Program
	model   *intent.Model
	spent   map[string]time.Duration
}

func (s *stages) turn(files []intent.Source) {
	var m *intent.Model
	var after *pipeline.Program
	var in pipeline.Input
	s.stage("read", func() (err error) { m, err = s.reader.Read(files...); return err })
	s.stage("numbers", func() error {
		numbers, err := s.numbers.Assign(store.Wants(pipeline.WantsSince(m, s.model)))
		in = pipeline.Input{Bridge: "br0", Model: m, Numbers: numbers, Facts: pipeline.Facts{Features: pipeline.Features{NDExtension: true}}}
		return err
	})
	if s.ports == nil {
		all, err := inputOf(m, s.numbers)
		if err != nil {
			s.b.Fatal(err)
		}
		s.ports = all.Facts.Ports
	}
	in.Facts.Ports = s.ports
	s.stage("compile", func() (err error) { after, err = Recompile(&s.cache, in); return err })
	if s.before != nil {
		var want, have ofproto.Tables
		s.stage("diff", func() error {
			want, have = after.Unlike(s.before)
			ofproto.Diff(want, have)
			return nil
		})
		s.stage("narrowed", func() error {
			pipeline.Narrowed(want.Flows, have.Flows, in.Numbers, m)
			return nil
		})
	}
	s.before, s.model = after, m
}

func (s *stages) stage(what string, f func() error) {
	start := time.Now()
	if err := f(); err != nil {
		s.b.Fatal(err)
	}
	s.spent[what] += time.Since(start)
}

// TestAFloatingIPMoreIsItsOwnWork compares the units before and after: all others are the same ones, those of its
// tenant, too, so that nobody looks at them.
func TestAFloatingIPMoreIsItsOwnWork(t *testing.T) {
	s := &stages{b: t, numbers: store.Mem(), spent: map[string]time.Duration{}}
	s.turn(natFiles(4, 2, false))
	less := s.before
	s.turn(natFiles(4, 2, true))
	come := s.before.Beside(less).Units[1:] // the bridge's is always there
	if len(come) != 2 || come[0].Of != "t0" || !strings.Contains(come[0].Flows[0].String(), "172.16.0.3") || len(come[1].Flows) > 10 {
		t.Errorf("%d units have come, want that of the floating IP and its tenant's epoch", len(come))
	}
	if gone := less.Beside(s.before).Units[1:]; len(gone) != 1 {
		t.Errorf("%d units have gone, want the tenant's epoch only", len(gone))
	}
}

// TestOneFloatingIPMoreIsSeenToTakeNothingBack asks of a plan what the flows would say after a
// longer look.
func TestOneFloatingIPMoreIsSeenToTakeNothingBack(t *testing.T) {
	s := &stages{b: t, numbers: store.Mem(), spent: map[string]time.Duration{}}
	s.turn(natFiles(2, 2, false))
	less := s.before
	s.turn(natFiles(2, 2, true))
	more := s.before
	for what, c := range map[string]struct {
		from, to *pipeline.Program
		widens   bool
	}{"one more": {less, more, true}, "one less": {more, less, false}} {
		want, have := c.to.Unlike(c.from)
		if got := pipeline.Widens(ofproto.Diff(want, have), want.Flows, have.Flows); got != c.widens {
			t.Errorf("%s: %v", what, got)
		}
	}
}
