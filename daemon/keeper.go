package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/controller"
	"weir/intent"
	"weir/internal/modelfiles"
	"weir/internal/words"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
	"weir/quirk"
)

// writeTimeout bounds one change of the database: a database that does not answer must
// not keep bridges from being served.
const writeTimeout = 10 * time.Second

// retryAfter is how long the keeper waits before it tries again what did not work.
const retryAfter = time.Second

// A keeper keeps each bridge of the model attached to us, tells the controller what
// is observed of it, and gives each OpenFlow session to the controller. Its run owns
// all of its fields; other goroutines talk to it through channels.
type keeper struct {
	desk *desk
	ctl  *controller.Controller
	log  *logrus.Logger

	bases    []*base             // the hosts
	model    *intent.Model       // in force
	next     *modelfiles.Reading // the newest, until it is in force; nil: it is
	sites    map[string]*site    // by bridge: those of the model
	shared   *door               // where all bridges connect, if --listen says so
	arrivals chan arrival
	features chan observed
	saidOnce map[said]bool
	offers   chan *offer    // that are over
	tasks    sync.WaitGroup // that make offers
}

// A site is what the keeper knows of one bridge.
type site struct {
	at       *base              // where the bridge is; nil: nowhere yet
	name     string             // of the bridge, there
	lost     error              // why it is not known where it is; nil: it is
	door     *door              // nil: none yet, or the bridges share one
	session  *session           // the last one; it may be over
	features *pipeline.Features // nil: not known yet
	told     *pipeline.Facts    // what the controller was told last; nil: nothing
	wrote    uint64             // the snapshot that the last write to the database was based on
	trouble  string             // what was logged last, so that it is said once
	attached bool               // a snapshot has said that it is
	fights   controller.Fights  // over what the database says
	truce    time.Time          // when what is fought over will be repaired
	quirks   []quirk.Quirk      // of its switch
}

func newSite() *site { return &site{fights: controller.Fights{}} }

// An arrival is a bridge that has shaken hands.
type arrival struct {
	bridge string // empty: to be found by its datapath id
	conn   *ofconn.Conn
}

// An observed is what a bridge's datapath can do.
type observed struct {
	bridge   string
	features pipeline.Features
	version  quirk.Version
	err      error
}

func newKeeper(d *desk, ctl *controller.Controller, bases []*base, log *logrus.Logger) *keeper {
	return &keeper{
		desk: d, ctl: ctl, bases: bases, log: log, sites: map[string]*site{},
		arrivals: make(chan arrival), features: make(chan observed), offers: make(chan *offer), saidOnce: map[said]bool{},
	}
}

// run keeps the bridges until ctx is done. It is told when a database has said something.
func (k *keeper) run(ctx context.Context, news <-chan struct{}, readings <-chan *modelfiles.Reading) error {
	defer k.close()
	k.hear()
	retry := time.NewTimer(retryAfter)
	defer retry.Stop()
	for {
		changed := k.ctl.Changed() // before settle looks, so that no change falls between
		k.follow()
		if err := k.settle(ctx); err != nil {
			return err
		}
		retry.Reset(k.patience())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
			k.hear()
		case r := <-readings:
			if err := k.take(ctx, r); err != nil {
				return err
			}
		case a := <-k.arrivals:
			k.welcome(ctx, a)
		case o := <-k.features:
			k.note(o)
		case o := <-k.offers:
			k.offered(o)
		case <-changed: // numbers may have been given
		case <-retry.C:
		}
	}
}

// patience is how long to wait before what did not work is tried again.
func (k *keeper) patience() time.Duration {
	least := retryAfter
	for _, s := range k.sites {
		if wait := time.Until(s.truce); wait > 0 {
			least = min(least, wait)
		}
	}
	return least
}

// close ends all sessions and listeners, and waits for them and for what else was begun.
func (k *keeper) close() {
	k.tasks.Wait()
	for _, s := range k.sites {
		k.shut(s)
	}
	if k.shared != nil {
		k.shared.close()
	}
}

func (k *keeper) observe(b *base, s ovsdb.Snapshot) {
	if s.Connected != b.snapshot.Connected {
		k.log.WithFields(logrus.Fields{"ovsdb": b.target, "version": s.OVSVersion, "connected": s.Connected}).Info("database")
	}
	b.snapshot = s
	b.seen++
	b.Host.snapshot.Store(&s)
}

// take gives the controller a model that was read, or says why it is none.
func (k *keeper) take(ctx context.Context, r *modelfiles.Reading) error {
	k.desk.last.Store(r)
	if r.Err != nil {
		k.log.WithError(r.Err).Error("the model is refused, and the one before it stays in force")
		return nil
	}
	k.log.WithField("contents", words.Contents(r.Model)).Info("model read")
	if k.next = r; k.model == nil {
		k.adopt()
	}
	return k.ctl.SetModel(ctx, r.Model)
}

// follow takes the newest model once it is in force.
func (k *keeper) follow() {
	if k.next != nil && k.ctl.Status().Model == k.next.Model {
		k.adopt()
	}
}

func (k *keeper) adopt() {
	k.desk.inForce.Store(k.next)
	k.model, k.next = k.next.Model, nil
	k.forget()
}

// forget leaves the bridges alone that the model no longer has: they stay as they
// are until somebody detaches them.
func (k *keeper) forget() {
	for name, s := range k.sites {
		if !slices.ContainsFunc(k.model.Bridges(), func(b *intent.Bridge) bool { return b.Name == name }) {
			k.log.WithField("bridge", name).Warn("no longer in the model: left as it is; weir detach " + name + " gives it back")
			k.shut(s)
			delete(k.sites, name)
		}
	}
}

// settle does what is to be done now for each bridge of the model. What does not
// work is said, and tried again later.
func (k *keeper) settle(ctx context.Context) error {
	if k.model == nil {
		return nil
	}
	if err := k.openShared(ctx); err != nil {
		return err
	}
	k.locate()
	for _, b := range k.bases {
		k.timeouts(ctx, b)
	}
	zones := zonesOf(k.model, k.ctl.Status())
	for _, b := range k.model.Bridges() {
		s := k.sites[b.Name]
		k.judge(b, s)
		k.say(b.Name, s, k.attach(ctx, b.Name, s, zones))
		if err := k.tell(ctx, b.Name, s); err != nil {
			return err
		}
	}
	return nil
}

// say logs what stands in the way of a bridge, once.
func (k *keeper) say(bridge string, s *site, err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	if trouble != s.trouble && err != nil {
		k.log.WithField("bridge", bridge).WithError(err).Error("not attached")
	}
	s.trouble = trouble
	k.desk.trouble.Store(k.troubles())
}

// troubles is what stands in the way of each bridge.
func (k *keeper) troubles() *map[string]string {
	all := map[string]string{}
	for name, s := range k.sites {
		if s.trouble != "" {
			all[name] = s.trouble
		}
	}
	return &all
}

// attach makes the bridge look for us, and remember its zones.
func (k *keeper) attach(ctx context.Context, bridge string, s *site, zones map[string]map[string]string) error {
	if s.lost != nil {
		return s.lost
	}
	have, ok := s.row()
	if !s.at.snapshot.Connected {
		return nil // the status says that the database is away
	}
	if !ok {
		return errNoBridge(s.name)
	}
	if s.door == nil && k.shared == nil {
		l, err := listenBridge(s.at.rundir, s.name)
		if err != nil {
			return err
		}
		s.door = openDoor(ctx, ofconn.ListenOn(l, k.listening()), bridge, k.arrivals)
	}
	k.publishServed()
	if b := k.named(bridge); b != nil && b.Certificate != "" && !k.secretly() {
		return errNoTLS(b)
	}
	if s.wrote == s.at.seen || changing(have) {
		return nil // the next snapshot shows what became of it
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return k.write(ctx, bridge, s, have, zones)
}

// write makes the database say who the bridge's controller is, and which zones it has.
func (k *keeper) write(ctx context.Context, bridge string, s *site, have ovsdb.Bridge, zones map[string]map[string]string) error {
	if err := k.secure(ctx, bridge, s, have); err != nil {
		return err
	}
	set, remove := zoneChanges(have.ExternalIDs, zones[bridge], k.model)
	if len(set)+len(remove) == 0 {
		return nil
	}
	if len(remove) > 0 { // with them goes the memory that a zone was ours
		s.at.ward.ready(ctx)
		if s.at.times.trouble != "" {
			remove = nil // what was to go for it may not have gone
		}
	}
	if err := s.at.db.SetExternalIDs(ctx, s.name, set, remove); err != nil {
		return err
	}
	s.wrote = s.at.seen
	return nil
}

// secure makes the database say who the bridge's controller is, and that it is not to do
// without one. A bridge that was ours already is one that somebody has changed.
func (k *keeper) secure(ctx context.Context, bridge string, s *site, have ovsdb.Bridge) error {
	target := k.target(s.name)
	wrong := astray(have, target)
	if len(wrong) == 0 {
		s.attached = true
		return nil
	}
	if !s.attached || k.foreignFlows(bridge) == intent.ForeignKeep {
		if err := k.guard(ctx, bridge, s, have); err != nil {
			return err
		}
	}
	if err := k.reattach(ctx, bridge, s, target, wrong); err != nil {
		return err
	}
	s.wrote = s.at.seen
	return nil
}

// publishServed says which bridges can find us. Where another process listens in our place,
// the bridge is its own, and so are the zones in its datapath.
func (k *keeper) publishServed() {
	served := map[string]bool{}
	for name, s := range k.sites {
		served[name] = s.door != nil || k.shared != nil
	}
	k.desk.served.Store(&served)
}

type errNoBridge string

func (b errNoBridge) Error() string {
	return "Open vSwitch has no bridge " + string(b) + " (ovs-vsctl add-br " + string(b) + ")"
}

// target is the controller that a bridge is given, by its name on its host.
func (k *keeper) target(bridge string) string {
	if k.shared != nil {
		return advertised(k.desk.config, k.shared.listener.Addr())
	}
	return "unix:" + controllerName(bridge) // Open vSwitch looks in its run directory, however it spells that
}

// changing reports whether a snapshot was taken while the bridge's controllers were
// being replaced. Another is on its way.
func changing(b ovsdb.Bridge) bool {
	return slices.ContainsFunc(b.Controllers, func(c ovsdb.Controller) bool { return c.Target == "" })
}

// tell gives the controller the facts of a bridge, once all are known and whenever
// they change.
func (k *keeper) tell(ctx context.Context, bridge string, s *site) error {
	have, ok := s.row()
	if !ok || s.features == nil {
		return nil
	}
	facts := pipeline.Facts{Ports: portFacts(have.Ports), Features: *s.features}
	if s.told != nil && s.told.Features == facts.Features && slices.Equal(s.told.Ports, facts.Ports) {
		return nil
	}
	s.told = &facts
	return k.ctl.SetFacts(ctx, bridge, facts)
}

func portFacts(ports []ovsdb.Port) []pipeline.Port {
	facts := make([]pipeline.Port, 0, len(ports))
	for _, p := range ports {
		facts = append(facts, pipeline.Port{Name: p.Name, IfaceID: p.IfaceID, OFPort: p.OFPort})
	}
	return facts
}
