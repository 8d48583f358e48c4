package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A nursery starts children from one thread that lives as long as it does: they die with
// that thread (PR_SET_PDEATHSIG), and so even if this program is killed.
type nursery struct {
	work     chan func()
	children []*child
}

// A child is a daemon of a peer.
type child struct {
	name string
	cmd  *exec.Cmd
	said logBuffer
	deaf bool          // it heeds no SIGTERM
	done chan struct{} // closed when it has ended
}

// A logBuffer keeps what a child says.
type logBuffer struct {
	mu  sync.Mutex // exec copies into it until the child has ended, we read before
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newNursery() *nursery {
	n := &nursery{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range n.work {
			f()
		}
	}()
	return n
}

// start starts a daemon. name is for what is said about it, and has to be its own.
func (n *nursery) start(name string, cmd *exec.Cmd) (*child, error) {
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.said, &c.said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
	failed := make(chan error)
	n.work <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait() // how it ended does not matter: it is stopped, or missed by those who ask it
		close(c.done)
	}()
	n.children = append(n.children, c)
	return c, nil
}

// close ends the children, the last one first, and waits for them.
func (n *nursery) close() {
	for i := len(n.children) - 1; i >= 0; i-- {
		n.children[i].stop()
	}
	n.children = nil
	close(n.work)
}

func (c *child) stop() {
	ask := syscall.SIGTERM
	if c.deaf {
		ask = syscall.SIGKILL
	}
	c.cmd.Process.Signal(ask) // it may have ended by itself
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		c.cmd.Process.Kill()
		<-c.done
	}
}

// lastWords is the end of what the child said.
func (c *child) lastWords() string {
	lines := strings.SplitAfter(c.said.String(), "\n")
	return strings.Join(lines[max(len(lines)-10, 0):], "")
}

// answers returns when the child accepts connections on a unix socket.
func (c *child) answers(ctx context.Context, socket string) error {
	return until(ctx, 30*time.Second, 2*time.Millisecond, func() (bool, error) {
		select {
		case <-c.done:
			return false, fmt.Errorf("%s has ended: %s", c.name, c.lastWords())
		default:
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
}

// until asks again and again whether something is so.
func until(ctx context.Context, patience, every time.Duration, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := so(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not so after %v: %w", patience, ctx.Err())
		case <-tick.C:
		}
	}
}

// resident is the memory of a process that is in RAM, and the most that ever was, in MiB.
func resident(pid int) (now, peak float64) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0 // it has ended; the figures that follow will say so
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			now = kib / 1024
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			peak = kib / 1024
		}
	}
	return now, peak
}

// tick is the unit of times in /proc: USER_HZ, the same on all machines that run Go.
const tick = 10 * time.Millisecond

// cpuTime is how much a process has computed so far.
func cpuTime(pid int) time.Duration {
	own, system := cpuTimes(pid)
	return own + system
}

// cpuTimes is how much a process has computed so far by itself, and in the kernel.
func cpuTimes(pid int) (own, system time.Duration) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, 0
	}
	user, _ := strconv.Atoi(f[11])
	kernel, _ := strconv.Atoi(f[12])
	return time.Duration(user) * tick, time.Duration(kernel) * tick
}
