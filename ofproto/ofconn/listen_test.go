package ofconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
	"weir/ofproto"
)

func listenOn(t testing.TB, target string, c Config) *Listener {
	t.Helper()
	l, err := Listen(target, c)
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// refusedTo sends what Config.Refused is told first.
func refusedTo(why chan<- error) func(net.Addr, error) {
	return func(_ net.Addr, err error) {
		select {
		case why <- err:
		default:
		}
	}
}

// use does something with a session that only a real switch can answer.
func use(t *testing.T, c *Conn) {
	t.Helper()
	must(t, c.Apply(t.Context(), sample.plan()))
	have, err := c.Tables(t.Context())
	if err != nil || len(have.Flows) != len(sample.Flows) || c.Features().DatapathID == 0 {
		t.Errorf("%d flows of bridge %x, %v", len(have.Flows), c.Features().DatapathID, err)
	}
}

// freePort returns a port of loopback on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, p, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return p
}

// secure gives an Open vSwitch keys, and returns ours.
func secure(t *testing.T, box *sandbox.Sandbox) Config {
	t.Helper()
	ca := newAuthority(t, "ca")
	k := ca.keys(t, "switch-1", time.Now().Add(time.Hour))
	_, err := box.Vsctl("set-ssl", k.PrivateKey, k.Certificate, k.CA)
	must(t, err)
	return Config{TLS: ca.tls(t, "weir")}
}

func TestASwitchConnectsToUs(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	socket := filepath.Join(box.RunDir(), "br.controller") // Open vSwitch connects to no other
	for _, c := range []struct{ name, listen, connect, peer string }{
		{"TCP", "ptcp:0:127.0.0.1", "tcp:", ""},
		{"TCP over IPv6", "ptcp:0:[::1]", "tcp:", ""},
		{"TLS", "pssl:0:127.0.0.1", "ssl:", "switch-1"},
		{"a unix socket", "punix:" + socket, "unix:", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := Config{}
			if c.connect == "ssl:" {
				config = secure(t, box)
			}
			l := listenOn(t, c.listen, config)
			_, err := box.Vsctl("set-controller", "br", c.connect+l.Addr().String())
			must(t, err)
			s, err := l.Accept(t.Context())
			must(t, err)
			defer s.Close()
			use(t, s)
			if s.PeerName() != c.peer {
				t.Errorf("the peer is %q; want %q", s.PeerName(), c.peer)
			}
			_, err = box.Vsctl("del-controller", "br")
			must(t, err)
			<-s.Done()
		})
	}
}

func TestASwitchConnectsToAListenerOfOurs(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := ListenOn(nl, Config{})
	_, err = box.Vsctl("set-controller", "br", "tcp:"+l.Addr().String())
	must(t, err)
	s, err := l.Accept(t.Context())
	must(t, err)
	use(t, s)
	must(t, l.Close())
	if _, err := nl.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
	use(t, s) // what has been accepted lives on
	must(t, s.Close())
}

func TestWeConnectToASwitch(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	for _, kind := range []string{"tcp", "ssl", "unix"} {
		t.Run(kind, func(t *testing.T) {
			target, config := "unix:"+filepath.Join(box.RunDir(), "br.mgmt"), Config{}
			if kind != "unix" {
				port := freePort(t)
				if kind == "ssl" {
					config = secure(t, box)
				}
				_, err := box.Vsctl("set-controller", "br", "p"+kind+":"+port+":127.0.0.1")
				must(t, err)
				target = kind + ":127.0.0.1:" + port
			}
			c := dialUntilThere(t, target, config)
			defer c.Close()
			use(t, c)
		})
	}
}

// dialUntilThere dials a switch that may not listen yet.
func dialUntilThere(t *testing.T, target string, config Config) *Conn {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		c, err := Dial(t.Context(), target, config)
		if err == nil {
			return c
		}
		<-tick.C
	}
	t.Fatalf("nobody listens on %s", target)
	return nil
}

func TestKeysAreChangedWhileASessionGoesOn(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	dir := t.TempDir()
	ours := Keys{filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")}
	install := func(a *authority) {
		t.Helper()
		k := a.keys(t, "weir", time.Now().Add(time.Hour))
		for from, to := range map[string]string{k.Certificate: ours.Certificate, k.PrivateKey: ours.PrivateKey, k.CA: ours.CA} {
			b, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, b, 0o600))
		}
		k = a.keys(t, "switch", time.Now().Add(time.Hour))
		_, err := box.Vsctl("set-ssl", k.PrivateKey, k.Certificate, k.CA)
		must(t, err)
	}
	install(before)
	config, err := ours.TLS()
	must(t, err)
	l := listenOn(t, "pssl:0:127.0.0.1", Config{TLS: config})
	must2(t)(box.Vsctl("set-controller", "br", "ssl:"+l.Addr().String()))
	first, err := l.Accept(t.Context())
	must(t, err)
	defer first.Close()

	install(after)
	must(t, first.Barrier(t.Context()))
	must2(t)(box.Vsctl("del-controller", "br"))
	must2(t)(box.Vsctl("set-controller", "br", "ssl:"+l.Addr().String()))
	second, err := l.Accept(t.Context())
	must(t, err)
	defer second.Close()
	use(t, second)
}

// must2 fails a test if what returns a text and an error returns an error.
func must2(t *testing.T) func(string, error) string {
	return func(s string, err error) string {
		t.Helper()
		must(t, err)
		return s
	}
}

func TestPeersThatStallDoNotKeepOutOneThatDoesNot(t *testing.T) {
	givenUp := make(chan struct{}, maxPending+51)
	socket := filepath.Join(t.TempDir(), "s")
	l := listenOn(t, "punix:"+socket, Config{Refused: func(_ net.Addr, err error) {
		if errors.Is(err, errGivenUp) {
			givenUp <- struct{}{}
		}
	}})
	for range maxPending + 50 {
		nc, err := net.Dial("unix", socket)
		must(t, err)
		defer nc.Close()
	}
	nc, err := net.Dial("unix", socket)
	must(t, err)
	go peer(nc, ofproto.Hello{}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // before the others are late
	defer cancel()
	c, err := l.Accept(ctx)
	must(t, err)
	defer c.Close()
	for range 50 {
		<-givenUp
	}
}

func TestGarbageCostsOnlyItsConnection(t *testing.T) {
	why := make(chan error, 1)
	socket := filepath.Join(t.TempDir(), "s")
	l := listenOn(t, "punix:"+socket, Config{Refused: refusedTo(why)})
	good, err := net.Dial("unix", socket)
	must(t, err)
	go peer(good, ofproto.Hello{}, obliging(func(uint32, ofproto.Message) []ofproto.Message { return nil }))
	c, err := l.Accept(t.Context())
	must(t, err)
	defer c.Close()
	bad, err := net.Dial("unix", socket)
	must(t, err)
	defer bad.Close()
	fmt.Fprint(bad, "GET / HTTP/1.1\r\n\r\n")
	if err := <-why; err == nil || !strings.Contains(err.Error(), "hello") {
		t.Errorf("%v", err)
	}
	must(t, c.Barrier(t.Context()))
}

func TestASocketThatADeadProcessHasLeftIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	dead, err := net.Listen("unix", socket)
	must(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, dead.Close())
	l := listenOn(t, "punix:"+socket, Config{})
	if _, err := Listen("punix:"+socket, Config{}); err == nil {
		t.Error("a socket on which somebody listens was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTargets(t *testing.T) {
	for _, target := range []string{"", "tcp", "tcp:", "udp:1.2.3.4", "unix:", "/tmp/br.mgmt", "ptcp:6653", "ssl:127.0.0.1:1"} {
		if c, err := Dial(t.Context(), target, Config{}); err == nil {
			t.Errorf("%q was dialled", target)
			c.Close()
		}
	}
	for _, target := range []string{"", "ptcp", "tcp:1.2.3.4", "punix:", "pssl:0:127.0.0.1", "ptcp:x"} {
		if l, err := Listen(target, Config{}); err == nil {
			t.Errorf("%q was listened on", target)
			l.Close()
		}
	}
	for in, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:6653", "10.0.0.1:99": "10.0.0.1:99", "[fe80::1]": "[fe80::1]:6653", "[fe80::1]:99": "[fe80::1]:99", "host": "host:6653",
	} {
		if got := withPort(in); got != want {
			t.Errorf("%s is %s; want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"ptcp:": ":6653", "ptcp:99": ":99", "ptcp:99:10.0.0.1": "10.0.0.1:99", "pssl::10.0.0.1": "10.0.0.1:6653", "ptcp:99:[::1]": "[::1]:99", "punix:/a:b": "/a:b",
	} {
		if _, got, _, err := passive(in); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestAPeerOfAnotherVersionThatTalksOnReadsWhyItIsTurnedAway(t *testing.T) {
	l := listenOn(t, "ptcp:0:127.0.0.1", Config{})
	for range 20 {
		nc, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		talk := append([]byte{1, 0, 0, 8, 0, 0, 0, 1}, make([]byte, 100000)...)
		_, err = nc.Write(talk)
		must(t, err)
		must(t, nc.(*net.TCPConn).CloseWrite())
		said, err := io.ReadAll(nc)
		if err != nil || !strings.Contains(string(said), "only OpenFlow 1.3") {
			t.Fatalf("%q, %v", said, err)
		}
		nc.Close()
	}
}

func TestASwitchThatIsToldToSpeakAnotherVersionIsTurnedAway(t *testing.T) {
	box := sandboxtest.Rootless(t, "br")
	why := make(chan error, 1)
	l := listenOn(t, "ptcp:0:127.0.0.1", Config{Refused: refusedTo(why)})
	must2(t)(box.Vsctl("set", "bridge", "br", "protocols=OpenFlow10,OpenFlow14", "--", "set-controller", "br", "tcp:"+l.Addr().String()))
	if err := soon(t, why); !errors.Is(err, ofproto.OFPHFC_INCOMPATIBLE) {
		t.Error(err)
	}
	must2(t)(box.Vsctl("set", "bridge", "br", "protocols=OpenFlow10,OpenFlow13"))
	c, err := l.Accept(t.Context())
	must(t, err)
	defer c.Close()
	use(t, c)
}

// dialFrom connects to a listener from one of the addresses of loopback.
func dialFrom(t *testing.T, own string, to net.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own)}}
	nc, err := d.DialContext(t.Context(), "tcp", to.String())
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

func TestWhoOpensManyConnectionsTakesNobodyElsesPlace(t *testing.T) {
	givenUp := make(chan net.Addr, 1000)
	l := listenOn(t, "ptcp:0:127.0.0.1", Config{Refused: func(peer net.Addr, err error) {
		if errors.Is(err, errGivenUp) {
			givenUp <- peer
		}
	}})
	slow := dialFrom(t, "127.0.0.1", l.Addr()) // came first, and says nothing yet
	for range maxPending + 100 {
		dialFrom(t, "127.0.0.2", l.Addr())
	}
	for range 101 {
		if peer := <-givenUp; !strings.HasPrefix(peer.String(), "127.0.0.2:") {
			t.Fatalf("%v was given up", peer)
		}
	}
	go peer(slow, ofproto.Hello{}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // before it is late
	defer cancel()
	c, err := l.Accept(ctx)
	must(t, err)
	c.Close()
}

func TestForWhomAPeerCounts(t *testing.T) {
	for _, c := range []struct {
		a, b net.IP
		same bool
	}{
		{net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 1).To16(), true},
		{net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2), false},
		{net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::ffff:2"), true},
		{net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8:0:1::1"), false},
	} {
		if same := from(&net.TCPAddr{IP: c.a, Port: 1}) == from(&net.TCPAddr{IP: c.b, Port: 2}); same != c.same {
			t.Errorf("%v and %v: %v", c.a, c.b, same)
		}
	}
	if from(&net.UnixAddr{Name: "/s"}) != from(&net.UnixAddr{}) {
		t.Error("sockets of the machine are told apart")
	}
}
