// Package daemon serves: it attaches the bridges of a model, on one host or several, keeps their limits and timeouts, runs the
// controller with all that it is given from the world, and answers what is asked over the control socket.
package daemon

import (
	"context"
	"errors"
	"io"
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
	"golang.org/x/sync/errgroup"

	"weir/api"
	"weir/apps"
	"weir/apps/lb"
	"weir/apps/nat"
	"weir/apps/pipeline"
	"weir/controller"
	"weir/internal/modelfiles"
	"weir/internal/words"
	"weir/metrics"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
	"weir/store"
)

// A Config is where the daemon finds everything.
type Config struct {
	Model     string // path of a file or folder; modelfiles.Stdin: standard input
	State     string // folder of what has to outlive the daemon
	Socket    string // control socket
	Listen    string // "tcp:ADDR:PORT", "ssl:ADDR:PORT", or empty: a unix socket for each bridge
	Advertise string // "ADDR[:PORT]" that bridges are told, if it is not that of Listen
	Keys      ofconn.Keys
	Version   string // of Weir, as it is told to people
}

// Serve runs the daemon until ctx is done:
//
//	modelfiles ──reading──┐
//	ovsdb.Watch ─snapshot─┤  one for each host
//	listeners ──session───┼──> keeper ──model, facts──> controller.Run, and a
//	                      │    (bridges)                controller.Serve per session
//	controller ──status───┘
//	HTTP requests ──> desk (reads what the others publish; owns nothing)
func Serve(ctx context.Context, stdin io.Reader, c Config, hosts []*Host, log *logrus.Logger) error {
	syscall.Umask(0o077) // what we create is ours alone, sockets from the first moment on
	collectGarbage()
	if err := checkListen(c); err != nil {
		return err
	}
	keys, err := openKeys(c.Keys, append(targetsOf(hosts), c.Listen)...)
	if err != nil {
		return err
	}
	lock, err := lockState(c.State)
	if err != nil {
		return err
	}
	defer lock.Close()
	watch := modelfiles.Watch{Path: c.Model, Reader: &modelfiles.Reader{Much: relax}, Seen: modelfiles.Fingerprint(c.Model)}
	first := watch.Reader.Read(c.Model, stdin)
	if first.Err != nil {
		return first.Err
	}
	control, err := listenControl(c.Socket)
	if err != nil {
		return err
	}
	defer control.Close()

	group, ctx := errgroup.WithContext(ctx)
	d := newDesk(c, hosts, keys, log)
	d.last.Store(first)
	d.inForce.Store(first)
	d.metrics = metrics.New(hosts[0].name != "", d.Status, d.now)
	news := make(chan struct{}, 1)
	for _, h := range d.hosts {
		group.Go(func() error { return ended(ctx, d.listen(ctx, h, news)) })
	}
	group.Go(func() error {
		watchKeys(ctx, keys, log)
		return nil
	})
	server := &http.Server{Handler: api.New(d, d.metrics), ReadHeaderTimeout: 10 * time.Second, ErrorLog: nil}
	group.Go(func() error { return serveHTTP(ctx, server, control) })
	group.Go(func() error { return ended(ctx, d.drive(ctx, log, news, watch)) })
	log.WithFields(logrus.Fields{"model": c.Model, "contents": words.Contents(first.Model), "socket": c.Socket}).Info("weir " + c.Version + " serves")
	if err := notify("READY=1"); err != nil {
		log.WithError(err).Warn("the service manager was not told that we are ready")
	}
	err = group.Wait()
	if err == nil {
		log.Info("stopped; bridges and flows stay as they are")
	}
	return err
}

// listen publishes what the database of a host says, and pokes the keeper.
func (d *desk) listen(ctx context.Context, h *Host, news chan<- struct{}) error {
	return ovsdb.Watch(ctx, d.databaseOf(h), func(s ovsdb.Snapshot) {
		d.reached(h, s.Err)
		h.heard.Store(&s)
		poke(news)
	})
}

// drive opens the numbers and runs the controller and the keeper of the bridges.
func (d *desk) drive(ctx context.Context, log *logrus.Logger, news chan struct{}, watch modelfiles.Watch) error {
	numbers, err := d.openNumbers(ctx, log, news)
	if err != nil {
		return err
	}
	book := openDrains(filepath.Join(d.config.State, "drains.json"), d.inForce.Load().Model, log)
	ctl := controller.New(d.controls(numbers, book, log))
	d.ctl.Store(ctl)
	bases, err := d.bases(ctx, ctl, log)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	watch.HUP = hup

	group, ctx := errgroup.WithContext(ctx)
	readings, changes := make(chan *modelfiles.Reading, 1), make(chan struct{}, 1)
	readings <- d.last.Load()
	group.Go(func() error { return ended(ctx, ctl.Run(ctx)) })
	group.Go(func() error {
		watch.Run(ctx, func(r *modelfiles.Reading) {
			latest(readings, r)
			latest(changes, struct{}{})
		})
		return nil
	})
	for _, run := range []func(context.Context){func(ctx context.Context) { tidyUnlessTold(ctx, changes) }, d.count, book.run} {
		group.Go(func() error {
			run(ctx)
			return nil
		})
	}
	for _, b := range bases {
		group.Go(func() error { return ended(ctx, b.ward.run(ctx)) })
	}
	group.Go(func() error {
		return ended(ctx, newKeeper(d, ctl, bases, log).run(ctx, news, readings))
	})
	return group.Wait()
}

// controls is what the controller is given from the world, and from the packages that it does not know.
func (d *desk) controls(numbers *store.Numbers, book *drainBook, log *logrus.Logger) controller.Config {
	return controller.Config{
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
	}
}

// openNumbers opens the numbers. If there are none yet, the zones that the bridges
// remember are kept, so it waits for the databases.
func (d *desk) openNumbers(ctx context.Context, log *logrus.Logger, news <-chan struct{}) (*store.Numbers, error) {
	path := filepath.Join(d.config.State, "numbers.json")
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
func firstConnected(ctx context.Context, hosts []*Host, news <-chan struct{}, log *logrus.Logger) error {
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
