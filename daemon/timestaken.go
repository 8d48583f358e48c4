package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"weir/conntrack"
	"weir/internal/unixctl"
	"weir/ovsdb"
)

// A takenBy is which zones of a type of datapath an ovs-vswitchd was seen to have taken the timeouts of.
type takenBy struct {
	process string // another is another one, which was not asked yet
	zones   map[uint16]bool
	busy    bool      // an offer is under way: the database is its
	failed  error     // of the last one
	next    time.Time // when the next may begin
}

// An offer has an ovs-vswitchd take the timeouts that the database has for some zones. From Open vSwitch
// 3.3 on it passes over those of a zone that it has not known before, and so over all of them when it
// is started; it takes what is changed of a zone that it knows. So a zone that it is seen to have
// passed over gets none in the database, and its own again once ovs-vswitchd has heeded that.
type offer struct {
	to            *base // whose times only the keeper looks at
	kind, process string
	zones         map[uint16]ovsdb.CTZone
	bridges       map[uint16]string // one that has the zone
	datapath      conntrack.Datapath
	db            *ovsdb.Client
	log           *logrus.Logger
	err           error // when it is over; nil: all are taken
}

// How often an offer writes timeouts again, and how long it is until the next one if it was in vain.
const (
	renewals   = 3
	offerAgain = 10 * time.Second
)

// errStartingUp is that of an offer to an ovs-vswitchd that has no bridges yet, or is no longer there.
var errStartingUp = errors.New("ovs-vswitchd is about to start, or to end")

// takenBy is what is known of a type of datapath.
func (k *timekeeper) takenBy(kind string) *takenBy {
	if k.taken[kind] == nil {
		k.taken[kind] = &takenBy{}
	}
	return k.taken[kind]
}

// forget forgets the zones that have no timeouts any more, and those whose timeouts have just been written.
func (t *takenBy) forget(want, put map[uint16]ovsdb.CTZone) {
	maps.DeleteFunc(t.zones, func(zone uint16, _ bool) bool {
		_, wanted := want[zone]
		_, written := put[zone]
		return !wanted || written
	})
}

// assure sees to it that ovs-vswitchd takes the timeouts that the database has: it begins an offer of those
// that it was not seen to have taken. The error is that of the one before.
func (k *keeper) assure(ctx context.Context, b *base, kind string, wards map[uint16]ward, want map[uint16]ovsdb.CTZone) error {
	d := conntrack.NewDatapath(b.rundir, kind)
	process, err := d.Process()
	if err != nil {
		return nil // nobody is there to take them; who comes is asked
	}
	t := b.times.takenBy(kind)
	if t.process != process {
		*t = takenBy{process: process, zones: map[uint16]bool{}}
	}
	unsure := maps.Clone(want)
	maps.DeleteFunc(unsure, func(zone uint16, _ ovsdb.CTZone) bool { return t.zones[zone] })
	if len(unsure) == 0 {
		return nil
	}
	if time.Now().Before(t.next) {
		return t.failed
	}
	o := &offer{to: b, kind: kind, process: process, zones: unsure, bridges: map[uint16]string{}, datapath: d, db: b.db, log: k.log}
	for zone := range unsure {
		seat, found := k.desk.at(wards[zone].bridge)
		if !found {
			return nil // it is looked for
		}
		o.bridges[zone] = seat.name
	}
	t.busy = true
	k.tasks.Go(func() {
		o.err = o.make(ctx)
		select {
		case k.offers <- o:
		case <-ctx.Done():
		}
	})
	return t.failed
}

// offered notes what has become of an offer.
func (k *keeper) offered(o *offer) {
	t := o.to.times.takenBy(o.kind)
	t.busy, t.failed = false, o.err
	switch {
	case errors.Is(o.err, errStartingUp):
		t.failed, t.next = nil, time.Now().Add(retryAfter/2)
	case o.err != nil:
		t.next = time.Now().Add(offerAgain)
	case t.process == o.process:
		for zone := range o.zones {
			t.zones[zone] = true
		}
	}
}

// make offers until all is taken.
func (o *offer) make(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*writeTimeout)
	defer cancel()
	for range renewals {
		passed, err := o.passedOver(ctx)
		if len(passed) == 0 || err != nil {
			return err
		}
		if err := o.renew(ctx, passed); err != nil {
			return err
		}
	}
	passed, err := o.passedOver(ctx)
	if len(passed) > 0 {
		err = fmt.Errorf("Open vSwitch has passed over the timeouts of zones %v of %s, also when they were written again: connections there live as long as they would without them", slices.Sorted(maps.Keys(passed)), o.kind)
	}
	return err
}

// passedOver returns those of the zones whose timeouts are not in force, though ovs-vswitchd has heeded the database.
func (o *offer) passedOver(ctx context.Context) (map[uint16]ovsdb.CTZone, error) {
	if err := o.db.Heeded(ctx); err != nil {
		return nil, err
	}
	passed := map[uint16]ovsdb.CTZone{}
	for _, zone := range slices.Sorted(maps.Keys(o.zones)) {
		taken, err := o.datapath.TakenTimeouts(ctx, o.bridges[zone], zone)
		switch {
		case errors.Is(err, conntrack.ErrUnsupported): // of no version that has this fault, as far as is known
		case isStarting(err):
			return nil, errStartingUp
		case err != nil:
			return nil, fmt.Errorf("whether Open vSwitch has taken the timeouts of zone %d is not known: %w", zone, err)
		case !taken:
			passed[zone] = o.zones[zone]
		}
	}
	return passed, nil
}

// isStarting reports whether an error means that ovs-vswitchd has not come so far as to have bridges, or is no
// longer there.
func isStarting(err error) bool {
	var gone *unixctl.Unreachable
	var e *unixctl.Error
	return errors.As(err, &gone) || errors.As(err, &e) && e.NoBridge()
}

// renew writes timeouts that ovs-vswitchd has passed over so that it takes them.
func (o *offer) renew(ctx context.Context, zones map[uint16]ovsdb.CTZone) error {
	o.log.WithField("datapath", o.kind).WithField("zones", slices.Sorted(maps.Keys(zones))).Info("Open vSwitch has passed over timeouts of connections: they are written again")
	none := map[uint16]ovsdb.CTZone{}
	for zone, z := range zones {
		none[zone] = ovsdb.CTZone{Tenant: z.Tenant}
	}
	if _, err := o.db.SetZones(ctx, o.kind, none, nil); err != nil {
		return err
	}
	heeded := o.db.Heeded(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout) // what was taken away comes back in any case
	defer cancel()
	_, err := o.db.SetZones(ctx, o.kind, zones, nil)
	return errors.Join(heeded, err)
}
