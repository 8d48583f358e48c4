package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"weir/intent"
)

// A link is a Prober and a host in memory, with two addresses each.
type link struct {
	prober *Prober
	host   *Prober
	sent   chan []byte // of the prober's, copies; nil: none are made
}

var (
	gateway4, gateway6 = netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("2001:db8::fe")
	host4, host6       = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
)

func newLink(t *testing.T) *link {
	l := &link{sent: make(chan []byte, 1000)}
	ready := make(chan struct{})
	prober, err := NewProber([]netip.Addr{gateway4, gateway6}, func(to netip.Addr, p []byte) {
		<-ready
		select {
		case l.sent <- p:
		default:
		}
		if to == host4 || to == host6 {
			l.host.Receive(p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	host, err := NewProber([]netip.Addr{host4, host6}, func(_ netip.Addr, p []byte) { l.prober.Receive(p) })
	if err != nil {
		t.Fatal(err)
	}
	l.prober, l.host = prober, host
	close(ready)
	t.Cleanup(func() { prober.Close(); host.Close() })
	return l
}

func (l *link) listen(t *testing.T, a netip.Addr, port uint16) net.Listener {
	t.Helper()
	ln, err := gonet.ListenTCP(l.host.stack, full(a, port), familyOf(a))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func (l *link) serve(t *testing.T, a netip.Addr, port uint16, h http.HandlerFunc) {
	t.Helper()
	ln := l.listen(t, a, port)
	done := make(chan struct{})
	s := &http.Server{Handler: h}
	go func() { s.Serve(ln); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
}

func (l *link) listenUDP(t *testing.T, a netip.Addr, port uint16) *gonet.UDPConn {
	t.Helper()
	at := full(a, port)
	c, err := gonet.DialUDP(l.host.stack, &at, nil, familyOf(a))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (l *link) ask(t *testing.T, to netip.AddrPort, h intent.Health) error {
	t.Helper()
	h.Timeout = 300 * intent.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(h.Timeout))
	defer cancel()
	source := gateway4
	if to.Addr().Is6() {
		source = gateway6
	}
	return l.prober.Ask(ctx, Check{Source: source, Backend: to, Health: h})
}

// wants compares an error with a part of its text; empty: there is to be none.
func wants(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestChecksOfTCP(t *testing.T) {
	l := newLink(t)
	l.listen(t, host4, 80)
	l.listen(t, host6, 80)
	for name, c := range map[string]struct{ to, want string }{
		"who listens is well":                 {"10.0.0.1:80", ""},
		"who listens is well, over IPv6":      {"[2001:db8::1]:80", ""},
		"who does not listen is not":          {"10.0.0.1:81", "refused"},
		"who does not listen, over IPv6":      {"[2001:db8::1]:81", "refused"},
		"who is not there says nothing":       {"10.0.0.2:80", "no answer within 300ms"},
		"who is not there, over IPv6, either": {"[2001:db8::2]:80", "no answer within 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			wants(t, l.ask(t, netip.MustParseAddrPort(c.to), intent.Health{Type: intent.CheckTCP}), c.want)
		})
	}
}

// A check leaves nothing: it is over with a reset, from a port that the switch knows, and may be
// repeated more often than there are ports.
func TestAConnectionOfACheckIsReset(t *testing.T) {
	l := newLink(t)
	ln := l.listen(t, host4, 80)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, err = c.Read(make([]byte, 1))
			select {
			case ended <- err:
			default:
			}
			c.Close()
		}
	}()
	for range 2 * (lastPort - FirstPort) {
		if err := l.ask(t, netip.AddrPortFrom(host4, 80), intent.Health{Type: intent.CheckTCP}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("the server saw %v, want a reset", err)
	}
	for range 100 {
		p := <-l.sent
		if port := uint16(p[20])<<8 | uint16(p[21]); port&PortMask != FirstPort {
			t.Errorf("a packet left from port %d", port)
		}
	}
}

func TestChecksOfHTTP(t *testing.T) {
	l := newLink(t)
	l.serve(t, host4, 80, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/broken", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		case "/host":
			if r.Host != "shop.example" || r.URL.RawQuery != "full=1" {
				w.WriteHeader(http.StatusNotFound)
			}
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		case "/slow":
			<-r.Context().Done()
		}
	})
	ln := l.listen(t, host4, 22)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "SSH-2.0-OpenSSH_9.2\r\n")
			c.Close()
		}
	}()
	fine := []intent.StatusRange{{Lo: 200, Hi: 399}}
	for name, c := range map[string]struct {
		health intent.Health
		port   uint16
		want   string
	}{
		"a page that is there":                 {intent.Health{Path: "/", Expect: fine}, 80, ""},
		"a redirection is not followed":        {intent.Health{Path: "/moved", Expect: fine}, 80, ""},
		"a status that is not expected":        {intent.Health{Path: "/broken", Expect: fine}, 80, "status 503"},
		"one that is":                          {intent.Health{Path: "/broken", Expect: []intent.StatusRange{{Lo: 503, Hi: 503}}}, 80, ""},
		"a page without end is not read so":    {intent.Health{Path: "/endless", Expect: fine}, 80, ""},
		"the host and the query are as said":   {intent.Health{Path: "/host?full=1", Host: "shop.example", Expect: fine}, 80, ""},
		"another host":                         {intent.Health{Path: "/host?full=1", Host: "x.example", Expect: fine}, 80, "status 404"},
		"what comes before the answer is none": {intent.Health{Path: "/early", Expect: fine}, 80, ""},
		"one that takes too long":              {intent.Health{Path: "/slow", Expect: fine}, 80, "no answer within 300ms"},
		"somebody who speaks something else":   {intent.Health{Path: "/", Expect: fine}, 22, "no answer of HTTP: malformed"},
		"nobody":                               {intent.Health{Path: "/", Expect: fine}, 81, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			c.health.Type = intent.CheckHTTP
			wants(t, l.ask(t, netip.AddrPortFrom(host4, c.port), c.health), c.want)
		})
	}
}

func TestChecksOfUDPAndICMP(t *testing.T) {
	l := newLink(t)
	for _, a := range []netip.Addr{host4, host6} {
		l.listenUDP(t, a, 514) // and says nothing
		echo := l.listenUDP(t, a, 53)
		go func() {
			for {
				b := make([]byte, 100)
				n, from, err := echo.ReadFrom(b)
				if err != nil {
					return
				}
				echo.WriteTo(b[:n], from)
			}
		}()
	}
	for name, c := range map[string]struct {
		kind intent.CheckType
		to   string
		want string
	}{
		"udp: one that answers":                  {intent.CheckUDP, "10.0.0.1:53", ""},
		"udp: one that listens, and is silent":   {intent.CheckUDP, "10.0.0.1:514", ""},
		"udp: nobody listens":                    {intent.CheckUDP, "10.0.0.1:54", "an ICMP error came"},
		"udp: nobody is there":                   {intent.CheckUDP, "10.0.0.2:53", "no answer within 300ms"},
		"udp: one that answers, over IPv6":       {intent.CheckUDP, "[2001:db8::1]:53", ""},
		"udp: silent, over IPv6":                 {intent.CheckUDP, "[2001:db8::1]:514", ""},
		"udp: nobody listens, over IPv6":         {intent.CheckUDP, "[2001:db8::1]:54", "an ICMP error came"},
		"icmp: one that answers":                 {intent.CheckICMP, "10.0.0.1:0", ""},
		"icmp: nobody is there":                  {intent.CheckICMP, "10.0.0.2:0", "no answer within 300ms"},
		"icmp: one that answers, over IPv6":      {intent.CheckICMP, "[2001:db8::1]:0", ""},
		"icmp: nobody is there, over IPv6":       {intent.CheckICMP, "[2001:db8::2]:0", "no answer within 300ms"},
		"something that the model does not have": {"sctp", "10.0.0.1:80", `nobody knows a check of type "sctp"`},
	} {
		t.Run(name, func(t *testing.T) {
			wants(t, l.ask(t, netip.MustParseAddrPort(c.to), intent.Health{Type: c.kind}), c.want)
		})
	}
}

// Nothing that comes can hurt: what is not for anybody, is cut off, or no packet at all.
func TestAnythingMayCome(t *testing.T) {
	l := newLink(t)
	for _, p := range [][]byte{nil, {}, {0x45}, {0x60}, {0xff, 1, 2}, make([]byte, 20), append([]byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 254}, 1, 2, 3)} {
		l.prober.Receive(p)
	}
	l.listen(t, host4, 80)
	if err := l.ask(t, netip.AddrPortFrom(host4, 80), intent.Health{Type: intent.CheckTCP}); err != nil {
		t.Error(err)
	}
}

// The stack says nothing by itself: no router is looked for, no group joined.
func TestNobodyIsSpokenToUnasked(t *testing.T) {
	l := newLink(t)
	l.listen(t, host4, 80)
	if err := l.ask(t, netip.AddrPortFrom(host4, 80), intent.Health{Type: intent.CheckTCP}); err != nil {
		t.Fatal(err)
	}
	for len(l.sent) > 0 {
		if p := <-l.sent; p[0]>>4 != 4 || p[9] != byte(tcpip.TransportProtocolNumber(6)) {
			t.Errorf("it sent % x", p)
		}
	}
}
