package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/apps/pipeline"
	"weir/internal/sandbox"
	"weir/ofproto"
	"weir/ofproto/ofconn"
	"weir/test/ovstest"
)

// states returns what is known of the backends of a load balancer: "10.2.1.12 up 100".
func states(n *ovstest.Net, name string) (all []string) {
	s, err := n.Weir.Status()
	if err != nil {
		return []string{err.Error()}
	}
	for _, b := range s.Backends {
		if b.Balancer == name {
			all = append(all, fmt.Sprintf("%s %s %d", b.Backend, b.Health, b.Weight))
		}
	}
	return all
}

// become waits until that is known of the backends of a load balancer, and the bridge has it, and
// returns how long it took.
func become(t *testing.T, n *ovstest.Net, name string, want ...string) (took time.Duration) {
	t.Helper()
	began, served := time.Now(), []string{}
	for _, w := range want {
		if ip, rest, _ := strings.Cut(w, " "); !strings.HasSuffix(rest, " 0") {
			served = append(served, ip)
		}
	}
	ovstest.Eventually(t, "backends of "+name, func() error {
		if got := chosenBy(n); !slices.Equal(got, served) {
			return fmt.Errorf("connections go to %v, want %v", got, served)
		}
		took = time.Since(began)
		if got := states(n, name); !slices.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
	if _, err := n.Appctl("revalidator/wait"); err != nil { // the datapath may go by what it knew for a moment
		t.Fatal(err)
	}
	return took
}

// chosenBy returns to whom the load balancers of the bridge send what is new, in order.
func chosenBy(n *ovstest.Net) []string {
	n.T.Helper()
	c, err := ofconn.Dial(n.T.Context(), "unix:"+filepath.Join(n.RunDir(), n.Bridge+".mgmt"), ofconn.Config{})
	if err != nil {
		n.T.Fatal(err)
	}
	defer c.Close()
	have, err := c.Tables(n.T.Context())
	if err != nil {
		n.T.Fatal(err)
	}
	all := []string{}
	note := func(actions []ofproto.Action) {
		for _, a := range actions {
			if s, is := a.(ofproto.SetField); is && s.Field == ofproto.IPv4Dst {
				all = append(all, netip.AddrFrom4([4]byte(s.Value[12:])).String())
			} else if is && s.Field == ofproto.IPv6Dst {
				all = append(all, netip.AddrFrom16(s.Value).String())
			}
		}
	}
	for _, g := range have.Groups {
		for _, b := range g.Buckets {
			note(b.Actions)
		}
	}
	for _, f := range have.Flows {
		if f.Table == pipeline.LBSlot || f.Table == pipeline.LBVIP {
			note(f.Actions)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// pace is what one of four steps of an interval takes in tests: a guest has one processor for
// everything.
var pace = map[bool]time.Duration{false: 100 * time.Millisecond, true: 500 * time.Millisecond}[os.Getenv("WEIR_DATAPATH") != ""]

// looking is how long it may take to look whether a bridge is as it should be.
var looking = pace

// asked has backends asked in tests: a silent one is out after three intervals of four steps.
func asked(kind string) string {
	return fmt.Sprintf("health: {%s, interval: %dms, timeout: %dms, fall: 3, rise: 2}", kind, (4 * pace).Milliseconds(), (2 * pace).Milliseconds())
}

// TestOL07BackendsThatFail has a server stopped, and a link go dead without a word: each is out
// in time, and no connection fails after that. When both have failed, and the third, clients are told.
func TestOL07BackendsThatFail(t *testing.T) {
	n, h1, backends := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], whenEmpty: reject, "+asked("type: tcp")),
		policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
	refuses(t, h1, "10.1.1.64:8000") // nobody serves yet
	var servers []io.Closer
	for i, h := range backends {
		servers = append(servers, serveUntil(t, h, fmt.Sprintf("10.2.1.%d:8000", 12+i), h.Name))
	}
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 up 100")
	if by := served(t, h1, "10.1.1.64:8000", 60); len(by) != 3 {
		t.Errorf("served by %v", by)
	}

	servers[0].Close()
	t.Logf("a server that was stopped was out after %v", become(t, n, "t/loadbalancer/web", "10.2.1.12 down 0", "10.2.1.13 up 100", "10.2.1.14 up 100"))
	if by := served(t, h1, "10.1.1.64:8000", 60); len(by) != 2 || by["h2"] > 0 {
		t.Errorf("served by %v", by)
	}

	mute(t, backends[1], true)
	took := become(t, n, "t/loadbalancer/web", "10.2.1.12 down 0", "10.2.1.13 down 0", "10.2.1.14 up 100")
	t.Logf("one that died silently was out after %v", took)
	if most := 12*pace + 100*time.Millisecond + looking; took > most {
		t.Errorf("it took %v, want %v at most", took, most)
	}
	if by := served(t, h1, "10.1.1.64:8000", 60); len(by) != 1 || by["h4"] != 60 {
		t.Errorf("served by %v", by)
	}

	servers[2].Close()
	become(t, n, "t/loadbalancer/web", "10.2.1.12 down 0", "10.2.1.13 down 0", "10.2.1.14 down 0")
	refuses(t, h1, "10.1.1.64:8000")
	if log := n.Weir.Log(); !strings.Contains(log, "no backend takes connections") {
		t.Error("the log does not say that no backend is left")
	}

	mute(t, backends[1], false)
	become(t, n, "t/loadbalancer/web", "10.2.1.12 down 0", "10.2.1.13 up 100", "10.2.1.14 down 0")
	if by := served(t, h1, "10.1.1.64:8000", 20); by["h3"] != 20 {
		t.Errorf("served by %v", by)
	}
}

// mute has a host hear nothing more, without a word to anybody, or listen again: frames are for another
// address than that of its device. The link stays up.
func mute(t *testing.T, h *sandbox.Host, is bool) {
	t.Helper()
	address := map[bool]string{true: "02:00:00:00:ff:ff", false: h.MAC}[is]
	if _, err := h.Exec(t.Context(), "ip", "link", "set", "dev", sandbox.HostDevice, "address", address); err != nil {
		t.Fatal(err)
	}
}

// serveUntil is serve, until what it returns is closed.
func serveUntil(t *testing.T, h *sandbox.Host, address, page string) io.Closer {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(ovstest.Patience))
			io.WriteString(c, page)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l
}

// TestChecksOfAllKinds asks backends by HTTP, UDP and ICMP, in both versions of IP, where the tenant's
// policy lets nobody in, where all rules are stateless, and where backends see their gateway as the
// client of what they are sent.
func TestChecksOfAllKinds(t *testing.T) {
	backends := "backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], "
	n, h1, hosts := balanced(t, balancedModel(
		balancer("http", "address: 10.1.1.64, ports: [{port: 80, protocol: tcp, targetPort: 8001}], "+backends+asked("type: http, path: /ready, host: shop.example, expect: [204]")),
		balancer("http6", `address: "fd00:1::64", ports: [{port: 80, protocol: tcp, targetPort: 8001}], `+backends+asked("type: http, path: /ready, host: shop.example")),
		balancer("udp", "address: 10.1.1.65, ports: [{port: 53, protocol: udp}], "+backends+asked("type: udp")),
		balancer("udp6", `address: "fd00:1::65", ports: [{port: 53, protocol: udp}], `+backends+asked("type: udp")),
		balancer("icmp", "address: 10.1.1.66, ports: [{port: 80, protocol: tcp}], snat: always, "+backends+asked("type: icmp")),
		balancer("icmp6", `address: "fd00:1::66", ports: [{port: 80, protocol: tcp}], `+backends+asked("type: icmp")),
		policy("t", "asks", "{name: asks, direction: egress, action: stateless, protocol: udp}, {name: asked, direction: ingress, action: stateless, protocol: udp}")))
	for i, h := range hosts {
		for _, ip := range []string{fmt.Sprintf("10.2.1.%d", 12+i), fmt.Sprintf("[fd00:2::%d]", 12+i)} {
			if h.Name != "h3" {
				serveHTTP(t, h, ip+":8001")
				listenUDP(t, h, ip+":53")
			}
		}
	}
	for _, name := range []string{"http", "udp"} {
		know(t, n, "t/loadbalancer/"+name, "10.2.1.12 up 100", "10.2.1.13 down 0", "10.2.1.14 up 100")
		know(t, n, "t/loadbalancer/"+name+"6", "fd00:2::12 up 100", "fd00:2::13 down 0", "fd00:2::14 up 100")
	}
	know(t, n, "t/loadbalancer/icmp", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 up 100")
	know(t, n, "t/loadbalancer/icmp6", "fd00:2::12 up 100", "fd00:2::13 up 100", "fd00:2::14 up 100")
	mute(t, hosts[2], true)
	know(t, n, "t/loadbalancer/icmp", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	know(t, n, "t/loadbalancer/udp6", "fd00:2::12 up 100", "fd00:2::13 down 0", "fd00:2::14 down 0")
	know(t, n, "t/loadbalancer/http", "10.2.1.12 up 100", "10.2.1.13 down 0", "10.2.1.14 down 0")
	if by := served(t, h1, "10.1.1.66:80", 20); by["h4"] > 0 || by["h2"] == 0 || by["h3"] == 0 {
		t.Errorf("served by %v", by)
	}
	for _, e := range n.Entries(n.Weir.Zone("t")) {
		if e.Orig.Src.String() == "10.2.1.1" {
			t.Errorf("a check is a connection: %+v", e)
		}
	}
}

// know waits until that is known of the backends of a load balancer.
func know(t *testing.T, n *ovstest.Net, name string, want ...string) {
	t.Helper()
	ovstest.Eventually(t, "backends of "+name, func() error {
		if got := states(n, name); !slices.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// serveHTTP answers GET /ready of shop.example with 204, and all else with 503.
func serveHTTP(t *testing.T, h *sandbox.Host, address string) {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" || r.URL.Path != "/ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
}

// TestASlowStartIsSeen counts who serves while a backend that has come back begins slowly, and after.
func TestASlowStartIsSeen(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], "+asked("type: tcp, slowStart: 10s")),
		policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
	serveUntil(t, hosts[1], "10.2.1.13:8000", "h3")
	know(t, n, "t/loadbalancer/web", "10.2.1.12 down 0", "10.2.1.13 up 100")
	serveUntil(t, hosts[0], "10.2.1.12:8000", "h2")
	became := weightOf(t, n, "10.2.1.12", func(w int) bool { return w > 0 })
	early := served(t, h1, "10.1.1.64:8000", 100)
	during := time.Since(became)
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w >= 50 })
	middle := served(t, h1, "10.1.1.64:8000", 100)
	whole := weightOf(t, n, "10.2.1.12", func(w int) bool { return w == 100 })
	late := served(t, h1, "10.1.1.64:8000", 100)
	t.Logf("of 100 connections to two backends, one that begins slowly had %d in the first %v, %d about half of its time, and %d when it was over, after %v",
		early["h2"], during.Round(time.Millisecond), middle["h2"], late["h2"], whole.Sub(became).Round(time.Millisecond))
	if early["h2"] > 30 || early["h2"] == 0 || late["h2"] < 35 || middle["h2"] <= early["h2"] {
		t.Error("that is no slow start")
	}
	if took := whole.Sub(became); took < 9*time.Second || took > 11*time.Second {
		t.Errorf("it took %v, want 10 s", took)
	}
}

// weightOf waits until a backend has a weight that is as wanted, and returns when.
func weightOf(t *testing.T, n *ovstest.Net, backend string, wanted func(int) bool) time.Time {
	t.Helper()
	ovstest.Eventually(t, "weight of "+backend, func() error {
		s, err := n.Weir.Status()
		if err != nil {
			return err
		}
		for _, b := range s.Backends {
			if b.Backend == backend && wanted(int(b.Weight)) {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Backends)
	})
	return time.Now()
}

// TestADaemonThatStartsChangesNothingOfHealth kills the daemon while a backend is out and another
// one well: the next one sends nothing until it knows better, and no connection fails.
func TestADaemonThatStartsChangesNothingOfHealth(t *testing.T) {
	for _, algorithm := range []string{"hash", "consistent"} {
		t.Run(algorithm, func(t *testing.T) {
			n, h1, hosts := balanced(t, balancedModel(balancer("web",
				"address: 10.1.1.64, algorithm: "+algorithm+", ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], "+asked("type: tcp, slowStart: 1s")),
				policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
			for _, i := range []int{0, 1} {
				serveUntil(t, hosts[i], fmt.Sprintf("10.2.1.%d:8000", 12+i), hosts[i].Name)
			}
			become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
			n.Weir.Kill()
			served(t, h1, "10.1.1.64:8000", 20)
			n.Weir.Start()
			s := n.Weir.Programmed(1)
			served(t, h1, "10.1.1.64:8000", 50)
			know(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
			if s, _ = n.Weir.Status(); s.Bridges[0].FlowModsSent != 0 {
				t.Errorf("%d modifications were sent", s.Bridges[0].FlowModsSent)
			}
			if log := n.Weir.Log(); strings.Contains(log, "no backend takes connections") {
				t.Error("no backend was there for a while")
			}
		})
	}
}

// TestHealthThatIsAskedForLaterEndsNothing adds checks to a load balancer that has none, with backends
// that are well and one that is not; and a backend to one that has checks.
func TestHealthThatIsAskedForLaterEndsNothing(t *testing.T) {
	model := func(backends, health string) string {
		return balancedModel(balancer("web", "address: 10.1.1.64, whenEmpty: reject, ports: [{port: 8000, protocol: tcp}], backends: ["+backends+"]"+health),
			policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}"))
	}
	n, h1, hosts := balanced(t, model("{endpoint: h2}, {endpoint: h3}", ""))
	serveUntil(t, hosts[0], "10.2.1.12:8000", "h2")
	one := serveUntil(t, hosts[1], "10.2.1.13:8000", "h3")
	epoch := n.Weir.Programmed(1).Tenants[0].Epoch
	stop := keepFetching(t, h1, "10.1.1.64:8000")
	health := ", " + asked("type: tcp")
	n.Weir.Apply(model("{endpoint: h2}, {endpoint: h3}", health))
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100")
	n.Weir.Apply(model("{endpoint: h2}, {endpoint: h3}, {endpoint: h4}", health))
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	stop()
	one.Close()
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 down 0", "10.2.1.14 down 0")
	n.Weir.Apply(model("{endpoint: h2}", health))
	gets(t, h1, "10.1.1.64:8000", "h2")
	if now := n.Weir.Programmed(1).Tenants[0].Epoch; now != epoch {
		t.Errorf("connections were judged again: epoch %d, %d before", now, epoch)
	}
}

// keepFetching fetches from an address until stop is called; each time has to succeed.
func keepFetching(t *testing.T, h *sandbox.Host, address string) (stop func()) {
	t.Helper()
	done, end := make(chan int), make(chan struct{})
	go func() {
		n := 0
		defer func() { done <- n }()
		for {
			select {
			case <-end:
				return
			default:
			}
			if _, err := fetch(h, address, ovstest.Patience); err != nil {
				t.Errorf("after %d: %v", n, err)
				return
			}
			n++
		}
	}()
	return func() { close(end); t.Logf("%d connections", <-done) }
}

// TestWeightsFollowReportedLoad has one of two backends say that it is busy, and then that it is not.
func TestWeightsFollowReportedLoad(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 80, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], load: {type: reported, port: 9100, path: /busy, interval: 1s, strength: 75}")))
	var busy atomic.Int64
	busy.Store(100)
	serveLoad(t, hosts[0], "10.2.1.12:9100", func() string { return fmt.Sprint(busy.Load()) })
	serveLoad(t, hosts[1], "10.2.1.13:9100", func() string { return `{"load": 0.0}` })
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w < 35 })
	by := served(t, h1, "10.1.1.64:80", 100)
	t.Logf("one that is busy gets %d of 100 connections", by["h2"])
	if by["h2"] > 40 || by["h2"] == 0 {
		t.Errorf("served by %v", by)
	}
	busy.Store(0)
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w > 90 })
}

// serveLoad says the load of a host at GET /busy.
func serveLoad(t *testing.T, h *sandbox.Host, address string, load func() string) {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/busy" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, load())
	})}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
}

// TestWeightsFollowConnections opens connections that stay, and closes those to all backends but one: new
// ones go to the others rather.
func TestWeightsFollowConnections(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8090, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}], load: {type: connections, interval: 1s, strength: 75}"),
		policy("t", "echo", "{name: echo, direction: ingress, action: allow, protocol: tcp, ports: [8090]}")))
	for i, h := range hosts[:2] {
		accept(t, h, fmt.Sprintf("10.2.1.%d:8090", 12+i), func(c net.Conn) {
			io.WriteString(c, h.Name)
			io.Copy(io.Discard, c)
		})
	}
	for open := 0; open < 40; {
		c, err := h1.Dial(t.Context(), "tcp", "10.1.1.64:8090")
		if err != nil {
			t.Fatal(err)
		}
		who := make([]byte, 2)
		if _, err := io.ReadFull(c, who); err != nil {
			t.Fatal(err)
		}
		if string(who) != "h2" {
			c.Close()
			continue
		}
		defer c.Close()
		open++
	}
	weightOf(t, n, "10.2.1.12", func(w int) bool { return w < 65 })
	if got := states(n, "t/loadbalancer/web"); !strings.HasSuffix(got[1], " 100") {
		t.Errorf("%v", got)
	}
}

// TestStormWithChecks is the storm through load balancers whose backends are asked how they are and how busy,
// while one of them fails and comes back, and policy is replaced: what is open goes on, and what is new
// goes to others.
func TestStormWithChecks(t *testing.T) {
	asked := fmt.Sprintf(", onRemove: keep, health: {type: tcp, port: 9000, interval: %dms, timeout: %dms, fall: 2, rise: 1}", (5 * pace).Milliseconds(), (4 * pace).Milliseconds())
	lb := func(name, address, more string) string {
		return balancer(name, "address: "+address+", ports: [{port: 80, protocol: tcp, targetPort: 8080}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}]"+more+asked)
	}
	model := balancedModel(lb("hash", "10.1.1.64", ""), lb("consistent", "10.1.1.65", ", algorithm: consistent, load: {type: connections, interval: 1s}"),
		lb("gateway", "10.1.1.66", ", snat: always"), lb("hash6", `"fd00:1::64"`, ""))
	n := ovstest.New(t)
	h1 := n.Host("h1", mac(1), []string{"10.1.1.11/24", "fd00:1::11/64"}, "10.1.1.1", "fd00:1::1")
	var hosts []*sandbox.Host
	for i := 2; i <= 4; i++ {
		hosts = append(hosts, n.Host(fmt.Sprintf("h%d", i), mac(i), []string{fmt.Sprintf("10.2.1.%d/24", 10+i), fmt.Sprintf("fd00:2::%d/64", 10+i)}, "10.2.1.1", "fd00:2::1"))
	}
	n.Run(model)
	for i, h := range hosts {
		for _, ip := range []string{fmt.Sprintf("10.2.1.%d", 12+i), fmt.Sprintf("[fd00:2::%d]", 12+i)} {
			echo(t, h, ip+":8080")
			if i > 0 {
				serveUntil(t, h, ip+":9000", "")
			}
		}
	}
	for _, name := range []string{"hash", "consistent", "gateway"} {
		know(t, n, "t/loadbalancer/"+name, "10.2.1.12 down 0", "10.2.1.13 up 100", "10.2.1.14 up 100")
	}
	know(t, n, "t/loadbalancer/hash6", "fd00:2::12 down 0", "fd00:2::13 up 100", "fd00:2::14 up 100")
	before := len(n.Weir.Log())
	stop := comeAndGo(t, hosts[0], "10.2.1.12:9000", "[fd00:2::12]:9000")
	newStorm(t, []stormPath{
		{name: "hash", from: h1, address: "10.1.1.64:80"},
		{name: "consistent", from: h1, address: "10.1.1.65:80"},
		{name: "snat: always", from: h1, address: "10.1.1.66:80"},
		{name: "IPv6", from: h1, address: "[fd00:1::64]:80"},
		{name: "a backend itself", from: hosts[1], address: "10.1.1.64:80"},
		{name: "a backend itself, snat: always", from: hosts[1], address: "10.1.1.66:80"},
	}...).blow(t, n, stormTime(t)/4, func(edit int) {
		n.Weir.Apply(model + []string{unrest[1], ""}[edit%2])
	})
	stop()
	log := n.Weir.Log()[before:]
	t.Logf("%d times a backend came, %d times it went", strings.Count(log, "a backend is well"), strings.Count(log, "a backend is not well"))
	for _, b := range []string{"10.2.1.13", "10.2.1.14", `"fd00:2::13"`, `"fd00:2::14"`} {
		if strings.Contains(log, `is not well, and gets no new connections" backend=`+b) {
			t.Errorf("%s has been taken for one that is not well", b)
		}
	}
}

// comeAndGo has a host listen at addresses for some intervals, and not for some, until it is stopped.
func comeAndGo(t *testing.T, h *sandbox.Host, addresses ...string) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * pace)
		defer tick.Stop()
		var open []net.Listener
		for {
			if len(open) == 0 {
				for _, a := range addresses {
					if l, err := h.Listen("tcp", a); err == nil {
						open = append(open, l)
					}
				}
			} else {
				for _, l := range open {
					l.Close()
				}
				open = nil
			}
			select {
			case <-tick.C:
			case <-end:
				for _, l := range open {
					l.Close()
				}
				return
			}
		}
	}()
	return func() { close(end); <-done }
}

// TestBackendsOutliveARestartOfOVS starts ovs-vswitchd anew: no backend is taken for one that is not well.
func TestBackendsOutliveARestartOfOVS(t *testing.T) {
	n, h1, hosts := balanced(t, balancedModel(balancer("web",
		"address: 10.1.1.64, ports: [{port: 8000, protocol: tcp}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], "+asked("type: tcp")),
		policy("t", "more", "{name: more, direction: ingress, action: allow, protocol: tcp, ports: [8000]}")))
	for _, i := range []int{0, 1} {
		serveUntil(t, hosts[i], fmt.Sprintf("10.2.1.%d:8000", 12+i), hosts[i].Name)
	}
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	before := len(n.Weir.Log())
	n.RestartVswitchd()
	n.Weir.Programmed(1)
	become(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	served(t, h1, "10.1.1.64:8000", 20)
	know(t, n, "t/loadbalancer/web", "10.2.1.12 up 100", "10.2.1.13 up 100", "10.2.1.14 down 0")
	if log := n.Weir.Log()[before:]; strings.Contains(log, "is not well") || strings.Contains(log, "no backend takes") {
		t.Error(log)
	}
}

// TestMoreBackendsThanABridgeCanAsk asks 1,200 times a second if it may: less often is said in the log, and
// nobody who is well is taken for one that is not. A guest has not the processor to ask as often as a bridge can be: there it is only
// seen that fewer questions are asked than the model wants.
func TestMoreBackendsThanABridgeCanAsk(t *testing.T) {
	balancers, interval, guest := 400, 1000, os.Getenv("WEIR_DATAPATH") != ""
	if guest {
		balancers, interval = 20, 100
	}
	var more []string
	for i := range balancers {
		more = append(more, balancer(fmt.Sprint("lb", i), fmt.Sprintf("address: 10.1.1.64, ports: [{port: %d, protocol: tcp, targetPort: 80}], backends: [{endpoint: h2}, {endpoint: h3}, {endpoint: h4}], health: {type: tcp, interval: %dms, timeout: %dms}", 1000+i, interval+i, interval/2)))
	}
	n, _, _ := balanced(t, balancedModel(more...))
	ovstest.Eventually(t, "the log says that they are asked less often", func() error {
		if !strings.Contains(n.Weir.Log(), "so many backends are asked") {
			return errors.New("it does not")
		}
		return nil
	})
	if !guest {
		staysUp(t, n, 3*balancers)
	}
}

// staysUp waits until so many backends are well, and fails unless they are when each has been asked twice more.
func staysUp(t *testing.T, n *ovstest.Net, all int) {
	t.Helper()
	ovstest.Eventually(t, "all are well", func() error { return allUp(n, all) })
	before, asked := len(n.Weir.Log()), answersOf(t, n)
	ovstest.Eventually(t, "each is asked twice more", func() error {
		if now := answersOf(t, n); now < asked+3000 {
			return fmt.Errorf("%d answers, %d before", now, asked)
		}
		return nil
	})
	if err := allUp(n, all); err != nil || strings.Contains(n.Weir.Log()[before:], "is not well") {
		t.Error("backends that are well are taken for such as are not: ", err)
	}
}

// allUp returns an error unless so many backends are well.
func allUp(n *ovstest.Net, want int) error {
	s, err := n.Weir.Status()
	if err != nil {
		return err
	}
	up := 0
	for _, b := range s.Backends {
		if b.Health == "up" {
			up++
		}
	}
	if up != want {
		return fmt.Errorf("%d are up, want %d", up, want)
	}
	return nil
}

// answersOf returns how many packets backends have answered.
func answersOf(t *testing.T, n *ovstest.Net) uint64 {
	t.Helper()
	s, err := n.Weir.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Bridges[0].Meters {
		if m.ID == "t/probes" {
			return m.Packets
		}
	}
	return 0
}
