package apps

import (
	"slices"
	"testing"

	"weir/apps/pipeline"
)

// TestAnOutsideWhosePortGoesEndsNoConnection compiles every case without the ports of its outsides:
// nothing is taken back by it, and nothing may go out there.
func TestAnOutsideWhosePortGoesEndsNoConnection(t *testing.T) {
	for _, name := range cases(t) {
		with, in := compileFile(t, name)
		externals := in.Model.Bridges()[0].Externals
		in.Facts.Ports = slices.DeleteFunc(slices.Clone(in.Facts.Ports), func(p pipeline.Port) bool {
			return slices.ContainsFunc(in.Outsides(), func(x pipeline.ExternalSite) bool { return x.Port == p.OFPort })
		})
		without, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		if ids := pipeline.Narrowed(without.Tables().Flows, with.Tables().Flows, in.Numbers, in.Model); len(ids) > 0 {
			t.Errorf("%s: %v are judged again", name, ids)
		}
		if got := len(without.Pending()) - len(with.Pending()); got != len(externals) {
			t.Errorf("%s: %d outsides are waited for, want %d", name, got, len(externals))
		}
		if n := len(with.Tables().Flows) - len(without.Tables().Flows); n < 2*len(externals) || n > 10*len(externals) {
			t.Errorf("%s: %d flows go with the ports of %d outsides", name, n, len(externals))
		}
	}
}
