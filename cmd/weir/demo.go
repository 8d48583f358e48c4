package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/sandbox"
)

//go:embed demo.yaml
var demoModel string

// The bridge and the hosts of the demo.
const (
	demoBridge = "br-demo"
	demoPort   = "5432"
)

// demoHosts are the machines of the demo: on the bridge they are found by iface-id.
var demoHosts = []sandbox.HostConfig{
	{Name: "web-1", Bridge: demoBridge, Port: "web-1", IfaceID: "web-1", MAC: "02:00:00:00:01:11", IPs: []string{"10.1.0.11/24"}, Gateways: []string{"10.1.0.1"}},
	{Name: "app-1", Bridge: demoBridge, Port: "app-1", IfaceID: "app-1", MAC: "02:00:00:00:01:12", IPs: []string{"10.1.0.12/24"}, Gateways: []string{"10.1.0.1"}},
	{Name: "web-2", Bridge: demoBridge, Port: "web-2", IfaceID: "web-2", MAC: "02:00:00:00:01:13", IPs: []string{"10.1.0.13/24"}, Gateways: []string{"10.1.0.1"}},
	{Name: "db-1", Bridge: demoBridge, Port: "db-1", IfaceID: "db-1", MAC: "02:00:00:00:02:11", IPs: []string{"10.2.0.11/24"}, Gateways: []string{"10.2.0.1"}},
	{Name: "internet", Bridge: demoBridge, Port: "uplink", MAC: "02:00:00:00:09:01", IPs: []string{demoInternet + "/24"}},
}

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show what Weir does, on an Open vSwitch of its own (needs root)",
		Long: `demo starts a private Open vSwitch with five hosts in network namespaces, runs the
daemon on it, and shows with real traffic that what is allowed passes, what is denied
does not, and what is taken back stops. Nothing of the host is touched, and nothing
is left behind.`,
		Args: cobra.NoArgs,
	}
	keep := cmd.Flags().Bool("keep", false, "leave it running until Ctrl-C, to try things")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runDemo(cmd.Context(), cmd.OutOrStdout(), *keep)
	}
	return cmd
}

// A demo is a running demonstration. The goroutine that made it owns it.
type demo struct {
	out     io.Writer
	green   func(string) string
	dir     string // private: model, state, socket, log
	box     *sandbox.Sandbox
	hosts   map[string]*sandbox.Host
	daemon  *child
	client  *client
	service net.Listener // db-1's
	link    *link        // app-1's connection to db-1
}

// runDemo shows everything, and takes all down again whatever happens.
func runDemo(ctx context.Context, out io.Writer, keep bool) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("weir demo needs root: it makes network namespaces")
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return err
	}
	d := &demo{out: out, green: painter(out), dir: dir, hosts: map[string]*sandbox.Host{}}
	defer func() { err = errors.Join(d.interrupted(ctx, err), d.close()) }()
	for _, step := range d.steps() {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if !keep {
		d.goodbye()
		return nil
	}
	return d.stay(ctx)
}

// interrupted says what stopped the demo, and where to look.
func (d *demo) interrupted(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errors.New("interrupted; everything is taken down")
	}
	log, readErr := os.ReadFile(d.path("weir.log"))
	if readErr != nil || len(log) == 0 {
		return err
	}
	return fmt.Errorf("%w\nthe daemon's log:\n%s", err, indent(string(log)))
}

// close takes everything down, in the reverse order.
func (d *demo) close() error {
	var errs []error
	if d.link != nil {
		d.link.close()
	}
	if d.service != nil {
		_ = d.service.Close() // it can only be closed already
	}
	if d.daemon != nil {
		errs = append(errs, d.daemon.stop())
	}
	if d.box != nil {
		errs = append(errs, d.box.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// ok prints a line that says what was shown.
func (d *demo) ok(format string, args ...any) {
	fmt.Fprintf(d.out, " %s  %s\n", d.green("OK"), fmt.Sprintf(format, args...))
}

// show prints real output below such a line.
func (d *demo) show(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(d.out, "       %s\n", strings.TrimRight(line, "\n"))
	}
}

// painter paints text green where that is wanted: on a terminal, without NO_COLOR.
func painter(w io.Writer) func(string) string {
	plain := func(s string) string { return s }
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return plain
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return plain
	}
	return func(s string) string { return "\x1b[32m" + s + "\x1b[0m" }
}

// start makes the switch, the hosts and the daemon.
func (d *demo) start(ctx context.Context) error {
	box, err := sandbox.Start(ctx, sandbox.Config{})
	if err != nil {
		return err
	}
	d.box = box
	if err := box.AddBridge(demoBridge); err != nil {
		return err
	}
	version, err := box.Appctl("version")
	if err != nil {
		return err
	}
	d.ok("an Open vSwitch of its own: %s, userspace datapath, bridge %s", version, demoBridge)
	for _, c := range demoHosts {
		if d.hosts[c.Name], err = box.AddHost(c); err != nil {
			return err
		}
	}
	d.ok("5 hosts: web-1 10.1.0.11, app-1 10.1.0.12, web-2 10.1.0.13 in network front; db-1 10.2.0.11 in network back; internet %s outside", demoInternet)
	return d.startDaemon(ctx)
}

// startDaemon runs this very binary as the daemon, and waits until it is done with
// the bridge.
func (d *demo) startDaemon(ctx context.Context) error {
	if err := os.WriteFile(d.path("demo.yaml"), []byte(demoModel), 0o600); err != nil {
		return err
	}
	var err error
	d.daemon, err = startChild(d.path("weir.log"), "serve", "-f", d.path("demo.yaml"),
		"--ovsdb", d.box.DB(), "--ovs-rundir", d.box.RunDir(), "--state-dir", d.path("state"), "--socket", d.path("weir.sock"))
	if err != nil {
		return err
	}
	d.client = newClient(d.path("weir.sock"))
	s, err := d.programmed(ctx, 1)
	if err != nil {
		return err
	}
	d.ok("the daemon serves: %d flows on %s, tenant demo has conntrack zone %d", s.Bridges[0].Flows, demoBridge, s.Tenants[0].Zone)
	return nil
}

// goodbye says what to try next.
func (d *demo) goodbye() {
	fmt.Fprint(d.out, `
What to try next:
  weir demo --keep               the same, left running (make demo KEEP=1)
  weir validate -f MODEL.yaml    check a model of your own
  weir compile  -f MODEL.yaml    see its flows, without a bridge
  weir serve    -f MODEL.yaml    drive the bridges of this machine
`)
}

// stay leaves everything running until it is interrupted.
func (d *demo) stay(ctx context.Context) error {
	revision, err := d.edit(ctx, func(string) string { return demoModel })
	if err != nil {
		return err
	}
	if _, err := d.programmed(ctx, revision); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	flag := "--socket " + d.path("weir.sock")
	fmt.Fprintf(d.out, `
It keeps running, with a connection from app-1 to db-1 that says something each second.
In another terminal, as root:
  %[1]s status %[2]s
  %[1]s connections %[2]s
  $EDITOR %[3]s
  %[1]s plan -f %[3]s %[2]s
  ovs-ofctl -O OpenFlow13 dump-flows unix:%[4]s/%[5]s.mgmt
The daemon's log is %[6]s.
Stop it with Ctrl-C, or with: kill %[7]d
`, self, flag, d.path("demo.yaml"), d.box.RunDir(), demoBridge, d.path("weir.log"), os.Getpid())
	d.chatter(ctx)
	fmt.Fprintln(d.out, "\nstopping; everything is taken down")
	return nil
}

// chatter keeps a connection from app-1 to db-1 in use until ctx is done, and opens
// it again when a change of the model has ended it.
func (d *demo) chatter(ctx context.Context) {
	for pause(ctx, time.Second) {
		if d.link != nil && d.link.say("still here", time.Second) == nil {
			continue
		}
		if d.link != nil {
			d.link.close()
			d.link = nil
		}
		// Refused or unanswered is what the model says now; the next second asks again.
		d.link, _ = d.connect(ctx, "app-1", time.Second)
	}
}

// pause waits, and reports whether ctx is still not done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
