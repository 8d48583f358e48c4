package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A daemon is a child that runs until it is stopped.
type daemon struct {
	name string
	cmd  *exec.Cmd
	bad  bytes.Buffer
	done chan struct{} // closed when it has ended
}

// run starts a daemon of Open vSwitch, with its files in the sandbox's directory.
func (s *Sandbox) run(name string, args ...string) (*daemon, error) {
	d := &daemon{name: name, done: make(chan struct{})}
	d.cmd = exec.Command(name, append(args, "--no-chdir", "-vconsole:off",
		"--pidfile="+s.path(name+".pid"), "--log-file="+s.path(name+".log"))...)
	d.cmd.Env, d.cmd.Stderr = s.env(), &d.bad
	if err := s.StartChild(d.cmd); err != nil {
		return nil, err
	}
	go func() {
		d.cmd.Wait() // how it ended does not matter: it is asked for, or seen by its absence
		close(d.done)
	}()
	return d, nil
}

// StartChild starts a command beside ovs-vswitchd, in its namespace. It dies with the
// sandbox, and with this process, however that ends; who started it waits for it.
func (s *Sandbox) StartChild(cmd *exec.Cmd) error {
	// Its parent is a thread that lives as long as the sandbox: with it, it dies. Its own
	// group keeps a Ctrl-C in the terminal from it: we end it ourselves.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return s.starter.do(cmd.Start)
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) runs() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// waitFor returns when the daemon answers on a unix socket.
func (d *daemon) waitFor(ctx context.Context, socket string) error {
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", socket); err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.done:
			return fmt.Errorf("%s has ended: %s", d.name, d.bad.String())
		case <-deadline:
			return fmt.Errorf("%s does not answer on %s", d.name, socket)
		case <-tick.C:
		}
	}
}

// stop ends the daemon, at last with SIGKILL.
func (d *daemon) stop(sig syscall.Signal) error {
	if !d.runs() {
		return nil
	}
	if err := d.cmd.Process.Signal(sig); err != nil && d.runs() {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(10 * time.Second):
	}
	err := d.cmd.Process.Kill()
	if err == os.ErrProcessDone {
		err = nil
	}
	<-d.done
	return err
}
