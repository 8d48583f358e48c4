package ofconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key, a.file = a.sign(t, template, name)
	return a
}

// sign makes a key and a certificate for it, and writes both; an authority's first one is
// its own.
func (a *authority) sign(t *testing.T, template *x509.Certificate, name string) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	file := filepath.Join(a.dir, name+".pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(file+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key, file
}

// keys returns keys for name that are good until a time.
func (a *authority) keys(t *testing.T, name string, until time.Time) Keys {
	t.Helper()
	_, _, file := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
	}, name)
	return Keys{Certificate: file, PrivateKey: file + ".key", CA: a.file}
}

func (a *authority) tls(t *testing.T, name string) *tls.Config {
	t.Helper()
	c, err := a.keys(t, name, time.Now().Add(time.Hour)).TLS()
	must(t, err)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeysThatCannotBeReadAreSaid(t *testing.T) {
	a := newAuthority(t, "ca")
	good := a.keys(t, "weir", time.Now().Add(time.Hour))
	empty := filepath.Join(t.TempDir(), "empty")
	must(t, os.WriteFile(empty, nil, 0o600))
	for name, change := range map[string]func(*Keys){
		"no certificate": func(k *Keys) { k.Certificate = "/nowhere" },
		"no key":         func(k *Keys) { k.PrivateKey = "/nowhere" },
		"another's key":  func(k *Keys) { k.PrivateKey = a.file + ".key" },
		"no CA":          func(k *Keys) { k.CA = "/nowhere" },
		"an empty CA":    func(k *Keys) { k.CA = empty },
	} {
		k := good
		change(&k)
		if _, err := k.TLS(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestTLSThatWouldTakeAnyPeerIsRefused(t *testing.T) {
	pair := []tls.Certificate{{}}
	for name, c := range map[string]struct {
		config *tls.Config
		dial   bool
		accept bool
	}{
		"none":                         {nil, false, false},
		"without a certificate":        {&tls.Config{ClientCAs: x509.NewCertPool()}, false, false},
		"with no names of who signs":   {&tls.Config{Certificates: pair}, true, false},
		"with names of who signs":      {&tls.Config{Certificates: pair, ClientCAs: x509.NewCertPool()}, true, true},
		"that does not verify servers": {&tls.Config{Certificates: pair, InsecureSkipVerify: true}, false, false},
	} {
		if got, err := mutual(c.config, false); (err == nil) != c.dial || err == nil && got.MinVersion < tls.VersionTLS12 {
			t.Errorf("%s, to dial: %v", name, err)
		}
		if got, err := mutual(c.config, true); (err == nil) != c.accept || err == nil && got.ClientAuth != tls.RequireAndVerifyClientCert {
			t.Errorf("%s, to accept: %v", name, err)
		}
	}
}

// refusal dials a listener of ours over TLS, and returns what each side said. Neither gets
// as far as to HELLO.
func refusal(t *testing.T, ours, theirs *tls.Config) (listener, dialler error) {
	t.Helper()
	why := make(chan error, 1)
	l := listenOn(t, "pssl:0:127.0.0.1", Config{TLS: ours, Refused: refusedTo(why)})
	c, err := Dial(t.Context(), "ssl:"+l.Addr().String(), Config{TLS: theirs})
	if err == nil {
		c.Close()
	}
	return <-why, err
}

func TestPeersThatCannotProveWhoTheyAreAreTurnedAway(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "another")
	ours := ca.tls(t, "weir")
	expired, err := ca.keys(t, "late", time.Now().Add(-time.Hour)).TLS()
	must(t, err)
	none := ca.tls(t, "shy")
	none.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	old := ca.tls(t, "old")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	stranger := other.tls(t, "stranger")
	stranger.VerifyConnection = func(tls.ConnectionState) error { return nil } // it trusts us
	for name, c := range map[string]struct {
		theirs *tls.Config
		want   string
	}{
		"signed by another":   {stranger, "unknown authority"},
		"expired":             {expired, "expired"},
		"without certificate": {none, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, dialler := refusal(t, ours, c.theirs)
			if listener == nil || !strings.Contains(listener.Error(), c.want) || dialler == nil {
				t.Errorf("the listener said %v, the other side %v; want %q", listener, dialler, c.want)
			}
		})
	}
	t.Run("a server signed by another", func(t *testing.T) {
		if listener, dialler := refusal(t, stranger, ours); listener == nil || dialler == nil || !strings.Contains(dialler.Error(), "unknown authority") {
			t.Errorf("the listener said %v, we %v", listener, dialler)
		}
	})
	t.Run("TLS 1.1", func(t *testing.T) {
		why := make(chan error, 1)
		l := listenOn(t, "pssl:0:127.0.0.1", Config{TLS: ours, Refused: refusedTo(why)})
		if nc, err := tls.Dial("tcp", l.Addr().String(), old); err == nil {
			nc.Close()
			t.Error("the other side was taken")
		}
		if err := <-why; err == nil || !strings.Contains(err.Error(), "version") {
			t.Errorf("the listener said %v", err)
		}
	})
}
