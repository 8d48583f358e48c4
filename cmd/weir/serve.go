package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"weir/api"
	"weir/apps"
	"weir/apps/lb"
	"weir/apps/nat"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/metrics"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
	"weir/store"
)

// A serveFlags is where the daemon finds everything.
type serveFlags struct {
	path      string // of the model
	state     string
	socket    string // control socket
	listen    string // "tcp:ADDR:PORT", "ssl:ADDR:PORT", or empty: a unix socket for each bridge
	advertise string // "ADDR[:PORT]" that bridges are told, if it is not that of listen
	keys      ofconn.Keys
	logFormat string
	logLevel  string
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve -f FILE|DIR|-",
		Short: "run the daemon: keep the bridges of a model as the model says",
		Long: `serve reads a model, attaches its bridges and keeps them as the model says. It reads
the model again when a file changes and on SIGHUP; a model with a mistake changes
nothing, and "weir status" says what is wrong with it. SIGTERM and SIGINT end it and
leave bridges and flows as they are: see "weir detach" for the way back.

With --host NAME=RUNDIR[,OVSDB], given once for each, it serves the bridges of several Open vSwitches,
whose run directories it sees. A bridge is found on the host that has one of its name; where several have, the
model calls it HOST/BRIDGE. A host that is away costs only what is its own.`,
		Args: cobra.NoArgs,
	}
	path := fileFlag(cmd)
	flags := cmd.Flags()
	hosts := hostFlags(cmd)
	flags.StringVar(&f.state, "state-dir", "/var/lib/weir", "where the numbers given to intents are kept")
	flags.StringVar(&f.socket, "socket", defaultSocket, "the control socket")
	flags.StringVar(&f.listen, "listen", "", "let bridges connect to ssl:ADDR:PORT or tcp:ADDR:PORT (default: to RUNDIR/BRIDGE.controller)")
	flags.StringVar(&f.advertise, "advertise", "", "the ADDR or ADDR:PORT that bridges are told to connect to (default: that of --listen)")
	keyFlags(cmd, &f.keys)
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&f.logLevel, "log-level", "info", "error, warning, info or debug")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.path = *path
		log, err := newLog(cmd, f)
		if err != nil {
			return err
		}
		all, err := hosts()
		if err != nil {
			return err
		}
		return serve(cmd, f, all, log)
	}
	return cmd
}

// hostFlags adds the flags that say where Open vSwitch is, and returns what reads them: one host or more.
func hostFlags(cmd *cobra.Command) func() ([]*host, error) {
	flags := cmd.Flags()
	target := flags.String("ovsdb", "unix:/run/openvswitch/db.sock", "the Open vSwitch database: unix:PATH, ssl:ADDR:PORT or tcp:ADDR:PORT")
	rundir := flags.String("ovs-rundir", "/run/openvswitch", "the run directory of ovs-vswitchd")
	said := flags.StringArray("host", nil, "one of several Open vSwitches, once for each: NAME=RUNDIR[,OVSDB] (default OVSDB: unix:RUNDIR/db.sock)")
	return func() ([]*host, error) {
		if len(*said) > 0 && (flags.Changed("ovsdb") || flags.Changed("ovs-rundir")) {
			return nil, errors.New("--host says where everything is: leave --ovsdb and --ovs-rundir out, which are for the only one")
		}
		return hostsOf(*said, *target, *rundir)
	}
}

func newLog(cmd *cobra.Command, f serveFlags) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(cmd.ErrOrStderr())
	level, err := logrus.ParseLevel(f.logLevel)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	log.SetLevel(level)
	switch f.logFormat {
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	case "text":
		log.SetFormatter(newFormatter(cmd.ErrOrStderr()))
	default:
		return nil, fmt.Errorf("--log-format %s: must be text or json", f.logFormat)
	}
	return log, nil
}

// serve runs the daemon until the command's context is done:
//
//	modelWatch ──reading──┐
//	ovsdb.Watch ─snapshot─┤  one for each host
//	listeners ──session───┼──> keeper ──model, facts──> controller.Run, and a
//	                      │    (bridges)                controller.Serve per session
//	controller ──status───┘
//	HTTP requests ──> desk (reads what the others publish; owns nothing)
func serve(cmd *cobra.Command, f serveFlags, hosts []*host, log *logrus.Logger) error {
	syscall.Umask(0o077) // what we create is ours alone, sockets from the first moment on
	collectGarbage()
	if err := checkListen(f); err != nil {
		return err
	}
	keys, err := openKeys(f.keys, append(targetsOf(hosts), f.listen)...)
	if err != nil {
		return err
	}
	lock, err := lockState(f.state)
	if err != nil {
		return err
	}
	defer lock.Close()
	watch := modelWatch{path: f.path, files: new(modelFiles), seen: fingerprint(f.path)}
	first := watch.files.read(f.path, cmd.InOrStdin())
	if first.err != nil {
		return first.err
	}
	control, err := listenControl(f.socket)
	if err != nil {
		return err
	}
	defer control.Close()

	group, ctx := errgroup.WithContext(cmd.Context())
	d := newDesk(f, hosts, keys, log)
	d.last.Store(first)
	d.inForce.Store(first)
	d.metrics = metrics.New(hosts[0].name != "", d.Status, d.now)
	news := make(chan struct{}, 1)
	for _, h := range d.hosts {
		group.Go(func() error {
			return ended(ctx, ovsdb.Watch(ctx, d.databaseOf(h), func(s ovsdb.Snapshot) {
				d.reached(h, s.Err)
				h.heard.Store(&s)
				poke(news)
			}))
		})
	}
	group.Go(func() error {
		watchKeys(ctx, keys, log)
		return nil
	})
	server := &http.Server{Handler: api.New(d, d.metrics), ReadHeaderTimeout: 10 * time.Second, ErrorLog: nil}
	group.Go(func() error { return serveHTTP(ctx, server, control) })
	group.Go(func() error { return ended(ctx, d.drive(ctx, log, news, watch)) })
	log.WithFields(logrus.Fields{"model": f.path, "contents": census(first.model), "socket": f.socket}).Info("weir " + version() + " serves")
	if err := notify("READY=1"); err != nil {
		log.WithError(err).Warn("the service manager was not told that we are ready")
	}
	err = group.Wait()
	if err == nil {
		log.Info("stopped; bridges and flows stay as they are")
	}
	return err
}

// drive opens the numbers and runs the controller and the keeper of the bridges.
func (d *desk) drive(ctx context.Context, log *logrus.Logger, news chan struct{}, watch modelWatch) error {
	numbers, err := d.openNumbers(ctx, log, news)
	if err != nil {
		return err
	}
	book := openDrains(filepath.Join(d.flags.state, "drains.json"), d.inForce.Load().model, log)
	ctl := controller.New(controller.Config{
		Compile:   apps.Recompile,
		Numbering: numbering{numbers, &d.numbers},
		Narrowed:  pipeline.Narrowed,
		Answer:    apps.Answer,
		Resolver:  controller.Resolver{Wanted: nat.Wanted, Ask: nat.Ask, Heard: nat.Heard},
		Announcer: controller.Announcer{Answered: nat.Answered, Announce: nat.Announce},
		Observe:   d.observe,
		Took:      d.metrics.Took,
		Punted:    d.metrics.Punted,

		Connections: d.trackedIn,
		Judge:       judge,
		Turn:        d.turn,
		Forgettable: d.forgettable,
		Reset:       lb.Reset,
		Recall:      book.recall,
		Remember:    book.remember,

		Log: log.WithField("part", "controller"),
	})
	d.ctl.Store(ctl)
	bases, err := d.bases(ctx, ctl, log)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	watch.hup = hup

	group, ctx := errgroup.WithContext(ctx)
	readings, changes := make(chan *reading, 1), make(chan struct{}, 1)
	readings <- d.last.Load()
	group.Go(func() error { return ended(ctx, ctl.Run(ctx)) })
	group.Go(func() error {
		watch.run(ctx, func(r *reading) {
			latest(readings, r)
			latest(changes, struct{}{})
		})
		return nil
	})
	if os.Getenv(gogc) == "" {
		group.Go(func() error {
			tidy(ctx, changes, tidyAfter)
			return nil
		})
	}
	group.Go(func() error {
		d.count(ctx)
		return nil
	})
	group.Go(func() error {
		book.run(ctx)
		return nil
	})
	for _, b := range bases {
		group.Go(func() error { return ended(ctx, b.ward.run(ctx)) })
	}
	group.Go(func() error {
		return ended(ctx, newKeeper(d, ctl, bases, log).run(ctx, news, readings))
	})
	return group.Wait()
}

// openNumbers opens the numbers. If there are none yet, the zones that the bridges
// remember are kept, so it waits for the databases.
func (d *desk) openNumbers(ctx context.Context, log *logrus.Logger, news <-chan struct{}) (*store.Numbers, error) {
	path := filepath.Join(d.flags.state, "numbers.json")
	hints := map[string]uint16{}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		log.WithField("ovsdb", strings.Join(targetsOf(d.hosts), " ")).Info("no numbers yet: looking for zones in the database")
		if err := firstConnected(ctx, d.hosts, news, log); err != nil {
			return nil, err
		}
		for _, h := range d.hosts {
			if s := h.heard.Load(); s != nil {
				maps.Copy(hints, zoneHints(*s))
			}
		}
	}
	numbers, err := store.Open(path, hints)
	if err != nil {
		return nil, err
	}
	numbers.InUse = func(zone uint16) (map[uint8]bool, error) { return d.epochsInUse(ctx, zone) }
	return numbers, nil
}

// othersWait is how long the databases of further hosts are waited for, once one has been reached: who is
// away must not keep the others from being served.
const othersWait = 5 * time.Second

// firstConnected waits until the databases of hosts have been reached.
func firstConnected(ctx context.Context, hosts []*host, news <-chan struct{}, log *logrus.Logger) error {
	var enough <-chan time.Time
	for {
		var missing []string
		for _, h := range hosts {
			if s := h.heard.Load(); s == nil || !s.Connected {
				missing = append(missing, h.String())
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if enough == nil && len(missing) < len(hosts) {
			enough = time.After(othersWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-enough:
			log.WithField("hosts", strings.Join(missing, " ")).Warn("not reached: the zones that their bridges remember are not known, and are given anew")
			return nil
		}
	}
}

// listenControl opens the control socket, and its folder if that is not there.
func listenControl(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return listenUnix(path)
}

// serveHTTP serves until ctx is done, and gives requests under way a second.
func serveHTTP(ctx context.Context, s *http.Server, l net.Listener) error {
	s.BaseContext = func(net.Listener) context.Context { return ctx }
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		_ = s.Close() // what has not ended by now is cut off
	}
	<-done // always http.ErrServerClosed: we closed it
	return nil
}

// ended hides the error of something that ended because it was told to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// poke says through a channel with one place that there is something new.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// latest puts v into a channel with one place, instead of what waits there. There is
// one sender to each such channel.
func latest[T any](ch chan T, v T) {
	select {
	case <-ch:
	default:
	}
	ch <- v
}
