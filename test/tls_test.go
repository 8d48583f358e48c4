package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/api"
	"weir/internal/pki"
	"weir/test/ovstest"
)

// TestKeysAreChangedUnderTraffic has the bridge connect over TLS, and changes all certificates and
// authorities again and again while a storm blows: no connection fails, the session goes on, and what
// begins after that has the last ones.
func TestKeysAreChangedUnderTraffic(t *testing.T) {
	n, h1, h2 := pair(t)
	k := newKeys(t, n)
	n.Serve = []string{"--listen", "ssl:127.0.0.1:0", "-c", k.Certificate("weir"), "-p", k.Key("weir"), "-C", k.CA(pki.Switches)}
	w := n.Run(pairModel("") + forH2(httpRule))
	sessions := func() int { return strings.Count(w.Log(), "msg=connected ") }
	if sessions() != 1 {
		t.Fatalf("%d sessions:\n%s", sessions(), w.Log())
	}
	edits := 0
	newStorm(t, stormPath{name: "a tenant", from: h1, address: "10.1.1.2:80", to: h2}).blow(t, n, stormTime(t)/6, func(edit int) {
		edits = edit + 1
		k.change(edit)
		k.taken()
	})
	s, err := w.Status()
	if err != nil || sessions() != 1 || strings.Contains(w.Log(), "msg=disconnected") || len(s.Refusals) != 0 {
		t.Errorf("%d sessions, %v; refused: %+v", sessions(), err, s.Refusals)
	}
	t.Logf("keys and authorities were changed %d times: %d session", edits, sessions())

	if _, err := n.Vsctl("del-controller", n.Bridge); err != nil { // the daemon sets it again
		t.Fatal(err)
	}
	ovstest.Eventually(t, "the next session has the last certificates", func() error {
		s, err := w.Status()
		if err == nil && (sessions() != 2 || !s.Bridges[0].Programmed || switchName(s) != k.switchName()) {
			err = fmt.Errorf("%d sessions, the switch is %s, not %s", sessions(), switchName(s), k.switchName())
		}
		return err
	})

	k.wear("late", time.Now().AddDate(0, 0, -1))
	if _, err := n.Vsctl("del-controller", n.Bridge); err != nil {
		t.Fatal(err)
	}
	ovstest.Eventually(t, "a switch whose certificate has expired is refused", func() error {
		s, err := w.Status()
		if err == nil && (s.Bridges[0].Connected || !strings.Contains(s.Bridges[0].Error, `"late" expired on`)) {
			err = fmt.Errorf("%+v", s.Bridges[0])
		}
		return err
	})
	k.change(edits) // with one that is good
	if _, err := n.Vsctl("set", "controller", n.Bridge, "max_backoff=1001"); err != nil {
		t.Fatal(err)
	}
	w.Programmed(1)
}

// switchName is the name that the switch of the only bridge has proven.
func switchName(s api.Status) string {
	for _, c := range s.TLS.Certificates {
		if c.Of == api.OfSwitch {
			return c.Names[0]
		}
	}
	return "nobody"
}

// keys are the files of a daemon and its switch, which are changed.
type keys struct {
	pki.Folder
	t     *testing.T
	n     *ovstest.Net
	worn  int
	until time.Time // of the daemon's certificate
}

func newKeys(t *testing.T, n *ovstest.Net) *keys {
	t.Helper()
	up := exec.Command("ip", "link", "set", "lo", "up") // of the namespace of the switch, in which the daemon is, too
	if err := n.StartChild(up); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err != nil {
		t.Fatal(err)
	}
	k := &keys{Folder: pki.Folder(filepath.Join(n.RunDir(), "tls")), t: t, n: n}
	k.authorities()
	k.controller(0)
	k.wear("sw-0", time.Now().AddDate(0, 1, 0))
	return k
}

func (k *keys) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *keys) authorities() {
	k.t.Helper()
	for _, s := range []pki.Side{pki.Controllers, pki.Switches} {
		_, err := k.Init(s, time.Now(), time.Now().AddDate(10, 0, 0))
		k.must(err)
	}
}

// controller makes the daemon's certificate anew. It is known by when it expires.
func (k *keys) controller(edit int) {
	k.t.Helper()
	k.until = time.Now().AddDate(0, 6, edit).Truncate(time.Second)
	k.must(k.Sign(pki.Controllers, pki.Request{Name: "weir", Until: k.until}, time.Now()))
}

// wear gives the switch a certificate in files of other names: Open vSwitch reads no file again.
func (k *keys) wear(name string, until time.Time) {
	k.t.Helper()
	k.worn++
	in := pki.Folder(filepath.Join(k.n.RunDir(), fmt.Sprintf("worn-%d", k.worn)))
	k.must(os.CopyFS(string(in), os.DirFS(string(k.Folder))))
	k.must(in.Sign(pki.Switches, pki.Request{Name: name, Until: until}, until.AddDate(0, -2, 0)))
	_, err := k.n.Vsctl("set-ssl", in.Key(name), in.Certificate(name), in.CA(pki.Controllers))
	k.must(err)
}

func (k *keys) switchName() string { return fmt.Sprintf("sw-%d", k.worn-1) }

// change makes other authorities every third time, else other certificates, all signed anew.
func (k *keys) change(edit int) {
	k.t.Helper()
	if edit%3 == 2 {
		for _, s := range []pki.Side{pki.Controllers, pki.Switches} {
			k.must(os.Remove(k.CA(s)))
			k.must(os.Remove(k.Key(string(s) + "-ca")))
		}
		k.authorities()
	}
	k.controller(edit + 1)
	k.wear(fmt.Sprintf("sw-%d", k.worn), time.Now().AddDate(0, 1, 0))
}

// taken waits until the daemon has the new files.
func (k *keys) taken() {
	k.t.Helper()
	ovstest.Eventually(k.t, "the new certificate is in use", func() error {
		s, err := k.n.Weir.Status()
		if err == nil && (s.TLS.Error != "" || !s.TLS.Certificates[0].Until.Equal(k.until)) {
			err = fmt.Errorf("%+v", s.TLS)
		}
		return err
	})
}
