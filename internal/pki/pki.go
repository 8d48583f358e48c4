// Package pki makes the certificates with which switches and controllers prove to each other who
// they are (X.509, RFC 5280), as PEM files.
//
// There are two authorities, as in Open vSwitch's own tool: one signs controllers, the other
// switches. Open vSwitch looks at who has signed a controller's certificate and at nothing else;
// with a single authority each switch could play the controller to all others.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// A Side is who an authority signs.
type Side string

// The sides of an OpenFlow session.
const (
	Controllers Side = "controllers"
	Switches    Side = "switches"
)

// early is how long before its making a certificate begins to be good: clocks differ.
const early = time.Hour

// A Folder has the authorities and what they have signed: SIDE-ca.pem and SIDE-ca.key, NAME.pem
// and NAME.key. Keys are for their owner alone (0600).
type Folder string

// Certificate returns the file of the certificate of NAME.
func (f Folder) Certificate(name string) string { return filepath.Join(string(f), name+".pem") }

// Key returns the file of the private key of NAME.
func (f Folder) Key(name string) string { return filepath.Join(string(f), name+".key") }

// CA returns the file of the certificate of the authority of a side, which the other side needs.
func (f Folder) CA(s Side) string { return f.Certificate(authority(s)) }

func authority(s Side) string { return string(s) + "-ca" }

// Init makes the authority of a side that is good until then, if it is not there, and reports
// whether it has. One of whose two files only one is there is an error: what it has signed may be
// in use.
func (f Folder) Init(s Side, now, until time.Time) (made bool, err error) {
	name := authority(s)
	have, err := f.has(name)
	if err != nil || have {
		return false, err
	}
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return false, err
	}
	return true, f.issue(name, Request{Until: until}, now, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		Subject: pkix.Name{CommonName: "Weir's authority of " + string(s)},
	}, nil)
}

// has reports whether a certificate and its key are there; one without the other is an error.
func (f Folder) has(name string) (bool, error) {
	_, certificate := os.Stat(f.Certificate(name))
	_, key := os.Stat(f.Key(name))
	for _, err := range []error{certificate, key} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	if (certificate == nil) != (key == nil) {
		return false, fmt.Errorf("of %s and %s only one is there: bring the other back, or remove both and sign everything anew", f.Certificate(name), f.Key(name))
	}
	return certificate == nil, nil
}

// A Request is what a certificate is to say.
type Request struct {
	Name  string    // its common name
	DNS   []string  // more names
	URIs  []string  // "spiffe://example.org/switch/1"
	Until time.Time // when it expires
}

// Good reports whether the certificate of NAME and its key are there, signed by the authority that
// a side has now, and good for longer than until then; and until when.
func (f Folder) Good(s Side, name string, then time.Time) (until time.Time, good bool) {
	ca, err := f.load(s)
	if err != nil {
		return until, false // Sign says what is wrong
	}
	pair, err := tls.LoadX509KeyPair(f.Certificate(name), f.Key(name))
	if err != nil {
		return until, false // not there, or damaged
	}
	c := pair.Leaf
	return c.NotAfter, c.CheckSignatureFrom(ca.certificate) == nil && c.NotAfter.After(then)
}

// Sign makes a key and a certificate for it, signed by the authority of a side, instead of those
// that are there. The key is written first: who reads between the two finds a pair that does not
// fit, and goes on with what it has.
func (f Folder) Sign(s Side, r Request, now time.Time) error {
	if err := CheckName(r.Name); err != nil {
		return err
	}
	ca, err := f.load(s)
	if err != nil {
		return err
	}
	if r.Until.After(ca.certificate.NotAfter) {
		return fmt.Errorf("%s expires on %s: nothing that it signs can be good for longer", f.CA(s), ca.certificate.NotAfter.Format(time.DateOnly))
	}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: r.Name}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		// Either side accepts sessions as well as it opens them, to the other or to the database.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames:    r.DNS,
	}
	for _, text := range r.URIs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" {
			return fmt.Errorf("%q is no URI with a scheme, as spiffe://example.org/switch/1 is", text)
		}
		c.URIs = append(c.URIs, u)
	}
	return f.issue(r.Name, r, now, c, ca)
}

// CheckName says what is wrong with the name of a certificate, which is also the name of its files.
func CheckName(name string) error {
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
	}
	switch {
	case name == "" || len(name) > 64 || name[0] == '.' || name[0] == '-' || strings.ContainsFunc(name, odd):
		return fmt.Errorf("%q cannot be the name of a certificate: want at most 64 letters, digits, '-', '_' and '.', and a letter or digit first", name)
	case name == authority(Controllers) || name == authority(Switches):
		return fmt.Errorf("%s is the name of an authority", name)
	}
	return nil
}

// A signer is an authority that can sign.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (f Folder) load(s Side) (*signer, error) {
	name := authority(s)
	have, err := f.has(name)
	if err != nil {
		return nil, err
	}
	if !have {
		return nil, fmt.Errorf("%s is not there: weir cert init --dir %s makes it", f.CA(s), f)
	}
	c, err := ReadCertificate(f.CA(s))
	if err != nil {
		return nil, err
	}
	block, err := readPEM(f.Key(name), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Key(name), err)
	}
	k, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a %T cannot sign", f.Key(name), key)
	}
	return &signer{c, k}, nil
}

// ReadCertificate reads the first certificate of a file.
func ReadCertificate(path string) (*x509.Certificate, error) {
	block, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			return block.Bytes, nil
		}
	}
	return nil, fmt.Errorf("%s: there is no PEM block %q in it", path, kind)
}

// issue makes a key (P-256) and a certificate; without an authority it signs itself.
func (f Folder) issue(name string, r Request, now time.Time, c *x509.Certificate, ca *signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return err
	}
	c.NotBefore, c.NotAfter = now.Add(-early), r.Until
	if ca == nil {
		ca = &signer{c, key}
	}
	certificate, err := x509.CreateCertificate(rand.Reader, c, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := put(f.Key(name), "PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	return put(f.Certificate(name), "CERTIFICATE", certificate, 0o644)
}

func put(path, kind string, der []byte, mode os.FileMode) error {
	return renameio.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode, renameio.IgnoreUmask())
}
