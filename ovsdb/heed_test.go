package ovsdb

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWhatIsWrittenIsHeeded changes something that ovs-vswitchd is seen to act on.
func TestWhatIsWrittenIsHeeded(t *testing.T) {
	box, _, c := database(t)
	for _, name := range []string{"p1", "p2", "p3"} {
		vsctl(t, box, "--no-wait", "add-port", "br", name)
		if err := c.Heeded(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ports, err := box.Appctl("dpif/show"); err != nil || !strings.Contains(ports, name) {
			t.Errorf("%s was not heeded: %s, %v", name, ports, err)
		}
	}
}

// TestNobodyHeeds waits for an ovs-vswitchd that does not run, for longer than the database waits at a
// time, and for the one that comes.
func TestNobodyHeeds(t *testing.T) {
	box, _, c := database(t)
	if err := box.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), (heedWait+300)*time.Millisecond)
	defer cancel()
	if err := c.Heeded(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := box.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Heeded(t.Context()); err != nil {
		t.Error(err)
	}
}
