package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// shards is how many processes share the scenarios: each waits most of its time.
const shards = 2

// results is what became of each scenario: pass, fail or skip.
type results map[string]string

// An event is one line of go test -json.
type event struct{ Action, Test, Output string }

// scenarios runs tests of ./test with Open vSwitch in containers.
func (r results) scenarios(ctx context.Context, e *engine, binary, pattern string) error {
	dir, err := os.MkdirTemp("", "weir-scenarios-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	test := filepath.Join(dir, "traffic.test")
	if err := output(command(ctx, e, "go", "test", "-c", "-o", test, "./test")); err != nil {
		return err
	}
	list, err := command(ctx, e, test, "-test.list", pattern).Output()
	names := strings.Fields(string(list))
	if err != nil || len(names) == 0 {
		return errors.Join(fmt.Errorf("no test is called %s", pattern), err)
	}
	var all sync.WaitGroup
	events, errs := make(chan event), make([]error, shards)
	for i := range shards {
		all.Go(func() { errs[i] = shard(ctx, e, binary, test, share(names, i), events) })
	}
	go func() {
		all.Wait()
		close(events)
	}()
	r.collect(events, os.Stdout)
	return errors.Join(errs...)
}

// share returns the names of one shard.
func share(names []string, i int) (mine []string) {
	for k := i; k < len(names); k += shards {
		mine = append(mine, names[k])
	}
	return mine
}

// shard runs some tests in a process, and tells what becomes of them.
func shard(ctx context.Context, e *engine, binary, test string, names []string, events chan<- event) error {
	if len(names) == 0 {
		return nil
	}
	cmd := command(ctx, e, "go", "tool", "test2json", test, "-test.v=test2json", "-test.timeout=15m", "-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Env = append(cmd.Env, "CI=1", "WEIR_INTEGRATION=1", "WEIR_BIN="+binary, "WEIR_OVS_IMAGE=weir-ovs:local")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // how it has ended, Wait says
		}
		var ev event
		if err := json.Unmarshal(line, &ev); err != nil {
			ev = event{Output: string(line)}
		}
		events <- ev
	}
	if err := cmd.Wait(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("tests failed: %w", err)
		}
		return err
	}
	return nil
}

var scenario = regexp.MustCompile(`^TestO([A-Z])([0-9]{2})[^/]*$`)

// collect notes what becomes of tests, and tells what those that fail have said.
func (r results) collect(events <-chan event, w io.Writer) {
	said := map[string][]string{}
	for e := range events {
		name, _, _ := strings.Cut(e.Test, "/")
		if name == "" { // of no test: what the process says at its end
			fmt.Fprint(w, strings.TrimPrefix(e.Output, "PASS\n"))
			continue
		}
		said[name] = append(said[name], e.Output)
		if e.Test != name {
			continue
		}
		switch e.Action {
		case "pass", "skip":
			fmt.Fprintf(w, "%s %s\n", e.Action, name)
		case "fail":
			fmt.Fprint(w, "FAIL ", name, "\n", strings.Join(said[name], ""))
		default:
			continue
		}
		delete(said, name)
		if m := scenario.FindStringSubmatch(name); m != nil {
			r["O-"+m[1]+m[2]] = e.Action
		}
	}
	for name, lines := range said { // they did not come to an end: a panic, or a timeout
		fmt.Fprint(w, name, " did not end:\n", strings.Join(lines, ""))
		if m := scenario.FindStringSubmatch(name); m != nil {
			r["O-"+m[1]+m[2]] = "fail"
		}
	}
}

func (r results) print(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(w, "scenario %s containers %s\n", name, r[name])
	}
}
