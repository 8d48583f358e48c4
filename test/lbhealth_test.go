package test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if most := 12*pace + time.Second; took > most { // how many intervals exactly is a matter of virtual time (package health)
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
