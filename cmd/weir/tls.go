package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"weir/api"
	"weir/intent"
	"weir/ofproto/ofconn"
	"weir/ovsdb"
)

// keyFlags adds the flags that say with what TLS is spoken, as those of Open vSwitch's own daemons.
func keyFlags(cmd *cobra.Command, k *ofconn.Keys) {
	flags := cmd.Flags()
	flags.StringVarP(&k.PrivateKey, "private-key", "p", "", "for ssl:, the key of --certificate (PEM)")
	flags.StringVarP(&k.Certificate, "certificate", "c", "", "for ssl:, our certificate, and those between it and its authority (PEM)")
	flags.StringVarP(&k.CA, "ca-cert", "C", "", "for ssl:, the certificates of the authorities that sign switches (PEM)")
}

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
			alarms = append(alarms, certificateText(c)+": "+alarmText(c.Alarm))
		}
	}
	text := strings.Join(alarms, "; ")
	if text != said && text != "" {
		log.Warn("TLS: " + text)
	}
	return text
}

// expiryAlarm is how near a certificate is to its end: "30 days", "7 days", "expired", or nothing.
func expiryAlarm(until, now time.Time) string {
	switch left := until.Sub(now); {
	case left <= 0:
		return "expired"
	case left <= 7*day:
		return "7 days"
	case left <= 30*day:
		return "30 days"
	}
	return ""
}

func alarmText(alarm string) string {
	if alarm == "expired" {
		return "HAS EXPIRED"
	}
	return "expires in less than " + alarm
}

// expiryWords is expiryAlarm in words.
func expiryWords(until, now time.Time) string {
	if alarm := expiryAlarm(until, now); alarm != "" {
		return alarmText(alarm)
	}
	return ""
}

func certificateOf(of string, c *x509.Certificate, now time.Time) api.Certificate {
	names := ofconn.NamesOf(c)
	slices.Sort(names)
	return api.Certificate{Of: of, Names: slices.Compact(names), Until: c.NotAfter.UTC(), Alarm: expiryAlarm(c.NotAfter, now)}
}

// ownCertificates returns those that are in files.
func ownCertificates(s ofconn.KeyState, now time.Time) []api.Certificate {
	all := []api.Certificate{certificateOf(api.OfDaemon, s.Certificate, now)}
	for _, ca := range s.CAs {
		all = append(all, certificateOf(api.OfAuthority, ca, now))
	}
	return all
}

// certificateText names a certificate.
func certificateText(c api.Certificate) string {
	name := strings.Join(c.Names, ", ")
	switch c.Of {
	case api.OfDaemon:
		return "our certificate (" + name + ")"
	case api.OfAuthority:
		return "the certificate of the authority " + name
	}
	return "the certificate of the switch of " + c.Bridge + " (" + name + ")"
}

// databaseOf is where the database of a host is.
func (d *desk) databaseOf(h *host) ovsdb.Database {
	return ovsdb.Database{Target: h.target, TLS: configOf(d.keys)}
}

// reached notes why the database of a host cannot be reached; nil: it can. It is said before there is a
// keeper: that waits for the databases.
func (d *desk) reached(h *host, err error) {
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
	t := &api.TLS{Listen: d.flags.listen, Certificates: ownCertificates(state, now)}
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
			c := certificateOf(api.OfSwitch, (*shown)[bridge], now)
			c.Bridge = bridge
			all = append(all, c)
		}
	}
	return all
}

// certificates are the names that the switches of bridges have to prove, by bridge.
func (d *desk) certificates() map[string]string {
	names := map[string]string{}
	for _, b := range d.inForce.Load().model.Bridges() {
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
	if !found || !strings.HasPrefix(d.flags.listen, "ssl:") {
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

// tlsList says how we prove who we are, if something is to be done about it.
func tlsList(w io.Writer, s api.Status, wide bool) {
	if s.TLS != nil {
		if s.TLS.Error != "" {
			fmt.Fprintf(w, "\nTLS: the files are no good, and what was before stays in use:\n%s\n", indent(s.TLS.Error))
		}
		for _, c := range s.TLS.Certificates {
			if c.Alarm != "" || wide {
				text := fmt.Sprintf("is good until %s", c.Until.Format(time.RFC3339))
				if c.Alarm != "" {
					text = alarmText(c.Alarm) + ": " + c.Until.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "\nTLS: %s %s\n", certificateText(c), text)
			}
		}
	}
	for i, r := range s.Refusals {
		if i == 0 {
			fmt.Fprintln(w, "\npeers that were refused, the last first:")
		}
		if i == shownReasons && !wide {
			fmt.Fprintf(w, "  and %d more (-o wide)\n", len(s.Refusals)-i)
			return
		}
		fmt.Fprintf(w, "  %s %s (%s): %s: %s\n    %s\n", r.Last.Format(time.RFC3339), r.Peer, count(r.Count, "time", "times"), r.Reason, r.Why, r.Do)
	}
}
