package test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/sandbox"
	"weir/test/ovstest"
)

// A talker is a server that says back what it hears, and may speak first.
type talker struct {
	mu    sync.Mutex
	conns map[string]net.Conn // by the first line that came
}

// talkers listens at an address of a host.
func (s *talker) listen(t *testing.T, h *sandbox.Host, address string) {
	accept(t, h, address, func(c net.Conn) {
		lines := bufio.NewReader(c)
		for first := true; ; first = false {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if first {
				s.mu.Lock()
				s.conns[line] = c
				s.mu.Unlock()
			}
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
	})
}

// speak has the server send a line on the connection that has said hello.
func (s *talker) speak(hello, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.conns[hello]
	if !ok {
		return errors.New("no such connection")
	}
	_, err := c.Write([]byte(line))
	return err
}

// A told connection is one on which the client has said hello.
type told struct {
	net.Conn
	hello string
}

// goesOn has one end speak, the server first if so, and then the client. It reports whether the
// server was heard before that, and whether all was in the end.
func (s *talker) goesOn(c told, serverFirst bool) (heard, all bool) {
	want := "hello again\n"
	if serverFirst {
		const line = "are you there?\n"
		if s.speak(c.hello, line) != nil {
			return false, false
		}
		if heard = hearsLine(c, line, time.Second) == nil; !heard {
			want = line + want
		}
	}
	c.SetDeadline(time.Now().Add(ovstest.Patience))
	if _, err := c.Write([]byte("hello again\n")); err != nil {
		return heard, false
	}
	return heard, hearsLine(c, want, ovstest.Patience) == nil
}

// outlived counts connections that go on.
type outlived struct {
	mu                   sync.Mutex
	client, server, once int // where the client speaks first, where the server does, and where that is heard at once
}

func (o *outlived) add(heard, all, serverFirst bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case all && serverFirst:
		o.server++
	case all:
		o.client++
	}
	if heard {
		o.once++
	}
}

// natRestartModel has translations of all kinds.
var natRestartModel = natBridge + tenant("t", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") +
	endpoint("t", "h1", 1, "10.1.1.11") + endpoint("t", "h2", 2, "10.1.1.12") + endpoint("t", "h3", 3, "10.1.1.13") + endpoint("t", "h4", 4, "10.1.1.14") +
	snat("all", "addresses: [203.0.113.10]") + snat("pool", "priority: 200, from: {endpoints: [h3]}, addresses: [203.0.113.32-203.0.113.39]") +
	snat("persistent", "priority: 300, from: {endpoints: [h3]}, to: {protocol: tcp, ports: [81]}, addresses: [203.0.113.64-203.0.113.67], selection: persistent") +
	snat("ranged", "priority: 200, from: {endpoints: [h4]}, addresses: [203.0.113.50], ports: 1024-65535") +
	floatingIP("h1-ip", "203.0.113.20", "h1") +
	object("PortForward", "name: same, tenant: t", "address: 203.0.113.10, port: 80, protocol: tcp, to: {endpoint: h2, port: 80}") +
	object("PortForward", "name: other, tenant: t", "address: 203.0.113.10, port: 8080, protocol: tcp, to: {endpoint: h2, port: 81}") +
	tenant("red", "", "{cidr: 10.1.1.0/24, gateway: 10.1.1.1}") + endpoint("red", "r1", 5, "10.1.1.15") + red("FloatingIP", "r1-ip", "address: 203.0.113.40, endpoint: r1") +
	policy("t", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80-81]}") +
	policy("red", "in", "{name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}")

// natKinds are ways through them.
var natKinds = []struct {
	name, from, to string
	chosen         bool // its port or address was chosen by the tracker
}{
	{"directly", "h2", "10.1.1.11:80", false},
	{"SNAT", "h2", "203.0.113.1:80", false},
	{"SNAT, several addresses", "h3", "203.0.113.1:80", true},
	{"SNAT, persistent", "h3", "203.0.113.1:81", false},
	{"SNAT, a range of ports", "h4", "203.0.113.1:80", true},
	{"floating IP, out", "h1", "203.0.113.1:80", false},
	{"floating IP, in", "out", "203.0.113.20:80", false},
	{"floating IP, its tenant", "h2", "203.0.113.20:80", false},
	{"forward, the same port", "out", "203.0.113.10:80", false},
	{"forward, another port", "out", "203.0.113.10:8080", false},
	{"another tenant", "h2", "203.0.113.40:80", false},
}

// TestConnectionsThroughNATOutliveOpenVSwitch kills ovs-vswitchd (kill -9) under connections of
// each kind, on which afterwards the client speaks first, or the server. The userspace datapath
// has forgotten all of them: those go on that are given the same addresses and ports again, once
// the client speaks.
func TestConnectionsThroughNATOutliveOpenVSwitch(t *testing.T) {
	n := ovstest.New(t)
	hosts := map[string]*sandbox.Host{"out": n.Host("out", mac(9), []string{"203.0.113.1/24"}, "203.0.113.2")}
	for i, name := range []string{"h1", "h2", "h3", "h4", "r1"} {
		hosts[name] = n.Host(name, mac(i+1), []string{fmt.Sprintf("10.1.1.%d/24", 11+i)}, "10.1.1.1")
	}
	n.Run(natRestartModel)
	server := talker{conns: map[string]net.Conn{}}
	for host, addresses := range map[string]string{"out": "203.0.113.1:80 203.0.113.1:81", "h1": "10.1.1.11:80", "h2": "10.1.1.12:80 10.1.1.12:81", "r1": "10.1.1.15:80"} {
		for _, address := range strings.Fields(addresses) {
			server.listen(t, hosts[host], address)
		}
	}
	conns := map[string][]told{}
	for _, k := range natKinds {
		for i := range 2 * each {
			c, err := hosts[k.from].Dial(t.Context(), "tcp", k.to)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			o := told{c, fmt.Sprintf("%s %d\n", k.name, i)}
			if err := say(o, o.hello, ovstest.Patience); err != nil {
				t.Fatal(err)
			}
			conns[k.name] = append(conns[k.name], o)
		}
	}
	n.RestartVswitchd()
	n.Weir.Programmed(1)
	for _, k := range natKinds {
		var all sync.WaitGroup
		var live outlived
		for i, c := range conns[k.name] {
			all.Go(func() {
				heard, lives := server.goesOn(c, i%2 == 1)
				live.add(heard, lives, i%2 == 1)
			})
		}
		all.Wait()
		if (live.client != each || live.server != each) && (n.Kernel() || !k.chosen) {
			t.Errorf("%s: of %d go on %d and %d", k.name, each, live.client, live.server)
		}
		t.Logf("%-24s of %d go on %d where the client speaks first; %d where the server does, who is heard at once by %d", k.name, each, live.client, live.server, live.once)
	}
}
