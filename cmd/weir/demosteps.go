package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir/api"
	"weir/apps/pipeline"
	"weir/internal/words"
)

// demoPatience is how long the demo waits for what has to happen.
const demoPatience = 15 * time.Second

// demoSilence is how long the demo waits for what must not happen.
const demoSilence = 1500 * time.Millisecond

// steps are what the demo shows, in order. Each one fails if it did not happen.
func (d *demo) steps() []func(context.Context) error {
	return []func(context.Context) error{
		d.start, d.allowed, d.denied, d.listed, d.entered, d.left, d.balanced, d.unconcerned, d.held, d.takenBack,
	}
}

// allowed shows a connection that a rule allows.
func (d *demo) allowed(ctx context.Context) error {
	l, err := d.hosts["db-1"].Listen("tcp", "10.2.0.11:"+demoPort)
	if err != nil {
		return err
	}
	d.service = l
	go echo(l) // ends when close closes the listener
	if d.link, err = d.connect(ctx, "app-1", demoPatience); err != nil {
		return fmt.Errorf("app-1 should reach db-1: %w", err)
	}
	if err := d.link.say("select 1", demoPatience); err != nil {
		return err
	}
	d.ok("allowed: app-1 -> db-1:%s, data went there and back", demoPort)
	return nil
}

// denied shows a connection that no rule allows, and the counter that says so.
func (d *demo) denied(ctx context.Context) error {
	before, _, err := d.drops()
	if err != nil {
		return err
	}
	if l, err := d.connect(ctx, "web-1", demoSilence); err == nil {
		l.close()
		return errors.New("web-1 reached db-1, and no rule lets it")
	}
	after, reason, err := d.drops()
	if err != nil {
		return err
	}
	if after <= before {
		return fmt.Errorf("web-1 did not reach db-1, but no drop was counted: %d before, %d after", before, after)
	}
	d.ok("denied: web-1 -> db-1:%s had no answer; %s counted as %q", demoPort, words.Count(int(after-before), "packet was", "packets were"), reason)
	return nil
}

// listed shows the connection with the rule that admitted it.
func (d *demo) listed(ctx context.Context) error {
	const rule = "demo/policy/db-ingress/app-to-postgres"
	var list []api.Connection
	if err := d.client.get(ctx, "/v1/connections", nil, &list); err != nil {
		return err
	}
	for _, c := range list {
		if c.Ingress != rule || c.State != "ESTABLISHED" {
			continue
		}
		var table bytes.Buffer
		if err := connectionsListing([]api.Connection{c}).print(&table, formats[0]); err != nil {
			return err
		}
		d.ok("weir connections names the rule that admitted it")
		d.show(table.String())
		return nil
	}
	return fmt.Errorf("no established connection is listed as admitted by %s: %+v", rule, list)
}

// unconcerned shows that a connection lives on when a rule goes that is not its own.
func (d *demo) unconcerned(ctx context.Context) error {
	if err := d.without(ctx, "ping"); err != nil {
		return err
	}
	if err := d.link.say("select 2", demoPatience); err != nil {
		return fmt.Errorf("the edit did not concern the connection of app-1, but: %w", err)
	}
	d.ok("the rule web-ingress/ping is taken away: app-1's connection to db-1 lives on, data went there and back")
	return nil
}

// held shows that a rule which is in use is not taken away without a question.
func (d *demo) held(ctx context.Context) error {
	if _, err := d.edit(ctx, func(model string) string { return withoutRule(model, "app-to-postgres") }); err != nil {
		return err
	}
	why, err := d.objection(ctx)
	if err != nil {
		return err
	}
	if err := d.link.say("select 3", demoPatience); err != nil {
		return fmt.Errorf("the edit is held, but the connection of app-1 is not served: %w", err)
	}
	d.ok("its own rule db-ingress/app-to-postgres is taken away: that is held, and the connection lives on")
	d.show(why)
	return nil
}

// takenBack shows that the connection stops once the tenant allows that.
func (d *demo) takenBack(ctx context.Context) error {
	revision, err := d.edit(ctx, disrupted)
	if err != nil {
		return err
	}
	if _, err := d.programmed(ctx, revision); err != nil {
		return err
	}
	for range 2 { // until the datapath has heard of it: the round that it is in may have begun before
		if _, err := d.box.Appctl("revalidator/wait"); err != nil {
			return err
		}
	}
	err = d.link.say("select 4", demoSilence)
	if err == nil {
		return errors.New("the connection of app-1 was answered after its rule was taken away")
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return fmt.Errorf("the connection of app-1 should fall silent, but: %w", err)
	}
	d.ok("the tenant says allowDisruption: true: the same connection has stopped")
	return nil
}

// disrupted is the model with a tenant whose connections may end.
func disrupted(model string) string {
	const said = "  defaults: {ingress: deny, egress: allow}\n"
	return strings.Replace(model, said, said+"  allowDisruption: true\n", 1)
}

// without takes a rule out of the model, and waits until the bridge is without it.
func (d *demo) without(ctx context.Context, rule string) error {
	revision, err := d.edit(ctx, func(model string) string { return withoutRule(model, rule) })
	if err != nil {
		return err
	}
	_, err = d.programmed(ctx, revision)
	return err
}

// withoutRule removes the line of a rule.
func withoutRule(model, rule string) string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(model, "\n"), func(line string) bool {
		return strings.Contains(line, "- {name: "+rule+",")
	}), "")
}

// edit rewrites the model's file as an editor does, and returns the revision that it
// will be.
func (d *demo) edit(ctx context.Context, change func(string) string) (uint64, error) {
	var s api.Status
	if err := d.client.get(ctx, "/v1/status", nil, &s); err != nil {
		return 0, err
	}
	model, err := os.ReadFile(d.path("demo.yaml"))
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(d.path("demo.yaml.new"), []byte(change(string(model))), 0o600); err != nil {
		return 0, err
	}
	return s.Model.Revision + 1, os.Rename(d.path("demo.yaml.new"), d.path("demo.yaml"))
}

// programmed waits until the bridge is as a revision of the model says.
func (d *demo) programmed(ctx context.Context, revision uint64) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	var s api.Status
	for {
		err := d.client.get(ctx, "/v1/status", nil, &s)
		if err == nil && len(s.Bridges) == 1 && s.Bridges[0].Programmed && s.Bridges[0].Revision >= revision && len(s.Bridges[0].Pending) == 0 {
			return s, nil
		}
		if s.Model.Error != "" {
			return s, errors.New(s.Model.Error)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return s, errors.Join(fmt.Errorf("%s is not programmed within %v: %+v", demoBridge, demoPatience, s), err)
		}
	}
}

// objection waits until the daemon holds the model, and returns why.
func (d *demo) objection(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	var s api.Status
	for {
		err := d.client.get(ctx, "/v1/status", nil, &s)
		if err == nil && len(s.Model.Held) > 0 {
			return strings.Join(s.Model.Held, "\n"), nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return "", errors.Join(fmt.Errorf("the model is not held within %v, and its rule is in use", demoPatience), err)
		}
	}
}

// dropFlow finds the counter and the reason in a flow of table DROP, as ovs-ofctl
// prints it.
var dropFlow = regexp.MustCompile(`n_packets=(\d+).*\breg11=(0x[0-9a-f]+|\d+)`)

// drops returns how many packets policy has dropped, and the reason that dropped
// most.
func (d *demo) drops() (packets uint64, reason string, err error) {
	text, err := d.box.Ofctl("-O", "OpenFlow13", "dump-flows", demoBridge, fmt.Sprintf("table=%d", pipeline.Drop))
	if err != nil {
		return 0, "", err
	}
	var most uint64
	for _, m := range dropFlow.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseUint(m[1], 10, 64)
		code, _ := strconv.ParseUint(m[2], 0, 32)
		r := pipeline.Reason(code)
		if r != pipeline.DeniedByRule && r != pipeline.DeniedByDefault {
			continue
		}
		packets += n
		if n >= most {
			most, reason = n, pipeline.Reasons[r]
		}
	}
	return packets, reason, nil
}

// A link is a TCP connection to db-1, whose service gives back each line it gets.
type link struct {
	conn   net.Conn
	reader *bufio.Reader
}

// connect opens a link from a host.
func (d *demo) connect(ctx context.Context, from string, patience time.Duration) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := d.hosts[from].Dial(ctx, "tcp", "10.2.0.11:"+demoPort)
	if err != nil {
		return nil, err
	}
	return &link{conn: c, reader: bufio.NewReader(c)}, nil
}

// say sends a line and waits for it to come back.
func (l *link) say(line string, patience time.Duration) error {
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(l.conn, line); err != nil {
		return err
	}
	got, err := l.reader.ReadString('\n')
	if err != nil {
		return err
	}
	if strings.TrimSpace(got) != line {
		return fmt.Errorf("sent %q, got %q", line, got)
	}
	return nil
}

// close ends the connection.
func (l *link) close() { _ = l.conn.Close() }

// echo gives back what each connection sends, until the listener is closed.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if _, err := c.Write([]byte(line)); err != nil {
					return
				}
			}
		}()
	}
}

// A child is this binary, run as the daemon.
type child struct {
	cmd    *exec.Cmd
	log    *os.File
	exited chan error // once
}

// startChild runs this binary with args. The child dies with us, however we end.
func startChild(log string, args ...string) (*child, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command("/proc/self/exe", args...), log: f, exited: make(chan error, 1)}
	c.cmd.Args[0] = os.Args[0] // for those who look at the list of processes
	c.cmd.Stdout, c.cmd.Stderr = f, f
	// A process group of its own keeps Ctrl-C from it: we tell it when it is time.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go c.run(started)
	if err := <-started; err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// run holds on to its thread: Pdeathsig strikes when the thread that forked ends.
func (c *child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err == nil {
		c.exited <- c.cmd.Wait()
	}
}

// stop asks the child to end, and makes it if it does not.
func (c *child) stop() error {
	defer c.log.Close()
	// A child that has ended already cannot be asked; Wait says how it ended.
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	if err := <-c.exited; err != nil {
		return fmt.Errorf("the daemon: %w", err)
	}
	return nil
}
