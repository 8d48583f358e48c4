package apps

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/store"
)

var update = flag.Bool("update", false, "write the golden files anew; then read what has changed")

// cases are the models whose flows are kept.
func cases(t testing.TB) (names []string) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return names
}

// compileFile compiles a model, with every endpoint's port on the bridge.
func compileFile(t testing.TB, name string) (*pipeline.Program, pipeline.Input) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := intent.Read(intent.Source{Name: filepath.Base(name), Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return compileModel(t, m)
}

func compileModel(t testing.TB, m *intent.Model) (*pipeline.Program, pipeline.Input) {
	in, err := inputOf(m, store.Mem())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return p, in
}

// inputOf puts numbers beside a model, and every endpoint's port on the bridge.
func inputOf(m *intent.Model, n *store.Numbers) (pipeline.Input, error) {
	numbers, err := n.Assign(store.Wants(pipeline.WantsOf(m)))
	if err != nil {
		return pipeline.Input{}, err
	}
	in := pipeline.Input{Bridge: m.Bridges()[0].Name, Model: m, Numbers: numbers, Facts: pipeline.Facts{Features: pipeline.Features{NDExtension: true}}}
	for _, tenant := range m.Tenants() {
		for _, e := range tenant.Endpoints {
			in.Facts.Ports = append(in.Facts.Ports, pipeline.Port{Name: e.Port, IfaceID: e.IfaceID, OFPort: uint32(len(in.Facts.Ports) + 1)})
		}
	}
	for _, x := range m.Bridges()[0].Externals {
		in.Facts.Ports = append(in.Facts.Ports, pipeline.Port{Name: x.Port, OFPort: uint32(len(in.Facts.Ports) + 1)})
	}
	return in, nil
}

func TestGolden(t *testing.T) {
	for _, name := range cases(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			p, in := compileFile(t, name)
			golden(t, strings.TrimSuffix(name, ".yaml")+".flows", p.Text(in.Numbers))
		})
	}
}

// golden compares what has been compiled with what is in a file, or writes that.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("the flows are not those of %s (-update writes it anew):\n%s", file, d)
	}
}
