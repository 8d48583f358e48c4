package apps

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/internal/drawn"
	"weir/internal/flowsim"
	"weir/internal/reference"
	"weir/ofproto"
)

// TestRealAnswersComeBackThroughNAT opens connections that cross the router on a real Open
// vSwitch with a real tracker, and answers them as their receivers would, by the addresses and
// ports that the reference says they see. Were those others, no answer would come to who has
// asked.
func TestRealAnswersComeBackThroughNAT(t *testing.T) {
	drawn.Cases(t, 20, 300)
	tr := startTracer(t)
	lived, packets := map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newTranslatingWorld(t, onUserspace)
		installed := false
		for range packetsOfAModel {
			c, ok := drawCrossing(t, w.model)
			if !ok || !slices.Contains(spoken, c.Protocol) {
				continue
			}
			k, ok := w.open(t, c)
			if !ok || !k.foretold() {
				continue
			}
			if !installed {
				tr.installs(t, w.program.Tables())
				installed = true
			}
			tr.forget(t, w)
			for i, back := range []bool{false, false, true, false, true} {
				f, to := &k.sent, k.want.port
				if back {
					f, to = &k.answer, uint32(k.sent.Uint(ofproto.InPort))
				}
				if got := tr.send(t, uint32(f.Uint(ofproto.InPort)), onWire(t, f, back, i)); !slices.Equal(got, []uint32{to}) {
					t.Fatalf("%s\n%s\npacket %d, %s: leaves by %v, not by %d", w.text, k.sent.text(), i, f.text(), got, to)
				}
				packets++
			}
			lived[k.want.kind(c)]++
		}
	})
	t.Logf("%d packets: %v", packets, lived)
}

// foretold reports whether there is one way only in which a connection can be translated.
func (k *talk) foretold() bool {
	return len(k.w.possible(k.crossing, reference.New)) == 1 && !slices.ContainsFunc(k.made, k.w.chooses)
}

// chooses reports whether a connection has one of several addresses, or of ports.
func (w *world) chooses(c flowsim.Commit) bool {
	id, _ := w.in.Numbers.Origin(be32(c.Label[4:]))
	for _, t := range w.model.Tenants() {
		for _, s := range t.SNATs {
			if s.ID() == id {
				return !s.Preserves() || slices.ContainsFunc(s.Pools, func(p intent.Pool) bool { return len(p.Ranges) > 1 || p.Ranges[0].Lo != p.Ranges[0].Hi })
			}
		}
	}
	return false
}

// forget empties the tracker of what w's tenants have.
func (tr *tracer) forget(t *rapid.T, w *world) {
	var zones []uint16
	for _, tenant := range w.model.Tenants() {
		zones = append(zones, w.in.Numbers.Zone(tenant.ID()))
	}
	for _, z := range pipeline.AuxZones(w.model) {
		zones = append(zones, w.in.Numbers.Zone(z.ID))
	}
	for _, zone := range zones {
		if err := tr.conn.FlushZone(t.Context(), zone); err != nil {
			t.Fatal(err)
		}
	}
}
