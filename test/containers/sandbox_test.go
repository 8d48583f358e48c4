package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weir/internal/sandbox"
)

// namespaceOf is a namespace of a process: "pid" or "mnt".
func namespaceOf(t *testing.T, pid int, kind string) string {
	t.Helper()
	is, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestTheSandboxIsInAContainer has ovs-vswitchd run in a container, killed and started again there, and looks
// that nothing is left of it.
func TestTheSandboxIsInAContainer(t *testing.T) {
	need(t)
	s, err := sandbox.Start(t.Context(), sandbox.Config{Image: "weir-ovs:local"})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(s.RunDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, err := docker("ps", "--all", "--quiet", "--filter", "name="+name); err != nil || left != "" {
			t.Errorf("container %s is there: %v", left, err)
		}
	})
	if err := s.AddBridge("br0"); err != nil {
		t.Fatal(err)
	}
	first := s.VswitchdPID()
	for _, kind := range []string{"pid", "mnt"} {
		if is := namespaceOf(t, first, kind); is == namespaceOf(t, os.Getpid(), kind) {
			t.Errorf("ovs-vswitchd has our %s namespace, %s", kind, is)
		}
	}
	if err := s.KillVswitchd(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.StartVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.VswitchdPID() == first || !s.VswitchdRuns() {
		t.Errorf("ovs-vswitchd was %d, and is %d: runs %v", first, s.VswitchdPID(), s.VswitchdRuns())
	}
	eventually(t, "bridge br0 is there again", func() error {
		out, err := s.Appctl("dpif/show") // it knows that only once it has made its bridges
		if err == nil && !strings.Contains(out, "br0") {
			err = errors.New(out)
		}
		return err
	})
}

// TestAnImageThatIsNotThereIsNamed asks for one.
func TestAnImageThatIsNotThereIsNamed(t *testing.T) {
	need(t)
	s, err := sandbox.Start(t.Context(), sandbox.Config{Image: "localhost:1/weir-none:local"})
	if err == nil || !strings.Contains(err.Error(), "localhost:1/weir-none:local") {
		t.Errorf("the error is %v", err)
		s.Close()
	}
}
