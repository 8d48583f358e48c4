package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"weir/api"
	"weir/intent"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
)

// openKeys opens the keys if something is spoken to over TLS; nil: nothing is.
func openKeys(k ofconn.Keys, targets ...string) (*ofconn.Keyring, error) {
	for _, target := range targets {
		if strings.HasPrefix(target, "ssl:") {
			ring, err := k.Open()
			if err != nil {
				return nil, fmt.Errorf("%s: %w (--certificate, --private-key, --ca-cert; weir cert makes them)", target, err)
			}
			return ring, nil
		}
	}
	if k != (ofconn.Keys{}) {
		return nil, errors.New("--certificate, --private-key and --ca-cert are for TLS, and nothing is spoken to over it: --listen ssl:ADDR:PORT or --ovsdb ssl:ADDR:PORT")
	}
	return nil, nil
}

// configOf returns the TLS of a keyring; nil of none.
func configOf(ring *ofconn.Keyring) *tls.Config {
	if ring == nil {
		return nil
	}
	return ring.TLS()
}

// keysEvery is how long a change of the files may wait to be told. Handshakes do not wait for it.
const keysEvery = time.Second

// watchKeys looks at the files until ctx is done, and says in the log what becomes of them.
func watchKeys(ctx context.Context, ring *ofconn.Keyring, log *logrus.Logger) {
	if ring == nil {
		return
	}
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	var said, alarm string
	last := ring.State()
	for {
		now := ring.Refresh()
		said = sayKeys(now, last, said, log)
		alarm = sayExpiry(now, alarm, log)
		last = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sayKeys says what has become of the files, once, and returns what was wrong with them.
func sayKeys(now, last ofconn.KeyState, said string, log *logrus.Logger) string {
	if !now.Certificate.Equal(last.Certificate) {
		log.WithFields(logrus.Fields{"name": ofconn.Who(now.Certificate), "until": now.Certificate.NotAfter.UTC()}).Info("TLS: a new certificate is in use")
	}
	if !slices.EqualFunc(now.CAs, last.CAs, (*x509.Certificate).Equal) {
		log.WithField("count", len(now.CAs)).Info("TLS: other authorities are in use")
	}
	wrong := ""
	if now.Error != nil {
		wrong = now.Error.Error()
	}
	if wrong != said && wrong != "" {
		log.WithError(now.Error).Error("TLS: the files are no good, and what was before stays in use")
	}
	return wrong
}

// sayExpiry warns that certificates of ours expire, once for each step, and returns of what it has warned.
func sayExpiry(now ofconn.KeyState, said string, log *logrus.Logger) string {
	var alarms []string
	for _, c := range ownCertificates(now, time.Now()) {
		if c.Alarm != "" {
			alarms = append(alarms, c.String()+": "+api.ExpiryText(c.Alarm))
		}
	}
	text := strings.Join(alarms, "; ")
	if text != said && text != "" {
		log.Warn("TLS: " + text)
	}
	return text
}

// CertificateOf says what a certificate is of, and how near it is to its end.
func CertificateOf(of string, c *x509.Certificate, now time.Time) api.Certificate {
	names := ofconn.NamesOf(c)
	slices.Sort(names)
	return api.Certificate{Of: of, Names: slices.Compact(names), Until: c.NotAfter.UTC(), Alarm: api.ExpiryAlarm(c.NotAfter, now)}
}

// ownCertificates returns those that are in files.
func ownCertificates(s ofconn.KeyState, now time.Time) []api.Certificate {
	all := []api.Certificate{CertificateOf(api.OfDaemon, s.Certificate, now)}
	for _, ca := range s.CAs {
		all = append(all, CertificateOf(api.OfAuthority, ca, now))
	}
	return all
}

// databaseOf is where the database of a host is.
func (d *desk) databaseOf(h *Host) ovsdb.Database {
	return ovsdb.Database{Target: h.target, TLS: configOf(d.keys)}
}

// reached notes why the database of a host cannot be reached; nil: it can. It is said before there is a
// keeper: that waits for the databases.
func (d *desk) reached(h *Host, err error) {
	if err == nil {
		h.away.Store(nil)
		return
	}
	why := err.Error()
	h.away.Store(&why)
	if strings.HasPrefix(h.target, "ssl:") && ofconn.ReasonOf(err) != ofconn.Other {
		d.refuse(ovsdbAddr(h.target), err)
	}
}

// tls returns how we prove who we are; nil: we do not.
func (d *desk) tls() *api.TLS {
	if d.keys == nil {
		return nil
	}
	now, state := time.Now(), d.keys.State()
	t := &api.TLS{Listen: d.config.Listen, Certificates: ownCertificates(state, now)}
	if state.Error != nil {
		t.Error = state.Error.Error()
	}
	t.Certificates = append(t.Certificates, d.provenCertificates(now)...)
	return t
}

// provenCertificates returns those of the switches that are connected, by bridge.
func (d *desk) provenCertificates(now time.Time) (all []api.Certificate) {
	live, shown := d.now(), d.proven.Load()
	if live == nil || shown == nil {
		return nil
	}
	for _, bridge := range slices.Sorted(maps.Keys(*shown)) {
		if _, connected := live.Bridges[bridge]; connected {
			c := CertificateOf(api.OfSwitch, (*shown)[bridge], now)
			c.Bridge = bridge
			all = append(all, c)
		}
	}
	return all
}

// certificates are the names that the switches of bridges have to prove, by bridge.
func (d *desk) certificates() map[string]string {
	names := map[string]string{}
	for _, b := range d.inForce.Load().Model.Bridges() {
		if b.Certificate != "" {
			names[b.Name] = b.Certificate
		}
	}
	return names
}

// refuse notes a peer that did not become a session.
func (d *desk) refuse(peer net.Addr, why error) {
	d.refuseFor(peer, ofconn.ReasonOf(why), plainly(why))
}

// plainly is an error of a handshake without where in it that was found out.
func plainly(why error) error {
	var untrusted *ofconn.Untrusted
	var op *net.OpError
	switch {
	case errors.As(why, &untrusted):
		return untrusted
	case ofconn.ReasonOf(why) == ofconn.RefusesUs && errors.As(why, &op):
		return fmt.Errorf("the peer does not take our certificate: %w", op.Err)
	}
	return why
}

func (d *desk) refuseFor(peer net.Addr, reason ofconn.Reason, why error) {
	d.refusals.note(peer, reason, why, d.certificates(), d.log.WithField("part", "listener"))
}

// refusalOf says why a bridge that is not connected is refused; "": it is not known to be.
func (d *desk) refusalOf(bridge string) string {
	if r := d.refusals.of(d.certificates()[bridge]); r != nil {
		return sentence(r)
	}
	p, found := d.at(bridge)
	if !found || !strings.HasPrefix(d.config.Listen, "ssl:") {
		return ""
	}
	if s := p.host.snapshot.Load(); s != nil && s.Connected && !s.Keys {
		return errNoKeys
	}
	if r := d.refusals.hungUp(); r != nil { // so does Open vSwitch when it cannot read a file
		return "TLS: a peer at " + r.Peer + " hangs up at once; " + r.Do
	}
	return ""
}

// errNoKeys is what is wrong with the bridges of an Open vSwitch that cannot speak TLS. It connects all the same, and hangs up.
const errNoKeys = "TLS: the database has no keys for Open vSwitch: ovs-vsctl set-ssl KEY CERTIFICATE CA (weir cert sign --switch makes them)"

// proves says what is wrong with who has come for a bridge.
func proves(b *intent.Bridge, conn *ofconn.Conn) error {
	if b == nil || b.Certificate == "" {
		return nil
	}
	c := conn.PeerCertificate()
	if c == nil {
		return errNoTLS(b)
	}
	if !ofconn.Bears(c, b.Certificate) {
		return fmt.Errorf("bridge %s is to have the certificate of %q, and its switch has that of %s", b.Name, b.Certificate, ofconn.Who(c))
	}
	return nil
}

// errNoTLS is what is wrong with a bridge that names a certificate where none is shown.
func errNoTLS(b *intent.Bridge) error {
	return fmt.Errorf("the bridge is to prove that it is %q (spec.certificate), and bridges connect without TLS: weir serve --listen ssl:ADDR:PORT", b.Certificate)
}
