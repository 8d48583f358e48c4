package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"weir/apps/pipeline"
	"weir/conntrack"
	"weir/controller"
	"weir/internal/modelfiles"
	"weir/metrics"
	"weir/ofproto/ofconn"
	"weir/quirk"
	"weir/store"
)

// A desk answers what is asked over the control socket. It owns nothing: it reads
// what the goroutines of the daemon publish here.
type desk struct {
	config   Config
	log      *logrus.Logger
	hosts    []*Host                               // one or more; never changes
	ctl      atomic.Pointer[controller.Controller] // nil until it runs
	last     atomic.Pointer[modelfiles.Reading]    // the last one
	inForce  atomic.Pointer[modelfiles.Reading]    // the last good one
	seats    atomic.Pointer[map[string]seat]       // of the bridges of the model that are there; nil: none is known yet
	numbers  atomic.Pointer[store.Snapshot]        // nil: none yet
	trouble  atomic.Pointer[map[string]string]     // by bridge: why it is not attached
	served   atomic.Pointer[map[string]bool]       // by bridge: it can find us; nil: none can yet
	notes    notebook
	hits     tally
	survey   surveyor
	metrics  *metrics.Set
	quirks   atomic.Pointer[map[string][]quirk.Quirk] // by bridge; nil: none is known yet
	keys     *ofconn.Keyring                          // nil: nothing is spoken to over TLS
	refusals *refusals
	proven   atomic.Pointer[map[string]*x509.Certificate] // by bridge: what its switch has shown; nil: nothing yet
}

// newDesk returns a desk for a daemon that serves hosts.
func newDesk(c Config, hosts []*Host, keys *ofconn.Keyring, log *logrus.Logger) *desk {
	d := &desk{config: c, hosts: hosts, log: log, keys: keys, refusals: newRefusals()}
	for _, h := range hosts {
		h.reader = newReader(h.rundir, func() []string { return d.kinds(h) })
		h.tracker, h.turns, h.looks = h.reader, conntrack.NewTurns(), make(chan struct{}, 1)
	}
	return d
}

// errStarting is the answer until the controller runs.
var errStarting = errors.New("the daemon waits for the Open vSwitch database")

// now is what the controller says; nil before there is one.
func (d *desk) now() *controller.Status {
	if ctl := d.ctl.Load(); ctl != nil {
		return ctl.Status()
	}
	return nil
}

// connected returns the bridges that have a session, by name.
func (d *desk) connected() (all []controller.Bridge) {
	ctl := d.ctl.Load()
	if ctl == nil {
		return nil
	}
	now := ctl.Status().Bridges
	for _, name := range slices.Sorted(maps.Keys(now)) {
		all = append(all, now[name])
	}
	return all
}

// Endpoints returns the names of the endpoints of a tenant, or of all.
func (d *desk) Endpoints(tenant string) (names []string) {
	for _, t := range d.inForce.Load().Model.Tenants() {
		for _, e := range t.Endpoints {
			if tenant == "" || tenant == t.Name {
				names = append(names, e.Name)
			}
		}
	}
	return names
}

// epochsInUse returns the epochs that the connections of a zone carry, on any host.
func (d *desk) epochsInUse(ctx context.Context, zone uint16) (map[uint8]bool, error) {
	used := map[uint8]bool{}
	for _, h := range d.hosts {
		for e, err := range h.tracker.Entries(ctx, conntrack.Filter{Zone: zone}) {
			if err != nil {
				return nil, h.trouble(err) // an entry that cannot be read may carry any
			}
			used[uint8(e.Mark&pipeline.MarkEpoch)] = true
		}
	}
	return used, nil
}
