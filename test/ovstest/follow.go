package ovstest

import (
	"os/exec"
	"syscall"
)

// mostOfClient is how much memory a command that goes on may take, in KB.
const mostOfClient = 100 << 10

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
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			d.n.T.Errorf("weir %v: %v: %s", args, err, out.String())
		}
		if used, is := cmd.ProcessState.SysUsage().(*syscall.Rusage); is && used.Maxrss > mostOfClient {
			d.n.T.Errorf("weir %v has taken %d MB of memory", args, used.Maxrss>>10)
		}
	})
	return out.String
}
