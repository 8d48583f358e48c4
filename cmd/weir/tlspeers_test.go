package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/api"
	"weir/internal/pki"
	"weir/internal/sandbox"
)

func TestASwitchThatHasNoKeysIsSaid(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.start()
	s.says("no keys for Open vSwitch: ovs-vsctl set-ssl KEY CERTIFICATE CA")

	in := pki.Folder(s.path("lost"))
	s.setSSL(in.Key("sw-1"), in.Certificate("sw-1"), s.CA(pki.Controllers)) // which are not there
	s.says("hangs up at once", "ovs-vsctl get-ssl")

	s.wears("sw-1", nextYear())
	now := s.status("connected", connected)
	s.counted("gone", "local", now)
}

// says waits until the bridge, which is not connected, says some words.
func (s *secured) says(words ...string) {
	s.t.Helper()
	s.status(words[0], func(now api.Status) bool {
		missing := func(word string) bool { return !strings.Contains(now.Bridges[0].Error, word) }
		return !now.Bridges[0].Connected && !slices.ContainsFunc(words, missing)
	})
}

func TestASwitchWhoseCertificateIsNotGoodYetIsRefused(t *testing.T) {
	s := newSecured(t, twoHosts)
	in := pki.Folder(s.path("early"))
	if err := os.CopyFS(string(in), os.DirFS(string(s.Folder))); err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Now().AddDate(0, 0, 1)
	if err := in.Sign(pki.Switches, pki.Request{Name: "sw-1", Until: nextYear()}, tomorrow); err != nil {
		t.Fatal(err)
	}
	s.setSSL(in.Key("sw-1"), in.Certificate("sw-1"), s.CA(pki.Controllers))
	s.start()
	now := s.refused("not-yet-valid", `"sw-1" is not good before `+tomorrow.Add(-time.Hour).UTC().Format(time.DateOnly), "set the clocks")
	s.counted("not-yet-valid", "local", now)
	s.wears("sw-1", nextYear())
	s.status("connected", connected)
}

// A stranger is another Open vSwitch with a bridge br0, which is no bridge of the model.
func stranger(t *testing.T, controller string, keys []string, flags ...string) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.Start(t.Context(), sandbox.Config{Dummy: true, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := box.AddBridge("br0"); err != nil {
		t.Fatal(err)
	}
	vsctl(t, box, append([]string{"set-ssl"}, keys...)...)
	vsctl(t, box, "set-controller", "br0", controller)
	return box
}

func TestASwitchThatSpeaksAnotherTLSOrNoneIsRefused(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.start()
	s.status("connected", connected)
	in := pki.Folder(s.path("switch-1"))
	keys := []string{in.Key("sw-1"), in.Certificate("sw-1"), s.CA(pki.Controllers)}
	const old = "--ssl-ciphers=DEFAULT@SECLEVEL=0" // without which OpenSSL does not begin with these versions
	for _, c := range []struct {
		kind, reason, why string
		flags             []string
	}{
		{"ssl:", "old-tls", "only unsupported versions: [301]", []string{"--ssl-protocols=TLSv1", old}},
		{"ssl:", "old-tls", "only unsupported versions: [302", []string{"--ssl-protocols=TLSv1.1", old}},
		{"tcp:", "no-tls", "does not look like a TLS handshake", nil},
		{"ssl:", "unknown-bridge", "is no bridge of the model", nil}, // with all else right
	} {
		box := stranger(t, c.kind+s.address(), keys, c.flags...)
		now := s.status(c.why, func(now api.Status) bool {
			return connected(now) && slices.ContainsFunc(now.Refusals, func(r api.Refusal) bool {
				return r.Reason == c.reason && strings.Contains(r.Why, c.why) && r.Do != ""
			})
		})
		s.counted(c.reason, "local", now)
		vsctl(t, box, "del-controller", "br0")
	}
	s.stop()
	if n := strings.Count(s.log.String(), `"msg":"connected"`); n != 1 {
		t.Errorf("%d sessions:\n%s", n, s.log)
	}
}

func TestASwitchThatSpeaksTLSWhereNoneIsSpokenIsToldSo(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.more = []string{"--listen", "tcp:127.0.0.1:0"}
	s.start()
	s.status("connected", connected)
	in := pki.Folder(s.path("switch-1"))
	at := strings.TrimPrefix(vsctl(t, s.box, "get-controller", "br0"), "tcp:")
	stranger(t, "ssl:"+at, []string{in.Key("sw-1"), in.Certificate("sw-1"), s.CA(pki.Controllers)})
	now := s.status("the reason", func(now api.Status) bool {
		return connected(now) && len(now.Refusals) == 1 && now.Refusals[0].Reason == "tls" && strings.Contains(now.Refusals[0].Do, "tcp:")
	})
	s.counted("tls", "local", now)
}

// An authority is replaced in the order of an operator: whom both sides take comes before what is shown.
func TestAuthoritiesAreReplacedWithoutLosingASession(t *testing.T) {
	s := newSecured(t, twoHosts)
	bundle := s.path("bundle.pem") // of controllers, as the switch has it
	next := pki.Folder(s.path("next"))
	for _, side := range []pki.Side{pki.Controllers, pki.Switches} {
		if _, err := next.Init(side, time.Now(), nextYear()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		side pki.Side
		name string
	}{{pki.Controllers, "weir"}, {pki.Switches, "sw-2"}} {
		if err := next.Sign(c.side, pki.Request{Name: c.name, Until: time.Now().AddDate(0, 6, 0)}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	oldSwitches := s.path("old-switches.pem")
	join(t, oldSwitches, s.CA(pki.Switches))
	join(t, bundle, s.CA(pki.Controllers), next.CA(pki.Controllers))
	if err := s.Sign(pki.Switches, pki.Request{Name: "sw-1", Until: nextYear()}, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.setSSL(s.Key("sw-1"), s.Certificate("sw-1"), bundle)
	s.start()
	s.status("connected", connected)

	join(t, s.CA(pki.Switches), oldSwitches, next.CA(pki.Switches))
	s.status("both are taken", func(now api.Status) bool { return connected(now) && len(now.TLS.Certificates) == 4 })
	join(t, s.Key("weir"), next.Key("weir"))
	s.status("a key without its certificate", func(now api.Status) bool {
		return connected(now) && strings.Contains(now.TLS.Error, "are no certificate and its key")
	})
	join(t, s.Certificate("weir"), next.Certificate("weir"))
	s.setSSL(next.Key("sw-2"), next.Certificate("sw-2"), bundle)
	s.status("ours is new", func(now api.Status) bool {
		return connected(now) && now.TLS.Error == "" && now.TLS.Certificates[0].Until.Before(time.Now().AddDate(0, 7, 0))
	})
	join(t, s.CA(pki.Switches), next.CA(pki.Switches))
	now := s.status("the old one is gone", func(now api.Status) bool { return connected(now) && len(now.TLS.Certificates) == 3 })
	if c := now.TLS.Certificates[2]; c.Names[0] != "sw-1" || len(now.Refusals) != 0 {
		t.Errorf("the session from before is not the one that it was: %+v, %+v", c, now.Refusals)
	}
	s.hangUp()
	s.status("a new session, with nothing of the old authorities", func(now api.Status) bool {
		return connected(now) && len(now.TLS.Certificates) == 3 && now.TLS.Certificates[2].Names[0] == "sw-2"
	})
	s.stop()
	if n := strings.Count(s.log.String(), `"msg":"connected"`); n != 2 {
		t.Errorf("%d sessions:\n%s", n, s.log)
	}
}

// join writes files into one, which is there at once.
func join(t *testing.T, to string, from ...string) {
	t.Helper()
	var all []byte
	for _, f := range from {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	write(t, filepath.Dir(to), filepath.Base(to)+".new", string(all))
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}
