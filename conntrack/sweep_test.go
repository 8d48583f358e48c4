package conntrack

import (
	"errors"
	"testing"
	"time"

	"weir/internal/sandbox/sandboxtest"
)

// TestTheSweepIsSet is of versions that have one; the others say that they have none, both times.
func TestTheSweepIsSet(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	d := NewDatapath(box.RunDir(), "dummy")
	every, err := d.Sweep(t.Context())
	if errors.Is(err, ErrUnsupported) {
		if err := d.SetSweep(t.Context(), time.Second); !errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
		t.Skip("this Open vSwitch takes away at once what has timed out")
	}
	if every != DefaultSweep || err != nil {
		t.Errorf("%v, %v; want %v", every, err, DefaultSweep)
	}
	if err := d.SetSweep(t.Context(), 1500*time.Millisecond); err != nil {
		t.Error(err)
	}
	if every, err = d.Sweep(t.Context()); every != 1500*time.Millisecond || err != nil {
		t.Errorf("%v, %v", every, err)
	}
	if err := d.SetSweep(t.Context(), 0); err == nil || errors.Is(err, ErrUnsupported) {
		t.Errorf("never: %v", err)
	}
}
