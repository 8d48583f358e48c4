package apps

import (
	"testing"

	"pgregory.net/rapid"

	"weir/apps/fabric"
	"weir/apps/firewall"
	"weir/apps/lb"
	"weir/apps/nat"
	"weir/apps/pipeline"
	"weir/internal/drawn"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestConjunctionsDecideAsProducts compiles random models with and without conjunctions,
// and asks Open vSwitch what becomes of the same packets with the one and with the other.
func TestConjunctionsDecideAsProducts(t *testing.T) {
	drawn.Cases(t, 40, 300)
	tr := startTracer(t)
	packets, conjunctions, saved := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		products, err := pipeline.Build(w.in, fabric.App, nat.App, lb.App, firewall.Products)
		if err != nil {
			t.Fatal(err)
		}
		n := len(conjunctionsOf(w.program))
		if n == 0 {
			t.Skip("no rule is cheaper as a conjunction")
		}
		with, _ := w.program.Size()
		without, _ := products.Size()
		if with >= without {
			t.Fatalf("%s\n%d flows with conjunctions, %d without", w.text, with, without)
		}
		conjunctions += n
		saved += without - with
		var drawn []reference.Packet
		for range packetsOfAModel {
			if p, ok := drawPacket(t, w.model); ok {
				drawn = append(drawn, p)
			}
		}
		decisions := func(p *pipeline.Program) (all []opinion) {
			tr.install(t, p)
			for _, p := range drawn {
				o, _ := tr.trace(t, w, p, reference.New)
				all = append(all, o)
			}
			return all
		}
		as, each := decisions(w.program), decisions(products)
		for i, p := range drawn {
			if as[i] != each[i] {
				t.Fatalf("%s\n%s\nas conjunctions: %s\nas products:     %s", w.text, w.frame(p).text(), as[i], each[i])
			}
		}
		packets += len(drawn)
	})
	t.Logf("%d packets, %d conjunctions that save %d flows", packets, conjunctions, saved)
}

// conjunctionsOf returns the ids of the conjunctions of a program.
func conjunctionsOf(p *pipeline.Program) (ids []uint32) {
	for _, f := range p.Tables().Flows {
		for _, c := range f.Match {
			if c.Field == ofproto.ConjID {
				ids = append(ids, uint32(c.Value.Uint64()))
			}
		}
	}
	return ids
}
