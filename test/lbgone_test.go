package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// TestAClientIsToldThatItsBackendIsGone is onRemove: reset, for clients that only listen, and both
// versions of IP.
func TestAClientIsToldThatItsBackendIsGone(t *testing.T) {
	model := func(backend string) string {
		return drained(backend, ", onRemove: reset") + balancer("web6", fmt.Sprintf(`address: "fd00:1::64", ports: [{port: 90, protocol: tcp, targetPort: 8090}], backends: [%s], onRemove: reset`, backend))
	}
	n, h1, backends := echoing(t, model("{endpoint: h2}"))
	for i, h := range backends {
		echo(t, h, fmt.Sprintf("[fd00:2::%d]:8090", 12+i))
	}
	for _, address := range []string{"10.1.1.64:90", "[fd00:1::64]:90"} {
		session := opened(t, h1, address)
		n.Weir.Apply(model("{endpoint: h3}"))
		began := time.Now()
		session.SetDeadline(time.Now().Add(ovstest.Patience))
		if _, err := session.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", address, err)
		}
		t.Logf("%s: told after %v", address, time.Since(began).Round(time.Millisecond))
		n.Weir.Apply(model("{endpoint: h2}"))
	}
}

// saysWho has a host answer each datagram with its name and what it has heard.
func saysWho(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	c := listenUDP(t, h, address)
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(append([]byte(h.Name), buf[:n]...), from)
		}
	}()
}

// TestDatagramsGoToAnotherBackendAtOnce asks from one port without end. A backend with weight 0
// goes on to answer; one that is removed does not, and another one does, whatever time there is to drain.
func TestDatagramsGoToAnotherBackendAtOnce(t *testing.T) {
	model := func(backends string) string {
		return balancedModel(policy("t", "dns", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}"),
			balancer("dns", "address: 10.1.1.64, ports: [{port: 53, protocol: udp}], drain: {timeout: 300s}, backends: ["+backends+"]"))
	}
	n, h1, backends := balanced(t, model("{endpoint: h2}"))
	for i, h := range backends {
		saysWho(t, h, fmt.Sprintf("10.2.1.%d:53", 12+i))
	}
	c, err := h1.Dial(t.Context(), "udp", "10.1.1.64:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	serial := 0
	asked := func() string {
		serial++
		question := fmt.Sprintf(" %d", serial)
		c.SetDeadline(time.Now().Add(time.Second / 2))
		if _, err := c.Write([]byte(question)); err != nil {
			return err.Error()
		}
		for buf := make([]byte, 100); ; { // what comes late is no answer to this one
			got, err := c.Read(buf)
			if err != nil {
				return "nobody"
			}
			if name, ok := strings.CutSuffix(string(buf[:got]), question); ok {
				return name
			}
		}
	}
	answers := func(want string) {
		t.Helper()
		began := time.Now()
		ovstest.Eventually(t, want+" answers", func() error {
			if got := asked(); got != want {
				return errors.New(got)
			}
			return nil
		})
		t.Logf("%s answers after %v", want, time.Since(began).Round(time.Millisecond))
	}
	answers("h2")
	n.Weir.Apply(model("{endpoint: h2, weight: 0}, {endpoint: h3}"))
	for range 10 {
		if got := asked(); got != "h2" && got != "nobody" { // it may have been lost
			t.Errorf("%s answers a datagram of a connection that h2 has", got)
		}
	}
	n.Weir.Apply(model("{endpoint: h3}"))
	answers("h3")
	n.Weir.Apply(model("{endpoint: h4}"))
	answers("h4")
	for range 10 {
		if got := asked(); got != "h4" && got != "nobody" {
			t.Errorf("%s answers", got)
		}
	}
}

// TestBothHalvesOfADrainedConnectionEnd is of a load balancer whose backends see their gateway.
func TestBothHalvesOfADrainedConnectionEnd(t *testing.T) {
	n, h1, _ := echoing(t, drained("{endpoint: h2}, {endpoint: h3}", ", snat: always"))
	for range 20 {
		opened(t, h1, "10.1.1.64:90")
	}
	s, err := n.Weir.Status()
	if err != nil || s.Tenants[0].SourceZone == 0 {
		t.Fatalf("%v, %+v", err, s.Tenants)
	}
	halves := func(backend string) (k int) {
		for _, e := range n.Entries(s.Tenants[0].SourceZone) {
			if e.Orig.Dst.String() == backend && !e.Over() {
				k++
			}
		}
		return k
	}
	second, third := halves("10.2.1.12"), halves("10.2.1.13")
	if second == 0 || third == 0 || second+third != 20 {
		t.Fatalf("halves: %d and %d", second, third)
	}
	n.Weir.Apply(drained("{endpoint: h3}", ", snat: always"))
	emptied(t, n, 64, 12)
	if got := halves("10.2.1.12"); got != 0 || halves("10.2.1.13") != third || len(of(n, 64, 13)) != third {
		t.Errorf("halves: %d and %d, of %d and %d", got, halves("10.2.1.13"), second, third)
	}
}

// TestAnAssociationOfARemovedBackendEnds is of SCTP, of which the userspace datapath knows no ports.
func TestAnAssociationOfARemovedBackendEnds(t *testing.T) {
	n := ovstest.New(t)
	h1, out := n.Host("h1", mac(1), nil), n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Host("h2", mac(2), nil)
	model := func(backend string) string {
		return natModel(balancer("amf", "address: 203.0.113.30, ports: [{port: 36412, protocol: sctp}], backends: [{endpoint: "+backend+"}]"),
			policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: sctp, ports: [36412]}"))
	}
	n.Run(model("h1"))
	at, from := wire(t, h1), wire(t, out)
	if err := from.Send(sctpFrame(t, mac(9), routerMAC(t, out, "203.0.113.2"), "203.0.113.1", "203.0.113.30", &layers.SCTP{SrcPort: 41000, DstPort: 36412}, sctpInit(1))); err != nil {
		t.Fatal(err)
	}
	if heardSCTP(at, 41000, 36412, ovstest.Patience) == nil {
		t.Fatal("h1 hears nothing")
	}
	associations := func() error {
		if some := ovstest.Protocol(n.Entries(n.Weir.Zone("t")), "sctp"); len(some) != 0 {
			return fmt.Errorf("%+v", some)
		}
		return nil
	}
	if associations() == nil {
		t.Fatal("there is no entry")
	}
	n.Weir.Apply(model("h2"))
	ovstest.Eventually(t, "the association is forgotten", associations)
}

// TestAClientOutsideIsToldThatItsBackendIsGone is onRemove: reset of a load balancer outside, for
// those who come from there or from its tenant, and only listen.
func TestAClientOutsideIsToldThatItsBackendIsGone(t *testing.T) {
	model := func(backend string) string {
		return natModel(balancer("web", "address: 203.0.113.64, ports: [{port: 90, protocol: tcp, targetPort: 8090}], onRemove: reset, backends: ["+backend+"]"),
			policy("t", "in", "{name: in, direction: ingress, action: allow, protocol: tcp, ports: [8090]}"), endpoint("t", "h3", 3, "10.1.1.13"))
	}
	n := ovstest.New(t)
	h1, h2 := n.Host("h1", mac(1), []string{"10.1.1.11/24"}, "10.1.1.1"), n.Host("h2", mac(2), []string{"10.1.1.12/24"}, "10.1.1.1")
	h3, out := n.Host("h3", mac(3), []string{"10.1.1.13/24"}, "10.1.1.1"), n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")
	n.Run(model("{endpoint: h1}"))
	echo(t, h1, "10.1.1.11:8090")
	echo(t, h2, "10.1.1.12:8090")
	for name, client := range map[string]*sandbox.Host{"from outside": out, "from its tenant": h3} {
		n.Weir.Apply(model("{endpoint: h1}"))
		session := opened(t, client, "203.0.113.64:90")
		n.Weir.Apply(model("{endpoint: h2}"))
		session.SetDeadline(time.Now().Add(ovstest.Patience))
		if _, err := session.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing are load balancers with health whose backends, h2 and h3, are asked at port 8000.
func failing() string {
	const both = "{endpoint: h2}, {endpoint: h3}"
	health := ", " + asked("type: tcp, port: 8000")
	return balancedModel(policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}", "{name: dns, direction: ingress, action: allow, protocol: udp, ports: [53]}"),
		vip("web", 64, both, health), vip("kept", 65, both, ", onRemove: keep"+health), vip("told", 66, both, ", onRemove: reset"+health),
		balancer("dns", "address: 10.1.1.67, ports: [{port: 53, protocol: udp}], onRemove: keep, backends: ["+both+"]"+health))
}

// TestWhatBecomesOfConnectionsWhenTheirBackendFails has the server fail that health asks, while the
// backend goes on to say back what it hears: what ends has been ended by nobody else.
func TestWhatBecomesOfConnectionsWhenTheirBackendFails(t *testing.T) {
	const sessions = 16
	n, h1, backends := echoing(t, failing())
	closers := map[string]io.Closer{}
	for i, h := range backends[:2] {
		saysWho(t, h, fmt.Sprintf("10.2.1.%d:53", 12+i))
		closers[h.Name] = serveUntil(t, h, fmt.Sprintf("10.2.1.%d:8000", 12+i), h.Name)
	}
	addresses := map[string]int{"web": 64, "kept": 65, "told": 66, "dns": 67}
	all, second := map[string][]net.Conn{}, map[string]int{}
	for name, host := range addresses {
		know(t, n, "t/loadbalancer/"+name, "10.2.1.12 up 100", "10.2.1.13 up 100")
		for range sessions {
			all[name] = append(all[name], greeted(t, h1, name, host))
		}
	}
	ovstest.Eventually(t, "all connections are there", func() error {
		for name, host := range addresses {
			second[name] = len(of(n, host, 12))
			if second[name]+len(of(n, host, 13)) != sessions || second[name] == 0 {
				return fmt.Errorf("%s: %d of %d", name, second[name], sessions)
			}
		}
		return nil
	})
	closers["h2"].Close()
	for name, host := range addresses {
		know(t, n, "t/loadbalancer/"+name, "10.2.1.12 down 0", "10.2.1.13 up 100")
		if name != "kept" {
			emptied(t, n, host, 12)
		}
	}
	if got := len(of(n, 65, 12)); got != second["kept"] {
		t.Errorf("kept are %d of %d", got, second["kept"])
	}
	others := func(name string) int { return sessions - second[name] }
	for name, want := range map[string]fates{"web": {others("web"), second["web"]}, "kept": {live: sessions}, "told": {others("told"), second["told"]}, "dns": {live: sessions}} {
		got := fatesOf(all[name], name != "told")
		if t.Logf("%s: %d of %d had h2: %+v", name, second[name], sessions, got); got != want {
			t.Errorf("%s: %+v; want %+v", name, got, want)
		}
	}
}

// greeted opens a connection of TCP, or of UDP to dns, and says hello.
func greeted(t *testing.T, from *sandbox.Host, name string, host int) net.Conn {
	t.Helper()
	protocol, address := "tcp", fmt.Sprintf("10.1.1.%d:90", host)
	if name == "dns" {
		protocol, address = "udp", fmt.Sprintf("10.1.1.%d:53", host)
	}
	c, err := from.Dial(t.Context(), protocol, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(ovstest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAtLeast(c, make([]byte, 100), len("hello")); err != nil {
		t.Fatal(err)
	}
	return c
}

// fates are how many connections live, and how many were reset.
type fates struct{ live, reset int }

// fatesOf speaks on all connections at once, or listens first which of them are reset, and says what they come to.
func fatesOf(all []net.Conn, speak bool) (f fates) {
	const listen = 3 * time.Second
	told := make(chan error)
	for _, c := range all {
		go func() {
			if !speak {
				c.SetDeadline(time.Now().Add(listen))
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) {
					told <- err
					return
				}
			}
			c.SetDeadline(time.Now().Add(ovstest.Patience))
			_, err := c.Write([]byte("again"))
			if err == nil {
				_, err = io.ReadAtLeast(c, make([]byte, 100), len("again"))
			}
			told <- err
		}()
	}
	for range all {
		switch err := <-told; {
		case err == nil:
			f.live++
		case errors.Is(err, syscall.ECONNRESET):
			f.reset++
		}
	}
	return f
}

// TestAClientIsToldThatNoBackendIsLeft is onRemove: reset where the load balancer itself refuses
// what comes.
func TestAClientIsToldThatNoBackendIsLeft(t *testing.T) {
	const more = ", onRemove: reset, whenEmpty: reject"
	n, h1, _ := echoing(t, drained("{endpoint: h2}", more))
	session := opened(t, h1, "10.1.1.64:90")
	n.Weir.Apply(drained("", more))
	session.SetDeadline(time.Now().Add(ovstest.Patience))
	if _, err := session.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}
