package apps

import (
	"os"
	"path/filepath"
	"testing"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto"
	"weir/ofproto/ofconn"
)

// TestFixedPoint installs every golden case and every example on a real Open vSwitch and
// reads it back: there is nothing to change. Then ovs-ofctl bundle installs the text of the
// program over it, and there is still nothing to change.
func TestFixedPoint(t *testing.T) {
	examples, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(examples) < 6 {
		t.Fatalf("%d examples: %v", len(examples), err)
	}
	box := sandboxtest.Rootless(t, "br")
	conn, err := ofconn.Dial(t.Context(), "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), ofconn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, name := range append(cases(t), examples...) {
		t.Run(filepath.Base(name), func(t *testing.T) { fixedPoint(t, box, conn, name) })
	}
}

func fixedPoint(t *testing.T, box *sandbox.Sandbox, conn *ofconn.Conn, name string) {
	p, in := compileFile(t, name)
	diff := func() ofproto.Plan {
		have, err := conn.Tables(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return ofproto.Diff(p.Tables(), have)
	}
	if err := conn.Apply(t.Context(), diff()); err != nil {
		t.Fatal(err)
	}
	if again := diff(); !again.Empty() {
		t.Fatalf("the second plan is not empty: %+v", again)
	}
	// The program for a datapath that cannot set ND options has a meter in it.
	in.Facts.Features = onKernel
	kernel, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	have, err := conn.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Apply(t.Context(), ofproto.Diff(kernel.Tables(), have)); err != nil {
		t.Fatal(err)
	}
	if have, err = conn.Tables(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := ofproto.Diff(kernel.Tables(), have); !again.Empty() {
		t.Fatalf("the second plan for the kernel's datapath is not empty: %+v", again)
	}
	if err := conn.Apply(t.Context(), ofproto.Diff(p.Tables(), have)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(file, []byte(p.Text(in.Numbers)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := box.Ofctl("-O", "OpenFlow14", "bundle", "br", file); err != nil {
		t.Fatal(err)
	}
	if again := diff(); !again.Empty() {
		t.Errorf("the text of the program says something else than the program: %+v", again)
	}
}
