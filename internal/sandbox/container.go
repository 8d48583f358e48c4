package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A container is where the daemons of Open vSwitch run, if Config.Image says so. Its first process
// reads what nobody says to it, and ends when nobody can any more: with the sandbox, or with this
// process, however that ends. All else in the container ends with it, and the container is removed.
type container struct {
	name string
	pid  int // of its first process
	run  *exec.Cmd
	end  io.Closer
}

// startContainer starts a container of the sandbox's image that has a network namespace of its own, and the
// sandbox's directory. It has the two powers over it that a switch in userspace needs, and no other.
func (s *Sandbox) startContainer(ctx context.Context) (c *container, err error) {
	c = &container{name: filepath.Base(s.dir)}
	// The entry point is no script of the image's: the daemons are started one by one, and killed by tests.
	c.run = exec.Command("docker", "run", "--rm", "--interactive", "--name", c.name, "--network", "none",
		"--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--device", "/dev/net/tun",
		"--volume", s.dir+":"+s.dir, "--entrypoint", "/bin/sh", s.config.Image, "-c", "echo started; exec cat")
	var bad strings.Builder
	c.run.Stderr = &bad
	out, err := c.run.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.end, err = c.run.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.StartChild(c.run); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(c.close(), fmt.Errorf("docker run %s: %s", s.config.Image, strings.TrimSpace(bad.String())))
	}
	text, err := exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", c.name).Output()
	if err == nil {
		c.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return nil, errors.Join(c.close(), fmt.Errorf("docker inspect %s: %w", c.name, err))
	}
	return c, nil
}

// namespace returns the container's network namespace.
func (c *container) namespace() (*namespace, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("network namespace of container %s: %w", c.name, err)
	}
	return &namespace{fd: fd}, nil
}

// close ends the container and returns when it is removed.
func (c *container) close() error {
	c.end.Close() // that is what it waits for
	done := make(chan struct{})
	go func() {
		c.run.Wait() // it is over; that matters, not how
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(20 * time.Second):
	}
	out, err := exec.Command("docker", "rm", "--force", c.name).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("container %s does not end: %w: %s", c.name, err, out)
		c.run.Process.Kill()
	}
	<-done
	return err
}

// command returns a command that runs in the container, with the environment of its daemons and tools.
func (s *Sandbox) command(name string, args ...string) *exec.Cmd {
	if s.container == nil {
		cmd := exec.Command(name, args...)
		cmd.Env = s.env()
		return cmd
	}
	in := []string{"exec", "--env", "OVS_RUNDIR=" + s.dir, "--env", "OVS_LOGDIR=" + s.dir, "--env", "OVS_DBDIR=" + s.dir, s.container.name, name}
	return exec.Command("docker", append(in, args...)...)
}

// outside returns the process id here of one that is number inner in the container.
func (c *container) outside(inner int) (int, error) {
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.pid))
	if err != nil {
		return 0, fmt.Errorf("container %s: %w", c.name, err)
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		if theirs, err := os.Readlink(dir + "/ns/pid"); err != nil || theirs != ours {
			continue // of somebody else, or it has ended
		}
		if innermost(dir) == inner {
			return strconv.Atoi(filepath.Base(dir))
		}
	}
	return 0, fmt.Errorf("container %s has no process %d: %w", c.name, inner, syscall.ESRCH)
}

// innermost returns the process id that a process has in its own namespace; zero: it has ended.
func innermost(dir string) int {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(ids)
			n, _ := strconv.Atoi(f[len(f)-1]) // the kernel writes numbers
			return n
		}
	}
	return 0
}
