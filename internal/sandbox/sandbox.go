// Package sandbox is an Open vSwitch of one's own, with hosts on it: a database, an
// ovs-vswitchd and network namespaces that belong to this process alone. Nothing of the
// host is touched. The namespaces have no names and the daemons die with the process, so
// that nothing is left behind, however the process ends.
package sandbox

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

// Config is what a Sandbox is made from. The zero Config is the userspace datapath with
// real hosts, for which one has to be root.
type Config struct {
	Datapath string   // "netdev", the default, or "system": the kernel's
	Dummy    bool     // neither root nor real ports are needed; hosts cannot be added
	Dir      string   // for its files; zero: a new one, which Close removes
	Flags    []string // of ovs-vswitchd, besides those that it needs: "--ssl-protocols=TLSv1.1"
	Image    string   // of a container in which Open vSwitch runs, by the docker command; zero: beside us
	Settings []string // of the whole Open vSwitch, before it starts: "other_config:max-revalidator=100"
}

// A Sandbox is a running Open vSwitch. One goroutine at a time may change it.
type Sandbox struct {
	config    Config
	dir       string
	ownDir    bool
	net       *namespace // of ovs-vswitchd; nil if Dummy
	starter   *thread    // the children's parent: they die with it
	container *container // nil: the daemons are children
	db        *daemon
	vswitch   *daemon
	hosts     []*Host
}

// Start starts an Open vSwitch. It returns when it can be spoken to.
func Start(ctx context.Context, c Config) (s *Sandbox, err error) {
	if c.Datapath == "" {
		c.Datapath = "netdev"
	}
	s = &Sandbox{config: c, dir: c.Dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir == "" {
		sweep()
		if s.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid())); err != nil {
			return s, err
		}
		s.ownDir = true
	}
	if err := s.enter(ctx); err != nil {
		return s, err
	}
	return s, s.start(ctx)
}

// enter makes the place in which Open vSwitch is to run.
func (s *Sandbox) enter(ctx context.Context) (err error) {
	switch {
	case s.config.Image != "":
		return s.enterContainer(ctx)
	case s.config.Dummy:
	default:
		if s.net, err = newNamespace(); err != nil {
			return err
		}
	}
	s.starter, err = newThread(s.net)
	return err
}

// enterContainer makes a container, whose parent, as that of all children, is a thread in its namespace.
func (s *Sandbox) enterContainer(ctx context.Context) (err error) {
	if s.config.Dummy || s.config.Datapath != "netdev" {
		return fmt.Errorf("sandbox: Open vSwitch in a container has the userspace datapath, not %s", s.config.Datapath)
	}
	if s.starter, err = newThread(nil); err != nil {
		return err
	}
	if s.container, err = s.startContainer(ctx); err != nil {
		return err
	}
	if s.net, err = s.container.namespace(); err != nil {
		return err
	}
	return s.starter.enter(s.net)
}

// dirPrefix begins the names of the directories that Start makes; the process id follows.
const dirPrefix = "weir-ovs-"

// sweep removes the files of sandboxes whose process was killed. All else that they had has
// gone with the process.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // the pattern is well formed
	for _, dir := range dirs {
		var pid int
		n, _ := fmt.Sscanf(filepath.Base(dir), dirPrefix+"%d-", &pid)
		if n == 1 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(dir) // another sweep may be faster
		}
	}
}

func (s *Sandbox) start(ctx context.Context) error {
	conf := s.path("conf.db")
	schema, err := s.schema()
	if err != nil {
		return err
	}
	if out, err := s.command("ovsdb-tool", "create", conf, schema).CombinedOutput(); err != nil {
		return fmt.Errorf("ovsdb-tool: %w: %s", err, out)
	}
	const ssl = "db:Open_vSwitch,SSL," // it is spoken to over TLS as well, once set-ssl and set-manager say so
	if s.db, err = s.run("ovsdb-server", conf, "--remote=punix:"+s.path("db.sock"), "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--private-key="+ssl+"private_key", "--certificate="+ssl+"certificate", "--ca-cert="+ssl+"ca_cert"); err != nil {
		return err
	}
	if err := s.db.waitFor(ctx, s.path("db.sock")); err != nil {
		return err
	}
	settings := append([]string{"--no-wait", "init", "--", "set", "Open_vSwitch", ".", "ovs_version=" + s.version()}, s.config.Settings...)
	if _, err := s.Vsctl(settings...); err != nil {
		return err
	}
	return s.StartVswitchd(ctx)
}

// schema returns the schema of the database that belongs to the ovs-vswitchd in PATH: each version
// has its own, and keeps it in share/openvswitch of the prefix that it was installed into.
func (s *Sandbox) schema() (string, error) {
	const installed = "share/openvswitch/vswitch.ovsschema"
	if s.container != nil {
		return filepath.Join("/usr", installed), nil
	}
	vswitchd, err := exec.LookPath("ovs-vswitchd")
	if err != nil {
		return "", err
	}
	prefix := filepath.Dir(filepath.Dir(vswitchd))
	if prefix == "/" { // /sbin is /usr/sbin
		prefix = "/usr"
	}
	return filepath.Join(prefix, installed), nil
}

// version is what ovs-vswitchd says of itself: "ovs-vswitchd (Open vSwitch) 3.1.0".
func (s *Sandbox) version() string {
	out, err := s.command("ovs-vswitchd", "--version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	words := strings.Fields(line)
	if err != nil || len(words) == 0 {
		return "unknown"
	}
	return words[len(words)-1]
}

// StartVswitchd starts ovs-vswitchd, after it has been killed.
func (s *Sandbox) StartVswitchd(ctx context.Context) (err error) {
	args := []string{"unix:" + s.path("db.sock")}
	switch {
	case s.config.Dummy:
		args = append(args, "--enable-dummy=override", "--disable-system")
	case s.config.Datapath == "netdev":
		args = append(args, "--disable-system")
	}
	if s.vswitch, err = s.run("ovs-vswitchd", append(args, s.config.Flags...)...); err != nil {
		return err
	}
	return s.vswitch.waitFor(ctx, s.path(fmt.Sprintf("ovs-vswitchd.%d.ctl", s.vswitch.number)))
}

// KillVswitchd ends ovs-vswitchd with a signal, and waits until it is gone.
func (s *Sandbox) KillVswitchd(sig syscall.Signal) error { return s.vswitch.stop(sig) }

// VswitchdPID returns the process id of ovs-vswitchd.
func (s *Sandbox) VswitchdPID() int { return s.vswitch.pid }

// VswitchdRuns reports whether ovs-vswitchd has not ended.
func (s *Sandbox) VswitchdRuns() bool { return s.vswitch.runs() }

func (s *Sandbox) path(name string) string { return filepath.Join(s.dir, name) }

// RunDir returns the directory in which Open vSwitch keeps its sockets and logs.
func (s *Sandbox) RunDir() string { return s.dir }

// DB returns the database, as "unix:PATH".
func (s *Sandbox) DB() string { return "unix:" + s.path("db.sock") }

// Datapath returns the type of the datapath: "netdev" or "system".
func (s *Sandbox) Datapath() string { return s.config.Datapath }

// env is that of a tool or daemon of this Open vSwitch.
func (s *Sandbox) env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_LOGDIR="+s.dir, "OVS_DBDIR="+s.dir)
}

// tool runs a command-line tool and returns its output without the last newline.
func (s *Sandbox) tool(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = s.env()
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(bad.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), err
}

// Vsctl runs ovs-vsctl.
func (s *Sandbox) Vsctl(args ...string) (string, error) {
	return s.tool("ovs-vsctl", append([]string{"--db=" + s.DB(), "--timeout=30"}, args...)...)
}

// Ofctl runs ovs-ofctl. Bridges are found by their names.
func (s *Sandbox) Ofctl(args ...string) (string, error) { return s.tool("ovs-ofctl", args...) }

// Appctl runs ovs-appctl on ovs-vswitchd.
func (s *Sandbox) Appctl(args ...string) (string, error) {
	target := s.path(fmt.Sprintf("ovs-vswitchd.%d.ctl", s.vswitch.number))
	return s.tool("ovs-appctl", append([]string{"-t", target}, args...)...)
}

// AddBridge adds a bridge, and returns when ovs-vswitchd has made it.
func (s *Sandbox) AddBridge(name string) error {
	datapath := s.config.Datapath
	if s.config.Dummy {
		datapath = "dummy"
	}
	_, err := s.Vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type="+datapath, "fail_mode=secure")
	return err
}

// Close ends everything and removes the files. It may be called twice.
func (s *Sandbox) Close() error {
	var errs []error
	for _, d := range []*daemon{s.vswitch, s.db} {
		if d != nil {
			errs = append(errs, d.stop(syscall.SIGTERM))
		}
	}
	s.vswitch, s.db = nil, nil
	if s.container != nil {
		errs = append(errs, s.container.close())
		s.container = nil
	}
	for _, h := range s.hosts {
		h.net.close()
	}
	s.hosts = nil
	if s.starter != nil {
		s.starter.end()
		s.starter = nil
	}
	if s.net != nil {
		s.net.close()
		s.net = nil
	}
	if s.ownDir {
		errs = append(errs, os.RemoveAll(s.dir))
		s.ownDir = false
	}
	return errors.Join(errs...)
}
