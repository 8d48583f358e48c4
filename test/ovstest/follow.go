package ovstest

import (
	"os/exec"
	"syscall"
)

// mostOfClient is how much memory a command that goes on may take, in bytes.
const mostOfClient = 100 << 20

// Follow runs a client command that goes on, until the test ends. What it returns says what it has
// printed by then.
func (d *Daemon) Follow(args ...string) (printed func() string) {
	d.n.T.Helper()
	path, err := binary()
	if err != nil {
		d.n.T.Fatal(err)
	}
	var out logBuffer
	cmd := exec.Command(path, append(args, "--socket", d.socket)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := d.n.StartChild(cmd); err != nil {
		d.n.T.Fatal(err)
	}
	d.n.T.Cleanup(func() {
		used, err := memoryOf(cmd.Process.Pid)
		if err != nil {
			d.n.T.Errorf("weir %v: %v: %s", args, err, out.String())
		}
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			d.n.T.Errorf("weir %v: %v: %s", args, err, out.String())
		}
		if used > mostOfClient {
			d.n.T.Errorf("weir %v has taken %d MB of memory", args, used>>20)
		}
	})
	return out.String
}
