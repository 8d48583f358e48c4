// Package sandboxtest gives tests an Open vSwitch that needs no root: with real flow
// tables and a real tracker, and ports that only ovs-appctl netdev-dummy/receive feeds.
package sandboxtest

import (
	"os"
	"os/exec"
	"testing"

	"weir/internal/sandbox"
)

// Rootless starts an Open vSwitch with some bridges, which ends with the test. Without
// Open vSwitch the test is skipped; where CI is set that is a failure.
func Rootless(t testing.TB, bridges ...string) *sandbox.Sandbox {
	t.Helper()
	if _, err := exec.LookPath("ovs-vswitchd"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no ovs-vswitchd: scripts/deps.sh installs it")
		}
		t.Skip("skipped: no ovs-vswitchd (scripts/deps.sh installs it)")
	}
	box, err := sandbox.Start(t.Context(), sandbox.Config{Dummy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, b := range bridges {
		if err := box.AddBridge(b); err != nil {
			t.Fatal(err)
		}
	}
	return box
}
