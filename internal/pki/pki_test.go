package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func folder(t *testing.T) Folder {
	t.Helper()
	f := Folder(t.TempDir())
	for _, s := range []Side{Controllers, Switches} {
		if made, err := f.Init(s, today, today.AddDate(10, 0, 0)); err != nil || !made {
			t.Fatalf("made %v, %v", made, err)
		}
	}
	return f
}

func TestEachSideIsSignedByItsOwnAuthority(t *testing.T) {
	f := folder(t)
	if err := f.Sign(Switches, Request{Name: "sw-1", DNS: []string{"sw-1.example.org"}, URIs: []string{"spiffe://example.org/sw/1"}, Until: today.AddDate(1, 0, 0)}, today); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(f.Certificate("sw-1"), f.Key("sw-1"))
	if err != nil {
		t.Fatal(err)
	}
	c := pair.Leaf
	if c.Subject.CommonName != "sw-1" || c.DNSNames[0] != "sw-1.example.org" || c.URIs[0].String() != "spiffe://example.org/sw/1" || c.IsCA {
		t.Errorf("%+v", c)
	}
	for side, want := range map[Side]bool{Switches: true, Controllers: false} {
		ca, err := ReadCertificate(f.CA(side))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err = c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: today, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if (err == nil) != want {
			t.Errorf("by the authority of %s: %v", side, err)
		}
	}
	for _, key := range []string{f.Key("sw-1"), f.Key("switches-ca")} {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
}

func TestWhatIsGoodIsKept(t *testing.T) {
	f := folder(t)
	if made, err := f.Init(Switches, today, today.AddDate(10, 0, 0)); made || err != nil {
		t.Errorf("the authority was made again: %v, %v", made, err)
	}
	if err := f.Sign(Switches, Request{Name: "sw-1", Until: today.AddDate(0, 0, 40)}, today); err != nil {
		t.Fatal(err)
	}
	for then, want := range map[time.Time]bool{today.AddDate(0, 0, 30): true, today.AddDate(0, 0, 41): false} {
		if _, good := f.Good(Switches, "sw-1", then); good != want {
			t.Errorf("good for longer than until %v: %v", then, good)
		}
	}
	if _, good := f.Good(Controllers, "sw-1", today); good {
		t.Error("a switch's certificate is taken for a controller's")
	}
}

func TestWhatCannotBeSignedIsSaid(t *testing.T) {
	f := folder(t)
	late := today.AddDate(11, 0, 0)
	for want, r := range map[string]Request{
		"expires on 2036-11-21":  {Name: "sw-1", Until: late},
		"cannot be the name":     {Name: "../x", Until: today},
		"name of an authority":   {Name: "switches-ca", Until: today},
		"is no URI with":         {Name: "sw-1", Until: today, URIs: []string{"sw-1"}},
		"at most 64 letters":     {Name: strings.Repeat("x", 65), Until: today},
		"and a letter or digit ": {Name: ".x", Until: today},
	} {
		if err := f.Sign(Switches, r, today); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", r, err, want)
		}
	}
	if err := Folder(t.TempDir()).Sign(Switches, Request{Name: "sw-1", Until: today}, today); err == nil || !strings.Contains(err.Error(), "weir cert init") {
		t.Errorf("without an authority: %v", err)
	}
	if err := os.Remove(f.Key("switches-ca")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Init(Switches, today, late); err == nil || !strings.Contains(err.Error(), "only one is there") {
		t.Errorf("an authority without its key: %v", err)
	}
}
