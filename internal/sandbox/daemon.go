package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A daemon is a child that runs until it is stopped, or what a child runs in a container.
type daemon struct {
	name   string
	cmd    *exec.Cmd
	bad    bytes.Buffer
	done   chan struct{} // closed when it has ended
	pid    int           // here
	number int           // as it says itself, and so do its files: in a container that is another
}

// run starts a daemon of Open vSwitch, with its files in the sandbox's directory.
func (s *Sandbox) run(name string, args ...string) (*daemon, error) {
	d := &daemon{name: name, done: make(chan struct{})}
	d.cmd = s.command(name, append(args, "--no-chdir", "-vconsole:off",
		"--pidfile="+s.path(name+".pid"), "--log-file="+s.path(name+".log"))...)
	d.cmd.Stderr = &d.bad
	if err := os.Remove(s.path(name + ".pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // one that was killed leaves it behind, and its number would be read
	}
	if err := s.StartChild(d.cmd); err != nil {
		return nil, err
	}
	go func() {
		d.cmd.Wait() // how it ended does not matter: it is asked for, or seen by its absence
		close(d.done)
	}()
	d.pid, d.number = d.cmd.Process.Pid, d.cmd.Process.Pid
	if s.container == nil {
		return d, nil
	}
	return d, s.find(d)
}

// find finds the process of a daemon that runs in the container.
func (s *Sandbox) find(d *daemon) error {
	err := d.eventually(context.Background(), "write its process id", func() bool {
		text, err := os.ReadFile(s.path(d.name + ".pid"))
		if err == nil {
			d.number, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	if err == nil {
		d.pid, err = s.container.outside(d.number)
	}
	return err
}

// StartChild starts a command beside ovs-vswitchd, in its namespace. It dies with the
// sandbox, and with this process, however that ends; who started it waits for it.
func (s *Sandbox) StartChild(cmd *exec.Cmd) error {
	// Its parent is a thread that lives as long as the sandbox: with it, it dies. Its own
	// group keeps a Ctrl-C in the terminal from it: we end it ourselves.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return s.starter.do(cmd.Start)
}

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
	return d.eventually(ctx, "answer on "+socket, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close() // all that was asked is whether it can be opened
		}
		return err == nil
	})
}

// eventually returns when a daemon that has been started does what it has to.
func (d *daemon) eventually(ctx context.Context, what string, does func() bool) error {
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !does() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.done:
			return fmt.Errorf("%s has ended: %s", d.name, d.bad.String())
		case <-deadline:
			return fmt.Errorf("%s does not %s", d.name, what)
		case <-tick.C:
		}
	}
	return nil
}

// stop ends the daemon, at last with SIGKILL.
func (d *daemon) stop(sig syscall.Signal) error {
	if !d.runs() {
		return nil
	}
	if err := d.signal(sig); err != nil {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(10 * time.Second):
	}
	err := d.signal(syscall.SIGKILL)
	<-d.done
	return err
}

// signal sends the daemon a signal, unless it has ended.
func (d *daemon) signal(sig syscall.Signal) error {
	var err error
	if d.pid == d.cmd.Process.Pid {
		err = d.cmd.Process.Signal(sig)
	} else {
		err = syscall.Kill(d.pid, sig)
	}
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
