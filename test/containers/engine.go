package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An engine is a Docker engine: the one that is there, which is the zero engine, or our own.
type engine struct {
	host string // DOCKER_HOST; empty: as it is in the environment

	own  *exec.Cmd
	done chan struct{} // closed when our own has ended
	dir  string        // its sockets
	log  bytes.Buffer
	lock *os.File
}

// openEngine returns the engine that is there, or starts one.
func openEngine(ctx context.Context) (*engine, error) {
	e := &engine{}
	if command(ctx, e, "docker", "info").Run() == nil {
		return e, nil
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return nil, errors.New("no Docker engine answers, and there is no dockerd to start: scripts/deps.sh containers installs it; docker info says why one that runs does not answer")
	}
	if os.Getuid() != 0 {
		return nil, errors.New("no Docker engine answers, and only root can start one")
	}
	return e, errors.Join(e.start(ctx))
}

// start starts dockerd where nothing that it makes is seen: its bridges, its rules of iptables and its mounts
// are in namespaces that end with it. No container has a way out, and none needs one. Its images stay in the cache.
func (e *engine) start(ctx context.Context) (err error) {
	data, err := e.cache()
	if err != nil {
		return err
	}
	removeStale()
	if e.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid())); err != nil {
		return err
	}
	socket := filepath.Join(e.dir, "docker.sock")
	e.host = "unix://" + socket
	e.own = exec.Command("unshare", "--net", "--mount", "sh", "-c", `ip link set lo up && exec dockerd "$@"`, "dockerd",
		"--data-root", data, "--exec-root", filepath.Join(e.dir, "exec"), "--host", e.host,
		"--pidfile", filepath.Join(e.dir, "pid"), "--log-level", "warn")
	e.own.Stdout, e.own.Stderr = &e.log, &e.log
	e.own.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := e.own.Start(); err != nil {
		return err
	}
	e.done = make(chan struct{})
	go func() {
		e.own.Wait() // it is told to end, or its absence is seen
		close(e.done)
	}()
	if err := e.answers(ctx); err != nil {
		return errors.Join(err, e.close())
	}
	return e.tidy(ctx)
}

// dirPrefix begins the names of the folders of our engines' sockets; the process id follows.
const dirPrefix = "weir-docker-"

// removeStale removes the folders of those who were killed.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // the pattern is well formed
	for _, dir := range dirs {
		var pid int
		n, _ := fmt.Sscanf(filepath.Base(dir), dirPrefix+"%d-", &pid)
		if n == 1 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(dir)
		}
	}
}

// cache returns the folder of our engine's images, for us alone.
func (e *engine) cache() (string, error) {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "weir", "docker")
	if err := os.MkdirAll(dir, 0o710); err != nil {
		return "", err
	}
	if e.lock, err = os.Create(filepath.Join(filepath.Dir(dir), "docker.lock")); err != nil {
		return "", err
	}
	if err := syscall.Flock(int(e.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", fmt.Errorf("%s: %w: another run uses our Docker engine: wait until it has ended", dir, err)
	}
	return dir, nil
}

func (e *engine) answers(ctx context.Context) error {
	deadline := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for command(ctx, e, "docker", "info").Run() != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.done:
			return fmt.Errorf("dockerd has ended: %s", tail(e.log.String(), 20))
		case <-deadline:
			return errors.New("dockerd does not answer")
		case <-tick.C:
		}
	}
	return nil
}

// tidy removes what a run that was killed has left in our own engine.
func (e *engine) tidy(ctx context.Context) error {
	out, err := command(ctx, e, "docker", "ps", "--all", "--quiet").Output()
	if ids := strings.Fields(string(out)); err == nil && len(ids) > 0 {
		err = command(ctx, e, "docker", append([]string{"rm", "--force", "--volumes"}, ids...)...).Run()
	}
	return err
}

// close ends our own engine; one that was there stays.
func (e *engine) close() error {
	if e.own == nil {
		return nil
	}
	syscall.Kill(e.own.Process.Pid, syscall.SIGTERM) // that it has ended already is no error
	select {
	case <-e.done:
	case <-time.After(60 * time.Second):
		e.own.Process.Kill()
		<-e.done
		fmt.Fprintln(os.Stderr, "containers: dockerd did not end, and was killed:", tail(e.log.String(), 20))
	}
	e.own = nil
	return errors.Join(os.RemoveAll(e.dir), e.lock.Close())
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
