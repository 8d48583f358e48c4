package daemon

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"

	"weir/intent"
	"weir/internal/unixctl"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
	"weir/quirk"
)

// A door is where bridges connect: their sessions come out of it as arrivals.
type door struct {
	listener *ofconn.Listener
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// openDoor hands those who connect to l and speak OpenFlow 1.3 to arrivals. bridge is who
// they must be, or empty if they have to say so themselves.
func openDoor(ctx context.Context, l *ofconn.Listener, bridge string, arrivals chan<- arrival) *door {
	ctx, cancel := context.WithCancel(ctx)
	d := &door{listener: l, cancel: cancel}
	d.done.Go(func() {
		for {
			conn, err := d.listener.Accept(ctx)
			if err != nil {
				return
			}
			select {
			case arrivals <- arrival{bridge, conn}:
			case <-ctx.Done():
				_ = conn.Close() // it always succeeds
			}
		}
	})
	return d
}

// close stops listening, removes the socket, and waits for those who shake hands.
func (d *door) close() {
	d.cancel()             // it may be handing over a session, to whom waits here
	_ = d.listener.Close() // one that cannot be closed is closed already
	d.done.Wait()
}

// A session is a bridge that is being served.
type session struct {
	bridge string
	at     *base  // its host
	name   string // of the bridge, there
	cancel context.CancelFunc
	done   chan struct{} // closed when the session is over
	conn   *ofconn.Conn

	unwanted bool // it is being ended, for its switch is no longer the one that the bridge names
}

// welcome serves a bridge that has arrived, instead of the session it had before: a
// bridge that comes again has given up the old one.
func (k *keeper) welcome(ctx context.Context, a arrival) {
	if a.bridge == "" {
		var err error
		if a.bridge, err = k.whose(a.conn); err != nil {
			k.turnAway(a.conn, unknownBridge, err)
			return
		}
	}
	s := k.sites[a.bridge]
	if s == nil {
		k.turnAway(a.conn, unknownBridge, fmt.Errorf("bridge %s is no longer in the model", a.bridge))
		return
	}
	if err := proves(k.named(a.bridge), a.conn); err != nil {
		k.turnAway(a.conn, otherSwitch, err)
		return
	}
	before := s.session
	if before != nil {
		before.cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	s.session = &session{bridge: a.bridge, at: s.at, name: s.name, cancel: cancel, done: make(chan struct{}), conn: a.conn}
	k.publishProven()
	go k.serve(ctx, s.session, before, a.conn)
}

// turnAway ends a session that is not to be, and notes why.
func (k *keeper) turnAway(conn *ofconn.Conn, reason ofconn.Reason, why error) {
	k.desk.refuseFor(conn.RemoteAddr(), reason, why)
	_ = conn.Close() // it always succeeds
}

// named returns a bridge of the model in force; nil: it has none of that name.
func (k *keeper) named(bridge string) *intent.Bridge {
	for _, b := range k.model.Bridges() {
		if b.Name == bridge {
			return b
		}
	}
	return nil
}

// secretly reports whether bridges connect over TLS.
func (k *keeper) secretly() bool { return strings.HasPrefix(k.desk.config.Listen, "ssl:") }

// judge ends the session of a switch that is no longer the one that its bridge names: the model
// has changed.
func (k *keeper) judge(b *intent.Bridge, s *site) {
	if s.session == nil || s.session.unwanted || s.session.conn.Err() != nil {
		return
	}
	if err := proves(b, s.session.conn); err != nil {
		k.desk.refuseFor(s.session.conn.RemoteAddr(), otherSwitch, err)
		s.session.unwanted = true
		s.session.cancel()
	}
}

// publishProven says which certificates the switches have shown.
func (k *keeper) publishProven() {
	all := map[string]*x509.Certificate{}
	for name, s := range k.sites {
		if s.session == nil {
			continue
		}
		if c := s.session.conn.PeerCertificate(); c != nil {
			all[name] = c
		}
	}
	k.desk.proven.Store(&all)
}

// serve runs one session to its end, once the one before it is over.
func (k *keeper) serve(ctx context.Context, s, before *session, conn *ofconn.Conn) {
	defer close(s.done)
	defer s.cancel()
	if before != nil {
		<-before.done
	}
	log := k.log.WithField("bridge", s.bridge)
	log.Info("connected")
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	go func() { // a session that is cut ends its work
		<-conn.Done()
		s.cancel()
	}()
	version := k.version(ctx, s.bridge, conn)
	if version.Has(quirk.FirstBackoff, true) {
		k.manners(ctx, s)
	}
	k.probe(ctx, s, version)
	s.at.ward.ready(ctx) // packets will come when the flows do
	err := k.ctl.Serve(ctx, s.bridge, forgetful{conn, k.desk, s.bridge})
	_ = conn.Close() // what matters is in err, and in conn.Err
	if cut := conn.Err(); cut != nil {
		err = cut
	}
	if ctx.Err() == nil || conn.Err() != nil {
		log.WithError(err).Info("disconnected")
	}
}

// version returns what the switch says that it is; zero: nothing that can be understood.
func (k *keeper) version(ctx context.Context, bridge string, conn *ofconn.Conn) quirk.Version {
	desc, err := conn.Desc(ctx)
	var v quirk.Version
	if err == nil {
		v, err = quirk.Parse(desc.Software)
	}
	if err != nil {
		k.log.WithField("bridge", bridge).WithError(err).Warn("the version of the switch is not known: it is taken to have every quirk")
	}
	return v
}

// manners has the bridge come back soon, should it lose us, and not flood us.
func (k *keeper) manners(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := s.at.db.Manners(ctx, s.name); err != nil {
		k.log.WithField("bridge", s.bridge).WithError(err).Warn("max_backoff and controller_rate_limit were not written again: after a loss it may take the bridge 8 s to come back")
	}
}

// probe asks ovs-vswitchd what the bridge's datapath can do, and tells the keeper.
func (k *keeper) probe(ctx context.Context, s *session, version quirk.Version) {
	if v, err := vswitchVersion(ctx, s.at.rundir); err == nil {
		s.at.version.Store(&v)
	}
	said, err := ovsdb.Features(ctx, s.at.rundir, s.name)
	o := observed{bridge: s.bridge, version: version, err: err}
	o.features.NDExtension = said["IPv6 ND Extension"] == "Yes"
	select {
	case k.features <- o:
	case <-ctx.Done():
	}
}

// vswitchVersion asks ovs-vswitchd for its version. The database has it only if the
// script that started ovs-vswitchd wrote it there.
func vswitchVersion(ctx context.Context, rundir string) (string, error) {
	c, err := unixctl.DialDaemon(ctx, rundir, "ovs-vswitchd")
	if err != nil {
		return "", err
	}
	defer c.Close()
	text, err := c.Call(ctx, "version") // "ovs-vswitchd (Open vSwitch) 3.1.0"
	first, _, _ := strings.Cut(text, "\n")
	return first[strings.LastIndex(first, " ")+1:], err
}

// note keeps what a bridge can do. If that cannot be learned, the bridge is taken to
// be able to do the least: a feature is a shortcut, never a need.
func (k *keeper) note(o observed) {
	if o.err != nil {
		k.log.WithField("bridge", o.bridge).WithError(o.err).Warn("what the datapath can do is not known")
	}
	if s := k.sites[o.bridge]; s != nil {
		features := o.features
		row, _ := s.row()
		inUserspace := userspace(row)
		features.NullNAT = !o.version.Has(quirk.IdentityNAT, inUserspace)
		features.LateNAT, features.HashUDP = !inUserspace, !inUserspace
		features.SCTPPorts = !o.version.Has(quirk.SCTPPorts, inUserspace)
		s.features = &features
		k.tellQuirks(o.bridge, s, o.version)
	}
}

// shut ends a bridge's session and its door, and waits for both.
func (k *keeper) shut(s *site) {
	if s.door != nil {
		s.door.close()
	}
	if s.session != nil {
		s.session.cancel()
		<-s.session.done
	}
}
