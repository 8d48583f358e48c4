package ofconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/pki"
)

// A keychain is a folder with authorities of both sides, and files that are changed.
type keychain struct {
	t *testing.T
	pki.Folder
	ours Keys
}

func newKeychain(t *testing.T) *keychain {
	k := &keychain{t: t, Folder: pki.Folder(t.TempDir())}
	for _, s := range []pki.Side{pki.Controllers, pki.Switches} {
		_, err := k.Init(s, time.Now(), time.Now().AddDate(10, 0, 0))
		must(t, err)
	}
	k.ours = Keys{k.Certificate("weir"), k.Key("weir"), k.CA(pki.Switches)}
	k.sign(pki.Controllers, "weir", time.Now().AddDate(1, 0, 0))
	return k
}

func (k *keychain) sign(s pki.Side, name string, until time.Time) Keys {
	k.t.Helper()
	must(k.t, k.Sign(s, pki.Request{Name: name, Until: until}, time.Now()))
	return Keys{k.Certificate(name), k.Key(name), k.CA(pki.Controllers)}
}

func (k *keychain) open(keys Keys) *Keyring {
	k.t.Helper()
	r, err := keys.Open()
	must(k.t, err)
	return r
}

// meet shakes hands between two sides, and returns what each said. They speak over a real socket,
// which takes what both write at the same time, as a pipe does not.
func meet(t *testing.T, server, client *tls.Config) (s, c error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		b, err := tls.Dial("tcp", l.Addr().String(), client)
		if err == nil {
			_, err = b.Read(make([]byte, 1)) // in TLS 1.3, what the server thinks of the certificate
			b.Close()
		}
		done <- err
	}()
	a, err := l.Accept()
	must(t, err)
	s = tls.Server(a, server).HandshakeContext(context.Background())
	a.Close()
	return s, <-done
}

func TestACertificateExpiresWhileTheDaemonRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeychain(t)
		until := time.Now().Add(48 * time.Hour)
		theirs := k.open(k.sign(pki.Switches, "sw-1", until))
		ours := k.open(k.ours)
		if s, _ := meet(t, ours.TLS(), theirs.TLS()); s != nil {
			t.Fatalf("before: %v", s)
		}
		time.Sleep(time.Until(until)) // in virtual time
		if s, _ := meet(t, ours.TLS(), theirs.TLS()); s != nil {
			t.Errorf("at its last moment: %v", s)
		}
		time.Sleep(time.Second)
		s, _ := meet(t, ours.TLS(), theirs.TLS())
		if ReasonOf(s) != Expired || !strings.Contains(s.Error(), `"sw-1" expired on 2000-01-03 00:00`) {
			t.Errorf("after: %s: %v", ReasonOf(s), s)
		}
		theirs = k.open(k.sign(pki.Switches, "sw-1", until.AddDate(1, 0, 0)))
		if s, _ := meet(t, ours.TLS(), theirs.TLS()); s != nil {
			t.Errorf("a new one: %v", s)
		}
		time.Sleep(366 * 24 * time.Hour) // now ours has
		s, _ = meet(t, ours.TLS(), k.open(k.sign(pki.Switches, "sw-1", time.Now().AddDate(1, 0, 0))).TLS())
		if ReasonOf(s) != RefusesUs {
			t.Errorf("ours has expired: %s: %v", ReasonOf(s), s)
		}
	})
}

func TestWhyPeersAreRefusedIsKnownByAWord(t *testing.T) {
	k, stranger := newKeychain(t), newKeychain(t)
	ours := k.open(k.ours).TLS()
	good := k.open(k.sign(pki.Switches, "sw-1", time.Now().Add(time.Hour))).TLS()
	config := func(change func(*tls.Config)) *tls.Config {
		c := good.Clone()
		change(c)
		return c
	}
	trusting := func(keys Keys) *tls.Config {
		c := stranger.open(keys).TLS()
		c.VerifyConnection = func(tls.ConnectionState) error { return nil }
		return c
	}
	for want, theirs := range map[Reason]*tls.Config{
		UnknownCA: trusting(stranger.sign(pki.Switches, "sw-1", time.Now().Add(time.Hour))),
		NoCertificate: config(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		}),
		OldTLS:    config(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
		RefusesUs: stranger.open(Keys{k.Certificate("sw-1"), k.Key("sw-1"), stranger.CA(pki.Controllers)}).TLS(),
	} {
		if s, c := meet(t, ours, theirs); s == nil || ReasonOf(s) != want {
			t.Errorf("want %s, and it is %q: %v; the peer said %v", want, reasonOrNone(s), s, c)
		}
	}
	if s, c := meet(t, ours, good); s != nil {
		t.Errorf("a good one: %v, %v", s, c)
	}
}

func reasonOrNone(err error) Reason {
	if err == nil {
		return ""
	}
	return ReasonOf(err)
}

// replace puts the contents of a file in the place of another, at once.
func replace(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to+".new", b, 0o600))
	must(t, os.Rename(to+".new", to))
}

func TestFilesAreTakenWhenTheyFit(t *testing.T) {
	k := newKeychain(t)
	r := k.open(k.ours)
	first := r.State().Certificate
	next := k.sign(pki.Controllers, "next", time.Now().Add(time.Hour))

	replace(t, next.PrivateKey, k.ours.PrivateKey)
	s := r.Refresh()
	if !s.Certificate.Equal(first) || s.Error == nil || !strings.Contains(s.Error.Error(), k.ours.PrivateKey) {
		t.Errorf("the key alone was changed: %v, %v", s.Certificate.Subject, s.Error)
	}
	replace(t, next.Certificate, k.ours.Certificate)
	if s = r.Refresh(); s.Certificate.Subject.CommonName != "next" || s.Error != nil {
		t.Errorf("both were changed: %v, %v", s.Certificate.Subject, s.Error)
	}

	for name, spoil := range map[string]func(){
		"garbage":              func() { must(t, os.WriteFile(k.ours.Certificate, []byte("garbage"), 0o600)) },
		"an empty file of CAs": func() { must(t, os.WriteFile(k.ours.CA, nil, 0o600)) },
		"a file that is gone":  func() { must(t, os.Remove(k.ours.PrivateKey)) },
		"a CA that is cut off": func() { must(t, os.WriteFile(k.ours.CA, []byte("-----BEGIN CERTIFICATE-----\nMII"), 0o600)) },
		"a CA that is none": func() {
			must(t, os.WriteFile(k.ours.CA, []byte("-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"), 0o600))
		},
	} {
		before := k.ours.read()
		spoil()
		s := r.Refresh()
		if s.Error == nil || s.Certificate.Subject.CommonName != "next" || len(s.CAs) != 1 {
			t.Errorf("%s: %v, %v, %d authorities", name, s.Certificate.Subject, s.Error, len(s.CAs))
		}
		for path, b := range map[string][]byte{k.ours.Certificate: before.certificate, k.ours.PrivateKey: before.key, k.ours.CA: before.ca} {
			must(t, os.WriteFile(path, b, 0o600))
		}
		if s := r.Refresh(); s.Error != nil {
			t.Errorf("%s, and back again: %v", name, s.Error)
		}
	}
}

// Who writes a file in place may be read at each byte. That a certificate is missing cannot be seen; that one has no end can.
func TestAFileOfSeveralCertificatesThatIsBeingWrittenIsNotTaken(t *testing.T) {
	k := newKeychain(t)
	files := k.ours.read()
	several := append(files.ca, newKeychain(t).ours.read().ca...)
	for path, whole := range map[string][]byte{k.ours.CA: several, k.ours.Certificate: append(files.certificate, several...)} {
		r := k.open(k.ours)
		refused := 0
		for n := 0; n < len(whole); n += 7 {
			if bytes.Count(whole[:n], beginsCertificate) == bytes.Count(whole[:n], []byte("-----END CERTIFICATE-----")) {
				continue
			}
			must(t, os.WriteFile(path, whole[:n], 0o600))
			if s := r.Refresh(); s.Error == nil || len(s.CAs) != 1 && path == k.ours.CA {
				t.Fatalf("%d bytes of %d of %s are taken", n, len(whole), path)
			}
			refused++
		}
		must(t, os.WriteFile(path, whole, 0o600))
		if s := r.Refresh(); s.Error != nil || refused < 100 {
			t.Errorf("all of %s: %v; %d parts of it were refused", path, s.Error, refused)
		}
	}
}

func TestACertificateThatIsNotGoodNowIsNotTakenForOneThatIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeychain(t)
		r := k.open(k.ours)
		old := k.sign(pki.Controllers, "old", time.Now().Add(time.Minute))
		future := Keys{k.Certificate("future"), k.Key("future"), ""}
		must(t, k.Sign(pki.Controllers, pki.Request{Name: "future", Until: time.Now().Add(9 * time.Hour)}, time.Now().Add(3*time.Hour)))
		time.Sleep(2 * time.Minute)
		for _, c := range []struct {
			keys Keys
			want string
		}{{old, "expired on"}, {future, "not good before"}} {
			replace(t, c.keys.Certificate, k.ours.Certificate)
			replace(t, c.keys.PrivateKey, k.ours.PrivateKey)
			if s := r.Refresh(); s.Error == nil || !strings.Contains(s.Error.Error(), c.want) || s.Certificate.Subject.CommonName != "weir" {
				t.Errorf("%s: %v, %v", c.want, s.Error, s.Certificate.Subject)
			}
		}
		time.Sleep(3 * time.Hour) // the files do not change, and are good now
		if s := r.Refresh(); s.Error != nil || s.Certificate.Subject.CommonName != "future" {
			t.Errorf("in time: %v, %v", s.Error, s.Certificate.Subject)
		}
	})
}

func TestASymlinkIsFollowedWhereItLeadsNow(t *testing.T) {
	k := newKeychain(t)
	mount := t.TempDir()
	must(t, os.Symlink(string(k.Folder), filepath.Join(mount, "..data")))
	through := func(name string) string { return filepath.Join(mount, "..data", name) }
	r := k.open(Keys{through("weir.pem"), through("weir.key"), through("switches-ca.pem")})
	next := newKeychain(t)
	next.sign(pki.Controllers, "weir", time.Now().AddDate(0, 1, 0))
	must(t, os.Symlink(string(next.Folder), filepath.Join(mount, "..new")))
	must(t, os.Rename(filepath.Join(mount, "..new"), filepath.Join(mount, "..data")))
	want, err := pki.ReadCertificate(next.Certificate("weir"))
	must(t, err)
	if s := r.Refresh(); s.Error != nil || !s.Certificate.Equal(want) {
		t.Errorf("%v, %v", s.Certificate.NotAfter, s.Error)
	}
}

func TestNamesOfStrangersAreQuotedAndCut(t *testing.T) {
	evil := &x509.Certificate{Subject: pkix.Name{CommonName: "evil\n\x1b[31m" + strings.Repeat("x", 1000)}}
	if who := Who(evil); len(who) > 120 || strings.ContainsAny(who, "\n\x1b") {
		t.Errorf("%q", who)
	}
}
