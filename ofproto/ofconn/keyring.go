package ofconn

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// A Keyring is Keys as they were read last. It takes what the files have become, for sessions
// that begin from then on, if it makes sense: a certificate and a key that belong together and are
// good now, and certificates of authorities. Else it goes on with what it has, and State says
// why. Sessions that have begun are left alone. Its methods may be called by several goroutines.
type Keyring struct {
	files Keys

	mu    sync.Mutex // guards what follows, while files are read as well: they are small
	seen  contents   // of the files, when they were looked at last
	state KeyState
	pair  *tls.Certificate // in use, as is roots
	roots *x509.CertPool
}

// A KeyState is what of Keys is in use. It never changes.
type KeyState struct {
	Certificate *x509.Certificate
	CAs         []*x509.Certificate
	Error       error // why the files as they are now are not in use; what was before stays. nil: they are
}

// contents are the bytes of files, and why they could not be read.
type contents struct {
	certificate, key, ca []byte
	err                  [3]error
}

// Open reads the files. The error names the file that is no good.
func (k Keys) Open() (*Keyring, error) {
	for _, f := range []struct{ what, path string }{{"certificate", k.Certificate}, {"private key", k.PrivateKey}, {"certificate of an authority", k.CA}} {
		if f.path == "" {
			return nil, errors.New("TLS needs a certificate, its private key and the certificate of the peers' authority: there is no file of a " + f.what)
		}
	}
	r := &Keyring{files: k}
	if s := r.Refresh(); s.Error != nil {
		return nil, s.Error
	}
	return r, nil
}

// State returns what is in use.
func (r *Keyring) State() KeyState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Refresh looks at the files, and returns what is in use then.
func (r *Keyring) Refresh() KeyState {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.files.read()
	if now.same(r.seen) && r.pair != nil && r.state.Error == nil {
		return r.state
	}
	r.seen = now
	r.state.Error = errors.Join(r.takePair(now, time.Now()), r.takeRoots(now, time.Now()))
	return r.state
}

func (k Keys) read() (c contents) {
	c.certificate, c.err[0] = os.ReadFile(k.Certificate)
	c.key, c.err[1] = os.ReadFile(k.PrivateKey)
	c.ca, c.err[2] = os.ReadFile(k.CA)
	return c
}

func (c contents) same(d contents) bool {
	return bytes.Equal(c.certificate, d.certificate) && bytes.Equal(c.key, d.key) && bytes.Equal(c.ca, d.ca) &&
		errors.Join(c.err[:]...) == nil && errors.Join(d.err[:]...) == nil
}

// takePair takes a certificate and its key. A pair that is not good now is taken if the one that is in
// use is not either: then peers can say what is wrong with it.
func (r *Keyring) takePair(c contents, now time.Time) error {
	if err := errors.Join(c.err[:2]...); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(c.certificate, c.key)
	if err == nil && len(pair.Certificate) < bytes.Count(c.certificate, beginsCertificate) {
		err = errCutOff // those between it and its authority
	}
	if err != nil {
		return fmt.Errorf("%s and %s are no certificate and its key: %w", r.files.Certificate, r.files.PrivateKey, err)
	}
	if wrong := timely(pair.Leaf, now); wrong != nil && r.pair != nil && timely(r.pair.Leaf, now) == nil {
		return fmt.Errorf("%s: %w", r.files.Certificate, wrong)
	}
	r.pair, r.state.Certificate = &pair, pair.Leaf
	return nil
}

// takeRoots takes the certificates of authorities.
func (r *Keyring) takeRoots(c contents, now time.Time) error {
	if c.err[2] != nil {
		return c.err[2]
	}
	all, err := certificatesIn(c.ca)
	if err != nil {
		return fmt.Errorf("%s: %w", r.files.CA, err)
	}
	if wrong := allTimely(all, now); wrong != nil && allTimely(r.state.CAs, now) == nil {
		return fmt.Errorf("%s: %w", r.files.CA, wrong)
	}
	r.roots = x509.NewCertPool()
	for _, ca := range all {
		r.roots.AddCert(ca)
	}
	r.state.CAs = all
	return nil
}

// beginsCertificate is the line with which each certificate in a file begins (RFC 7468, 5.1).
var beginsCertificate = []byte("-----BEGIN CERTIFICATE-----")

// errCutOff is that of a file that is being written: encoding/pem leaves out what has no end.
var errCutOff = errors.New("a certificate in it has no end: is it being written?")

// certificatesIn reads certificates in PEM; one that cannot be read is an error, as is none.
func certificatesIn(b []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	switch begun := bytes.Count(b, beginsCertificate); {
	case len(all) < begun:
		return nil, errCutOff
	case len(all) == 0:
		return nil, errors.New("no certificate is in it")
	}
	return all, nil
}

// timely says whether a certificate is good now, by its dates.
func timely(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate of %s expired on %s", Who(c), day(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate of %s is not good before %s", Who(c), day(c.NotBefore))
	}
	return nil
}

// allTimely says why none of some certificates is good now.
func allTimely(all []*x509.Certificate, now time.Time) (err error) {
	for _, c := range all {
		if err = timely(c, now); err == nil {
			return nil
		}
	}
	if len(all) == 0 {
		return errors.New("there is no certificate")
	}
	return err
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// TLS returns the configuration for both sides of sessions in which both have to prove who they
// are. As with Open vSwitch, whose certificates name no hosts, it matters who signed a
// certificate, not for which name; to know which switch has come, ask PeerCertificate. The files
// are looked at in every handshake.
func (r *Keyring) TLS() *tls.Config {
	pair := func() (*tls.Certificate, error) {
		r.Refresh()
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.pair, nil
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true, // a peer is judged by the keys of today
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair() },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair() },
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection judges it,
		InsecureSkipVerify:     true,                     // and the server's, for which the library wants a name
		VerifyConnection:       r.verify,
	}
}

// forTLS is what a certificate has to be for, if it says for what it is.
var forTLS = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}

// verify judges the peer's certificate.
func (r *Keyring) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return &Untrusted{Reason: NoCertificate}
	}
	r.Refresh()
	r.mu.Lock()
	cas := r.state.CAs
	options := x509.VerifyOptions{Roots: r.roots, Intermediates: x509.NewCertPool(), KeyUsages: forTLS, CurrentTime: time.Now()}
	r.mu.Unlock()
	for _, c := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	return judge(s.PeerCertificates[0], cas, options)
}

// judge says why a certificate is not good. That it has expired is said only of one that
// would be good else: was it when it was, or was it signed by what an authority has become since?
func judge(c *x509.Certificate, cas []*x509.Certificate, options x509.VerifyOptions) error {
	at := options.CurrentTime
	reason := Reason("")
	switch {
	case at.After(c.NotAfter):
		reason, options.CurrentTime = Expired, c.NotAfter
	case at.Before(c.NotBefore):
		reason, options.CurrentTime = NotYetValid, c.NotBefore
	}
	_, err := c.Verify(options)
	switch {
	case err == nil && reason == "":
		return nil
	case err == nil, reason != "" && slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return c.CheckSignatureFrom(ca) == nil }):
		return &Untrusted{Certificate: c, Reason: reason, Signed: true, Err: timely(c, at)}
	}
	return &Untrusted{Certificate: c, Reason: reasonOfX509(err), Err: err}
}
