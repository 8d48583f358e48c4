// Containers runs the acceptance scenarios, and the compose file, with Open vSwitch in containers.
//
//	containers [-run PATTERN] [-compose PATTERN] | -images
//
// It uses the Docker engine that is there. Where none answers it starts one of its own from Debian's docker.io, in
// a network namespace of its own, and ends it. Images that no registry gives it makes itself: Debian by
// debootstrap, Go from that which is installed. At the end it prints for each scenario what became of it:
//
//	scenario O-F01 containers pass
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// What runs of ./test beside the scenarios: restarts of either side, two bridges under one controller.
const scenarios = "^TestO[CFLN][0-9]|^TestRestart$|^TestSwitchKilled$|^TestANewAddressIsKnownOutsideUnasked$"

func main() {
	o := options{}
	flag.StringVar(&o.run, "run", scenarios, "which tests of ./test")
	flag.StringVar(&o.compose, "compose", ".", "which tests of ./test/containers")
	flag.BoolVar(&o.imagesOnly, "images", false, "make the images of docker-compose.yml in the engine that is there, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "containers:", err)
		os.Exit(1)
	}
}

type options struct {
	run, compose string
	imagesOnly   bool
}

func run(ctx context.Context, o options) (err error) {
	if o.imagesOnly {
		return ready(ctx, &engine{}, "")
	}
	dir, err := os.MkdirTemp("", "weir-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "weir")
	compile := command(ctx, &engine{}, "go", "build", "-trimpath", "-o", path, "./cmd/weir")
	compile.Env = append(compile.Env, "CGO_ENABLED=0") // its image has no library
	if err := output(compile); err != nil {
		return err
	}
	e, err := openEngine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := step("images", func() error { return ready(ctx, e, path) }); err != nil {
		return err
	}
	r := results{}
	failed := step("scenarios", func() error { return r.scenarios(ctx, e, path, o.run) })
	failed = errors.Join(failed, step("docker-compose.yml", func() error { return composed(ctx, e, o.compose) }))
	r.print(os.Stdout)
	return failed
}

// step does something, and says how long it took.
func step(what string, do func() error) error {
	fmt.Printf("== %s\n", what)
	start := time.Now()
	err := do()
	fmt.Printf("== %s: %.0f s\n", what, time.Since(start).Seconds())
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// composed runs the tests of the compose file, and takes away what they may have left behind.
func composed(ctx context.Context, e *engine, pattern string) error {
	dir, err := os.MkdirTemp("", "weir-composed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	test := filepath.Join(dir, "containers.test")
	if err := output(command(ctx, e, "go", "test", "-c", "-o", test, "./test/containers")); err != nil {
		return err
	}
	sweep(e)
	defer sweep(e)
	cmd := command(ctx, e, test, "-test.v", "-test.timeout=10m", "-test.run="+pattern)
	cmd.Dir = "test/containers"
	cmd.Env = append(cmd.Env, "WEIR_CONTAINERS=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// sweep removes the compose projects of tests that have ended without doing so: ours are called weir-test-PID.
func sweep(e *engine) {
	const label = "com.docker.compose.project"
	list := func(args ...string) []string {
		out, err := command(context.Background(), e, "docker", args...).Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "containers:", strings.Join(args, " "), err)
		}
		var stale []string
		for line := range strings.Lines(string(out)) {
			id, project, _ := strings.Cut(strings.TrimSpace(line), " ")
			var pid int
			if n, _ := fmt.Sscanf(project, "weir-test-%d", &pid); n == 1 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				stale = append(stale, id)
			}
		}
		return stale
	}
	format := `{{.%s}} {{.Label "` + label + `"}}`
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "--all", "--format", fmt.Sprintf(format, "ID")}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls", "--format", fmt.Sprintf(format, "ID")}, []string{"network", "rm"}},
		{[]string{"volume", "ls", "--format", fmt.Sprintf(format, "Name")}, []string{"volume", "rm"}},
	} {
		if ids := list(kind.list...); len(ids) > 0 {
			if out, err := command(context.Background(), e, "docker", append(kind.remove, ids...)...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "containers: %v: %v: %s\n", kind.remove, err, out)
			}
		}
	}
}

// command returns a command that speaks to the engine. It ends with us, and when ctx is done it has time to clean up.
func command(ctx context.Context, e *engine, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "COMPOSE_IGNORE_ORPHANS=1")
	if e.host != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+e.host)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

func init() {
	runtime.LockOSThread() // our own engine dies with the thread that started it: with this one
}
