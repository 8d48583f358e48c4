package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/api"
	"weir/internal/pki"
)

// A secured is a daemon to which bridges connect over TLS, and the certificates of all sides.
type secured struct {
	*world
	pki.Folder
	made int // certificates of switches
}

// newSecured makes the certificates with weir cert, as an operator does. Its tests run at the same time: a switch
// that has been sent away takes its time to come again.
func newSecured(t *testing.T, model string) *secured {
	t.Helper()
	t.Parallel()
	return newSecuredAlone(t, model)
}

// newSecuredAlone is newSecured for a test beside which no other runs.
func newSecuredAlone(t *testing.T, model string) *secured {
	t.Helper()
	w := newWorld(t, model)
	s := &secured{world: w, Folder: pki.Folder(w.path("tls"))}
	s.cert("init", "--days", "3650")
	s.cert("sign", "--controller", "weir", "--days", "90")
	w.more = []string{"--listen", "ssl:127.0.0.1:0", "--certificate", s.Certificate("weir"), "--private-key", s.Key("weir"), "--ca-cert", s.CA(pki.Switches)}
	return s
}

func (s *secured) cert(verb string, args ...string) string {
	s.t.Helper()
	out, err := s.weir(append([]string{"cert", verb, "--dir", string(s.Folder)}, args...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// wears gives the switch a certificate that its authority has signed, until a time. Open vSwitch
// looks at files by their names: each has its own.
func (s *secured) wears(name string, until time.Time) {
	s.t.Helper()
	s.made++
	in := pki.Folder(s.path(fmt.Sprintf("switch-%d", s.made)))
	if err := os.CopyFS(string(in), os.DirFS(string(s.Folder))); err != nil {
		s.t.Fatal(err)
	}
	made := time.Now()
	if until.Before(made) {
		made = until.AddDate(0, 0, -40)
	}
	if err := in.Sign(pki.Switches, pki.Request{Name: name, Until: until}, made); err != nil {
		s.t.Fatal(err)
	}
	s.setSSL(in.Key(name), in.Certificate(name), s.CA(pki.Controllers))
}

func (s *secured) setSSL(key, certificate, ca string) {
	s.t.Helper()
	args := []string{"set-ssl", key, certificate, ca}
	if vsctl(s.t, s.box, "get-controller", "br0") != "" {
		// It tries again within a second, not within 8: a change of max_backoff is heeded at once.
		args = append(args, "--", "set", "controller", "br0", fmt.Sprintf("max_backoff=%d", 1000+s.made))
	}
	vsctl(s.t, s.box, args...)
}

func nextYear() time.Time { return time.Now().AddDate(1, 0, 0) }

func (s *secured) address() string {
	s.t.Helper()
	return strings.TrimPrefix(vsctl(s.t, s.box, "get-controller", "br0"), "ssl:")
}

// refused waits until the bridge says why its switch is refused.
func (s *secured) refused(reason string, words ...string) api.Status {
	s.t.Helper()
	return s.status(reason, func(now api.Status) bool {
		if len(now.Refusals) == 0 || now.Refusals[0].Reason != reason || now.Bridges[0].Connected {
			return false
		}
		for _, word := range words {
			if !strings.Contains(now.Bridges[0].Error, word) {
				return false
			}
		}
		return strings.HasPrefix(now.Bridges[0].Error, "TLS: ")
	})
}

func connected(s api.Status) bool {
	return len(s.Bridges) == 1 && s.Bridges[0].Programmed && s.Bridges[0].Error == ""
}

// hangUp has the switch connect anew: Open vSwitch does not judge a session again.
func (s *secured) hangUp() {
	s.t.Helper()
	vsctl(s.t, s.box, "del-controller", "br0") // the daemon sets it again
}

func TestASwitchThatCannotProveWhoItIsIsRefusedAndTheBridgeSaysWhy(t *testing.T) {
	s := newSecured(t, strings.Replace(twoHosts, "metadata: {name: br0}", "metadata: {name: br0}\nspec: {certificate: sw-1}", 1))
	s.wears("sw-1", nextYear())
	s.start()
	now := s.status("connected", connected)
	if len(now.TLS.Certificates) != 3 || now.TLS.Certificates[2].Bridge != "br0" || len(now.Refusals) != 0 {
		t.Errorf("%+v, %+v", now.TLS, now.Refusals)
	}

	expired := time.Now().AddDate(0, 0, -2)
	s.wears("sw-1", expired)
	s.hangUp()
	s.refused("expired", `"sw-1" expired on `+expired.UTC().Format(time.DateOnly), "ovs-vsctl set-ssl")

	other := pki.Folder(s.path("stranger"))
	if _, err := other.Init(pki.Switches, time.Now(), nextYear()); err != nil {
		t.Fatal(err)
	}
	if err := other.Sign(pki.Switches, pki.Request{Name: "sw-1", Until: time.Now().AddDate(0, 1, 0)}, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.setSSL(other.Key("sw-1"), other.Certificate("sw-1"), s.CA(pki.Controllers))
	s.refused("unknown-ca", `says to be of "sw-1"`, "unknown authority")

	s.wears("sw-2", nextYear())
	s.refused("other-switch", `is to have the certificate of "sw-1", and its switch has that of "sw-2"`)

	s.setSSL(s.path("switch-1/sw-1.key"), s.path("switch-1/sw-1.pem"), other.CA(pki.Switches))
	s.refused("refuses-us", "unknown certificate authority", "ovs-vsctl get-ssl")

	s.wears("sw-1", nextYear())
	now = s.status("connected again", connected)
	s.counted("expired", "br0", now)
	s.counted("unknown-ca", "local", now)
	s.counted("other-switch", "local", now)
	s.counted("refuses-us", "local", now)
	out, err := s.weir("status", "--socket", s.path("weir.sock"))
	if err != nil || !strings.Contains(out, "peers that were refused") || !strings.Contains(out, "spec.certificate") {
		t.Errorf("%v\n%s", err, out)
	}
	s.stop()
	if n := strings.Count(s.log.String(), `"msg":"connected"`); n != 2 { // the first and the last: no other was served, were it only for a moment
		t.Errorf("%d sessions:\n%s", n, s.log)
	}
}

// counted has a metric for a reason.
func (s *secured) counted(reason, peer string, now api.Status) {
	s.t.Helper()
	for _, c := range now.RefusalCounts {
		if c.Reason == reason && c.Peer == peer && c.N > 0 {
			return
		}
	}
	s.t.Errorf("%s of %s is not counted: %+v", reason, peer, now.RefusalCounts)
}

func TestASwitchWithoutACertificateIsRefused(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.start()
	s.status("connected", connected)
	address := s.address()
	// Open vSwitch opens no session without a certificate: another program does, with all else right.
	nc, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_, err = nc.Read(make([]byte, 1))
		nc.Close()
	}
	if err == nil {
		t.Error("it was taken")
	}
	s.status("counted", func(now api.Status) bool {
		return len(now.Refusals) == 1 && now.Refusals[0].Reason == "no-certificate" && connected(now)
	})
}

func TestABridgeThatNamesACertificateDoesNotConnectWithoutTLS(t *testing.T) {
	w := newWorld(t, strings.Replace(twoHosts, "metadata: {name: br0}", "metadata: {name: br0}\nspec: {certificate: sw-1}", 1))
	w.start()
	w.status("the reason", func(s api.Status) bool {
		return strings.Contains(s.Bridges[0].Error, `prove that it is "sw-1"`) && strings.Contains(s.Bridges[0].Error, "--listen ssl:")
	})
	write(t, w.dir, "m.yaml", twoHosts)
	w.status("connected", connected)
}

func TestASwitchThatIsNoLongerTheOneThatTheBridgeNamesLosesItsSession(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.start()
	s.status("connected", connected)
	write(t, s.dir, "m.yaml", strings.Replace(twoHosts, "metadata: {name: br0}", "metadata: {name: br0}\nspec: {certificate: sw-2}", 1))
	s.refused("other-switch", `of "sw-2"`)
	write(t, s.dir, "m.yaml", strings.Replace(twoHosts, "metadata: {name: br0}", "metadata: {name: br0}\nspec: {certificate: sw-1}", 1))
	s.status("connected again", connected)
}

func TestHostilePeersDoNotKeepASwitchOut(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.start()
	s.status("connected", connected)
	address := s.address()
	hello := clientHello(t)
	var open sync.WaitGroup
	var stalling atomic.Int32
	stop := make(chan struct{})
	dial := func(speak func(net.Conn)) {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		stalling.Add(1)
		open.Go(func() {
			defer stalling.Add(-1)
			defer nc.Close()
			speak(nc)
			_, _ = io.Copy(io.Discard, nc) // until it is hung up
		})
	}
	for range 1000 { // half a handshake
		dial(func(nc net.Conn) { _, _ = nc.Write(hello) })
	}
	for range 20 { // one byte a second
		dial(func(nc net.Conn) {
			for _, b := range hello {
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
			}
		})
	}
	dial(func(nc net.Conn) { fmt.Fprint(nc, "GET / HTTP/1.1\r\n\r\n") })
	dial(func(nc net.Conn) { _, _ = nc.Write([]byte{4, 0, 0, 8, 0, 0, 0, 1}) })                 // OpenFlow without TLS
	dial(func(nc net.Conn) { _, _ = nc.Write([]byte{22, 3, 1, 0, 5, 1, 0xff, 0xff, 0xff, 0}) }) // a ClientHello of 16 MB

	s.wears("sw-2", nextYear()) // for its next session, by which that is known
	from := time.Now()
	s.hangUp()
	s.status("connected again", func(now api.Status) bool {
		return connected(now) && len(now.TLS.Certificates) == 3 && now.TLS.Certificates[2].Names[0] == "sw-2"
	})
	t.Logf("the switch was connected and programmed %v after it had lost its controller, among %d peers that stall", time.Since(from), stalling.Load())
	if stalling.Load() == 0 {
		t.Error("it was let in only when the last one that stalls had been given up")
	}
	now := s.status("all are refused", func(now api.Status) bool {
		n := map[string]int64{}
		for _, c := range now.RefusalCounts {
			n[c.Reason] += c.N
		}
		return n["crowded"]+n["late"] >= 1020 && n["no-tls"] >= 3
	})
	close(stop)
	open.Wait() // each was hung up on
	if len(now.Refusals) > 32 {
		t.Errorf("%d refusals are told", len(now.Refusals))
	}
}

// clientHello is how a handshake begins.
func clientHello(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		_ = tls.Client(b, &tls.Config{InsecureSkipVerify: true}).Handshake() // it is cut off
	}()
	buf := make([]byte, 4096)
	n, err := a.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestFilesThatAreNoGoodAreSaidAndTheOldOnesStay(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.start()
	s.status("connected", connected)
	write(t, filepath.Dir(s.Certificate("weir")), "weir.pem", "garbage")
	s.status("the file", func(now api.Status) bool {
		return strings.Contains(now.TLS.Error, s.Certificate("weir")) && connected(now)
	})
	s.hangUp()
	s.status("the old one serves", connected)
	s.cert("sign", "--controller", "weir", "--days", "5")
	now := s.status("the new one", func(now api.Status) bool {
		return now.TLS.Error == "" && now.TLS.Certificates[0].Alarm == "7 days"
	})
	if now.TLS.Certificates[0].Of != api.OfDaemon {
		t.Errorf("%+v", now.TLS)
	}
}

func TestMistakesInKeysAreSaidAtTheStart(t *testing.T) {
	s := newSecured(t, twoHosts)
	for want, args := range map[string][]string{
		"there is no file of a certificate":       {"--listen", "ssl:127.0.0.1:0"},
		"no such file":                            {"--listen", "ssl:127.0.0.1:0", "-c", "/nowhere", "-p", s.Key("weir"), "-C", s.CA(pki.Switches)},
		"are no certificate and its key":          {"--listen", "ssl:127.0.0.1:0", "-c", s.Certificate("weir"), "-p", s.Key("switches-ca"), "-C", s.CA(pki.Switches)},
		"are for TLS, and nothing":                {"-c", s.Certificate("weir")},
		"must be ssl:ADDR:PORT or tcp:ADDR:PORT":  {"--listen", "pssl:6653"},
		"add --advertise ADDR":                    {"--listen", "tcp:0.0.0.0:6653"},
		"bridges connect to sockets of their own": {"--advertise", "10.0.0.1"},
		"must be the IP address":                  {"--listen", "tcp:0.0.0.0:6653", "--advertise", "weir.example.org"},
	} {
		s.more = args
		if _, err := s.weir(s.serveArgs("state", "weir.sock")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", args, err, want)
		}
	}
}

func TestBridgesAreToldTheAdvertisedAddress(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	s.more = append([]string{}, s.more...)
	s.more[1] = "ssl:0.0.0.0:0"
	s.more = append(s.more, "--advertise", "127.0.0.1")
	s.start()
	s.status("connected", connected)
	if a := s.address(); !strings.HasPrefix(a, "127.0.0.1:") {
		t.Errorf("it is told %s", a)
	}
}

// manager has the database listen for TLS, and returns where.
func (s *secured) manager() string {
	s.t.Helper()
	vsctl(s.t, s.box, "set-manager", "pssl:0:127.0.0.1")
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) { // each look takes a while
		if port := strings.Trim(vsctl(s.t, s.box, "--if-exists", "get", "manager", "pssl:0:127.0.0.1", "status:bound_port"), `"`); port != "" {
			return "ssl:127.0.0.1:" + port
		}
	}
	s.t.Fatal("the database does not listen")
	return ""
}

func TestTheDatabaseIsReachedOverTLSAndRefusalsAreSaid(t *testing.T) {
	s := newSecured(t, twoHosts)
	s.wears("sw-1", nextYear())
	at := s.manager()
	s.more = append(s.more, "--ovsdb", at) // the last one counts
	good := s.more
	other := pki.Folder(s.path("stranger"))
	for _, side := range []pki.Side{pki.Controllers, pki.Switches} {
		if _, err := other.Init(side, time.Now(), nextYear()); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Sign(pki.Controllers, pki.Request{Name: "weir", Until: time.Now().AddDate(0, 1, 0)}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for reason, args := range map[string][]string{
		"unknown-ca": {"--ca-cert", other.CA(pki.Switches)},
		"refuses-us": {"--certificate", other.Certificate("weir"), "--private-key", other.Key("weir")},
	} {
		s.more = append(append([]string{}, good...), args...)
		s.start()
		now := s.status(reason, func(now api.Status) bool {
			return !now.Database.Connected && now.Database.Away != "" && len(now.Refusals) == 1 && now.Refusals[0].Reason == reason
		})
		s.counted(reason, "ovsdb", now)
		s.stop()
	}
	s.more = good
	s.start()
	now := s.status("programmed", connected)
	if now.Database.Target != at || now.Database.Away != "" {
		t.Errorf("%+v", now.Database)
	}
	s.stop()
	if out, err := s.weir("detach", "br0", "--ovsdb", at, "--ovs-rundir", s.box.RunDir(), "--socket", s.path("weir.sock"),
		"-c", s.Certificate("weir"), "-p", s.Key("weir"), "-C", s.CA(pki.Switches)); err != nil || !strings.Contains(out, "br0 is given back") {
		t.Errorf("%v: %s", err, out)
	}
}
