package ovstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"weir/api"
)

// A Daemon is a running weir serve.
type Daemon struct {
	ExpectRefusals bool // the test makes the switch refuse something
	LeftOut        int  // so many intents are not served on a bridge

	n      *Net
	model  string // the file
	socket string
	cmd    *exec.Cmd
	done   chan struct{}
	log    logBuffer
	judge  judge
}

// Run starts the daemon with a model, and returns when all of it is programmed.
func (n *Net) Run(model string) *Daemon {
	n.T.Helper()
	var before judge // of a daemon from which this one takes over
	if n.Weir != nil {
		before = n.Weir.judge
	}
	n.Weir = &Daemon{n: n, model: filepath.Join(n.dir, "model.yaml"), socket: filepath.Join(n.dir, "weir.sock"), judge: before}
	n.Weir.write(model)
	n.Weir.Start()
	n.Weir.Programmed(1)
	return n.Weir
}

func (d *Daemon) write(model string) {
	d.n.T.Helper()
	d.hear(model)
	whole := d.model + ".new" // the daemon reads a model whenever it is there, also half of one
	if err := os.WriteFile(whole, []byte(model), 0o600); err != nil {
		d.n.T.Fatal(err)
	}
	if err := os.Rename(whole, d.model); err != nil {
		d.n.T.Fatal(err)
	}
}

// Start starts the daemon, again after it has been stopped or killed.
func (d *Daemon) Start() {
	d.n.T.Helper()
	path, err := binary()
	if err != nil {
		d.n.T.Fatal(err)
	}
	args := append([]string{path, "serve", "-f", d.model, "--state-dir", d.StateDir(), "--socket", d.socket}, d.n.where()...)
	args = append(args, d.n.Serve...)
	if d.n.Without != "" {
		args = append([]string{"setpriv", "--bounding-set", "-" + d.n.Without, "--inh-caps", "-" + d.n.Without}, args...)
	}
	d.cmd = exec.Command(args[0], args[1:]...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.n.StartChild(d.cmd); err != nil {
		d.n.T.Fatal(err)
	}
	done := make(chan struct{})
	d.done = done
	cmd := d.cmd
	go func() {
		cmd.Wait() // it is asked for how it ended nowhere: it is stopped, or killed
		close(done)
	}()
}

// Stop stops the daemon as an operator would.
func (d *Daemon) Stop() { d.end(syscall.SIGTERM) }

// Kill kills the daemon (kill -9).
func (d *Daemon) Kill() { d.end(syscall.SIGKILL) }

// runs reports whether the daemon has not ended.
func (d *Daemon) runs() bool {
	if d.done == nil { // it could not be started
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

func (d *Daemon) end(sig syscall.Signal) {
	if !d.runs() {
		return
	}
	d.cmd.Process.Signal(sig)
	select {
	case <-d.done:
	case <-time.After(Patience):
		d.n.T.Errorf("the daemon does not end on %v", sig)
		d.cmd.Process.Kill()
		<-d.done
	}
}

// Tool runs a client command against the daemon, and returns its output and exit status.
func (d *Daemon) Tool(args ...string) (string, error) {
	path, err := binary()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var out, bad bytes.Buffer
	cmd := exec.CommandContext(ctx, path, append(args, "--socket", d.socket)...)
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("weir %v: %w: %s", args, err, bad.String())
	}
	return out.String(), err
}

// Plan runs a client command that plans, and returns its output, and whether there is something to do.
func (d *Daemon) Plan(args ...string) (out string, changes bool, err error) {
	out, err = d.Tool(args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return out, true, nil
	}
	return out, false, err
}

// StateDir is where the daemon keeps what it has to know when it is started anew.
func (d *Daemon) StateDir() string { return filepath.Join(d.n.dir, "state") }

// Memory is how many bytes of memory the daemon has taken at most.
func (d *Daemon) Memory() (bytes uint64) {
	d.n.T.Helper()
	bytes, err := memoryOf(d.cmd.Process.Pid)
	if err != nil {
		d.n.T.Fatal(err)
	}
	return bytes
}

// memoryOf returns the most memory that a process has had (VmHWM). What wait4 tells (ru_maxrss) counts that of the
// process that started it as well, which a test of many connections has a lot of.
func memoryOf(pid int) (bytes uint64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); err == nil {
			return bytes << 10, nil
		}
	}
	return 0, fmt.Errorf("no VmHWM in %s", status)
}

// Log returns what the daemon has said.
func (d *Daemon) Log() string { return d.log.String() }

// Status returns what weir status -o json says. It asks for that itself: it is asked again and again, and in a guest it takes
// longer to start a program than a daemon takes for most that is waited for.
func (d *Daemon) Status() (s api.Status, err error) {
	var dialer net.Dialer
	c := http.Client{Timeout: Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", d.socket)
		},
	}}
	r, err := c.Get("http://weir/v1/status")
	if err != nil {
		return s, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return s, fmt.Errorf("weir status: %s", r.Status)
	}
	err = json.NewDecoder(r.Body).Decode(&s)
	return s, err
}

// Programmed waits until a model of at least a revision is in all bridges, and returns the
// status then.
func (d *Daemon) Programmed(revision uint64) (s api.Status) {
	d.n.T.Helper()
	Eventually(d.n.T, "all bridges programmed", func() (err error) {
		if s, err = d.Status(); err != nil {
			return err
		}
		if s.Model.Error != "" {
			d.n.T.Fatalf("the model is refused: %s", s.Model.Error)
		}
		if len(s.Model.Held) > 0 {
			return fmt.Errorf("the model is held: %v", s.Model.Held)
		}
		if s.Model.Revision < revision || len(s.Bridges) == 0 {
			return fmt.Errorf("revision is %d, want %d", s.Model.Revision, revision)
		}
		for _, b := range s.Bridges {
			if !b.Programmed && !(d.ExpectRefusals && b.Revision == s.Model.Revision && len(b.Refused) > 0) || len(b.Pending) != d.LeftOut {
				return fmt.Errorf("bridge %s: %+v", b.Name, b)
			}
		}
		return nil
	})
	d.n.seen.settle(func() {
		if _, err := d.n.Appctl("revalidator/wait"); err != nil { // what came before has left megaflows that drop it
			d.n.T.Fatal(err)
		}
	})
	return s
}

// Change changes the model, and returns when the new one is programmed.
func (d *Daemon) Change(model string) api.Status {
	d.n.T.Helper()
	s, err := d.Status()
	if err != nil {
		d.n.T.Fatal(err)
	}
	d.write(model)
	d.cmd.Process.Signal(syscall.SIGHUP)
	return d.Programmed(s.Model.Revision + 1)
}

// Apply changes the model, and returns when the new one is programmed, and the datapath goes by it: until its flows have
// been looked at again, that takes a tenth of a second more.
func (d *Daemon) Apply(model string) api.Status {
	d.n.T.Helper()
	s := d.Change(model)
	if _, err := d.n.Appctl("revalidator/wait"); err != nil {
		d.n.T.Fatal(err)
	}
	return s
}

// Model returns the file that the model is in.
func (d *Daemon) Model() string { return d.model }

// Write changes the model, and does not wait for what becomes of it.
func (d *Daemon) Write(model string) {
	d.n.T.Helper()
	d.write(model)
	d.cmd.Process.Signal(syscall.SIGHUP)
}

// Held changes the model, and returns why it is held.
func (d *Daemon) Held(model string) (why []string) {
	d.n.T.Helper()
	d.write(model)
	d.cmd.Process.Signal(syscall.SIGHUP)
	Eventually(d.n.T, "the model is held", func() error {
		s, err := d.Status()
		if why = s.Model.Held; err == nil && len(why) == 0 {
			err = fmt.Errorf("%+v", s.Model)
		}
		return err
	})
	return why
}

// Zone returns the conntrack zone of a tenant.
func (d *Daemon) Zone(tenant string) uint16 {
	d.n.T.Helper()
	s, err := d.Status()
	if err != nil {
		d.n.T.Fatal(err)
	}
	for _, t := range s.Tenants {
		if t.Name == tenant {
			return t.Zone
		}
	}
	d.n.T.Fatalf("the daemon has no tenant %s", tenant)
	return 0
}

// Connections returns weir connections of a tenant.
func (d *Daemon) Connections(tenant string) (all []api.Connection) {
	d.n.T.Helper()
	text, err := d.Tool("connections", "-t", tenant, "-o", "json")
	if err == nil {
		err = decode(text, &all)
	}
	if err != nil {
		d.n.T.Fatal(err)
	}
	return all
}

// Balancers returns what weir balancers says of a tenant.
func (d *Daemon) Balancers(tenant string) (all []api.Balancer) {
	d.n.T.Helper()
	text, err := d.Tool("balancers", "-t", tenant, "-o", "json")
	if err == nil {
		err = decode(text, &all)
	}
	if err != nil {
		d.n.T.Fatal(err)
	}
	return all
}

// A logBuffer keeps what a daemon says.
type logBuffer struct {
	mu  sync.Mutex // the daemon's two outputs write, the test reads
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

var refusal = regexp.MustCompile(`(?m)^.*refused by the switch.*$`)

func (l *logBuffer) refusals() []string { return refusal.FindAllString(l.String(), -1) }
