package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/api"
	"weir/internal/pki"
	"weir/ofproto/ofconn"
)

// crowdOf returns how many peers come that want nothing.
func crowdOf() int {
	if os.Getenv("WEIR_INTEGRATION") == "" {
		return 1000
	}
	return 10000
}

// A process is a daemon of which can be seen what it takes of the machine.
type process struct {
	t   *testing.T
	pid int
}

// startProcess runs the daemon as a process of its own.
func (s *secured) startProcess() process {
	s.t.Helper()
	log, err := os.Create(s.path("log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("weir", s.serveArgs("state", "weir.sock")...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the daemon ended with: %v", err)
		}
		if err := log.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return process{s.t, cmd.Process.Pid}
}

// descriptors returns how many files it has open.
func (p process) descriptors() int {
	p.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(all)
}

// peak returns how much memory it has had at most, in MiB.
func (p process) peak() int {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return kib >> 10
}

// room lets this process have as many files open as a crowd needs.
func room(t *testing.T, crowd int) {
	t.Helper()
	need := uint64(crowd + 500)
	var is syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &is); err != nil {
		t.Fatal(err)
	}
	if is.Cur >= need {
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: need, Max: max(need, is.Max)}); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%d files cannot be open, but %d: %v", need, is.Max, err)
		}
		t.Skipf("SKIPPED: %d files cannot be open, but %d: %v", need, is.Max, err)
	}
}

// open opens as many connections, from another address than the switch's, and calls shake for
// each, which may hang up. end hangs up the rest.
func open(t *testing.T, crowd int, address string, shake func(net.Conn) error) (end func()) {
	t.Helper()
	var all, opening sync.WaitGroup
	conns := make(chan net.Conn, crowd)
	slots := make(chan struct{}, 64)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range crowd {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			nc, err := d.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			conns <- nc
			if shake(nc) == nil {
				all.Go(func() { _, _ = io.Copy(io.Discard, nc) }) // until it is hung up
			}
		})
	}
	opening.Wait()
	return func() {
		close(conns)
		for nc := range conns {
			nc.Close()
		}
		all.Wait()
	}
}

func TestACrowdThatWantsNothingTakesLittle(t *testing.T) {
	crowd := crowdOf()
	room(t, crowd)
	s := newSecuredAlone(t, twoHosts)
	s.wears("sw-1", nextYear())
	p := s.startProcess()
	s.status("connected", connected)
	address, hello := s.address(), clientHello(t)
	theirs, err := ofconn.Keys{Certificate: s.path("switch-1/sw-1.pem"), PrivateKey: s.path("switch-1/sw-1.key"), CA: s.CA(pki.Controllers)}.TLS()
	if err != nil {
		t.Fatal(err)
	}
	descriptors := p.descriptors() // with no peer but the switch
	for _, c := range []struct {
		what  string
		shake func(net.Conn) error
	}{
		{"say nothing at all", func(net.Conn) error { return nil }},
		{"do not finish the handshake", func(nc net.Conn) error { _, err := nc.Write(hello); return err }},
		{"finish it, with the certificate of a switch, and say nothing", func(nc net.Conn) error { return tls.Client(nc, theirs).Handshake() }},
	} {
		before := time.Now()
		most := watch(p)
		end := open(t, crowd, address, c.shake)
		took := time.Since(before)
		back, name := time.Now(), fmt.Sprintf("sw-%d", s.made+1)
		s.wears(name, nextYear()) // for its next session, by which that is known
		s.hangUp()
		s.status("the switch comes again", func(now api.Status) bool {
			return connected(now) && len(now.TLS.Certificates) == 3 && now.TLS.Certificates[2].Names[0] == name
		})
		above := most() - descriptors
		if mib := p.peak(); above > 600 || mib > 200 {
			t.Errorf("it had %d descriptors more, and %d MiB", above, mib)
		}
		t.Logf("%d peers that %s: opened in %v; at most %d descriptors above %d, %d MiB; the switch was served %v after it had to connect anew",
			crowd, c.what, took.Round(time.Millisecond), above, descriptors, p.peak(), time.Since(back).Round(time.Millisecond))
		end()
		s.status("nobody of them is left", func(api.Status) bool { return p.descriptors() <= descriptors+4 })
	}
}

// watch returns a function that says how many files a process had open at most until it is called.
func watch(p process) (most func() int) {
	stop, said := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				said <- n
				return
			case <-tick.C:
				n = max(n, p.descriptors())
			}
		}
	}()
	return func() int { close(stop); return <-said }
}
